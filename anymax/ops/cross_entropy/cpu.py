"""The CPU kernel of cross_entropy (cpu.cpp): what it serves, and its derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anymax._core.context import forward_mode
from anymax._core.dims import Dims, resolve_one
from anymax._core.library import define
from anymax._core.native import CpuKernel, chained, result_like
from anymax._core.scores import compute_dtype, log_of_prior
from anymax._core.targets import REDUCTIONS
from anymax.ops.cross_entropy import reference
from anymax.ops.cross_entropy.reference import Options

# behind the reduction, whose place in REDUCTIONS is the lowest two bits of the flags
HAS_WEIGHT, HAS_PRIOR = 4, 16

_ARGUMENTS = (
    "(Tensor input, Tensor target, Tensor weight, Tensor log_prior, int axis, int ignore_index, float label_smoothing, "
    "float z_loss, int flags)"
)


def _loss(input: Tensor, target: Tensor, *arguments: Any) -> Tensor:
    shape = target.shape if REDUCTIONS[arguments[-1] % HAS_WEIGHT] == "none" else ()
    return input.new_empty(shape, dtype=compute_dtype(input.dtype))


FORWARD = define(f"cross_entropy{_ARGUMENTS} -> Tensor", _loss)
WITH_GRADIENT = define(
    f"cross_entropy_with_gradient{_ARGUMENTS} -> (Tensor, Tensor)",
    lambda input, *arguments: (_loss(input, *arguments), result_like(input, compute_dtype(input.dtype))),
)


_MEAN, _NO_OPTIONS = REDUCTIONS.index("mean"), Options()


def plain(input: Tensor, target: Tensor) -> Tensor | None:
    """The mean over the default class axis, in eager code; None where ids do not fit or there are none."""
    count, axis = input.numel(), input.ndim - 1
    if axis == 1:
        # without a shape, which takes as long as the rest
        fits = target.numel() * input.size(1) == count
    else:
        shape, axis = input.shape, min(1, axis)
        fits = target.shape == shape[:axis] + shape[axis + 1 :]
    if not fits or count == 0 or forward_mode(input):
        return None
    if input.requires_grad and torch.is_grad_enabled():
        return _Differentiable.apply(input, target, resolve_one(axis, input.ndim), _NO_OPTIONS, "mean")
    return FORWARD(input, target.contiguous(), input, input, axis, -100, 0.0, 0.0, _MEAN)


def refusal(target: Tensor, options: Options) -> str | None:
    """Why the kernel has nothing for this target and these options."""
    if target.is_floating_point():
        return "it is for class ids"
    tempered = isinstance(options.temperature, Tensor) or options.temperature != 1.0
    if tempered or options.mask is not None or options.softcap is not None:
        return "it takes no temperature, mask and softcap"
    for name in ("weight", "class_prior"):
        vector = getattr(options, name)
        if vector is not None and vector.requires_grad and torch.is_grad_enabled():
            return f"it has no derivative in {name}"
    return None


def per_class(options: Options, dtype: torch.dtype, absent: Tensor) -> tuple[Tensor, Tensor, int]:
    """Weight and log of the prior as the kernel takes them, with `absent` for one that is not there, and the flags."""
    weight = log_prior = absent
    flags = 0
    if options.weight is not None:
        weight = options.weight.to(dtype).contiguous()
        flags |= HAS_WEIGHT
    if options.class_prior is not None:
        log_prior = log_of_prior(options.class_prior, dtype).contiguous()
        flags |= HAS_PRIOR
    return weight, log_prior, flags


class CrossEntropy(CpuKernel):
    def __call__(self, input: Tensor, target: Tensor, dims: Dims, options: Options, reduction: str) -> Tensor:
        if input.requires_grad and torch.is_grad_enabled():
            return _Differentiable.apply(input, target, dims, options, reduction)
        return FORWARD(*_arguments(input, target, dims, options, reduction))

    def cannot(self, input: Tensor, target: Tensor, dims: Dims, options: Options, reduction: str) -> str | None:
        return self.refuses_scores(input, target, options.weight, options.class_prior) or refusal(target, options)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, target: Tensor, dims: Dims, options: Options, reduction: str) -> Tensor:
        loss, gradient = WITH_GRADIENT(*_arguments(input, target, dims, options, reduction))
        ctx.save_for_backward(input, target, options.weight, options.class_prior, gradient)
        ctx.options = options._replace(weight=None, class_prior=None)
        ctx.dims, ctx.reduction = dims, reduction
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, target, weight, class_prior, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            options = ctx.options._replace(weight=weight, class_prior=class_prior)
            loss = reference.cross_entropy(input, target, ctx.dims, options, ctx.reduction)
            (found,) = torch.autograd.grad(loss, input, grad, create_graph=True)
        else:
            of_entries = grad.unsqueeze(ctx.dims.axes[0]) if ctx.reduction == "none" else grad
            found = chained(gradient, of_entries, ctx.reduction)
        return found.to(input.dtype), None, None, None, None


def _arguments(input: Tensor, target: Tensor, dims: Dims, options: Options, reduction: str) -> tuple[Any, ...]:
    weight, log_prior, flags = per_class(options, compute_dtype(input.dtype), input)
    return (
        input,
        target.contiguous(),
        weight,
        log_prior,
        dims.axes[0],
        options.ignore_index,
        options.label_smoothing,
        options.z_loss,
        flags | REDUCTIONS.index(reduction),
    )
