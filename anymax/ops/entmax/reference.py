"""Sparse maps and their losses in pure torch. Formulas: api.py. Precision policy: _core/scores.py.

The scores z of a row are taken less their maximum, and the map relative to its largest probability P:

    p_i = P e_i,   e_i = [1 + a w_i]_+^(1/a),   w_i = z_i P^-a,   P = 1 / sum_i e_i,   a = alpha - 1

Nothing cancels in it: neither in long rows, where the threshold of the usual form is a difference of numbers near 1,
nor for alpha near 1, where 1/a explodes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anymax._core import library
from anymax._core.context import is_exporting, transforms_active, values_are_readable
from anymax._core.dims import Dims, join, reduced_shape, split
from anymax._core.scores import INFINITY, along, scores_of, times
from anymax._core.targets import Ids, look_up, reduce, simplex_rows, spoilt_unless

# alpha = 2 needs up to 12 on rows of 50,000 entries, a smaller alpha fewer
NEWTON_STEPS = 20
# each doubles the order up to which derivatives are exact, so to the third
DIFFERENTIABLE_STEPS = 2

Number = float | Tensor


class Options(NamedTuple):
    """What shapes the scores and the loss of a row."""

    weight: Tensor | None = None
    ignore_index: int = -100
    temperature: Number = 1.0
    mask: Tensor | None = None


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


def sparsemax_loss(input: Tensor, target: Tensor, dims: Dims, options: Options, reduction: str) -> Tensor:
    return entmax_loss(input, target, dims, 2.0, options, reduction)


def entmax_loss(input: Tensor, target: Tensor, dims: Dims, alpha: Number, options: Options, reduction: str) -> Tensor:
    (axis,) = dims.axes
    mask, weight = options.mask, options.weight
    values = scores_of(input, dims, temperature=options.temperature, mask=mask).values
    # a row in which nothing takes part holds zeros, and its target is masked as well
    of_target = values if mask is None else torch.where(mask, values, -INFINITY)
    if target.is_floating_point():
        target = target.to(values.dtype)
        target = spoilt_unless(simplex_rows(target, axis), target)
        loss = _loss_of_probabilities(values, of_target, target, axis, alpha, _a_of(alpha, values, dims))
        counted = torch.ones_like(loss)
        if weight is not None:
            loss = times((along(weight.to(values.dtype), values.ndim, axis) * target).sum(axis), loss)
        return reduce(loss, reduction, counted)
    ids = look_up(target, values.shape[axis], options.ignore_index)
    loss = _loss_of_ids(values, of_target, ids, axis, alpha, _a_of(alpha, values, dims))
    row_weight = ids.counted.to(values.dtype)
    if weight is not None:
        row_weight = row_weight * weight.to(values.dtype)[ids.safe]
        loss = times(row_weight, loss)
    return reduce(torch.where(ids.counted, loss, 0.0), reduction, row_weight)


def _loss_of_ids(values: Tensor, of_target: Tensor, ids: Ids, axis: int, alpha: Number, a: Tensor) -> Tensor:
    at = ids.safe.unsqueeze(axis)
    own = of_target.gather(axis, at)
    lost = own == -INFINITY
    is_own = along(torch.arange(values.shape[axis], device=values.device), values.ndim, axis) == at
    # Less the target's score, which itself becomes a constant: its derivative is then the sum of the others', where
    # p - 1 would cancel. (inf - inf spoils the row.)
    own = torch.where(lost, 0.0, own)
    rows = torch.where(is_own, torch.where(lost, -INFINITY, (own - own).detach()), values - own)
    # whatever an ignored row holds
    z = _below_maximum(torch.where(ids.counted.unsqueeze(axis), rows, 0.0), axis)
    conjugate = _conjugate(z, a, alpha, axis)
    probs = conjugate.probs
    others = torch.where(is_own, 0.0, probs)
    price = conjugate.level - z.detach().gather(axis, at)
    one = torch.ones_like(price)
    value = (others ** (1 + a.detach())).sum(axis, keepdim=True) / (1 + a.detach())
    value = value + _divergence(one, probs.gather(axis, at), others.sum(axis, keepdim=True), price, a.detach())
    # a masked target is lost also where nothing takes part
    value = torch.where(lost, INFINITY * one, value)
    return spoilt_unless(ids.valid, _with_derivatives(value, conjugate.value).squeeze(axis))


def _loss_of_probabilities(
    values: Tensor, of_target: Tensor, target: Tensor, axis: int, alpha: Number, a: Tensor
) -> Tensor:
    z = _below_maximum(values, axis)
    conjugate = _conjugate(z, a, alpha, axis)
    price = conjugate.level - torch.where(of_target == -INFINITY, -INFINITY, z).detach()
    fixed, probs = target.detach(), conjugate.probs
    value = _divergence(fixed, probs, fixed - probs, price, a.detach()).sum(axis, keepdim=True)
    present = target > 0
    # its derivative at 0 is that from the right
    logs = torch.where(present, _log_alpha(torch.where(present, target, 1.0).log(), a), -1 / a.clamp(min=1e-30))
    negative_entropy = (target * logs).sum(axis, keepdim=True) / (1 + a)
    mean_score = (target * torch.where(z == -INFINITY, 0.0, z)).sum(axis, keepdim=True)
    return _with_derivatives(value, conjugate.value - mean_score + negative_entropy).squeeze(axis)


def _with_derivatives(value: Tensor, formula: Tensor) -> Tensor:
    """`value`, which is exact also where the formula cancels, with the derivatives of the formula."""
    return value.clamp(min=0) + (formula - formula.detach())


class _Conjugate(NamedTuple):
    value: Tensor  # max of <q, z> + H(q), whose gradient is p
    level: Tensor  # the score at which p would be 1
    probs: Tensor  # p; it and the level without derivatives


def _conjugate(z: Tensor, a: Tensor, alpha: Number, axis: int) -> _Conjugate:
    """The convex function behind the map: stationary in P, so that log P adds nothing to its gradient."""
    log_top = _log_top(z, a, alpha, axis)
    powers = _powers(z, a, torch.exp(-a * log_top), axis)
    exponent = 1 + a
    terms = torch.where(powers.values > 0, torch.exp(exponent * (powers.logs + log_top)), 0.0)
    level = -_log_alpha(log_top, a)
    value = level + (terms.sum(axis, keepdim=True) - 1) / exponent
    return _Conjugate(value, level.detach(), (powers.values / powers.total).detach())


def _divergence(y: Tensor, p: Tensor, gap: Tensor, price: Tensor, a: Tensor) -> Tensor:
    """What an entry of probability p costs where the target's is y: the integral of (y - t) t^(a-1) dt from p to y.

    `gap` is y - p; `price` is (1 - p^a) / a, or more for an entry that is below the threshold.
    """
    exponent = 1 + a
    share = gap / y.clamp(min=1e-30)
    near = share.abs() < 0.2
    # power series in the share that is missing, where the two sides of the difference below are nearly equal
    share = torch.where(near, share, 0.0)
    term = share.square()
    series = term / 2
    for order in range(1, 22):
        term = term * share * (1 - a / order)
        series = series + term / (order + 2)
    far = times(y, _log_alpha(y.clamp(min=1e-30).log(), a) + price) - (y**exponent - p**exponent) / exponent
    return torch.where(near, y**exponent * series, far)


def _log_alpha(logs: Tensor, a: Tensor) -> Tensor:
    """(x^a - 1) / a for x = exp(logs)."""
    return logs * _exp_ratio(a * logs)


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
    """By how much the sum of [z - threshold]_+ exceeds 1, over the number of its terms; there is one in every row."""
    count = (z > threshold).sum(axis, keepdim=True, dtype=z.dtype)
    return (torch.relu(z - threshold).sum(axis, keepdim=True) - 1) / torch.where(count == 0, float("nan"), count)


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
        kind = "newton" if alpha <= 2 else "bisection"
    else:
        # a shorter way, not another answer
        kind = "newton" if values_are_readable(alpha) and bool((a <= 1).all()) else "either"
    if torch.compiler.is_compiling() and not (is_exporting() or transforms_active()):
        # one op, since a compiler takes minutes for so many steps; there is no derivative to look for in them
        return _SOLVE(z, a, axis, kind)
    return _solve(z, a, axis, kind)


def _solve(z: Tensor, a: Tensor, axis: int, kind: str) -> Tensor:
    if kind == "either":
        return torch.where(a > 1, _bisection(z, a.clamp(min=1.0), axis), _newton(z, a.clamp(max=1.0), axis))
    return _newton(z, a, axis) if kind == "newton" else _bisection(z, a, axis)


_SOLVE = library.define(
    "entmax_solve(Tensor z, Tensor a, int axis, str kind) -> Tensor",
    lambda z, a, axis, kind: z.new_empty([1 if at == axis else size for at, size in enumerate(z.shape)]),
)
library.LIBRARY.impl("entmax_solve", _solve, "CompositeExplicitAutograd")


def _newton(z: Tensor, a: Tensor, axis: int) -> Tensor:
    """Newton's method for (sum p)^a = 1, which is convex in 1/c: from P = 1 it goes down and never too far.

    A plain power is wrong by a rounding over a, for a near 0, and c with it by a rounding.
    """
    c = torch.ones_like(z.narrow(axis, 0, 1))
    divisor = a.clamp(min=1e-30)
    for _ in range(NEWTON_STEPS):
        base = (1 + c * (divisor * z)).clamp(min=0)
        values = base ** (1 / divisor)
        total = values.sum(axis, keepdim=True)
        slope = (values / base.clamp(min=1e-30)).sum(axis, keepdim=True)
        c = c / (1 - total / slope * (1 - c / total**divisor))
    return -_powers(z, a, c, axis).total.log()


def _bisection(z: Tensor, a: Tensor, axis: int) -> Tensor:
    """The interval of log P, cut in eight, until it is as small as a rounding."""
    low = -torch.ones_like(z).sum(axis, keepdim=True).log()
    width = -low
    cuts = torch.arange(1, 8, dtype=z.dtype, device=z.device).reshape(-1, *(1 for _ in range(z.ndim))) / 8
    for _ in range(20 if z.dtype == torch.float64 else 10):
        log_top = low + width * cuts
        base = (1 + torch.exp(-a * log_top) * (a * z)).clamp(min=0)
        total = (base ** (1 / a)).sum(axis + 1, keepdim=True)
        width = width / 8
        low = low + width * (log_top + total.log() <= 0).sum(0)
    return low + width / 2


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
