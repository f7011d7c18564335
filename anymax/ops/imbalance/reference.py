"""What class counts do to a loss, in pure torch. Formulas: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anymax._core.dims import Dims
from anymax._core.scores import INFINITY, compute_dtype
from anymax._core.targets import look_up
from anymax.ops.cross_entropy import reference as cross_entropy
from anymax.ops.cross_entropy.reference import Options


def ldam_loss(
    input: Tensor,
    target: Tensor,
    class_counts: Tensor,
    dims: Dims,
    max_margin: float,
    scale: float,
    options: Options,
    reduction: str,
) -> Tensor:
    scores = with_margins(input, target, class_counts, dims, max_margin, scale, options.ignore_index)
    return cross_entropy.cross_entropy(scores, target, dims, options, reduction)


def with_margins(
    input: Tensor,
    target: Tensor,
    class_counts: Tensor,
    dims: Dims,
    max_margin: float,
    scale: float,
    ignore_index: int,
) -> Tensor:
    """The scores whose cross-entropy is the loss: each target's less by its margin, and all of them scaled."""
    (axis,) = dims.axes
    scores = scale * input.to(compute_dtype(input.dtype))
    counts = class_counts.to(scores.dtype)
    is_unseen = counts == 0
    fewest = torch.where(is_unseen, INFINITY, counts).amin()
    margins = torch.where(is_unseen, 1.0, torch.where(is_unseen, 1.0, counts / fewest) ** -0.25)
    ids = look_up(target, scores.shape[axis], ignore_index).safe
    return scores.scatter_add(axis, ids.unsqueeze(axis), -scale * max_margin * margins[ids].unsqueeze(axis))


def effective_number_weights(class_counts: Tensor, beta: float) -> Tensor:
    counts = class_counts.double()
    # the factor 1 / (1 - beta) has no say in weights of a given sum, and a beta of 1 is the limit
    numbers = counts if beta == 1 else -torch.expm1(counts * (math.log(beta) if beta > 0 else -INFINITY))
    weights = torch.where(counts == 0, 0.0, 1 / numbers)
    return weights * (len(weights) / weights.sum())
