"""linear_cross_entropy and linear_log_prob."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, features, positive, targets


def _linear_loss(x: Tensor, table: Tensor, bias: Tensor, prior: Tensor, target: Tensor) -> Tensor:
    options = {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 6.0, "class_prior": prior}
    return anymax.linear_cross_entropy(x, table, target, linear_bias=bias, chunks=2, **options)


def _linear_log_prob(x: Tensor, table: Tensor, bias: Tensor, prior: Tensor, target: Tensor) -> tuple[Tensor, ...]:
    return tuple(anymax.linear_log_prob(x, table, target, linear_bias=bias, class_prior=prior, chunks=2))


def _features_and_prior(generator: torch.Generator, rows: int) -> list[Tensor]:
    return [*features(generator, rows), positive(generator, 9)]


CASES: tuple[Case, ...] = (
    Case(
        "linear_cross_entropy",
        "everything",
        _linear_loss,
        _features_and_prior,
        lambda g, rows: [targets(g, 9, rows)],
        roundings=8.0,
    ),
    Case(
        "linear_log_prob",
        "everything",
        _linear_log_prob,
        _features_and_prior,
        lambda g, rows: [targets(g, 9, rows)],
        roundings=8.0,
    ),
)
