"""Cross-entropy and log-probabilities in pure torch. Formulas: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anymax._core.dims import Dims
from anymax._core.scores import INFINITY, Scores, along, entropy_of, mean_of, scores_of, times
from anymax._core.targets import look_up, simplex_rows, spoilt_unless


class Options(NamedTuple):
    """What shapes the probabilities and the loss of a row, from the scores to the weighted sum."""

    weight: Tensor | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    softcap: float | None = None
    temperature: float | Tensor = 1.0
    class_prior: Tensor | None = None
    mask: Tensor | None = None


class Rows(NamedTuple):
    """The loss of each row in parts; ignored rows hold 0 in all of them."""

    nll: Tensor  # weighted and smoothed
    z_penalty: Tensor | None  # z_loss * (log Z)^2
    weight: Tensor  # what `mean` divides the nll by
    counted: Tensor  # 1 for a row that is not ignored, what `mean` divides the penalty by


def cross_entropy(input: Tensor, target: Tensor, dims: Dims, options: Options, reduction: str) -> Tensor:
    return reduced(row_losses(input, target, dims, options), reduction)


def log_prob(input: Tensor, target: Tensor, dims: Dims, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    (axis,) = dims.axes
    scores = _scores(input, dims, options)
    log_probs = _log_probs(scores, axis, options.mask)
    taken, counted = _target_term(log_probs, target, axis, None, options.ignore_index)
    return torch.where(counted, -taken, 0.0), _log_z(scores, axis), entropy_of(log_probs, axis)


def row_losses(input: Tensor, target: Tensor, dims: Dims, options: Options) -> Rows:
    """The differentiable core: everything else is a sum over its rows."""
    (axis,) = dims.axes
    scores = _scores(input, dims, options)
    log_probs = _log_probs(scores, axis, options.mask)
    class_weight = None if options.weight is None else options.weight.to(log_probs.dtype)
    nll, counted = _target_term(log_probs, target, axis, class_weight, options.ignore_index)
    if options.label_smoothing > 0:
        uniform = _uniform_term(log_probs, axis, class_weight, options.mask)
        # an infinite cost stays, where smoothing leaves it the weight 0 too
        infinite = torch.isinf(nll)
        kept = (1 - options.label_smoothing) * torch.where(infinite, 0.0, nll)
        nll = torch.where(infinite, nll, kept) + options.label_smoothing * uniform
    row_weight = counted.to(log_probs.dtype)
    penalty = None
    if options.z_loss > 0:
        penalty = options.z_loss * torch.where(counted, _log_z(scores, axis), 0.0).square()
    weight = row_weight
    if class_weight is not None and not target.is_floating_point():
        index = look_up(target, log_probs.shape[axis], options.ignore_index).safe
        weight = torch.where(counted, class_weight[index], 0.0)
    return Rows(torch.where(counted, nll, 0.0), penalty, weight, row_weight)


def reduced(rows: Rows, reduction: str) -> Tensor:
    """Rows to a loss: each part has its own mean."""
    if reduction == "none":
        return rows.nll if rows.z_penalty is None else rows.nll + rows.z_penalty
    loss = rows.nll.sum()
    if reduction == "mean":
        loss = mean_of(loss, rows.weight.sum())
    if rows.z_penalty is not None:
        penalty = rows.z_penalty.sum()
        loss = loss + (mean_of(penalty, rows.counted.sum()) if reduction == "mean" else penalty)
    return loss


def _scores(input: Tensor, dims: Dims, options: Options) -> Scores:
    return scores_of(
        input,
        dims,
        temperature=options.temperature,
        mask=options.mask,
        softcap=options.softcap,
        class_prior=options.class_prior,
    )


def _log_probs(scores: Scores, axis: int, mask: Tensor | None) -> Tensor:
    log_probs = torch.log_softmax(scores.values, axis)
    return log_probs if mask is None else torch.where(mask, log_probs, -INFINITY)


def _log_z(scores: Scores, axis: int) -> Tensor:
    return scores.unshifted(torch.logsumexp(scores.values, axis, keepdim=True)).squeeze(axis)


def _target_term(
    log_probs: Tensor, target: Tensor, axis: int, class_weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """-sum over the target of weight * log p per row, and which rows are not ignored."""
    if target.is_floating_point():
        target = target.to(log_probs.dtype)
        # rows off the simplex are no probabilities to be compared with
        valid = simplex_rows(target, axis)
        terms = times(spoilt_unless(valid, target), -log_probs)
        if class_weight is not None:
            terms = times(along(class_weight, terms.ndim, axis), terms)
        return terms.sum(axis), torch.ones_like(valid).squeeze(axis)
    ids = look_up(target, log_probs.shape[axis], ignore_index)
    nll = -log_probs.gather(axis, ids.safe.unsqueeze(axis)).squeeze(axis)
    if class_weight is not None:
        # what an ignored row holds must not reach the weight's gradient either
        nll = times(class_weight[ids.safe], torch.where(ids.counted, nll, 0.0))
    return spoilt_unless(ids.valid, nll), ids.counted


def _uniform_term(log_probs: Tensor, axis: int, class_weight: Tensor | None, mask: Tensor | None) -> Tensor:
    """-mean of weight * log p over the classes that take part."""
    takes_part = None if mask is None else mask.expand(log_probs.shape)
    # before the weight, whose gradient an infinite term would make NaN
    terms = -log_probs if takes_part is None else torch.where(takes_part, -log_probs, 0.0)
    if class_weight is not None:
        terms = times(along(class_weight, terms.ndim, axis), terms)
    return terms.mean(axis) if takes_part is None else mean_of(terms.sum(axis), takes_part.sum(axis))
