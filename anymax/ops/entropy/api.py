"""entropy: how undecided the probabilities of the scores are, along any axes."""

from __future__ import annotations

from torch import Tensor

from anymax._core import checks
from anymax._core.dims import Dim, resolve
from anymax._core.dispatch import implementation, public
from anymax._core.scores import compute_dtype, loss_dtype
from anymax.ops.entropy import cpu, reference


@public(reference=reference.entropy, kernels=(cpu.Entropy(),))
def entropy(
    input: Tensor,
    dim: Dim,
    *,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Measure in nats how undecided the probabilities of the scores are: 0 for one sure entry, log n for n alike.

    .. math:: H = -\sum_i p_i \log p_i, \quad p = \mathrm{softmax}(x / T)

    Args:
        input: scores (nats), floating point, any shape; for probabilities p pass p.log().
        dim: the axes that compete, jointly, as in :func:`anymax.softmax`; required.
        temperature: T > 0, a number or a tensor that broadcasts against `input` and has size 1 along `dim`.
        mask: boolean, broadcasts against `input`; True takes part.

    Returns:
        The input's shape without `dim`, in its dtype (at least float32 under autocast); computed in float32, float64
        for float64. An entry of probability 0 adds 0, and 0 to every derivative: a score of -inf, or a masked one. A
        row whose mask is all False has no probabilities and the entropy 0; a row of nothing but -inf is NaN.

    Raises:
        As :func:`anymax.softmax`.

    Example:
        >>> anymax.entropy(torch.zeros(2, 4), dim=1)
        tensor([1.3863, 1.3863])
        >>> anymax.entropy(torch.zeros(2, 3, 4), "batch [h w]")
        tensor([2.4849, 2.4849])

    Source: Shannon 1948, "A mathematical theory of communication".
    """
    checks.floating("input", input)
    dims = resolve(dim, input.ndim)
    checks.per_row("temperature", temperature, input.shape, dims)
    dtype = compute_dtype(input.dtype)
    checks.positive("temperature", temperature, "; the limit at 0 is the log of how many share the maximum", dtype)
    checks.mask(mask, input.shape)
    return implementation("entropy")(input, dims, temperature, mask).to(loss_dtype(input))
