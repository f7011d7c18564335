"""Tensors for tests: the same in every run, and not degenerate."""

from __future__ import annotations

import torch
from torch import Tensor


def seed(value: int = 0) -> Tensor:
    """A seed as random functions take it: a 0-d int64 tensor."""
    return torch.tensor(value)


def randn(*shape: int, at: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers, drawn in float64 under the seed `at`, so that every dtype holds the same ones."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(at), dtype=torch.float64).to(dtype)


def scores(*shape: int, at: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Twice as wide, so that probabilities differ by orders of magnitude."""
    return 2 * randn(*shape, at=at, dtype=dtype)
