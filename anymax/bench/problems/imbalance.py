"""ldam_loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Maker, Problem, scores


def _ldam(case: Case) -> Problem:
    rows, classes = case.shape
    target, counts = torch.randint(classes, (rows,)), torch.arange(1, classes + 1)

    def theirs(x: Tensor) -> Tensor:
        margins = counts.to(x.dtype) ** -0.25
        margins = margins * (0.5 / margins.max())
        with_margins = x.scatter_add(1, target[:, None], -margins[target][:, None])
        return functional.cross_entropy(30 * with_margins, target)

    return Problem((scores(case) / 4,), lambda x: anymax.ldam_loss(x, target, counts), {"torch": theirs}, copied=True)


MAKERS: dict[str, Maker] = {
    "ldam_loss": _ldam,
}
