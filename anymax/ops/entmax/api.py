"""sparsemax and entmax: maps that give exact zeros, and their losses."""

from __future__ import annotations

from torch import Tensor

from anymax._core import checks
from anymax._core.context import values_are_readable
from anymax._core.dims import Dim, Dims, resolve
from anymax._core.dispatch import implementation, public
from anymax._core.errors import CALLER
from anymax._core.scores import compute_dtype, loss_dtype, map_dtype
from anymax._core.targets import REDUCTIONS, as_target, check_shape, check_values, class_axis
from anymax.ops.entmax import cpu, reference
from anymax.ops.entmax.reference import Options


@public(reference=reference.sparsemax, kernels=(cpu.Sparsemax(),))
def sparsemax(
    input: Tensor,
    dim: Dim,
    *,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Turn scores into probabilities of which many are exactly 0: the nearest point of the simplex.

    .. math:: p = \operatorname{argmin}_{q} \lVert q - x / T \rVert^2 = [x / T - \tau]_+

    where q runs over all probabilities and tau makes the sum 1.

    Args:
        input: scores, floating point, any shape. Their scale decides how many entries are 0: a score that is 1 or
            more below the largest has no chance, at T = 1.
        dim: the axes that compete, jointly, as in :func:`anymax.softmax`; required.
        temperature: T > 0, a number or a tensor that broadcasts against `input` and has size 1 along `dim`.
        mask: boolean, broadcasts against `input`; True takes part. Entries under False are never read and get 0.

    Returns:
        Probabilities of the input's shape and dtype. float16 and bfloat16 are computed in float32. A score of -inf
        gets 0; a row of nothing but -inf is NaN; a row whose mask is all False is 0. Entries of probability 0 have no
        gradient, so that a class outside the support of every row learns nothing from this map alone.

    Raises:
        IndexError: an int `dim` out of range. ValueError: a pattern, shape or value that does not fit. TypeError: a
            wrong type or dtype.

    Example:
        >>> anymax.sparsemax(torch.tensor([0.5, 0.0, -0.5, -2.0]), dim=0)
        tensor([0.7500, 0.2500, 0.0000, 0.0000])

    Source: Martins & Astudillo 2016, arXiv 1602.02068.
    """
    dims = _checked(input, dim, temperature, mask)
    return implementation("sparsemax")(input, dims, temperature, mask).to(map_dtype(input))


@public(reference=reference.entmax, kernels=(cpu.Entmax(),))
def entmax(
    input: Tensor,
    dim: Dim,
    *,
    alpha: float | Tensor = 1.5,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Turn scores into probabilities between softmax (alpha = 1) and sparsemax (alpha = 2), with exact zeros beyond 1.

    .. math::
        p = \operatorname{argmax}_{q} \langle q, x / T \rangle + \frac{1 - \sum_i q_i^\alpha}{\alpha (\alpha - 1)}
          = \big[(\alpha - 1)\, x / T - \tau\big]_+^{1 / (\alpha - 1)}

    where q runs over all probabilities and tau makes the sum 1.

    Args:
        input: scores (nats), floating point, any shape.
        dim: the axes that compete, jointly, as in :func:`anymax.softmax`; required.
        alpha: at least 1, a number or a tensor that broadcasts against `input` and has size 1 along `dim`; it may
            learn, held at 1 or above by `alpha.data.clamp_(min=1)` or as `1 + softplus(free)`. Up to 2 the result is
            exact to a few roundings. Above 2 the map itself amplifies the rounding of a score into that of a small
            probability by p ** (2 - alpha), so that float32 serves up to about 4.
        temperature, mask: as in :func:`anymax.sparsemax`.

    Returns:
        As :func:`anymax.sparsemax`. Derivatives in scores, temperature and alpha are exact up to the third order; where
        an entry enters the support there is none of some order: of the first in alpha or the scores from alpha = 2 on,
        of the second from 1.5 on.

    Raises:
        As :func:`anymax.sparsemax`.

    Example:
        >>> anymax.entmax(torch.tensor([1.0, 2.0, 3.0]), dim=0)
        tensor([0.0000, 0.1693, 0.8307])
        >>> anymax.entmax(torch.tensor([1.0, 2.0, 3.0]), dim=0, alpha=1.25)
        tensor([0.0345, 0.2148, 0.7507])

    Source: Peters et al. 2019, arXiv 1905.05702; Correia et al. 2019, arXiv 1909.00015 (a learned alpha).
    """
    dims = _checked(input, dim, temperature, mask)
    _check_alpha(alpha, input, dims)
    return implementation("entmax")(input, dims, alpha, temperature, mask).to(map_dtype(input))


@public(reference=reference.sparsemax_loss, kernels=(cpu.SparsemaxLoss(),))
def sparsemax_loss(
    input: Tensor,
    target: Tensor,
    *,
    dim: Dim | None = None,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Compute the loss that sparsemax is trained by: :func:`anymax.entmax_loss` at alpha = 2.

    .. math:: \ell = \tfrac12 \lVert y - x/T \rVert^2 - \tfrac12 \lVert p - x/T \rVert^2, \quad
        p = \mathrm{sparsemax}(x / T)

    where y is the target, one-hot for class ids. It is 0 once the target's score leads by 1.

    Arguments, result and errors are those of :func:`anymax.entmax_loss`.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        >>> anymax.sparsemax_loss(scores, torch.tensor([0, 2]), reduction="none")
        tensor([0.0000, 0.3333])

    Source: Martins & Astudillo 2016, arXiv 1602.02068.
    """
    options = Options(weight, ignore_index, temperature, mask)
    dims, target = _checked_loss(input, target, dim, options, reduction)
    loss = implementation("sparsemax_loss")(input, target, dims, options, reduction)
    check_values(target, input.shape[dims.axes[0]], dims.axes[0], ignore_index, loss)
    return loss.to(loss_dtype(input))


@public(reference=reference.entmax_loss, kernels=(cpu.EntmaxLoss(),))
def entmax_loss(
    input: Tensor,
    target: Tensor,
    *,
    dim: Dim | None = None,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    alpha: float | Tensor = 1.5,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Compute the Fenchel-Young loss that entmax is trained by, whose gradient is p - y.

    .. math::
        \ell = \langle p - y, s \rangle + H(p) - H(y), \quad s = x / T, \quad p = \mathrm{entmax}(s), \quad
        H(p) = \frac{1 - \sum_c p_c^\alpha}{\alpha (\alpha - 1)}

    where y is the target, one-hot for class ids. It is at least 0, convex in the scores, and 0 where p = y: for a class
    id once its score leads by 1 / (alpha - 1). At alpha = 1 it is the cross-entropy less the entropy of the target.

    Args:
        input: scores (nats), floating point: (C,), (N, C) or (N, C, d1, ...). Never probabilities or their logs.
        target: class ids, any integer dtype, the input's shape without the class axis; or probabilities, floating
            point, the input's shape, rows that sum to 1.
        dim: the class axis. None: axis 1, or 0 for an input of one axis.
        weight: (C,), per class; a row counts as much as its target's class, or as the mean under the target.
        ignore_index: rows with this target cost nothing and are not counted.
        reduction: "none", "mean" or "sum". The mean divides by the summed weights of the targets (probability
            targets: by the number of rows).
        alpha: as in :func:`anymax.entmax`; size 1 along the class axis. It may learn, but the loss alone is no reason
            to: a larger alpha makes it smaller.
        temperature: T > 0, a number or a tensor that broadcasts and has size 1 along the class axis.
        mask: boolean, broadcasts against `input`; True takes part. A masked target costs +inf.

    Returns:
        A scalar, or one loss per row, in the input's dtype (at least float32 under autocast); computed in float32,
        float64 for float64. A mean over nothing is 0.

    Raises:
        As :func:`anymax.cross_entropy`.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        >>> anymax.entmax_loss(scores, torch.tensor([0, 2]), reduction="none")
        tensor([0.0000, 0.5635])

    Source: Blondel et al. 2019, arXiv 1901.02324; Peters et al. 2019, arXiv 1905.05702.
    """
    options = Options(weight, ignore_index, temperature, mask)
    dims, target = _checked_loss(input, target, dim, options, reduction)
    _check_alpha(alpha, input, dims)
    loss = implementation("entmax_loss")(input, target, dims, alpha, options, reduction)
    check_values(target, input.shape[dims.axes[0]], dims.axes[0], ignore_index, loss)
    return loss.to(loss_dtype(input))


def _checked_loss(
    input: Tensor, target: Tensor, dim: Dim | None, options: Options, reduction: str
) -> tuple[Dims, Tensor]:
    checks.one_of("reduction", reduction, REDUCTIONS)
    checks.floating(
        "input", input, f"; scores come first, ids second, and an argmax is not a score: {CALLER}(scores, ids)"
    )
    dims = class_axis(dim, input.ndim)
    num_classes = input.shape[dims.axes[0]]
    if num_classes == 0:
        raise ValueError(f"{CALLER}: the class axis {dims.label(dims.axes[0])} has size 0")
    checks.integer("ignore_index", options.ignore_index)
    checks.per_class("weight", options.weight, num_classes)
    _check_options(input, dims, options.temperature, options.mask)
    target = as_target(target, options.ignore_index)
    check_shape(target, input.shape, dims, dim)
    return dims, target


def _checked(input: Tensor, dim: Dim, temperature: float | Tensor, mask: Tensor | None) -> Dims:
    checks.floating("input", input)
    dims = resolve(dim, input.ndim)
    _check_options(input, dims, temperature, mask)
    return dims


def _check_options(input: Tensor, dims: Dims, temperature: float | Tensor, mask: Tensor | None) -> None:
    checks.per_row("temperature", temperature, input.shape, dims)
    dtype = compute_dtype(input.dtype)
    checks.positive("temperature", temperature, "; the limit at 0 is input.argmax(dim)", dtype)
    checks.mask(mask, input.shape)


def _check_alpha(alpha: float | Tensor, input: Tensor, dims: Dims) -> None:
    """At least 1 and finite: numbers always; tensors where their values can be read."""
    checks.per_row("alpha", alpha, input.shape, dims)
    if isinstance(alpha, Tensor):
        if not values_are_readable(alpha):
            return
        fits = (alpha >= 1) & alpha.isfinite()
        if bool(fits.all()):
            return
        found = alpha[~fits].flatten()[0].item()
        hint = "; hold one that learns with alpha.data.clamp_(min=1), or write 1 + softplus(free)"
    elif 1 <= alpha < float("inf"):
        return
    else:
        found, hint = alpha, ""
    raise ValueError(f"{CALLER}: alpha must be at least 1 and finite, got {found}{hint}; 1 is softmax, 2 sparsemax")
