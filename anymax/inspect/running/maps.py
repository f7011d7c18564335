"""What may be wrong with a softmax, a sigmoid or a log, and what a softmax is multiplied with."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from anymax._core.dims import implicit, resolve
from anymax._core.dispatch import OPS
from anymax.inspect import mistakes
from anymax.inspect.running.places import Place, caller, written_by_torch
from anymax.inspect.running.propagation import (
    CARRIERS,
    SCALABLE,
    argument,
    before,
    einsum_letters,
    einsum_operands,
    product,
    scaled,
)
from anymax.inspect.running.provenance import Axis, Competition, Origin
from anymax.inspect.running.record import Calls, Record, readable
from anymax.inspect.written import is_literal, leaves_out, names_function

Handler = Callable[[Record, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


# softmax and its kin


def _normalises(name: str, kind: str, scores_name: str = "input", at: int = 1) -> Handler:
    """The handler of a function that normalises `scores_name` over its argument `dim`, the `at`-th."""

    def handle(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = function(*args, **kwargs)
        scores, dim = argument(args, kwargs, 0, scores_name), argument(args, kwargs, at, "dim")
        if isinstance(scores, Tensor) and isinstance(result, Tensor) and scores.ndim > 0:
            place = caller()
            axes = _axes(record, function, name, scores, dim, place)
            if axes is not None:
                _after_softmax(record, name, kind, scores, dim, axes, result, place)
        return result

    return handle


def _axes(
    record: Record, function: Callable[..., Any], name: str, scores: Tensor, dim: Any, place: Place
) -> tuple[int, ...] | None:
    """The axes that competed, and what is to be said of a dim that was not given."""
    ndim = scores.ndim
    if name == "gumbel_softmax":
        if ndim >= 3 and _gumbel_dim_is_left_out(function, dim, place):
            record.say(
                "AMX108",
                "warning",
                f"gumbel_softmax of a tensor of shape {tuple(scores.shape)} {mistakes.DRAWS_LAST}",
                place,
            )
        return resolve(-1 if dim is None else dim, ndim).axes
    if dim is not None:
        return resolve(dim, ndim).axes
    axes = implicit(ndim).axes
    record.say(
        "AMX101",
        "info" if ndim == 1 else "warning",
        f"{name} without dim took axis {axes[0]} of a tensor of shape {tuple(scores.shape)}: "
        f"{mistakes.implicit_dim(axes[0])}",
        place,
    )
    return axes


def _gumbel_dim_is_left_out(function: Callable[..., Any], dim: Any, place: Place) -> bool:
    """torch fills its default in before a mode sees the call, so the source has to say."""
    if dim is None:
        return True
    call = place.call() if dim == -1 else None
    return call is not None and names_function(call, function, place.names) and leaves_out(call, "dim", 4)


def _after_softmax(
    record: Record,
    name: str,
    kind: str,
    scores: Tensor,
    dim: Any,
    axes: tuple[int, ...],
    result: Tensor,
    place: Place,
) -> None:
    origin = record.origins.get(scores)
    record.seen["softmax"] += 1
    if origin is None:
        origin = record.origins.get_or_start(scores)
    elif origin.kind == "softmax":
        _say_twice(record, name, origin, axes, place)
    elif origin.kind == "sigmoid":
        record.say(
            "AMX206",
            "warning",
            f"{name} of sigmoid's values, from {origin.place}: all scores lie between 0 and 1, so no probability can "
            f"be more than e times another. Give {name} the scores themselves",
            place,
        )
    _check_image(record, name, scores, origin, axes, place)
    if origin.filled is not None and math.isfinite(origin.filled) and origin.filled > mistakes.SMALL_ENOUGH:
        record.say(
            "AMX305",
            "warning",
            f"{name} of scores that were masked with {origin.filled:g}: {mistakes.WEAK_MASK}",
            place,
        )
    # wherever they come from, the axes of one tensor are different ones
    all_axes = tuple([axis or Axis() for axis in origin.axes])
    made = Competition(tuple([all_axes[at] for at in axes]), place, of_product=origin.kind == "product")
    record.origins.put(result, Origin(all_axes, kind, made, place, (*origin.mixed, made)))
    _count(record, name, scores, dim, axes, place)
    if readable(result) and has_nan(result) and has_masked_row(scores, axes):
        record.say(
            "AMX304",
            "error",
            f"{name} met rows of nothing but -inf, which become NaN, and so does every parameter behind them. Keep one "
            "entry of each row, or write anymax.softmax(scores, dim, mask=kept), which gives such rows zeros",
            place,
        )


def _masked_fill(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    tensor = argument(args, kwargs, 0, "input")
    if isinstance(tensor, Tensor):
        _check_fill(record, argument(args, kwargs, 2, "value"), tensor.dtype)
    result = function(*args, **kwargs)
    CARRIERS[function](record.origins, args, kwargs, result)
    return result


def _filled(at: int, name: str) -> Handler:
    """The handler of a function that fills a whole tensor with a number, as masks are made."""

    def handle(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        first = args[0] if args else None
        dtype = kwargs.get("dtype") or (first.dtype if isinstance(first, Tensor) else torch.get_default_dtype())
        value = argument(args, kwargs, at, name)
        _check_fill(record, value, dtype)
        result = function(*args, **kwargs)
        if isinstance(value, (int, float)) and value < 0:
            record.origins.put(result, Origin((None,) * result.ndim, "fill"))
        return result

    return handle


def _check_fill(record: Record, value: Any, dtype: torch.dtype) -> None:
    """Torch refuses a number that the dtype does not have when the line runs."""
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not dtype.is_floating_point:
        return
    lowest = torch.finfo(dtype).min
    if value < lowest:
        record.say(
            "AMX305",
            "error",
            f"a mask is filled with {value:g}, and {dtype} ends at {lowest:g}. {mistakes.WRITE_MASK}",
        )


def _where(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What is put in place of scores may be made of numbers that are to hide them."""
    result = function(*args, **kwargs)
    CARRIERS[function](record.origins, args, kwargs, result)
    if len(args) != 3 or not all(isinstance(value, Tensor) for value in args):
        return result
    kept, one, other = args if function is not Tensor.where else (args[1], args[0], args[2])
    for fill, scores, is_filled in ((one, other, True), (other, one, False)):
        origin, left = record.origins.get(fill), record.origins.get(scores)
        if origin is None or origin.kind != "fill" or left is None or left.kind == "fill":
            continue
        if scores.shape == result.shape and readable(fill, kept):
            taken = fill.detach().expand_as(result)[(kept == is_filled).expand_as(result)]
            highest = taken.max().item() + 0.0 if taken.numel() else None
            whole = Origin(left.axes, left.kind, left.made_by, left.place, left.mixed, highest)
            whole.is_shifted = left.is_shifted
            record.origins.put(result, whole)
    return result


