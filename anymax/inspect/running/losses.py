"""What may be wrong with what a loss or a sampler is given."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical

from anymax._core.dispatch import OPS
from anymax._core.targets import class_axis
from anymax.inspect import mistakes
from anymax.inspect.running.maps import HANDLERS as _MAPS
from anymax.inspect.running.maps import Handler, check_weighted_sum, has_masked_row, has_nan, summed
from anymax.inspect.running.places import Place, caller
from anymax.inspect.running.propagation import CARRIERS, argument, highest
from anymax.inspect.running.provenance import Origin
from anymax.inspect.running.record import Losses, Record, readable

# what a target's probabilities may be off by: they come from other devices, in other dtypes, through mixes
SUM_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 2e-2}

_NO_PROBABILITIES = {
    "scores": "scores straight from a layer",
    "log_softmax": "log-probabilities",
    "logsigmoid": "log-probabilities",
}

# of what is this it is not known what it should be, so that its numbers are looked at
_OF_ANY_SIGN = (None, "raw")


# cross-entropy


def _cross_entropy(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    scores, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
    if not (isinstance(scores, Tensor) and isinstance(target, Tensor)) or scores.ndim == 0:
        return function(*args, **kwargs)
    place = caller()
    name = function.__name__
    at = _class_axis(scores, kwargs.get("dim"))
    origin = _look_up(record, scores)
    if origin is not None and at is not None and origin.kind in ("softmax", "log_softmax"):
        _say_double(record, name, origin, scores.shape[at], place)
    is_last = at == 1 and kwargs.get("dim") is None and _are_classes_last(record, name, scores, target, origin, place)
    if origin is not None and at is not None and not is_last:
        _check_batch(record, name, origin, at, place)
    if at is not None and scores.shape[at] == 1:
        record.say(
            "AMX103",
            "warning",
            f"{name} of scores of shape {tuple(scores.shape)} {mistakes.ONE_CLASS}",
            place,
        )
    result = function(*args, **kwargs)
    if at is not None and isinstance(result, Tensor) and readable(scores, target, result):
        if target.is_floating_point():
            _check_simplex(record, name, target, at, place)
        if not _is_nan(record, name, scores, target, kwargs, result, at, place) and result.ndim == 0:
            _note_loss(record, scores, target, args, kwargs, result.item(), at, place)
    return result


def _class_axis(scores: Tensor, dim: Any) -> int | None:
    """The axis that holds the classes; None where the call itself will say what is wrong with its dim."""
    try:
        return class_axis(dim, scores.ndim).axes[0]
    except (IndexError, TypeError, ValueError):
        return None


def _look_up(record: Record, scores: Tensor) -> Origin | None:
    """The origin of what a loss is given, and a note of where nothing is known."""
    record.seen["loss"] += 1
    origin = record.origins.get(scores)
    if origin is None:
        record.unknown_losses += 1
        if "CompiledFunction" in type(scores.grad_fn).__name__:
            record.compiled = True
    return origin


def _say_double(record: Record, name: str, origin: Origin, num_classes: int, place: Place) -> None:
    if origin.kind == "log_softmax":
        record.say(
            "AMX201",
            "info",
            f"{name} of log-probabilities: the log_softmax at {origin.place} {mistakes.LOG_SOFTMAX_TWICE}",
            place,
        )
        return
    leads_to = mistakes.softmax_twice_in_loss(f"below {floor(num_classes):.3f} for {num_classes} classes")
    record.say("AMX201", "error", f"{name} was given probabilities: the softmax at {origin.place} {leads_to}", place)


@functools.cache
def floor(num_classes: int) -> float:
    """The cross-entropy of a perfect prediction that went through a softmax before: -log softmax of a one-hot row."""
    return math.log(math.e + num_classes - 1) - 1


def _are_classes_last(
    record: Record, name: str, scores: Tensor, target: Tensor, origin: Origin | None, place: Place
) -> bool:
    """The target's shape says where the classes are, and where it fits both ways, the axis that a layer made."""
    if scores.ndim < 3:
        return False
    read, last = (None, None) if origin is None else (origin.axes[1], origin.axes[-1])
    if scores.shape[1] != scores.shape[-1]:
        wrong = target.shape == scores.shape[:-1] and not target.is_floating_point()
        why = f"targets of shape {tuple(target.shape)} leave the last axis for them"
    else:
        wrong = read is not None and last is not None and last.is_features and not read.is_features
        why = "a layer put its outputs into the last axis; the sizes are equal, so nothing complains"
    if wrong:
        record.say(
            "AMX109",
            "warning" if scores.shape[1] == scores.shape[-1] else "error",
            f"{name} reads the classes from axis 1 of scores of shape {tuple(scores.shape)}, but {why}: "
            f"{mistakes.CLASSES_LAST}",
            place,
        )
    return wrong


