"""binary_cross_entropy_with_logits, sigmoid_focal_loss and asymmetric_loss."""

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


def focal(x: Tensor, target: Tensor) -> Tensor:
    """Of each entry, as torchvision's documentation has it."""
    y, p = target.to(x.dtype), x.sigmoid()
    missed = 1 - (p * y + (1 - p) * (1 - y))
    loss = functional.binary_cross_entropy_with_logits(x, y, reduction="none") * missed**2
    return (0.25 * y + 0.75 * (1 - y)) * loss


def asymmetric(x: Tensor, target: Tensor) -> Tensor:
    """Of each entry, as in the paper."""
    y, p = target.to(x.dtype), x.sigmoid()
    less = (p - 0.05).clamp(min=0)
    yes, no = (1 - p) * p.log(), less**4 * (1 - less).log()
    return -(y * yes + (1 - y) * no)


def _focal(case: Case) -> Problem:
    target = torch.rand(case.shape).round()
    labels = target.numpy()

    return Problem(
        (scores(case),),
        lambda x: anymax.sigmoid_focal_loss(x, target, reduction="mean"),
        {"torch": lambda x: focal(x, target).mean()},
        jax=lambda m: lambda x: m.optax.sigmoid_focal_loss(x, labels, alpha=0.25, gamma=2.0).mean(),
        copied=True,
    )


def _asymmetric(case: Case) -> Problem:
    target = torch.rand(case.shape).round()
    return Problem(
        (scores(case),),
        lambda x: anymax.asymmetric_loss(x, target),
        {"torch": lambda x: asymmetric(x, target).mean()},
        copied=True,
    )


MAKERS: dict[str, Maker] = {
    "binary_cross_entropy_with_logits": _binary,
    "sigmoid_focal_loss": _focal,
    "asymmetric_loss": _asymmetric,
}
