"""cross_entropy and log_prob."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, positive, randn, scores, some_mask, targets


def _loss(x: Tensor, weight: Tensor, temperature: Tensor, target: Tensor) -> Tensor:
    return anymax.cross_entropy(
        x,
        target,
        weight,
        dim="b [class] w",
        label_smoothing=0.1,
        z_loss=0.01,
        softcap=4.0,
        temperature=temperature,
    )


def _loss_under_a_prior(x: Tensor, prior: Tensor, temperature: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    target = torch.where(mask.gather(1, target.clamp(min=0)[:, None])[:, 0], target, -100)
    return anymax.cross_entropy(
        x, target, mask=mask, class_prior=prior, label_smoothing=0.1, z_loss=0.01, softcap=4.0, temperature=temperature
    )


def _masked_loss(x: Tensor, mask: Tensor) -> Tensor:
    target = torch.where(mask[:, 0], 0, -100)
    return anymax.cross_entropy(x, target, mask=mask, label_smoothing=0.1, reduction="sum")


def _log_prob(x: Tensor, temperature: Tensor, prior: Tensor, target: Tensor) -> tuple[Tensor, ...]:
    return tuple(anymax.log_prob(x, target, temperature=temperature, softcap=5.0, class_prior=prior))


CASES: tuple[Case, ...] = (
    Case(
        "cross_entropy",
        "ids",
        anymax.cross_entropy,
        scores(5, 4),
        lambda g, rows: [targets(g, 5, rows, 4)],
    ),
    Case(
        "cross_entropy",
        "probabilities",
        lambda x, t: anymax.cross_entropy(x, t.softmax(-1), dim=-1, reduction="none"),
        lambda g, rows: [randn(g, rows, 7), randn(g, rows, 7)],
    ),
    Case(
        "cross_entropy",
        "everything",
        _loss,
        lambda g, rows: [randn(g, rows, 5, 4), positive(g, 5), positive(g, rows, 1, 1)],
        lambda g, rows: [targets(g, 5, rows, 4)],
    ),
    Case("cross_entropy", "masked", _masked_loss, scores(5), lambda g, rows: [some_mask(g, rows, 5)]),
    Case(
        "cross_entropy",
        "counts",
        lambda x, counts, target: anymax.cross_entropy(x, target, class_prior=counts),
        scores(5, 4),
        lambda g, rows: [torch.tensor([1000, 100, 10, 1, 50]), targets(g, 5, rows, 4)],
    ),
    Case(
        "cross_entropy",
        "prior",
        _loss_under_a_prior,
        lambda g, rows: [randn(g, rows, 5), positive(g, 5), positive(g, rows, 1)],
        lambda g, rows: [some_mask(g, rows, 5), targets(g, 5, rows)],
    ),
    Case(
        "log_prob",
        "everything",
        _log_prob,
        lambda g, rows: [randn(g, rows, 5, 4), positive(g, rows, 1, 4), positive(g, 5)],
        lambda g, rows: [targets(g, 5, rows, 4)],
    ),
)
