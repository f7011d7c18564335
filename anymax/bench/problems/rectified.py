"""relumax, softpick and taylor_softmax, beside their formulas as papers print them."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Function, Maker, Problem, scores


def _relumax(x: Tensor) -> Tensor:
    positive = torch.relu(x)
    return positive / positive.sum(-1, keepdim=True)


def _softpick(x: Tensor) -> Tensor:
    top = x.amax(-1, keepdim=True).detach()
    terms = (x - top).exp() - (-top).exp()
    return torch.relu(terms) / terms.abs().sum(-1, keepdim=True)


def _taylor_softmax(x: Tensor) -> Tensor:
    terms = 1 + x + x * x / 2
    return terms / terms.sum(-1, keepdim=True)


def _maker(published: Function) -> Maker:
    def problem(case: Case) -> Problem:
        ours = getattr(anymax, case.op)
        return Problem((scores(case),), lambda x: ours(x, -1), {"torch": published}, batch_axis=0, copied=True)

    return problem


MAKERS: dict[str, Maker] = {
    "relumax": _maker(_relumax),
    "softpick": _maker(_softpick),
    "taylor_softmax": _maker(_taylor_softmax),
}
