"""keep_mask: which classes stay before sampling (top-k, top-p, min-p)."""

from __future__ import annotations

from torch import Tensor

from anymax._core import checks
from anymax._core.dims import Dim, resolve_one
from anymax._core.dispatch import implementation, public
from anymax.ops.truncation import cpu, reference


@public(reference=reference.keep_mask, kernels=(cpu.KeepMask(),))
def keep_mask(
    input: Tensor,
    dim: Dim,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Tensor:
    r"""Mark the classes that stay before sampling, as a mask that goes into any `mask=`.

    The rules act one after the other on p = softmax(input):

    * `top_k`: the k largest scores; among equal ones those with the lowest index.
    * `top_p`: the fewest classes, in falling order, whose share of what is left reaches `top_p`; 1 keeps every class.
    * `min_p`: the classes with :math:`p_i \ge \mathrm{min\_p} \cdot \max_j p_j`.

    Args:
        input: scores (nats), floating point, any shape. To apply a temperature, divide them by it first.
        dim: the axis of the classes.
        top_k: at least 1; more than there are classes keeps all.
        top_p: in (0, 1].
        min_p: in [0, 1].

    Returns:
        A boolean tensor of the input's shape, not differentiable. Scores of -inf are never kept, and nothing is kept
        in a row with NaN or +inf. For `top_p` probabilities are summed in float64, and a sum within n * 2**-52 of
        `top_p` has reached it, n being the number of classes.

    Raises:
        ValueError: no rule given, or a number out of range. IndexError, TypeError: as :func:`anymax.sample`.

    Example:
        >>> scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
        >>> anymax.keep_mask(scores, dim=0, top_p=0.7)
        tensor([ True,  True, False, False])

    Source: Fan et al. 2018, arXiv 1805.04833 (top-k); Holtzman et al. 2019, arXiv 1904.09751 (top-p); Nguyen et al.
    2024, arXiv 2407.01082 (min-p).
    """
    checks.floating("input", input)
    dims = resolve_one(dim, input.ndim)
    if input.ndim == 0:
        raise ValueError("keep_mask: input must have a class axis, got a tensor without axes")
    if top_k is None and top_p is None and min_p is None:
        raise ValueError("keep_mask: give at least one of top_k, top_p and min_p; without a rule every class stays")
    if top_k is not None:
        checks.count("top_k", top_k)
    if top_p is not None:
        checks.number("top_p", top_p)
        if not 0 < top_p <= 1:
            raise ValueError(f"keep_mask: top_p must be in (0, 1], got {top_p}")
    if min_p is not None:
        checks.number("min_p", min_p)
        if not 0 <= min_p <= 1:
            raise ValueError(f"keep_mask: min_p must be in [0, 1], got {min_p}")
    return implementation("keep_mask")(input, dims.axes[0], top_k, top_p, min_p)
