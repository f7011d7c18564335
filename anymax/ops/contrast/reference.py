"""InfoNCE in pure torch. Formula: api.py.

Precision policy: the products of queries and keys and everything after are computed in at least float32, also under
autocast: a score of 14 (a cosine of 1 at a temperature of .07) rounded to bfloat16 is off by up to .03.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from anymax._core.scores import INFINITY, autocast_is_on
from anymax._core.targets import reduce, spoilt_unless


class Pairs(NamedTuple):
    """Which query and key belong together and which are compared, checked; `target` is None for query i and key i."""

    target: Tensor | None  # (..., B)
    log_q: Tensor | None  # broadcasts against (..., N)
    key_ids: Tensor | None  # broadcasts against (..., N)
    mask: Tensor | None  # broadcasts against (..., B, N)
    symmetric: bool


def info_nce(query: Tensor, key: Tensor, pairs: Pairs, reduction: str) -> Tensor:
    """The loss of queries that are divided by the temperature, and of keys, both in the dtype of the computation."""
    with torch.autocast(query.device.type, enabled=False) if autocast_is_on(query) else nullcontext():
        scores = query @ key.mT
    if pairs.log_q is not None:
        scores = scores - pairs.log_q.to(scores.dtype).unsqueeze(-2)
    safe, valid = positives(pairs, scores)
    compared = takes_part(pairs, safe, key.shape[-2])
    rows = _losses(scores, safe, compared)
    if pairs.symmetric:
        # the column of each row's positive, in the order of the rows
        columns = safe.unsqueeze(-2).expand(scores.shape)
        in_order = None if compared is None else compared.expand(scores.shape).gather(-1, columns).mT
        row = torch.arange(query.shape[-2], device=query.device).expand(safe.shape)
        rows = (rows + _losses(scores.gather(-1, columns).mT, row, in_order)) / 2
    return reduce(spoilt_unless(valid, rows), reduction, torch.ones_like(valid))


def positives(pairs: Pairs, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The key of each query, in range, and whether it is what it has to be."""
    *lead, num_queries, num_keys = scores.shape
    target = pairs.target
    if target is None:
        own = torch.arange(num_queries, device=scores.device).expand(*lead, num_queries)
        return own, torch.ones_like(own, dtype=torch.bool)
    inside = (target >= 0) & (target < num_keys)
    safe = torch.where(inside, target, 0)
    if not pairs.symmetric:
        return safe, inside
    times = torch.zeros_like(safe).scatter_add(-1, safe, torch.ones_like(safe))
    return safe, inside & (times.gather(-1, safe) == 1)


def takes_part(pairs: Pairs, safe: Tensor, num_keys: int) -> Tensor | None:
    """Which keys each query is compared with: those of the mask that are no copy of its positive."""
    if pairs.key_ids is None:
        return pairs.mask
    ids = pairs.key_ids.expand(*safe.shape[:-1], num_keys)
    copy = ids.unsqueeze(-2) == ids.gather(-1, safe).unsqueeze(-1)
    own = torch.arange(num_keys, device=safe.device) == safe.unsqueeze(-1)
    return ~copy | own if pairs.mask is None else pairs.mask & (~copy | own)


def _losses(scores: Tensor, target: Tensor, compared: Tensor | None) -> Tensor:
    """-log softmax at the target along the last axis; +inf, without a gradient, where the target does not take part."""
    index = target.unsqueeze(-1)
    if compared is None:
        return -torch.log_softmax(scores, -1).gather(-1, index).squeeze(-1)
    alive = compared.expand(scores.shape).gather(-1, index)
    scores = torch.where(compared & alive, scores, torch.where(alive, -INFINITY, 0.0).to(scores.dtype))
    costs = -torch.log_softmax(scores, -1).gather(-1, index)
    return torch.where(alive, costs, INFINITY).squeeze(-1)
