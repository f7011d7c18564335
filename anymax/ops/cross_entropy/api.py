"""cross_entropy and log_prob: scores and a target along one axis."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anymax._core import checks
from anymax._core.context import values_are_readable
from anymax._core.dims import Dim, Dims, resolve_one
from anymax._core.dispatch import implementation, public
from anymax._core.scores import loss_dtype
from anymax.ops.cross_entropy import reference
from anymax.ops.cross_entropy.reference import SIMPLEX_TOLERANCE, Options


class LogProb(NamedTuple):
    """Per row, in nats and differentiable: the target's log-probability, the log normaliser, the law's entropy."""

    log_prob: Tensor
    log_z: Tensor
    entropy: Tensor


@public(reference=reference.cross_entropy)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    dim: Dim | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Measure how many nats the law of the scores needs for the target.

    .. math::
        s = \mathrm{softcap}(x) / T, \quad
        \ell = -\sum_c w_c\, t_c \log \mathrm{softmax}(s)_c + \zeta\, (\log Z)^2, \quad
        \log Z = \log \sum_c e^{s_c}

    where t is the target: one-hot for class ids, mixed with the uniform law by label smoothing.

    Args:
        input: scores (nats), floating point: (C,), (N, C) or (N, C, d1, ...). Never probabilities or their logs.
        target: class ids, any integer dtype, the input's shape without the class axis; or probabilities, floating
            point, the input's shape, rows that sum to 1.
        weight: (C,), per class.
        dim: the class axis. None: axis 1, or 0 for an input of one axis, as torch.
        ignore_index: rows with this target cost nothing and are not counted.
        reduction: "none", "mean" or "sum". The mean divides the first term by the summed weights of the targets
            (probability targets: by the number of rows), as torch, and the second by the number of rows not ignored.
        label_smoothing: in [0, 1]: the share of the target that is spread evenly over the classes that take part.
        z_loss: the factor of the squared log normaliser, >= 0.
        softcap: c > 0: scores become c tanh(x / c). A score of -inf stays -inf.
        temperature: T > 0, a number or a tensor that broadcasts and has size 1 along the class axis.
        mask: boolean, broadcasts against `input`; True takes part. A masked target costs +inf.

    Returns:
        A scalar, or one loss per row, in the input's dtype (at least float32 under autocast); computed in float32,
        float64 for float64. A mean over nothing is 0.

    Raises:
        ValueError: shapes or values that do not fit, targets out of range, probability targets off the simplex.
            IndexError: `dim` out of range. TypeError: wrong dtypes. Where values cannot be read (compiled code,
            transforms, accelerators) a row with a bad target is NaN.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        >>> anymax.cross_entropy(scores, torch.tensor([0, 2]), reduction="none")
        tensor([0.2395, 1.0986])

    Source: Szegedy et al. 2015, arXiv 1512.00567 (smoothing); Chowdhery et al. 2022, arXiv 2204.02311 (z-loss).
    """
    checks.one_of("cross_entropy", "reduction", reduction, checks.REDUCTIONS)
    options = Options(weight, ignore_index, label_smoothing, z_loss, softcap, temperature, mask)
    dims = _check("cross_entropy", input, target, dim, options)
    return implementation("cross_entropy")(input, target, dims, options, reduction).to(loss_dtype(input))