def _check_image(
    record: Record, name: str, scores: Tensor, origin: Origin, axes: tuple[int, ...], place: Place
) -> None:
    """One of the axes that a convolution slid along, of an image whose channels are there."""
    space = [at for at, axis in enumerate(origin.axes) if axis is not None and axis.is_space]
    channels = [at for at, axis in enumerate(origin.axes) if axis is not None and axis.is_features]
    if len(space) > 1 and len(channels) == 1 and len(axes) == 1 and axes[0] in space and scores.shape[axes[0]] > 1:
        record.say(
            "AMX106",
            "warning",
            f"{name} over axis {axes[0]} of {tuple(scores.shape)} {mistakes.pixels_compete(space, channels[0])}",
            place,
        )


def _say_twice(record: Record, name: str, origin: Origin, axes: tuple[int, ...], place: Place) -> None:
    again = tuple([origin.axes[at] for at in axes])
    assert origin.made_by is not None
    same = bool(set(again) & set(origin.made_by.axes) - {None})
    record.say(
        "AMX206",
        "error" if same else "warning",
        f"{name} of probabilities, which a softmax made at {origin.place}: "
        f"{mistakes.SOFTMAX_TWICE if same else mistakes.ONE_AXIS_AFTER_ANOTHER}",
        place,
    )


