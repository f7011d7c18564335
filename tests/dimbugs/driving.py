"""What the engines that run code are given: `drive(half)` of each pair returns a `Drive`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass
class Drive:
    """A half set up to be run; a field that makes no sense for a pair stays None."""

    model: nn.Module | None = None
    example_input: Any = None
    loss: Callable[..., torch.Tensor] | None = None
    target: Any = None
    batch_dim: int = 0
    step: Callable[[], torch.Tensor] | None = None
    """One step of training, which ends in `backward()` (and the optimiser's step) and returns the loss."""


def double_softmax_floor(num_classes: int) -> float:
    """The lowest cross-entropy that probabilities reach when they are taken for scores."""
    return math.log(math.e + num_classes - 1) - 1


def stays_above(step: Callable[[], torch.Tensor], floor: float, steps: int = 60) -> bool:
    """Whether so many steps never take the loss below a floor."""
    return all(float(step()) > floor for _ in range(steps))


def sums_to_one(probs: torch.Tensor, dim: int) -> bool:
    total = probs.sum(dim)
    return torch.allclose(total, torch.ones_like(total), atol=1e-4)


@torch.no_grad()
def mixes_samples(function: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor, batch_dim: int = 0) -> bool:
    """Whether the output of the first sample moves when the last one is changed."""
    changed = inputs.clone()
    last = changed.select(batch_dim, -1)
    last.copy_(last.flip(-1) * 2 + 1 if last.is_floating_point() else last.flip(-1))
    if torch.equal(changed, inputs):
        raise ValueError("the sample that should change stayed as it was")
    first, other = (function(batch).select(batch_dim, 0) for batch in (inputs, changed))
    return not torch.allclose(first, other, atol=1e-5)
