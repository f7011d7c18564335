"""binary_cross_entropy_with_logits and one_vs_rest_loss."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.ops.binary.api import one_vs_rest_loss
from anymax.testing.cases.case import Case, positive, randn, scores, targets


def _binary(x: Tensor, target: Tensor, weight: Tensor, pos_weight: Tensor) -> Tensor:
    return anymax.binary_cross_entropy_with_logits(x, target.sigmoid(), weight, pos_weight=pos_weight)


CASES: tuple[Case, ...] = (
    Case(
        "binary_cross_entropy_with_logits",
        "everything",
        _binary,
        lambda g, rows: [randn(g, rows, 4), randn(g, rows, 4), positive(g, rows, 1), positive(g, 4)],
    ),
    Case("one_vs_rest_loss", "last", one_vs_rest_loss, scores(7), lambda g, rows: [targets(g, 7, rows)]),
    Case(
        "one_vs_rest_loss",
        "everything",
        lambda x, target: one_vs_rest_loss(x, target, dim=-1, reduction="none", ignore_index=2),
        scores(4, 5),
        lambda g, rows: [torch.randint(5, (rows, 4), generator=g)],
    ),
)