def _check_batch(record: Record, name: str, origin: Origin, at: int, place: Place) -> None:
    """The samples of the loss must not have competed, and those that competed must be the classes."""
    if len(origin.axes) < 2:
        return
    over = origin.competed_elsewhere(origin.axes[at])
    if over is not None and origin.made_by is not None:
        _say_other_axis(record, name, over, at, origin.made_by.place, place)
        return
    samples = origin.axes[0]
    if at == 0 or samples is None:
        return
    for made in origin.mixed:
        if samples in made.axes:
            record.say(
                "AMX102",
                "warning",
                f"the samples of {name}, axis 0, went through a softmax over that axis at {made.place}: what is "
                "predicted for one depends on the others. Normalise over an axis within a sample",
                made.place,
            )


def _say_other_axis(record: Record, name: str, over: int, at: int, made: Place, place: Place) -> None:
    if over == 0:
        record.say(
            "AMX102",
            "error",
            f"a softmax normalised over axis 0, and {name} at {place} reads the classes from axis {at} and the "
            f"samples from axis 0: {mistakes.SAMPLES_COMPETE}. Write dim={at} there",
            made,
        )
    else:
        record.say(
            "AMX106",
            "error",
            f"a softmax normalised over axis {over}, and {name} at {place} reads the classes from axis {at}: "
            f"positions compete instead of classes. Write dim={at} there",
            made,
        )


def _check_simplex(record: Record, name: str, target: Tensor, at: int, place: Place) -> None:
    target = target.detach()
    sums = target.sum(at, dtype=torch.float32)
    off = (sums - 1).abs() > SUM_TOLERANCE.get(target.dtype, 1e-3)
    # a row of zeros is how some leave a row out
    wrong = (off & (sums != 0)) | (target < 0).any(at)
    if bool(wrong.any()):
        record.say(
            "AMX209",
            "warning",
            f"{name} was given class probabilities as targets whose sums over axis {at} range from "
            f"{sums.min().item():.3g} to {sums.max().item():.3g}: rows count by their sums, and the loss has no "
            "minimum where the prediction equals the target. Divide by the sums, or for several labels per sample "
            "write binary_cross_entropy_with_logits",
            place,
        )


def _is_nan(
    record: Record,
    name: str,
    scores: Tensor,
    target: Tensor,
    kwargs: dict[str, Any],
    result: Tensor,
    at: int,
    place: Place,
) -> bool:
    """True where the loss is NaN; then the reason is said, where it is one of ours."""
    if not has_nan(result):
        return False
    if has_nan(scores):
        return True
    ignored = kwargs.get("ignore_index", -100)
    if not target.is_floating_point() and target.numel() and bool((target == ignored).all()):
        record.say(
            "AMX211",
            "error",
            f"every target of {name} is ignore_index={ignored}, so the mean is over nothing: NaN, and NaN gradients. "
            "Skip such batches, or write reduction='sum' and divide by the number of targets that count, at least 1",
            place,
        )
    elif has_masked_row(scores, (at,)):
        record.say(
            "AMX304",
            "error",
            f"{name} met rows of scores that are nothing but -inf: the loss is NaN, and so is every gradient. Keep "
            "at least one class of each row, the target's",
            place,
        )
    return True


def _note_loss(
    record: Record,
    scores: Tensor,
    target: Tensor,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    value: float,
    at: int,
    place: Place,
) -> None:
    """Values near the floor of a double softmax, for `after_last_step`."""
    plain = argument(args, kwargs, 2, "weight") is None and not kwargs.get("label_smoothing")
    num_classes = scores.shape[at]
    if not plain or target.is_floating_point() or num_classes < 2 or kwargs.get("reduction") == "sum":
        return
    losses = record.losses.get(place)
    if losses is None:
        losses = record.losses[place] = Losses(num_classes)
    near = abs(value - floor(num_classes)) <= NEAR * floor(num_classes)
    losses.values.append(value)
    losses.right.append((scores.detach().argmax(at) == target).float().mean().item() if near else 0.0)


