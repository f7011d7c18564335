"""What Python's operations give: calls, attributes, items, operators, comparisons."""

from __future__ import annotations

import ast
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anymax.inspect.check import calls, kinds, layers, moves, ops, sums
from anymax.inspect.check.calls import Call, as_tensor
from anymax.inspect.check.observed import Choice
from anymax.inspect.check.shapes import Axis, Shape, closed
from anymax.inspect.check.values import (
    BoundMethod,
    Class,
    Const,
    Either,
    External,
    Function,
    Instance,
    Layer,
    Many,
    Partial,
    Seq,
    Size,
    Sizes,
    Spread,
    Table,
    Tensor,
    Test,
    Unknown,
    Value,
    batch,
    join,
    options,
)

if TYPE_CHECKING:
    from anymax.inspect.check.frames import Frame
    from anymax.inspect.check.interpret import Interpreter
    from anymax.inspect.check.values import Place

# Calls that hand on what they are given, as far as values go.
TRANSPARENT = frozenset(
    [
        "torch.compile",
        "torch.jit.script",
        "torch.nn.DataParallel",
        "torch.nn.parallel.DataParallel",
        "copy.deepcopy",
        "copy.copy",
        "torch.nn.parallel.DistributedDataParallel",
        "tqdm.tqdm",
        "tqdm.auto.tqdm",
        "tqdm.notebook.tqdm",
        "tqdm.trange",
        "torch.jit.trace",
        "torch.nn.utils.weight_norm",
        "torch.nn.utils.spectral_norm",
        "torch.nn.utils.parametrizations.weight_norm",
        "torch.nn.utils.parametrizations.spectral_norm",
        "torch.nn.Parameter",
        "torch.autograd.Variable",
        "torch.fx.wrap",
        "typing.cast",
    ]
)

ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
ORDERS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.GtE: operator.ge,
}

INFINITIES = frozenset(["math.inf", "torch.inf", "numpy.inf", "torch.infty", "numpy.infty"])
A_RECORD = "*record"

# A loop over more items than this is gone through once, with an item that stands for all
LONGEST_LOOP = 16

# A slice of no more entries than this is taken to find as many
SHORT = 16

NAMES_OF_A_BATCH = frozenset(
    ["b", "bs", "bsz", "batch", "batch_size", "batchsize", "nbatch", "n_batch", "batch_sz", "nb"]
)
NAMES_OF_A_POSITION = frozenset(
    [
        "t",
        "seq_len",
        "seqlen",
        "seq_length",
        "time",
        "timesteps",
        "n_tokens",
        "num_tokens",
        "length",
        "src_len",
        "tgt_len",
    ]
)


def is_known(name: str) -> bool:
    return calls.canonical(name) is not None or layers.is_layer(name)


def external(name: str) -> Value:
    """What a name of a package that is not read stands for."""
    return Const(math.inf) if name in INFINITIES else External(name)


def is_method(name: str) -> bool:
    """Whether an unknown value with such an attribute is taken to be a tensor."""
    return calls.method(name) is not None or name in ("shape", "size", "dim", "ndim", "T", "mT", "ndimension")


# -- batches ----------------------------------------------------------------------------------------------------------


def reads_batches(node: ast.expr) -> bool:
    """Whether a loop goes over something that is called a loader."""
    return any("loader" in name.lower() for name in _names_in(node))


def _names_in(node: ast.expr) -> list[str]:
    return [
        one.id if isinstance(one, ast.Name) else one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Name | ast.Attribute)
    ]


def into_a_model(value: Value) -> Value:
    """The first argument of a model: by convention its axis 0, where it has another one too, holds the samples."""
    tensor = value if isinstance(value, Tensor) else None
    if tensor is None or tensor.shape.rank is None or tensor.shape.rank < 2:
        return value
    first = tensor.shape.front[0]
    if first.kind is not None or first.size == 1:
        return value
    return tensor.with_shape(tensor.shape.with_axis(0, replace(first, kind="batch", sure=False)))


def argument(function: Function, name: str) -> Value:
    """An argument of which no call is read."""
    if function.name in ("training_step", "validation_step", "test_step") and name == "batch":
        return batch()
    return Unknown()


# -- sizes ------------------------------------------------------------------------------------------------------------


