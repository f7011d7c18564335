"""sparsemax, entmax and their losses."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, Make, positive, randn, some_mask, targets


def _scores(*tail: int) -> Make:
    """A spread at which about half of the entries get 0, and no row is one-hot throughout."""
    return lambda generator, rows: [_narrow(generator, rows, *tail)]


def _narrow(generator: torch.Generator, *shape: int) -> Tensor:
    return randn(generator, *shape) / 4


def _alpha(generator: torch.Generator, *shape: int) -> Tensor:
    return 1.05 + 0.6 * torch.rand(shape, generator=generator, dtype=torch.float64)


def _loss_of_ids(x: Tensor, weight: Tensor, alpha: Tensor, temperature: Tensor, target: Tensor) -> Tensor:
    return anymax.entmax_loss(x, target, dim="b [class] w", weight=weight, alpha=alpha, temperature=temperature)


def _masked_loss(x: Tensor, mask: Tensor) -> Tensor:
    target = torch.where(mask[:, 0], 0, -100)
    return anymax.entmax_loss(x, target, mask=mask, reduction="sum")


def _tempered_sparsemax(x: Tensor, temperature: Tensor, mask: Tensor) -> Tensor:
    return anymax.sparsemax(x, (1, 2), temperature=temperature, mask=mask)


def _tempered_entmax(x: Tensor, alpha: Tensor, temperature: Tensor, mask: Tensor) -> Tensor:
    return anymax.entmax(x, "b [class] w", alpha=alpha, temperature=temperature, mask=mask)


CASES: tuple[Case, ...] = (
    Case("sparsemax", "last", lambda x: anymax.sparsemax(x, -1), _scores(7)),
    Case("sparsemax", "middle", lambda x: anymax.sparsemax(x, 1), _scores(5, 4)),
    Case(
        "sparsemax",
        "everything",
        _tempered_sparsemax,
        lambda g, rows: [_narrow(g, rows, 3, 4), positive(g, rows, 1, 1)],
        lambda g, rows: [some_mask(g, rows, 3, 4)],
    ),
    Case("entmax", "last", lambda x: anymax.entmax(x, -1), _scores(7)),
    Case("entmax", "pattern", lambda x: anymax.entmax(x, "b [h w]", alpha=1.25), _scores(3, 4)),
    Case(
        "entmax",
        "everything",
        _tempered_entmax,
        lambda g, rows: [_narrow(g, rows, 5, 4), _alpha(g, 1, 1, 4), positive(g, rows, 1, 1)],
        lambda g, rows: [some_mask(g, rows, 5, 4)],
    ),
    Case(
        "sparsemax_loss",
        "probabilities",
        lambda x, t: anymax.sparsemax_loss(x, t.softmax(-1), dim=-1, reduction="none"),
        lambda g, rows: [_narrow(g, rows, 7), randn(g, rows, 7)],
    ),
    Case("sparsemax_loss", "ids", anymax.sparsemax_loss, _scores(5, 4), lambda g, rows: [targets(g, 5, rows, 4)]),
    Case("entmax_loss", "masked", _masked_loss, _scores(5), lambda g, rows: [some_mask(g, rows, 5)]),
    Case(
        "entmax_loss",
        "probabilities",
        lambda x, t, w: anymax.entmax_loss(x, t.softmax(-1), dim=-1, weight=w, alpha=1.25, reduction="none"),
        lambda g, rows: [_narrow(g, rows, 7), randn(g, rows, 7), positive(g, 7)],
    ),
    Case(
        "entmax_loss",
        "everything",
        _loss_of_ids,
        lambda g, rows: [_narrow(g, rows, 5, 4), positive(g, 5), _alpha(g, rows, 1, 1), positive(g, rows, 1, 1)],
        lambda g, rows: [targets(g, 5, rows, 4)],
    ),
)
