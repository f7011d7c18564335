"""The CPU kernels of draws from a noise law (cpu.cpp): what they serve."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from anymax._core.library import define
from anymax._core.native import CpuKernel, native

# unique draws by tries: this many for each arrival nearly always suffice
DRAWS_PER_ARRIVAL = 4


class Form(NamedTuple):
    """What a law is to a kernel: its kind (Kind in cpu.cpp) and, for Unigram, its tables."""

    kind: int
    constant: float  # what is taken from a logarithm
    cumulative: Tensor | None = None
    log_probs: Tensor | None = None
    guide: Tensor | None = None
    last: Tensor | None = None


_LAW = (
    "Tensor seed, Tensor cumulative, Tensor log_probs, Tensor guide, Tensor last, "
    "int kind, int num_classes, float log_classes, float constant"
)


def _pair(seed: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    count = arguments[-2]
    return seed.new_empty(count), seed.new_empty(count, dtype=torch.float64)


def _race(seed: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape = arguments[-3:-1]
    times, log_q = (seed.new_empty(shape, dtype=torch.float64) for _ in range(2))
    return seed.new_empty(shape), times, log_q, seed.new_empty(())


GUIDE = define(
    "noise_guide(Tensor cumulative) -> Tensor",
    lambda cumulative: cumulative.new_empty(cumulative.shape[0] + 2, dtype=torch.int32),
)
WITH_REPLACEMENT = define(f"noise_with_replacement({_LAW}, int count, float log_draws) -> (Tensor, Tensor)", _pair)
FIRST_ARRIVALS = define(
    f"noise_first_arrivals({_LAW}, int rows, int wanted, int tries) -> (Tensor, Tensor, Tensor, Tensor)", _race
)


def guide_of(cumulative: Tensor) -> Tensor | None:
    """The table that finds a point among cumulative probabilities; None where no kernel would read it."""
    return GUIDE(cumulative) if native.level is not None and cumulative.is_cpu else None


class _Draw(CpuKernel):
    def cannot(self, law: Any, *arguments: Any) -> str | None:
        seed = arguments[-1]
        if reason := self.refuses(seed):
            return reason
        if torch.compiler.is_compiling():
            return "compiled code draws by the reference"
        if law.device.type != "cpu":
            return f"it is for laws on the CPU, got one on {law.device}"
        form = law.form()
        if form is None:
            return f"it does not know the law {type(law).__name__}"
        return self.refuses(form.cumulative)


class WithReplacement(_Draw):
    def __call__(self, law: Any, shape: tuple[int, ...], seed: Tensor) -> tuple[Tensor, Tensor]:
        ids, log_count = WITH_REPLACEMENT(*_arguments(law, seed), math.prod(shape), math.log(shape[-1]))
        return (ids, log_count) if len(shape) == 1 else (ids.view(shape), log_count.view(shape))


class FirstArrivals(_Draw):
    """Rows that lack arrivals after all their tries are the reference's."""

    def __init__(self, reference: Callable[..., tuple[Tensor, Tensor, Tensor]]) -> None:
        self.reference = reference

    def __call__(self, law: Any, rows: int, wanted: int, seed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tries = DRAWS_PER_ARRIVAL * wanted
        ids, times, log_q, short = FIRST_ARRIVALS(*_arguments(law, seed), rows, wanted, tries)
        return self.reference(law, rows, wanted, seed) if bool(short) else (ids, times, log_q)


def _arguments(law: Any, seed: Tensor) -> tuple[Any, ...]:
    form = law.form()
    tables = (seed if table is None else table for table in form[2:])
    return (seed, *tables, form.kind, law.num_classes, math.log1p(law.num_classes), form.constant)
