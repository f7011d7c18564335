"""gumbel_softmax, its loss, and sample."""

from __future__ import annotations

from torch import Tensor

import anymax
from anymax.ops.gumbel.api import gumbel_softmax_loss
from anymax.testing.cases.case import Case, positive, randn, scores, seed, some_mask, targets


def _gumbel(x: Tensor, tau: Tensor, mask: Tensor, seed: Tensor) -> Tensor:
    return anymax.gumbel_softmax(x, tau, dim=1, mask=mask, generator=seed)


def _gumbel_loss(x: Tensor, tau: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    return gumbel_softmax_loss(x, target, dim="b [class] w", tau=tau, generator=seed)


CASES: tuple[Case, ...] = (
    Case(
        "gumbel_softmax",
        "hard",
        lambda x, seed: anymax.gumbel_softmax(x, 0.7, True, dim="b [h w]", generator=seed),
        scores(3, 4),
        seed,
        differentiable=False,
    ),
    Case(
        "gumbel_softmax",
        "last",
        lambda x, seed: anymax.gumbel_softmax(x, 0.7, dim=-1, generator=seed),
        scores(7),
        seed,
    ),
    Case(
        "gumbel_softmax",
        "everything",
        _gumbel,
        lambda g, rows: [randn(g, rows, 5, 4), positive(g, rows, 1, 1)],
        lambda g, rows: [some_mask(g, rows, 5, 4), *seed(g, rows)],
    ),
    Case(
        "sample",
        "middle",
        lambda x, seed: anymax.sample(x, 1, generator=seed),
        scores(5, 4),
        seed,
        differentiable=False,
    ),
    Case(
        "sample",
        "many",
        lambda x, seed: anymax.sample(x, -1, num_samples=6, temperature=2.0, generator=seed),
        scores(7),
        seed,
        differentiable=False,
    ),
    Case(
        "gumbel_softmax_loss",
        "last",
        lambda x, target, seed: gumbel_softmax_loss(x, target, reduction="none", generator=seed),
        scores(7),
        lambda g, rows: [targets(g, 7, rows), *seed(g, rows)],
    ),
    Case(
        "gumbel_softmax_loss",
        "everything",
        _gumbel_loss,
        lambda g, rows: [randn(g, rows, 5, 4), positive(g, rows, 1, 4)],
        lambda g, rows: [targets(g, 5, rows, 4), *seed(g, rows)],
    ),
)
