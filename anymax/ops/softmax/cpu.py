"""The CPU kernels of softmax, log_softmax and logsumexp (cpu.cpp): what they serve, and their derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anymax._core.context import forward_mode, is_eager
from anymax._core.dims import Dims, reduced_shape
from anymax._core.library import define
from anymax._core.native import CpuKernel, axes_of, result_like
from anymax._core.scores import INFINITY, compute_dtype
from anymax.ops.softmax import reference

Number = float | Tensor

# mask, temperature and sink are there: Flag in cpu.cpp
FLAGS = (1, 2, 4)
# the result is in the dtype of the computation; the backward pass is given the scores instead of the result
WIDE, FROM_SCORES = 8, 16

_PLAIN = "(Tensor input, int axes) -> Tensor"
_OPTIONS = "Tensor mask, Tensor temperature, Tensor sink, int axes, int flags) -> Tensor"
_WITH = "(Tensor input, " + _OPTIONS
_BACKWARD = "(Tensor grad, Tensor result, int axes) -> Tensor"
_BACKWARD_WITH = "(Tensor grad, Tensor value, " + _OPTIONS


def _like(input: Tensor, *arguments: Any) -> Tensor:
    """The result of softmax or log_softmax, for tracing; the flags are the last argument."""
    wide = len(arguments) > 1 and arguments[-1] & WIDE
    return result_like(input, compute_dtype(input.dtype) if wide else input.dtype)


def _reduced(input: Tensor, *arguments: Any) -> Tensor:
    axes = arguments[0] if len(arguments) == 1 else arguments[-2]
    sizes = [1 if axes >> axis & 1 else size for axis, size in enumerate(input.shape)]
    return input.new_empty(sizes, dtype=compute_dtype(input.dtype))


def _like_the_result(grad: Tensor, result: Tensor, *arguments: Any) -> Tensor:
    return result_like(result, grad.dtype)


FORWARD = {
    "softmax": define("softmax" + _PLAIN, _like),
    "log_softmax": define("log_softmax" + _PLAIN, _like),
    "logsumexp": define("logsumexp" + _PLAIN, _reduced),
}
FORWARD_WITH = {
    "softmax": define("softmax_with" + _WITH, _like),
    "log_softmax": define("log_softmax_with" + _WITH, _like),
    "logsumexp": define("logsumexp_with" + _WITH, _reduced),
}
BACKWARD = {
    "softmax": define("softmax_backward" + _BACKWARD, _like_the_result),
    "log_softmax": define("log_softmax_backward" + _BACKWARD, _like_the_result),
}
BACKWARD_WITH = {
    "softmax": define("softmax_backward_with" + _BACKWARD_WITH, _like_the_result),
    "log_softmax": define("log_softmax_backward_with" + _BACKWARD_WITH, _like_the_result),
}
LOGSUMEXP_BACKWARD = define(
    "logsumexp_backward(Tensor grad, Tensor input, Tensor log_z, Tensor mask, int axes, int flags) -> Tensor",
    lambda grad, input, *_: result_like(input, input.dtype),
)


def is_plain(input: Tensor) -> bool:
    """Whether a kernel may be called with nothing around it: eager code on the CPU."""
    return input.is_cpu and is_eager() and not forward_mode(input)


def plain(name: str, input: Tensor, axis: int) -> Tensor:
    """One of the three along one axis, which it keeps, without an option."""
    if input.requires_grad and torch.is_grad_enabled():
        return _Plain.apply(input, name, axis)
    return FORWARD[name](input, 1 << axis)


class _Plain(torch.autograd.Function):
    """`_Differentiable` of float32 or float64 and no option, in half of its time."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, name: str, axis: int) -> Tensor:
        result = FORWARD[name](input, 1 << axis)
        ctx.save_for_backward(input if name == "logsumexp" else None, result)
        ctx.name, ctx.axis = name, axis
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, result = ctx.saved_tensors
        axes = 1 << ctx.axis
        if torch.is_grad_enabled():
            found = _gradient(ctx.name, (ctx.axis,), grad, input, result, None, None)
        elif input is not None:
            found = LOGSUMEXP_BACKWARD(grad, input, result, input, axes, 0)
        else:
            found = BACKWARD[ctx.name](grad, result, axes)
        return found, None, None


