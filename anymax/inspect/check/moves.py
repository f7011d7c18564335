"""Ops that move axes and keep the values: views, permutations, cuts and einops."""

from __future__ import annotations

import re
from dataclasses import replace

from anymax.inspect.check.calls import Call, as_tensor, axis_of_size, op
from anymax.inspect.check.observed import Dim, Picked
from anymax.inspect.check.shapes import Axis, Shape, closed
from anymax.inspect.check.values import Const, Made, Many, Pieces, Seq, Size, Sizes, Tensor, Unknown, Use, Value


def _ints(call: Call, first: str) -> list[Value] | None:
    """Sizes or dims that were given as several arguments or as one tuple; None where they are not known one by one."""
    values = list(call.rest[1:]) or [value for value in [call.value(first)] if value is not None]
    if len(values) == 1 and isinstance(values[0], Seq):
        return list(values[0].items)
    return None if not values or any(isinstance(one, Many | Sizes) for one in values) else values


@op("view reshape view_copy", "input shape")
def _view(call: Call) -> Value:
    sizes = _ints(call, "shape")
    if sizes is None or (len(sizes) == 1 and isinstance(sizes[0], Unknown)):
        value = call.value("shape")
        return call.with_shape(value.tensor.shape if isinstance(value, Sizes) else Shape())
    own = call.tensor.shape
    axes = [axis_of_size(size) for size in sizes]
    if own.rank == len(axes):
        # an axis of the same literal size in the same place is the same axis
        axes = [
            old if old.size is not None and old.size == new.size else new
            for old, new in zip(own.front, axes, strict=True)
        ]
    if own.rank is not None and any(_is_rest(size) for size in sizes):
        axes = _with_the_rest(own, axes, sizes)
    made = call.tensor.made
    if made is not None and _cuts_through(call, axes):
        made = replace(made, cut_at=call.place)
    return replace(call.with_shape(closed(_samples_first(axes, sizes))), made=made)


def _cuts_through(call: Call, axes: list[Axis]) -> bool:
    """Whether a view has the axis of a distribution last, where others stood behind it."""
    made, own = call.tensor.made, call.tensor.shape
    if made is None or not made.is_distribution or made.axis is None or own.open or len(axes) != 2:
        return False
    at = own.dim_of(made.axis)
    behind = own.front[at + 1 :] if at is not None else ()
    if not behind or any(axis.kind is None or axis.size == 1 for axis in behind):
        return False
    same_size = made.axis.size not in (None, 1) and axes[1].size == made.axis.size
    alike = any(axis.size == made.axis.size for axis in own.front if axis is not made.axis)
    return axes[1] is made.axis or (same_size and not alike)


def _is_rest(size: Value) -> bool:
    return isinstance(size, Const) and size.value == -1


def _with_the_rest(own: Shape, axes: list[Axis], sizes: list[Value]) -> list[Axis]:
    """Where a view keeps all axes but one, -1 is that one."""
    rest = next(at for at, size in enumerate(sizes) if _is_rest(size))
    left = [axis for axis in own.front if axis not in axes]
    if len(left) == 1 and len(axes) == len(own.front):
        axes[rest] = left[0]
    return axes


def _samples_first(axes: list[Axis], sizes: list[Value]) -> list[Axis]:
    """`x.view(x.size(0), -1)` and `x.view(-1, 784)` make rows of samples."""
    if len(axes) != 2 or axes[0].kind is not None:
        return axes
    keeps_first = isinstance(sizes[0], Size) and _is_rest(sizes[1])
    if keeps_first or (_is_rest(sizes[0]) and axes[1].size not in (None, 1)):
        return [replace(axes[0], kind="batch", sure=False), axes[1]]
    return axes


