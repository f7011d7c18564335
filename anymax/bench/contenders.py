"""Who is measured in a case, each as a call without arguments: anymax, torch, what torch compiles, JAX."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from anymax.bench.cases import BACKWARD, Case
from anymax.bench.problems import Function, Problem

OURS = "anymax"
TORCH, COMPILE, JAX = "torch", "torch.compile", "jax"
RIVALS = (TORCH, COMPILE, JAX)

# JAX's threads are there from its start on, so it is measured with one thread only.
JAX_FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

Call = Callable[[], Any]


def worked(
    function: Function, inputs: tuple[Tensor, ...], case: Case, upstream: tuple[Tensor, ...] | None = None
) -> Call:
    """The work of the case with one function of the inputs; with a backward pass the gradients follow the results.

    `upstream` is what `upstream_of` makes of the function's results, if it is there already.
    """
    if case.work != BACKWARD:
        return lambda: function(*inputs)
    if upstream is None:
        upstream = upstream_of(function(*inputs))

    def call() -> tuple[Tensor, ...]:
        results = _all_of(function(*inputs))
        return (*results, *torch.autograd.grad(results, inputs, upstream))

    return call


def _all_of(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


def upstream_of(results: Any) -> tuple[Tensor, ...]:
    """Gradients from above: they differ along every axis, and a part of the batch has those of the whole."""
    return tuple(_steps(result) for result in _all_of(results))


def _steps(result: Tensor) -> Tensor:
    # around 0: what all entries have in common cancels in many gradients, and would leave an answer's rounding alone
    steps = torch.zeros_like(result) if result.ndim else torch.ones_like(result)
    for axis, size in enumerate(result.shape):
        along = [1] * result.ndim
        along[axis] = size
        values = 5 + 2 * axis
        steps += (torch.arange(size) % values - values // 2).reshape(along) / 8
    return steps


def compiled(
    function: Function, inputs: tuple[Tensor, ...], case: Case, upstream: tuple[Tensor, ...] | None = None
) -> Call:
    return worked(torch.compile(function, fullgraph=True, dynamic=False), inputs, case, upstream)


def jax_modules() -> SimpleNamespace:
    """JAX and optax; imported by whoever measures them, and never before.

    Raises:
        ModuleNotFoundError: one of them is not installed.
    """
    os.environ.setdefault("XLA_FLAGS", JAX_FLAGS)
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy  # pyright: ignore[reportMissingImports]
    import optax  # pyright: ignore[reportMissingImports]

    return SimpleNamespace(jax=jax, optax=optax)


def with_jax(problem: Problem, modules: SimpleNamespace, case: Case, upstream: tuple[Tensor, ...]) -> Call:
    """As `worked`, jitted, and waiting for the result."""
    assert problem.jax is not None
    jax, function = modules.jax, problem.jax(modules)
    inputs = [jax.numpy.asarray(tensor.detach().numpy()) for tensor in problem.inputs]
    if case.work == BACKWARD:
        from_above = jax.numpy.asarray(upstream[0].numpy())

        def both(*inputs: Any) -> Any:
            result, pull = jax.vjp(function, *inputs)
            return result, *pull(from_above)

        jitted = jax.jit(both)
    else:
        jitted = jax.jit(function)
    return lambda: jax.block_until_ready(jitted(*inputs))


def as_tensors(results: Any) -> tuple[Tensor, ...]:
    """Results of any contender, to be looked at."""
    return tuple(
        result.detach() if isinstance(result, Tensor) else torch.from_numpy(result.__array__().copy())
        for result in _all_of(results)
    )
