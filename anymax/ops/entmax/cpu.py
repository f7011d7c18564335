"""The CPU kernels of sparsemax, entmax and their losses (cpu.cpp): what they serve, and their derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anymax._core.dims import Dims
from anymax._core.library import define
from anymax._core.native import CpuKernel, axes_of, chained, result_like
from anymax._core.scores import compute_dtype
from anymax._core.targets import REDUCTIONS
from anymax.ops.entmax import reference
from anymax.ops.entmax.reference import Options
from anymax.ops.softmax.cpu import Softmax

Number = float | Tensor

# Flag in cpu.cpp; of a loss, the reduction's place in REDUCTIONS is the lowest two bits
HAS_MASK, HAS_TEMPERATURE, HAS_WEIGHT = 4, 8, 16

_LOSS_ARGUMENTS = (
    "(Tensor input, Tensor target, Tensor weight, Tensor mask, Tensor temperature, int axis, int ignore_index, "
    "float alpha, int flags)"
)


def _loss(input: Tensor, target: Tensor, *arguments: Any) -> Tensor:
    shape = target.shape if REDUCTIONS[arguments[-1] % HAS_MASK] == "none" else ()
    return input.new_empty(shape, dtype=compute_dtype(input.dtype))


FORWARD = define(
    "entmax(Tensor input, Tensor mask, Tensor temperature, int axes, float alpha, int flags) -> Tensor",
    lambda input, *_: result_like(input, input.dtype),
)
BACKWARD = define(
    "entmax_backward(Tensor grad, Tensor result, Tensor temperature, int axes, float alpha, int flags) -> Tensor",
    lambda grad, result, *_: result_like(result, grad.dtype),
)
LOSS = define(f"entmax_loss{_LOSS_ARGUMENTS} -> Tensor", _loss)
LOSS_WITH_GRADIENT = define(
    f"entmax_loss_with_gradient{_LOSS_ARGUMENTS} -> (Tensor, Tensor)",
    lambda input, *arguments: (_loss(input, *arguments), result_like(input, compute_dtype(input.dtype))),
)

_SOFTMAX = Softmax("softmax")


class Entmax(CpuKernel):
    def __call__(self, input: Tensor, dims: Dims, alpha: float, temperature: Number, mask: Tensor | None) -> Tensor:
        if alpha == 1:
            return _SOFTMAX(input, dims, temperature, mask, None)
        given = _per_entry(temperature, input)
        mask = None if mask is None else mask.expand(input.shape)
        if input.requires_grad and torch.is_grad_enabled():
            return _EntmaxWithGradient.apply(input, dims, float(alpha), given, mask)
        return _entmax(input, dims, float(alpha), given, mask)

    def cannot(self, input: Tensor, dims: Dims, alpha: Number, temperature: Number, mask: Tensor | None) -> str | None:
        return self.refuses_scores(input, temperature, mask) or _refusal(alpha, temperature)


class Sparsemax(CpuKernel):
    """Entmax of alpha = 2."""

    entmax = Entmax()

    def __call__(self, input: Tensor, dims: Dims, *options: Any) -> Tensor:
        return self.entmax(input, dims, 2.0, *options)

    def cannot(self, input: Tensor, dims: Dims, *options: Any) -> str | None:
        return self.entmax.cannot(input, dims, 2.0, *options)


class EntmaxLoss(CpuKernel):
    def __call__(
        self, input: Tensor, target: Tensor, dims: Dims, alpha: float, options: Options, reduction: str
    ) -> Tensor:
        if input.requires_grad and torch.is_grad_enabled():
            return _LossWithGradient.apply(input, target, dims, float(alpha), options, reduction)
        return LOSS(*_arguments(input, target, dims, float(alpha), options, reduction))

    def cannot(
        self, input: Tensor, target: Tensor, dims: Dims, alpha: Number, options: Options, reduction: str
    ) -> str | None:
        if reason := self.refuses_scores(input, target, options.weight, options.temperature, options.mask):
            return reason
        if target.is_floating_point():
            return "it is for class ids"
        if options.weight is not None and options.weight.requires_grad and torch.is_grad_enabled():
            return "it has no derivative in weight"
        if not isinstance(alpha, Tensor) and alpha == 1:
            return "it is for alpha above 1; alpha = 1 is cross_entropy"
        return _refusal(alpha, options.temperature)


class SparsemaxLoss(CpuKernel):
    """That of alpha = 2."""

    loss = EntmaxLoss()

    def __call__(self, input: Tensor, target: Tensor, dims: Dims, options: Options, reduction: str) -> Tensor:
        return self.loss(input, target, dims, 2.0, options, reduction)

    def cannot(self, input: Tensor, target: Tensor, dims: Dims, options: Options, reduction: str) -> str | None:
        return self.loss.cannot(input, target, dims, 2.0, options, reduction)


def _refusal(alpha: Number, temperature: Number) -> str | None:
    if isinstance(alpha, Tensor):
        return "it takes alpha only as a number"
    if alpha > 2:
        return "it is for alpha up to 2"
    if isinstance(temperature, Tensor) and temperature.requires_grad and torch.is_grad_enabled():
        return "it has no derivative in temperature"
    return None


def _per_entry(temperature: Number, input: Tensor) -> Tensor | None:
    """A temperature as the kernel takes it, in the input's shape; None where it changes nothing."""
    dtype = compute_dtype(input.dtype)
    if isinstance(temperature, Tensor):
        return temperature.to(dtype).expand(input.shape)
    return None if temperature == 1 else input.new_full((), temperature, dtype=dtype).expand(input.shape)


