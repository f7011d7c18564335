"""The CPU kernels of entropy and log_prob (cpu.cpp): what they serve, and their derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anymax._core.dims import Dims
from anymax._core.library import define
from anymax._core.native import CpuKernel, axes_of, result_like
from anymax._core.scores import compute_dtype
from anymax.ops.cross_entropy import reference as cross_entropy_reference
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.entropy import reference

# Flag in cpu.cpp; the last ones, in this order, say that log p, log Z and the entropy have a gradient
HAS_MASK, WANTS_STATE = 1, 2
OF_RESULTS = (4, 8, 16)
# what the backward pass is told of a row
STATES = 3


def _per_row(input: Tensor, axes: int) -> Tensor:
    shape = [size for axis, size in enumerate(input.shape) if not axes >> axis & 1]
    return input.new_empty(shape, dtype=compute_dtype(input.dtype))


def _state(rows: Tensor, flags: int) -> Tensor:
    return rows.new_empty(STATES, rows.numel() if flags & WANTS_STATE else 0)


def _entropy(input: Tensor, mask: Tensor, axes: int, temperature: float, flags: int) -> tuple[Tensor, ...]:
    rows = _per_row(input, axes)
    return rows, _state(rows, flags)


def _log_prob(
    input: Tensor, target: Tensor, mask: Tensor, axes: int, ignore_index: int, temperature: float, flags: int
) -> tuple[Tensor, ...]:
    rows = [_per_row(input, axes) for _ in range(3)]
    return *rows, _state(rows[0], flags)


ENTROPY = define(
    "entropy(Tensor input, Tensor mask, int axes, float temperature, int flags) -> (Tensor, Tensor)", _entropy
)
LOG_PROB = define(
    "log_prob(Tensor input, Tensor target, Tensor mask, int axes, int ignore_index, float temperature, int flags)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
    _log_prob,
)
BACKWARD = define(
    "log_prob_backward(Tensor input, Tensor state, Tensor target, Tensor mask, Tensor of_log_prob, Tensor of_log_z, "
    "Tensor of_entropy, int axes, int ignore_index, float temperature, int flags) -> Tensor",
    lambda input, *_: result_like(input, input.dtype),
)


class Entropy(CpuKernel):
    def __call__(self, input: Tensor, dims: Dims, temperature: float, mask: Tensor | None) -> Tensor:
        mask = None if mask is None else mask.expand(input.shape)
        if input.requires_grad and torch.is_grad_enabled():
            return _EntropyWithGradient.apply(input, dims, temperature, mask)
        return _entropy_of(input, dims, temperature, mask)[0]

    def cannot(self, input: Tensor, dims: Dims, temperature: float | Tensor, mask: Tensor | None) -> str | None:
        return self.refuses_scores(input, mask) or _refusal(temperature)


class LogProb(CpuKernel):
    def __call__(self, input: Tensor, target: Tensor, dims: Dims, options: Options) -> tuple[Tensor, ...]:
        target = target.contiguous()
        if options.mask is not None:
            options = options._replace(mask=options.mask.expand(input.shape))
        if input.requires_grad and torch.is_grad_enabled():
            return _LogProbWithGradient.apply(input, target, dims, options)
        return _log_prob_of(input, target, dims, options)[:3]

    def cannot(self, input: Tensor, target: Tensor, dims: Dims, options: Options) -> str | None:
        if reason := self.refuses_scores(input, target, options.mask) or _refusal(options.temperature):
            return reason
        if target.is_floating_point():
            return "it is for class ids"
        if options.softcap is not None:
            return "it takes no softcap"
        if options.class_prior is not None:
            return "it takes no class prior"
        return None


def _refusal(temperature: float | Tensor) -> str | None:
    return "it takes a temperature only as a number" if isinstance(temperature, Tensor) else None


def _entropy_of(
    input: Tensor, dims: Dims, temperature: float, mask: Tensor | None, flags: int = 0
) -> tuple[Tensor, Tensor]:
    flags |= 0 if mask is None else HAS_MASK
    return ENTROPY(input, input if mask is None else mask, axes_of(dims), temperature, flags)


def _log_prob_of(input: Tensor, target: Tensor, dims: Dims, options: Options, flags: int = 0) -> tuple[Tensor, ...]:
    mask, ignore_index = options.mask, options.ignore_index
    flags |= 0 if mask is None else HAS_MASK
    return LOG_PROB(
        input, target, input if mask is None else mask, axes_of(dims), ignore_index, options.temperature, flags
    )


class _EntropyWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, dims: Dims, temperature: float, mask: Tensor | None) -> Tensor:
        entropy, state = _entropy_of(input, dims, temperature, mask, WANTS_STATE)
        ctx.save_for_backward(input, state, mask)
        ctx.dims, ctx.temperature = dims, temperature
        return entropy

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, state, mask = ctx.saved_tensors
        if torch.is_grad_enabled():
            entropy = reference.entropy(input, ctx.dims, ctx.temperature, mask)
            (found,) = torch.autograd.grad(entropy, input, grad, create_graph=True)
        else:
            found = _backward(input, state, None, mask, (None, None, grad), ctx.dims, 0, ctx.temperature)
        return found, None, None, None


class _LogProbWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, target: Tensor, dims: Dims, options: Options) -> tuple[Tensor, ...]:
        *results, state = _log_prob_of(input, target, dims, options, WANTS_STATE)
        ctx.save_for_backward(input, state, target, options.mask)
        ctx.dims, ctx.options = dims, options._replace(mask=None)
        # a result that is not used has no gradient, and a NaN in it no part in that of the others
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, state, target, mask = ctx.saved_tensors
        dims, options = ctx.dims, ctx.options
        if all(grad is None for grad in grads):
            return None, None, None, None
        if torch.is_grad_enabled():
            results = cross_entropy_reference.log_prob(input, target, dims, options._replace(mask=mask))
            used = [at for at, grad in enumerate(grads) if grad is not None]
            (found,) = torch.autograd.grad(
                [results[at] for at in used], input, [grads[at] for at in used], create_graph=True
            )
        else:
            found = _backward(input, state, target, mask, grads, dims, options.ignore_index, options.temperature)
        return found, None, None, None


def _backward(
    input: Tensor,
    state: Tensor,
    target: Tensor | None,
    mask: Tensor | None,
    grads: tuple[Tensor | None, ...],
    dims: Dims,
    ignore_index: int,
    temperature: float,
) -> Tensor:
    flags = sum(flag for flag, grad in zip(OF_RESULTS, grads, strict=True) if grad is not None)
    flags |= 0 if mask is None else HAS_MASK
    dense = (state if grad is None else grad.contiguous() for grad in grads)
    absent = (input if value is None else value for value in (target, mask))
    return BACKWARD(input, state, *absent, *dense, axes_of(dims), ignore_index, temperature, flags)
