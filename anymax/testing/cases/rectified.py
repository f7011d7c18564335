"""relumax, softpick and taylor_softmax."""

from __future__ import annotations

from functools import partial

from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, randn, scores, some_mask


def _plain() -> list[Case]:
    cases = []
    for op in ("relumax", "softpick", "taylor_softmax"):
        function = getattr(anymax, op)

        def masked(x: Tensor, mask: Tensor, function=function) -> Tensor:
            return function(x, 1, mask=mask)

        cases += [
            Case(op, "last", lambda x, f=function: f(x, -1), scores(7)),
            Case(op, "middle", lambda x, f=function: f(x, 1), scores(5, 4)),
            Case(op, "tuple", lambda x, f=function: f(x, (0, 2)), scores(3, 4)),
            Case(op, "pattern", lambda x, f=function: f(x, "b [h w]"), scores(3, 4)),
            Case(op, "one-entry", lambda x, f=function: f(x, 1), lambda g, rows: [randn(g, rows, 1)]),
            Case(op, "masked", masked, scores(5, 4), lambda g, rows: [some_mask(g, rows, 5, 4)]),
        ]
    return cases


def _biased(x: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    return anymax.relumax(x, "b [class] w", bias=bias, mask=mask)


CASES: tuple[Case, ...] = (
    *_plain(),
    Case("relumax", "shifted", partial(anymax.relumax, dim=1, bias=0.5), scores(7)),
    Case(
        "relumax",
        "everything",
        _biased,
        lambda g, rows: [randn(g, rows, 5, 4), randn(g, 5, 1)],
        lambda g, rows: [some_mask(g, rows, 5, 4)],
    ),
    *(
        Case("taylor_softmax", f"order-{order}", partial(anymax.taylor_softmax, dim=1, order=order), scores(7))
        for order in (4, 8)
    ),
    Case(
        "taylor_softmax",
        "everything",
        lambda x, mask: anymax.taylor_softmax(x, "b [class] w", order=4, mask=mask),
        scores(5, 4),
        lambda g, rows: [some_mask(g, rows, 5, 4)],
    ),
)
