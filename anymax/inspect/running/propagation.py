"""How origins travel through torch's functions: views, casts, entrywise functions, layers, products.

A carrier is called after torch's function has run, with the arguments and the result, and writes down the result's
origin. A function without a carrier gives tensors of unknown origin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymax.inspect.running.provenance import Axes, Axis, Competition, Origin, Origins, Pieces

Carrier = Callable[[Origins, tuple[Any, ...], dict[str, Any], Any], None]
CARRIERS: dict[Any, Carrier] = {}


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str, default: Any = None) -> Any:
    """An argument, wherever it was given."""
    return args[position] if len(args) > position else kwargs.get(name, default)


def _carries(*names: str) -> Callable[[Carrier], Carrier]:
    """Register a carrier for torch's functions and methods of these names."""

    def register(carrier: Carrier) -> Carrier:
        for name in names:
            for home in (torch, torch.Tensor, F, torch.special):
                function = getattr(home, name, None)
                if function is not None:
                    CARRIERS[function] = carrier
        return carrier

    return register


def before(origins: Origins, tensor: Any, result: Any) -> Origin | None:
    """The origin that a tensor had before a function that may have written to it."""
    return origins.get(tensor, int(tensor is result))


def joined(origins: Iterable[Origin | None]) -> tuple[Competition, ...]:
    """Every competition that one of these went through."""
    found: tuple[Competition, ...] = ()
    for origin in origins:
        if origin is not None and origin.mixed:
            found += tuple(competition for competition in origin.mixed if competition not in found)
    return found


# the same entries in the same places


