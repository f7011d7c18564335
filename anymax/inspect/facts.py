"""What a softmax over some `dim` does to a tensor of some shape, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from anymax._core.dims import Dims, count_distributions, join, split
from anymax.ops.softmax.api import log_softmax, softmax, softmin

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
    scores: Tensor | None
    probs: Tensor | None
    source: str
    sums: dict[tuple[int, ...], tuple[float, float]]
    function: str
    temperature: float

    @property
    def noun(self) -> str:
        """What the competing entries share."""
        return "choice" if self.function == "argmax" else "distribution"

    def result(self) -> Tensor | None:
        """What the function makes of each entry: argmax 1 where it points, a loss the probabilities it reads."""
        if self.scores is None or self.probs is None:
            return None
        if self.function == "log_softmax":
            return log_softmax(_wide(self.scores), self.axes, temperature=self.temperature)
        if self.function == "argmax":
            joined, axis = join(self.scores, self.dims)
            chosen = torch.zeros_like(joined).scatter_(axis, joined.argmax(axis, keepdim=True), 1)
            return split(chosen, self.dims, self.shape)
        return self.probs


def find(
    scores: Tensor | None, shape: tuple[int, ...], dims: Dims, function: str, temperature: float, tensor: str
) -> Facts:
    """The facts about these scores, or about a fixed example of the shape, which `tensor` is the name of."""
    axes = dims.axes if shape else ()
    source = "for the given tensor"
    if scores is None and math.prod(shape) <= MOST_OF_A_SHAPE:
        scores, source = _fixed_scores(shape, tensor)
    probs = None
    if scores is not None and scores.numel():
        probs = (softmin if function == "softmin" else softmax)(_wide(scores), dims.axes, temperature=temperature)
    return Facts(
        shape=shape,
        dims=dims,
        axes=axes,
        distributions=count_distributions(shape, dims),
        entries=math.prod(shape[axis] for axis in axes),
        scores=scores,
        probs=probs,
        source=source,
        sums={} if probs is None else _sums(probs, axes),
        function=function,
        temperature=temperature,
    )


def _fixed_scores(shape: tuple[int, ...], tensor: str) -> tuple[Tensor, str]:
    """The same scores every time, and the line that makes them."""
    count = math.prod(shape)
    source = f"for {tensor} = torch.arange({count}.).sin().reshape({list(shape)})"
    return torch.arange(count, dtype=torch.float64, device="cpu").sin().reshape(shape), source


def _wide(scores: Tensor) -> Tensor:
    # sums of half-precision probabilities are off by more than what is shown
    return scores if scores.dtype == torch.float64 else scores.float()


def _sums(probs: Tensor, axes: tuple[int, ...]) -> dict[tuple[int, ...], tuple[float, float]]:
    keys: list[tuple[int, ...]] = [(axis,) for axis in range(probs.ndim)]
    if len(axes) > 1:
        keys.append(axes)
    sums = {}
    for key in keys:
        total = probs.sum(key)
        sums[key] = (total.min().item(), total.max().item())
    return sums
