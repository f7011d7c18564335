"""softmax, softmin, log_softmax and logsumexp."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, positive, randn, scores, some_mask


def _maps() -> list[Case]:
    cases = []
    for op in ("softmax", "softmin", "log_softmax"):
        function = getattr(anymax, op)

        def masked(x: Tensor, t: Tensor, s: Tensor, mask: Tensor, function: Any = function) -> Tensor:
            return torch.where(mask, function(x, "b [class] w", temperature=t, sink=s, mask=mask), 0.0)

        def masked_only(x: Tensor, mask: Tensor, function: Any = function) -> Tensor:
            return torch.where(mask, function(x, 1, mask=mask), 0.0)

        cases += [
            Case(op, "last", lambda x, f=function: f(x, -1), scores(7)),
            Case(op, "middle", lambda x, f=function: f(x, 1), scores(5, 4)),
            Case(op, "tuple", lambda x, f=function: f(x, (0, 2)), scores(3, 4)),
            Case(op, "pattern", lambda x, f=function: f(x, "b [h w]"), scores(3, 4)),
            Case(op, "one-entry", lambda x, f=function: f(x, 1), lambda g, rows: [randn(g, rows, 1)]),
            Case(
                op,
                "masked",
                masked_only,
                scores(5, 4),
                lambda g, rows: [some_mask(g, rows, 5, 4)],
            ),
            Case(
                op,
                "everything",
                masked,
                lambda g, rows: [randn(g, rows, 5, 4), positive(g, rows, 1, 1), randn(g, 1, 1, 4)],
                lambda g, rows: [some_mask(g, rows, 5, 4)],
            ),
        ]
    return cases


def _logsumexp(x: Tensor, sink: Tensor, mask: Tensor) -> Tensor:
    return anymax.logsumexp(x, 1, True, mask=mask, sink=sink)


CASES: tuple[Case, ...] = (
    *_maps(),
    Case("logsumexp", "last", lambda x: anymax.logsumexp(x, -1), scores(7)),
    Case("logsumexp", "tuple", lambda x: anymax.logsumexp(x, (0, 2)), scores(3, 4)),
    Case("logsumexp", "pattern", lambda x: anymax.logsumexp(x, "b [h w]"), scores(3, 4)),
    Case(
        "logsumexp",
        "everything",
        _logsumexp,
        lambda g, rows: [randn(g, rows, 5, 4), randn(g, rows, 1, 1)],
        lambda g, rows: [some_mask(g, rows, 5, 4)],
    ),
)
