"""entropy."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Maker, Problem, scores


def _entropy(case: Case) -> Problem:
    def composed(x: Tensor) -> Tensor:
        log_probs = torch.log_softmax(x, 1)
        return -(log_probs.exp() * log_probs).sum(1)

    return Problem((scores(case),), lambda x: anymax.entropy(x, 1), {"torch": composed}, batch_axis=0, copied=True)


MAKERS: dict[str, Maker] = {
    "entropy": _entropy,
}
