"""Gumbel-softmax and Gumbel-max in pure torch. Formulas: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

import torch
from torch import Tensor

from anymax._core import random
from anymax._core.dims import Dims, join, split
from anymax._core.scores import compute_dtype, scores_of
from anymax.ops.cross_entropy import reference as cross_entropy_reference
from anymax.ops.cross_entropy.reference import Options


def gumbel_softmax(
    logits: Tensor, dims: Dims, tau: float | Tensor, hard: bool, mask: Tensor | None, seed: Tensor
) -> Tensor:
    noisy = perturbed(_from_maximum(scores_of(logits, dims, mask=mask).values, dims), seed)
    rows, axis = join(scores_of(noisy, dims, temperature=tau).values, dims)
    sample = torch.softmax(rows, axis)
    if hard and sample.numel() > 0:
        # decided before the temperature, whose rounding would make ties
        winner = join(noisy, dims)[0].argmax(axis, keepdim=True)
        one_hot = torch.zeros_like(sample).scatter(axis, winner, 1.0)
        # y - y is exactly 0, and NaN where the row is spoilt
        sample = one_hot + (sample - sample.detach())
    sample = split(sample, dims, logits.shape)
    return sample if mask is None else torch.where(mask, sample, 0.0)


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
    return scores - scores.amax(dims.axes, keepdim=True).detach()