def unpacked_sizes(interpreter: Interpreter, sizes: Sizes, names: Sequence[str | None], frame: Frame) -> Value:
    """`b, c, h, w = x.shape` tells how many axes x has, and often what they are."""
    shape = sizes.tensor.shape.with_rank(len(names))
    if shape.rank != len(names):
        return Unknown()
    kinds = _kinds_by_name([name or "" for name in names])
    axes = [
        replace(axis, kind=kind or axis.kind, name=axis.name or name)
        if axis.kind is None and (kind or name) and axis.size is None
        else axis
        for axis, kind, name in zip(shape.front, kinds, names, strict=True)
    ]
    _learn(interpreter, sizes, closed(axes), frame)
    return Seq(tuple(Size(axis) for axis in axes))


def _kinds_by_name(names: list[str]) -> list[str | None]:
    kinds: list[str | None] = []
    lower = [name.lower() for name in names]
    image = len(names) == 4 and lower[2:] in (["h", "w"], ["height", "width"])
    for at, name in enumerate(lower):
        if image:
            kinds.append(("batch", "channel", "height", "width")[at])
        elif at == 0 and name in NAMES_OF_A_BATCH:
            kinds.append("batch")
        elif name in NAMES_OF_A_POSITION:
            kinds.append("position")
        else:
            kinds.append(None)
    return kinds


def _learn(interpreter: Interpreter, sizes: Sizes, shape: Shape, frame: Frame) -> None:
    """Keep what was learnt of a tensor under its name, with its values' origin."""
    tensor = sizes.tensor
    made = tensor.made
    if made is not None and made.axis is not None and (at := tensor.shape.dim_of(made.axis)) is not None:
        made = replace(made, axis=shape.axis(at))
    pair = tensor.pair
    if pair is not None:
        places = [tensor.shape.dim_of(axis) for axis in pair]
        found = [shape.axis(place) for place in places if place is not None]
        pair = (found[0], found[1]) if len(found) == 2 and found[0] and found[1] else None
    if sizes.node is not None:
        interpreter.assign_over(sizes.node, tensor.but(shape=shape, made=made, pair=pair), frame)


def size_of(interpreter: Interpreter, sizes: Sizes, dim: int, frame: Frame) -> Value:
    tensor = sizes.tensor
    shape = tensor.shape.grown(dim)
    axis = shape.axis(dim)
    if axis is None:
        return Unknown()
    if shape is not tensor.shape and sizes.node is not None:
        interpreter.assign_over(sizes.node, tensor.with_shape(shape), frame)
    return Const(axis.size) if axis.size is not None else Size(axis)


def spread(value: Value) -> Value:
    """What `*value` puts into a call or a list."""
    if not isinstance(value, Sizes):
        return value
    shape = value.tensor.shape
    if shape.rank is None:
        return Spread(Unknown(), shape)
    return Seq(tuple(Const(axis.size) if axis.size is not None else Size(axis) for axis in shape.front))


def tensor_whose_rank(node: ast.expr) -> ast.expr | None:
    """The x of `x.dim()`, `x.ndim` and `len(x.shape)`."""
    if isinstance(node, ast.Attribute) and node.attr == "ndim":
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("dim", "ndimension"):
        return node.func.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len" and len(node.args) == 1:
        inner = node.args[0]
        if isinstance(inner, ast.Attribute) and inner.attr == "shape":
            return inner.value
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "size":
            return inner.func.value
    return None


def thing_of_which(test: ast.expr) -> ast.Name | None:
    """The x of `isinstance(x, Net)`, `hasattr(x, "logits")` and `x is None`."""
    asked: ast.expr | None = None
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in ("isinstance", "hasattr"):
        asked = test.args[0] if test.args else None
    elif isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is | ast.IsNot):
        asked = test.left
    return asked if isinstance(asked, ast.Name) else None


# -- attributes and items ---------------------------------------------------------------------------------------------


def attribute(owner: Value, name: str, node: ast.expr | None) -> Value:
    if isinstance(owner, Seq) and len(owner.items) == 2 and name in ("values", "indices"):
        return owner.items[0 if name == "values" else 1]
    tensor = as_tensor(owner)
    if tensor is None:
        return BoundMethod(owner, name, node)
    if name == "shape":
        return Sizes(tensor, node)
    if name == "ndim":
        return Unknown() if tensor.shape.rank is None else Const(tensor.shape.rank)
    if name in ("T", "mT", "H", "mH"):
        return tensor.with_shape(
            tensor.shape.with_rank(2).swapped(0, 1) if name in "TH" else tensor.shape.swapped(-2, -1)
        )
    if name in ("data", "real"):
        return tensor
    if calls.method(name) or name in ("size", "dim", "ndimension"):
        return BoundMethod(owner, name, node)
    return Unknown()


