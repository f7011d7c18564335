"""The CPU kernels of gumbel_softmax, gumbel_topk and sample (cpu.cpp): what they serve, and their derivatives."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from anymax._core.dims import Dims, join, split
from anymax._core.library import define
from anymax._core.native import CpuKernel, axes_of, result_like
from anymax._core.scores import compute_dtype
from anymax.ops.gumbel import reference
from anymax.ops.gumbel.reference import RAO, STRAIGHT_THROUGH
from anymax.ops.softmax.cpu import Softmax as LogSumExp
from anymax.ops.softmax.cpu import backward as softmax_backward

# Flag in cpu.cpp
HAS_MASK, HAS_TEMPERATURE, HARD, WIDE = 1, 2, 4, 8

_ARGUMENTS = "Tensor input, Tensor mask, Tensor temperature, Tensor seed, float number, int axes"


def _like(input: Tensor, *arguments: Any) -> Tensor:
    return result_like(input, compute_dtype(input.dtype) if arguments[-1] & WIDE else input.dtype)


def _ids(input: Tensor, *arguments: Any) -> Tensor:
    axes, samples = arguments[-3:-1]
    rows = math.prod(size for axis, size in enumerate(input.shape) if not axes >> axis & 1)
    return input.new_empty((samples, rows), dtype=torch.int64)


def _top_k(input: Tensor, mask: Tensor, seed: Tensor, axes: int, k: int, flags: int) -> tuple[Tensor, Tensor]:
    rows = math.prod(size for axis, size in enumerate(input.shape) if not axes >> axis & 1)
    ids = input.new_empty((rows, k + 1), dtype=torch.int64)
    return ids, input.new_empty((rows,), dtype=compute_dtype(input.dtype))


_LOGSUMEXP = LogSumExp("logsumexp")
SOFTMAX = define(f"gumbel_softmax({_ARGUMENTS}, int flags) -> Tensor", _like)
ESTIMATE = define(
    f"gumbel_estimate(Tensor grad, Tensor hard, {_ARGUMENTS}, int samples, int flags) -> Tensor",
    lambda grad, hard, input, *_: result_like(input, input.dtype),
)
TOP_K = define(
    "gumbel_topk(Tensor input, Tensor mask, Tensor seed, int axes, int k, int flags) -> (Tensor, Tensor)", _top_k
)
SAMPLE = define(f"gumbel_sample({_ARGUMENTS}, int samples, int flags) -> Tensor", _ids)


class GumbelSoftmax(CpuKernel):
    def __call__(
        self,
        input: Tensor,
        dims: Dims,
        tau: float | Tensor,
        hard: bool,
        mask: Tensor | None,
        seed: Tensor,
        estimator: str = STRAIGHT_THROUGH,
        num_samples: int = 0,
    ) -> Tensor:
        if not torch.is_grad_enabled() or not (input.requires_grad or (isinstance(tau, Tensor) and tau.requires_grad)):
            return SOFTMAX(*_arguments(input, dims, tau, mask, seed, HARD if hard else 0))
        if estimator == STRAIGHT_THROUGH:
            return _Differentiable.apply(input, tau, mask, seed, dims, hard)
        return _Estimated.apply(input, tau, mask, seed, dims, estimator, num_samples)

    def cannot(
        self, input: Tensor, dims: Dims, tau: float | Tensor, hard: bool, mask: Tensor | None, seed: Tensor, *_: Any
    ) -> str | None:
        return self.refuses_scores(input, tau, mask, seed)


class GumbelTopK(CpuKernel):
    """A kernel draws. What has a derivative is made of the few that were drawn and the logsumexp of the others."""

    def __call__(
        self, input: Tensor, dims: Dims, k: int, mask: Tensor | None, seed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        takes_part = input if mask is None else mask.expand(input.shape)
        drawn, threshold = TOP_K(input.detach(), takes_part, seed, axes_of(dims), k, 0 if mask is None else HAS_MASK)
        scores, axis = join(input, dims)
        others = [size for at, size in enumerate(scores.shape) if at != axis]
        drawn, threshold = drawn.view(*others, k + 1).movedim(-1, axis), threshold.view(others).unsqueeze(axis)
        known = drawn.clamp(min=0)
        picked = torch.where(drawn < 0, 0.0, scores.gather(axis, known).to(threshold.dtype))
        # all are measured from one of them, so that large scores keep their digits
        origin = picked.narrow(axis, 0, k).amax(axis, keepdim=True).detach()
        left = torch.ones_like(scores, dtype=torch.bool) if mask is None else takes_part.reshape(scores.shape).clone()
        left = left.scatter_(axis, known.narrow(axis, 0, k), False)
        log_rest = _LOGSUMEXP(scores.to(threshold.dtype) - origin, Dims(scores.ndim, (axis,)), left, None)
        log_probs = reference.log_probs_of(picked.narrow(axis, 0, k) - origin, log_rest, axis)
        # the derivative of the threshold is that of the score it belongs to
        last = picked.narrow(axis, k, 1)
        threshold = threshold + (last - last.detach())
        spoilt = torch.where(threshold.isnan(), math.nan, 1.0)
        ids, log_probs, threshold = (
            split(part, dims, input.shape)
            for part in (drawn.narrow(axis, 0, k), log_probs * spoilt, threshold * spoilt)
        )
        return ids, log_probs, threshold

    def cannot(self, input: Tensor, dims: Dims, k: int, mask: Tensor | None, seed: Tensor) -> str | None:
        return self.refuses_scores(input, mask, seed)


class Sample(CpuKernel):
    def __call__(
        self,
        input: Tensor,
        dims: Dims,
        num_samples: int | None,
        temperature: float | Tensor,
        mask: Tensor | None,
        seed: Tensor,
    ) -> Tensor:
        *arguments, flags = _arguments(input.detach(), dims, temperature, mask, seed, 0)
        ids = SAMPLE(*arguments, num_samples or 1, flags)
        shape = [size for axis, size in enumerate(input.shape) if axis != dims.axes[0]]
        return ids.view(shape if num_samples is None else (num_samples, *shape))

    def cannot(
        self,
        input: Tensor,
        dims: Dims,
        num_samples: int | None,
        temperature: float | Tensor,
        mask: Tensor | None,
        seed: Tensor,
    ) -> str | None:
        return self.refuses_scores(input, temperature, mask, seed)


class _Estimated(torch.autograd.Function):
    """A hard sample whose gradient another estimator than straight-through makes."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        tau: float | Tensor,
        mask: Tensor | None,
        seed: Tensor,
        dims: Dims,
        estimator: str,
        num_samples: int,
    ) -> Tensor:
        result = SOFTMAX(*_arguments(input, dims, tau, mask, seed, HARD))
        is_tensor = isinstance(tau, Tensor)
        ctx.save_for_backward(input, tau if is_tensor else None, mask, seed, result)
        ctx.number, ctx.dims, ctx.estimator = None if is_tensor else tau, dims, (estimator, num_samples)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, tau, mask, seed, hard = ctx.saved_tensors
        tau = ctx.number if tau is None else tau
        estimator, num_samples = ctx.estimator
        if torch.is_grad_enabled() or (ctx.needs_input_grad[1] and estimator == RAO):
            found = _by_the_reference(ctx, grad, input, tau, mask, seed, True, *ctx.estimator)
            return *found, None, None, None, None, None
        *arguments, flags = _arguments(input, ctx.dims, tau, mask, seed, 0)
        samples = num_samples if estimator == RAO else 0
        return ESTIMATE(grad, hard, *arguments, samples, flags), None, None, None, None, None, None