class Softmax(CpuKernel):
    """One of the three; logsumexp takes no temperature, as its reference."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, input: Tensor, dims: Dims, *options: Any) -> Tensor:
        mask, temperature, sink = self._options(options)
        mask = None if mask is None else mask.expand(input.shape)
        if torch.is_grad_enabled() and any(
            isinstance(value, Tensor) and value.requires_grad for value in (input, temperature, sink)
        ):
            return _Differentiable.apply(input, mask, temperature, sink, self.name, dims)
        return _forward(self.name, dims, input, mask, temperature, sink)

    def cannot(self, input: Tensor, dims: Dims, *options: Any) -> str | None:
        return self.refuses_scores(input, *options)

    def _options(self, options: tuple[Any, ...]) -> tuple[Tensor | None, Number | None, Number | None]:
        """mask, temperature and sink, None where they change nothing."""
        temperature, mask, sink = options if self.name != "logsumexp" else (1.0, *options)
        return mask, None if isinstance(temperature, float) and temperature == 1.0 else temperature, sink


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        mask: Tensor | None,
        temperature: Number | None,
        sink: Number | None,
        name: str,
        dims: Dims,
    ) -> Tensor:
        result = _forward(name, dims, input, mask, temperature, sink)
        # softmax and log_softmax have their derivative in the input from the result, unless that was rounded
        rounded = name != "logsumexp" and result.dtype != compute_dtype(result.dtype)
        kept = input if name == "logsumexp" or rounded or any(ctx.needs_input_grad[2:4]) else None
        tensors = (value if isinstance(value, Tensor) else None for value in (temperature, sink))
        if name == "log_softmax" and temperature is not None:
            # a score of -inf has no gradient; a finite one whose quotient overflowed has
            finite = input != -INFINITY
            mask = finite if mask is None else finite & mask
        ctx.save_for_backward(kept, None if rounded else result, mask, *tensors)
        ctx.name, ctx.dims, ctx.numbers = name, dims, (temperature, sink)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        input, result, mask, *tensors = ctx.saved_tensors
        temperature, sink = (
            number if tensor is None else tensor for number, tensor in zip(ctx.numbers, tensors, strict=True)
        )
        name, dims = ctx.name, ctx.dims
        if torch.is_grad_enabled():
            if result is None or any(ctx.needs_input_grad[2:4]):
                return (*_by_the_reference(ctx, grad, input, mask, temperature, sink), None, None)
            axes = dims.axes if dims.ndim else ()
            return _gradient(name, axes, grad, input, result, mask, temperature), None, None, None, None, None
        if result is None:
            if not any(ctx.needs_input_grad[2:4]):
                found = backward(name, dims, grad, input, None, mask, temperature, sink)
                return found, None, None, None, None, None
            result = _forward(name, dims, input, mask, temperature, sink, WIDE)
        if not ctx.needs_input_grad[2]:
            found, of_temperature = backward(name, dims, grad, input, result, mask, temperature), None
        else:
            untempered = backward(name, dims, grad, input, result, mask, None).to(compute_dtype(input.dtype))
            of_temperature = _of_temperature(untempered, dims, input, mask, temperature, sink).to(temperature.dtype)
            found = torch.where(untempered == 0, 0.0, untempered / temperature).to(input.dtype)
        of_sink = None
        if ctx.needs_input_grad[3]:
            dtype = compute_dtype(input.dtype)
            log_z = _forward("logsumexp", dims, input.to(dtype), mask, temperature, sink)
            grad = grad if mask is None or name == "logsumexp" else torch.where(mask, grad, 0.0)
            weight = {"softmax": grad * result, "log_softmax": grad, "logsumexp": -grad}[name].to(dtype)
            of_row = weight.sum(dims.axes, keepdim=True) if dims.ndim else weight
            of_sink = -(of_row * (sink - log_z).exp()).sum_to_size(sink.shape).to(sink.dtype)
        return found, None, of_temperature, of_sink, None, None


def _of_temperature(
    of_quotients: Tensor, dims: Dims, input: Tensor, mask: Tensor | None, temperature: Tensor, sink: Number | None
) -> Tensor:
    """The gradient of T from that of the quotients x / T: minus the sum of it times x / T^2."""
    scores = input.to(of_quotients.dtype)
    scores = scores if mask is None else torch.where(mask, scores, -INFINITY)
    # what is common to a row cancels, so that a small T overflows only where the quotients do
    top = scores.amax(dims.axes, keepdim=True) if dims.ndim and scores.numel() else scores
    rest = scores - top
    terms = torch.where((of_quotients == 0) | (rest == 0), 0.0, of_quotients * (rest / temperature) / temperature)
    found = -terms.sum_to_size(temperature.shape)
    if sink is None:
        return found
    # with a sink it does not cancel
    common = of_quotients.sum(dims.axes, keepdim=True) if dims.ndim else of_quotients
    common = torch.where(common == 0, 0.0, common * (top / temperature) / temperature)
    return found - common.sum_to_size(temperature.shape)


def _forward(
    name: str,
    dims: Dims,
    input: Tensor,
    mask: Tensor | None,
    temperature: Number | None,
    sink: Number | None,
    flags: int = 0,
) -> Tensor:
    if mask is None and temperature is None and sink is None and not flags:
        return FORWARD[name](input, axes_of(dims))
    options = (mask, _per_row(temperature, input, dims), _per_row(sink, input, dims))
    flags += sum(flag for flag, value in zip(FLAGS, options, strict=True) if value is not None)
    absent = (input if value is None else value for value in options)
    return FORWARD_WITH[name](input, *absent, axes_of(dims), flags)


def backward(
    name: str,
    dims: Dims,
    grad: Tensor,
    input: Tensor | None,
    result: Tensor | None,
    mask: Tensor | None,
    temperature: Number | None,
    sink: Number | None = None,
) -> Tensor:
    """The gradient of the input, from the result, or from the input where that is None."""
    known = input if result is None else result
    assert known is not None
    if mask is None and temperature is None and result is not None and name != "logsumexp":
        return BACKWARD[name](grad, result, axes_of(dims))
    # the result has the sink in it
    options = (mask, _per_row(temperature, known, dims), _per_row(sink, known, dims) if result is None else None)
    flags = sum(flag for flag, value in zip(FLAGS, options, strict=True) if value is not None)
    if name == "logsumexp":
        return LOGSUMEXP_BACKWARD(grad, input, result, input if mask is None else mask, axes_of(dims), flags)
    absent = (known if value is None else value for value in options)
    return BACKWARD_WITH[name](grad, known, *absent, axes_of(dims), flags | (FROM_SCORES if result is None else 0))


def _gradient(
    name: str,
    axes: tuple[int, ...],
    grad: Tensor,
    input: Tensor | None,
    result: Tensor,
    mask: Tensor | None,
    temperature: Number | None,
) -> Tensor:
    """What `backward` computes, in torch's own ops: for derivatives of the derivative."""
    if name == "logsumexp":
        assert input is not None
        log_probs = input - result
        # masked before exp, whose derivative would be infinite where nothing takes part
        return grad * (log_probs if mask is None else torch.where(mask, log_probs, -INFINITY)).exp()
    grad = grad if mask is None else torch.where(mask, grad, 0.0)
    if name == "softmax":
        found = result * (grad - (grad * result).sum(axes, keepdim=True))
    else:
        found = grad - result.exp() * grad.sum(axes, keepdim=True)
    return found if temperature is None else (found / temperature).to(result.dtype)


def _by_the_reference(
    ctx: Any, grad: Tensor, input: Tensor, mask: Tensor | None, temperature: Number | None, sink: Number | None
) -> tuple[Tensor | None, ...]:
    """The gradients of input, mask (none), temperature and sink, to be differentiated again."""
    values = zip((input, mask, temperature, sink), ctx.needs_input_grad[:4], strict=True)
    wanted = [value for value, needed in values if needed and isinstance(value, Tensor)]
    options = (mask, sink) if ctx.name == "logsumexp" else (1.0 if temperature is None else temperature, mask, sink)
    result = getattr(reference, ctx.name)(input, ctx.dims, *options).to(grad.dtype)
    found = iter(torch.autograd.grad(result, wanted, grad, create_graph=True))
    return tuple(next(found) if needed else None for needed in ctx.needs_input_grad[:4])


def _per_row(value: Number | None, like: Tensor, dims: Dims) -> Tensor | None:
    """A temperature or sink as a tensor of a number per row, with size 1 on the axes that compete."""
    if value is None:
        return None
    dtype = compute_dtype(like.dtype)
    number = value.to(dtype) if isinstance(value, Tensor) else like.new_full((), value, dtype=dtype)
    return number.expand(reduced_shape(like.shape, dims))
