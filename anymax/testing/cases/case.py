"""What a case is, and the tensors that cases are made of."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Make = Callable[[torch.Generator, int], list[Tensor]]


@dataclass(frozen=True)
class Case:
    """A call of one op in which everything is fixed but its tensors.

    `floats` makes the floating-point tensors (float64, to be cast) and `fixed` the others (masks, targets, seeds),
    both for a number of rows, so that shapes can vary. `call(*floats, *fixed)` is the op; it hides entries that are
    infinite on purpose, which no difference quotient can see.
    """

    op: str
    name: str
    call: Callable[..., Any]
    floats: Make
    fixed: Make = lambda generator, rows: []
    # False for ids and masks, and where the gradient is not that of the value (straight-through)
    differentiable: bool = True
    # errors in float16 and bfloat16, in units of that dtype's rounding
    roundings: float = 2.0

    def __str__(self) -> str:
        return f"{self.op}-{self.name}"

    def make(self, rows: int = 3, dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor]]:
        """The tensors of the call; the same for every dtype, up to rounding."""
        generator = torch.Generator().manual_seed(zlib.crc32(str(self).encode()) + rows)
        floats = [tensor.to(dtype) for tensor in self.floats(generator, rows)]
        return floats, self.fixed(generator, rows)


def scores(*tail: int) -> Make:
    return lambda generator, rows: [randn(generator, rows, *tail)]


def randn(generator: torch.Generator, *shape: int) -> Tensor:
    # twice the standard deviation, so that probabilities differ by orders of magnitude
    return 2 * torch.randn(shape, generator=generator, dtype=torch.float64)


def positive(generator: torch.Generator, *shape: int) -> Tensor:
    return 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)


def some_mask(generator: torch.Generator, *shape: int) -> Tensor:
    """About a third out, and all of the first row."""
    mask = torch.rand(shape, generator=generator) > 0.35
    mask[0] = False
    mask[1:, 0] = True
    return mask


def targets(generator: torch.Generator, num_classes: int, *shape: int) -> Tensor:
    """Class ids, the first of them ignored."""
    target = torch.randint(num_classes, shape, generator=generator)
    target.view(-1)[0] = -100
    return target


def seed(generator: torch.Generator, rows: int) -> list[Tensor]:
    return [torch.randint(2**62, (), generator=generator)]


def features(generator: torch.Generator, rows: int) -> list[Tensor]:
    table = randn(generator, 9, 6) / 2
    return [randn(generator, rows, 6), table, randn(generator, 9)]
