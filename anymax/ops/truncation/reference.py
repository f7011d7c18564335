"""Which classes to keep before sampling, in pure torch. Rules: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

import torch
from torch import Tensor

from anymax._core.scores import INFINITY, along, compute_dtype


def keep_mask(input: Tensor, axis: int, top_k: int | None, top_p: float | None, min_p: float | None) -> Tensor:
    scores = input.detach().to(compute_dtype(input.dtype))
    ordered, order = scores.sort(dim=axis, descending=True, stable=True)
    kept = ordered > -INFINITY
    if top_k is not None:
        rank = torch.arange(scores.shape[axis], device=scores.device)
        kept = kept & along(rank < top_k, scores.ndim, axis)
    if top_p is not None:
        probs = torch.where(kept, ordered, -INFINITY).softmax(axis)
        # the mass before a class decides, so that the class which crosses top_p stays
        kept = kept & (probs.cumsum(axis) - probs < top_p)
    if min_p is not None:
        # a ratio to the largest probability, the same before and after renormalising
        kept = kept & ((ordered - ordered.narrow(axis, 0, min(1, ordered.shape[axis]))).exp() >= min_p)
    # NaN and +inf define no law: nothing is kept
    kept = kept & ~(ordered.isnan() | (ordered == INFINITY)).any(axis, keepdim=True)
    return torch.zeros_like(kept).scatter(axis, order, kept)