# how far above its floor a loss still counts as stuck there, and how many predictions are right by then
NEAR = 0.05
RIGHT = 0.9
FEWEST = 3


def after_last_step(record: Record) -> None:
    """A loss at the floor of a double softmax while nearly all predictions are right."""
    for place, losses in record.losses.items():
        lowest = floor(losses.num_classes)
        values, right = losses.values[-FEWEST:], losses.right[-FEWEST:]
        if (
            len(values) == FEWEST
            and all(abs(value - lowest) <= NEAR * lowest for value in values)
            and min(right) > RIGHT
        ):
            record.say(
                "AMX210",
                "warning",
                f"the loss stays at {values[-1]:.3f} while {100 * right[-1]:.0f} % of the predictions are right; "
                f"{lowest:.3f} is what {losses.num_classes} classes give where scores went through a softmax before "
                "cross_entropy applies its own: look for one at the end of the model, and leave it out",
                place,
            )


# nll_loss


def _nll_loss(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    inputs, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
    if not (isinstance(inputs, Tensor) and isinstance(target, Tensor)) or inputs.ndim == 0:
        return function(*args, **kwargs)
    place = caller()
    origin = _look_up(record, inputs)
    kind = None if origin is None else origin.kind
    at = class_axis(None, inputs.ndim).axes[0]
    is_last = at == 1 and _are_classes_last(record, "nll_loss", inputs, target, origin, place)
    if origin is not None and not is_last:
        _check_batch(record, "nll_loss", origin, at, place)
    if origin is not None:
        _check_log(record, "nll_loss", origin, (mistakes.NLL_OF_PROBS, mistakes.NLL_OF_SCORES), place)
    if origin is not None and kind == "log_softmax" and _is_nested(origin, place):
        record.say(
            "AMX207",
            "info",
            f"nll_loss of log_softmax in one expression {mistakes.ONE_CALL}",
            place,
        )
    if origin is not None and kind == "log_softmax":
        _check_rows(record, inputs, origin, at, place)
    result = function(*args, **kwargs)
    if isinstance(result, Tensor) and readable(inputs, target, result):
        if kind in _OF_ANY_SIGN and inputs.numel() and inputs.detach().max().item() > 0:
            record.say(
                "AMX203",
                "error",
                "nll_loss was given positive numbers, and logs of probabilities are never positive. Write log_softmax "
                "before it, or cross_entropy of the scores",
                place,
            )
        _is_nan(record, "nll_loss", inputs, target, kwargs, result, at, place)
    return result


# what a row of probabilities may be off by behind a log_softmax in half precision
OFF = 0.05


def _check_rows(record: Record, inputs: Tensor, origin: Origin, at: int, place: Place) -> None:
    """A reshape may put entries of several distributions into one row."""
    made = origin.made_by
    if made is None or any(axis in made.axes for axis in origin.axes) or not inputs.numel() or not readable(inputs):
        return
    sums = inputs.detach().float().exp().sum(at)
    if bool(((sums - 1).abs() > OFF).any()):
        record.say(
            "AMX207",
            "error",
            f"nll_loss was given log-probabilities of the log_softmax at {made.place}, whose classes are no longer "
            f"along axis {at}: exponentials there sum to numbers from {sums.min().item():.3g} to "
            f"{sums.max().item():.3g}, as behind a reshape without a permute. Write {mistakes.UNBROKEN}",
            place,
        )


def _check_log(record: Record, name: str, origin: Origin, leads_to: tuple[str, str], place: Place) -> None:
    """A loss that takes log-probabilities, and was given probabilities or scores, which lead to this."""
    of_probs, of_scores = leads_to
    if origin.kind in ("softmax", "sigmoid"):
        made = f"probabilities, which {origin.kind} made at {origin.place}"
        record.say("AMX203", "error", f"{name} was given {made}: {of_probs}", place)
    elif origin.kind == "scores":
        record.say("AMX203", "warning", f"{name} was given scores straight from a layer: {of_scores}", place)


def _ctc_loss(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    inputs = argument(args, kwargs, 0, "log_probs")
    if not isinstance(inputs, Tensor) or inputs.ndim < 2:
        return function(*args, **kwargs)
    place = caller()
    origin = _look_up(record, inputs)
    kind = None if origin is None else origin.kind
    if origin is not None:
        _check_log(record, "ctc_loss", origin, (mistakes.CTC_OF_PROBS, mistakes.CTC_OF_SCORES), place)
    if origin is not None and origin.kind == "log_softmax":
        over = origin.competed_elsewhere(origin.axes[-1])
        if over is not None and origin.made_by is not None:
            samples = over == 1 and inputs.ndim == 3
            record.say(
                "AMX102" if samples else "AMX106",
                "error",
                f"a log_softmax normalised over axis {over}, and ctc_loss at {place} takes (time, batch, classes): "
                f"{'samples' if samples else 'frames'} compete instead of classes. Normalise over the classes there",
                origin.made_by.place,
            )
    elif kind in _OF_ANY_SIGN and inputs.numel() and readable(inputs) and inputs.detach().max().item() > ABOVE_ROUNDING:
        record.say(
            "AMX203",
            "error",
            "ctc_loss was given positive numbers, and logs of probabilities are never positive. Write log_softmax "
            "before it",
            place,
        )
    return function(*args, **kwargs)


# what rounding may leave of the log of a probability of 1
ABOVE_ROUNDING = 1e-3


def _is_nested(origin: Origin, place: Place) -> bool:
    """True where log_softmax itself, no log of a softmax, stands inside of the call."""
    made = origin.made_by
    return made is not None and made.place == origin.place and place.holds(made.place)


# binary cross-entropies, kl_div


def _with_logits(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = function.__name__
    several = "s" if name == "sigmoid_focal_loss" else ""
    scores, target = argument(args, kwargs, 0, f"input{several}"), argument(args, kwargs, 1, f"target{several}")
    if not (isinstance(scores, Tensor) and isinstance(target, Tensor)):
        return function(*args, **kwargs)
    origin = _look_up(record, scores)
    if origin is not None and origin.kind in ("sigmoid", "softmax", "logsigmoid", "log_softmax"):
        record.say(
            "AMX202",
            "error" if origin.kind in ("sigmoid", "logsigmoid") else "warning",
            f"{name} of a {origin.kind}: that at {origin.place} {mistakes.sigmoid_twice_in_loss(origin.kind)}",
        )
    _check_binary_target(record, name, target)
    return function(*args, **kwargs)


def _binary(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    probs, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
    if not (isinstance(probs, Tensor) and isinstance(target, Tensor)):
        return function(*args, **kwargs)
    origin = _look_up(record, probs)
    kind = None if origin is None else origin.kind
    if origin is not None and kind == "sigmoid":
        record.say(
            "AMX204",
            "info",
            f"binary_cross_entropy of sigmoid's values, from {origin.place}, {mistakes.BCE_OF_SIGMOID}",
        )
    elif kind in _NO_PROBABILITIES:
        record.say(
            "AMX204",
            "warning" if kind == "scores" else "error",
            f"binary_cross_entropy takes probabilities and was given {_NO_PROBABILITIES[kind]}: "
            f"{mistakes.BCE_OF_OTHERS}",
        )
    _check_binary_target(record, "binary_cross_entropy", target)
    return function(*args, **kwargs)


def _check_binary_target(record: Record, name: str, target: Tensor) -> None:
    if target.numel() and readable(target):
        lowest, highest = (value.item() for value in target.detach().aminmax())
        if lowest < 0 or highest > 1:
            record.say(
                "AMX209",
                "error",
                f"{name} was given targets from {lowest:.3g} to {highest:.3g}, and they have to lie between 0 and 1: "
                "the loss has no minimum, and falls below 0. For class ids write cross_entropy, else scale them",
            )


def _kl_div(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    inputs, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
    if not (isinstance(inputs, Tensor) and isinstance(target, Tensor)):
        return function(*args, **kwargs)
    place = caller()
    origin, goal = _look_up(record, inputs), record.origins.get(target)
    kind = None if origin is None else origin.kind
    logs = bool(kwargs.get("log_target", False))
    if kind in ("softmax", "sigmoid", "scores"):
        record.say(
            "AMX205",
            "warning" if kind == "scores" else "error",
            f"kl_div takes the log-probabilities of the prediction first, and was given "
            f"{'scores straight from a layer' if kind == 'scores' else 'probabilities'}: {mistakes.NO_DIVERGENCE}",
            place,
        )
    elif kind in _OF_ANY_SIGN and inputs.numel() and readable(inputs) and inputs.detach().max().item() > 0:
        record.say(
            "AMX205",
            "error",
            "kl_div takes the log-probabilities of the prediction first, and was given positive numbers, which no log "
            f"of a probability is: {mistakes.NO_DIVERGENCE}",
            place,
        )
    if goal is not None and goal.kind == ("softmax" if logs else "log_softmax"):
        record.say(
            "AMX205",
            "error",
            f"kl_div with log_target={logs} was given {'probabilities' if logs else 'log-probabilities'} as its "
            f"target. Write log_target={not logs}",
            place,
        )
    if kwargs.get("reduction", "mean") == "mean" and inputs.ndim > 1:
        record.say("AMX205", "info", f"kl_div {mistakes.MEAN_OF_ENTRIES}", place)
    return function(*args, **kwargs)


# samplers and decisions


def _multinomial(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    probs = argument(args, kwargs, 0, "input")
    origin = record.origins.get(probs)
    if origin is not None and origin.kind in _NO_PROBABILITIES:
        record.say(
            "AMX208",
            "error",
            f"multinomial was given {_NO_PROBABILITIES[origin.kind]}: {mistakes.MULTINOMIAL_OF_SCORES}",
        )
    return function(*args, **kwargs)


def _sample(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    origin = record.origins.get(argument(args, kwargs, 0, "input"))
    if origin is not None and origin.kind in ("softmax", "sigmoid"):
        record.say(
            "AMX208",
            "error",
            f"sample takes scores and was given {origin.kind}'s values, from {origin.place}: "
            f"{mistakes.DRAWS_UNIFORMLY}. Give it the scores",
        )
    return function(*args, **kwargs)


def _sum(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    origin = record.origins.get(args[0]) if args else None
    kind = None if origin is None else origin.kind
    if origin is not None and kind is not None and sys._getframe(2).f_code is Categorical.__init__.__code__:
        _check_probs(record, origin)
    result = function(*args, **kwargs)
    CARRIERS[function](record.origins, args, kwargs, result)
    if origin is not None and kind == "weighted":
        check_weighted_sum(record, origin, argument(args, kwargs, 1, "dim", kwargs.get("axis")))
    if kind == "exp":
        summed(record, "sum of exp", args[0], argument(args, kwargs, 1, "dim", kwargs.get("axis")), result)
    return result


def _logsumexp(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if sys._getframe(2).f_code is not Categorical.__init__.__code__:
        return _MAPS[function](record, function, args, kwargs)
    origin = record.origins.get(args[0]) if args else None
    if origin is not None and origin.kind in ("softmax", "sigmoid"):
        record.say(
            "AMX208",
            "error",
            f"Categorical(logits=...) was given {origin.kind}'s values, from {origin.place}: "
            f"{mistakes.LOGITS_OF_PROBS}",
        )
    return function(*args, **kwargs)


def _check_probs(record: Record, origin: Origin) -> None:
    """What `Categorical` was given as `probs`, which it sums over the last axis first."""
    made = origin.made_by
    if origin.kind in _NO_PROBABILITIES:
        record.say(
            "AMX208",
            "error",
            f"Categorical(probs=...) was given {_NO_PROBABILITIES[origin.kind]}: {mistakes.PROBS_OF_SCORES}",
        )
    elif origin.kind == "softmax" and made is not None:
        over = origin.competed_elsewhere(origin.axes[-1])
        if over is not None:
            record.say(
                "AMX102" if over == 0 else "AMX106",
                "error",
                f"a softmax normalised over axis {over}, at {made.place}, and Categorical chooses along the last axis"
                + (", so the samples of a batch compete" if over == 0 else "")
                + ". Write dim=-1 there",
                made.place,
            )


def _argmax(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    tensor, dim = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "dim", kwargs.get("axis"))
    origin = record.origins.get(tensor)
    if dim is None:
        # of a vector it is the class of one sample, unless its entries are classes themselves
        if isinstance(tensor, Tensor) and (tensor.ndim > 1 or (origin is not None and origin.kind in _INDICES)):
            record.origins.put(result, Origin((), "choice", place=caller()))
        return result
    over = _competed_elsewhere(origin, dim)
    if origin is not None and origin.made_by is not None and over is not None:
        record.say(
            "AMX107",
            "warning",
            f"argmax over axis {dim % tensor.ndim} "
            f"{mistakes.other_choice(f'the softmax at {origin.made_by.place}', f'dim={over}')}",
        )
    if isinstance(result, Tensor):
        record.origins.put(result, Origin((None,) * result.ndim, "index"))
    return result


# indices of the largest along some axis
_INDICES = ("index", "elsewhere")


def _competed_elsewhere(origin: Origin | None, dim: Any) -> int | None:
    """The axis along which the entries competed, where that is not the axis `dim`."""
    if origin is None or not origin.axes or not isinstance(dim, int):
        return None
    return origin.competed_elsewhere(origin.axes[dim])


def _max(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    dim = argument(args, kwargs, 1, "dim", kwargs.get("axis"))
    # of two tensors, or of all entries, there are no indices
    if not isinstance(dim, int) or isinstance(result, Tensor):
        if isinstance(result, Tensor) and result.ndim == 0:
            highest(record.origins, argument(args, kwargs, 0, "input"), None, result)
        return result
    highest(record.origins, argument(args, kwargs, 0, "input"), dim, result.values)
    origin, indices = record.origins.get(argument(args, kwargs, 0, "input")), result.indices
    if (
        origin is not None
        and origin.kind in ("softmax", "log_softmax")
        and _competed_elsewhere(origin, dim) is not None
    ):
        # the largest probability over positions is a score; its index is no class
        record.origins.put(indices, Origin((None,) * indices.ndim, "elsewhere", origin.made_by, caller()))
    else:
        record.origins.put(indices, Origin((None,) * indices.ndim, "index"))
    return result


def _compared(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    for one, other in (args[:2], args[1::-1]):
        origin = record.origins.get(one) if isinstance(one, Tensor) else None
        if origin is not None and origin.kind == "choice" and isinstance(other, Tensor) and other.ndim > 0:
            record.say(
                "AMX107",
                "error",
                f"argmax {mistakes.FLAT_CHOICE}, at {origin.place}, and is compared with labels of shape "
                f"{tuple(other.shape)}. Write {mistakes.CLASS_DIM}",
            )
        _check_index(record, one)
    return function(*args, **kwargs)


def _chosen(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One-hot rows of indices, by one_hot or by scatter."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor) and not value.is_floating_point():
            _check_index(record, value)
    result = function(*args, **kwargs)
    if function in CARRIERS:
        CARRIERS[function](record.origins, args, kwargs, result)
    return result


def _check_index(record: Record, indices: Any) -> None:
    """The index of a maximum is used as a choice."""
    origin = record.origins.get(indices) if isinstance(indices, Tensor) else None
    if origin is not None and origin.kind == "elsewhere" and origin.made_by is not None:
        record.say(
            "AMX107",
            "warning",
            f"the maximum at {origin.place} "
            f"{mistakes.other_choice(f'the softmax at {origin.made_by.place}', 'the same dim in both')}",
        )


def _handlers() -> dict[Any, Handler]:
    found: dict[Any, Handler] = {
        F.cross_entropy: _cross_entropy,
        F.nll_loss: _nll_loss,
        F.ctc_loss: _ctc_loss,
        torch.ctc_loss: _ctc_loss,
        F.binary_cross_entropy: _binary,
        F.binary_cross_entropy_with_logits: _with_logits,
        F.kl_div: _kl_div,
        torch.multinomial: _multinomial,
        Tensor.multinomial: _multinomial,
        Tensor.sum: _sum,
        torch.sum: _sum,
        Tensor.logsumexp: _logsumexp,
        Tensor.max: _max,
        torch.max: _max,
        torch.argmax: _argmax,
        Tensor.argmax: _argmax,
        **dict.fromkeys((Tensor.__eq__, Tensor.eq, torch.eq, Tensor.__ne__, Tensor.ne, torch.ne), _compared),
        **dict.fromkeys((F.one_hot, torch.scatter, Tensor.scatter, Tensor.scatter_), _chosen),
    }
    ours = {
        "cross_entropy": _cross_entropy,
        "log_prob": _cross_entropy,
        "binary_cross_entropy_with_logits": _with_logits,
        "sigmoid_focal_loss": _with_logits,
        "asymmetric_loss": _with_logits,
        "sample": _sample,
    }
    return {**found, **{OPS[name].function: handler for name, handler in ours.items()}}


HANDLERS = _handlers()
