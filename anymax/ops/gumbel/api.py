"""gumbel_softmax, its loss, gumbel_topk and sample: random draws from the softmax of the scores, relaxed or hard."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from anymax._core import checks, random, targets
from anymax._core.context import values_are_readable
from anymax._core.dims import Dim, resolve_one, resolve_or_last
from anymax._core.dispatch import implementation, public
from anymax._core.random import Generator
from anymax._core.results import made_of_parts
from anymax._core.scores import compute_dtype, loss_dtype, map_dtype
from anymax.ops.gumbel import cpu, reference
from anymax.ops.gumbel.reference import ESTIMATORS, RAO, REINMAX, STRAIGHT_THROUGH

EPS = 1e-10
# of the estimator "rao" unless told
NUM_SAMPLES = 10


class GumbelTopK(NamedTuple):
    """In the order of the draws: the ids and their log-probabilities (nats); and the next perturbed score."""

    indices: Tensor
    log_probs: Tensor
    threshold: Tensor


made_of_parts(GumbelTopK)


@public(reference=reference.gumbel_softmax, kernels=(cpu.GumbelSoftmax(),))
def gumbel_softmax(
    logits: Tensor,
    tau: float | Tensor = 1.0,
    hard: bool = False,
    eps: float = EPS,
    dim: Dim | None = None,
    *,
    mask: Tensor | None = None,
    generator: Generator = None,
    estimator: str = STRAIGHT_THROUGH,
    num_samples: int | None = None,
) -> Tensor:
    r"""Draw a relaxed one-hot sample of softmax(logits): the softmax of scores plus Gumbel noise.

    .. math:: y = \mathrm{softmax}\big((x + G) / \tau\big), \quad G_i = -\log E_i, \; E_i \sim \mathrm{Exp}(1)

    With `hard` the value is the one-hot vector D of the largest :math:`x_i + G_i`, which is i with probability
    :math:`\mathrm{softmax}(x)_i` for every tau, and `estimator` says what stands for its gradient. With
    :math:`J(p) = \mathrm{diag}(p) - p p^\top` and the upstream gradient g, the scores get

    .. math::
        \tfrac{1}{\tau} J(y)\, g \;\text{(straight-through)}, \quad
        2 J\big(\tfrac{D + \mathrm{softmax}(x / \tau)}{2}\big)\, g - \tfrac{1}{2} J(\mathrm{softmax}(x))\, g
        \;\text{(reinmax)}, \quad
        \tfrac{1}{K \tau} \sum_{k=1}^{K} J(y^k)\, g \;\text{(rao)}

    where :math:`y^k` are soft samples whose noise is drawn anew given D: the mean is that of straight-through, with
    less variance. Only ReinMax at tau = 1 is right for every quadratic objective, and none is for all.

    Args:
        logits: scores (nats), floating point, any shape.
        tau: temperature > 0, a number or a tensor that broadcasts and has size 1 along `dim`. At least 1 for "reinmax".
        hard: return exactly one-hot samples.
        eps: stands for torch's positional order only; any value but the default is an error.
        dim: the axes that compete, as in :func:`anymax.softmax`. None takes the last axis, as torch does, with an
            `ImplicitDimWarning` from rank 3 on.
        mask: boolean, broadcasts against `logits`; True takes part.
        generator: where the seed comes from: a CPU torch.Generator, None (torch's default CPU generator, on every
            device), or a 0-d int64 tensor that is the seed, which also works inside compiled code and transforms.
        estimator: "straight-through", "reinmax" or "rao"; for hard samples.
        num_samples: K of "rao"; None is 10.

    Returns:
        A sample of the input's shape and dtype; noise and softmax are computed in float32 (float64 for float64). A
        row whose mask is all False is 0. The noise of element i is word i of the seed, i its row-major index, and that
        of sample k = 1, ..., K of "rao" is word k * logits.numel() + i. It has 32 bits: a class of odds 1e-10 is drawn
        about a fifth too rarely. A tau that learns gets the gradient of the soft samples, which the hard sample does
        not depend on; with "reinmax" it gets none.

    Raises:
        As :func:`anymax.softmax`. ValueError: an estimator without `hard`, or `num_samples` without "rao".

    Example:
        >>> _ = torch.manual_seed(0)
        >>> anymax.gumbel_softmax(torch.zeros(2, 3), hard=True, dim=1).sum(1)
        tensor([1., 1.])

    Source: Jang et al. 2016, arXiv 1611.01144; Maddison et al. 2016, arXiv 1611.00712; Liu et al. 2023, arXiv
    2304.08612 (ReinMax); Paulus et al. 2020, arXiv 2010.04838 (Gumbel-Rao).
    """
    checks.floating("logits", logits)
    if eps != EPS:
        raise ValueError(
            f"gumbel_softmax: eps has no effect and stands here for torch's positional order only, got {eps!r}; "
            "the axis is a keyword: gumbel_softmax(logits, tau, hard, dim=...)"
        )
    checks.flag("hard", hard, "; the axis is a keyword: gumbel_softmax(logits, tau, dim=...)")
    dims = resolve_or_last("gumbel_softmax", dim, logits.shape)
    checks.per_row("tau", tau, logits.shape, dims)
    dtype = compute_dtype(logits.dtype)
    checks.positive("tau", tau, "; write hard=True for one-hot samples, logits.argmax(dim) for no noise", dtype)
    checks.mask(mask, logits.shape)
    random.check_generator(generator)
    if estimator != STRAIGHT_THROUGH or num_samples is not None:
        tau = _check_estimator(estimator, num_samples, hard, tau)
        num_samples = num_samples or NUM_SAMPLES
    seed = random.seed_from(generator)
    drawn = implementation("gumbel_softmax")(logits, dims, tau, hard, mask, seed, estimator, num_samples)
    wanted = map_dtype(logits)
    return drawn if drawn.dtype == wanted else drawn.to(wanted)


def _check_estimator(estimator: str, num_samples: int | None, hard: bool, tau: float | Tensor) -> float | Tensor:
    """tau, NaN where it does not fit the estimator and its values cannot be read."""
    checks.one_of("estimator", estimator, ESTIMATORS)
    if num_samples is not None:
        checks.count("num_samples", num_samples)
        if estimator != RAO:
            raise ValueError(
                f"gumbel_softmax: num_samples is for estimator='rao', got {num_samples} for {estimator!r}; "
                "draw more samples by logits.expand(num_samples, *logits.shape)"
            )
    if not hard:
        raise ValueError(
            f"gumbel_softmax: an estimator is for hard samples, got estimator={estimator!r} with hard=False, whose "
            "gradient is exact; write hard=True"
        )
    if estimator == REINMAX and not (isinstance(tau, Tensor) and tau.numel() == 0):
        if not isinstance(tau, Tensor) or values_are_readable(tau):
            lowest = tau.detach().amin().item() if isinstance(tau, Tensor) else tau
            if lowest < 1:
                raise ValueError(
                    f"gumbel_softmax: tau must be at least 1 for estimator='reinmax', got {lowest}; tau=1 is right for "
                    "quadratic objectives"
                )
        else:
            tau = torch.where(tau >= 1, tau, math.nan)
    return tau


@public(reference=reference.sample, kernels=(cpu.Sample(),))
def sample(
    input: Tensor,
    dim: Dim,
    *,
    num_samples: int | None = None,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    generator: Generator = None,
) -> Tensor:
    r"""Draw class ids with the probabilities softmax(input / temperature) along one axis.

    .. math:: k = \arg\max_i (x_i / T + G_i), \quad P(k = i) = \mathrm{softmax}(x / T)_i

    Args:
        input: scores (nats), floating point, any shape; for probabilities p pass p.log().
        dim: the axis of the classes.
        num_samples: draw this many ids per row, with replacement, along a new first axis. None draws one, without
            that axis.
        temperature: T > 0, as in :func:`anymax.softmax`.
        mask: boolean, broadcasts against `input`; only classes under True are drawn. `keep_mask` makes top-k, top-p
            and min-p masks.
        generator: as in :func:`anymax.gumbel_softmax`.

    Returns:
        int64 ids of the input's shape without `dim`, after a first axis of `num_samples`. Sample k of element i uses
        the random word k * input.numel() + i.

    Raises:
        ValueError: also for a row from which nothing can be drawn (all masked or -inf, or with NaN or +inf). Where
            values cannot be read (compiled code, transforms, accelerators) such a row's id is -1.

    Example:
        >>> anymax.sample(torch.tensor([[0.0, 99.0], [99.0, 0.0]]), dim=1)
        tensor([1, 0])

    Source: Gumbel 1954 (the Gumbel-max trick).
    """
    checks.floating("input", input)
    dims = resolve_one(dim, input.ndim)
    (axis,) = dims.axes
    if input.ndim and input.shape[axis] == 0:
        raise ValueError(f"sample: nothing can be drawn along axis {dims.label(axis)} of size 0")
    if num_samples is not None:
        checks.count("num_samples", num_samples)
    checks.per_row("temperature", temperature, input.shape, dims)
    checks.positive("temperature", temperature, dtype=compute_dtype(input.dtype))
    checks.mask(mask, input.shape)
    random.check_generator(generator)
    seed = random.seed_from(generator)
    ids = implementation("sample")(input, dims, num_samples, temperature, mask, seed)
    if values_are_readable(input) and bool((ids < 0).any()):
        raise ValueError(
            f"sample: {int((ids < 0).sum())} of {ids.numel()} rows define no probabilities: every score masked or "
            "-inf, or one of them NaN or +inf"
        )
    return ids


@public(reference=reference.gumbel_topk, kernels=(cpu.GumbelTopK(),))
def gumbel_topk(
    logits: Tensor,
    k: int,
    dim: Dim,
    *,
    mask: Tensor | None = None,
    generator: Generator = None,
) -> GumbelTopK:
    r"""Draw k different class ids in order, each with the probabilities softmax(logits) of those that are left.

    The k largest perturbed scores :math:`x_i + G_i`, the largest first, are such a sample:

    .. math::
        \log P(i_1, \ldots, i_k) = \sum_{j=1}^{k} \Big( x_{i_j}
            - \log \sum_{i \notin \{i_1, \ldots, i_{j-1}\}} e^{x_i} \Big)

    with G as in :func:`anymax.gumbel_softmax`. Given the threshold :math:`\kappa`, the (k+1)-th largest, class i is
    among the first k with probability :math:`q_i = 1 - \exp(-e^{x_i - \kappa})`, so that
    :math:`\sum_j \mathrm{softmax}(x)_{i_j} f(i_j) / q_{i_j}` is an unbiased estimate of the mean of f under
    softmax(x).

    Args:
        logits: scores (nats), floating point, any shape; for probabilities p pass p.log().
        k: how many, at least 1 and at most the size of the axis.
        dim: the axis of the classes.
        mask: boolean, broadcasts against `logits`; only classes under True are drawn.
        generator: as in :func:`anymax.gumbel_softmax`.

    Returns:
        `GumbelTopK(indices, log_probs, threshold)`. `indices`: int64, k along `dim`, in the order of the draws.
        `log_probs`: the k terms of the sum, differentiable; their sum along `dim` is the log-probability of the
        ordered sample. `threshold`: :math:`\kappa`, of size 1 along `dim`, -inf where all that takes part was drawn;
        its gradient is that of the one score it is made of, so detach it where it makes weights. Both in the logits'
        dtype (at least float32 under autocast). The noise of element i is word i of the seed.

    Raises:
        ValueError: k out of range, or a row with fewer than k classes to draw (the others masked or -inf), or with NaN
            or +inf. Where values cannot be read (compiled code, transforms, accelerators) such a row's ids are -1 and
            its log-probabilities and threshold NaN.

    Example:
        >>> drawn = anymax.gumbel_topk(torch.tensor([[0.0, 99.0, 50.0]]), 2, dim=1)
        >>> drawn.indices
        tensor([[1, 2]])
        >>> log_prob = drawn.log_probs.sum(1)

    Source: Kool et al. 2019, arXiv 1903.06059; Vieira 2014, "Gumbel-max trick and weighted reservoir sampling".
    """
    checks.floating("logits", logits)
    checks.count("k", k)
    dims = resolve_one(dim, logits.ndim)
    (axis,) = dims.axes
    size = logits.shape[axis] if logits.ndim else 1
    if k > size:
        raise ValueError(
            f"gumbel_topk: k must be at most the size of axis {dims.label(axis)}, which is {size}, got {k}"
        )
    checks.mask(mask, logits.shape)
    random.check_generator(generator)
    seed = random.seed_from(generator)
    indices, *values = implementation("gumbel_topk")(logits, dims, k, mask, seed)
    if values_are_readable(logits) and bool((indices < 0).any()):
        bad = int((indices < 0).sum()) // k
        raise ValueError(
            f"gumbel_topk: {bad} of {indices.numel() // k} rows have fewer than k = {k} classes to draw (the others "
            "masked or -inf), or NaN or +inf among them"
        )
    dtype = loss_dtype(logits)
    return GumbelTopK(indices, *(value.to(dtype) for value in values))


@public(reference=reference.gumbel_softmax_loss)
def gumbel_softmax_loss(
    input: Tensor,
    target: Tensor,
    *,
    dim: Dim | None = None,
    tau: float | Tensor = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    generator: Generator = None,
) -> Tensor:
    r"""Measure how many nats a relaxed Gumbel-softmax sample of the scores needs for the target, in log space.

    .. math:: \ell = -\log \mathrm{softmax}\big((x + G) / \tau\big)_y

    with G as in :func:`anymax.gumbel_softmax`. The loss of :class:`anymax.nn.GumbelSoftmaxHead`. It is not a consistent
    estimate of the law softmax(x): at tau = 1 a true (.7, .2, .1) is learnt as (.82, .13, .05), at tau = .1 right to
    1e-5.

    Args:
        input, target, dim, ignore_index, reduction: as in :func:`anymax.cross_entropy`.
        tau, generator: as in :func:`anymax.gumbel_softmax`.

    Returns:
        As :func:`anymax.cross_entropy`.

    Raises:
        As :func:`anymax.cross_entropy` and :func:`anymax.gumbel_softmax`.

    Example:
        >>> from anymax.ops.gumbel.api import gumbel_softmax_loss
        >>> loss = gumbel_softmax_loss(torch.tensor([[50.0, 0.0]]), torch.tensor([0]), tau=0.5)
        >>> bool(loss < 1e-6)
        True

    Source: Jang et al. 2016, arXiv 1611.01144.
    """
    checks.one_of("reduction", reduction, targets.REDUCTIONS)
    checks.floating("input", input)
    dims = targets.class_axis(dim, input.ndim)
    (axis,) = dims.axes
    checks.integer("ignore_index", ignore_index)
    checks.per_row("tau", tau, input.shape, dims)
    checks.positive("tau", tau)
    target = targets.as_target(target, ignore_index)
    targets.check_shape(target, input.shape, dims, dim)
    random.check_generator(generator)
    seed = random.seed_from(generator)
    loss = implementation("gumbel_softmax_loss")(input, target, dims, tau, ignore_index, reduction, seed)
    targets.check_values(target, input.shape[axis], axis, ignore_index, loss)
    return loss.to(loss_dtype(input))
