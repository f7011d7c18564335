"""The binary losses in pure torch. Formulas: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from anymax._core.dims import Dims
from anymax._core.scores import along, compute_dtype, times
from anymax._core.targets import look_up, reduce, spoilt_unless


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, pos_weight: Tensor | None
) -> Tensor:
    scores, target = _entries(input, target)
    positive = target if pos_weight is None else target * pos_weight.to(scores.dtype)
    # -logsigmoid, not softplus, whose float64 error is 1e-9 above 20; two terms, not one difference, so that
    # a loss of 2e-9 is not lost beside 20
    loss = times(positive, -logsigmoid(scores)) + times(1 - target, -logsigmoid(-scores))
    if weight is not None:
        loss = times(weight.to(scores.dtype), loss)
    return reduce(loss, reduction, torch.ones_like(loss))


def sigmoid_focal_loss(input: Tensor, target: Tensor, alpha: float | None, gamma: float, reduction: str) -> Tensor:
    scores, target = _entries(input, target)
    loss = times(target, -logsigmoid(scores)) + times(1 - target, -logsigmoid(-scores))
    if gamma > 0:
        loss = times(torch.exp(gamma * _log_missed(scores, target)), loss)
    loss = _balanced(loss, target, alpha)
    return reduce(loss, reduction, torch.ones_like(loss))


def asymmetric_loss(
    input: Tensor, target: Tensor, gamma_neg: float, gamma_pos: float, clip: float, reduction: str
) -> Tensor:
    scores, target = _entries(input, target)
    negative = _focused(-scores, gamma_neg) if clip == 0 else _clipped(scores, gamma_neg, clip)
    loss = times(target, _focused(scores, gamma_pos)) + times(1 - target, negative)
    return reduce(loss, reduction, torch.ones_like(loss))


def one_vs_rest_loss(
    input: Tensor,
    target: Tensor,
    dims: Dims,
    ignore_index: int,
    reduction: str,
    alpha: float | None = None,
    gamma: float = 0.0,
) -> Tensor:
    (axis,) = dims.axes
    scores = input.to(compute_dtype(input.dtype))
    num_classes = scores.shape[axis]
    ids = look_up(target, num_classes, ignore_index)
    classes = along(torch.arange(num_classes, device=scores.device), scores.ndim, axis)
    label = classes == ids.safe.unsqueeze(axis)
    # one logsigmoid of the score for the decision that is right, so that small losses keep their digits
    loss = _focused(torch.where(label, scores, -scores), gamma)
    rows = _balanced(loss, label.to(scores.dtype), alpha).sum(axis)
    return reduce(torch.where(ids.counted, spoilt_unless(ids.valid, rows), 0.0), reduction, ids.counted)


def in_range(target: Tensor) -> Tensor:
    return (target >= 0) & (target <= 1)


def _entries(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and targets in the dtype of the computation, bad targets as NaN."""
    scores = input.to(compute_dtype(input.dtype))
    target = target.to(scores.dtype)
    return scores, torch.where(in_range(target), target, float("nan"))


def _balanced(loss: Tensor, target: Tensor, alpha: float | None) -> Tensor:
    return loss if alpha is None else times(alpha * target + (1 - alpha) * (1 - target), loss)


def _focused(right: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma * -log p of a decision whose score is `right`, p = sigmoid(right)."""
    loss = -logsigmoid(right)
    return loss if gamma == 0 else times(torch.exp(gamma * logsigmoid(-_bounded(right))), loss)


def _clipped(scores: Tensor, gamma: float, clip: float) -> Tensor:
    """The same of the decision no, with the probability of yes, sigmoid(scores), less by `clip` and at least 0."""
    # sigmoid's own derivative is 0 where 1 - p is rounded away
    wrong = logsigmoid(scores).exp() - clip
    counts, is_small = wrong > 0, wrong < 0.5
    wrong = torch.where(counts, wrong, 0.5)
    # log(1 - wrong) from what has its digits
    of_small = torch.log1p(-torch.where(is_small, wrong, 0.5))
    of_large = torch.log(torch.where(is_small, 0.5, logsigmoid(-scores).exp() + clip))
    loss = torch.exp(gamma * wrong.log()) * -torch.where(is_small, of_small, of_large)
    return torch.where(counts, loss, 0.0)


def _log_missed(scores: Tensor, target: Tensor) -> Tensor:
    """log(1 - p_t), where p_t = p y + (1 - p)(1 - y) is the probability that the scores give to the target."""
    scores = _bounded(scores)
    is_above = scores > 0
    odds = torch.where(is_above, -scores, scores)
    # how wrong the likelier answer is: 1 - p_t = (wrong + (1 - wrong) e^odds) / (1 + e^odds)
    wrong = torch.where(is_above, 1 - target, target)
    is_right = wrong == 0
    # of a right answer that is e^odds; the other factor is 1 and holds the derivatives in the target
    of_right = odds + torch.log1p(wrong * torch.expm1(-odds.clamp(min=-80)))
    of_wrong = torch.log(torch.where(is_right, 1.0, wrong) + (1 - wrong) * odds.exp())
    return torch.where(is_right, of_right, of_wrong) + logsigmoid(-odds)


def _bounded(scores: Tensor) -> Tensor:
    """Scores for a power of 1 - p: far out it is constant, or what it multiplies is 0; its derivative is 0, not NaN."""
    return scores.clamp(-1000, 1000)
