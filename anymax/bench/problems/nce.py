"""nce_loss, negative_sampling_loss, sampled_softmax_loss, and the draws of noise laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.cases import FORWARD, NOISE, Case
from anymax.bench.problems.problem import SEED, Answer, Maker, Problem, by_reference

DRAWS = {True: 64, False: 1024}  # of a small call, of a step of a training


def _counts(classes: int) -> Tensor:
    """Zipf's."""
    return 1 / torch.arange(1, classes + 1, dtype=torch.float64)


def _drawn(cumulative: Tensor, count: int) -> Tensor:
    """Draws as one writes them in torch, from sums that were made once."""
    return torch.searchsorted(cumulative, torch.rand(count, dtype=torch.float64) * cumulative[-1])


def _sampled(case: Case) -> Problem:
    """The losses over a few drawn classes: draws that all rows share, and a sparse gradient of the class table."""
    rows, width, classes = case.shape
    draws, is_softmax = DRAWS[case.is_small], case.op == "sampled_softmax_loss"
    features, table = torch.randn(rows, width), torch.randn(classes, width) / width**0.5
    target = torch.randint(classes, (rows,))
    law = anymax.noise.Unigram(_counts(classes))
    cumulative = _counts(classes).cumsum(0)
    log_expected = (_counts(classes) / cumulative[-1] * draws).log().float()
    if case.op == "negative_sampling_loss":
        log_expected = torch.zeros(classes)
    function: Callable[..., Tensor] = getattr(anymax, case.op)
    # as many options as say the same of both: draws with replacement
    options: dict[str, Any] = {"num_noise": draws, "sparse": case.work != FORWARD}
    if is_softmax:
        options["unique"] = False

    def seeded(x: Tensor, w: Tensor) -> Tensor:
        return function(x, w, target, law, generator=SEED, **options)

    def composed(x: Tensor, w: Tensor) -> Tensor:
        ids = _drawn(cumulative, draws)
        rows_of = functional.embedding(torch.cat([target, ids]), w, sparse=case.work != FORWARD)
        true = (x * rows_of[:rows]).sum(1) - log_expected[target]
        noise = x @ rows_of[rows:].T - log_expected[ids]
        if is_softmax:
            return (torch.cat([true[:, None], noise], 1).logsumexp(1) - true).mean()
        return (functional.softplus(-true) + functional.softplus(noise).sum(1)).mean()

    return Problem(
        (features, table),
        lambda x, w: function(x, w, target, law, **options),
        {"torch": composed},
        exact=by_reference(seeded),
        seeded=seeded,
    )


def _noise(case: Case) -> Problem:
    draws, classes = case.shape
    if case.variant == "Unigram":
        law = anymax.noise.Unigram(_counts(classes))
        cumulative = _counts(classes).cumsum(0)
        log_expected = (_counts(classes) / cumulative[-1] * draws).log()

        def composed() -> Answer:
            ids = _drawn(cumulative, draws)
            return ids, log_expected[ids]
    else:
        law = anymax.noise.LogUniform(classes)
        scale = torch.tensor(classes + 1.0, dtype=torch.float64).log()

        def composed() -> Answer:
            rank = (torch.rand(draws, dtype=torch.float64) * scale).exp().long().clamp(1, classes)
            return rank - 1, (torch.log1p(1 / rank) / scale * draws).log()

    def ours(generator: Tensor | None = None) -> Answer:
        candidates = law.sample(draws, generator=generator)
        return candidates.ids, candidates.log_expected_count

    return Problem(
        (),
        ours,
        {"torch": composed},
        exact=by_reference(lambda: ours(SEED)),
        seeded=lambda: ours(SEED),
        is_choice=True,
    )


MAKERS: dict[str, Maker] = {
    "nce_loss": _sampled,
    "negative_sampling_loss": _sampled,
    "sampled_softmax_loss": _sampled,
    NOISE: _noise,
}
