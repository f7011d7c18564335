"""gumbel_softmax, its loss, gumbel_topk and sample."""

from __future__ import annotations

from torch import Generator, Tensor

import anymax
from anymax.ops.gumbel.api import gumbel_softmax_loss
from anymax.testing.cases.case import Case, positive, randn, scores, seed, some_mask, targets


def _gumbel(x: Tensor, tau: Tensor, mask: Tensor, seed: Tensor) -> Tensor:
    return anymax.gumbel_softmax(x, tau, dim=1, mask=mask, generator=seed)


def _gumbel_loss(x: Tensor, tau: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    return gumbel_softmax_loss(x, target, dim="b [class] w", tau=tau, generator=seed)


def _reinmax(x: Tensor, tau: Tensor, mask: Tensor, seed: Tensor) -> Tensor:
    return anymax.gumbel_softmax(x, 1 + tau, True, dim=1, mask=mask, generator=seed, estimator="reinmax")


def _rao(x: Tensor, tau: Tensor, mask: Tensor, seed: Tensor) -> Tensor:
    return anymax.gumbel_softmax(x, tau, True, dim=1, mask=mask, generator=seed, estimator="rao", num_samples=3)


def _top_k(x: Tensor, mask: Tensor, seed: Tensor) -> anymax.GumbelTopK:
    return anymax.gumbel_topk(x, 2, "b [class] w", mask=mask, generator=seed)


def _three_or_more(g: Generator, *shape: int) -> Tensor:
    mask = some_mask(g, *shape)
    mask[:, :3] = True
    return mask


CASES: tuple[Case, ...] = (
    Case(
        "gumbel_softmax",
        "hard",
        lambda x, seed: anymax.gumbel_softmax(x, 0.7, True, dim="b [h w]", generator=seed),
        scores(3, 4),
        seed,
        differentiable=False,
    ),
    *(
        Case(
            "gumbel_softmax",
            f"{estimator}-everything",
            call,
            lambda g, rows: [randn(g, rows, 5, 4), positive(g, rows, 1, 1)],
            lambda g, rows: [some_mask(g, rows, 5, 4), *seed(g, rows)],
            differentiable=False,
        )
        for estimator, call in (("reinmax", _reinmax), ("rao", _rao))
    ),
    Case(
        "gumbel_softmax",
        "rao",
        lambda x, seed: anymax.gumbel_softmax(x, 0.7, True, dim="b [h w]", generator=seed, estimator="rao"),
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
        "gumbel_topk",
        "last",
        lambda x, seed: anymax.gumbel_topk(x, 3, -1, generator=seed),
        scores(7),
        seed,
    ),
    Case(
        "gumbel_topk",
        "all",
        lambda x, seed: anymax.gumbel_topk(x, 4, 1, generator=seed).log_probs,
        scores(4, 3),
        seed,
    ),
    Case(
        "gumbel_topk",
        "everything",
        _top_k,
        lambda g, rows: [randn(g, rows, 5, 4)],
        lambda g, rows: [_three_or_more(g, rows, 5, 4), *seed(g, rows)],
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
