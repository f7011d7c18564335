"""NCE, negative sampling and sampled softmax in pure torch. Formulas: api.py. Which counts and hits: draws.py.

Precision policy: rows of the class table are gathered first, then everything is computed in at least float32, also
under autocast; counts arrive as float64 logs. Gradients of a row that several targets share are summed before they
are rounded to a half dtype.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding, logsigmoid

from anymax._core import targets
from anymax._core.scores import INFINITY, autocast_is_on, compute_dtype
from anymax._core.targets import Ids, first_of_each, reduce, spoilt_unless
from anymax.noise.draws import Candidates, Terms


class Problem(NamedTuple):
    """Features, class table and targets, checked."""

    input: Tensor  # (..., d)
    weight: Tensor  # (C, d)
    bias: Tensor | None  # (C,)
    target: Tensor  # (...)
    ignore_index: int
    sparse: bool


def nce_loss(problem: Problem, candidates: Candidates, log_partition: float | Tensor, reduction: str) -> Tensor:
    lookup = look_up(problem, candidates)
    terms = candidates.for_nce(lookup.safe)
    return nce_of_scores(*scores(problem, lookup, terms.ids), lookup, terms, log_partition, reduction)


def negative_sampling_loss(problem: Problem, candidates: Candidates, reduction: str) -> Tensor:
    lookup = look_up(problem, candidates)
    terms = uncorrected(candidates.for_nce(lookup.safe))
    return nce_of_scores(*scores(problem, lookup, terms.ids), lookup, terms, 0.0, reduction)


def uncorrected(terms: Terms) -> Terms:
    """The terms with log counts of 0; infinite stays what is no draw, and bad a target that cannot be drawn."""
    log_count = torch.where(terms.log_count == INFINITY, INFINITY, 0.0)
    return terms._replace(log_count=log_count, target_log_count=terms.target_log_count - terms.target_log_count)


def nce_of_scores(
    of_target: Tensor, of_noise: Tensor, lookup: Ids, terms: Terms, log_partition: float | Tensor, reduction: str
) -> Tensor:
    shift = log_partition if isinstance(log_partition, Tensor) else of_target.new_tensor(log_partition)
    shift = shift.to(of_target.dtype).expand(of_target.shape)
    of_target = of_target - shift - terms.target_log_count.to(of_target.dtype)
    of_noise = of_noise - shift.unsqueeze(-1) - terms.log_count.to(of_noise.dtype)
    # -logsigmoid(-x) is softplus(x), without its error of 1e-9 above 20
    return _reduced(-logsigmoid(of_target) - logsigmoid(-of_noise).sum(-1), lookup, terms, reduction)


def sampled_softmax_loss(problem: Problem, candidates: Candidates, correction: str, reduction: str) -> Tensor:
    lookup = look_up(problem, candidates)
    # a target that was drawn too is a second summand for importance, and a fair draw for ranking with replacement
    terms = candidates.for_softmax(lookup.safe, remove_hits=candidates.unique or correction == "importance")
    return sampled_softmax_of_scores(*scores(problem, lookup, terms.ids), lookup, terms, correction, reduction)


def sampled_softmax_of_scores(
    of_target: Tensor, of_noise: Tensor, lookup: Ids, terms: Terms, correction: str, reduction: str
) -> Tensor:
    of_noise = of_noise - terms.log_count.to(of_noise.dtype)
    if correction == "ranking":
        of_target = of_target - terms.target_log_count.to(of_target.dtype)
    if terms.removed is not None:
        of_noise = torch.where(terms.removed, -INFINITY, of_noise)
    log_probs = torch.log_softmax(torch.cat([of_target.unsqueeze(-1), of_noise], -1), -1)
    return _reduced(-log_probs[..., 0], lookup, terms, reduction)


def look_up(problem: Problem, candidates: Candidates) -> Ids:
    # a class that was drawn stands in, so that no other row of a sparse gradient is touched
    stand_in = candidates.ids[..., 0] if candidates.ids.shape[-1] else 0
    return targets.look_up(problem.target, problem.weight.shape[0], problem.ignore_index, stand_in)


def scores(problem: Problem, lookup: Ids, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The scores of each row's target and draws, from one gather of B + k rows of the table."""
    dtype = compute_dtype(torch.promote_types(problem.input.dtype, problem.weight.dtype))
    features = torch.where(lookup.counted.unsqueeze(-1), problem.input.to(dtype), 0.0)
    in_table = (ids >= 0) & (ids < problem.weight.shape[0])
    count, width = lookup.safe.numel(), problem.weight.shape[1]
    gathered = torch.cat([lookup.safe.flatten(), torch.where(in_table, ids, 0).flatten()])
    rows = embedding(gathered, problem.weight, sparse=problem.sparse).to(dtype)
    bias = None
    if problem.bias is not None:
        bias = problem.bias.gather(0, gathered, sparse_grad=problem.sparse).to(dtype)
    if problem.weight.dtype != dtype:
        # read through the first of each, a row of the table gets one gradient, summed in the compute dtype
        first = first_of_each(gathered)
        rows, bias = rows[first], None if bias is None else bias[first]
    of_target_rows = rows[:count].reshape(*lookup.safe.shape, width)
    of_noise_rows = rows[count:].reshape(*ids.shape, width)
    with _autocast_off(features):
        of_target = (features * of_target_rows).sum(-1)
        if ids.ndim == 1:
            of_noise = features @ of_noise_rows.T
        else:
            of_noise = (of_noise_rows @ features.unsqueeze(-1)).squeeze(-1)
    if bias is not None:
        of_target = of_target + bias[:count].reshape(lookup.safe.shape)
        of_noise = of_noise + bias[count:].reshape(ids.shape)
    return of_target, of_noise * torch.where(in_table, 1.0, float("nan")).to(dtype)


def _reduced(rows: Tensor, lookup: Ids, terms: Terms, reduction: str) -> Tensor:
    valid = lookup.valid & (~lookup.counted | terms.target_log_count.isfinite())
    return reduce(torch.where(lookup.counted, spoilt_unless(valid, rows), 0.0), reduction, lookup.counted)


def _autocast_off(tensor: Tensor) -> torch.autocast | nullcontext[None]:
    return torch.autocast(tensor.device.type, enabled=False) if autocast_is_on(tensor) else nullcontext()
