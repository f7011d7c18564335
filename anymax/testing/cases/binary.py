"""The losses of yes/no decisions."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.ops.binary.api import one_vs_rest_loss
from anymax.testing.cases.case import Case, positive, randn, scores, targets


def _binary(x: Tensor, target: Tensor, weight: Tensor, pos_weight: Tensor) -> Tensor:
    return anymax.binary_cross_entropy_with_logits(x, target.sigmoid(), weight, pos_weight=pos_weight)


def _labels(g: torch.Generator, rows: int) -> list[Tensor]:
    return [torch.rand(rows, 4, generator=g) < 0.4]


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
    Case(
        "one_vs_rest_loss",
        "focal",
        lambda x, target: one_vs_rest_loss(x, target, dim=1, ignore_index=2, alpha=0.25, gamma=1.5),
        scores(4, 5),
        lambda g, rows: [torch.randint(4, (rows, 5), generator=g)],
    ),
    Case("sigmoid_focal_loss", "labels", anymax.sigmoid_focal_loss, scores(4), _labels),
    Case(
        "sigmoid_focal_loss",
        "unweighted",
        lambda x, target: anymax.sigmoid_focal_loss(x, target, alpha=None, gamma=0.5, reduction="sum"),
        scores(4),
        _labels,
    ),
    Case(
        "sigmoid_focal_loss",
        "everything",
        lambda x, target: anymax.sigmoid_focal_loss(x, target.sigmoid(), alpha=0.75, gamma=1.5, reduction="mean"),
        lambda g, rows: [randn(g, rows, 4), randn(g, rows, 4)],
    ),
    Case("asymmetric_loss", "labels", lambda x, y: anymax.asymmetric_loss(x, y, reduction="none"), scores(4), _labels),
    Case(
        "asymmetric_loss",
        "unclipped",
        lambda x, target: anymax.asymmetric_loss(x, target, gamma_neg=1.5, gamma_pos=0.0, clip=0.0),
        scores(4),
        _labels,
    ),
    Case(
        "asymmetric_loss",
        "everything",
        lambda x, target: anymax.asymmetric_loss(x, target.sigmoid(), gamma_neg=2.5, clip=0.2, reduction="sum"),
        lambda g, rows: [randn(g, rows, 4), randn(g, rows, 4)],
    ),
)
