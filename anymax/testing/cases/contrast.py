"""info_nce."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, positive, randn, some_mask

KEYS = 9


def _everything(
    q: Tensor, k: Tensor, log_q: Tensor, temperature: Tensor, target: Tensor, ids: Tensor, mask: Tensor
) -> Tensor:
    return anymax.info_nce(q, k, target, temperature=temperature, log_q=log_q, key_ids=ids, mask=mask, reduction="none")


def _symmetric(q: Tensor, k: Tensor, temperature: Tensor, target: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    return anymax.info_nce(q, k, target, temperature=temperature, key_ids=ids, mask=mask, symmetric=True)


def _pairs(generator: torch.Generator, rows: int) -> list[Tensor]:
    return [randn(generator, rows, 6), randn(generator, rows, 6)]


def _and_ids_and_mask(generator: torch.Generator, target: Tensor, keys: int) -> list[Tensor]:
    ids = torch.randint(4, (keys,), generator=generator)
    # a masked positive costs infinity
    mask = some_mask(generator, len(target), keys).scatter(1, target.unsqueeze(1), True)
    return [target, ids, mask]


CASES: tuple[Case, ...] = (
    Case("info_nce", "pairs", lambda q, k: anymax.info_nce(q, k, temperature=0.5), _pairs, roundings=8.0),
    Case(
        "info_nce",
        "batches",
        lambda q, k: anymax.info_nce(q, k, symmetric=True, reduction="sum"),
        lambda g, rows: [randn(g, 2, rows, 6) / 2, randn(g, 2, rows, 6) / 2],
        roundings=8.0,
    ),
    Case(
        "info_nce",
        "everything",
        _everything,
        lambda g, rows: [randn(g, rows, 6), randn(g, KEYS, 6), randn(g, KEYS), positive(g, rows, 1)],
        lambda g, rows: _and_ids_and_mask(g, torch.randint(KEYS, (rows,), generator=g), KEYS),
        roundings=8.0,
    ),
    Case(
        "info_nce",
        "symmetric",
        _symmetric,
        lambda g, rows: [*_pairs(g, rows), positive(g, 1)],
        lambda g, rows: _and_ids_and_mask(g, torch.randperm(rows, generator=g), rows),
        roundings=8.0,
    ),
)
