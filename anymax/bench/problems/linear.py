"""linear_cross_entropy."""

from __future__ import annotations

import torch
from torch.nn import functional

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import PRODUCTS, Function, Maker, Problem


def _linear_cross_entropy(case: Case) -> Problem:
    rows, width, classes = case.shape
    features, table = torch.randn(rows, width), torch.randn(classes, width) / width**0.5
    target = torch.randint(classes, (rows,))
    ids = target.numpy()
    gradient = torch.randn(rows, classes)

    def products() -> object:
        return features.detach() @ table.detach().T, gradient @ table.detach(), gradient.T @ features.detach()

    theirs: dict[str, Function] = {"torch": lambda x, w: functional.cross_entropy(functional.linear(x, w), target)}
    if own := getattr(functional, "linear_cross_entropy", None):  # torch 2.13 has one that works in chunks
        theirs["torch's linear_cross_entropy"] = lambda x, w: own(x, w, target)
    return Problem(
        (features, table),
        lambda x, w: anymax.linear_cross_entropy(x, w, target),
        theirs,
        jax=lambda m: lambda x, w: m.optax.softmax_cross_entropy_with_integer_labels(x @ w.T, ids).mean(),
        floor={PRODUCTS: products},
    )


MAKERS: dict[str, Maker] = {
    "linear_cross_entropy": _linear_cross_entropy,
}
