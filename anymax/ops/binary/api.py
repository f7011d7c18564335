"""binary_cross_entropy_with_logits and one_vs_rest_loss: independent yes/no decisions, from scores."""

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
    checks.one_of("reduction", reduction, REDUCTIONS)
    checks.floating("input", input)
    _check_dtype(target)
    if target.shape != input.shape:
        hint = ""
        if target.numel() == input.numel():
            hint = "; write target.reshape(input.shape) if the entries are in the same order"
        elif target.shape == input.shape[:-1]:
            hint = "; for one class per row write cross_entropy(input, target, dim=-1)"
        raise ValueError(
            f"{CALLER}: target must have the input's shape {tuple(input.shape)}, got {tuple(target.shape)}{hint}"
        )
    for argument, value in (("weight", weight), ("pos_weight", pos_weight)):
        if value is not None:
            checks.tensor(argument, value)
            checks.broadcasts(argument, value, input.shape)
    loss = implementation("binary_cross_entropy_with_logits")(input, target, weight, reduction, pos_weight)
    # a bad target makes the loss NaN, and its sum, which is read faster; looking at the targets first would cost more
    # than a small loss itself
    if values_are_readable(target, loss) and math.isnan(loss.detach().sum().item()):
        _check_values(target.to(loss.dtype))
    return loss.to(loss_dtype(input))


def _check_dtype(target: Tensor) -> None:
    checks.tensor("target", target)
    if target.is_complex():
        raise TypeError(f"{CALLER}: target must hold real numbers in [0, 1], got {target.dtype}")
    if target.is_floating_point():
        checks.floating("target", target)


def _check_values(target: Tensor) -> None:
    if not bool(in_range(target).all()):
        low, high = target.min().item(), target.max().item()
        hint = "; write (target + 1) / 2 for a target of -1 and 1" if (low, high) == (-1, 1) else ""
        raise ValueError(f"{CALLER}: target must be in [0, 1], got entries from {low} to {high}{hint}")


@public(reference=reference.one_vs_rest_loss, kernels=(cpu.OneVsRest(),))
def one_vs_rest_loss(
    input: Tensor, target: Tensor, *, dim: Dim | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    r"""Measure how many nats a yes/no decision per class needs for the target: yes for its class, no for all others.

    .. math:: \ell = \mathrm{softplus}(-x_y) + \sum_{j \ne y} \mathrm{softplus}(x_j)

    The loss of :class:`anymax.nn.SigmoidHead`.

    Args:
        input, dim, ignore_index, reduction: as in :func:`anymax.cross_entropy`.
        target: class ids, any integer dtype, the input's shape without the class axis.

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
    loss = implementation("one_vs_rest_loss")(input, target, dims, ignore_index, reduction)
    targets.check_values(target, input.shape[axis], axis, ignore_index, loss)
    return loss.to(loss_dtype(input))
