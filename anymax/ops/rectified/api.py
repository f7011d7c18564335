"""relumax, softpick and taylor_softmax: the field's maps that put something else in the place of softmax's e^x."""

from __future__ import annotations

from torch import Tensor

from anymax._core import checks
from anymax._core.dims import Dim, Dims, resolve
from anymax._core.dispatch import implementation, public
from anymax._core.errors import CALLER
from anymax._core.scores import compute_dtype, map_dtype
from anymax.ops.rectified import cpu, reference
from anymax.ops.rectified.reference import GREATEST_ORDER


@public(reference=reference.relumax, kernels=(cpu.Rectified("relumax", reference.relumax),))
def relumax(
    input: Tensor,
    dim: Dim,
    *,
    bias: float | Tensor = 0.0,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Divide what is positive of the scores by its sum over `dim`: probabilities with exact zeros.

    .. math:: p_i = \frac{\max(x_i + b_i, 0)}{\sum_j \max(x_j + b_j, 0)}

    where j runs over the entries that compete (those along `dim` whose mask is True).

    Args:
        input: scores, floating point, any shape. Unlike those of softmax they have a zero: adding a constant changes
            the result, multiplying by a positive one does not.
        dim: the axes that compete, jointly, as in :func:`anymax.softmax`; required.
        bias: a number or a tensor that broadcasts against `input`; it may vary along `dim`, and may learn.
        mask: boolean, broadcasts against `input`; True takes part. Entries under False are never read and get 0.

    Returns:
        Probabilities of the input's shape and dtype. float16 and bfloat16 are computed in float32. A row without
        anything positive is 0 with the gradient 0, so such a row learns nothing; a row of nothing but -inf is one.

    Raises:
        As :func:`anymax.softmax`.

    Example:
        >>> anymax.relumax(torch.tensor([1.0, 2.0, -1.0]), dim=0)
        tensor([0.3333, 0.6667, 0.0000])
        >>> anymax.relumax(torch.tensor([1.0, 2.0, -1.0]), dim=0, bias=-1.0)
        tensor([0., 1., 0.])

    Source: the normalised form of ReLU attention; Zhang, Titov and Sennrich 2021, arXiv 2104.07012, and Wortsman et
    al. 2023, arXiv 2309.08586, divide by other things than the sum.
    """
    checks.floating("input", input)
    dims = resolve(dim, input.ndim)
    checks.mask(mask, input.shape)
    scores = input
    if isinstance(bias, Tensor):
        checks.floating("bias", bias)
        checks.broadcasts("bias", bias, input.shape)
        dtype = compute_dtype(input.dtype)
        scores, bias = input.to(dtype) + bias.to(dtype), 0.0
    else:
        checks.number("bias", bias)
    return implementation("relumax")(scores, dims, bias, mask).to(map_dtype(input))


@public(reference=reference.softpick, kernels=(cpu.Rectified("softpick", reference.softpick),))
def softpick(input: Tensor, dim: Dim, *, mask: Tensor | None = None) -> Tensor:
    r"""Turn scores into shares over `dim` that sum to at most 1: positive scores get one, the others exactly 0.

    .. math:: p_i = \frac{\max(e^{x_i} - 1, 0)}{\sum_j |e^{x_j} - 1|}

    where j runs over the entries that compete (those along `dim` whose mask is True). Negative scores count in the
    denominator, so they have a gradient, and a row that likes nothing need not choose.

    Args:
        input: scores (nats), floating point, any shape. Unlike those of softmax they have a zero: adding a constant
            changes the result.
        dim: the axes that compete, jointly, as in :func:`anymax.softmax`; required.
        mask: boolean, broadcasts against `input`; True takes part. Entries under False are never read, get 0, and are
            not in the denominator.

    Returns:
        Shares of the input's shape and dtype. float16 and bfloat16 are computed in float32. A score of -inf takes no
        part, as if it were masked. A row without anything positive is 0; of zeros, or of nothing but -inf, with the
        gradient 0.

    Raises:
        As :func:`anymax.softmax`.

    Example:
        >>> anymax.softpick(torch.tensor([1.0, 2.0, -1.0]), dim=0)
        tensor([0.1966, 0.7311, 0.0000])

    Source: Zuhri, Fuadi and Aji 2025, arXiv 2504.20966.
    """
    dims = _checked(input, dim, mask)
    return implementation("softpick")(input, dims, mask).to(map_dtype(input))


@public(reference=reference.taylor_softmax, kernels=(cpu.Rectified("taylor_softmax", reference.taylor_softmax),))
def taylor_softmax(input: Tensor, dim: Dim, *, order: int = 2, mask: Tensor | None = None) -> Tensor:
    r"""Turn scores into probabilities that sum to 1 over `dim` by the Taylor polynomial of e^x.

    .. math:: p_i = \frac{f(x_i)}{\sum_j f(x_j)}, \quad f(x) = \sum_{k=0}^{n} \frac{x^k}{k!}

    where j runs over the entries that compete (those along `dim` whose mask is True), and n is the order. The
    polynomial has a smallest value and rises again beyond it: at order 2 scores below -1 are ranked backwards, at
    order 4 those below -1.60, at order 6 below -2.18.

    Args:
        input: scores (nats), floating point, any shape. Unlike those of softmax they have a zero: adding a constant
            changes the result.
        dim: the axes that compete, jointly, as in :func:`anymax.softmax`; required.
        order: an even number from 2 to 16. A polynomial of odd order is negative for scores that are low enough, and
            with a greater order float32 has no digits left where the polynomial is smallest.
        mask: boolean, broadcasts against `input`; True takes part. Entries under False are never read and get 0.

    Returns:
        Probabilities of the input's shape and dtype, greater than 0. float16 and bfloat16 are computed in float32. A
        score of -inf takes no part and gets 0; a row of nothing but -inf is NaN, as in softmax; a row whose mask is
        all False is 0.

    Raises:
        ValueError: an order that is odd or out of range. Otherwise as :func:`anymax.softmax`.

    Example:
        >>> anymax.taylor_softmax(torch.tensor([1.0, 2.0, -1.0]), dim=0)
        tensor([0.3125, 0.6250, 0.0625])
        >>> anymax.taylor_softmax(torch.tensor([1.0, 2.0, -1.0]), dim=0, order=4)
        tensor([0.2686, 0.6942, 0.0372])

    Source: de Brébisson and Vincent 2015, arXiv 1511.05042.
    """
    dims = _checked(input, dim, mask)
    checks.count("order", order)
    if order % 2 or order > GREATEST_ORDER:
        why = (
            f"the polynomial of order {order} is negative for low scores"
            if order % 2
            else "float32 has no digits left where a greater one is smallest, and anymax.softmax is the limit"
        )
        raise ValueError(f"{CALLER}: order must be an even number from 2 to {GREATEST_ORDER}, got {order}; {why}")
    return implementation("taylor_softmax")(input, dims, order, mask).to(map_dtype(input))


def _checked(input: Tensor, dim: Dim, mask: Tensor | None) -> Dims:
    checks.floating("input", input)
    dims = resolve(dim, input.ndim)
    checks.mask(mask, input.shape)
    return dims