@op("flatten", "input start_dim end_dim")
def _flatten(call: Call) -> Value:
    start, end = call.const("start_dim", 0), call.const("end_dim", -1)
    shape = call.tensor.shape
    if start == 1 and end == -1:
        first = shape.grown(0).axis(0) or Axis()
        first = first if first.kind else replace(first, kind="batch", sure=False)
        return call.with_shape(closed((first, Axis("feature"))))
    if start == 0 and end == -1:
        return call.with_shape(closed((Axis(),)))
    if start == 0 and type(end) is int and end > 0 and shape.open:
        return call.with_shape(Shape((Axis(),), shape.back, True))
    if type(start) is not int or type(end) is not int or shape.rank is None:
        kept = shape.front[:start] if type(start) is int and start > 0 else ()
        if end == -1 and type(start) is int and start > 0:
            grown = shape.grown(start - 1)
            if len(grown.front) >= start:
                return call.with_shape(closed((*grown.front[:start], Axis())))
        return call.with_shape(Shape(kept, (Axis(),) if end == -1 else (), True))
    start, end = start % shape.rank, end % shape.rank
    return call.with_shape(closed((*shape.front[:start], Axis(), *shape.front[end + 1 :])))


@op("view_as reshape_as", "input other")
def _view_as(call: Call) -> Value:
    other = as_tensor(call.value("other"))
    return call.with_shape(other.shape if other is not None else Shape())


@op("unflatten", "input dim sizes")
def _unflatten(call: Call) -> Value:
    dim, sizes = call.dim(), _ints(replace(call, rest=(call.rest[0], *call.rest[2:])), "sizes")
    if not isinstance(dim, int):
        return call.with_shape(Shape())
    shape = call.tensor.shape.with_axis(dim, call.tensor.shape.grown(dim).axis(dim) or Axis())
    whole = shape.axis(dim)
    if whole is None or not sizes:
        return call.with_shape(call.tensor.shape.blurred(dim))
    parts = tuple(replace(axis_of_size(size), part_of=whole) for size in sizes)
    return call.with_shape(shape.with_parts(whole, parts))


@op("unsqueeze", "input dim")
def _unsqueeze(call: Call) -> Value:
    dim = call.dim()
    return call.with_shape(call.tensor.shape.inserted(dim, Axis(size=1)) if isinstance(dim, int) else Shape())


@op("squeeze", "input dim")
def _squeeze(call: Call) -> Value:
    dim, shape, made = call.dim(), call.tensor.shape, call.tensor.made
    if isinstance(dim, int):
        axis = shape.grown(dim).axis(dim)
        if made is not None and made.dim == dim and axis is made.axis and made.is_distribution:
            # what is squeezed away has size 1, or this would do nothing
            made.uses.append(Use("squeezed", axis, call.place))
        # an axis whose size is another literal stays; one of unknown size is meant to be 1
        return call.with_shape(shape if axis and axis.size not in (None, 1) else shape.without(dim))
    if dim == "missing" and not shape.open and all(axis.size is not None for axis in shape.front):
        return call.with_shape(closed(axis for axis in shape.front if axis.size != 1))
    return call.with_shape(Shape())


@op("permute", "input dims")
def _permute(call: Call) -> Value:
    dims = _ints(call, "dims")
    if dims is None or not all(isinstance(one, Const) and type(one.value) is int for one in dims):
        return call.with_shape(Shape())
    return call.with_shape(call.tensor.shape.permuted([one.value for one in dims if isinstance(one, Const)]))


@op("transpose", "input dim0 dim1")
def _transpose(call: Call) -> Value:
    first = call.const("dim0", call.const("axis0"))
    second = call.const("dim1", call.const("axis1"))
    if type(first) is not int or type(second) is not int:
        return call.with_shape(Shape())
    shape = call.tensor.shape
    if shape.rank is not None and max(first, second) >= shape.rank:
        return call.with_shape(Shape())
    if (first >= 0) != (second >= 0) and shape.open:
        return call.with_shape(Shape())
    return call.with_shape(shape.swapped(first, second))


@op("t", "input")
def _t(call: Call) -> Value:
    return call.with_shape(call.tensor.shape.with_rank(2).swapped(0, 1))


@op("mT", "input")
def _matrix_transpose(call: Call) -> Value:
    return call.with_shape(call.tensor.shape.swapped(-2, -1))


