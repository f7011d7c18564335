"""The CPU kernels of the binary losses (cpu.cpp): what they serve, and their derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anymax._core.context import forward_mode
from anymax._core.dims import Dims
from anymax._core.library import define
from anymax._core.native import CpuKernel, chained, result_like
from anymax._core.scores import compute_dtype
from anymax._core.targets import REDUCTIONS
from anymax.ops.binary import reference

# behind the reduction, whose place in REDUCTIONS is the lowest two bits of the flags
HAS_WEIGHT = 4
HAS_POS_WEIGHT = 8

_ARGUMENTS = "(Tensor input, Tensor target, Tensor weight, Tensor pos_weight, int flags)"
_HALVES = (torch.bfloat16, torch.float16)
_MEAN = REDUCTIONS.index("mean")


def _loss(input: Tensor, *arguments: Any) -> Tensor:
    dtype = compute_dtype(input.dtype)
    if REDUCTIONS[arguments[-1] % HAS_WEIGHT] == "none":
        return result_like(input, dtype)
    return input.new_empty((), dtype=dtype)


FORWARD = define(f"binary_cross_entropy{_ARGUMENTS} -> Tensor", _loss)
WITH_GRADIENT = define(
    f"binary_cross_entropy_with_gradient{_ARGUMENTS} -> (Tensor, Tensor)",
    lambda input, *arguments: (_loss(input, *arguments), result_like(input, compute_dtype(input.dtype))),
)

_OF_ROWS = "(Tensor input, Tensor target, int axis, int ignore_index, int flags)"


def _loss_of_rows(input: Tensor, target: Tensor, *arguments: Any) -> Tensor:
    shape = target.shape if REDUCTIONS[arguments[-1]] == "none" else ()
    return input.new_empty(shape, dtype=compute_dtype(input.dtype))


ONE_VS_REST = define(f"one_vs_rest{_OF_ROWS} -> Tensor", _loss_of_rows)
ONE_VS_REST_WITH_GRADIENT = define(
    f"one_vs_rest_with_gradient{_OF_ROWS} -> (Tensor, Tensor)",
    lambda input, *arguments: (_loss_of_rows(input, *arguments), result_like(input, compute_dtype(input.dtype))),
)


def is_plain(input: Tensor, target: Tensor) -> bool:
    """Whether the kernel has every derivative that may be asked for, in eager code."""
    return not (target.requires_grad and torch.is_grad_enabled()) and not forward_mode(input, target)


def plain(input: Tensor, target: Tensor) -> Tensor:
    """The mean, without weights, for a target of the input's dtype."""
    if input.requires_grad and torch.is_grad_enabled():
        return _Differentiable.apply(input, target, None, "mean", None)
    return FORWARD(input, target, input, input, _MEAN)


class BinaryCrossEntropy(CpuKernel):
    def __call__(
        self, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, pos_weight: Tensor | None
    ) -> Tensor:
        if input.requires_grad and torch.is_grad_enabled():
            return _Differentiable.apply(input, target, weight, reduction, pos_weight)
        return FORWARD(*_arguments(input, target, weight, reduction, pos_weight))

    def cannot(
        self, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, pos_weight: Tensor | None
    ) -> str | None:
        if reason := self.refuses_scores(input, target, weight, pos_weight):
            return reason
        for argument, value in (("target", target), ("weight", weight), ("pos_weight", pos_weight)):
            if value is not None and value.requires_grad and torch.is_grad_enabled():
                return f"it has no derivative in {argument}"
        return None


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, pos_weight: Tensor | None
    ) -> Tensor:
        loss, gradient = WITH_GRADIENT(*_arguments(input, target, weight, reduction, pos_weight))
        ctx.save_for_backward(input, target, weight, pos_weight, gradient)
        ctx.reduction = reduction
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, target, weight, pos_weight, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            loss = reference.binary_cross_entropy_with_logits(input, target, weight, ctx.reduction, pos_weight)
            (found,) = torch.autograd.grad(loss, input, grad, create_graph=True)
        else:
            found = chained(gradient, grad, ctx.reduction)
        return found.to(input.dtype), None, None, None, None


class OneVsRest(CpuKernel):
    def __call__(self, input: Tensor, target: Tensor, dims: Dims, ignore_index: int, reduction: str) -> Tensor:
        if input.requires_grad and torch.is_grad_enabled():
            return _DifferentiableRows.apply(input, target, dims, ignore_index, reduction)
        return ONE_VS_REST(input, target.contiguous(), dims.axes[0], ignore_index, REDUCTIONS.index(reduction))

    def cannot(self, input: Tensor, target: Tensor, *arguments: Any) -> str | None:
        return self.refuses_scores(input, target)


class _DifferentiableRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, target: Tensor, dims: Dims, ignore_index: int, reduction: str) -> Tensor:
        axis, flags = dims.axes[0], REDUCTIONS.index(reduction)
        loss, gradient = ONE_VS_REST_WITH_GRADIENT(input, target.contiguous(), axis, ignore_index, flags)
        ctx.save_for_backward(input, target, gradient)
        ctx.dims, ctx.ignore_index, ctx.reduction = dims, ignore_index, reduction
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, target, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            loss = reference.one_vs_rest_loss(input, target, ctx.dims, ctx.ignore_index, ctx.reduction)
            (found,) = torch.autograd.grad(loss, input, grad, create_graph=True)
        else:
            of_entries = grad.unsqueeze(ctx.dims.axes[0]) if ctx.reduction == "none" else grad
            found = chained(gradient, of_entries, ctx.reduction)
        return found.to(input.dtype), None, None, None, None


def _arguments(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, pos_weight: Tensor | None
) -> tuple[Any, ...]:
    flags = REDUCTIONS.index(reduction)
    dtype = compute_dtype(input.dtype)
    weights = []
    for value, flag in ((weight, HAS_WEIGHT), (pos_weight, HAS_POS_WEIGHT)):
        if value is None:
            weights.append(input)
        else:
            flags |= flag
            weights.append(_readable(value, dtype).expand(input.shape))
    return (input, _readable(target, dtype), *weights, flags)


def _readable(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor as the kernel takes it, for a computation in `dtype`: it widens halves itself, to float32."""
    return tensor if tensor.dtype in _HALVES and dtype is torch.float32 else tensor.to(dtype)
