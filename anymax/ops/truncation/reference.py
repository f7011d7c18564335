"""Which classes to keep before sampling, in pure torch. Rules: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

import torch
from torch import Tensor

from anymax._core.scores import INFINITY, along, compute_dtype


def keep_mask(input: Tensor, axis: int, top_k: int | None, top_p: float | None, min_p: float | None) -> Tensor:
    scores = input.detach().to(compute_dtype(input.dtype))
    ordered, order = scores.sort(dim=axis, descending=True, stable=True)
    rank = along(torch.arange(scores.shape[axis], device=scores.device), scores.ndim, axis)
    kept = ordered > -INFINITY
    if top_k is not None:
        kept = kept & (rank < top_k)
    if top_p is not None and top_p < 1:
        # The mass before a class decides, so that the class which crosses top_p stays. A sum that reaches top_p on
        # paper may be short of it by the rounding of its terms; the first class stays however small top_p is.
        probs = torch.where(kept, ordered, -INFINITY).double().softmax(axis)
        before = probs.cumsum(axis).roll(1, axis)
        kept = kept & ((rank == 0) | (before < top_p - scores.shape[axis] * 2.0**-52))
    if min_p is not None:
        # a ratio to the largest probability, the same before and after renormalising
        kept = kept & ((ordered - ordered.narrow(axis, 0, min(1, ordered.shape[axis]))).exp() >= min_p)
    # NaN and +inf leave no probabilities: nothing is kept
    kept = kept & ~(ordered.isnan() | (ordered == INFINITY)).any(axis, keepdim=True)
    return torch.zeros_like(kept).scatter(axis, order, kept)
