"""The CPU kernels of the losses over a few drawn classes (cpu.cpp): from scores to the loss and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

from anymax._core.library import define
from anymax._core.native import CpuKernel
from anymax._core.scores import autocast_is_on, compute_dtype
from anymax.noise.draws import Candidates, Race, Terms
from anymax.noise.in_batch import Others
from anymax.ops.nce import reference
from anymax.ops.nce.reference import Problem

# Flag in cpu.cpp
NCE, HITS_GO, RACE, RANKING, OWN_GOES = 1, 2, 4, 8, 64
REDUCTIONS = {"none": 0, "mean": 16, "sum": 32}

_STEP = (
    "(Tensor of_target, Tensor of_noise, Tensor target, Tensor ids, Tensor log_count, Tensor target_log_count, "
    "Tensor times, int num_classes, int ignore_index, float shift, int flags)"
)


def _loss(of_target: Tensor, *arguments: Any) -> Tensor:
    return of_target.new_empty(() if arguments[-1] & (16 | 32) else of_target.shape)


def _loss_and_gradient(of_target: Tensor, of_noise: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    gradients = (of_target.new_empty(of_target.shape), of_noise.new_empty(of_noise.shape))
    return (_loss(of_target, *arguments), *gradients)


GATHERED = define(
    "nce_gathered(Tensor target, Tensor ids, int num_classes, int ignore_index) -> (Tensor, Tensor)",
    lambda target, ids, *_: (ids.new_empty(target.numel() + ids.numel()), ids.new_empty(())),
)
SCORES = define(
    "nce_scores(Tensor input, Tensor weight, Tensor bias, Tensor target, Tensor ids, int ignore_index, bool has_bias) "
    "-> (Tensor, Tensor, Tensor)",
    lambda input, weight, bias, target, ids, *_: (
        input.new_empty(target.shape),
        input.new_empty((*target.shape, ids.shape[-1])),
        torch.empty_like(target),
    ),
)
STEP = define(f"nce_step{_STEP} -> Tensor", _loss)
STEP_WITH_GRADIENT = define(f"nce_step_with_gradient{_STEP} -> (Tensor, Tensor, Tensor)", _loss_and_gradient)


# Products of numbers up to which one kernel makes all scores, where no gradient is asked for: 64 rows, 64 draws and 32
# features. Of many, a product of matrices is faster.
FEW_PRODUCTS = 2**17


class Counts(NamedTuple):
    """The draws of a loss, as the step takes them."""

    ids: Tensor
    log_count: Tensor
    target_log_count: Tensor
    times: Tensor


class _Sampled(CpuKernel):
    def cannot(self, problem: Problem, candidates: Candidates, *options: Any) -> str | None:
        if reason := self.refuses(problem.input, problem.weight, problem.bias, problem.target, candidates.ids):
            return reason
        if torch.compiler.is_compiling():
            return "compiled code takes the reference"
        if candidates.log_expected_count.requires_grad:
            return "it has no derivative in log_expected_count"
        return self.refuses(candidates.log_expected_count)


class NceLoss(_Sampled):
    def __call__(
        self, problem: Problem, candidates: Candidates, log_partition: float | Tensor, reduction: str
    ) -> Tensor:
        return _binary(problem, candidates, log_partition, reduction, lambda terms: terms)

    def cannot(self, problem: Problem, candidates: Candidates, *options: Any) -> str | None:
        if isinstance(options[0], Tensor):
            return "it takes log_partition as a number, got a tensor"
        return super().cannot(problem, candidates)


class NegativeSamplingLoss(_Sampled):
    def __call__(self, problem: Problem, candidates: Candidates, reduction: str) -> Tensor:
        return _binary(problem, candidates, 0.0, reduction, reference.uncorrected)


def _binary(
    problem: Problem,
    candidates: Candidates,
    log_partition: float | Tensor,
    reduction: str,
    corrected: Callable[[Terms], Terms],
) -> Tensor:
    def counts(target: Tensor) -> Counts:
        of_target = candidates.target_log_expected_count(target)
        terms = corrected(Terms(candidates.ids, candidates.log_expected_count, of_target, None))
        return Counts(terms.ids, terms.log_count, terms.target_log_count, of_target)

    def again(of_target: Tensor, of_noise: Tensor) -> Tensor:
        lookup = reference.look_up(problem, candidates)
        terms = corrected(candidates.for_nce(lookup.safe))
        return reference.nce_of_scores(of_target, of_noise, lookup, terms, log_partition, reduction)

    flags = NCE | REDUCTIONS[reduction] | (OWN_GOES if isinstance(candidates, Others) else 0)
    return _stepped(problem, candidates, candidates.ids, counts, again, float(log_partition), flags)


class SampledSoftmaxLoss(_Sampled):
    def __call__(self, problem: Problem, candidates: Candidates, correction: str, reduction: str) -> Tensor:
        remove_hits = candidates.unique or correction == "importance"

        def counts(target: Tensor) -> Counts:
            if isinstance(candidates, Race):
                log_q = candidates.law.log_q(target)
                return Counts(candidates.arrivals, candidates.log_q, log_q, candidates.times)
            of_target = candidates.target_log_expected_count(target)
            return Counts(candidates.ids, candidates.log_expected_count, of_target, of_target)

        def again(of_target: Tensor, of_noise: Tensor) -> Tensor:
            lookup = reference.look_up(problem, candidates)
            terms = candidates.for_softmax(lookup.safe, remove_hits)
            return reference.sampled_softmax_of_scores(of_target, of_noise, lookup, terms, correction, reduction)

        flags = REDUCTIONS[reduction] | (RANKING if correction == "ranking" else 0)
        if isinstance(candidates, Race):
            flags |= RACE | HITS_GO
        elif remove_hits:
            flags |= HITS_GO
        elif isinstance(candidates, Others):
            flags |= OWN_GOES
        ids = candidates.arrivals if isinstance(candidates, Race) else candidates.ids
        return _stepped(problem, candidates, ids, counts, again, 0.0, flags)


def _stepped(
    problem: Problem,
    candidates: Candidates,
    ids: Tensor,
    counts: Callable[[Tensor], Counts],
    again: Callable[[Tensor, Tensor], Tensor],
    shift: float,
    flags: int,
) -> Tensor:
    """The loss; `again` is the reference's step, for derivatives of the derivative."""
    target, ids, num_classes = problem.target.contiguous(), ids.contiguous(), problem.weight.shape[0]
    dtype = compute_dtype(problem.input.dtype)
    plain = problem.weight.dtype is problem.input.dtype is dtype and not autocast_is_on(problem.input)
    if plain and _is_small(problem, ids):
        of_target, of_noise, safe = SCORES(
            problem.input.contiguous(),
            problem.weight,
            problem.weight if problem.bias is None else problem.bias,
            target,
            ids,
            problem.ignore_index,
            problem.bias is not None,
        )
    else:
        gathered, ignored = GATHERED(target, ids, num_classes, problem.ignore_index)
        safe = gathered[: target.numel()].view(target.shape)
        if plain and not bool(ignored):
            of_target, of_noise = _scores(problem, gathered, ids)
        else:
            of_target, of_noise = reference.scores(problem, reference.look_up(problem, candidates), ids)
    terms = counts(safe)
    arguments = (
        target,
        ids,
        terms.log_count.double().contiguous(),
        terms.target_log_count.double().contiguous(),
        terms.times.double().contiguous(),
        num_classes,
        problem.ignore_index,
        shift,
        flags,
    )
    of_target, of_noise = of_target.contiguous(), of_noise.contiguous()
    if torch.is_grad_enabled() and (of_target.requires_grad or of_noise.requires_grad):
        return _Differentiable.apply(of_target, of_noise, arguments, again)
    return STEP(of_target, of_noise, *arguments)


