"""The CPU kernels of gumbel_softmax and sample (cpu.cpp): what they serve, and their derivatives."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from anymax._core.dims import Dims
from anymax._core.library import define
from anymax._core.native import CpuKernel, axes_of, result_like
from anymax._core.scores import compute_dtype
from anymax.ops.gumbel import reference
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


SOFTMAX = define(f"gumbel_softmax({_ARGUMENTS}, int flags) -> Tensor", _like)
SAMPLE = define(f"gumbel_sample({_ARGUMENTS}, int samples, int flags) -> Tensor", _ids)


class GumbelSoftmax(CpuKernel):
    def __call__(
        self, input: Tensor, dims: Dims, tau: float | Tensor, hard: bool, mask: Tensor | None, seed: Tensor
    ) -> Tensor:
        if torch.is_grad_enabled() and (input.requires_grad or (isinstance(tau, Tensor) and tau.requires_grad)):
            return _Differentiable.apply(input, tau, mask, seed, dims, hard)
        return SOFTMAX(*_arguments(input, dims, tau, mask, seed, HARD if hard else 0))

    def cannot(
        self, input: Tensor, dims: Dims, tau: float | Tensor, hard: bool, mask: Tensor | None, seed: Tensor
    ) -> str | None:
        return self.refuses_scores(input, tau, mask, seed)


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
    ctx: Any, grad: Tensor, input: Tensor, tau: float | Tensor, mask: Tensor | None, seed: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of input and tau, to be differentiated again."""
    needed = ctx.needs_input_grad[:2]
    values = zip((input, tau), needed, strict=True)
    wanted = [value for value, is_needed in values if is_needed and isinstance(value, Tensor)]
    soft = reference.gumbel_softmax(input, ctx.dims, tau, False, mask, seed).to(grad.dtype)
    found = iter(torch.autograd.grad(soft, wanted, grad, create_graph=True))
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
