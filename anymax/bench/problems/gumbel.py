"""gumbel_softmax, gumbel_topk and sample."""

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


def _reinmax(x: Tensor) -> Tensor:
    """As its authors write it."""
    p = torch.softmax(x, 1)
    one_hot = functional.one_hot(torch.multinomial(p, 1)[:, 0], x.shape[1]).to(x.dtype)
    middle = torch.softmax((((one_hot + p) / 2).log() - x).detach() + x, 1)
    found = 2 * middle - 0.5 * p
    return found - found.detach() + one_hot


def _rao(x: Tensor, num_samples: int = 10) -> Tensor:
    """The soft samples all at once."""
    ids = torch.multinomial(torch.softmax(x.detach(), 1), 1)
    one_hot = torch.zeros_like(x).scatter_(1, ids, 1.0)
    variates = torch.empty(num_samples, *x.shape, dtype=x.dtype).exponential_()
    log_z = torch.logsumexp(x.detach(), 1, keepdim=True)
    of_winner = variates.gather(2, ids.expand(num_samples, *ids.shape))
    others = -(variates * (-x.detach()).exp() + of_winner * (-log_z).exp()).log()
    noisy = torch.where(one_hot == 1, log_z - of_winner.log(), others)
    soft = torch.softmax(x + (noisy - x).detach(), 2).mean(0)
    return one_hot + (soft - soft.detach())


_ESTIMATORS: dict[str, Callable[[Tensor], Tensor]] = {"reinmax": _reinmax, "rao": _rao}


def _gumbel_softmax(case: Case) -> Problem:
    hard = case.variant != "soft"
    options: dict[str, Any] = {"estimator": case.variant} if case.variant in _ESTIMATORS else {}

    def seeded(x: Tensor) -> Tensor:
        return anymax.gumbel_softmax(x, hard=hard, dim=1, generator=SEED, **options)

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
        lambda x: anymax.gumbel_softmax(x, hard=hard, dim=1, **options),
        {"torch": _ESTIMATORS.get(case.variant, lambda x: functional.gumbel_softmax(x, hard=hard, dim=1))},
        jax=None if options else with_jax,
        exact=by_reference(seeded),
        seeded=seeded,
        # where a word of the noise of sample k stands depends on how many rows there are
        batch_axis=None if case.variant == "rao" else 0,
        is_choice=hard,
        copied=True,
    )


def _gumbel_topk(case: Case) -> Problem:
    def drawn(x: Tensor, generator: Tensor | None = None) -> tuple[Tensor, Tensor]:
        indices, _, threshold = anymax.gumbel_topk(x, 5, 1, generator=generator)
        return indices, threshold

    def with_torch(x: Tensor) -> tuple[Tensor, Tensor]:
        values, indices = torch.topk(x - torch.empty_like(x).exponential_().log_(), 6, 1)
        return indices[:, :5], values[:, 5:]

    def seeded(x: Tensor) -> tuple[Tensor, Tensor]:
        return drawn(x, SEED)

    return Problem(
        (scores(case),),
        drawn,
        {"torch": with_torch},
        exact=by_reference(seeded),
        seeded=seeded,
        batch_axis=0,
        is_choice=True,
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
    "gumbel_topk": _gumbel_topk,
    "sample": _sample,
}
