"""Losses of independent yes/no decisions, from scores: binary cross-entropy, focal, asymmetric, one-vs-rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import has_torch_function_unary

from anymax._core import checks, targets
from anymax._core.context import is_eager, values_are_readable
from anymax._core.dims import Dim
from anymax._core.dispatch import MISSING, Choice, Plain, hand_on, implementation, public, state
from anymax._core.errors import CALLER
from anymax._core.native import native
from anymax._core.scores import PLAIN_DTYPES, loss_dtype
from anymax._core.targets import REDUCTIONS
from anymax.ops.binary import cpu, reference
from anymax.ops.binary.reference import in_range

# beyond it a power of a probability is 0 or 1, and no loss
MOST_GAMMA = 1000.0


def _around(general: Callable[..., Tensor], choice: Choice) -> Callable[..., Tensor]:
    kernel = choice.kernels[0]

    def plain(input: Any = MISSING, target: Any = MISSING, *positional: Any, **options: Any) -> Tensor:
        if (
            type(input) is Tensor
            and type(target) is Tensor
            and input.dtype in PLAIN_DTYPES
            and target.dtype is input.dtype
            and not (options or positional or has_torch_function_unary(input))
            and choice.kernels[0] is kernel
            and native.level is not None
            and state.forced is None
            and state.record is None
            and target.shape == input.shape
            and input.is_cpu
            and target.is_cpu
            and is_eager()
            and cpu.is_plain(input, target)
        ):
            loss = cpu.plain(input, target)
            # a bad target makes it NaN, and the general function says what is wrong with it
            if not math.isnan(loss.item()):
                return loss
        return hand_on(general, ("input", input), ("target", target), positional, options)

    return plain


@public(reference=reference.binary_cross_entropy_with_logits, kernels=(cpu.BinaryCrossEntropy(),), plain=Plain(_around))
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    r"""Compute the binary cross-entropy (nats) between the sigmoid of each score and its own yes/no target.

    .. math:: \ell = w\,\big(p\, y\, \mathrm{softplus}(-x) + (1 - y)\, \mathrm{softplus}(x)\big)

    Args:
        input: scores (nats), floating point, any shape. Never probabilities.
        target: the input's shape, in [0, 1]; any real dtype.
        weight: w, broadcasts against the input.
        reduction: "none", "mean" (over all entries) or "sum".
        pos_weight: p, broadcasts against the input; n_negative / n_positive balances rare positives.

    Returns:
        A scalar, or one loss per entry, in the input's dtype (at least float32 under autocast); computed in float32,
        float64 for float64. Small losses keep their digits: 2.06e-9 at x = -20, y = 0. A score of +-inf costs 0 where
        the target agrees. A mean over nothing is 0.

    Raises:
        ValueError: shapes that do not fit, a target outside [0, 1] (NaN where values cannot be read). TypeError: a
            wrong dtype.

    Example:
        >>> anymax.binary_cross_entropy_with_logits(torch.zeros(2), torch.tensor([0.0, 1.0]))
        tensor(0.6931)
    """
    _check(input, target, reduction)
    for argument, value in (("weight", weight), ("pos_weight", pos_weight)):
        if value is not None:
            checks.tensor(argument, value)
            checks.broadcasts(argument, value, input.shape)
    loss = implementation("binary_cross_entropy_with_logits")(input, target, weight, reduction, pos_weight)
    return _checked(loss, input, target)


@public(reference=reference.sigmoid_focal_loss, kernels=(cpu.SigmoidFocal(),))
def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, *, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    r"""Compute the focal loss (nats): binary cross-entropy in which a decision counts less the surer and righter it is.

    .. math::
        \ell = \big(\alpha y + (1 - \alpha)(1 - y)\big)\, (1 - p_t)^\gamma\,
        \big(y\, \mathrm{softplus}(-x) + (1 - y)\, \mathrm{softplus}(x)\big), \quad
        p_t = p y + (1 - p)(1 - y), \quad p = \mathrm{sigmoid}(x)

    Args:
        inputs: scores (nats), floating point, any shape. Never probabilities.
        targets: the shape of `inputs`, in [0, 1]; any real dtype.
        alpha: the weight of positives, in [0, 1], that of negatives being 1 - alpha. None, or torchvision's -1: both
            weigh 1.
        gamma: at least 0. With 0 and `alpha=None` it is :func:`anymax.binary_cross_entropy_with_logits`.
        reduction: "none", "mean" (over all entries) or "sum". RetinaNet divides the sum by the number of positives.

    Returns:
        A scalar, or one loss per entry, in the inputs' dtype (at least float32 under autocast); computed in float32,
        float64 for float64. Value and derivatives are finite for every finite score and every gamma, and small losses
        keep their digits: 8.76e-27 at x = 20, y = 1. A score of +-inf costs 0 where the target agrees. A mean over
        nothing is 0.

    Raises:
        ValueError: shapes that do not fit, a target outside [0, 1] (NaN where values cannot be read), alpha or gamma
            out of range. TypeError: a wrong dtype.

    Example:
        >>> anymax.sigmoid_focal_loss(torch.zeros(2), torch.tensor([0.0, 1.0]))
        tensor([0.1300, 0.0433])

    Source: Lin et al. 2017, arXiv 1708.02002.
    """
    _check(inputs, targets, reduction, "inputs", "targets")
    alpha = check_alpha(alpha)
    check_gamma("gamma", gamma)
    loss = implementation("sigmoid_focal_loss")(inputs, targets, alpha, float(gamma), reduction)
    return _checked(loss, inputs, targets, "targets")


@public(reference=reference.asymmetric_loss, kernels=(cpu.Asymmetric(),))
def asymmetric_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    clip: float = 0.05,
    reduction: str = "mean",
) -> Tensor:
    r"""Compute the asymmetric loss (nats): focal, with an exponent each for positives and negatives, and easy negatives
    left out.

    .. math::
        \ell = -y\, (1 - p)^{\gamma_+} \log p - (1 - y)\, p_m^{\gamma_-} \log (1 - p_m), \quad
        p = \mathrm{sigmoid}(x), \quad p_m = \max(p - m, 0)

    A negative of probability m or less costs nothing and has no gradient. However probable, it costs no more than
    (1 - m)^gamma_neg * -log m, and its gradient vanishes again: such negatives are taken for labels that are missing.

    Args:
        input: scores (nats), floating point, any shape. Never probabilities.
        target: the input's shape, in [0, 1]; any real dtype.
        gamma_neg, gamma_pos: the exponents, at least 0.
        clip: m, in [0, 1).
        reduction: "none", "mean" (over all entries) or "sum", which is what the authors' code returns.

    Returns:
        A scalar, or one loss per entry, in the input's dtype (at least float32 under autocast); computed in float32,
        float64 for float64. Nothing in it is clamped: a positive of score -100 costs 100, with gradient -1. A mean over
        nothing is 0.

    Raises:
        ValueError: shapes that do not fit, a target outside [0, 1] (NaN where values cannot be read), numbers out of
            range. TypeError: a wrong dtype.

    Example:
        >>> anymax.asymmetric_loss(torch.tensor([0.0, 0.0, -3.0]), torch.tensor([1, 0, 0]), reduction="none")
        tensor([0.3466, 0.0245, 0.0000])

    Source: Ridnik et al. 2021, arXiv 2009.14119.
    """
    _check(input, target, reduction)
    check_gamma("gamma_neg", gamma_neg)
    check_gamma("gamma_pos", gamma_pos)
    checks.number("clip", clip)
    if not 0 <= clip < 1:
        raise ValueError(f"{CALLER}: clip must be in [0, 1), got {clip}")
    arguments = input, target, float(gamma_neg), float(gamma_pos), float(clip), reduction
    return _checked(implementation("asymmetric_loss")(*arguments), input, target)


@public(reference=reference.one_vs_rest_loss, kernels=(cpu.OneVsRest(),))
def one_vs_rest_loss(
    input: Tensor,
    target: Tensor,
    *,
    dim: Dim | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    alpha: float | None = None,
    gamma: float = 0.0,
) -> Tensor:
    r"""Measure how many nats a yes/no decision per class needs for the target: yes for its class, no for all others.

    .. math:: \ell = \mathrm{softplus}(-x_y) + \sum_{j \ne y} \mathrm{softplus}(x_j)

    or the sum of as many focal losses. The loss of :class:`anymax.nn.SigmoidHead` and :class:`anymax.nn.FocalHead`.

    Args:
        input, dim, ignore_index, reduction: as in :func:`anymax.cross_entropy`.
        target: class ids, any integer dtype, the input's shape without the class axis.
        alpha, gamma: as in :func:`anymax.sigmoid_focal_loss`.

    Returns:
        A scalar, or one loss per row, in the input's dtype (at least float32 under autocast); computed in float32,
        float64 for float64. A mean over nothing is 0.

    Raises:
        ValueError: shapes that do not fit, targets out of range (NaN where values cannot be read). IndexError: `dim`
            out of range. TypeError: wrong dtypes.

    Example:
        >>> from anymax.ops.binary.api import one_vs_rest_loss
        >>> one_vs_rest_loss(torch.zeros(1, 4), torch.tensor([2]))  # four times log 2
        tensor(2.7726)
    """
    checks.one_of("reduction", reduction, REDUCTIONS)
    checks.floating("input", input)
    dims = targets.class_axis(dim, input.ndim)
    (axis,) = dims.axes
    checks.integer("ignore_index", ignore_index)
    target = targets.as_ids("target", target)
    targets.check_shape(target, input.shape, dims, dim)
    alpha = check_alpha(alpha)
    check_gamma("gamma", gamma)
    loss = implementation("one_vs_rest_loss")(input, target, dims, ignore_index, reduction, alpha, float(gamma))
    targets.check_values(target, input.shape[axis], axis, ignore_index, loss)
    return loss.to(loss_dtype(input))


def _check(input: Tensor, target: Tensor, reduction: str, scores: str = "input", labels: str = "target") -> None:
    """Check a loss of entries; `scores` and `labels` are what its arguments are called."""
    checks.one_of("reduction", reduction, REDUCTIONS)
    checks.floating(scores, input)
    checks.tensor(labels, target)
    if target.is_complex():
        raise TypeError(f"{CALLER}: {labels} must hold real numbers in [0, 1], got {target.dtype}")
    if target.is_floating_point():
        checks.floating(labels, target)
    if target.shape != input.shape:
        hint = ""
        if target.numel() == input.numel():
            hint = f"; write {labels}.reshape({scores}.shape) if the entries are in the same order"
        elif target.shape == input.shape[:-1]:
            hint = f"; for one class per row write cross_entropy({scores}, {labels}, dim=-1)"
        raise ValueError(
            f"{CALLER}: {labels} must have the input's shape {tuple(input.shape)}, got {tuple(target.shape)}{hint}"
        )


def _checked(loss: Tensor, input: Tensor, target: Tensor, labels: str = "target") -> Tensor:
    # a bad target makes the loss NaN, and its sum, which is read faster; looking at the targets first would cost more
    # than a small loss itself
    if values_are_readable(target, loss) and math.isnan(loss.detach().sum().item()):
        target = target.to(loss.dtype)
        if not bool(in_range(target).all()):
            low, high = target.min().item(), target.max().item()
            hint = f"; write ({labels} + 1) / 2 for a target of -1 and 1" if (low, high) == (-1, 1) else ""
            raise ValueError(f"{CALLER}: {labels} must be in [0, 1], got entries from {low} to {high}{hint}")
    return loss.to(loss_dtype(input))


def check_alpha(alpha: float | None) -> float | None:
    """The weight of positives, None for no weights."""
    if alpha is None:
        return None
    checks.number("alpha", alpha)
    if alpha == -1:
        return None
    if not 0 <= alpha <= 1:
        raise ValueError(f"{CALLER}: alpha must be in [0, 1], or None for no weights, got {alpha}")
    return float(alpha)


def check_gamma(argument: str, gamma: float) -> None:
    checks.number(argument, gamma)
    if not 0 <= gamma <= MOST_GAMMA:
        raise ValueError(f"{CALLER}: {argument} must be in [0, {MOST_GAMMA:g}], got {gamma}")
