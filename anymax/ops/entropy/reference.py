"""Entropy in pure torch. Formula: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

import torch
from torch import Tensor

from anymax._core.dims import Dims, join
from anymax._core.scores import INFINITY, entropy_of, scores_of


def entropy(input: Tensor, dims: Dims, temperature: float | Tensor, mask: Tensor | None) -> Tensor:
    """The result is without the competing axes."""
    rows, axis = join(scores_of(input, dims, temperature=temperature, mask=mask).values, dims)
    log_probs = torch.log_softmax(rows, axis)
    if mask is not None:
        log_probs = torch.where(join(mask.expand(input.shape), dims)[0], log_probs, -INFINITY)
    return entropy_of(log_probs, axis)
