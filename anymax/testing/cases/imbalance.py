"""ldam_loss."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, positive, randn, scores, targets


def _everything(x: Tensor, counts: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    return anymax.ldam_loss(
        x, target, counts, weight=weight, dim="b [class] w", max_margin=2.0, scale=3.0, ignore_index=2
    )


CASES: tuple[Case, ...] = (
    Case(
        "ldam_loss",
        "last",
        lambda x, target, counts: anymax.ldam_loss(x, target, counts, scale=2.0, dim=-1, reduction="none"),
        scores(5),
        lambda g, rows: [targets(g, 5, rows), torch.tensor([1000, 100, 10, 1, 0])],
    ),
    Case(
        "ldam_loss",
        "everything",
        _everything,
        lambda g, rows: [randn(g, rows, 5, 4), 10 * positive(g, 5), positive(g, 5)],
        lambda g, rows: [torch.randint(5, (rows, 4), generator=g)],
    ),
)
