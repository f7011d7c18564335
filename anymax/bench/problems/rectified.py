"""relumax, softpick and taylor_softmax, beside their formulas as papers print them."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Function, Maker, Problem, scores


def relumax(x: Tensor) -> Tensor:
    positive = torch.relu(x)
    return positive / positive.sum(-1, keepdim=True)


def softpick(x: Tensor) -> Tensor:
    top = x.amax(-1, keepdim=True).detach()
    terms = (x - top).exp() - (-top).exp()
    return torch.relu(terms) / terms.abs().sum(-1, keepdim=True)


def taylor_softmax(x: Tensor) -> Tensor:
    terms = 1 + x + x * x / 2
    return terms / terms.sum(-1, keepdim=True)


def _maker(published: Function) -> Maker:
    def problem(case: Case) -> Problem:
        ours = getattr(anymax, case.op)
        return Problem((scores(case),), lambda x: ours(x, -1), {"torch": published}, batch_axis=0, copied=True)

    return problem


MAKERS: dict[str, Maker] = {
    "relumax": _maker(relumax),
    "softpick": _maker(softpick),
    "taylor_softmax": _maker(taylor_softmax),
}
