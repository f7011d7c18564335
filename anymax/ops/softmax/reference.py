"""The softmax family in pure torch: the definition. Formulas: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from anymax._core.dims import Dims, join, reduced_shape, split
from anymax._core.scores import INFINITY, Scores, scores_of

Number = float | Tensor


def softmax(input: Tensor, dims: Dims, temperature: Number, mask: Tensor | None, sink: Number | None) -> Tensor:
    return _normalised(torch.softmax, 0.0, input, dims, temperature, mask, sink)


def log_softmax(input: Tensor, dims: Dims, temperature: Number, mask: Tensor | None, sink: Number | None) -> Tensor:
    return _normalised(torch.log_softmax, -INFINITY, input, dims, temperature, mask, sink)


def logsumexp(input: Tensor, dims: Dims, mask: Tensor | None, sink: Number | None) -> Tensor:
    """The result keeps the competing axes, with size 1."""
    scores = scores_of(input, dims, mask=mask, keep_dead_rows=sink is not None)
    rows, axis = _competing(scores, dims, sink)
    log_z = split(torch.logsumexp(rows, axis, keepdim=True), dims, reduced_shape(input.shape, dims))
    return log_z if sink is not None else scores.unshifted(log_z)


def _normalised(
    function: Callable[..., Tensor],
    absent: float,
    input: Tensor,
    dims: Dims,
    temperature: Number,
    mask: Tensor | None,
    sink: Number | None,
) -> Tensor:
    scores = scores_of(input, dims, temperature=temperature, mask=mask)
    rows, axis = _competing(scores, dims, sink)
    result = function(rows, axis)
    if sink is not None:
        result = result.narrow(axis, 0, result.shape[axis] - 1)
    result = split(result, dims, input.shape)
    return result if mask is None else torch.where(mask, result, absent)


def _competing(scores: Scores, dims: Dims, sink: Number | None) -> tuple[Tensor, int]:
    """The scores as rows along one axis, with the sink as one more score at the end."""
    if sink is None:
        return join(scores.values, dims)
    values = scores.values
    column = sink.to(values.dtype) if isinstance(sink, Tensor) else values.new_tensor(sink)
    if scores.offset is not None:
        # A common shift changes nothing: the larger of the rows' maximum and the sink becomes 0, so that neither
        # can overflow upwards. An offset that did has the largest finite number in its place.
        limits = torch.finfo(values.dtype)
        offset = scores.offset.clamp(limits.min, limits.max)
        shift = torch.maximum(offset, column).detach()
        values, column = values + (offset - shift), column - shift
    rows, axis = join(values, dims)
    column, _ = join(column.expand(reduced_shape(values.shape, dims)), dims)
    return torch.cat([rows, column], axis), axis