def _entmax(input: Tensor, dims: Dims, alpha: float, temperature: Tensor | None, mask: Tensor | None) -> Tensor:
    flags = (0 if mask is None else HAS_MASK) | (0 if temperature is None else HAS_TEMPERATURE)
    absent = (input if value is None else value for value in (mask, temperature))
    return FORWARD(input, *absent, axes_of(dims), alpha, flags)


class _EntmaxWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, dims: Dims, alpha: float, temperature: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        result = _entmax(input, dims, alpha, temperature, mask)
        ctx.save_for_backward(result, temperature)
        ctx.dims, ctx.alpha = dims, alpha
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        result, temperature = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = _gradient(grad, result, ctx.dims, ctx.alpha, temperature)
        else:
            flags = 0 if temperature is None else HAS_TEMPERATURE
            given = result if temperature is None else temperature
            found = BACKWARD(grad, result, given, axes_of(ctx.dims), ctx.alpha, flags)
        return found, None, None, None, None


def _gradient(grad: Tensor, result: Tensor, dims: Dims, alpha: float, temperature: Tensor | None) -> Tensor:
    """What the kernel computes, in torch's own ops: for derivatives of the derivative."""
    axes = dims.axes if dims.ndim else ()
    dtype = compute_dtype(result.dtype)
    inside = result != 0
    probs = torch.where(inside, result.to(dtype), 1.0)
    # 0 but for NaN, whose power of 0 would be 1
    weights = torch.where(inside, probs ** (2 - alpha) + 0 * probs, 0.0)
    up = torch.where(inside, grad.to(dtype), 0.0)
    total = weights.sum(axes, keepdim=True)
    mean = (weights * up).sum(axes, keepdim=True) / torch.where(total == 0, 1.0, total)
    found = weights * (up - mean)
    return (found if temperature is None else found / temperature).to(grad.dtype)


class _LossWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, target: Tensor, dims: Dims, alpha: float, options: Options, reduction: str
    ) -> Tensor:
        loss, gradient = LOSS_WITH_GRADIENT(*_arguments(input, target, dims, alpha, options, reduction))
        temperature = options.temperature if isinstance(options.temperature, Tensor) else None
        ctx.save_for_backward(input, target, options.weight, temperature, options.mask, gradient)
        number = options.temperature if temperature is None else 1.0
        ctx.options = Options(None, options.ignore_index, number, None)
        ctx.dims, ctx.alpha, ctx.reduction = dims, alpha, reduction
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, target, weight, temperature, mask, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            options = ctx.options._replace(weight=weight, mask=mask)
            if temperature is not None:
                options = options._replace(temperature=temperature)
            loss = reference.entmax_loss(input, target, ctx.dims, ctx.alpha, options, ctx.reduction)
            (found,) = torch.autograd.grad(loss, input, grad, create_graph=True)
        else:
            of_entries = grad.unsqueeze(ctx.dims.axes[0]) if ctx.reduction == "none" else grad
            found = chained(gradient, of_entries, ctx.reduction)
        return found.to(input.dtype), None, None, None, None, None


def _arguments(
    input: Tensor, target: Tensor, dims: Dims, alpha: float, options: Options, reduction: str
) -> tuple[Any, ...]:
    flags = REDUCTIONS.index(reduction)
    weight = mask = temperature = input
    if options.weight is not None:
        weight = options.weight.to(compute_dtype(input.dtype)).contiguous()
        flags |= HAS_WEIGHT
    if options.mask is not None:
        mask = options.mask.expand(input.shape)
        flags |= HAS_MASK
    given = _per_entry(options.temperature, input)
    if given is not None:
        temperature = given
        flags |= HAS_TEMPERATURE
    return (
        input,
        target.contiguous(),
        weight,
        mask,
        temperature,
        dims.axes[0],
        options.ignore_index,
        alpha,
        flags,
    )
