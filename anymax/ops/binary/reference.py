"""Binary cross-entropy in pure torch. Formulas: api.py. Precision policy: _core/scores.py."""

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
    scores = input.to(compute_dtype(input.dtype))
    target = target.to(scores.dtype)
    target = torch.where(in_range(target), target, float("nan"))
    positive = target if pos_weight is None else target * pos_weight.to(scores.dtype)
    # -logsigmoid, not softplus, whose float64 error is 1e-9 above 20; two terms, not one difference, so that
    # a loss of 2e-9 is not lost beside 20
    loss = times(positive, -logsigmoid(scores)) + times(1 - target, -logsigmoid(-scores))
    if weight is not None:
        loss = times(weight.to(scores.dtype), loss)
    return reduce(loss, reduction, torch.ones_like(loss))


def one_vs_rest_loss(input: Tensor, target: Tensor, dims: Dims, ignore_index: int, reduction: str) -> Tensor:
    (axis,) = dims.axes
    scores = input.to(compute_dtype(input.dtype))
    num_classes = scores.shape[axis]
    ids = look_up(target, num_classes, ignore_index)
    classes = along(torch.arange(num_classes, device=scores.device), scores.ndim, axis)
    # one logsigmoid of the score for the decision that is right, so that small losses keep their digits
    right = torch.where(classes == ids.safe.unsqueeze(axis), scores, -scores)
    rows = -logsigmoid(right).sum(axis)
    return reduce(torch.where(ids.counted, spoilt_unless(ids.valid, rows), 0.0), reduction, ids.counted)


def in_range(target: Tensor) -> Tensor:
    return (target >= 0) & (target <= 1)
