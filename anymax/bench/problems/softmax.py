"""softmax, log_softmax and logsumexp."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Maker, Problem, scores


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
        (scores(case),),
        lambda x: ours(x, dim),
        {"torch": in_torch},
        # NumPy, by which tensors become JAX's arrays, has no bfloat16
        jax=in_jax if case.dtype == "float32" else None,
        batch_axis=1 if dim == 0 else 0,
        copied=True,
    )


MAKERS: dict[str, Maker] = {
    "softmax": _map,
    "log_softmax": _map,
    "logsumexp": _map,
}
