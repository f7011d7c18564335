"""keep_mask."""

from __future__ import annotations

from torch import Tensor

import anymax
from anymax.testing.cases.case import Case, scores


def _keep(x: Tensor) -> Tensor:
    return anymax.keep_mask(x, 1, top_k=5, top_p=0.9, min_p=0.01)


CASES: tuple[Case, ...] = (Case("keep_mask", "all-rules", _keep, scores(9, 2), differentiable=False),)