@public(reference=reference.log_prob)
def log_prob(
    input: Tensor,
    target: Tensor,
    *,
    dim: Dim | None = None,
    ignore_index: int = -100,
    softcap: float | None = None,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> LogProb:
    r"""Give each row's log-probability of its target, log normaliser and entropy, all differentiable.

    .. math:: \log p_y = s_y - \log Z, \quad \log Z = \log \sum_c e^{s_c}, \quad H = -\sum_c p_c \log p_c

    Args:
        input, target, dim, ignore_index, softcap, temperature, mask: as in :func:`anymax.cross_entropy`. The
            log-probability of an ignored row is 0; for probability targets it is the mean under the target.

    Returns:
        `LogProb(log_prob, log_z, entropy)`, each of the input's shape without the class axis, in nats.

    Raises:
        As :func:`anymax.cross_entropy`.

    Example:
        >>> anymax.log_prob(torch.zeros(1, 4), torch.tensor([2])).entropy
        tensor([1.3863])
    """
    options = Options(ignore_index=ignore_index, softcap=softcap, temperature=temperature, mask=mask)
    dims = _check("log_prob", input, target, dim, options)
    dtype = loss_dtype(input)
    return LogProb(*(part.to(dtype) for part in implementation("log_prob")(input, target, dims, options)))


def _check(function: str, input: Tensor, target: Tensor, dim: Dim | None, options: Options) -> Dims:
    checks.floating(
        function, "input", input, f"; scores come first, ids second, and an argmax is no score: {function}(scores, ids)"
    )
    if input.ndim == 0:
        raise ValueError(f"{function}: input must have a class axis, got a tensor without axes")
    dims = resolve_one(function, min(1, input.ndim - 1) if dim is None else dim, input.ndim)
    check_target(function, target, input.shape, dims, dim)
    check_options(function, options, input.shape, dims)
    check_target_values(function, target, input.shape[dims.axes[0]], dims.axes[0], options.ignore_index)
    return dims


def check_options(function: str, options: Options, shape: torch.Size, dims: Dims) -> None:
    """Check what shapes the law and the loss, for scores of `shape`."""
    num_classes = shape[dims.axes[0]]
    if num_classes == 0:
        raise ValueError(f"{function}: the class axis {dims.label(dims.axes[0])} has size 0")
    checks.integer(function, "ignore_index", options.ignore_index)
    checks.per_class(function, "weight", options.weight, num_classes)
    checks.number(function, "label_smoothing", options.label_smoothing)
    if not 0 <= options.label_smoothing <= 1:
        raise ValueError(f"{function}: label_smoothing must be in [0, 1], got {options.label_smoothing}")
    checks.at_least_zero(function, "z_loss", options.z_loss)
    if options.softcap is not None:
        checks.number(function, "softcap", options.softcap)
        checks.positive(function, "softcap", options.softcap)
    checks.per_row(function, "temperature", options.temperature, shape, dims)
    checks.positive(function, "temperature", options.temperature)
    checks.mask(function, options.mask, shape)


def check_target(function: str, target: Tensor, shape: torch.Size, dims: Dims, dim: Dim | None) -> None:
    """Check the target's dtype and shape against scores of `shape`."""
    checks.tensor(function, "target", target)
    if target.dtype == torch.bool or target.is_complex():
        raise TypeError(
            f"{function}: target must hold class ids (integers) or probabilities (floating point), got {target.dtype}; "
            "write target.long() for the classes 0 and 1"
        )
    (axis,) = dims.axes
    if target.is_floating_point():
        if target.shape != shape:
            hint = ""
            if target.shape == _without(shape, axis):
                hint = "; if these are class ids, write target.long()"
            raise ValueError(
                f"{function}: a floating-point target holds probabilities and must have the input's shape "
                f"{tuple(shape)}, got {tuple(target.shape)}{hint}"
            )
        return
    if target.shape == _without(shape, axis):
        return
    if target.shape == shape:
        hint = f"; a one-hot target is target.float(), or target.argmax({axis}) as ids"
    elif target.shape == (*shape[:axis], 1, *shape[axis + 1 :]):
        hint = f"; write target.squeeze({axis})"
    else:
        fitting = [at for at in range(len(shape)) if target.shape == _without(shape, at)]
        hint = "".join(f"; it fits with axis {at} as the classes: {function}(..., dim={at})" for at in fitting)
    chosen = "" if dim is not None else ", the default class axis"
    raise ValueError(
        f"{function}: target must have the input's shape {tuple(shape)} without axis {dims.label(axis)}{chosen}, "
        f"so {tuple(_without(shape, axis))}, got {tuple(target.shape)}{hint}"
    )


def check_target_values(function: str, target: Tensor, num_classes: int, axis: int, ignore_index: int) -> None:
    """Check ids and probabilities themselves, where they can be read."""
    if target.is_floating_point():
        if ignore_index >= 0:
            raise ValueError(
                f"{function}: ignore_index must be negative with probability targets, which hold no index, "
                f"got {ignore_index}"
            )
        if values_are_readable(target):
            total = target.sum(axis, dtype=torch.promote_types(target.dtype, torch.float32))
            if not bool(((total - 1).abs() <= SIMPLEX_TOLERANCE).all()) or bool((target < 0).any()):
                raise ValueError(
                    f"{function}: a floating-point target holds probabilities along axis {axis}, at least 0 and "
                    f"summing to 1, got sums from {total.min().item():.4g} to {total.max().item():.4g} and a "
                    f"smallest entry of {target.min().item():.4g}; write target / target.sum({axis}, keepdim=True) "
                    "for counts"
                )
    elif values_are_readable(target):
        bad = (target != ignore_index) & ((target < 0) | (target >= num_classes))
        if bool(bad.any()):
            from_one = bool((target[target != ignore_index] >= 1).all() & (target[bad] == num_classes).all())
            hint = "; ids count from 0: write target - 1" if from_one else ""
            raise ValueError(
                f"{function}: target ids must be in [0, {num_classes - 1}] or ignore_index ({ignore_index}), "
                f"got {target[bad].flatten()[0].item()}{hint}"
            )


def _without(shape: torch.Size, axis: int) -> torch.Size:
    return shape[:axis] + shape[axis + 1 :]
