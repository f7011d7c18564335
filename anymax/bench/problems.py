"""A case as something that can be computed: inputs, anymax's call, the same in plain torch and in JAX, the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.cases import FORWARD, NOISE, Case

Answer = Tensor | tuple[Tensor, ...]
Function = Callable[..., Answer]
# takes the modules of JAX, gives the function of JAX's arrays
JaxFunction = Callable[[SimpleNamespace], Callable[..., Any]]

SEED = torch.tensor(20)
TOP_K, TOP_P = 50, 0.9
COPY, PRODUCTS = FLOORS = ("copy", "three products")
DRAWS = {True: 64, False: 1024}  # of a small call, of a step of a training


@dataclass
class Problem:
    """What every contender computes in one case, as functions of the same inputs."""

    inputs: tuple[Tensor, ...]
    ours: Function
    theirs: dict[str, Function]
    jax: JaxFunction | None = None
    # What the time is a multiple of: a copy of the scores, and where something else is the floor that.
    copied: bool = False
    floor: dict[str, Callable[[], object]] = field(default_factory=dict)
    # The exact answer: of float64 inputs. None is what the first of `theirs` says.
    exact: Function | None = None
    # What is checked in place of `ours`, with its draws fixed; then `theirs`, who draw otherwise, are not checked.
    seeded: Function | None = None
    # Every index of this axis is computed for itself, so that a part of it can be checked for all; None if none is.
    batch_axis: int | None = None
    # The first result is a choice of ids: it differs where two scores differ by a rounding.
    is_choice: bool = False

    def require_grad(self, work: str) -> None:
        for tensor in self.inputs:
            tensor.requires_grad_(work != FORWARD)


def problem_of(case: Case) -> Problem:
    """Inputs and functions of one case; the same numbers in every process."""
    torch.manual_seed(0)
    return _MAKERS[case.op](case)


def _scores(case: Case) -> Tensor:
    return (2 * torch.randn(case.shape)).to(getattr(torch, case.dtype))


def _map(case: Case) -> Problem:
    ours = getattr(anymax, case.op)
    theirs = getattr(torch, case.op)
    dim = case.dim

    def in_torch(x: Tensor) -> Tensor:
        # of one axis only
        return theirs(x.flatten(dim[0], dim[-1]), dim[0]).view_as(x) if isinstance(dim, tuple) else theirs(x, dim)

    def in_jax(m: SimpleNamespace) -> Callable[..., Any]:
        return lambda x: getattr(m.jax.nn, case.op)(x, axis=dim)

    return Problem(
        (_scores(case),),
        lambda x: ours(x, dim),
        {"torch": in_torch},
        # NumPy, by which tensors become JAX's arrays, has no bfloat16
        jax=in_jax if case.dtype == "float32" else None,
        batch_axis=1 if dim == 0 else 0,
        copied=True,
    )


def _entropy(case: Case) -> Problem:
    def composed(x: Tensor) -> Tensor:
        log_probs = torch.log_softmax(x, 1)
        return -(log_probs.exp() * log_probs).sum(1)

    return Problem((_scores(case),), lambda x: anymax.entropy(x, 1), {"torch": composed}, batch_axis=0, copied=True)


def _log_prob(case: Case) -> Problem:
    target = torch.randint(case.shape[1], case.shape[:1])

    def composed(x: Tensor) -> Answer:
        log_z = torch.logsumexp(x, 1)
        log_probs = x - log_z[:, None]
        return log_probs.gather(1, target[:, None])[:, 0], log_z, -(log_probs.exp() * log_probs).sum(1)

    return Problem((_scores(case),), lambda x: tuple(anymax.log_prob(x, target)), {"torch": composed}, copied=True)


def _cross_entropy(case: Case) -> Problem:
    target = torch.randint(case.shape[1], case.shape[:1])
    ids = target.numpy()
    return Problem(
        (_scores(case),),
        lambda x: anymax.cross_entropy(x, target),
        {"torch": lambda x: functional.cross_entropy(x, target)},
        jax=lambda m: lambda x: m.optax.softmax_cross_entropy_with_integer_labels(x, ids).mean(),
        copied=True,
    )


def _binary(case: Case) -> Problem:
    target = torch.rand(case.shape).round()
    labels = target.numpy()

    def theirs(x: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(x, target.to(x.dtype))

    return Problem(
        (_scores(case),),
        lambda x: anymax.binary_cross_entropy_with_logits(x, target),
        {"torch": theirs},
        jax=lambda m: lambda x: m.optax.sigmoid_binary_cross_entropy(x, labels).mean(),
        copied=True,
    )


def _by_reference(function: Function) -> Function:
    """The same draws by the definition, which is exact on float64 inputs."""

    def exact(*inputs: Tensor) -> Answer:
        with anymax.use_backend("reference"):
            return function(*inputs)

    return exact


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
        (_scores(case),),
        lambda x: anymax.gumbel_softmax(x, hard=hard, dim=1),
        {"torch": lambda x: functional.gumbel_softmax(x, hard=hard, dim=1)},
        jax=with_jax,
        exact=_by_reference(seeded),
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
        (_scores(case),),
        lambda x: anymax.sample(x, 1),
        {"torch": lambda x: torch.multinomial(torch.softmax(x, 1), 1)[:, 0]},
        jax=with_jax,
        exact=_by_reference(seeded),
        seeded=seeded,
        batch_axis=0,
        is_choice=True,
        copied=True,
    )


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
        (_scores(case),),
        ours,
        {"torch": top_k if case.variant == "top_k" else top_p},
        exact=_by_reference(ours),
        batch_axis=0,
        is_choice=True,
        copied=True,
    )


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


def _counts(classes: int) -> Tensor:
    """Zipf's."""
    return 1 / torch.arange(1, classes + 1, dtype=torch.float64)


