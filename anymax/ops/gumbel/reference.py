"""Gumbel-softmax, Gumbel-max and Gumbel top-k in pure torch. Formulas: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anymax._core import random
from anymax._core.dims import Dims, join, split
from anymax._core.scores import INFINITY, compute_dtype, scores_of, top_of
from anymax.ops.cross_entropy import reference as cross_entropy_reference
from anymax.ops.cross_entropy.reference import Options

STRAIGHT_THROUGH, REINMAX, RAO = ESTIMATORS = ("straight-through", "reinmax", "rao")


def gumbel_softmax(
    logits: Tensor,
    dims: Dims,
    tau: float | Tensor,
    hard: bool,
    mask: Tensor | None,
    seed: Tensor,
    estimator: str = STRAIGHT_THROUGH,
    num_samples: int = 0,
) -> Tensor:
    scores = _from_maximum(scores_of(logits, dims, mask=mask).values, dims)
    noisy = perturbed(scores, seed)
    one_hot = _one_hot(noisy, dims) if hard and logits.numel() > 0 else None
    if one_hot is None or estimator == STRAIGHT_THROUGH:
        sample = _softmax(noisy, dims, tau)
    elif estimator == REINMAX:
        sample = _reinmax(scores, one_hot, dims, tau)
    else:
        sample = _rao(scores, one_hot, dims, tau, num_samples, seed)
    if one_hot is not None:
        # y - y is exactly 0, and NaN where the row is spoilt
        sample = one_hot + (sample - sample.detach())
    return sample if mask is None else torch.where(mask, sample, 0.0)


def _one_hot(scores: Tensor, dims: Dims) -> Tensor:
    """Of the largest score, the first of equal ones; without the temperature, whose rounding would make ties."""
    rows, axis = join(scores, dims)
    winner = rows.argmax(axis, keepdim=True)
    return split(torch.zeros_like(rows).scatter(axis, winner, 1.0), dims, scores.shape)


def _softmax(scores: Tensor, dims: Dims, tau: float | Tensor) -> Tensor:
    rows, axis = join(scores_of(scores, dims, temperature=tau).values, dims)
    return split(torch.softmax(rows, axis), dims, scores.shape)


def _reinmax(scores: Tensor, one_hot: Tensor, dims: Dims, tau: float | Tensor) -> Tensor:
    """What has the Jacobian 2 J(p) - J(softmax(x)) / 2, where p is halfway from the sample to softmax(x / tau)."""
    middle = (one_hot + _softmax(scores, dims, tau)).detach() / 2
    # p as a softmax of scores, without the log of an entry that is 0
    weight = middle * _moves(scores).exp()
    return 2 * weight / weight.sum(dims.axes, keepdim=True) - 0.5 * _softmax(scores, dims, 1.0)


def _rao(scores: Tensor, one_hot: Tensor, dims: Dims, tau: float | Tensor, num_samples: int, seed: Tensor) -> Tensor:
    """The mean of soft samples whose noise, a constant, is drawn given that the hard sample is what it is."""
    shape = scores.shape
    if dims.ndim == 0:
        scores, one_hot, dims = scores.reshape(1), one_hot.reshape(1), Dims(1, (0,))
    # the words of the hard sample are the first
    words = random.words(seed, (num_samples + 1, *scores.shape), scores.device)[1:]
    noise = random.gumbel(words, scores.dtype)
    fixed = scores.detach()
    log_z = torch.logsumexp(fixed, dims.axes, keepdim=True)
    dims = Dims(dims.ndim + 1, tuple(axis + 1 for axis in dims.axes))
    top = log_z + (one_hot * noise).sum(dims.axes, keepdim=True)
    others = -torch.logaddexp(-(fixed + noise), -top)
    noisy = torch.where(one_hot == 1, top, others) + _moves(scores)
    return _softmax(noisy, dims, tau).mean(0).reshape(shape)


def _moves(scores: Tensor) -> Tensor:
    """0, with the derivative of the scores; that of -inf is none."""
    finite = torch.where(scores == -INFINITY, 0.0, scores)
    return finite - finite.detach()


def sample(
    input: Tensor,
    dims: Dims,
    num_samples: int | None,
    temperature: float | Tensor,
    mask: Tensor | None,
    seed: Tensor,
) -> Tensor:
    """Ids along a leading axis of samples where `num_samples` is given; -1 for rows without probabilities."""
    scores = scores_of(input, dims, temperature=temperature, mask=mask, keep_dead_rows=True).values
    scores, axis = join(_from_maximum(scores, dims), dims)
    shape = scores.shape if num_samples is None else (num_samples, *scores.shape)
    noise = random.gumbel(random.words(seed, shape, input.device), scores.dtype)
    # counted from the end, behind the axis of the samples
    ids = (scores + noise).argmax(axis - scores.ndim)
    return torch.where(scores.isnan().any(axis), -1, ids)


def gumbel_topk(logits: Tensor, dims: Dims, k: int, mask: Tensor | None, seed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, log-probabilities and threshold; -1, NaN and NaN in a row from which k cannot be drawn."""
    scores = scores_of(logits, dims, mask=mask, keep_dead_rows=True).values
    shifted = _from_maximum(scores, dims)
    noisy, axis = join(perturbed(shifted, seed), dims)
    # stable: among equal ones the lowest index
    values, order = noisy.detach().sort(dim=axis, descending=True, stable=True)
    bad = noisy.isnan().any(axis, keepdim=True) | (values.narrow(axis, k - 1, 1) == -INFINITY)
    ids = torch.where(bad, -1, order.narrow(axis, 0, k))
    log_probs = plackett_luce(join(shifted, dims)[0], axis, ids)
    threshold = torch.full_like(values.narrow(axis, 0, 1), -INFINITY)
    if k < order.shape[axis]:
        top = join(scores, dims)[0].amax(axis, keepdim=True).detach()
        threshold = noisy.gather(axis, order.narrow(axis, k, 1))
        threshold = torch.where(threshold == -INFINITY, -INFINITY, threshold + top)
    # factors, not choices: they spoil the gradient too
    spoilt = torch.where(bad, math.nan, 1.0)
    ids, log_probs, threshold = (
        split(part, dims, logits.shape) for part in (ids, log_probs * spoilt, threshold * spoilt)
    )
    return ids, log_probs, threshold