class _Differentiable(torch.autograd.Function):
    """The gradient is that of the soft sample, which is kept where it is the result, else made again."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, tau: float | Tensor, mask: Tensor | None, seed: Tensor, dims: Dims, hard: bool
    ) -> Tensor:
        result = SOFTMAX(*_arguments(input, dims, tau, mask, seed, HARD if hard else 0))
        is_soft = not hard and result.dtype == compute_dtype(result.dtype)
        is_tensor = isinstance(tau, Tensor)
        ctx.save_for_backward(input, tau if is_tensor else None, mask, seed, result if is_soft else None)
        ctx.number, ctx.dims = None if is_tensor else tau, dims
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, tau, mask, seed, soft = ctx.saved_tensors
        dims, tau = ctx.dims, ctx.number if tau is None else tau
        if torch.is_grad_enabled():
            return *_by_the_reference(ctx, grad, input, tau, mask, seed), None, None, None, None
        if soft is None:
            soft = SOFTMAX(*_arguments(input, dims, tau, mask, seed, WIDE))
        if not ctx.needs_input_grad[1]:
            divisor = None if isinstance(tau, float) and tau == 1.0 else tau
            return softmax_backward("softmax", dims, grad, None, soft, mask, divisor), None, None, None, None, None
        of_quotients = softmax_backward("softmax", dims, grad, None, soft, mask, None).to(soft.dtype)
        nothing = of_quotients == 0
        # the quotient of an entry is the log of its sample and what is common to the row, which cancels
        terms = torch.where(nothing, 0.0, of_quotients * soft.log() / tau)
        of_tau = -terms.sum_to_size(tau.shape).to(tau.dtype)
        of_input = torch.where(nothing, 0.0, of_quotients / tau).to(input.dtype)
        return of_input if ctx.needs_input_grad[0] else None, of_tau, None, None, None, None


def _by_the_reference(
    ctx: Any,
    grad: Tensor,
    input: Tensor,
    tau: float | Tensor,
    mask: Tensor | None,
    seed: Tensor,
    hard: bool = False,
    *estimator: Any,
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of input and tau, to be differentiated again where that is asked for."""
    needed, again = ctx.needs_input_grad[:2], torch.is_grad_enabled()
    values = zip((input, tau), needed, strict=True)
    wanted = [value for value, is_needed in values if is_needed and isinstance(value, Tensor)]
    with torch.enable_grad():
        sample = reference.gumbel_softmax(input, ctx.dims, tau, hard, mask, seed, *estimator).to(grad.dtype)
        # ReinMax has no derivative in tau
        found = iter(torch.autograd.grad(sample, wanted, grad, create_graph=again, allow_unused=True))
    return next(found) if needed[0] else None, next(found) if needed[1] else None


def _arguments(
    input: Tensor, dims: Dims, temperature: float | Tensor, mask: Tensor | None, seed: Tensor, flags: int
) -> tuple[Any, ...]:
    number, given, takes_part = 1.0, input, input
    if isinstance(temperature, Tensor):
        flags |= HAS_TEMPERATURE
        given = temperature.to(compute_dtype(input.dtype)).expand(input.shape)
    else:
        number = float(temperature)
    if mask is not None:
        flags |= HAS_MASK
        takes_part = mask.expand(input.shape)
    return input, takes_part, given, seed, number, axes_of(dims), flags
