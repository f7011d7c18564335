"""What a softmax over some `dim` does to a tensor of some shape, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from anymax._core.dims import Dims, count_distributions
from anymax.ops.softmax.api import softmax

# The sums of larger shapes are stated, not computed; a shape above its limit is never allocated.
MOST_OF_A_SHAPE = 1 << 20
MOST_OF_A_TENSOR = 1 << 26


@dataclass(frozen=True)
class Facts:
    """The numbers; `probs` and what follows from them are there only where values are known and may be summed."""

    shape: tuple[int, ...]
    dims: Dims
    axes: tuple[int, ...]
    distributions: int
    entries: int
    probs: Tensor | None
    source: str
    sums: dict[tuple[int, ...], tuple[float, float]]


def find(scores: Tensor | None, shape: tuple[int, ...], dims: Dims) -> Facts:
    """The facts about these scores, or about a fixed example of the shape."""
    axes = dims.axes if shape else ()
    source = "for the given tensor"
    if scores is None and math.prod(shape) <= MOST_OF_A_SHAPE:
        scores, source = _fixed_scores(shape)
    probs = None if scores is None or scores.numel() == 0 else _probabilities(scores, dims)
    return Facts(
        shape=shape,
        dims=dims,
        axes=axes,
        distributions=count_distributions(shape, dims),
        entries=math.prod(shape[axis] for axis in axes),
        probs=probs,
        source=source,
        sums={} if probs is None else _sums(probs, axes),
    )


def _fixed_scores(shape: tuple[int, ...]) -> tuple[Tensor, str]:
    """The same scores every time, and the line that makes them."""
    count = math.prod(shape)
    source = f"for x = torch.arange({count}.).sin().reshape({list(shape)})"
    return torch.arange(count, dtype=torch.float64, device="cpu").sin().reshape(shape), source


def _probabilities(scores: Tensor, dims: Dims) -> Tensor:
    # sums of half-precision probabilities are off by more than what is shown
    wide = scores if scores.dtype == torch.float64 else scores.float()
    return softmax(wide, dims.axes)


def _sums(probs: Tensor, axes: tuple[int, ...]) -> dict[tuple[int, ...], tuple[float, float]]:
    keys: list[tuple[int, ...]] = [(axis,) for axis in range(probs.ndim)]
    if len(axes) > 1:
        keys.append(axes)
    sums = {}
    for key in keys:
        total = probs.sum(key)
        sums[key] = (total.min().item(), total.max().item())
    return sums
