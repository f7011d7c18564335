"""What the references share: scores as they compete, and the dtype in which they do.

Precision policy of every reference: float16 and bfloat16 are computed in float32, float64 in float64; only the
result is rounded to the input's dtype.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anymax._core.dims import Dims

INFINITY = float("inf")
# computed as they are, so that torch's own ops give the same answer
PLAIN_DTYPES = (torch.float32, torch.float64)


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which scores of `dtype` are computed."""
    return torch.promote_types(dtype, torch.float32)


def autocast_is_on(tensor: Tensor) -> bool:
    """Whether autocast acts on the device of `tensor`; some devices (meta) know none."""
    device = tensor.device.type
    return _has_autocast(device) and torch.is_autocast_enabled(device)


def _has_autocast(device: str) -> bool:
    return torch.amp.is_autocast_available(device)


# Dynamo of torch 2.10 cannot look into it; a constant is computed once, while tracing
_has_autocast._dynamo_marked_constant = True  # type: ignore[attr-defined]


def map_dtype(input: Tensor) -> torch.dtype:
    """The dtype of a map's result: the input's, or float32 where torch's autocast says so (not on CPU)."""
    if input.device.type != "cpu" and autocast_is_on(input):
        return compute_dtype(input.dtype)
    return input.dtype


def loss_dtype(input: Tensor) -> torch.dtype:
    """The dtype of a loss: the input's, or at least float32 under autocast on any device."""
    if autocast_is_on(input):
        return compute_dtype(input.dtype)
    return input.dtype


class Scores(NamedTuple):
    """Scores ready to compete: `values + offset`, -inf where masked.

    `alive` is None without a mask; else it is False for rows in which nothing takes part. Those rows hold zeros, so
    that no NaN arises in them, and the caller writes their answer.
    """

    values: Tensor
    offset: Tensor | None
    alive: Tensor | None

    def unshifted(self, log_z: Tensor) -> Tensor:
        """A log-sum over `values` as one over the true scores: the offset added, -inf for dead rows."""
        if self.offset is not None:
            log_z = log_z + self.offset
        return log_z if self.alive is None else torch.where(self.alive, log_z, -INFINITY)


def scores_of(
    input: Tensor,
    dims: Dims,
    *,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    softcap: float | None = None,
    class_prior: Tensor | None = None,
    keep_dead_rows: bool = False,
) -> Scores:
    """softcap(input) / temperature + log(class_prior), masked, in the compute dtype; -inf and +inf stay.

    A class prior runs along the one axis of `dims`; the score of a class of prior 0 is -inf, whatever its input.
    `keep_dead_rows` leaves rows without a participant at -inf (for callers that add one more score).
    """
    values = input.to(compute_dtype(input.dtype))
    log_prior = None
    if class_prior is not None:
        log_prior = along(log_of_prior(class_prior, values.dtype), values.ndim, dims.axes[0])
    tempered = isinstance(temperature, Tensor) or temperature != 1.0
    if mask is None and softcap is None and not tempered:
        return Scores(values if log_prior is None else _plus(values, log_prior), None, None)
    # What does not compete leaves before any arithmetic: 0 * inf or 0 * NaN would bring it back in a derivative.
    excluded = values == -INFINITY if mask is None else (values == -INFINITY) | ~mask
    if log_prior is not None:
        excluded = excluded | (log_prior == -INFINITY)
    values = torch.where(excluded, 0.0, values)
    if softcap is not None:
        # +inf stays and spoils its row, as it does without a cap
        values = torch.where(values == INFINITY, INFINITY, softcap * torch.tanh(values / softcap))
    offset = None
    if tempered and values.numel() > 0:
        # The maximum goes first, so that 1e-30 does not overflow. It is a constant: what it takes from the
        # scores comes back with the offset, also in every derivative.
        top = top_of(torch.where(excluded, -INFINITY, values), dims.axes)
        top = torch.where(top == -INFINITY, 0.0, top)
        values = _tempered(torch.where(excluded, top, values) - top, temperature)
        offset = _tempered(top, temperature)
    if log_prior is not None:
        values = _plus(values, log_prior)
    values = torch.where(excluded, -INFINITY, values)
    if mask is None:
        return Scores(values, offset, None)
    alive = mask.expand(input.shape).any(dims.axes, keepdim=True) if dims.ndim else mask
    return Scores(values if keep_dead_rows else torch.where(alive, values, 0.0), offset, alive)


def top_of(values: Tensor, axes: int | tuple[int, ...]) -> Tensor:
    """The maximum of each row, a constant; NaN for +inf, which then spoils the other entries of its row too.

    Less an infinite maximum they would be -inf, as those are that have no chance and no gradient.
    """
    top = values.detach().amax(axes, keepdim=True)
    return torch.where(top == INFINITY, float("nan"), top)


def log_of_prior(class_prior: Tensor, dtype: torch.dtype) -> Tensor:
    """log(class_prior) in `dtype`, taken in the wider of both; that of 0 is -inf and has no derivative."""
    prior = class_prior.to(torch.promote_types(class_prior.dtype, dtype))
    absent = prior == 0
    return torch.where(absent, -INFINITY, torch.where(absent, 1.0, prior).log()).to(dtype)


def _plus(values: Tensor, log_prior: Tensor) -> Tensor:
    absent = log_prior == -INFINITY
    return torch.where(absent, -INFINITY, values + torch.where(absent, 0.0, log_prior))


def _tempered(values: Tensor, temperature: float | Tensor) -> Tensor:
    """values / temperature, whose derivative in the temperature is 0 wherever the derivative of the result is 0.

    A plain quotient makes 0 * inf of it for a score that has no chance, since v / T**2 overflows. So T divides as a
    constant, and its derivative comes from a second factor, constant / T, which is 1.
    """
    divisor = temperature if isinstance(temperature, Tensor) else values.new_tensor(temperature)
    # a factor, not a choice: a temperature that is not positive spoils the gradient too
    divisor = divisor.to(values.dtype) * torch.where(divisor > 0, 1.0, float("nan"))
    quotient = values / divisor.detach()
    if not isinstance(temperature, Tensor):
        return quotient
    limits = torch.finfo(values.dtype)
    # 1 / T is finite for every T, the smallest and infinity too, once small ones are scaled
    divisor = divisor.clamp(max=limits.max) * torch.where(divisor < 1, 2.0**64, 1.0)
    one = divisor.detach() / divisor
    return quotient + quotient.clamp(limits.min, limits.max) * (one - 1)


def times(weight: Tensor, value: Tensor) -> Tensor:
    """weight * value, with 0 * inf = 0: a term of weight 0 is no term."""
    void = (weight == 0) & torch.isinf(value)
    return torch.where(void, 0.0, weight * torch.where(void, 0.0, value))


def entropy_of(log_probs: Tensor, axis: int) -> Tensor:
    """-sum of p log p along one axis; a probability of 0 adds nothing, also where its log is -inf."""
    return times(log_probs.exp(), -log_probs).sum(axis)


def mean_of(total: Tensor, count: Tensor) -> Tensor:
    """total / count, and 0 with zero gradient where there is nothing to take a mean of."""
    empty = count == 0
    return torch.where(empty, 0.0, total / torch.where(empty, 1.0, count))


def along(vector: Tensor, ndim: int, axis: int) -> Tensor:
    """A vector over the classes, shaped to broadcast along `axis` of a tensor of `ndim` axes."""
    return vector.reshape([-1 if at == axis else 1 for at in range(ndim)])
