"""The temperature under which held-out targets cost least."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from anymax.ops.entmax.api import entmax

TOLERANCE = 1e-7  # of log T
MOST_STEPS = 100  # halving alone needs 27 for the usual range
CHUNK = 1 << 21  # scores that are held in float64 at a time

# the slope of the loss at a log b, and the slope of that
Slope = Callable[[float], tuple[float, float]]


class Fitted(NamedTuple):
    """The best temperature, and whether it lies at or beyond the end of those that were searched."""

    temperature: float
    at_bound: bool


def fit_temperature(
    batches: Iterable[tuple[Tensor, Tensor]], coldest: float, hottest: float, alpha: float = 1.0
) -> Fitted | None:
    """The temperature with the least loss; None where that is finite at none, or there are no rows.

    With b = 1 / T and p = entmax(b z), the mean loss is convex in b: its derivative is the mean of <p, z> - z_target,
    and the derivative of that the mean of sum q (z - m)^2, which is at least 0, with q = p^(2 - alpha) on the support
    and m the mean of z under q. So the root is bracketed, and there is none only where the derivative has one sign over
    the whole range: where colder is always better (every row is right) or hotter is (the scores point away from the
    targets).

    Args:
        batches: scores (rows, C) and class ids (rows,), gone through once for each step of the search.
        coldest, hottest: the ends of the range.
        alpha: of the map and its loss: 1 is softmax and cross-entropy.
    """

    def slope(log_b: float) -> tuple[float, float]:
        b, rows, first, second = math.exp(log_b), 0, 0.0, 0.0
        for scores, target in batches:
            size = max(1, CHUNK // max(1, scores.shape[-1]))
            for z, ids in zip(scores.split(size), target.split(size), strict=True):
                z = z.double()
                p = (b * z).softmax(-1) if alpha == 1 else entmax(b * z, -1, alpha=alpha)
                # 0 times a score of -inf, a masked class, is 0
                finite = torch.where(p > 0, z, 0.0)
                q = torch.where(p > 0, p ** (2 - alpha), 0.0)
                mean = (q * finite).sum(-1, keepdim=True) / q.sum(-1, keepdim=True)
                rows += len(ids)
                first += float(((p * finite).sum(-1) - z.gather(-1, ids[:, None])[:, 0]).sum())
                second += float((q * (finite - mean).square()).sum())
        return (first / rows, b * second / rows) if rows else (math.nan, math.nan)

    return _root(slope, -math.log(hottest), -math.log(coldest))


def _root(slope: Slope, low: float, high: float) -> Fitted | None:
    """Newton's method in log b, kept inside a bracket that is halved wherever it would be slower than that."""
    at_low, at_high = slope(low)[0], slope(high)[0]
    if not (math.isfinite(at_low) and math.isfinite(at_high)):
        return None
    if at_low >= 0:
        return Fitted(math.exp(-low), True)
    if at_high <= 0:
        return Fitted(math.exp(-high), True)
    log_b, before = min(max(0.0, low), high), high - low
    for _ in range(MOST_STEPS):
        value, rise = slope(log_b)
        low, high = (log_b, high) if value < 0 else (low, log_b)
        step = -value / rise if rise > 0 else math.inf
        if not low < log_b + step < high or abs(step) > before / 2:
            step = (low + high) / 2 - log_b
        log_b, before = log_b + step, abs(step)
        if before < TOLERANCE:
            break
    return Fitted(math.exp(-log_b), False)
