"""gumbel_softmax and sample."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import SEED, Maker, Problem, by_reference, scores


def _gumbel_softmax(case: Case) -> Problem:
    hard = case.variant == "hard"

    def seeded(x: Tensor) -> Tensor:
        return anymax.gumbel_softmax(x, hard=hard, dim=1, generator=SEED)

    def with_jax(m: SimpleNamespace) -> Callable[..., Any]:
        key = m.jax.random.key(0)

        def function(x: Any) -> Any:
            noisy = x + m.jax.random.gumbel(key, x.shape)
            soft = m.jax.nn.softmax(noisy, axis=1)
            if not hard:
                return soft
            one_hot = m.jax.nn.one_hot(noisy.argmax(1), x.shape[1])
            return one_hot + (soft - m.jax.lax.stop_gradient(soft))

        return function

    return Problem(
        (scores(case),),
        lambda x: anymax.gumbel_softmax(x, hard=hard, dim=1),
        {"torch": lambda x: functional.gumbel_softmax(x, hard=hard, dim=1)},
        jax=with_jax,
        exact=by_reference(seeded),
        seeded=seeded,
        batch_axis=0,
        is_choice=hard,
        copied=True,
    )


def _sample(case: Case) -> Problem:
    def seeded(x: Tensor) -> Tensor:
        return anymax.sample(x, 1, generator=SEED)

    def with_jax(m: SimpleNamespace) -> Callable[..., Any]:
        key = m.jax.random.key(0)
        return lambda x: m.jax.random.categorical(key, x, axis=1)

    return Problem(
        (scores(case),),
        lambda x: anymax.sample(x, 1),
        {"torch": lambda x: torch.multinomial(torch.softmax(x, 1), 1)[:, 0]},
        jax=with_jax,
        exact=by_reference(seeded),
        seeded=seeded,
        batch_axis=0,
        is_choice=True,
        copied=True,
    )


MAKERS: dict[str, Maker] = {
    "gumbel_softmax": _gumbel_softmax,
    "sample": _sample,
}
