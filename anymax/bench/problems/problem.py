"""What a problem is: inputs, anymax's call, the same in plain torch and in JAX, the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import anymax
from anymax.bench.cases import FORWARD, Case

Answer = Tensor | tuple[Tensor, ...]
Function = Callable[..., Answer]
# takes the modules of JAX, gives the function of JAX's arrays
JaxFunction = Callable[[SimpleNamespace], Callable[..., Any]]

SEED = torch.tensor(20)
COPY, PRODUCTS = FLOORS = ("copy", "three products")


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


Maker = Callable[[Case], Problem]


def scores(case: Case) -> Tensor:
    return (2 * torch.randn(case.shape)).to(getattr(torch, case.dtype))


def by_reference(function: Function) -> Function:
    """The same draws by the definition, which is exact on float64 inputs."""

    def exact(*inputs: Tensor) -> Answer:
        with anymax.use_backend("reference"):
            return function(*inputs)

    return exact
