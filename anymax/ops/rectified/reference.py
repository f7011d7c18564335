"""relumax, softpick and taylor_softmax in pure torch: the definition. Formulas: api.py. Precision: _core/scores.py.

Each divides terms by their sum. A factor that a row has in common keeps them from overflowing, as the maximum does in
softmax; since it cancels it is a constant.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anymax._core.dims import Dims
from anymax._core.scores import INFINITY, scores_of

# beyond it the polynomial has no digits left in float32 where it is smallest
GREATEST_ORDER = 16
# by the exponent; Dynamo traces no factorial
COEFFICIENTS = tuple(1 / math.factorial(exponent) for exponent in range(GREATEST_ORDER + 1))


def relumax(input: Tensor, dims: Dims, bias: float, mask: Tensor | None) -> Tensor:
    scores, absent = _scores(input, dims, mask)
    positive = torch.where(absent, 0.0, torch.relu(scores + bias))
    top = _largest(positive, dims)
    terms = positive / torch.where(top == 0, 1.0, top)
    return _shares(terms, _total(terms, dims), mask)


def softpick(input: Tensor, dims: Dims, mask: Tensor | None) -> Tensor:
    # what does not compete has the score 0, and the term of that is 0
    scores, _ = _scores(input, dims, mask)
    top = torch.relu(_largest(scores, dims))
    # e^(x - top) - e^-top; where x is small the difference would lose its digits
    near = torch.expm1(scores.clamp(max=1.0)) * (-top).exp()
    far = (scores - top).exp() - (-top).exp()
    terms = torch.where(scores < 1, near, far)
    return _shares(torch.relu(terms), _total(terms.abs(), dims), mask)


def taylor_softmax(input: Tensor, dims: Dims, order: int, mask: Tensor | None) -> Tensor:
    scores, absent = _scores(input, dims, mask)
    top = _largest(scores.abs(), dims).clamp(min=1.0)
    # the polynomial in x / top, divided by top^order
    scores, power = scores / top, torch.ones_like(top)
    terms = torch.full_like(scores, COEFFICIENTS[order])
    for exponent in reversed(range(order)):
        power = power / top
        terms = terms * scores + power * COEFFICIENTS[exponent]
    terms = torch.where(absent, 0.0, terms)
    return _shares(terms, terms.sum(dims.axes, keepdim=True), mask)


def _scores(input: Tensor, dims: Dims, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The scores, with 0 for those that do not compete, and which those are."""
    values = scores_of(input, dims, mask=mask).values
    absent = values == -INFINITY
    return torch.where(absent, 0.0, values), absent


def _largest(values: Tensor, dims: Dims) -> Tensor:
    return values.amax(dims.axes, keepdim=True).detach() if values.numel() > 0 else values


def _total(terms: Tensor, dims: Dims) -> Tensor:
    """The sum of a row, and 1 for a row of zeros, whose shares are 0."""
    total = terms.sum(dims.axes, keepdim=True)
    return torch.where(total == 0, 1.0, total)


def _shares(terms: Tensor, total: Tensor, mask: Tensor | None) -> Tensor:
    return terms / total if mask is None else torch.where(mask, terms / total, 0.0)
