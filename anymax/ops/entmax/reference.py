"""Sparse maps in pure torch. Formulas: api.py. Precision policy: _core/scores.py.

The scores z of a row are taken less their maximum, and the map relative to its largest probability P:

    p_i = P e_i,   e_i = [1 + a w_i]_+^(1/a),   w_i = z_i P^-a,   P = 1 / sum_i e_i,   a = alpha - 1

Nothing cancels in it: neither in long rows, where the threshold of the usual form is a difference of numbers near 1,
nor for alpha near 1, where 1/a explodes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anymax._core.context import values_are_readable
from anymax._core.dims import Dims, join, reduced_shape, split
from anymax._core.scores import scores_of

# alpha = 2 needs up to 12 on rows of 50,000 entries, a smaller alpha fewer
NEWTON_STEPS = 20
# each doubles the order up to which derivatives are exact, so to the third
DIFFERENTIABLE_STEPS = 2

Number = float | Tensor


def sparsemax(input: Tensor, dims: Dims, temperature: Number, mask: Tensor | None) -> Tensor:
    return entmax(input, dims, 2.0, temperature, mask)


def entmax(input: Tensor, dims: Dims, alpha: Number, temperature: Number, mask: Tensor | None) -> Tensor:
    values = scores_of(input, dims, temperature=temperature, mask=mask).values
    if values.numel() == 0:
        return values
    rows, axis = join(values, dims)
    z = _below_maximum(rows, axis)
    if not isinstance(alpha, Tensor) and alpha == 2:
        probs = _projected(z, axis)
    else:
        a = _a_of(alpha, values, dims)
        powers = _powers(z, a, torch.exp(-a * _log_top(z, a, alpha, axis)), axis)
        probs = powers.values / powers.total
    probs = split(probs, dims, values.shape)
    return probs if mask is None else torch.where(mask, probs, 0.0)


def _below_maximum(rows: Tensor, axis: int) -> Tensor:
    return rows - rows.detach().amax(axis, keepdim=True)


def _a_of(alpha: Number, values: Tensor, dims: Dims) -> Tensor:
    """alpha - 1 in the dtype of `values`, shaped for their rows; NaN below 0."""
    if not isinstance(alpha, Tensor):
        return values.new_tensor(alpha - 1)
    # subtracted before alpha is rounded
    a = (alpha.to(torch.promote_types(alpha.dtype, values.dtype)) - 1).to(values.dtype)
    a = a * torch.where(a >= 0, 1.0, float("nan"))
    return join(a.expand(reduced_shape(values.shape, dims)), dims)[0]


def _projected(z: Tensor, axis: int) -> Tensor:
    """Sparsemax: on the support of the solution the threshold is a mean."""
    fixed = z.detach()
    threshold = fixed.new_full((), -1.0)
    for _ in range(NEWTON_STEPS):
        threshold = threshold + _excess(fixed, threshold, axis)
    excess = _excess(z, threshold, axis)
    return torch.relu(z - (threshold + (excess - excess.detach())))


def _excess(z: Tensor, threshold: Tensor, axis: int) -> Tensor:
    """By how much the sum of [z - threshold]_+ exceeds 1, over the number of its terms."""
    count = (z > threshold).sum(axis, keepdim=True)
    return (torch.relu(z - threshold).sum(axis, keepdim=True) - 1) / count


class _Powers(NamedTuple):
    logs: Tensor  # log e, 0 where e is 0
    values: Tensor  # e
    total: Tensor  # sum of e
    slope: Tensor  # sum of e^(1 - a)


def _powers(z: Tensor, a: Tensor, c: Tensor, axis: int) -> _Powers:
    """e for c = P^-a."""
    # where 1 + a w is not positive, or e underflows; NaN is inside, so that it spoils its row
    outside = z.detach() * c.detach() * a.detach().clamp(min=1e-3) <= -1
    w = torch.where(outside, 0.0, z) * c
    logs = w * _log_ratio(a * w)
    values = torch.where(outside, 0.0, torch.exp(logs))
    slopes = torch.where(outside, 0.0, torch.exp((1 - a) * logs))
    return _Powers(logs, values, values.sum(axis, keepdim=True), slopes.sum(axis, keepdim=True))


def _log_top(z: Tensor, a: Tensor, alpha: Number, axis: int) -> Tensor:
    """log P, with exact derivatives."""
    log_top = _solved(z.detach(), a.detach(), alpha, axis)
    for _ in range(DIFFERENTIABLE_STEPS):
        # Newton's step for log P + log sum e = 0, which is 0 here but for its derivatives
        powers = _powers(z, a, torch.exp(-a * log_top), axis)
        residual = log_top + powers.total.log()
        log_top = log_top - (residual - residual.detach()) * (powers.total / powers.slope)
    return log_top


def _solved(z: Tensor, a: Tensor, alpha: Number, axis: int) -> Tensor:
    """log P, by Newton's method where it converges, for alpha <= 2, and else by bisection."""
    if not isinstance(alpha, Tensor):
        return _newton(z, a, axis) if alpha <= 2 else _bisection(z, a, axis)
    # a shorter way, not another answer
    if values_are_readable(alpha) and bool((a <= 1).all()):
        return _newton(z, a, axis)
    return torch.where(a <= 1, _newton(z, a.clamp(max=1.0), axis), _bisection(z, a, axis))


def _newton(z: Tensor, a: Tensor, axis: int) -> Tensor:
    """Newton's method for (sum p)^a = 1, which is convex in 1/c: from P = 1 it goes down and never too far."""
    c = torch.ones_like(z.narrow(axis, 0, 1))
    log_total = torch.zeros_like(c)
    for _ in range(NEWTON_STEPS):
        powers = _powers(z, a, c, axis)
        log_total = powers.total.log()
        c = c / (1 - powers.total / powers.slope * (1 - c * torch.exp(-a * log_total)))
    return -log_total


def _bisection(z: Tensor, a: Tensor, axis: int) -> Tensor:
    """Halves the interval of log P until it is as small as a rounding."""
    high = torch.zeros_like(z.narrow(axis, 0, 1))
    low = -torch.ones_like(z).sum(axis, keepdim=True).log()
    for _ in range(60 if z.dtype == torch.float64 else 30):
        middle = (low + high) / 2
        too_high = middle + _powers(z, a, torch.exp(-a * middle), axis).total.log() > 0
        low, high = torch.where(too_high, low, middle), torch.where(too_high, middle, high)
    return (low + high) / 2


def _log_ratio(x: Tensor) -> Tensor:
    """log(1 + x) / x for x > -1, smooth at 0."""
    near = x.abs() < 0.2
    small = torch.where(near, x, 0.0)
    # 2 artanh(x / (2 + x)) / x
    square = (small / (2 + small)).square()
    series = torch.zeros_like(square)
    for odd in range(15, 0, -2):
        series = series * square + 1 / odd
    large = torch.where(near, -0.5, x)
    return torch.where(near, 2 / (2 + small) * series, torch.log(1 + large) / large)


def _exp_ratio(x: Tensor) -> Tensor:
    """(exp(x) - 1) / x, smooth at 0."""
    near = x.abs() < 1
    half = torch.where(near, x, 0.0) / 2
    # exp(x / 2) sinh(x / 2) / (x / 2)
    square = half.square()
    series = torch.ones_like(square)
    for order in range(14, 0, -2):
        series = 1 + series * square / (order * (order + 1))
    large = torch.where(near, 1.0, x)
    return torch.where(near, torch.exp(half) * series, (torch.exp(large) - 1) / large)