def subscript(interpreter: Interpreter, owner: Value, node: ast.Subscript, frame: Frame) -> Value:
    if isinstance(owner, Either):
        return join([subscript(interpreter, one, node, frame) for one in owner.options])
    if isinstance(owner, Tensor) or (isinstance(owner, Unknown) and _looks_like_a_tensor(node.slice)):
        tensor = as_tensor(owner)
        return indexed(interpreter, tensor, node.slice, frame) if tensor is not None else Unknown()
    key = interpreter.eval(node.slice, frame) if not isinstance(node.slice, ast.Slice) else None
    number = key.value if isinstance(key, Const) else None
    if isinstance(owner, Sizes):
        return size_of(interpreter, owner, number, frame) if type(number) is int else Unknown()
    if isinstance(owner, Table):
        if owner.is_record and type(number) is int:
            return interpreter.item(owner, number)
        if isinstance(key, Const):
            return owner.items.get(key.value) or Unknown()
        return join(list(owner.items.values())) if owner.items else Unknown()
    if isinstance(owner, Layer):
        return layers.item(owner, key)
    if isinstance(owner, Instance):
        return interpreter.field_of(owner, key)
    if isinstance(owner, Seq) and not isinstance(key, Const):
        return Many(join(list(owner.items))) if isinstance(node.slice, ast.Slice) and owner.items else Unknown()
    if isinstance(owner, Many) and key is None:
        return owner
    if isinstance(owner, Many):
        return owner.item
    if isinstance(owner, Unknown) and owner.batch is not None and isinstance(key, Const):
        return owner.member(key.value)
    if type(number) is int and isinstance(owner, Seq):
        return interpreter.item(owner, number)
    if isinstance(owner, Unknown) and isinstance(key, Const):
        return owner.member(key.value)
    return Unknown()