@op("movedim", "input source destination")
def _movedim(call: Call) -> Value:
    source, destination, shape = call.const("source"), call.const("destination"), call.tensor.shape
    if type(source) is not int or type(destination) is not int:
        return call.with_shape(Shape() if shape.rank is None else closed(Axis() for _ in shape.front))
    axis = shape.grown(source).axis(source)
    if axis is None or (shape.open and (source < 0) != (destination < 0)):
        return call.with_shape(Shape())
    return call.with_shape(shape.without(source).inserted(destination, axis))


@op("expand broadcast_to expand_as", "input shape")
def _expand(call: Call) -> Value:
    sizes = _ints(call, "shape")
    if sizes is None or call.tensor.shape.rank != len(sizes):
        return call.with_shape(closed(Axis() for _ in sizes) if sizes and len(sizes) > 1 else Shape())
    kept = [
        old if old.size != 1 or _is_rest(size) else axis_of_size(size)
        for old, size in zip(call.tensor.shape.front, sizes, strict=True)
    ]
    return call.with_shape(closed(kept))


@op("repeat tile", "input sizes")
def _repeat(call: Call) -> Value:
    """An axis that is repeated once stays the same."""
    sizes = _ints(call, "sizes")
    if not sizes:
        return call.changed(Shape())
    shape = call.tensor.shape
    own = shape.front if not shape.open else shape.back
    missing = len(sizes) - len(own)
    if missing < 0 or any(isinstance(one, Seq) for one in sizes):
        return call.changed(closed(Axis() for _ in sizes))
    once = [isinstance(size, Const) and size.value == 1 for size in sizes[missing:]]
    kept = [old if same else Axis() for old, same in zip(own, once, strict=True)]
    return call.changed(closed((*(Axis() for _ in range(missing)), *kept)))


@op("index_add scatter_add scatter_reduce", "input dim index source reduce")
def _added_by_index(call: Call) -> Value:
    """Sums over the entries of the same index."""
    source = as_tensor(call.value("source") or call.value("src"))
    if call.op == "scatter_reduce" and call.const("reduce", "") != "sum":
        source = None
    return sum_of_groups(call, source, _unsized(call.tensor.shape))


@op("scatter_sum", "src index")
def _summed_by_index(call: Call) -> Value:
    """The functions of torch_scatter and torch_geometric, which sum where nothing else is asked for."""
    return sum_of_groups(call, call.tensor if call.const("reduce", "sum") in ("sum", "add") else None, Shape())


def sum_of_groups(call: Call, source: Tensor | None, shape: Shape) -> Tensor:
    if source is None or source.kind() != "exp":
        return call.changed(shape)
    return call.changed(shape, Made("sum", call.place, source, grouped=True))


@op("repeat_interleave roll flip index_select narrow index_fill scatter sort", "input dim")
def _along(call: Call) -> Value:
    if call.op == "sort":
        return Seq((call.changed(), call.changed()))
    made = chosen(call.tensor) if call.op in CHOOSE else None
    if call.op == "narrow" and made is None and isinstance(dim := call.dim(), int):
        made = cut(call.tensor.made, call.tensor.shape.grown(dim).axis(dim))
    return call.changed(_unsized(call.tensor.shape), made)


CHOOSE = ("index_select", "repeat_interleave", "narrow")


def chosen(tensor: Tensor) -> Made | None:
    """What entries are of which some were chosen by an index: choices, exponentials and sums stay what they are."""
    return tensor.made if tensor.kind() in ("argmax", "exp", "sum") else None


def _unsized(shape: Shape) -> Shape:
    """The axes may have other lengths now."""
    return shape.mapped(lambda axis: replace(axis, size=None) if axis.size is not None else axis)


@op("take_along_dim", "input indices dim")
def _take_along(call: Call) -> Value:
    return _gather(replace(call, values={**call.values, "index": call.value("indices") or Unknown()}))


@op("gather", "input dim index")
def _gather(call: Call) -> Value:
    index, dim = as_tensor(call.value("index")), call.dim()
    if index is not None and isinstance(dim, int) and (each := index.shape.axis(dim)) and each.size == 1:
        observe_picked(call, dim)
    return call.changed(_unsized(call.tensor.shape), chosen(call.tensor))


