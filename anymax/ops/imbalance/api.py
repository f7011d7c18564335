"""ldam_loss and effective_number_weights: what class counts do to a loss beside a class prior."""

from __future__ import annotations

import torch
from torch import Tensor

from anymax._core import checks, targets
from anymax._core.dims import Dim
from anymax._core.dispatch import implementation, public
from anymax._core.errors import CALLER, named_after_function
from anymax._core.scores import compute_dtype, loss_dtype
from anymax._core.targets import REDUCTIONS
from anymax.ops.cross_entropy.api import check_options
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.imbalance import cpu, reference


@public(reference=reference.ldam_loss, kernels=(cpu.Ldam(),))
def ldam_loss(
    input: Tensor,
    target: Tensor,
    class_counts: Tensor,
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    weight: Tensor | None = None,
    dim: Dim | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    r"""Compute the label-distribution-aware margin loss (nats): cross-entropy with a margin that is larger for rarer
    classes.

    .. math::
        \ell = -w_y \log \mathrm{softmax}\big(s\,(x - \Delta_y e_y)\big)_y, \quad
        \Delta_c = \Delta_{\max} \left(\frac{\min_j n_j}{n_c}\right)^{1/4}

    where the minimum is over classes that occur. The loss is made for scores in [-1, 1], the cosines of features and
    class table. Of larger scores a margin of 0.5 is a small part, and a scale of 30 makes overconfident probabilities.

    Args:
        input: scores, floating point: (C,), (N, C) or (N, C, d1, ...).
        target: class ids, any integer dtype, the input's shape without the class axis.
        class_counts: n, (C,), at least 0 and not all 0, floating point or integers. A class of count 0 has the margin
            of the rarest class that occurs, `max_margin`.
        max_margin: at least 0.
        scale: s > 0.
        weight: (C,), per class; :func:`anymax.effective_number_weights` in the late epochs of the paper's schedule.
        dim: the class axis. None: axis 1, or 0 for an input of one axis, as torch.
        ignore_index: rows with this target cost nothing and are not counted.
        reduction: "none", "mean" (over the summed weights of the targets) or "sum".

    Returns:
        A scalar, or one loss per row, in the input's dtype (at least float32 under autocast); computed in float32,
        float64 for float64. A mean over nothing is 0.

    Raises:
        ValueError: shapes or values that do not fit, targets out of range (NaN where values cannot be read).
            IndexError: `dim` out of range. TypeError: wrong dtypes.

    Example:
        >>> scores = torch.tensor([[0.6, 0.2], [0.2, 0.6]])
        >>> anymax.ldam_loss(scores, torch.tensor([0, 1]), torch.tensor([1000, 10]), scale=5.0, reduction="none")
        tensor([0.2611, 0.9741])

    Source: Cao et al. 2019, arXiv 1906.07413.
    """
    checks.one_of("reduction", reduction, REDUCTIONS)
    checks.floating("input", input)
    dims = targets.class_axis(dim, input.ndim)
    (axis,) = dims.axes
    options = Options(weight, ignore_index)
    check_options(options, input.dtype, input.shape, dims)
    target = targets.as_ids("target", target)
    targets.check_shape(target, input.shape, dims, dim)
    checks.class_weights("class_counts", class_counts, input.shape[axis])
    checks.at_least_zero("max_margin", max_margin)
    checks.number("scale", scale)
    checks.positive("scale", scale, dtype=compute_dtype(input.dtype))
    loss = implementation("ldam_loss")(
        input, target, class_counts, dims, float(max_margin), float(scale), options, reduction
    )
    targets.check_values(target, input.shape[axis], axis, ignore_index, loss)
    return loss.to(loss_dtype(input))


@named_after_function
def effective_number_weights(class_counts: Tensor, beta: float) -> Tensor:
    r"""Weigh classes by the inverse of their effective number: what n rows are worth where rows resemble one another.

    .. math:: w_c \propto \frac{1 - \beta}{1 - \beta^{n_c}}, \quad \sum_c w_c = C

    Args:
        class_counts: n, (C,), at least 0 and not all 0, floating point or integers.
        beta: in [0, 1]. 0 weighs all classes that occur alike, 1 by the inverse of their counts; in between, counts far
            beyond 1 / (1 - beta) weigh alike.

    Returns:
        (C,), in torch's default dtype, for the `weight` of any loss; computed in float64. A class of count 0 weighs 0.

    Raises:
        ValueError: counts or a beta out of range. TypeError: a wrong dtype.

    Example:
        >>> anymax.effective_number_weights(torch.tensor([1000, 100, 10]), beta=0.99)
        tensor([0.2301, 0.3630, 2.4068])

    Source: Cui et al. 2019, arXiv 1901.05555.
    """
    checks.tensor("class_counts", class_counts)
    if class_counts.ndim != 1:
        raise ValueError(f"{CALLER}: class_counts must have shape (C,), got {tuple(class_counts.shape)}")
    checks.class_weights("class_counts", class_counts, len(class_counts))
    checks.number("beta", beta)
    if not 0 <= beta <= 1:
        raise ValueError(f"{CALLER}: beta must be in [0, 1], got {beta}")
    return reference.effective_number_weights(class_counts, float(beta)).to(torch.get_default_dtype())