def _count(record: Record, name: str, scores: Tensor, dim: Any, axes: tuple[int, ...], place: Place) -> None:
    """For what can be said only when a step is over, from all its calls at this place."""
    calls = record.softmaxes.get(place)
    if calls is None:
        calls = record.softmaxes[place] = Calls(name, dim)
    calls.count += 1
    calls.single += all(scores.shape[at] == 1 for at in axes)
    if dim == calls.dim:
        calls.shapes.setdefault(scores.ndim, tuple(scores.shape))


def after_step(record: Record) -> None:
    """What all calls of a softmax at one place have in common."""
    for place, calls in record.softmaxes.items():
        if calls.single == calls.count:
            shape = next(iter(calls.shapes.values()), ())
            record.say(
                "AMX103",
                "warning",
                f"{calls.name} with dim={calls.dim} of shape {shape}: {mistakes.one_entry(calls.name)}",
                place,
            )
        if len(calls.shapes) > 1 and isinstance(calls.dim, int) and calls.dim != -1 and is_literal(place.call(), "dim"):
            _say_ranks(record, calls, place)


def _say_ranks(record: Record, calls: Calls, place: Place) -> None:
    shapes = " and ".join(str(shape) for shape in calls.shapes.values())
    first = calls.dim == 0 and 1 in calls.shapes
    record.say(
        "AMX104",
        "warning" if first else "info",
        f"{calls.name} with dim={calls.dim} met tensors of different ranks, {shapes}"
        + (": axis 0 holds the entries of the first and the samples of the other" if first else "")
        + f". {mistakes.TWO_RANKS}",
        place,
    )


def has_nan(tensor: Tensor) -> bool:
    """True where an entry is NaN; of a single number without a further op."""
    return math.isnan(tensor.item()) if tensor.ndim == 0 else bool(tensor.detach().isnan().any())


def has_masked_row(scores: Tensor, axes: tuple[int, ...]) -> bool:
    """True where all entries that compete are -inf."""
    return bool((scores.detach() == -torch.inf).all(axes[0]).any()) if len(axes) == 1 else False


# sigmoid, log, exp