def plackett_luce(scores: Tensor, axis: int, ids: Tensor) -> Tensor:
    """The log-probability of each id given those before it, which are gone."""
    ids = ids.clamp(min=0)
    rest = torch.where(torch.zeros_like(scores, dtype=torch.bool).scatter(axis, ids, True), -INFINITY, scores)
    return log_probs_of(scores.gather(axis, ids), _logsumexp(rest, axis), axis)


def log_probs_of(picked: Tensor, log_rest: Tensor, axis: int) -> Tensor:
    """Each picked score minus the log of the sum of e^score over it, those picked later and the rest.

    By sums alone, so that nothing cancels where the first ones have nearly all of the probability; they double their
    length from step to step.
    """
    sums = torch.cat([picked, log_rest], axis)
    count = sums.shape[axis]
    step = 1
    while step < count:
        pairs = torch.stack([sums.narrow(axis, 0, count - step), sums.narrow(axis, step, count - step)])
        sums = torch.cat([torch.logsumexp(pairs, 0), sums.narrow(axis, count - step, step)], axis)
        step *= 2
    return picked - sums.narrow(axis, 0, count - 1)


def _logsumexp(scores: Tensor, axis: int) -> Tensor:
    """-inf, and no derivative, of nothing but -inf."""
    nothing = scores.detach().amax(axis, keepdim=True) == -INFINITY
    found = torch.logsumexp(torch.where(nothing, 0.0, scores), axis, keepdim=True)
    return torch.where(nothing, -INFINITY, found)


def gumbel_softmax_loss(
    input: Tensor,
    target: Tensor,
    dims: Dims,
    tau: float | Tensor,
    ignore_index: int,
    reduction: str,
    seed: Tensor,
) -> Tensor:
    noisy = perturbed(_from_maximum(scores_of(input, dims).values, dims), seed)
    options = Options(ignore_index=ignore_index, temperature=tau)
    return cross_entropy_reference.cross_entropy(noisy, target, dims, options, reduction)


def perturbed(scores: Tensor, seed: Tensor) -> Tensor:
    """Scores plus standard Gumbel noise, one word per element in row-major order, in the compute dtype."""
    dtype = compute_dtype(scores.dtype)
    return scores.to(dtype) + random.gumbel(random.words(seed, scores.shape, scores.device), dtype)


def _from_maximum(scores: Tensor, dims: Dims) -> Tensor:
    """Scores minus their row's maximum: 0 or less, and NaN in a row that has no finite maximum."""
    if scores.numel() == 0:
        return scores
    return scores - top_of(scores, dims.axes)