def _drawn(cumulative: Tensor, count: int) -> Tensor:
    """Draws as one writes them in torch, from sums that were made once."""
    return torch.searchsorted(cumulative, torch.rand(count, dtype=torch.float64) * cumulative[-1])


def _sampled(case: Case) -> Problem:
    """nce_loss and sampled_softmax_loss: a few draws that all rows share, and a sparse gradient of the class table."""
    rows, width, classes = case.shape
    draws, is_nce = DRAWS[case.is_small], case.op == "nce_loss"
    features, table = torch.randn(rows, width), torch.randn(classes, width) / width**0.5
    target = torch.randint(classes, (rows,))
    law = anymax.noise.Unigram(_counts(classes))
    cumulative = _counts(classes).cumsum(0)
    log_expected = (_counts(classes) / cumulative[-1] * draws).log().float()
    function: Callable[..., Tensor] = getattr(anymax, case.op)
    # as many options as say the same of both: draws with replacement
    options: dict[str, Any] = {"num_noise": draws, "sparse": case.work != FORWARD}
    if not is_nce:
        options["unique"] = False

    def seeded(x: Tensor, w: Tensor) -> Tensor:
        return function(x, w, target, law, generator=SEED, **options)

    def composed(x: Tensor, w: Tensor) -> Tensor:
        ids = _drawn(cumulative, draws)
        rows_of = functional.embedding(torch.cat([target, ids]), w, sparse=case.work != FORWARD)
        true = (x * rows_of[:rows]).sum(1) - log_expected[target]
        noise = x @ rows_of[rows:].T - log_expected[ids]
        if is_nce:
            return (functional.softplus(-true) + functional.softplus(noise).sum(1)).mean()
        return (torch.cat([true[:, None], noise], 1).logsumexp(1) - true).mean()

    return Problem(
        (features, table),
        lambda x, w: function(x, w, target, law, **options),
        {"torch": composed},
        exact=_by_reference(seeded),
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
        exact=_by_reference(lambda: ours(SEED)),
        seeded=lambda: ours(SEED),
        is_choice=True,
    )


_MAKERS: dict[str, Callable[[Case], Problem]] = {
    "softmax": _map,
    "log_softmax": _map,
    "logsumexp": _map,
    "entropy": _entropy,
    "log_prob": _log_prob,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy_with_logits": _binary,
    "gumbel_softmax": _gumbel_softmax,
    "sample": _sample,
    "keep_mask": _keep_mask,
    "linear_cross_entropy": _linear_cross_entropy,
    "nce_loss": _sampled,
    "sampled_softmax_loss": _sampled,
    NOISE: _noise,
}
