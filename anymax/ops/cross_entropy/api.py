"""cross_entropy and log_prob: scores and a target along one axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import has_torch_function_unary

from anymax._core import checks
from anymax._core.context import is_eager
from anymax._core.dims import Dim, Dims
from anymax._core.dispatch import MISSING, Choice, Plain, hand_on, implementation, public, state
from anymax._core.errors import CALLER
from anymax._core.native import FEWEST_WITH_GRADIENT, native, torch_is_faster
from anymax._core.results import made_of_parts
from anymax._core.scores import PLAIN_DTYPES, compute_dtype, loss_dtype
from anymax._core.targets import REDUCTIONS, as_target, check_shape, check_values, class_axis
from anymax.ops.cross_entropy import cpu, reference
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.entropy.cpu import LogProb as LogProbKernel


class LogProb(NamedTuple):
    """Per row, in nats and differentiable: the target's log-probability, the log normaliser, and the entropy."""

    log_prob: Tensor
    log_z: Tensor
    entropy: Tensor


made_of_parts(LogProb)


def _around(general: Callable[..., Tensor], choice: Choice) -> Callable[..., Tensor]:
    kernel = choice.kernels[0]

    def plain(input: Any = MISSING, target: Any = MISSING, *positional: Any, **options: Any) -> Tensor:
        if (
            type(input) is Tensor
            and type(target) is Tensor
            and input.dtype in PLAIN_DTYPES
            and target.dtype is torch.int64
            and not (options or positional or has_torch_function_unary(input))
            and choice.kernels[0] is kernel
            and state.forced is None
            and target.ndim == input.ndim - 1
            and input.is_cpu
            and target.is_cpu
            and is_eager()
        ):
            loss = None
            if torch_is_faster(input):
                try:
                    loss = torch.nn.functional.cross_entropy(input, target)
                except (IndexError, RuntimeError, ValueError):
                    loss = None  # the general function says what is wrong with the target
            elif state.record is None:
                loss = cpu.plain(input, target)
            # NaN for a bad target, and torch's mean over nothing, where ours is 0
            if loss is not None and not math.isnan(loss.item()):
                return loss
        return hand_on(general, ("input", input), ("target", target), positional, options)

    return plain


_CALLS = "float32 or float64 on the CPU, int64 ids and no option, in eager mode"
_PLAIN = Plain(
    _around,
    _CALLS if native.level is None else f"{_CALLS}, a gradient and fewer than {FEWEST_WITH_GRADIENT} entries",
)


