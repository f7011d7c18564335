"""cross_entropy and log_prob."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Answer, Maker, Problem, scores


def _log_prob(case: Case) -> Problem:
    target = torch.randint(case.shape[1], case.shape[:1])

    def composed(x: Tensor) -> Answer:
        log_z = torch.logsumexp(x, 1)
        log_probs = x - log_z[:, None]
        return log_probs.gather(1, target[:, None])[:, 0], log_z, -(log_probs.exp() * log_probs).sum(1)

    return Problem((scores(case),), lambda x: tuple(anymax.log_prob(x, target)), {"torch": composed}, copied=True)


def _cross_entropy(case: Case) -> Problem:
    target = torch.randint(case.shape[1], case.shape[:1])
    ids = target.numpy()
    return Problem(
        (scores(case),),
        lambda x: anymax.cross_entropy(x, target),
        {"torch": lambda x: functional.cross_entropy(x, target)},
        jax=lambda m: lambda x: m.optax.softmax_cross_entropy_with_integer_labels(x, ids).mean(),
        copied=True,
    )


MAKERS: dict[str, Maker] = {
    "log_prob": _log_prob,
    "cross_entropy": _cross_entropy,
}