def _sigmoid(kind: str) -> Handler:
    def handle(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        scores = argument(args, kwargs, 0, "input")
        origin = record.origins.get(scores)
        if origin is not None and origin.kind == "sigmoid":
            record.say(
                "AMX206",
                "error",
                f"{kind} of sigmoid's values, from {origin.place}: {mistakes.SIGMOID_TWICE}",
            )
        result = function(*args, **kwargs)
        if isinstance(result, Tensor):
            axes = record.origins.get_or_start(result).axes if origin is None else origin.axes
            mixed = () if origin is None else origin.mixed
            record.origins.put(result, Origin(axes, kind, place=caller(), mixed=mixed))
        return result

    return handle


_OWN_LOGSUMEXP = {
    "overflow": mistakes.OWN_LOGSUMEXP,
    "underflow": mistakes.NONE_TO_LOG,
    "elsewhere": mistakes.SHIFTED_ELSEWHERE,
    "masked": mistakes.SHIFTED_BY_MASKED,
}


def _log(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    origin = record.origins.get(argument(args, kwargs, 0, "input"))
    # torch.distributions takes logs of what it has clamped
    if origin is None or written_by_torch():
        return result
    if (
        origin.kind == "sum of exp"
        and origin.risk in _OWN_LOGSUMEXP
        and (origin.risk == "overflow" or not origin.reach)
    ):
        record.say("AMX302", "warning", _OWN_LOGSUMEXP[origin.risk])
    if origin.kind not in ("softmax", "sigmoid"):
        record.origins.put(result, Origin(origin.axes, mixed=origin.mixed))
        return result
    # the log of a mean has no function of its own
    if not origin.averaged:
        record.say(
            "AMX301",
            "warning",
            f"log of {origin.kind}'s values, from {origin.place}: {mistakes.log_of(origin.kind)}",
        )
    kind = "log_softmax" if origin.kind == "softmax" else "logsigmoid"
    record.origins.put(result, Origin(origin.axes, kind, origin.made_by, caller(), origin.mixed))
    return result


def _exp(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    origin = record.origins.get(argument(args, kwargs, 0, "input"))
    if origin is not None:
        kind = {"log_softmax": "softmax", "logsigmoid": "sigmoid"}.get(origin.kind or "")
        # scores from which something was taken may have been shifted, in a way that is not known
        if origin.kind in SCALABLE and (not origin.is_shifted or origin.peak is not None):
            kind = "exp"
        kept = origin.made_by if kind == "softmax" else None
        exps = Origin(origin.axes, kind, kept, origin.place, origin.mixed)
        if kind == "exp" and not _is_narrow(origin):
            exps.peak = origin.peak
            is_negative = origin.reach is not None and origin.reach[1] <= 0
            exps.risk = None if origin.peak is not None else "underflow" if is_negative else "overflow"
        record.origins.put(result, exps)
    return result


# exponentials of numbers within these bounds neither overflow nor all round to 0
FARTHEST = 80.0


def _is_narrow(origin: Origin) -> bool:
    return origin.reach is not None and -FARTHEST <= origin.reach[0] <= origin.reach[1] <= FARTHEST


def _mul(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    CARRIERS[function](record.origins, args, kwargs, result)
    operands = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    if isinstance(result, Tensor):
        _check_factor(record, (*args, *kwargs.values()), result)
    kinds = [origin.kind for origin in map(record.origins.get, operands) if origin is not None]
    carried = record.origins.get(result)
    for operand in operands:
        origin = record.origins.get(operand)
        if origin is not None and origin.kind in ("log_softmax", "weighted") and operand.shape == result.shape:
            # as targets weigh log-probabilities, before a sum
            record.origins.put(result, Origin(origin.axes, "weighted", origin.made_by, mixed=origin.mixed))
            return result
    # exponentials that a mask leaves are exponentials
    if carried is not None and len(operands) == 2 and kinds.count("exp") == 1 and {*kinds} <= {"exp", None}:
        exps = next(one for one in map(record.origins.get, operands) if one is not None and one.kind == "exp")
        risk = "masked" if exps.peak is not None and all(one.ndim for one in operands) else exps.risk
        record.origins.put(result, Origin(carried.axes, "exp", mixed=carried.mixed, peak=exps.peak, risk=risk))
    for one, other in (args[:2], args[1::-1]):
        origin = record.origins.get(one)
        if origin is not None and origin.reach is not None:
            scaled(record.origins, origin, _number(other), result)
    return result


def _number(value: Any) -> float | None:
    """A number, or what a tensor holds that is one and is not learned."""
    if isinstance(value, Tensor):
        return value.item() if value.ndim == 0 and not value.requires_grad and readable(value) else None
    return value if isinstance(value, (int, float)) else None


def _check_factor(record: Record, factors: Collection[Any], result: Tensor) -> None:
    """A mask times the number that is to hide what it marks."""
    for factor in factors:
        number = _number(factor) if result.ndim > 0 and result.is_floating_point() else None
        if number is None or number > _HIDING:
            continue
        if record.origins.get(result) is None:
            record.origins.put(result, Origin((None,) * result.ndim, "fill"))
        others = [other for other in factors if other is not factor and isinstance(other, Tensor)]
        if math.isinf(number) and readable(result) and has_nan(result) and not any(map(has_nan, others)):
            record.say("AMX305", "error", mistakes.INFINITE_FACTOR)


# below this, a number is there to hide scores, not to scale them
_HIDING = -999.0


def _added_by_group(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Sums of exponentials among the entries with the same index."""
    result = function(*args, **kwargs)
    source = argument(args, kwargs, 3, "src", kwargs.get("source"))
    origin = record.origins.get(source)
    if origin is not None and origin.kind == "exp":
        groups = Competition((), caller())
        kept = Origin((None,) * result.ndim, "sum of exp", groups, mixed=origin.mixed, of=weakref.ref(source))
        kept.risk = origin.risk
        record.origins.put(result, kept)
    return result


def summed(record: Record, kind: str, tensor: Tensor, dim: Any, result: Tensor) -> None:
    """Note of which tensor, and over which axes, this is the sum."""
    if not isinstance(result, Tensor) or tensor.ndim == 0:
        return
    origin = record.origins.get_or_start(tensor)
    dims = range(tensor.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    over = tuple([origin.axes[at] for at in dims])
    carried = record.origins.get(result)
    axes = carried.axes if carried is not None else (None,) * result.ndim
    made = Competition(over, caller())
    whole = Origin(axes, kind, made, mixed=origin.mixed, of=weakref.ref(tensor), risk=origin.risk)
    if origin.peak is not None and any(axis not in over for axis in origin.peak):
        whole.risk = "elsewhere"
    record.origins.put(result, whole)


def _logsumexp(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    tensor = argument(args, kwargs, 0, "input")
    if isinstance(tensor, Tensor) and not written_by_torch():
        if function in CARRIERS:
            CARRIERS[function](record.origins, args, kwargs, result)
        dim = argument(args, kwargs, 1, "dim")
        if isinstance(dim, (int, tuple, list)):
            summed(record, "logsumexp", tensor, dim, result)
    return result


_OWN_SOFTMAX: dict[str | None, str] = {
    "overflow": mistakes.own_softmax(),
    "underflow": mistakes.NO_LIKELY_ONE,
    "elsewhere": mistakes.SHIFTED_ELSEWHERE,
}


def _div(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = _own_softmax(record, function, args, kwargs)
    one, other = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "other")
    origin, length = before(record.origins, one, result), record.origins.get(other)
    number = _number(other)
    if number is not None:
        scaled(record.origins, origin, 1 / number if number else math.inf, result)
    elif length is not None and length.kind == "length" and length.is_of(one) and origin is not None:
        unit = length.made_by.axes[0] if length.made_by is not None else None
        record.origins.put(result, Origin(origin.axes, mixed=origin.mixed, unit=unit, reach=(-1.0, 1.0)))
    return result


def _norm(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The length of each vector, by which it may be divided."""
    result = function(*args, **kwargs)
    tensor, order = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "p", kwargs.get("ord"))
    dim = argument(args, kwargs, 2, "dim")
    if isinstance(dim, (tuple, list)) and len(dim) == 1:
        dim = dim[0]
    if isinstance(tensor, Tensor) and isinstance(dim, int) and order in (None, 2, "fro"):
        summed(record, "length", tensor, dim, result)
    return result


def _by_hand(kind: str, sum_kind: str, code: str, messages: Mapping[str | None, str]) -> Handler:
    """The handler of the function that joins a tensor and its own sum into what softmax or log_softmax would give."""

    def handle(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = function(*args, **kwargs)
        CARRIERS[function](record.origins, args, kwargs, result)
        one, other = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "other")
        total = record.origins.get(other)
        if total is not None and total.kind == sum_kind and total.is_of(one) and total.made_by is not None:
            if total.risk in messages:
                record.say(code, "warning", messages[total.risk])
            origin = record.origins.get_or_start(one)
            if not total.made_by.axes:
                return result
            made = Competition(total.made_by.axes, caller())
            record.origins.put(result, Origin(origin.axes, kind, made, made.place, (*origin.mixed, made)))
        return result

    return handle


_sub = _by_hand("log_softmax", "logsumexp", "AMX302", {None: mistakes.own_log_softmax()})
_own_softmax = _by_hand("softmax", "sum of exp", "AMX303", _OWN_SOFTMAX)


# what probabilities are multiplied with


def _matmul(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    left, right = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "other", kwargs.get("mat2"))
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        return result
    for operand, contracted in ((left, -1), (right, -2)):
        origin = record.origins.get(operand)
        if origin is not None and origin.kind == "softmax" and operand.ndim > 1:
            _check_contraction(record, origin, [origin.axes[contracted]], operand.ndim > 2)
    product(record.origins, left, right, result)
    return result


def _einsum(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    CARRIERS[function](record.origins, args, kwargs, result)
    operands = einsum_operands(args)
    read = einsum_letters(args[0], operands) if isinstance(args[0], str) else None
    if read is None:
        return result
    for operand, letters in zip(operands, read[0], strict=True):
        origin = record.origins.get(operand)
        if origin is not None and origin.kind == "softmax":
            summed = [axis for axis, letter in zip(origin.axes, letters, strict=True) if letter not in read[1]]
            others = "".join(some for other, some in zip(operands, read[0], strict=True) if other is not operand)
            shared = [axis for axis, letter in zip(origin.axes, letters, strict=True) if letter in others]
            if summed:
                _check_contraction(record, origin, summed, letters[0] in others, shared)
        elif origin is not None and origin.kind == "log_softmax":
            gone = [at for at, letter in enumerate(letters) if letter not in read[1]]
            check_weighted_sum(record, origin, gone[0] if len(gone) == 1 else None)
    return result


def _check_contraction(
    record: Record,
    origin: Origin,
    summed: list[Axis | None],
    first_is_batch: bool,
    shared: Collection[Axis | None] = (),
) -> None:
    """The axis that competes has to be the one that is summed, where weights meet values."""
    made, at = origin.made_by, origin.competed_elsewhere(*summed)
    if made is None or at is None:
        return
    axis = origin.axes[at]
    if (at == 0 and first_is_batch) or (axis in shared and axis is not None and axis.is_samples):
        record.say(
            "AMX102",
            "warning",
            f"weights that a softmax normalised over axis {at}, at {made.place}, meet values in a product that keeps "
            f"axis {at} as its batch: {mistakes.SAMPLES_COMPETE}. Normalise over the axis that the product sums",
        )
    # where the values have all axes of the weights, as in routing by agreement, no axis is that of queries
    elif made.of_product and len(shared) < len(origin.axes):
        record.say(
            "AMX105",
            "warning",
            f"attention weights were normalised over axis {at}, at {made.place}, and the product sums over another: "
            f"{mistakes.queries_compete('dim=-1 where weights are (..., queries, keys)')}",
        )


# attention as one function of torch's


def _attention(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of nn.MultiheadAttention with weights; without them, scaled_dot_product_attention gives such queries zeros."""
    result = function(*args, **kwargs)
    output = result[0] if isinstance(result, tuple) else result
    if not isinstance(output, Tensor) or output.is_nested or not readable(output) or not has_nan(output):
        return result
    mask, padding = argument(args, kwargs, 16, "attn_mask"), argument(args, kwargs, 14, "key_padding_mask")
    hidden = _hidden(_blocks(mask), _blocks(padding))
    if hidden is not None and bool(hidden.all(-1).any()) and not any(map(has_nan, args[:3])):
        record.say("AMX304", "error", f"{function.__name__} met {mistakes.NO_KEYS}")
    return result


def _blocks(mask: Tensor | None) -> Tensor | None:
    """Where a mask of either dtype leaves no weight."""
    if mask is None:
        return None
    return mask if mask.dtype == torch.bool else mask.detach() == -torch.inf


def _hidden(mask: Tensor | None, padding: Tensor | None) -> Tensor | None:
    """Which keys no query sees, for each sample and head: of a mask (queries, keys), or one per sample and head."""
    if mask is None or padding is None:
        return padding if mask is None else mask
    if mask.ndim == 3 and padding.ndim == 2:
        return mask.unflatten(0, (len(padding), -1)) | padding[:, None, None]
    return mask | padding.unsqueeze(-2)


# what is chosen of log-probabilities, or weighs them


def _gather(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    CARRIERS[function](record.origins, args, kwargs, result)
    origin = record.origins.get(argument(args, kwargs, 0, "input"))
    if origin is None or origin.made_by is None:
        return result
    dim, index = argument(args, kwargs, 1, "dim"), argument(args, kwargs, 2, "index")
    if isinstance(dim, int) and isinstance(index, Tensor) and index.ndim == len(origin.axes):
        over = origin.competed_elsewhere(origin.axes[dim])
        # one index for all samples takes a part of the tensor, and chooses for none of them
        if over is not None and not _is_one_for_all(index, over):
            _say_choice(record, origin, over, dim % index.ndim, "gather")
    return result


def _is_one_for_all(index: Tensor, axis: int) -> bool:
    """True where the indices do not differ along this axis."""
    return index.stride(axis) == 0 or not readable(index) or bool((index == index.narrow(axis, 0, 1)).all())


def _getitem(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`log_probs[torch.arange(n), target]` chooses an entry of each row."""
    result = function(*args, **kwargs)
    CARRIERS[function](record.origins, args, kwargs, result)
    index = args[1]
    if type(index) is not tuple or len(index) != 2:
        return result
    rows, choice = index
    origin = record.origins.get(args[0]) if isinstance(rows, (Tensor, range)) and isinstance(choice, Tensor) else None
    if origin is not None and origin.made_by is not None and len(origin.axes) == 2 and choice.dtype != torch.bool:
        over = origin.competed_elsewhere(origin.axes[1])
        if over == 0 and len(rows) == args[0].shape[0]:
            _say_choice(record, origin, 0, 1, "an index")
    return result


def _neg(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    origin = record.origins.get(argument(args, kwargs, 0, "input"))
    if origin is not None and origin.kind in ("log_softmax", "weighted"):
        record.origins.put(result, Origin(origin.axes, "weighted", origin.made_by, mixed=origin.mixed))
    else:
        CARRIERS[function](record.origins, args, kwargs, result)
    return result


def check_weighted_sum(record: Record, origin: Origin, dim: Any) -> None:
    """A cross-entropy that is written out: log-probabilities times targets, summed over the classes."""
    at = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
    if not isinstance(at, int) or not origin.axes:
        return
    over = origin.competed_elsewhere(origin.axes[at])
    if over is not None:
        _say_choice(record, origin, over, at % len(origin.axes), "a sum")


def _say_choice(record: Record, origin: Origin, over: int, dim: int, chooser: str) -> None:
    """The samples compete, and the outputs of a layer are taken for the classes."""
    made, samples, classes = origin.made_by, origin.axes[over], origin.axes[dim]
    if made is None or samples is None or classes is None or not classes.is_features or samples.is_features:
        return
    if samples.is_samples or (over == 0 and len(origin.axes) == 2):
        record.say(
            "AMX102",
            "warning",
            f"a softmax normalised over axis {over}, and {chooser} at {caller()} takes axis {dim}, the outputs of a "
            f"layer, for the classes: {mistakes.SAMPLES_COMPETE}. Write dim={dim} there",
            made.place,
        )


def _ops() -> dict[Any, Handler]:
    ours = {
        "softmax": _normalises("softmax", "softmax"),
        "softmin": _normalises("softmin", "softmax"),
        "log_softmax": _normalises("log_softmax", "log_softmax"),
        "gumbel_softmax": _normalises("gumbel_softmax", "softmax", "logits", 4),
        "logsumexp": _logsumexp,
    }
    found: dict[Any, Handler] = {OPS[name].function: handler for name, handler in ours.items()}
    for name, handler in {
        **ours,
        "sigmoid": _sigmoid("sigmoid"),
        "sigmoid_": _sigmoid("sigmoid"),
        "expit": _sigmoid("sigmoid"),
        "logsigmoid": _sigmoid("logsigmoid"),
        **dict.fromkeys(("log", "log2", "log10"), _log),
        "exp": _exp,
        **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
        **dict.fromkeys(("masked_fill", "masked_fill_"), _masked_fill),
        **dict.fromkeys(("mul", "mul_", "multiply"), _mul),
        **dict.fromkeys(("index_add", "index_add_", "scatter_add", "scatter_add_"), _added_by_group),
        **dict.fromkeys(("sub", "subtract"), _sub),
        **dict.fromkeys(("div", "divide", "true_divide"), _div),
        "einsum": _einsum,
        **dict.fromkeys(("norm", "vector_norm"), _norm),
        "where": _where,
        "multi_head_attention_forward": _attention,
        "gather": _gather,
        **dict.fromkeys(("neg", "negative"), _neg),
        "__getitem__": _getitem,
        **dict.fromkeys(("full", "full_like"), _filled(1, "fill_value")),
        "new_full": _filled(2, "fill_value"),
        "fill_": _filled(1, "value"),
    }.items():
        for home in (F, torch, Tensor, torch.special, torch.linalg):
            if hasattr(home, name):
                found[getattr(home, name)] = handler
    return found


HANDLERS = _ops()
