"""keep_mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Maker, Problem, by_reference, scores

TOP_K, TOP_P = 50, 0.9


def _keep_mask(case: Case) -> Problem:
    def top_k(x: Tensor) -> Tensor:
        return torch.zeros_like(x, dtype=torch.bool).scatter(1, x.topk(TOP_K, 1).indices, True)

    def top_p(x: Tensor) -> Tensor:
        ordered, order = torch.softmax(x, 1).sort(1, descending=True)
        kept = ordered.cumsum(1) - ordered < TOP_P
        return torch.zeros_like(kept).scatter(1, order, kept)

    options: dict[str, Any] = {"top_k": TOP_K} if case.variant == "top_k" else {"top_p": TOP_P}

    def ours(x: Tensor) -> Tensor:
        return anymax.keep_mask(x, 1, **options)

    return Problem(
        (scores(case),),
        ours,
        {"torch": top_k if case.variant == "top_k" else top_p},
        exact=by_reference(ours),
        batch_axis=0,
        is_choice=True,
        copied=True,
    )


MAKERS: dict[str, Maker] = {
    "keep_mask": _keep_mask,
}