def observe_picked(call: Call, dim: int) -> None:
    """One entry of each row, where the columns were normalised."""
    made, shape = call.tensor.made, call.tensor.shape
    if made is None or not made.is_distribution or made.dim != 0 or shape.rank not in (None, 2):
        return
    axis = shape.axis(dim)
    if made.axis is None:
        # where there is an axis 1 to take from, axis 0 is another
        apart = dim == 1 and shape is made.shape
    else:
        apart = shape.dim_of(made.axis) == 0 and made.axis.size != 1 and (axis is not made.axis if axis else dim == 1)
    if apart:
        call.interpreter.see(Picked(call.written, call.place, made))


@op("select", "input dim index")
def _select(call: Call) -> Value:
    dim = call.dim()
    return taken(call.tensor, dim) if isinstance(dim, int) else Tensor()


def taken(tensor: Tensor, dim: int, number: int | None = None) -> Tensor:
    """One entry along an axis, at this place where it is known."""
    shape = tensor.shape.grown(dim)
    axis = shape.axis(dim)
    made = cut(tensor.made, axis)
    if tensor.pieces is not None and tensor.pieces.axis is axis and number is not None and number >= 0:
        made = tensor.pieces.between(number, number + 1)
    return tensor.but(shape=shape.without(dim), made=made, pair=None, pieces=None, origin=object())


def cut(made: Made | None, axis: Axis | None) -> Made | None:
    """What values are of which only some along an axis are left: those of its axis are a distribution no longer."""
    if made is not None and made.is_distribution and (axis is None or made.axis in (axis, None)):
        return Made("part", made.place, made.operand)
    return made


@op("chunk", "input chunks dim")
def _chunk(call: Call) -> Value:
    part = _part(call)
    count = call.const("chunks")
    return Seq((part,) * count) if type(count) is int and 0 < count <= 16 else Many(part)


@op("split tensor_split", "input split_size dim")
def _split(call: Call) -> Value:
    part, dim = _part(call), _dim_or_first(call)
    sizes = call.value("split_size")
    if not isinstance(sizes, Seq):
        return Many(part)
    if not isinstance(dim, int):
        return Seq((part,) * len(sizes.items))
    return Seq(tuple(_resized(part, dim, size) for size in sizes.items))


def _resized(part: Tensor, dim: int, size: Value) -> Tensor:
    axis = part.shape.grown(dim).axis(dim)
    if axis is None or not isinstance(size, Const) or type(size.value) is not int:
        return part
    return part.with_shape(part.shape.with_axis(dim, replace(axis, size=size.value)))


def _dim_or_first(call: Call) -> Dim:
    """The axis of an op that takes axis 0 where none is given."""
    dim = call.dim()
    return 0 if dim == "missing" else dim


def _part(call: Call) -> Tensor:
    """A piece of a tensor along an axis."""
    dim = _dim_or_first(call)
    if not isinstance(dim, int):
        return Tensor()
    shape = call.tensor.shape
    axis = shape.grown(dim).axis(dim)
    made = call.tensor.made
    if made is not None and made.is_distribution and (axis is None or axis is made.axis):
        made = None
    return Tensor(shape.with_axis(dim, replace(axis, size=None)) if axis else shape.blurred(dim), made)


@op("unbind", "input dim")
def _unbind(call: Call) -> Value:
    dim = _dim_or_first(call)
    return Many(taken(call.tensor, dim) if isinstance(dim, int) else Tensor())


@op("cat", "tensors dim", whole=True)
def _cat(call: Call) -> Value:
    parts, dim = call.value("tensors"), _dim_or_first(call)
    items = _items(parts)
    tensor = as_tensor(items[0]) if items else None
    if tensor is None or not isinstance(dim, int):
        return Tensor()
    axis = tensor.shape.grown(dim).axis(dim)
    made = tensor.made if _all_made_alike(items, axis) else None
    lengths = _lengths(parts, dim)
    total = sum(one for one in lengths if one is not None) if lengths and None not in lengths else None
    whole = replace(axis, size=total) if axis else Axis(size=total)
    pieces = _pieces(whole, parts, lengths) if made is None else None
    return Tensor(_common(items).with_axis(dim, whole), made, pieces=pieces)