@_carries(
    *("detach", "clone", "contiguous", "to", "type", "float", "double", "half", "bfloat16", "cpu", "cuda", "alias"),
    *("requires_grad_", "type_as", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "detach_"),
    *("feature_dropout", "clamp_min", "nan_to_num", "pin_memory", "dropout_", "threshold"),
)
def _same(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    origin = before(origins, argument(args, kwargs, 0, "input"), result)
    if origin is not None:
        origins.put(result, origin)


@_carries("clamp", "clip", "clamp_max")
def _clamped(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Scores have a largest one from there on."""
    _same(origins, args, kwargs, result)
    origin = origins.get(result)
    if origin is not None and origin.kind in SCALABLE:
        origins.put(result, replace(origin, is_shifted=True))


# the same axes, other entries


@_carries(
    *("relu6", "selu", "celu", "mish", "hardtanh", "hardswish"),
    *(
        "softplus",
        "tanh",
        "tanh_",
        "rsqrt",
        "layer_norm",
        "rms_norm",
    ),
    *("group_norm", "instance_norm", "batch_norm", "cumsum", "flip", "roll", "erf", "sin", "cos", "round"),
)
def _entrywise(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    origin = before(origins, argument(args, kwargs, 0, "input"), result)
    if origin is not None:
        plain = origin.kind is None and origin.made_by is None and origin.pieces is None and origin.reach is None
        origins.put(result, origin if plain else Origin(origin.axes, None, None, None, origin.mixed))


# kinds that survive arithmetic: a product stays one when it is scaled or masked
SCALABLE = ("product", "scores", "raw")


@_carries(
    *("add", "mul", "multiply", "div", "divide", "true_divide"),
    *("__rdiv__", "__rtruediv__", "addcmul", "maximum", "minimum", "lerp"),
    *("__rmul__", "__radd__", "add_", "mul_", "div_"),
)
def _combined(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    operands = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    known = [(operand, before(origins, operand, result)) for operand in operands]
    if not isinstance(result, Tensor) or not any(origin for _, origin in known):
        return
    axes: list[Axis | None] = [None] * result.ndim
    for operand, origin in known:
        if origin is None or len(origin.axes) != operand.ndim:
            continue
        offset = result.ndim - operand.ndim
        for at, axis in enumerate(origin.axes):
            if axes[offset + at] is None and operand.shape[at] == result.shape[offset + at]:
                axes[offset + at] = axis
    kinds = {origin.kind for _, origin in known if origin is not None}
    alone = len(operands) == 1
    kept = "product" if "product" in kinds else ("scores" if alone and "scores" in kinds else None)
    if kept is None and not kinds.isdisjoint(SCALABLE):
        kept = "raw"
    mixed = joined(origin for _, origin in known)
    filled = known[0][1].filled if alone and known[0][1] is not None else None
    is_shifted = any(origin.is_shifted for _, origin in known if origin is not None)
    whole = Origin(tuple(axes), kept, mixed=mixed, filled=filled, is_shifted=is_shifted)
    one = known[0][1]
    if alone and one is not None:
        whole.peak = one.peak
    else:
        # by Cauchy and Schwarz, a product of two vectors of length 1 sums to 1 at most
        along = {
            origin.axes.index(origin.unit) - len(origin.axes) if origin and origin.unit else None for _, origin in known
        }
        whole.unit = axes[at] if len(known) == 2 and len(along) == 1 and (at := along.pop()) is not None else None
    origins.put(result, whole)


def scaled(origins: Origins, operand: Origin | None, factor: Any, result: Tensor) -> None:
    """What is known of the bounds behind a product with a number."""
    carried = origins.get(result)
    if operand is None or operand.reach is None or carried is None or not isinstance(factor, (int, float)):
        return
    low, high = (0.0 if end == 0 else end * factor for end in operand.reach)
    carried.reach = (min(low, high), max(low, high))


@_carries("sub", "subtract", "rsub", "__rsub__", "sub_")
def _subtracted(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """What was shifted by a tensor, such as its own maximum, is shifted from there on."""
    one, other = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "other")
    first, taken = before(origins, one, result), origins.get(other)
    _combined(origins, args, kwargs, result)
    origin = origins.get(result) if isinstance(other, Tensor) else None
    if origin is None:
        return
    origin.is_shifted = True
    if first is not None and taken is not None and taken.peak is not None:
        # the maximum of the same numbers: all axes over which it was taken are there
        origin.peak = taken.peak if all(axis in first.axes for axis in taken.peak) else None
        origin.reach = (first.reach[0] - first.reach[1], 0.0) if first.reach is not None else None


@_carries("square", "abs", "sqrt")
def _distance(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Of scores without a bound there is no bound, but 0; what was taken off before was no maximum of these."""
    origin = before(origins, argument(args, kwargs, 0, "input"), result)
    if origin is None or origin.kind not in SCALABLE:
        _entrywise(origins, args, kwargs, result)
    else:
        origins.put(result, Origin(origin.axes, "raw", mixed=origin.mixed, reach=(0.0, math.inf)))


@_carries("cdist", "pairwise_distance")
def _apart(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    known = [origins.get(argument(args, kwargs, at, name)) for at, name in enumerate(("x1", "x2"))]
    if any(origin is not None and origin.kind in SCALABLE for origin in known):
        whole = Origin((None,) * result.ndim, "raw", mixed=joined(known), reach=(0.0, math.inf))
        if (
            known[0] is not None
            and known[1] is not None
            and len(known[0].axes) == len(known[1].axes) == result.ndim > 1
        ):
            whole.axes = (*known[0].axes[:-1], known[1].axes[-2])
        origins.put(result, whole)


@_carries("pow")
def _power(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    exponent = argument(args, kwargs, 1, "exponent")
    is_even = isinstance(exponent, (int, float)) and exponent > 0 and exponent % 2 == 0
    (_distance if is_even else _combined)(origins, args, kwargs, result)


@_carries("normalize")
def _normalize(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    tensor = argument(args, kwargs, 0, "input")
    if isinstance(tensor, Tensor) and isinstance(result, Tensor):
        start, dim = origins.get_or_start(tensor), argument(args, kwargs, 2, "dim", 1)
        unit = start.axes[dim] if isinstance(dim, int) and argument(args, kwargs, 1, "p", 2.0) == 2 else None
        origins.put(result, Origin(start.axes, mixed=start.mixed, unit=unit, reach=(-1.0, 1.0)))


@_carries("cosine_similarity")
def _cosine(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    origins.put(result, Origin((None,) * result.ndim, "raw", reach=(-1.0, 1.0)))


@_carries("neg", "negative")
def _negated(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """The maximum is the minimum from there on."""
    origin = before(origins, argument(args, kwargs, 0, "input"), result)
    if origin is None or origin.kind not in SCALABLE:
        _entrywise(origins, args, kwargs, result)
    else:
        origins.put(result, Origin(origin.axes, "raw", mixed=origin.mixed, is_shifted=origin.is_shifted))
        scaled(origins, origin, -1.0, result)


@_carries("leaky_relu", "leaky_relu_", "relu", "relu_", "elu", "gelu", "silu", "prelu")
def _activated(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Large scores stay large."""
    origin = before(origins, argument(args, kwargs, 0, "input"), result)
    if origin is not None and origin.kind in SCALABLE:
        # what an activation makes of a number is no further from 0
        origins.put(
            result, Origin(origin.axes, "raw", mixed=origin.mixed, is_shifted=origin.is_shifted, reach=origin.reach)
        )
    else:
        _entrywise(origins, args, kwargs, result)


@_carries("masked_fill", "masked_fill_")
def _masked_fill(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    _fill(origins, args[0], argument(args, kwargs, 2, "value"), result)


@_carries("where")
def _where(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    if len(args) == 3 and isinstance(args[1], Tensor) and isinstance(args[2], (int, float)):
        _fill(origins, args[1], args[2], result)
    else:
        _combined(origins, args, kwargs, result)


def _fill(origins: Origins, tensor: Tensor, value: Any, result: Tensor) -> None:
    """Other entries stay what they are, so the kind does."""
    origin = before(origins, tensor, result) or Origin((None,) * tensor.ndim)
    number = float(value) if isinstance(value, (int, float)) else None
    if len(origin.axes) == result.ndim:
        kept = Origin(origin.axes, origin.kind, origin.made_by, origin.place, origin.mixed, number)
        # what is hidden counts for no sum
        kept.is_shifted, kept.reach = origin.is_shifted, origin.reach
        origins.put(result, kept)


def _shifted(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Where a small number is added, as before a log, probabilities stay what they are."""
    origin = before(origins, args[0], result) if args else None
    if origin is None or origin.kind in (None, *SCALABLE) or not _is_slight(args, kwargs):
        _combined(origins, args, kwargs, result)
    else:
        # a sum of exponentials is at least that
        is_sum = origin.kind == "sum of exp" and argument(args, kwargs, 1, "other") > 0
        origins.put(result, replace(origin, reach=(0.0, math.inf)) if is_sum else origin)


def _is_slight(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """True for `+ eps`."""
    other = argument(args, kwargs, 1, "other")
    return isinstance(other, float) and abs(other) <= 1e-3


for _name in ("add", "add_", "__radd__"):
    CARRIERS[getattr(torch.Tensor, _name)] = _shifted
CARRIERS[torch.add] = _shifted


# views that move axes


def _moved(origins: Origins, tensor: Any, result: Any, axes_of: Callable[[Origin], Axes]) -> None:
    origin = origins.get(tensor)
    if origin is not None and isinstance(result, Tensor):
        axes = axes_of(origin)
        origins.put(result, origin.moved(axes if len(axes) == result.ndim else (None,) * result.ndim))


@_carries("transpose", "swapaxes", "swapdims", "transpose_")
def _transpose(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    tensor = argument(args, kwargs, 0, "input")
    one = argument(args, kwargs, 1, "dim0", kwargs.get("axis0"))
    two = argument(args, kwargs, 2, "dim1", kwargs.get("axis1"))

    def swapped(origin: Origin) -> Axes:
        axes = list(origin.axes)
        if axes:
            axes[one], axes[two] = axes[two], axes[one]
        return tuple(axes)

    _moved(origins, tensor, result, swapped)


def _reversed(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    _moved(origins, args[0], result, lambda origin: origin.axes[::-1])


def _last_two(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    _moved(origins, args[0], result, lambda origin: (*origin.axes[:-2], *origin.axes[-2:][::-1]))


for _property, _carrier in (("T", _reversed), ("H", _reversed), ("mT", _last_two), ("mH", _last_two), ("data", _same)):
    CARRIERS[getattr(torch.Tensor, _property).__get__] = _carrier
for _transposing in (torch.t, torch.Tensor.t):
    CARRIERS[_transposing] = _reversed


@_carries("permute")
def _permute(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    order = kwargs.get("dims", args[1:])
    if len(order) == 1 and not isinstance(order[0], int):
        order = order[0]
    _moved(origins, args[0], result, lambda origin: tuple([origin.axes[at] for at in order]))


@_carries("movedim", "moveaxis")
def _movedim(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    origin = origins.get(args[0])
    if origin is None or len(args) != 3:
        return
    # torch itself says which axis went where: axes are told apart by their size in a tensor of our own
    count = len(origin.axes)
    probe = torch.empty(tuple(range(2, 2 + count)), device="meta")
    order = [size - 2 for size in torch.movedim(probe, *args[1:]).shape]
    _moved(origins, args[0], result, lambda origin: tuple([origin.axes[at] for at in order]))


@_carries("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel", "view_as", "reshape_as")
def _reshape(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    tensor = argument(args, kwargs, 0, "input")
    _moved(origins, tensor, result, lambda origin: regrouped(origin.axes, tensor.shape, result.shape))


def regrouped(axes: Axes, old: Sequence[int], new: Sequence[int]) -> Axes:
    """Which axes are left after a reshape: those that were neither merged nor split.

    Axes of size 1 come and go without moving an entry, so they match nothing but an axis of size 1 at the same end.
    """
    if 0 in old:
        return (None,) * len(new)
    found: list[Axis | None] = [None] * len(new)
    before, after = 0, 0
    while before < len(old) and after < len(new):
        if old[before] == new[after]:
            found[after] = axes[before]
            before, after = before + 1, after + 1
        elif old[before] == 1:
            before += 1
        elif new[after] == 1:
            after += 1
        else:
            before, after = _end_of_group(old, new, before, after)
    return tuple(found)


def _end_of_group(old: Sequence[int], new: Sequence[int], before: int, after: int) -> tuple[int, int]:
    """Behind the axes from here on that hold the same entries before and after."""
    left, right = old[before], new[after]
    before, after = before + 1, after + 1
    while left != right:
        if left < right:
            left, before = left * old[before], before + 1
        else:
            right, after = right * new[after], after + 1
    return before, after


@_carries("expand", "expand_as", "broadcast_to", "repeat")
def _expand(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    tensor = args[0]

    def spread(origin: Origin) -> Axes:
        offset = result.ndim - tensor.ndim
        same = [axis if tensor.shape[at] == result.shape[offset + at] else None for at, axis in enumerate(origin.axes)]
        return (*(None,) * offset, *same)

    _moved(origins, tensor, result, spread)


# parts of a tensor


@_carries("__getitem__")
def _getitem(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    _moved(origins, args[0], result, lambda origin: _indexed(origin.axes, args[1]))
    origin = origins.get(args[0])
    if origin is not None and origin.pieces is not None and isinstance(result, Tensor):
        at = origin.axes.index(origin.pieces.along)
        bounds = _bounds(args[1], at, args[0].ndim, args[0].shape[at])
        if bounds is not None:
            _piece(origins, origin.pieces, *bounds, result)


def _bounds(index: Any, at: int, ndim: int, size: int) -> tuple[int, int] | None:
    """From where to where an index takes the axis `at`; None where that is not to be seen."""
    parts = [part for part in (index if isinstance(index, tuple) else (index,)) if part is not None]
    if any(not isinstance(part, (int, slice, type(Ellipsis))) or isinstance(part, bool) for part in parts):
        return None
    if Ellipsis in parts:
        dots = parts.index(Ellipsis)
        parts[dots : dots + 1] = [slice(None)] * (ndim - len(parts) + 1)
    part = parts[at] if at < len(parts) else slice(None)
    if isinstance(part, int):
        return part % size, part % size + 1
    start, end, step = part.indices(size)
    return (start, end) if step == 1 else None


def _piece(origins: Origins, pieces: Pieces, start: int, end: int, result: Tensor) -> None:
    """A part of a joined tensor is what the pieces are that it is taken from, if these are all of one kind."""
    carried = origins.get(result)
    if carried is None:
        return
    taken = pieces.part(start, end)
    kinds = {one.kind for one in taken.origins}
    first = taken.origins[0] if len(kinds) == 1 else Origin(carried.axes)
    left = taken if len(kinds) > 1 and pieces.along in carried.axes else None
    kept = Origin(carried.axes, first.kind, first.made_by, first.place, carried.mixed, pieces=left)
    kept.is_shifted = any(one.is_shifted for one in taken.origins)
    origins.put(result, kept)


def _indexed(axes: Axes, index: Any) -> Axes:
    """The axes behind `tensor[index]`; the empty tuple where an index is a tensor beside others."""
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    if any(isinstance(part, (Tensor, list, range)) for part in parts):
        # one list of rows along the first axis leaves the others as they are
        one_list = len(parts) == 1 and getattr(torch.as_tensor(parts[0]), "ndim", 0) == 1
        return (None, *axes[1:]) if one_list else ()
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    left, found = list(axes), []
    for part in parts:
        if part is None:
            found.append(None)
        elif part is Ellipsis:
            rest = len(axes) - taken
            found, left = [*found, *left[:rest]], left[rest:]
        elif isinstance(part, slice):
            # a part of an axis is still that axis: what competes in it did
            found.append(left.pop(0))
        elif isinstance(part, bool):
            return ()
        else:
            left.pop(0)
    return tuple(found)


@_carries("select", "select_copy")
def _select(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    dim = argument(args, kwargs, 1, "dim")
    _moved(origins, args[0], result, lambda origin: _without(origin.axes, (dim,)))


@_carries("narrow", "masked_select", "take_along_dim", "index_select", "gather")
def _part(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    _moved(origins, argument(args, kwargs, 0, "input"), result, lambda origin: origin.axes)
    origin = origins.get(result)
    if origin is not None and origin.pieces is not None:
        # which of the pieces are left is not known
        origins.put(result, Origin(origin.axes, mixed=origin.mixed))


@_carries("chunk", "split", "tensor_split", "unsafe_chunk", "unsafe_split", "split_with_sizes")
def _split(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    origin = origins.get(args[0])
    dim = argument(args, kwargs, 2, "dim", 0)
    start = 0
    for piece in result:
        _moved(origins, args[0], piece, lambda origin: origin.axes)
        if origin is not None and origin.pieces is not None and origin.axes[dim] is origin.pieces.along:
            _piece(origins, origin.pieces, start, start + piece.shape[dim], piece)
            start += piece.shape[dim]


@_carries("unbind")
def _unbind(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    dim = argument(args, kwargs, 1, "dim", 0)
    for piece in result:
        _moved(origins, args[0], piece, lambda origin: _without(origin.axes, (dim,)))


@_carries("cat", "concat", "concatenate", "stack")
def _joined(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    dim = argument(args, kwargs, 1, "dim", kwargs.get("axis", 0))
    if isinstance(dim, int) and isinstance(result, Tensor):
        _join(origins, argument(args, kwargs, 0, "tensors"), result, dim % result.ndim)


CARRIERS[torch.vstack] = lambda origins, args, kwargs, result: _join(origins, args[0], result, 0)
CARRIERS[torch.hstack] = lambda origins, args, kwargs, result: _join(origins, args[0], result, min(result.ndim - 1, 1))


def _join(origins: Origins, tensors: Sequence[Tensor], result: Tensor, dim: int) -> None:
    """Pieces of one kind are of that kind together; of several, each stays what it is."""
    pieces = [origin for origin in map(origins.get, tensors) if origin is not None]
    ranks = {len(origin.axes) for origin in pieces}
    if not pieces or len(pieces) < len(tensors) or not ranks <= {result.ndim, result.ndim - 1} or len(ranks) > 1:
        return
    stacked = ranks == {result.ndim - 1}
    axes = [_shared([origin.axes[at] for origin in pieces]) for at in range(*ranks)]
    if stacked:
        axes.insert(dim, Axis())
    kinds = {origin.kind for origin in pieces}
    kind = pieces[0].kind if len(kinds) == 1 else None
    made = _competed_together(pieces, axes, dim, stacked) if kind in ("softmax", "log_softmax") else None
    if made is None and kind in ("softmax", "log_softmax"):
        kind = None
    parts = None
    if len(kinds) > 1 and not stacked:
        # whatever it is in the pieces, in the result it is one axis
        along = axes[dim] = axes[dim] or Axis()
        own = tuple([one.renamed(one.axes[dim], along) for one in pieces])
        parts = Pieces(along, tuple([tensor.shape[dim] for tensor in tensors]), own)
    whole = Origin(tuple(axes), kind, made, pieces[0].place, joined(pieces), pieces=parts)
    whole.is_shifted = any(one.is_shifted for one in pieces)
    reaches = [one.reach for one in pieces if one.reach is not None]
    if len(reaches) == len(pieces):
        whole.reach = (min(low for low, _ in reaches), max(high for _, high in reaches))
    origins.put(result, whole)


def _competed_together(
    pieces: Sequence[Origin], axes: Sequence[Axis | None], dim: int, stacked: bool
) -> Competition | None:
    """What competed in each piece at the same place; along the axis that joins them they no longer sum to 1."""
    places = {
        tuple([at for at, axis in enumerate(one.axes) if one.made_by is not None and axis in one.made_by.axes])
        for one in pieces
    }
    first = pieces[0].made_by
    if len(places) > 1 or first is None:
        return None
    at = [place + (stacked and place >= dim) for place in places.pop()]
    over = [axis for axis in (axes[place] for place in at) if axis is not None]
    if not over or len(over) < len(at) or (dim in at and not stacked):
        return None
    return Competition(tuple(over), first.place, first.of_product)


def _shared(axes: Sequence[Axis | None]) -> Axis | None:
    """The axis of the result at a place where the pieces have these: the same, or one that is like all that are known.

    Entries at one index of it are joined, as a sum adds them, so that a piece that was repeated takes the others' axis.
    """
    known = [axis for axis in axes if axis is not None]
    if not known or all(axis is known[0] for axis in known):
        return known[0] if known else None
    if len(known) < len(axes):
        return None
    return Axis(
        all(axis.is_features for axis in known),
        all(axis.is_space for axis in known),
        all(axis.is_samples for axis in known),
    )


# sums and means over axes


@_carries("mean")
def _mean(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """A mean over other axes than those that compete, such as that of an ensemble, holds probabilities still."""
    _reduced(origins, args, kwargs, result)
    origin, reduced = origins.get(argument(args, kwargs, 0, "input")), origins.get(result)
    if origin is None or reduced is None or origin.kind != "softmax" or origin.made_by is None:
        return
    if all(axis in reduced.axes for axis in origin.made_by.axes):
        made = origin.made_by
        origins.put(result, Origin(reduced.axes, "softmax", made, origin.place, origin.mixed, averaged=True))


@_carries("amax")
def _highest(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    _reduced(origins, args, kwargs, result)
    highest(origins, argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "dim"), result)


def highest(origins: Origins, tensor: Any, dim: Any, result: Tensor) -> None:
    """Note over which axes this is the maximum of the tensor, where anything is known of it."""
    origin = origins.get(tensor)
    if origin is None or not origin.axes:
        return
    dims = (dim,) if isinstance(dim, int) else tuple(dim) if dim else tuple(range(len(origin.axes)))
    carried = origins.get(result) or Origin((None,) * result.ndim)
    over = tuple([origin.axes[at] for at in dims])
    # where an axis is not known, another one that is not either may be it
    origins.put(result, replace(carried, peak=over, reach=origin.reach))


@_carries("sum", "amin", "logsumexp")
def _reduced(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    tensor = argument(args, kwargs, 0, "input")
    origin = origins.get(tensor)
    if origin is None or not isinstance(result, Tensor):
        return
    dims = argument(args, kwargs, 1, "dim", kwargs.get("axis"))
    dims = (dims,) if isinstance(dims, int) else dims
    if not dims:
        return
    axes = _without(origin.axes, dims)
    if argument(args, kwargs, 2, "keepdim", False):
        gone = {at % max(tensor.ndim, 1) for at in dims}
        axes = tuple([None if at in gone else axis for at, axis in enumerate(origin.axes)])
    if len(axes) == result.ndim:
        kind = "raw" if origin.kind in SCALABLE else None
        whole = Origin(axes, kind, mixed=origin.mixed, is_shifted=origin.is_shifted)
        if origin.unit is not None and tuple([origin.axes[at] for at in dims]) == (origin.unit,):
            # of a product; the squares of one of length 1 are no scores
            whole.kind, whole.reach = kind or "raw", (-1.0, 1.0)
        elif origin.reach is not None and origin.reach[0] >= 0:
            whole.reach = (0.0, math.inf)
        origins.put(result, whole)


def _without(axes: Axes, dims: Sequence[int]) -> Axes:
    # a single number takes dim 0 and -1 too
    gone = {at % len(axes) for at in dims} if axes else set()
    return tuple([axis for at, axis in enumerate(axes) if at not in gone])


# layers


@_carries("linear", "bilinear")
def _linear(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    origin = origins.get_or_start(args[0] if args else kwargs["input"])
    whole = Origin((*origin.axes[:-1], Axis(True)), "scores", None, None, origin.mixed)
    if origin.unit is origin.axes[-1] is not None:
        weight = origins.get(argument(args, kwargs, 1, "weight"))
        if weight is not None and weight.unit is weight.axes[-1] is not None:
            whole.reach = (-1.0, 1.0)
    origins.put(result, whole)


@_carries("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _convolution(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    tensor, weight = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "weight")
    origin = origins.get_or_start(tensor)
    spatial = tuple([Axis(is_space=True) for _ in range(weight.ndim - 2)])
    batch = origin.axes[:1] if tensor.ndim == weight.ndim else ()
    _are_samples(*batch)
    origins.put(result, Origin((*batch, Axis(True), *spatial), "scores", mixed=origin.mixed))


def _are_samples(*axes: Axis | None) -> None:
    for axis in axes:
        if axis is not None:
            axis.is_samples = True


@_carries("gru", "lstm", "rnn_tanh", "rnn_relu")
def _recurrent(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Steps, samples and features of the outputs, or samples first; of packed sequences nothing is known."""
    # as nn.GRU calls it, with whether the batch comes first at the end; behind a packed one stand the sizes
    if len(args) != 9 or not isinstance(args[8], bool):
        return
    outputs, *states = result
    origin = origins.get_or_start(args[0])
    axes = origin.axes[:2]
    batch = axes[0 if args[8] else 1]
    _are_samples(batch)
    origins.put(outputs, Origin((*axes, Axis(True)), mixed=origin.mixed))
    for state in states:
        origins.put(state, Origin((None, batch, Axis(True)), mixed=origin.mixed))


@_carries("gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell")
def _recurrent_cell(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    origin = origins.get_or_start(args[0])
    _are_samples(origin.axes[0])
    for state in result if isinstance(result, tuple) else (result,):
        origins.put(state, Origin((origin.axes[0], Axis(True)), mixed=origin.mixed))


@_carries("embedding")
def _embedding(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    # nn.Embedding is seen as F.embedding(ids, weight), torch.embedding(weight, ids) is not used
    ids = argument(args, kwargs, 0, "input")
    origins.put(result, Origin((*origins.get_or_start(ids).axes, Axis(True))))


CARRIERS.pop(torch.embedding, None)


@_carries(
    *("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "interpolate", "pad"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d"),
)
def _pooled(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    tensor = argument(args, kwargs, 0, "input")
    origin = origins.get(tensor)
    if origin is None or not isinstance(result, Tensor) or result.ndim != tensor.ndim:
        return
    axes = [
        axis if old == new else (None if axis is None else Axis(axis.is_features, axis.is_space))
        for axis, old, new in zip(origin.axes, tensor.shape, result.shape, strict=True)
    ]
    origins.put(result, Origin(tuple(axes), mixed=origin.mixed))


# products


@_carries("baddbmm", "addmm", "addbmm")
def _added_product(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    if result.ndim == 3 or args[1].ndim == 2:
        product(origins, args[1], args[2], result)


def product(origins: Origins, left: Tensor, right: Tensor, result: Tensor) -> None:
    """Rows of the left, columns of the right; the axes before them from whichever operand has them."""
    if left.ndim < 2 or right.ndim < 2:
        return
    one, two = origins.get(left), origins.get(right)
    if isinstance(right, nn.Parameter) and right.ndim == 2:
        # a Linear that is written out
        start = origins.get_or_start(left)
        origins.put(result, Origin((*start.axes[:-1], Axis(True)), "scores", mixed=start.mixed))
        return
    one, two = origins.get_or_start(left), origins.get_or_start(right)
    rows, columns = one.axes[-2], two.axes[-1]
    outer = one.axes[:-2] if left.ndim >= right.ndim else two.axes[:-2]
    if columns is rows:
        # of self-attention: the keys are the same tokens as the queries, and another axis
        columns = Axis()
    # queries times keys, or weights times values: both are batches of matrices that the data made
    kind = "product" if left.ndim > 2 and right.ndim > 2 else "raw"
    whole = Origin((*outer, rows, columns), kind, mixed=joined((one, two)))
    if one.unit is one.axes[-1] is not None and two.unit is two.axes[-2] is not None:
        whole.reach = (-1.0, 1.0)
    origins.put(result, whole)


def einsum_letters(equation: str, operands: Sequence[Tensor]) -> tuple[list[str], str] | None:
    """The letters of each operand and of the result; None where an ellipsis or a missing arrow hides them."""
    equation = equation.replace(" ", "")
    if "..." in equation or "->" not in equation:
        return None
    left, _, right = equation.partition("->")
    letters = left.split(",")
    if len(letters) != len(operands) or any(len(some) != one.ndim for some, one in zip(letters, operands, strict=True)):
        return None
    return letters, right


def einsum_operands(args: tuple[Any, ...]) -> Sequence[Tensor]:
    """The operands, given one by one or as a list."""
    return args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]


@_carries("einsum")
def _einsum(origins: Origins, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    if not isinstance(args[0], str):
        return
    operands = einsum_operands(args)
    read = einsum_letters(args[0], operands)
    if read is None:
        return
    letters, out = read
    axis_of: dict[str, Axis | None] = {}
    known = [origins.get_or_start(operand) for operand in operands]
    for some, origin in zip(letters, known, strict=True):
        for letter, axis in zip(some, origin.axes, strict=True):
            axis_of.setdefault(letter, axis)
    data = [operand for operand in operands if not isinstance(operand, nn.Parameter)]
    kind = "product" if len(data) == 2 == len(operands) and all(operand.ndim > 2 for operand in data) else "raw"
    axes: list[Axis | None] = []
    for letter in out:
        axis = axis_of.get(letter)
        axes.append(axis if axis not in axes else Axis())
    whole = Origin(tuple(axes), kind, mixed=joined(known))
    gone = set("".join(letters)) - set(out)
    if len(gone) == 1 and len(known) == 2:
        letter = gone.pop()
        ends = [
            origin.unit is origin.axes[some.index(letter)] is not None
            for some, origin in zip(letters, known, strict=True)
            if letter in some
        ]
        whole.reach = (-1.0, 1.0) if ends == [True, True] else None
    origins.put(result, whole)