def _looks_like_a_tensor(index: ast.expr) -> bool:
    """`x[:, 0]` is no list's."""
    return isinstance(index, ast.Tuple) and any(isinstance(one, ast.Slice) or _is_ellipsis(one) for one in index.elts)


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def indexed(interpreter: Interpreter, tensor: Tensor, index: ast.expr, frame: Frame) -> Tensor:
    """`x[...]`: slices keep an axis, ints take it, None adds one; after anything else nothing is known."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    if any(_is_ellipsis(part) for part in parts):
        at = next(at for at, part in enumerate(parts) if _is_ellipsis(part))
        if at == 0:
            return _indexed_from_back(interpreter, tensor, parts[1:], frame)
        if at != len(parts) - 1:
            return Tensor()
        parts = parts[:-1]
    if len(parts) == 2 and _is_each(parts[0]) and not isinstance(parts[1], ast.Slice | ast.Constant):
        # an entry of each row
        moves.observe_picked(Call(interpreter, "index", "The index", index, frame, {}, {}, tensor=tensor), 1)
    dim = 0
    for part in parts:
        if isinstance(part, ast.Slice):
            tensor = _sliced(tensor, dim, part)
            dim += 1
            continue
        value = interpreter.eval(part, frame)
        if isinstance(value, Const) and value.value is None:
            tensor = tensor.with_shape(tensor.shape.inserted(dim, Axis(size=1)))
            dim += 1
        elif isinstance(value, Const) and type(value.value) is int:
            tensor = moves.taken(tensor, dim, value.value)
        else:
            return Tensor(made=moves.chosen(tensor), dtype=tensor.dtype)
    return tensor


def _is_each(node: ast.expr) -> bool:
    """Whether an index is `torch.arange(n)` or `range(n)`."""
    return isinstance(node, ast.Call) and (_names_in(node.func) or [""])[0] in ("arange", "range")


def _sliced(tensor: Tensor, dim: int, part: ast.Slice) -> Tensor:
    if part.lower is None and part.upper is None and part.step is None:
        return tensor.with_shape(tensor.shape.grown(dim))
    shape = tensor.shape.grown(dim)
    axis = shape.axis(dim)
    if axis is None:
        return Tensor(shape.blurred(dim))
    bounds = _bounds(part)
    made = moves.cut(tensor.made, axis)
    if bounds is not None and tensor.pieces is not None and tensor.pieces.axis is axis:
        made = tensor.pieces.between(*bounds)
    if axis.size is None and (bounds is None or bounds[1] is None or bounds[1] - bounds[0] > SHORT):
        return tensor.but(shape=shape, made=made, pieces=None, origin=object())
    shorter = replace(axis, size=_length(axis.size, bounds))
    return tensor.but(shape=shape.with_axis(dim, shorter), made=made, pair=None, pieces=None, origin=object())


def _length(size: int | None, bounds: tuple[int, int | None] | None) -> int | None:
    """How many of so many entries lie between two bounds; where their number is not known, as many as are asked for."""
    if bounds is None:
        return None
    start, stop = bounds
    if size is None:
        return None if stop is None else stop - start
    return max(0, min(size, stop if stop is not None else size) - start)


def _bounds(part: ast.Slice) -> tuple[int, int | None] | None:
    """Where a slice begins and ends, counted from the front; None where that is not written there."""
    lower, upper = (one.value if isinstance(one, ast.Constant) else one for one in (part.lower, part.upper))
    start = 0 if lower is None else lower
    if type(start) is not int or part.step is not None:
        return None
    if upper is None:
        return start, None
    return (start, upper) if type(upper) is int and upper > start else None


def _indexed_from_back(interpreter: Interpreter, tensor: Tensor, parts: list[ast.expr], frame: Frame) -> Tensor:
    dim = -1
    for part in reversed(parts):
        if isinstance(part, ast.Slice):
            tensor = _sliced(tensor, dim, part)
            dim -= 1
            continue
        value = interpreter.eval(part, frame)
        if isinstance(value, Const) and value.value is None:
            tensor = tensor.with_shape(tensor.shape.inserted(dim, Axis(size=1)))
            dim -= 1
        elif isinstance(value, Const) and type(value.value) is int:
            tensor = moves.taken(tensor, dim, value.value)
        else:
            return Tensor(dtype=tensor.dtype)
    return tensor


def item_of(tensor: Tensor) -> Value:
    """One of the rows of a tensor that is unpacked or gone through."""
    return moves.taken(tensor, 0)


def is_mask(index: ast.expr) -> bool:
    """Whether an index is written as a mask: `scores[mask == 0]`."""
    inverted = isinstance(index, ast.UnaryOp) and isinstance(index.op, ast.Invert)
    return inverted or isinstance(index, ast.Compare) or any("mask" in name.lower() for name in _names_in(index))


def written_into(tensor: Tensor | Unknown, index: ast.expr, value: Value, place: Place) -> Value:
    """`scores[mask] = constant` masks; any other change leaves the axes alone."""
    known = as_tensor(tensor) or Tensor()
    if is_mask(index) and isinstance(value, Const):
        return ops.masked(known, value, place)
    return Tensor(known.shape, dtype=known.dtype)


# -- operators --------------------------------------------------------------------------------------------------------


def is_exact(source: Value) -> bool:
    """Whether a loop goes through these items one by one."""
    if isinstance(source, Layer):
        source = layers.modules_of(source)
    if isinstance(source, Table):
        return len(source.items) <= LONGEST_LOOP
    return isinstance(source, Seq) and source.exact and len(source.items) <= LONGEST_LOOP


def unary(interpreter: Interpreter, node: ast.UnaryOp, value: Value, frame: Frame) -> Value:
    if isinstance(value, Const) and isinstance(value.value, int | float) and not isinstance(value.value, bool):
        if isinstance(node.op, ast.Invert):
            return Unknown()
        return Const(-value.value if isinstance(node.op, ast.USub) else +value.value)
    if isinstance(node.op, ast.USub) and any(isinstance(one, Tensor) for one in options(value)):
        call = Call(interpreter, "neg", "-", node, frame, {}, {})
        return join([ops.negated(call, one) if isinstance(one, Tensor) else Unknown() for one in options(value)])
    if isinstance(node.op, ast.Invert):
        return join([Tensor(one.shape) if isinstance(one, Tensor) else Unknown() for one in options(value)])
    return Unknown()


def binary(interpreter: Interpreter, node: ast.BinOp, left: Value, right: Value, frame: Frame) -> Value:
    if isinstance(left, Const) and isinstance(right, Const):
        return _folded(node.op, left.value, right.value)
    if isinstance(left, Seq) and isinstance(right, Seq) and isinstance(node.op, ast.Add):
        return Seq(left.items + right.items, left.exact and right.exact)
    if isinstance(left, Seq) and isinstance(right, Const) and isinstance(node.op, ast.Mult):
        if type(right.value) is int and 0 <= right.value <= 16:
            return Seq(left.items * right.value)
        return Many(join(left.items))
    pairs = itertools.product(options(left), options(right))
    return join(
        _related(node.op, one, other, _tensor_binary(interpreter, node, one, other, frame)) for one, other in pairs
    )


def _related(sign: ast.operator, left: Value, right: Value, result: Value) -> Value:
    """With what is known of the numbers in a result: that it is the same everywhere, or depends on one operand."""
    first, second = ops.number_of(left), ops.number_of(right)
    if first is None and second is None:
        return result
    if isinstance(result, Tensor) and first is not None and second is not None:
        folded = _folded(sign, first, second)
        return result.but(filled=ops.number_of(folded))
    if type(result) is Unknown and (relation := ops.linear(sign, left, right)):
        return Unknown(relation=relation)
    if isinstance(result, Tensor) and (relation := ops.linear(sign, left, right)):
        return result.but(relation=relation)
    return result


def _tensor_binary(interpreter: Interpreter, node: ast.BinOp, left: Value, right: Value, frame: Frame) -> Value:
    matrix = isinstance(node.op, ast.MatMult)
    is_tensor = [
        isinstance(one, Tensor) or (isinstance(one, Unknown) and (one.tensor is not None or matrix))
        for one in (left, right)
    ]
    if not any(is_tensor):
        return Unknown()
    call = Call(interpreter, "matmul", "@", node, frame, {}, {})
    if matrix:
        return sums.multiplied(call, as_tensor(left) or Tensor(), as_tensor(right) or Tensor())
    return ops.combined(call, node.op, left, right)


def _folded(sign: ast.operator, left: Any, right: Any) -> Value:
    fold = ARITHMETIC.get(type(sign))
    if fold is None or not isinstance(left, int | float) or not isinstance(right, int | float):
        return Unknown()
    if isinstance(sign, ast.Pow) and not (abs(left) < 1e4 and abs(right) < 100):
        return Unknown()
    try:
        return Const(fold(left, right))
    except (ArithmeticError, ValueError, TypeError):
        return Unknown()


def compare(interpreter: Interpreter, node: ast.Compare, left: Value, rights: list[Value], frame: Frame) -> Value:
    sides = [left, *rights]
    if any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops):
        for side in sides:
            see_compared(interpreter, side, node, frame)
    if len(rights) == 1:
        truth = _compared(node.ops[0], left, rights[0])
        if truth is not None:
            return Const(truth)
    test = _test(node.ops[0], left, rights[0]) if len(rights) == 1 else None
    for side in sides:
        if isinstance(side, Tensor):
            return Tensor(side.shape, relation=test, zero_or_one=True)
    return Unknown(relation=test)


def _test(sign: ast.cmpop, left: Value, right: Value) -> Test | None:
    if not isinstance(sign, ast.Eq | ast.NotEq):
        return None
    number = ops.number_of(right)
    return Test(left, number, isinstance(sign, ast.Eq)) if number is not None else None


def see_compared(interpreter: Interpreter, value: Value, node: ast.expr, frame: Frame) -> None:
    """A choice that is compared with something: labels, as a rule."""
    for one in options(value):
        if isinstance(one, Tensor) and (made := one.made) and made.kind == "argmax" and (operand := made.operand):
            dim = made.dim if made.dim is not None else "missing"
            interpreter.see(
                Choice(
                    _chosen_by(made.place.node), made.place, dim, made.axis, [operand], interpreter.place(node, frame)
                )
            )


def _chosen_by(node: ast.AST) -> str:
    """The name that a choice is written with."""
    name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
    return name if name in ("max", "min", "topk") else "argmax"


def _compared(sign: ast.cmpop, left: Value, right: Value) -> bool | None:
    if isinstance(sign, ast.Is | ast.IsNot) and isinstance(right, Const) and right.value is None:
        truth = kinds.is_none(left)
        return None if truth is None else truth is isinstance(sign, ast.Is)
    if isinstance(sign, ast.Is | ast.IsNot | ast.Eq | ast.NotEq) and isinstance(left, Class):
        return (left.node is right.node) is isinstance(sign, ast.Is | ast.Eq) if isinstance(right, Class) else None
    if isinstance(left, Const) and isinstance(right, Const):
        try:
            if isinstance(sign, ast.Eq | ast.NotEq):
                return (left.value == right.value) is isinstance(sign, ast.Eq)
            if order := ORDERS.get(type(sign)):
                return bool(order(left.value, right.value))
        except TypeError:
            return None
    if isinstance(sign, ast.In | ast.NotIn) and isinstance(left, Const) and isinstance(right, Seq) and right.exact:
        items = [one.value for one in right.items if isinstance(one, Const)]
        if len(items) == len(right.items):
            return (left.value in items) is isinstance(sign, ast.In)
    return None


# -- calls ------------------------------------------------------------------------------------------------------------


def call(
    interpreter: Interpreter, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.Call, frame: Frame
) -> Value:
    """A call of something that is not read, by its full name."""
    if name.startswith("builtins."):
        return _builtin(interpreter, name.partition(".")[2], args, kwargs, node, frame)
    if name == "collections.OrderedDict":
        return table(args, kwargs)
    if name == "collections.namedtuple" and len(args) > 1:
        return Partial(External(A_RECORD), (_field_names(args[1]),), {})
    if name == A_RECORD and isinstance(args[0], Seq):
        names = tuple(one.value for one in args[0].items if isinstance(one, Const))
        return Table({**dict(zip(names, args[1:], strict=False)), **kwargs}, is_record=True, order=names)
    if is_record(name) and not args and "**" not in kwargs:
        return Table(dict(kwargs), is_record=True)
    if name == "itertools.groupby" and args:
        one = next(iter(interpreter.items_of(args[0])), Unknown())
        return Many(Seq((one if len(args) == 1 and not kwargs else Unknown(), Many(one))))
    if name == "functools.partial" and args:
        return Partial(args[0], tuple(args[1:]), kwargs)
    if name in TRANSPARENT:
        return args[0] if args else Unknown()
    if short := calls.canonical(name):
        if short in ("tensor", "as_tensor", "array", "asarray") and args and not isinstance(args[0], Tensor | Unknown):
            return _from_literal(args[0])
        return calls.run(interpreter, short, ast.unparse(node.func), args, kwargs, node, frame, node.args)
    if layers.is_layer(name):
        layer = layers.build(interpreter, name, args, kwargs, node, frame)
        interpreter.born.append(layer.attrs)
        return layer
    return Unknown()


def _field_names(value: Value) -> Value:
    """The names in `namedtuple("Point", "x y")` or `namedtuple("Point", ["x", "y"])`."""
    if isinstance(value, Const) and isinstance(value.value, str):
        return Seq(tuple(map(Const, value.value.replace(",", " ").split())))
    return value


def is_record(name: str) -> bool:
    """Whether a class that is not read only holds what it is given: `SequenceClassifierOutput(logits=x)`."""
    last = name.rpartition(".")[2]
    return last in ("SimpleNamespace", "Namespace", "ModelOutput") or (
        name.startswith("transformers.") and last.endswith(("Output", "OutputWithPast", "OutputWithPooling"))
    )


def values_of_a_record(value: Instance | Table) -> list[Value]:
    """What a NamedTuple, or a dataclass of a model's outputs, unpacks to; nothing where that is not known.

    The outputs of transformers leave out those that are None.
    """
    if isinstance(value, Table):
        return [value.items.get(name, Unknown()) for name in value.order]
    held = [value.attrs.get(name) or value.cls.member(name) or Unknown() for name in value.cls.fields]
    if "NamedTuple" in [name.rpartition(".")[2] for name in value.cls.foreign_bases()]:
        return held
    if any(isinstance(one, Unknown | Either) for one in held):
        return []
    return [one for one in held if not (isinstance(one, Const) and one.value is None)]


def table(args: list[Value], kwargs: dict[str, Value]) -> Value:
    """What `dict` and `OrderedDict` make: of keywords, of another one, of pairs."""
    named = Table(dict(kwargs))
    if not args:
        return Unknown() if "**" in kwargs else named
    first = args[0]
    if isinstance(first, Seq):
        pairs = [one.items for one in first.items if isinstance(one, Seq) and len(one.items) == 2]
        keys = [key.value for key, _ in pairs if isinstance(key, Const)]
        if len(keys) != len(first.items):
            return Unknown()
        first = Table(dict(zip(keys, (value for _, value in pairs), strict=True)))
    if not isinstance(first, Table) or "**" in kwargs:
        return first if not kwargs else Unknown()
    return Table({**first.items, **named.items})


def _from_literal(value: Value) -> Value:
    """`torch.tensor([[1.0, 2.0]])`, or of one number."""
    axes: list[Axis] = []
    one: Value = value
    while isinstance(one, Seq):
        axes.append(Axis(size=len(one.items)))
        if not one.items:
            break
        one = one.items[0]
    number = ops.number_of(value) if not axes else None
    return Tensor(closed(axes), filled=number) if isinstance(one, Const) else Tensor()


def call_method(
    interpreter: Interpreter,
    method: BoundMethod,
    args: list[Value],
    kwargs: dict[str, Value],
    node: ast.Call,
    frame: Frame,
) -> Value:
    owner, name = method.owner, method.name
    if isinstance(owner, Seq | Table | Many):
        return _of_container(interpreter, method, args, frame)
    if isinstance(owner, Layer | Instance):
        return layers.call_method(interpreter, owner, name, args, kwargs, node, frame)
    if isinstance(owner, Const):
        return Unknown()
    tensor = as_tensor(owner)
    if tensor is None:
        return Unknown()
    if (
        isinstance(owner, Unknown)
        and owner.batch is not None
        and name in ("to", "cuda", "cpu", "float", "long", "items", "values")
    ):
        return owner
    if name == "size":
        dim = args[0] if args else kwargs.get("dim")
        sizes = Sizes(tensor, method.owner_node)
        if dim is None:
            return sizes
        if isinstance(dim, Const) and type(dim.value) is int:
            return size_of(interpreter, sizes, dim.value, frame)
        return Unknown()
    if name in ("dim", "ndimension"):
        return Unknown() if tensor.shape.rank is None else Const(tensor.shape.rank)
    if name in ("eq", "ne"):
        for side in (owner, *args):
            see_compared(interpreter, side, node, frame)
    short = calls.method(name)
    if short is None:
        return Unknown()
    nodes = [method.owner_node or node, *node.args]
    result = calls.run(interpreter, short, f".{name}", [owner, *args], kwargs, node, frame, nodes)
    if name.endswith("_") and method.owner_node is not None and isinstance(result, Tensor) and name != "requires_grad_":
        interpreter.assign_over(method.owner_node, result, frame)
    return result


def _of_container(interpreter: Interpreter, method: BoundMethod, args: list[Value], frame: Frame) -> Value:
    owner, name, where = method.owner, method.name, method.owner_node
    if isinstance(owner, Seq) and name in ("append", "extend", "insert") and where is not None:
        added: Value = Unknown()
        if name == "append" and args:
            added = Seq((*owner.items, args[0]), owner.exact)
        elif name == "extend" and args and isinstance(args[0], Seq):
            added = Seq(owner.items + args[0].items, owner.exact and args[0].exact)
        interpreter.assign_over(where, added, frame)
        return Const(None)
    if isinstance(owner, Table):
        if name == "get" and args:
            fallback = args[1] if len(args) > 1 else Const(None)
            if isinstance(args[0], Const):
                return owner.items.get(args[0].value, fallback)
            return join([*owner.items.values()]) if owner.items else Unknown()
        if name == "items":
            return Seq(tuple(Seq((Const(key), value)) for key, value in owner.items.items()))
        if name == "values":
            return Seq(tuple(owner.items.values()))
        if name == "keys":
            return Seq(tuple(Const(key) for key in owner.items))
        if name == "update" and where is not None:
            interpreter.assign_over(where, Unknown(), frame)
    elif where is not None and name in ("pop", "clear", "remove", "reverse", "sort"):
        interpreter.assign_over(where, Unknown(), frame)
    return Unknown()


def _first_of(value: Unknown, count: int) -> Seq:
    return Seq(tuple(value.member(at) for at in range(count)))


def _known(truth: bool | None) -> Value:
    return Unknown() if truth is None else Const(truth)


def _columns(rows: list[Value]) -> Value:
    """`zip(*rows)`."""
    if rows and all(isinstance(one, Seq) and one.exact for one in rows):
        columns = zip(*(one.items for one in rows if isinstance(one, Seq)), strict=False)
        return Seq(tuple(Seq(column) for column in columns))
    row = rows[0].item if rows and isinstance(rows[0], Many) else None
    return Seq(tuple(map(Many, row.items)), row.exact) if isinstance(row, Seq) else Many(Many(Unknown()))


def _builtin(
    interpreter: Interpreter, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.Call, frame: Frame
) -> Value:
    first = args[0] if args else None
    if name in ("list", "tuple", "iter", "reversed", "sorted") and first is not None:
        return first
    if name in ("list", "tuple"):
        return Seq(())
    if name == "dict":
        return table(args, kwargs)
    if name == "float" and isinstance(first, Const) and isinstance(first.value, str | int | float):
        try:
            return Const(float(first.value))
        except ValueError:
            return Unknown()
    if name == "int" and isinstance(first, Const) and isinstance(first.value, int | float):
        return Const(int(first.value)) if abs(first.value) < 1e15 else Unknown()
    if name == "len" and first is not None:
        if isinstance(first, Seq):
            return Const(len(first.items)) if first.exact else Unknown()
        if isinstance(first, Sizes):
            return Unknown() if first.tensor.shape.rank is None else Const(first.tensor.shape.rank)
        if isinstance(first, Tensor):
            return size_of(interpreter, Sizes(first, node.args[0]), 0, frame)
    if name == "getattr" and len(args) >= 2 and isinstance(args[1], Const) and isinstance(args[1].value, str):
        return interpreter.attribute(args[0], args[1].value, None, frame)
    if name == "isinstance" and len(args) == 2:
        return _known(kinds.is_instance(first, args[1]))
    if name == "hasattr" and len(args) == 2 and isinstance(args[1], Const) and isinstance(args[1].value, str):
        return _known(kinds.has_attribute(first, args[1].value))
    if name == "type" and isinstance(first, Instance) and len(args) == 1:
        return first.cls
    if name == "setattr" and len(args) == 3 and isinstance(first, Instance) and isinstance(args[1], Const):
        interpreter.put(first.attrs, args[1].value, args[2])
    if name == "next" and node.args:
        items = interpreter.items_of(first or Unknown(), node.args[0])
        return items[0] if items else args[1] if len(args) > 1 else Unknown()
    if name == "enumerate" and node.args:
        items = interpreter.items_of(first or Unknown(), node.args[0])
        if isinstance(first, Seq):
            return Seq(tuple(Seq((Const(at), one)) for at, one in enumerate(items)), first.exact)
        return Many(Seq((Unknown(), items[0] if items else Unknown())))
    if name == "zip" and any(isinstance(one, ast.Starred) for one in node.args):
        return _columns(args)
    if name == "zip" and node.args:
        known = [one for one in args if isinstance(one, Seq) and one.exact]
        if known:
            # the items of what is not known are taken one by one, as long as the shortest that is
            count = min(len(one.items) for one in known)
            args = [_first_of(one, count) if isinstance(one, Unknown) else one for one in args]
        rows = [interpreter.items_of(one, where) for one, where in zip(args, node.args, strict=False)]
        if all(isinstance(one, Seq) for one in args) and rows:
            exact = all(isinstance(one, Seq) and one.exact for one in args)
            return Seq(tuple(Seq(tuple(row)) for row in zip(*rows, strict=False)), exact)
        return Many(Seq(tuple(row[0] if row else Unknown() for row in rows)))
    if name == "sum" and isinstance(first, Seq) and first.items and all(isinstance(one, Tensor) for one in first.items):
        return first.items[0]
    if (
        name == "range"
        and isinstance(first, Const)
        and len(args) == 1
        and type(first.value) is int
        and 0 < first.value <= 4
    ):
        return Seq(tuple(Const(at) for at in range(first.value)))
    return Unknown()