def _is_small(problem: Problem, ids: Tensor) -> bool:
    """Whether the scores are a few, of a table that is read where it lies, and need no gradient."""
    input, weight, bias = problem.input, problem.weight, problem.bias
    if torch.is_grad_enabled() and (
        input.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return False
    if not (weight.is_contiguous() and (bias is None or (bias.is_contiguous() and bias.dtype is weight.dtype))):
        return False
    return weight.shape[0] > 0 and input.numel() * ids.shape[-1] <= FEW_PRODUCTS


def _scores(problem: Problem, gathered: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The reference's scores where no row is ignored and nothing has to be widened."""
    features, target = problem.input, problem.target
    rows = embedding(gathered, problem.weight, sparse=problem.sparse)
    of_target_rows, of_noise_rows = rows.split_with_sizes((target.numel(), ids.numel()))
    of_target_rows = of_target_rows if features.ndim == 2 else of_target_rows.view(features.shape)
    of_target = (features * of_target_rows).sum(-1)
    if ids.ndim == 1:
        of_noise = features @ of_noise_rows.T
    else:
        of_noise = (of_noise_rows.view(*ids.shape, problem.weight.shape[1]) @ features.unsqueeze(-1)).squeeze(-1)
    if problem.bias is None:
        return of_target, of_noise
    bias = problem.bias.gather(0, gathered, sparse_grad=problem.sparse).to(of_target.dtype)
    of_target_bias, of_noise_bias = bias.split_with_sizes((target.numel(), ids.numel()))
    return of_target + of_target_bias.view(target.shape), of_noise + of_noise_bias.view(ids.shape)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        of_target: Tensor,
        of_noise: Tensor,
        arguments: tuple[Any, ...],
        again: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        loss, *gradients = STEP_WITH_GRADIENT(of_target, of_noise, *arguments)
        ctx.save_for_backward(of_target, of_noise, *gradients)
        ctx.again = again
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        of_target, of_noise, *gradients = ctx.saved_tensors
        if torch.is_grad_enabled():
            loss = ctx.again(of_target, of_noise)
            found = torch.autograd.grad(loss, (of_target, of_noise), grad, create_graph=True)
            return (*found, None, None)
        return grad * gradients[0], grad.unsqueeze(-1) * gradients[1], None, None
