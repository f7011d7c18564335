"""What is known of each tensor of a traced program: its axes, and whether it holds scores or probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.export.graph_signature import InputKind
from torch.fx import GraphModule, Node

from anymax._core.dims import resolve
from anymax.inspect.exported.axes import (
    Axes,
    Axis,
    Sizes,
    atoms,
    broadcast,
    moved,
    new,
    swapped,
    viewed,
    without,
)
from anymax.inspect.exported.trace import Call, Trace, call_of

# scores: straight from a linear map; weighted: probabilities times something, not summed yet; mask: booleans, also cast
Kind = Literal["scores", "probs", "log_probs", "sigmoid", "log_sigmoid", "one_hot", "weighted", "mask"]


@dataclass(frozen=True)
class What:
    """What the values are: made by `node`, and normalised over the axes `over`.

    `mixed`: they are a mean of such values, as an ensemble's are.
    """

    kind: Kind
    node: Node
    over: frozenset[Axis] = frozenset()
    mixed: bool = False


@dataclass(frozen=True)
class Pieces:
    """What a tensor was joined of along an axis: how many entries each piece has there, and what they are."""

    along: Axis
    sizes: tuple[int, ...]
    whats: tuple[What | None, ...]

    def part(self, start: int, end: int) -> Pieces:
        """What these entries were joined of."""
        sizes, whats, at = [], [], 0
        for size, what in zip(self.sizes, self.whats, strict=True):
            taken = min(at + size, end) - max(at, start)
            if taken > 0:
                sizes.append(taken)
                # of a part of a distribution nothing is left to say
                whats.append(None if what and taken < size and self.along.atoms() & what.over else what)
            at += size
        return Pieces(self.along, tuple(sizes), tuple(whats))

    def alike(self) -> What | None:
        """What all of them are, if they are the same."""
        kinds = {what.kind if what else None for what in self.whats}
        return self.whats[0] if len(kinds) == 1 else None


@dataclass(frozen=True)
class Known:
    """What is known of a tensor. `fixed`: it follows from parameters and constants, not from the input."""

    axes: Axes
    sizes: Sizes
    dtype: torch.dtype
    what: What | None = None
    fixed: bool = False
    pieces: Pieces | None = None

    @property
    def kind(self) -> Kind | None:
        return self.what.kind if self.what else None


@dataclass(frozen=True)
class Contraction:
    """Axes of a tensor that are summed against those of another one."""

    operand: Known
    axes: frozenset[Axis]


@dataclass(frozen=True)
class Step:
    """One op: its name, its arguments by name, the tensors among them, the nodes these come from, its result."""

    node: Node
    op: str
    arguments: dict[str, Any]
    operands: tuple[Known, ...]
    sources: tuple[Node, ...]
    result: Known | None
    contractions: tuple[Contraction, ...]

    @property
    def call(self) -> Call | None:
        """The call that it is a part of."""
        return call_of(self.node)

    @property
    def input(self) -> Known | None:
        """What is known of the first tensor."""
        return self.operands[0] if self.operands else None


def follow(traced: Trace) -> list[Step]:
    """Every op of the program in its order, with what is known before and after it."""
    program = traced.program
    inputs = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT}
    flow = _Flow(traced)
    for node in program.graph.nodes:
        if node.op == "placeholder" and isinstance(node.meta.get("val"), Tensor):
            is_input = node.name in inputs
            flow.known[node] = flow.fresh(node, "input" if is_input else "weight", fixed=not is_input)
    flow.walk(program.graph_module)
    return flow.steps


@dataclass
class _Flow:
    """Walks through a program, and through the parts that `no_grad` and autocast make of it."""

    traced: Trace
    known: dict[Node, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def fresh(self, node: Node, origin: Any = "other", *, fixed: bool = False) -> Known:
        """A tensor of which nothing is known but its shape."""
        value = node.meta["val"]
        what = What("mask", node) if value.dtype == torch.bool else None
        return Known(new(value.ndim, origin, node), self.traced.sizes(value.shape), value.dtype, what, fixed)

    def walk(self, module: torch.nn.Module) -> Any:
        assert isinstance(module, GraphModule)
        for node in module.graph.nodes:
            if node.op == "call_function":
                self.known[node] = self._called(module, node)
            elif node.op == "output":
                return self._outputs(node.args[0])
        return ()

    def _outputs(self, value: Any) -> Any:
        if isinstance(value, Node):
            return self.known.get(value)
        return tuple(self._outputs(entry) for entry in value) if isinstance(value, (list, tuple)) else None

    def _called(self, module: GraphModule, node: Node) -> Any:
        if not isinstance(node.target, torch._ops.OpOverload):
            return self._of_python(module, node)
        op = node.target._schema.name.partition("::")[2]
        arguments = _arguments(node)
        sources = tuple(self._tensors(list(arguments.values())))
        operands = tuple(self.known_of(source) for source in sources)
        contractions: list[Contraction] = []
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            result = self._several(op, node, arguments, operands, value)
            self.steps.append(Step(node, op, arguments, operands, sources, None, ()))
            return result
        base = op if op.startswith("__") else op.rstrip("_")
        fixed = bool(operands) and all(operand.fixed for operand in operands)
        result = replace(self.fresh(node), fixed=fixed)
        operation = _Operation(self, node, base, arguments, operands, result, contractions)
        axes = operation.axes()
        if len(axes) == len(result.axes):
            result = replace(result, axes=axes)
        operation = replace(operation, result=result)
        result = replace(result, what=result.what or _what(operation), pieces=operation.pieces())
        self.steps.append(Step(node, base, arguments, operands, sources, result, tuple(contractions)))
        if op != base and isinstance(arguments.get("self"), Node):
            self.known[arguments["self"]] = result
        return result

    def _of_python(self, module: GraphModule, node: Node) -> Any:
        """`getitem` of a tuple, arithmetic of sizes, and ops that hold a program of their own."""
        if getattr(node.target, "__name__", "") == "getitem":
            source, at = node.args
            several = self.known.get(source) if isinstance(source, Node) else None
            return several[at] if isinstance(several, tuple) and isinstance(at, int) and at < len(several) else None
        parts = [at for at, value in enumerate(node.args) if _submodule(module, value) is not None]
        if not parts:
            return None
        result: Any = None
        given = list(_flat(node.args[parts[-1] + 1 :]))
        for at in parts:
            inner = _submodule(module, node.args[at])
            assert inner is not None
            places = [place for place in inner.graph.nodes if place.op == "placeholder"]
            for place, value in zip(places, given, strict=False):
                known = self.known.get(value) if isinstance(value, Node) else None
                if known is None and isinstance(place.meta.get("val"), Tensor):
                    known = self.fresh(place)
                self.known[place] = known
            result = self.walk(inner)
        # of several branches it is not known which one runs
        return result if len(parts) == 1 else None

    def _tensors(self, value: Any) -> Iterator[Node]:
        if isinstance(value, Node):
            if isinstance(value.meta.get("val"), Tensor):
                yield value
        elif isinstance(value, (list, tuple)):
            for entry in value:
                yield from self._tensors(entry)

    def known_of(self, node: Node) -> Known:
        known = self.known.get(node)
        if not isinstance(known, Known):
            known = self.known[node] = self.fresh(node)
        return known

    def _several(self, op: str, node: Node, arguments: dict[str, Any], operands: Sequence[Known], values: Any) -> Any:
        """The results of ops that return several tensors."""
        if not isinstance(values, (list, tuple)):
            return None
        source = operands[0] if operands else None
        results = []
        for value in values:
            if not isinstance(value, Tensor):
                results.append(None)
                continue
            known = Known(new(value.ndim, "other", node), self.traced.sizes(value.shape), value.dtype)
            if source is not None:
                known = replace(known, fixed=all(operand.fixed for operand in operands))
                dim = arguments.get("dim", 0)
                if op in _IN_PIECES and value.ndim == len(source.axes):
                    known = replace(known, axes=source.axes, what=source.what)
                    if source.pieces and isinstance(dim, int) and source.axes[dim] is source.pieces.along:
                        start = sum(int(one.sizes[dim]) for one in results)
                        pieces = source.pieces.part(start, start + int(known.sizes[dim]))
                        known = replace(known, what=pieces.alike(), pieces=pieces)
                elif op == "unbind" and value.ndim == len(source.axes) - 1:
                    known = replace(known, axes=without(source.axes, [dim], keep=False), what=source.what)
                elif op in ("max", "min", "topk", "sort") and isinstance(dim, int):
                    axes = without(source.axes, [dim], keep=value.ndim == len(source.axes))
                    known = replace(known, axes=axes if len(axes) == value.ndim else known.axes)
                elif op in ("lstm", "gru", "rnn_tanh", "rnn_relu") and value.ndim == len(source.axes) and not results:
                    known = replace(known, axes=(*source.axes[:-1], Axis("weight", node)))
            results.append(known)
        return tuple(results)


_IN_PIECES = frozenset({"split", "split_with_sizes", "chunk", "tensor_split", "unsafe_chunk", "unsafe_split"})


def _arguments(node: Node) -> dict[str, Any]:
    """The arguments of an op by their names in its schema, with defaults."""
    schema = node.target._schema  # type: ignore[union-attr]
    result = {}
    for at, argument in enumerate(schema.arguments):
        if at < len(node.args):
            result[argument.name] = node.args[at]
        else:
            result[argument.name] = node.kwargs.get(argument.name, argument.default_value)
    return result


def _submodule(module: GraphModule, value: Any) -> GraphModule | None:
    if not isinstance(value, Node) or value.op != "get_attr":
        return None
    try:
        inner = module.get_submodule(str(value.target))
    except AttributeError:
        return None
    return inner if isinstance(inner, GraphModule) else None


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


@dataclass
class _Operation:
    """One op while its result is worked out."""

    flow: _Flow
    node: Node
    op: str
    arguments: dict[str, Any]
    operands: tuple[Known, ...]
    result: Known
    contractions: list[Contraction]
    renamed: dict[Axis, Axis] = field(default_factory=dict)

    def axes(self) -> Axes:
        """The axes of the result; new ones where the op is not known."""
        if not self.operands:
            return self.result.axes
        if self.op in _MOVES:
            return _MOVES[self.op](self)
        if self.op in _SAME:
            return self.operands[0].axes
        if "pool" in self.op or self.op.startswith(("upsample", "pad", "grid_sampler", "reflection", "replication")):
            return self._of_space()
        if torch.Tag.pointwise in self.node.target.tags:  # type: ignore[union-attr]
            # what is normalised keeps its axes, whatever it is combined with; and a weight is no activation
            first = sorted(self.operands, key=lambda one: (one.kind in (None, "mask"), one.fixed))
            return broadcast([(one.axes, one.sizes) for one in first], len(self.result.axes))
        if isinstance(self.arguments.get("dim"), (int, list, tuple)) and "keepdim" in self.arguments:
            return without(self.source.axes, self.dims(), keep=bool(self.arguments["keepdim"]))
        return self.result.axes

    @property
    def source(self) -> Known:
        return self.operands[0]

    def dims(self) -> tuple[int, ...]:
        dim = self.arguments.get("dim")
        if dim is None or dim == []:
            return tuple(range(len(self.source.axes)))
        return tuple(dim) if isinstance(dim, (list, tuple)) else (dim,)

    def known(self, name: str) -> Known | None:
        value = self.arguments.get(name)
        return self.flow.known_of(value) if isinstance(value, Node) else None

    def _of_space(self) -> Axes:
        """Pooling, resampling and padding keep batch and channels, and positions stay positions."""
        source, count = self.source, len(self.result.axes)
        if count != len(source.axes):
            return self.result.axes
        return tuple(
            axis if axis.origin != "space" or source.sizes[at] == self.result.sizes[at] else Axis("space", self.node)
            for at, axis in enumerate(source.axes)
        )

    def viewed(self) -> Axes:
        return viewed(self.source.axes, self.source.sizes, self.result.sizes, self.flow.traced.size)

    def convolved(self) -> Axes:
        space = new(len(self.result.axes) - 2, "space", self.node)
        return (self.source.axes[0], Axis("weight", self.node), *space)

    def product(self, tensors: Sequence[Known], letters: Sequence[Sequence[Any]], output: Sequence[Any]) -> Axes:
        """An einsum: letters that the output lacks are summed; what only one activation brings is an outer axis."""
        operands = list(zip(tensors, letters, strict=True))
        counts = {letter: sum(letter in own for _, own in operands) for own in letters for letter in own}
        summed = {letter for letter, count in counts.items() if count > 1 and letter not in output}
        for operand, own in operands:
            axes = atoms(axis for axis, letter in zip(operand.axes, own, strict=True) if letter in summed)
            self.contractions.append(Contraction(operand, axes))
        activations = sum(not operand.fixed for operand, _ in operands)
        result = []
        for at, letter in enumerate(output):
            having = [(operand, own.index(letter)) for operand, own in operands if letter in own]
            wide = [(operand, place) for operand, place in having if operand.sizes[place] != 1] or having
            if not wide:
                result.append(self.result.axes[at])
                continue
            operand, place = min(wide, key=lambda pair: pair[0].fixed)
            if operand.fixed:
                result.append(Axis("weight", self.node))
            # features of a product are features still: what becomes rows and columns are positions
            elif counts[letter] == 1 and summed and activations > 1 and operand.axes[place].origin != "weight":
                outer = Axis("product", self.node)
                self.renamed.update(dict.fromkeys(operand.axes[place].atoms(), outer))
                result.append(outer)
            else:
                result.append(operand.axes[place])
        return tuple(result)

    def matmul(self) -> Axes:
        return self._matmul(*self.operands[:2])

    def added_matmul(self) -> Axes:
        return self._matmul(*self.operands[1:3])

    def _matmul(self, one: Known, other: Known) -> Axes:
        first, second = len(one.axes), len(other.axes)
        batch = max(first, second) - 2
        letters_one = [*range(batch - max(first - 2, 0), batch), "row", "inner"][-first:] if first > 1 else ["inner"]
        letters_other = [*range(batch - max(second - 2, 0), batch), "inner", "column"] if second > 1 else ["inner"]
        output = [*range(max(batch, 0)), *(["row"] if first > 1 else []), *(["column"] if second > 1 else [])]
        return self.product((one, other), [letters_one, letters_other], output)

    def linear(self) -> Axes:
        weight = self.known("weight")
        if weight is None or weight.fixed:
            return (*self.source.axes[:-1], Axis("weight", self.node))
        rows = list(range(len(self.source.axes) - 1))
        return self.product(self.operands[:2], [[*rows, "inner"], ["column", "inner"]], [*rows, "column"])

    def einsum(self) -> Axes:
        equation = str(self.arguments["equation"]).replace(" ", "")
        inputs, arrow, output = equation.partition("->")
        terms = inputs.split(",")
        if "." in equation or not arrow or len(terms) != len(self.operands):
            terms, output = _without_dots(terms, output if arrow else None, [len(one.axes) for one in self.operands])
        return self.product(self.operands, [list(term) for term in terms], list(output))

    def attention(self) -> Axes:
        value = self.known("value")
        last = value.axes[-1] if value is not None else Axis("other")
        return (*self.source.axes[:-1], last)

    def expanded(self) -> Axes:
        lead = len(self.result.axes) - len(self.source.axes)
        kept = [
            axis if self.source.sizes[at] == self.result.sizes[lead + at] else Axis("other")
            for at, axis in enumerate(self.source.axes)
        ]
        return (*new(max(lead, 0)), *kept)

    def same_where_size_is(self) -> Axes:
        """Repeating and padding: an axis of another size is another axis."""
        return self.expanded() if len(self.result.axes) >= len(self.source.axes) else self.result.axes

    def unsqueezed(self) -> Axes:
        axes = list(self.source.axes)
        dim = self.arguments["dim"]
        axes.insert(dim if dim >= 0 else dim + len(axes) + 1, Axis("unsqueezed", self.node))
        return tuple(axes)

    def squeezed(self) -> Axes:
        sizes = self.source.sizes
        gone = [dim for dim in self.dims() if sizes and sizes[dim] == 1]
        return without(self.source.axes, gone, keep=False)

    def joined(self) -> Axes:
        dim = self.arguments.get("dim", 0) % max(len(self.result.axes), 1)
        first = min(self.operands, key=lambda one: one.fixed)
        if len(first.axes) != len(self.result.axes):
            return self.result.axes
        return tuple(
            Axis("other") if at == dim and axis.origin == "product" else axis for at, axis in enumerate(first.axes)
        )

    def pieces(self) -> Pieces | None:
        """What the result is joined of, by this op or by one before it."""
        source = self.source if self.operands else None
        if self.op in ("cat", "concat"):
            return self._joined_pieces()
        if source is None or source.pieces is None or self.op not in _MOVES.keys() | _SAME_VALUES:
            return None
        if source.pieces.along in self.result.axes and self.op not in _JOINS:
            return self.cut() or source.pieces
        return None

    def _joined_pieces(self) -> Pieces | None:
        dim = self.arguments.get("dim", 0) % max(len(self.result.axes), 1)
        if any(len(one.axes) != len(self.result.axes) or not one.sizes[dim].is_Integer for one in self.operands):
            return None
        whats = tuple(self._in_result(one) for one in self.operands)
        return Pieces(self.result.axes[dim], tuple(int(one.sizes[dim]) for one in self.operands), whats)

    def _in_result(self, piece: Known, dim: int | None = None) -> What | None:
        """What a piece is, with the axes that the result has; `dim` is the one that only the result has."""
        if piece.what is None:
            return None
        places = [at for at, axis in enumerate(piece.axes) if axis.atoms() & piece.what.over]
        if dim is not None:
            places = [at + (at >= dim) for at in places]
        return replace(piece.what, over=atoms(self.result.axes[at] for at in places))

    def cut(self) -> Pieces | None:
        """The pieces of what a slice takes of the axis that joins them."""
        pieces, dim = self.source.pieces, self.arguments.get("dim", 0)
        if pieces is None or self.op not in _CUTS or not isinstance(dim, int):
            return None
        if self.source.axes[dim] is not pieces.along:
            return None
        length = sum(pieces.sizes)
        if self.op == "select":
            start, step = self.arguments["index"], 1
            end = start + 1 if start != -1 else length
        else:
            start, end = self.arguments["start"] or 0, self.arguments.get("end")
            step = self.arguments.get("step", 1)
            if self.op == "narrow":
                end = start + self.arguments["length"]
            end = length if end is None else end
        if step != 1 or not isinstance(start, int) or not isinstance(end, int):
            return None
        return pieces.part(*slice(start, end).indices(length)[:2])

    def whole(self) -> What | None:
        """What joined pieces are together, if all are the same and compete along the same axes."""
        dim = self.arguments.get("dim", 0) % max(len(self.result.axes), 1)
        stacks = self.op == "stack"
        if any(len(one.axes) + stacks != len(self.result.axes) for one in self.operands):
            return None
        found = [self._in_result(one, dim if stacks else None) for one in self.operands]
        kinds = {(what.kind, what.over, what.mixed) if what else None for what in found}
        what = found[0]
        # along the axis that joins them, distributions no longer sum to 1
        if len(kinds) > 1 or what is None or (not stacks and self.result.axes[dim].atoms() & what.over):
            return None
        return what if what.kind not in ("one_hot", "weighted") else None

    def stacked(self) -> Axes:
        dim = self.arguments.get("dim", 0) % max(len(self.result.axes), 1)
        axes = list(self.source.axes)
        axes.insert(dim, Axis("other"))
        return tuple(axes)

    def embedded(self) -> Axes:
        indices = self.known("indices")
        return (*(indices.axes if indices else ()), Axis("weight", self.node))


def _without_dots(terms: list[str], output: str | None, ranks: list[int]) -> tuple[list[str], str]:
    """An equation in which "..." is written as letters, and the output that is meant where none is given."""
    used = set("".join(terms)) | set(output or "")
    free = iter(chr(code) for code in range(ord("A"), 0x250) if chr(code).isalpha() and chr(code) not in used)
    most = max((rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=True) if "..." in term), default=0)
    dots = "".join(next(free) for _ in range(most))
    if output is None:
        counts = "".join(terms)
        output = "..." * any("..." in term for term in terms)
        output += "".join(sorted(letter for letter in used - {"."} if counts.count(letter) == 1))
    spelled = [
        term.replace("...", dots[most - (rank - len(term) + 3) :] if "..." in term else "")
        for term, rank in zip(terms, ranks, strict=True)
    ]
    return spelled, output.replace("...", dots)


_MOVES: dict[str, Callable[[_Operation], Axes]] = {
    "transpose": lambda it: swapped(it.source.axes, it.arguments["dim0"], it.arguments["dim1"]),
    "swapaxes": lambda it: swapped(it.source.axes, it.arguments["axis0"], it.arguments["axis1"]),
    "swapdims": lambda it: swapped(it.source.axes, it.arguments["dim0"], it.arguments["dim1"]),
    "t": lambda it: it.source.axes[::-1],
    "numpy_T": lambda it: it.source.axes[::-1],
    "mT": lambda it: swapped(it.source.axes, -1, -2),
    "adjoint": lambda it: swapped(it.source.axes, -1, -2),
    "permute": lambda it: tuple(it.source.axes[dim] for dim in it.arguments["dims"]),
    "movedim": lambda it: moved(it.source.axes, _listed(it, "source"), _listed(it, "destination")),
    "moveaxis": lambda it: moved(it.source.axes, _listed(it, "source"), _listed(it, "destination")),
    "unsqueeze": _Operation.unsqueezed,
    "squeeze": _Operation.squeezed,
    "select": lambda it: without(it.source.axes, [it.arguments["dim"]], keep=False),
    "expand": _Operation.expanded,
    "expand_as": _Operation.expanded,
    "repeat": _Operation.same_where_size_is,
    "repeat_interleave": _Operation.same_where_size_is,
    "linear": _Operation.linear,
    "matmul": _Operation.matmul,
    "mm": _Operation.matmul,
    "bmm": _Operation.matmul,
    "mv": _Operation.matmul,
    "dot": _Operation.matmul,
    "addmm": _Operation.added_matmul,
    "baddbmm": _Operation.added_matmul,
    "einsum": _Operation.einsum,
    "scaled_dot_product_attention": _Operation.attention,
    "cat": _Operation.joined,
    "concat": _Operation.joined,
    "stack": _Operation.stacked,
    "embedding": _Operation.embedded,
    **dict.fromkeys(
        ["view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as"],
        _Operation.viewed,
    ),
    **dict.fromkeys(
        ["conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"],
        _Operation.convolved,
    ),
}


def _listed(operation: _Operation, name: str) -> Sequence[int]:
    value = operation.arguments[name]
    return value if isinstance(value, (list, tuple)) else [value]


# ops whose result has the axes of their first tensor
_SAME = frozenset({
    "softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax", "softmin", "to", "_to_copy", "clone",
    "contiguous", "detach", "alias", "lift_fresh", "dropout", "native_dropout", "alpha_dropout", "feature_dropout",
    "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "cumsum", "cumprod", "logcumsumexp",
    "flip", "roll", "slice", "narrow", "masked_fill", "masked_scatter", "type_as", "triu", "tril", "scatter",
    "scatter_add", "index_fill", "nan_to_num", "renorm", "celu", "prelu", "rrelu", "leaky_relu",
})  # fmt: skip

_JOINS = frozenset({"cat", "concat", "stack"})
_CUTS = frozenset({"slice", "narrow", "select"})
_SAME_VALUES = frozenset({"to", "_to_copy", "clone", "contiguous", "detach", "alias", "slice", "narrow", "dropout"})

# ops through which values stay what they are
_KEEPS = frozenset({
    "transpose", "swapaxes", "swapdims", "t", "numpy_T", "mT", "adjoint", "permute", "movedim", "moveaxis",
    "expand", "expand_as", "repeat", "repeat_interleave", "view", "reshape", "_unsafe_view", "flatten", "unflatten",
    "view_as", "reshape_as", "unsqueeze", "squeeze", "to", "_to_copy", "clone", "contiguous", "detach", "alias",
    "lift_fresh", "dropout", "slice", "narrow", "masked_fill", "type_as", "select", "index", "gather",
    "take_along_dim", "index_select", "flip", "roll", "triu", "tril", "where", "masked_select", "nan_to_num",
})  # fmt: skip


def _what(it: _Operation) -> What | None:
    """What the values of the result are."""
    if not it.operands:
        return None
    op, node, source = it.op, it.node, it.source
    call = call_of(node)
    # it has no op of its own
    if call and call.function == "one_hot" and it.result.axes:
        return What("one_hot", node, it.result.axes[-1].atoms())
    made = _MAKES.get(op)
    if made is not None:
        dim = it.arguments.get("dim")
        if not isinstance(dim, int) or not source.axes:
            return What(made, node, frozenset())
        # torch.export lets a dim pass that no tensor has, and the call would raise
        (axis,) = resolve(dim, len(source.axes)).axes
        return What(made, node, source.axes[axis].atoms())
    if op in _LINEAR:
        linked = any(one.kind not in (None, "scores", "mask") for one in it.operands)
        return _mixture(it) if linked else What("scores", node)
    if op == "log":
        kind = {"probs": "log_probs", "sigmoid": "log_sigmoid"}.get(source.kind or "")
        return What(kind, node, source.what.over) if kind and source.what else None  # type: ignore[arg-type]
    if op in _JOINS:
        return it.whole()
    cut = it.cut()
    if cut is not None:
        return cut.alike()
    if op == "exp" and source.what and source.kind == "log_probs":
        return What("probs", node, source.what.over)
    if op in _KEEPS:
        main = next((one for one in it.operands if one.kind not in (None, "mask")), source)
        return main.what
    if op == "mean" and source.kind == "probs" and source.what:
        # a mean over other axes, such as heads or members of an ensemble, still sums to 1
        return replace(source.what, mixed=True) if source.what.over <= atoms(it.result.axes) else None
    if op in ("bitwise_not", "logical_not", "bitwise_and", "logical_and", "__and__", "__or__", "rsub", "sub") and all(
        one.kind == "mask" for one in it.operands
    ):
        return What("mask", node)
    return _of_arithmetic(it) if op in _ARITHMETIC else None


def _mixture(it: _Operation) -> What | None:
    """Probabilities or one-hot rows, summed with weights that sum to 1, are probabilities again."""
    weights = [one.operand for one in it.contractions if _sums_to_one(one)]
    rows = [one for one in it.operands if one.kind in ("probs", "one_hot") and one not in weights]
    if len(weights) != 1 or len(it.operands) != 2 or len(rows) != 1:
        return None
    made, what = weights[0].what, rows[0].what
    assert made is not None
    assert what is not None
    over = frozenset(it.renamed.get(axis, axis) for axis in what.over)
    return What("probs", made.node, over, mixed=True) if over <= atoms(it.result.axes) else None


def _sums_to_one(contraction: Contraction) -> bool:
    what = contraction.operand.what
    return what is not None and what.kind == "probs" and bool(what.over) and what.over == contraction.axes


_MAKES: dict[str, Kind] = {
    "softmax": "probs",
    "_softmax": "probs",
    "_safe_softmax": "probs",
    "log_softmax": "log_probs",
    "_log_softmax": "log_probs",
    "sigmoid": "sigmoid",
    "log_sigmoid": "log_sigmoid",
}
_LINEAR = frozenset({"linear", "addmm", "conv1d", "conv2d", "conv3d", "convolution", "matmul", "mm", "bmm", "einsum"})
# what is shifted or spread more than this is meant to be scores again
_MOST_OF_AN_EPSILON, _MOST_OF_A_SCALE = 1e-2, 5.0
_ARITHMETIC = frozenset({"add", "sub", "mul", "div", "rsub", "clamp", "clamp_min", "clamp_max"})


def _of_arithmetic(it: _Operation) -> What | None:
    """Sums and products: with numbers and masks values stay what they are, as far as the rules mind."""
    source = it.source
    what = source.what
    # a bias makes scores of scores
    bias = it.op in ("add", "sub") and source.kind == "scores"
    others = [one for one in it.operands[1:] if one.kind != "mask" and not (bias and one.fixed)]
    if source.kind == "mask" and len(it.operands) == 2:
        what, others = it.operands[1].what, []
    if what is None:
        return None
    if others:
        both = {one.kind for one in it.operands}
        if it.op == "mul" and "probs" in both:
            probs = next(one for one in it.operands if one.kind == "probs")
            return What("weighted", it.node, probs.what.over) if probs.what else None
        return what if it.op in ("add", "sub") and both == {"scores"} else None
    if it.op == "rsub":
        return what if what.kind == "sigmoid" else None
    if it.op.startswith("clamp"):
        return what if what.kind != "scores" else None
    number = it.arguments.get("other")
    return what if not isinstance(number, (int, float)) or _stays(what.kind, it.op, number) else None


def _stays(kind: Kind, op: str, number: float) -> bool:
    """Whether values are still of this kind with a number added to them, or multiplied."""
    if kind.startswith("log"):
        return False
    if op in ("add", "sub"):
        return kind == "scores" or abs(number) <= _MOST_OF_AN_EPSILON
    factor = number if op == "mul" or not number else 1 / number
    return factor > 0 and (kind == "scores" or factor <= _MOST_OF_A_SCALE)