def _common(items: tuple[Value, ...]) -> Shape:
    """The axes of tensors that are put side by side: each but the joined one is that of any of them that says more."""
    shapes = [one.shape for one in items if isinstance(one, Tensor)]
    first = as_tensor(items[0])
    assert first is not None
    shape = first.shape
    for other in shapes:
        if shape.rank is None or other.rank != shape.rank:
            continue
        axes = zip(shape.front, other.front, strict=True)
        shape = closed(new if old.kind is None and old.size is None and new.kind else old for old, new in axes)
    return shape


def _lengths(parts: Value | None, dim: int) -> list[int | None]:
    """How long each tensor of a list is along an axis."""
    if not isinstance(parts, Seq) or not parts.exact:
        return []
    axes = [one.shape.grown(dim).axis(dim) if isinstance(one, Tensor) else None for one in parts.items]
    return [axis.size if axis else None for axis in axes]


def _pieces(whole: Axis, parts: Value | None, lengths: list[int | None]) -> Pieces | None:
    """What each piece of a `cat` is, where something is known of one."""
    if not isinstance(parts, Seq) or not parts.exact:
        return None
    made = [one.made if isinstance(one, Tensor) else None for one in parts.items]
    return Pieces(whole, tuple(zip(lengths, made, strict=True))) if any(made) else None


def _items(parts: Value | None) -> tuple[Value, ...]:
    """The tensors of a sequence; one that stands for all where they are not known one by one."""
    return parts.items if isinstance(parts, Seq) else (parts.item,) if isinstance(parts, Many) else ()


def _all_made_alike(items: tuple[Value, ...], axis: Axis | None) -> bool:
    """Whether distributions were put side by side, along another axis than their own."""
    made = [tensor.made if (tensor := as_tensor(one)) else None for one in items]
    kinds = {one.kind if one else None for one in made}
    return len(kinds) == 1 and axis is not None and all(one is not None and one.axis is not axis for one in made)


@op("stack", "tensors dim", whole=True)
def _stack(call: Call) -> Value:
    parts, dim = call.value("tensors"), _dim_or_first(call)
    items = _items(parts)
    tensor = as_tensor(items[0]) if items else None
    if tensor is None or not isinstance(dim, int):
        return Tensor()
    new = Axis(size=len(parts.items) if isinstance(parts, Seq) and parts.exact else None)
    return Tensor(tensor.shape.inserted(dim, new), tensor.made if _all_made_alike(items, new) else None)


PIECE = re.compile(r"\([^)]*\)|\S+")


def pieces(side: str) -> list[list[str]]:
    """One side of an einops pattern: for each axis the names in it."""
    return [piece.strip("()").split() for piece in PIECE.findall(side.replace("(", " (").replace(")", ") "))]


@op("rearrange einops_reduce einops_repeat", "input pattern", whole=True)
def _rearrange(call: Call) -> Value:
    pattern = call.const("pattern")
    tensor = as_tensor(call.value("input"))
    if not isinstance(pattern, str) or pattern.count("->") != 1 or tensor is None:
        return Tensor()
    left, right = (pieces(side) for side in pattern.split("->"))
    if any("..." in piece for piece in (*left, *right)):
        return Tensor()
    axes: dict[str, Axis] = {}
    for names, axis in zip(left, tensor.shape.with_rank(len(left)).front, strict=False):
        if len(names) == 1:
            axes[names[0]] = axis
    shape = closed(_axis_of_piece(names, axes) for names in right)
    return tensor.but(shape=shape) if call.op == "rearrange" else Tensor(shape)


def _axis_of_piece(names: list[str], axes: dict[str, Axis]) -> Axis:
    if not names or names == ["1"]:
        return Axis(size=1)
    return axes.setdefault(names[0], Axis(name=names[0])) if len(names) == 1 else Axis()
