"""The CPU kernels of the binary losses (cpu.cpp): what they serve, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
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


_FOCUSED = "(Tensor input, Tensor target, float gamma, float of_positive, float of_negative, int flags)"
_ASYMMETRIC = "(Tensor input, Tensor target, float gamma_neg, float gamma_pos, float clip, int flags)"


def _pair(name: str, arguments: str) -> tuple[Any, Any]:
    """An op of entries: the loss, and the loss with its gradient."""
    return define(f"{name}{arguments} -> Tensor", _loss), define(
        f"{name}_with_gradient{arguments} -> (Tensor, Tensor)",
        lambda input, *others: (_loss(input, *others), result_like(input, compute_dtype(input.dtype))),
    )


FORWARD, WITH_GRADIENT = _pair("binary_cross_entropy", _ARGUMENTS)
FOCAL, FOCAL_WITH_GRADIENT = _pair("sigmoid_focal", _FOCUSED)
ASYMMETRIC, ASYMMETRIC_WITH_GRADIENT = _pair("asymmetric", _ASYMMETRIC)

_OF_ROWS = (
    "(Tensor input, Tensor target, int axis, int ignore_index, float gamma, float of_positive, float of_negative, "
    "int flags)"
)


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


class SigmoidFocal(CpuKernel):
    def __call__(self, input: Tensor, target: Tensor, alpha: float | None, gamma: float, reduction: str) -> Tensor:
        if input.requires_grad and torch.is_grad_enabled():
            return _DifferentiableFocal.apply(input, target, alpha, gamma, reduction)
        return FOCAL(*_focal_arguments(input, target, alpha, gamma, reduction))

    def cannot(self, input: Tensor, target: Tensor, *arguments: Any) -> str | None:
        return _refuses_entries(self, input, target)


class _DifferentiableFocal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, target: Tensor, alpha: float | None, gamma: float, reduction: str) -> Tensor:
        loss, gradient = FOCAL_WITH_GRADIENT(*_focal_arguments(input, target, alpha, gamma, reduction))
        ctx.save_for_backward(input, target, gradient)
        ctx.options = alpha, gamma, reduction
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return (_backward(ctx, grad, reference.sigmoid_focal_loss), None, None, None, None)


class Asymmetric(CpuKernel):
    def __call__(
        self, input: Tensor, target: Tensor, gamma_neg: float, gamma_pos: float, clip: float, reduction: str
    ) -> Tensor:
        if input.requires_grad and torch.is_grad_enabled():
            return _DifferentiableAsymmetric.apply(input, target, gamma_neg, gamma_pos, clip, reduction)
        target, flags = _readable(target, compute_dtype(input.dtype)), REDUCTIONS.index(reduction)
        return ASYMMETRIC(input, target, gamma_neg, gamma_pos, clip, flags)

    def cannot(self, input: Tensor, target: Tensor, *arguments: Any) -> str | None:
        return _refuses_entries(self, input, target)


class _DifferentiableAsymmetric(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, target: Tensor, gamma_neg: float, gamma_pos: float, clip: float, reduction: str
    ) -> Tensor:
        readable, flags = _readable(target, compute_dtype(input.dtype)), REDUCTIONS.index(reduction)
        loss, gradient = ASYMMETRIC_WITH_GRADIENT(input, readable, gamma_neg, gamma_pos, clip, flags)
        ctx.save_for_backward(input, target, gradient)
        ctx.options = gamma_neg, gamma_pos, clip, reduction
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return (_backward(ctx, grad, reference.asymmetric_loss), None, None, None, None, None)


def _refuses_entries(kernel: CpuKernel, input: Tensor, target: Tensor) -> str | None:
    if reason := kernel.refuses_scores(input, target):
        return reason
    return "it has no derivative in target" if target.requires_grad and torch.is_grad_enabled() else None


def _backward(ctx: Any, grad: Tensor, definition: Callable[..., Tensor]) -> Tensor:
    """The gradient of a loss of entries, whose options end in the reduction."""
    input, target, gradient = ctx.saved_tensors
    if torch.is_grad_enabled():
        (found,) = torch.autograd.grad(definition(input, target, *ctx.options), input, grad, create_graph=True)
    else:
        found = chained(gradient, grad, ctx.options[-1])
    return found.to(input.dtype)


class OneVsRest(CpuKernel):
    def __call__(
        self,
        input: Tensor,
        target: Tensor,
        dims: Dims,
        ignore_index: int,
        reduction: str,
        alpha: float | None,
        gamma: float,
    ) -> Tensor:
        if input.requires_grad and torch.is_grad_enabled():
            return _DifferentiableRows.apply(input, target, dims, ignore_index, reduction, alpha, gamma)
        return ONE_VS_REST(*_row_arguments(input, target, dims, ignore_index, reduction, alpha, gamma))

    def cannot(self, input: Tensor, target: Tensor, *arguments: Any) -> str | None:
        return self.refuses_scores(input, target)


class _DifferentiableRows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        target: Tensor,
        dims: Dims,
        ignore_index: int,
        reduction: str,
        alpha: float | None,
        gamma: float,
    ) -> Tensor:
        arguments = _row_arguments(input, target, dims, ignore_index, reduction, alpha, gamma)
        loss, gradient = ONE_VS_REST_WITH_GRADIENT(*arguments)
        ctx.save_for_backward(input, target, gradient)
        ctx.options = dims, ignore_index, reduction, alpha, gamma
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, target, gradient = ctx.saved_tensors
        dims, _, reduction, *_ = ctx.options
        if torch.is_grad_enabled():
            loss = reference.one_vs_rest_loss(input, target, *ctx.options)
            (found,) = torch.autograd.grad(loss, input, grad, create_graph=True)
        else:
            found = chained(gradient, grad.unsqueeze(dims.axes[0]) if reduction == "none" else grad, reduction)
        return found.to(input.dtype), None, None, None, None, None, None


def _focal_arguments(
    input: Tensor, target: Tensor, alpha: float | None, gamma: float, reduction: str
) -> tuple[Any, ...]:
    readable = _readable(target, compute_dtype(input.dtype))
    return input, readable, gamma, *_weights(alpha), REDUCTIONS.index(reduction)


def _row_arguments(
    input: Tensor,
    target: Tensor,
    dims: Dims,
    ignore_index: int,
    reduction: str,
    alpha: float | None,
    gamma: float,
) -> tuple[Any, ...]:
    flags = REDUCTIONS.index(reduction)
    return input, target.contiguous(), dims.axes[0], ignore_index, gamma, *_weights(alpha), flags


def _weights(alpha: float | None) -> tuple[float, float]:
    """Of positives and of negatives."""
    return (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)


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