@public(reference=reference.cross_entropy, kernels=(cpu.CrossEntropy(),), plain=_PLAIN)
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
    class_prior: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Compute the cross-entropy (nats) between the softmax of the scores and the target.

    .. math::
        s = \mathrm{softcap}(x) / T + \log \pi, \quad
        \ell = -\sum_c w_c\, t_c \log \mathrm{softmax}(s)_c + \zeta\, (\log Z)^2, \quad
        \log Z = \log \sum_c e^{s_c}

    where t is the target: one-hot for class ids, mixed with the uniform distribution by label smoothing; and pi is
    the class prior, 1 without one. With the class frequencies as the prior this is the balanced softmax; with their
    power tau, the logit adjustment.

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
        softcap: c > 0: scores become c tanh(x / c). Scores of -inf and +inf stay what they are.
        temperature: T > 0, a number or a tensor that broadcasts and has size 1 along the class axis.
        class_prior: (C,), weights of the classes of at least 0, floating point or integers: frequencies, or counts
            as they are. Adds its log to the scores, behind the temperature. Its scale moves log Z alone, and so the
            z-loss, not the log-probabilities. A class of weight 0 has the score -inf: as a target it costs +inf, and
            so does any with label smoothing; (n + c) / (N + c C) smooths counts n that sum to N.
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

    Source: Szegedy et al. 2015, arXiv 1512.00567 (smoothing); Chowdhery et al. 2022, arXiv 2204.02311 (z-loss); Ren
    et al. 2020, arXiv 2007.10740 (balanced softmax); Menon et al. 2021, arXiv 2007.07314 (logit adjustment).
    """
    checks.one_of("reduction", reduction, REDUCTIONS)
    options = Options(weight, ignore_index, label_smoothing, z_loss, softcap, temperature, class_prior, mask)
    dims, target = _check(input, target, dim, options)
    loss = implementation("cross_entropy")(input, target, dims, options, reduction)
    _check_values(loss, target, input, dims, options)
    return loss.to(loss_dtype(input))


@public(reference=reference.log_prob, kernels=(LogProbKernel(),))
def log_prob(
    input: Tensor,
    target: Tensor,
    *,
    dim: Dim | None = None,
    ignore_index: int = -100,
    softcap: float | None = None,
    temperature: float | Tensor = 1.0,
    class_prior: Tensor | None = None,
    mask: Tensor | None = None,
) -> LogProb:
    r"""Compute each row's log-probability of its target, log normaliser and entropy, all differentiable.

    .. math:: \log p_y = s_y - \log Z, \quad \log Z = \log \sum_c e^{s_c}, \quad H = -\sum_c p_c \log p_c

    Args:
        input, target, dim, ignore_index, softcap, temperature, mask: as in :func:`anymax.cross_entropy`. The
            log-probability of an ignored row is 0; for probability targets it is the mean under the target.
        class_prior: as there: what scores that were trained under a prior need to be the log-probabilities of the
            data they were trained on. log Z is that of the scores with the log of the prior as it is given.

    Returns:
        `LogProb(log_prob, log_z, entropy)`, each of the input's shape without the class axis, in nats.

    Raises:
        As :func:`anymax.cross_entropy`.

    Example:
        >>> anymax.log_prob(torch.zeros(1, 4), torch.tensor([2])).entropy
        tensor([1.3863])
    """
    options = Options(
        ignore_index=ignore_index, softcap=softcap, temperature=temperature, class_prior=class_prior, mask=mask
    )
    dims, target = _check(input, target, dim, options)
    parts = implementation("log_prob")(input, target, dims, options)
    _check_values(parts[0], target, input, dims, options)
    dtype = loss_dtype(input)
    return LogProb(*(part.to(dtype) for part in parts))


def _check(input: Tensor, target: Tensor, dim: Dim | None, options: Options) -> tuple[Dims, Tensor]:
    checks.floating(
        "input", input, f"; scores come first, ids second, and an argmax is not a score: {CALLER}(scores, ids)"
    )
    dims = class_axis(dim, input.ndim)
    check_options(options, input.dtype, input.shape, dims)
    target = as_target(target, options.ignore_index)
    check_shape(target, input.shape, dims, dim)
    return dims, target


def _check_values(loss: Tensor, target: Tensor, input: Tensor, dims: Dims, options: Options) -> None:
    (axis,) = dims.axes
    check_values(target, input.shape[axis], axis, options.ignore_index, loss)


def check_options(options: Options, dtype: torch.dtype, shape: torch.Size, dims: Dims) -> None:
    """Check what shapes the probabilities and the loss, for scores of `dtype` and `shape`."""
    num_classes = shape[dims.axes[0]]
    if num_classes == 0:
        raise ValueError(f"{CALLER}: the class axis {dims.label(dims.axes[0])} has size 0")
    checks.integer("ignore_index", options.ignore_index)
    checks.per_class("weight", options.weight, num_classes)
    checks.number("label_smoothing", options.label_smoothing)
    if not 0 <= options.label_smoothing <= 1:
        raise ValueError(f"{CALLER}: label_smoothing must be in [0, 1], got {options.label_smoothing}")
    checks.at_least_zero("z_loss", options.z_loss)
    dtype = compute_dtype(dtype)
    checks.softcap(options.softcap, dtype)
    checks.per_row("temperature", options.temperature, shape, dims)
    checks.positive("temperature", options.temperature, dtype=dtype)
    checks.class_prior(options.class_prior, num_classes)
    checks.mask(options.mask, shape)
