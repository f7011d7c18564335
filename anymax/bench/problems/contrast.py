"""info_nce."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import PRODUCTS, Maker, Problem

TEMPERATURE = 0.07


def _info_nce(case: Case) -> Problem:
    rows, width, keys = case.shape
    query, key = (functional.normalize(torch.randn(count, width), dim=-1) for count in (rows, keys))
    target, is_symmetric = torch.arange(rows), case.variant == "symmetric"
    gradient = torch.randn(rows, keys)

    def products() -> object:
        return query.detach() @ key.detach().T, gradient @ key.detach(), gradient.T @ query.detach()

    def composed(q: Tensor, k: Tensor) -> Tensor:
        scores = q @ k.T / TEMPERATURE
        loss = functional.cross_entropy(scores, target)
        return (loss + functional.cross_entropy(scores.T, target)) / 2 if is_symmetric else loss

    return Problem(
        (query, key),
        lambda q, k: anymax.info_nce(q, k, temperature=TEMPERATURE, symmetric=is_symmetric),
        {"torch": composed},
        floor={PRODUCTS: products},
    )


MAKERS: dict[str, Maker] = {
    "info_nce": _info_nce,
}
