"""softmax, softmin, log_softmax, logsumexp: along any axes, with temperature, mask and sink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import has_torch_function_unary

from anymax._core import checks
from anymax._core.dims import Dim, Dims, resolve, resolve_or_implicit
from anymax._core.dispatch import MISSING, Choice, Plain, hand_on, implementation, public, state
from anymax._core.errors import CALLER
from anymax._core.native import FEWEST_WITH_GRADIENT, native, torch_is_faster
from anymax._core.scores import PLAIN_DTYPES, compute_dtype, map_dtype
from anymax.ops.softmax import cpu, reference


def _plain(function: Callable[..., Tensor], kernel_of: Callable[[Tensor, int], Tensor]) -> Plain:
    """torch's own op where that is the faster one, else the kernel with nothing around it.

    torch's gradient for float16 and bfloat16 has the larger error.
    """

    def around(general: Callable[..., Tensor], choice: Choice) -> Callable[..., Tensor]:
        kernel = choice.kernels[0]

        def plain(input: Any = MISSING, dim: Any = MISSING, *positional: Any, **options: Any) -> Tensor:
            if (
                type(input) is Tensor
                and type(dim) is int
                and input.dtype in PLAIN_DTYPES
                and not (options or positional or has_torch_function_unary(input))
                and choice.kernels[0] is kernel
                and state.forced is None
            ):
                if torch_is_faster(input):
                    try:
                        return function(input, dim)
                    except IndexError:
                        pass  # the general function says what is wrong with dim
                elif state.record is None and cpu.is_plain(input) and -input.ndim <= dim < input.ndim:
                    return kernel_of(input, dim % input.ndim)
            return hand_on(general, ("input", input), ("dim", dim), positional, options)

        return plain

    calls = "float32 or float64, an int dim and no option"
    return Plain(
        around,
        calls if native.level is None else f"{calls}, a gradient and fewer than {FEWEST_WITH_GRADIENT} entries",
    )


@public(
    reference=reference.softmax,
    kernels=(cpu.Softmax("softmax"),),
    plain=_plain(torch.softmax, lambda input, axis: cpu.plain("softmax", input, axis)),
)
def softmax(
    input: Tensor,
    dim: Dim | None = None,
    *,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    sink: float | Tensor | None = None,
    dtype: torch.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    r"""Turn scores into probabilities that sum to 1 over `dim`.

    .. math:: p_i = \frac{e^{x_i / T}}{e^{s} + \sum_j e^{x_j / T}}

    where j runs over the entries that compete (those along `dim` whose mask is True), and :math:`e^s` is there only
    with a sink.

    Args:
        input: scores (nats), floating point, any shape.
        dim: the axes that compete. An int; a tuple of ints, jointly; or a pattern that names every axis and
            brackets those that compete, such as `"batch [class] h w"`. None follows torch's legacy rule (rank 0, 1,
            3: axis 0; else axis 1) with an `ImplicitDimWarning`.
        temperature: T > 0, a number or a tensor that broadcasts against `input` and has size 1 along `dim`.
        mask: boolean, broadcasts against `input`; True takes part. Entries under False are never read and get 0.
        sink: one more score per row whose share is left out of the result; not divided by the temperature.
        dtype: cast the input to this dtype first, as in torch, but by name only: the third position, which is `dtype`
            in torch.softmax and `_stacklevel` in torch.nn.functional.softmax, is an error.
        out: write the result here (no derivative then).

    Returns:
        Probabilities of the input's shape and dtype. float16 and bfloat16 are computed in float32. A score of -inf
        gets 0; a row of nothing but -inf is NaN, as in torch; a row whose mask is all False is 0.

    Raises:
        IndexError: an int `dim` out of range. ValueError: a pattern, shape or value that does not fit. TypeError: a
            wrong type or dtype.

    Example:
        >>> anymax.softmax(torch.tensor([1.0, 2.0, 3.0]), dim=0)
        tensor([0.0900, 0.2447, 0.6652])
        >>> anymax.softmax(torch.zeros(2, 3, 4), "batch [h w]").sum((1, 2))
        tensor([1., 1.])

    Source: Bridle 1990 (softmax); Xiao et al. 2023, arXiv 2309.17453 (sink).
    """
    input = _scores(input, dtype)
    dims = resolve_or_implicit("softmax", dim, input.shape)
    _check_options(input, dims, temperature, mask, sink)
    probs = implementation("softmax")(input, dims, temperature, mask, sink)
    return _written(probs.to(map_dtype(input)), out)


@public(
    reference=reference.softmax,
    kernels=(cpu.Softmax("softmax"),),
    plain=_plain(lambda input, dim: torch.softmax(-input, dim), lambda input, axis: cpu.plain("softmax", -input, axis)),
)
def softmin(
    input: Tensor,
    dim: Dim | None = None,
    *,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    sink: float | Tensor | None = None,
    dtype: torch.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    r"""Turn costs into probabilities: the softmax of the negated input.

    .. math:: p_i = \frac{e^{-x_i / T}}{e^{s} + \sum_j e^{-x_j / T}}

    Arguments, result and errors are those of :func:`anymax.softmax`; the sink is compared with the negated input.

    Example:
        >>> anymax.softmin(torch.tensor([1.0, 2.0, 3.0]), dim=0)
        tensor([0.6652, 0.2447, 0.0900])
    """
    input = _scores(input, dtype)
    dims = resolve_or_implicit("softmin", dim, input.shape)
    _check_options(input, dims, temperature, mask, sink)
    probs = implementation("softmin")(-input, dims, temperature, mask, sink)
    return _written(probs.to(map_dtype(input)), out)


@public(
    reference=reference.log_softmax,
    kernels=(cpu.Softmax("log_softmax"),),
    plain=_plain(torch.log_softmax, lambda input, axis: cpu.plain("log_softmax", input, axis)),
)
def log_softmax(
    input: Tensor,
    dim: Dim | None = None,
    *,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    sink: float | Tensor | None = None,
    dtype: torch.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    r"""Turn scores into log-probabilities (nats) over `dim`, without ever forming a probability.

    .. math:: \log p_i = x_i / T - \log\Big(e^{s} + \sum_j e^{x_j / T}\Big)

    Arguments and errors are those of :func:`anymax.softmax`. Masked entries and rows whose mask is all False are -inf.

    Example:
        >>> anymax.log_softmax(torch.tensor([0.0, 1000.0]), dim=0)
        tensor([-1000.,     0.])
    """
    input = _scores(input, dtype)
    dims = resolve_or_implicit("log_softmax", dim, input.shape)
    _check_options(input, dims, temperature, mask, sink)
    log_probs = implementation("log_softmax")(input, dims, temperature, mask, sink)
    return _written(log_probs.to(map_dtype(input)), out)


@public(
    reference=reference.logsumexp,
    kernels=(cpu.Softmax("logsumexp"),),
    plain=_plain(torch.logsumexp, lambda input, axis: cpu.plain("logsumexp", input, axis).squeeze(axis)),
)
def logsumexp(
    input: Tensor,
    dim: Dim,
    keepdim: bool = False,
    *,
    mask: Tensor | None = None,
    sink: float | Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    r"""The log of the summed exponentials over `dim` (nats): the log of softmax's denominator.

    .. math:: \log Z = \log\Big(e^{s} + \sum_j e^{x_j}\Big)

    Args:
        input: scores (nats), any shape. Integers are taken in torch's default dtype, as in torch.
        dim: the axes that are summed, as in :func:`anymax.softmax`; required.
        keepdim: keep those axes, with size 1.
        mask: boolean, broadcasts against `input`; True takes part.
        sink: one more score per row.
        out: write the result here (no derivative then).

    Returns:
        The input's shape without `dim`. Where nothing takes part: -inf, or the sink.

    Raises:
        As :func:`anymax.softmax`.

    Example:
        >>> anymax.logsumexp(torch.zeros(2, 4), dim=1)
        tensor([1.3863, 1.3863])
    """
    checks.tensor("input", input)
    if not input.is_floating_point() and not input.is_complex():
        input = input.to(torch.get_default_dtype())
    checks.floating("input", input)
    dims = resolve(dim, input.ndim)
    _check_options(input, dims, 1.0, mask, sink)
    log_z = implementation("logsumexp")(input, dims, mask, sink)
    if not keepdim and dims.ndim:
        log_z = log_z.squeeze(dims.axes)
    return _written(log_z.to(map_dtype(input)), out)


def _scores(input: Tensor, dtype: torch.dtype | None) -> Tensor:
    checks.tensor("input", input)
    if dtype is not None:
        input = input.to(dtype)
    checks.floating("input", input)
    return input


def _check_options(
    input: Tensor,
    dims: Dims,
    temperature: float | Tensor,
    mask: Tensor | None,
    sink: float | Tensor | None,
) -> None:
    checks.per_row("temperature", temperature, input.shape, dims)
    dtype = compute_dtype(input.dtype)
    checks.positive("temperature", temperature, "; the limit at 0 is input.argmax(dim)", dtype)
    checks.mask(mask, input.shape)
    if sink is not None:
        checks.per_row("sink", sink, input.shape, dims)


def _written(result: Tensor, out: Tensor | None) -> Tensor:
    """`result`, or `out` after it was written there, resized if it has to be, as torch does."""
    if out is None:
        return result
    checks.tensor("out", out)
    if torch.is_grad_enabled() and (result.requires_grad or out.requires_grad):
        raise RuntimeError(f"{CALLER}: out= has no derivative; call it under torch.no_grad() or omit out=")
    if out.dtype != result.dtype:
        raise TypeError(f"{CALLER}: out must have the dtype {result.dtype}, got {out.dtype}")
    if out.shape != result.shape:
        out.resize_(result.shape)
    return out.copy_(result)
