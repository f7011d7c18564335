"""binary_cross_entropy_with_logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Maker, Problem, scores


def _binary(case: Case) -> Problem:
    target = torch.rand(case.shape).round()
    labels = target.numpy()

    def theirs(x: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(x, target.to(x.dtype))

    return Problem(
        (scores(case),),
        lambda x: anymax.binary_cross_entropy_with_logits(x, target),
        {"torch": theirs},
        jax=lambda m: lambda x: m.optax.sigmoid_binary_cross_entropy(x, labels).mean(),
        copied=True,
    )


MAKERS: dict[str, Maker] = {
    "binary_cross_entropy_with_logits": _binary,
}
