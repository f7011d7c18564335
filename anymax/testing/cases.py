"""One row per way of calling an op. An op without a row fails the suite; a new row meets every law."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import anymax
from anymax import noise
from anymax.ops.binary.api import one_vs_rest_loss
from anymax.ops.gumbel.api import gumbel_softmax_loss

Make = Callable[[torch.Generator, int], list[Tensor]]


@dataclass(frozen=True)
class Case:
    """A call of one op in which everything is fixed but its tensors.

    `floats` makes the floating-point tensors (float64, to be cast) and `fixed` the others (masks, targets, seeds),
    both for a number of rows, so that shapes can vary. `call(*floats, *fixed)` is the op; it hides entries that are
    infinite on purpose, which no difference quotient can see.
    """

    op: str
    name: str
    call: Callable[..., Any]
    floats: Make
    fixed: Make = lambda generator, rows: []
    # False for ids and masks, and where the gradient is not that of the value (straight-through)
    differentiable: bool = True
    # errors in float16 and bfloat16, in units of that dtype's rounding
    roundings: float = 2.0

    def __str__(self) -> str:
        return f"{self.op}-{self.name}"

    def make(self, rows: int = 3, dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor]]:
        """The tensors of the call; the same for every dtype, up to rounding."""
        generator = torch.Generator().manual_seed(zlib.crc32(str(self).encode()) + rows)
        floats = [tensor.to(dtype) for tensor in self.floats(generator, rows)]
        return floats, self.fixed(generator, rows)


def _scores(*tail: int) -> Make:
    return lambda generator, rows: [_randn(generator, rows, *tail)]


def _randn(generator: torch.Generator, *shape: int) -> Tensor:
    # twice the standard deviation, so that probabilities differ by orders of magnitude
    return 2 * torch.randn(shape, generator=generator, dtype=torch.float64)


def _positive(generator: torch.Generator, *shape: int) -> Tensor:
    return 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)


def _mask(generator: torch.Generator, *shape: int) -> Tensor:
    """About a third out, and all of the first row."""
    mask = torch.rand(shape, generator=generator) > 0.35
    mask[0] = False
    mask[1:, 0] = True
    return mask


def _targets(generator: torch.Generator, num_classes: int, *shape: int) -> Tensor:
    """Class ids, the first of them ignored."""
    target = torch.randint(num_classes, shape, generator=generator)
    target.view(-1)[0] = -100
    return target


def _seed(generator: torch.Generator, rows: int) -> list[Tensor]:
    return [torch.randint(2**62, (), generator=generator)]


def _maps() -> list[Case]:
    cases = []
    for op in ("softmax", "softmin", "log_softmax"):
        function = getattr(anymax, op)

        def masked(x: Tensor, t: Tensor, s: Tensor, mask: Tensor, function: Any = function) -> Tensor:
            return torch.where(mask, function(x, "b [class] w", temperature=t, sink=s, mask=mask), 0.0)

        def masked_only(x: Tensor, mask: Tensor, function: Any = function) -> Tensor:
            return torch.where(mask, function(x, 1, mask=mask), 0.0)

        cases += [
            Case(op, "last", lambda x, f=function: f(x, -1), _scores(7)),
            Case(op, "middle", lambda x, f=function: f(x, 1), _scores(5, 4)),
            Case(op, "tuple", lambda x, f=function: f(x, (0, 2)), _scores(3, 4)),
            Case(op, "pattern", lambda x, f=function: f(x, "b [h w]"), _scores(3, 4)),
            Case(op, "one-entry", lambda x, f=function: f(x, 1), lambda g, rows: [_randn(g, rows, 1)]),
            Case(
                op,
                "masked",
                masked_only,
                _scores(5, 4),
                lambda g, rows: [_mask(g, rows, 5, 4)],
            ),
            Case(
                op,
                "everything",
                masked,
                lambda g, rows: [_randn(g, rows, 5, 4), _positive(g, rows, 1, 1), _randn(g, 1, 1, 4)],
                lambda g, rows: [_mask(g, rows, 5, 4)],
            ),
        ]
    return cases


def _logsumexp(x: Tensor, sink: Tensor, mask: Tensor) -> Tensor:
    return anymax.logsumexp(x, 1, True, mask=mask, sink=sink)


def _entropy(x: Tensor, temperature: Tensor, mask: Tensor) -> Tensor:
    return anymax.entropy(x, "b [class] w", temperature=temperature, mask=mask)


def _gumbel(x: Tensor, tau: Tensor, mask: Tensor, seed: Tensor) -> Tensor:
    return anymax.gumbel_softmax(x, tau, dim=1, mask=mask, generator=seed)


def _keep(x: Tensor) -> Tensor:
    return anymax.keep_mask(x, 1, top_k=5, top_p=0.9, min_p=0.01)


def _loss(x: Tensor, weight: Tensor, temperature: Tensor, target: Tensor) -> Tensor:
    return anymax.cross_entropy(
        x,
        target,
        weight,
        dim="b [class] w",
        label_smoothing=0.1,
        z_loss=0.01,
        softcap=4.0,
        temperature=temperature,
    )


def _loss_under_a_prior(x: Tensor, prior: Tensor, temperature: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    target = torch.where(mask.gather(1, target.clamp(min=0)[:, None])[:, 0], target, -100)
    return anymax.cross_entropy(
        x, target, mask=mask, class_prior=prior, label_smoothing=0.1, z_loss=0.01, softcap=4.0, temperature=temperature
    )


def _masked_loss(x: Tensor, mask: Tensor) -> Tensor:
    target = torch.where(mask[:, 0], 0, -100)
    return anymax.cross_entropy(x, target, mask=mask, label_smoothing=0.1, reduction="sum")


def _log_prob(x: Tensor, temperature: Tensor, prior: Tensor, target: Tensor) -> tuple[Tensor, ...]:
    return tuple(anymax.log_prob(x, target, temperature=temperature, softcap=5.0, class_prior=prior))


def _binary(x: Tensor, target: Tensor, weight: Tensor, pos_weight: Tensor) -> Tensor:
    return anymax.binary_cross_entropy_with_logits(x, target.sigmoid(), weight, pos_weight=pos_weight)


def _gumbel_loss(x: Tensor, tau: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    return gumbel_softmax_loss(x, target, dim="b [class] w", tau=tau, generator=seed)


def _linear_loss(x: Tensor, table: Tensor, bias: Tensor, prior: Tensor, target: Tensor) -> Tensor:
    options = {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 6.0, "class_prior": prior}
    return anymax.linear_cross_entropy(x, table, target, linear_bias=bias, chunks=2, **options)


def _linear_log_prob(x: Tensor, table: Tensor, bias: Tensor, prior: Tensor, target: Tensor) -> tuple[Tensor, ...]:
    return tuple(anymax.linear_log_prob(x, table, target, linear_bias=bias, class_prior=prior, chunks=2))


def _nce(x: Tensor, table: Tensor, bias: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    law = noise.LogUniform(table.shape[0])
    return anymax.nce_loss(x, table, target, law, num_noise=4, linear_bias=bias, generator=seed)


def _sampled(x: Tensor, table: Tensor, bias: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    law = noise.Uniform(table.shape[0])
    return anymax.sampled_softmax_loss(x, table, target, law, num_noise=4, linear_bias=bias, generator=seed)


def _importance(x: Tensor, table: Tensor, bias: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    law = noise.LogUniform(table.shape[0])
    return anymax.sampled_softmax_loss(
        x,
        table,
        target,
        law,
        num_noise=4,
        correction="importance",
        unique=False,
        shared=False,
        linear_bias=bias,
        generator=seed,
    )


def _per_row(x: Tensor, table: Tensor, bias: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    law = noise.LogUniform(table.shape[0])
    return anymax.sampled_softmax_loss(
        x, table, target, law, num_noise=4, shared=False, linear_bias=bias, generator=seed
    )


def _features(generator: torch.Generator, rows: int) -> list[Tensor]:
    table = _randn(generator, 9, 6) / 2
    return [_randn(generator, rows, 6), table, _randn(generator, 9)]


def _features_and_prior(generator: torch.Generator, rows: int) -> list[Tensor]:
    return [*_features(generator, rows), _positive(generator, 9)]


def _targets_and_seed(generator: torch.Generator, rows: int) -> list[Tensor]:
    return [_targets(generator, 9, rows), *_seed(generator, rows)]


CASES: tuple[Case, ...] = (
    *_maps(),
    Case("logsumexp", "last", lambda x: anymax.logsumexp(x, -1), _scores(7)),
    Case("logsumexp", "tuple", lambda x: anymax.logsumexp(x, (0, 2)), _scores(3, 4)),
    Case("logsumexp", "pattern", lambda x: anymax.logsumexp(x, "b [h w]"), _scores(3, 4)),
    Case(
        "logsumexp",
        "everything",
        _logsumexp,
        lambda g, rows: [_randn(g, rows, 5, 4), _randn(g, rows, 1, 1)],
        lambda g, rows: [_mask(g, rows, 5, 4)],
    ),
    Case("entropy", "last", lambda x: anymax.entropy(x, -1), _scores(7)),
    Case("entropy", "tuple", lambda x: anymax.entropy(x, (0, 2)), _scores(3, 4)),
    Case("entropy", "pattern", lambda x: anymax.entropy(x, "b [h w]"), _scores(3, 4)),
    Case(
        "entropy",
        "everything",
        _entropy,
        lambda g, rows: [_randn(g, rows, 5, 4), _positive(g, rows, 1, 4)],
        lambda g, rows: [_mask(g, rows, 5, 4)],
    ),
    Case(
        "gumbel_softmax",
        "hard",
        lambda x, seed: anymax.gumbel_softmax(x, 0.7, True, dim="b [h w]", generator=seed),
        _scores(3, 4),
        _seed,
        differentiable=False,
    ),
    Case(
        "gumbel_softmax",
        "last",
        lambda x, seed: anymax.gumbel_softmax(x, 0.7, dim=-1, generator=seed),
        _scores(7),
        _seed,
    ),
    Case(
        "gumbel_softmax",
        "everything",
        _gumbel,
        lambda g, rows: [_randn(g, rows, 5, 4), _positive(g, rows, 1, 1)],
        lambda g, rows: [_mask(g, rows, 5, 4), *_seed(g, rows)],
    ),
    Case(
        "sample",
        "middle",
        lambda x, seed: anymax.sample(x, 1, generator=seed),
        _scores(5, 4),
        _seed,
        differentiable=False,
    ),
    Case(
        "sample",
        "many",
        lambda x, seed: anymax.sample(x, -1, num_samples=6, temperature=2.0, generator=seed),
        _scores(7),
        _seed,
        differentiable=False,
    ),
    Case("keep_mask", "all-rules", _keep, _scores(9, 2), differentiable=False),
    Case(
        "cross_entropy",
        "ids",
        anymax.cross_entropy,
        _scores(5, 4),
        lambda g, rows: [_targets(g, 5, rows, 4)],
    ),
    Case(
        "cross_entropy",
        "probabilities",
        lambda x, t: anymax.cross_entropy(x, t.softmax(-1), dim=-1, reduction="none"),
        lambda g, rows: [_randn(g, rows, 7), _randn(g, rows, 7)],
    ),
    Case(
        "cross_entropy",
        "everything",
        _loss,
        lambda g, rows: [_randn(g, rows, 5, 4), _positive(g, 5), _positive(g, rows, 1, 1)],
        lambda g, rows: [_targets(g, 5, rows, 4)],
    ),
    Case("cross_entropy", "masked", _masked_loss, _scores(5), lambda g, rows: [_mask(g, rows, 5)]),
    Case(
        "cross_entropy",
        "counts",
        lambda x, counts, target: anymax.cross_entropy(x, target, class_prior=counts),
        _scores(5, 4),
        lambda g, rows: [torch.tensor([1000, 100, 10, 1, 50]), _targets(g, 5, rows, 4)],
    ),
    Case(
        "cross_entropy",
        "prior",
        _loss_under_a_prior,
        lambda g, rows: [_randn(g, rows, 5), _positive(g, 5), _positive(g, rows, 1)],
        lambda g, rows: [_mask(g, rows, 5), _targets(g, 5, rows)],
    ),
    Case(
        "log_prob",
        "everything",
        _log_prob,
        lambda g, rows: [_randn(g, rows, 5, 4), _positive(g, rows, 1, 4), _positive(g, 5)],
        lambda g, rows: [_targets(g, 5, rows, 4)],
    ),
    Case(
        "binary_cross_entropy_with_logits",
        "everything",
        _binary,
        lambda g, rows: [_randn(g, rows, 4), _randn(g, rows, 4), _positive(g, rows, 1), _positive(g, 4)],
    ),
    Case(
        "gumbel_softmax_loss",
        "last",
        lambda x, target, seed: gumbel_softmax_loss(x, target, reduction="none", generator=seed),
        _scores(7),
        lambda g, rows: [_targets(g, 7, rows), *_seed(g, rows)],
    ),
    Case(
        "gumbel_softmax_loss",
        "everything",
        _gumbel_loss,
        lambda g, rows: [_randn(g, rows, 5, 4), _positive(g, rows, 1, 4)],
        lambda g, rows: [_targets(g, 5, rows, 4), *_seed(g, rows)],
    ),
    Case("one_vs_rest_loss", "last", one_vs_rest_loss, _scores(7), lambda g, rows: [_targets(g, 7, rows)]),
    Case(
        "one_vs_rest_loss",
        "everything",
        lambda x, target: one_vs_rest_loss(x, target, dim=-1, reduction="none", ignore_index=2),
        _scores(4, 5),
        lambda g, rows: [torch.randint(5, (rows, 4), generator=g)],
    ),
    Case(
        "linear_cross_entropy",
        "everything",
        _linear_loss,
        _features_and_prior,
        lambda g, rows: [_targets(g, 9, rows)],
        roundings=8.0,
    ),
    Case(
        "linear_log_prob",
        "everything",
        _linear_log_prob,
        _features_and_prior,
        lambda g, rows: [_targets(g, 9, rows)],
        roundings=8.0,
    ),
    Case("nce_loss", "shared", _nce, _features, _targets_and_seed, roundings=8.0),
    Case("sampled_softmax_loss", "ranking", _sampled, _features, _targets_and_seed, roundings=8.0),
    Case(
        "sampled_softmax_loss",
        "many-classes",
        _sampled,
        lambda g, rows: [_randn(g, rows, 6), _randn(g, 300, 6) / 2, _randn(g, 300)],
        lambda g, rows: [_targets(g, 300, rows), *_seed(g, rows)],
        roundings=8.0,
    ),
    Case("sampled_softmax_loss", "per-row", _per_row, _features, _targets_and_seed, roundings=8.0),
    Case("sampled_softmax_loss", "importance", _importance, _features, _targets_and_seed, roundings=8.0),
)
