"""entropy."""

from __future__ import annotations

from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, positive, randn, scores, some_mask


def _entropy(x: Tensor, temperature: Tensor, mask: Tensor) -> Tensor:
    return anymax.entropy(x, "b [class] w", temperature=temperature, mask=mask)


CASES: tuple[Case, ...] = (
    Case("entropy", "last", lambda x: anymax.entropy(x, -1), scores(7)),
    Case("entropy", "tuple", lambda x: anymax.entropy(x, (0, 2)), scores(3, 4)),
    Case("entropy", "pattern", lambda x: anymax.entropy(x, "b [h w]"), scores(3, 4)),
    Case(
        "entropy",
        "everything",
        _entropy,
        lambda g, rows: [randn(g, rows, 5, 4), positive(g, rows, 1, 4)],
        lambda g, rows: [some_mask(g, rows, 5, 4)],
    ),
)
