"""The CPU kernels of relumax, softpick and taylor_softmax (cpu.cpp): what they serve, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from anymax._core.dims import Dims
from anymax._core.library import define
from anymax._core.native import CpuKernel, axes_of, result_like

# Kind and Flag in cpu.cpp
KINDS = ("relumax", "softpick", "taylor_softmax")
HAS_MASK = 1

# the number is the bias of relumax, the order of taylor_softmax
_ARGUMENTS = "Tensor input, Tensor mask, int axes, int kind, float number, int flags) -> Tensor"
FORWARD = define(f"rectified({_ARGUMENTS}", lambda input, *_: result_like(input, input.dtype))
BACKWARD = define(
    f"rectified_backward(Tensor grad, {_ARGUMENTS}", lambda grad, input, *_: result_like(input, input.dtype)
)


class Rectified(CpuKernel):
    """One of the three."""

    def __init__(self, name: str, reference: Callable[..., Tensor]) -> None:
        self.kind = KINDS.index(name)
        self.reference = reference

    def __call__(self, input: Tensor, dims: Dims, *options: Any) -> Tensor:
        *number, mask = options
        mask = None if mask is None else mask.expand(input.shape)
        if input.requires_grad and torch.is_grad_enabled():
            return _Differentiable.apply(input, dims, number, mask, self)
        return FORWARD(*self.arguments(input, dims, number, mask))

    def cannot(self, input: Tensor, dims: Dims, *options: Any) -> str | None:
        return self.refuses_scores(input, options[-1])

    def arguments(self, input: Tensor, dims: Dims, number: list[float], mask: Tensor | None) -> tuple[Any, ...]:
        flags = 0 if mask is None else HAS_MASK
        return input, input if mask is None else mask, axes_of(dims), self.kind, float(*number), flags


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, dims: Dims, number: list[float], mask: Tensor | None, kernel: Rectified
    ) -> Tensor:
        ctx.save_for_backward(input, mask)
        ctx.dims, ctx.number, ctx.kernel = dims, number, kernel
        return FORWARD(*kernel.arguments(input, dims, number, mask))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, mask = ctx.saved_tensors
        dims, number, kernel = ctx.dims, ctx.number, ctx.kernel
        if torch.is_grad_enabled():
            result = kernel.reference(input, dims, *number, mask).to(grad.dtype)
            (found,) = torch.autograd.grad(result, input, grad, create_graph=True)
        else:
            found = BACKWARD(grad, *kernel.arguments(input, dims, number, mask))
        return found, None, None, None, None
