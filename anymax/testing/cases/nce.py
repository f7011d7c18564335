"""nce_loss, negative_sampling_loss and sampled_softmax_loss."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax import noise
from anymax.testing.cases.case import Case, features, randn, seed, targets


def _nce(x: Tensor, table: Tensor, bias: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    law = noise.LogUniform(table.shape[0])
    return anymax.nce_loss(x, table, target, law, num_noise=4, linear_bias=bias, generator=seed)


def _in_batch(x: Tensor, table: Tensor, bias: Tensor, target: Tensor) -> Tensor:
    law = noise.InBatch(noise.LogUniform(table.shape[0]))
    return anymax.nce_loss(x, table, target, law, linear_bias=bias)


def _negative(x: Tensor, table: Tensor, bias: Tensor, target: Tensor, seed: Tensor) -> Tensor:
    law = noise.LogUniform(table.shape[0])
    return anymax.negative_sampling_loss(x, table, target, law, linear_bias=bias, shared=False, generator=seed)


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


def _targets_and_seed(generator: torch.Generator, rows: int) -> list[Tensor]:
    return [targets(generator, 9, rows), *seed(generator, rows)]


CASES: tuple[Case, ...] = (
    Case("nce_loss", "shared", _nce, features, _targets_and_seed, roundings=8.0),
    Case("nce_loss", "in-batch", _in_batch, features, lambda g, rows: [targets(g, 9, rows)], roundings=8.0),
    Case("negative_sampling_loss", "per-row", _negative, features, _targets_and_seed, roundings=8.0),
    Case("sampled_softmax_loss", "ranking", _sampled, features, _targets_and_seed, roundings=8.0),
    Case(
        "sampled_softmax_loss",
        "many-classes",
        _sampled,
        lambda g, rows: [randn(g, rows, 6), randn(g, 300, 6) / 2, randn(g, 300)],
        lambda g, rows: [targets(g, 300, rows), *seed(g, rows)],
        roundings=8.0,
    ),
    Case("sampled_softmax_loss", "per-row", _per_row, features, _targets_and_seed, roundings=8.0),
    Case("sampled_softmax_loss", "importance", _importance, features, _targets_and_seed, roundings=8.0),
)
