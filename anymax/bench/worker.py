"""The process that measures. It reads a request on its standard input and writes one line of JSON for each finding.

A process of its own, since only its environment decides how its memory is managed, and since a case that the system
kills for its memory must not take the others along.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from anymax._core.memory import peak_of_step
from anymax.bench import checking, machine
from anymax.bench.cases import BACKWARD, Case
from anymax.bench.contenders import (
    COMPILE,
    JAX,
    OURS,
    TORCH,
    Call,
    as_tensors,
    compiled,
    jax_modules,
    upstream_of,
    with_jax,
    worked,
)
from anymax.bench.problems import COPY, Problem, problem_of
from anymax.bench.results import FRESH, REUSED
from anymax.bench.timing import alternate

CPU = torch.device("cpu")
INTERRUPTED = 130


@dataclass(frozen=True)
class Request:
    """What one process measures: with `REUSED` memory it checks and times everybody, with `FRESH` anymax and torch."""

    cases: list[tuple[int, Case]]  # with their rows in the results
    memory: str
    threads: list[int]
    seconds: float
    rivals: list[str]

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        fields = json.loads(text)
        cases = [(row, Case.of(case)) for row, case in fields["cases"]]
        return cls(**{**fields, "cases": cases})


Finding = dict[str, Any]


def main() -> None:
    # nobody but this function writes to standard output: a compiler may print what it likes
    with os.fdopen(os.dup(1), "w") as findings:
        os.dup2(2, 1)
        try:
            for finding in measure(Request.from_json(sys.stdin.read())):
                print(json.dumps(finding), file=findings, flush=True)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


def measure(request: Request) -> Iterator[Finding]:
    """Findings as they come; each but "absent" names its row."""
    modules = None
    if JAX in request.rivals:
        try:
            modules = jax_modules()
        except ImportError as error:
            yield {"absent": f"{error.name or 'jax'} is not installed, so there is no column for {JAX}."}
    for row, case in request.cases:
        yield {"row": row, "begin": str(case)}
        try:
            for finding in _measure_case(case, request, modules):
                yield {"row": row, **finding}
        except Exception as error:
            yield {"row": row, "wrong": f"raised {_in_words(error)}"}
        yield {"row": row, "end": True}
        torch.compiler.reset()
        gc.collect()


def _measure_case(case: Case, request: Request, modules: SimpleNamespace | None) -> Iterator[Finding]:
    torch.set_num_threads(max(request.threads))
    problem = problem_of(case)
    problem.require_grad(case.work)
    exact = None
    if request.memory == REUSED:
        exact = checking.exact_answer(problem, case)
        answer = as_tensors(worked(problem.seeded or problem.ours, problem.inputs, case)())
        if wrong := checking.difference(problem, answer, exact):
            yield {"wrong": wrong}
            return
        del answer
    upstream = upstream_of(problem.ours(*problem.inputs)) if case.work == BACKWARD else ()
    refused: set[str] = set()
    for threads in request.threads:
        torch.set_num_threads(threads)
        calls: dict[str, Call] = {
            OURS: worked(problem.ours, problem.inputs, case, upstream),
            **_floor(problem, request.memory),
        }
        for name, make in _rivals(problem, case, upstream, request, modules if threads == 1 else None).items():
            if name in refused:
                continue
            try:
                call = make()
                answer = as_tensors(call())
            except Exception as error:  # a compiler's may be of any kind
                refused.add(name)
                yield {"note": f"{name} raised {_in_words(error)}"}
                continue
            # those that draw, or round a choice, for themselves compute other numbers
            if exact is not None and problem.exact is None and (wrong := checking.difference(problem, answer, exact)):
                refused.add(name)
                yield {"note": f"{name} is left out: {wrong}"}
                continue
            del answer
            calls[name] = call
        if request.memory == FRESH and case.is_small:
            continue
        # processor time, to which other work on the machine adds little; of several threads it says nothing
        clock = time.process_time if threads == 1 else time.perf_counter
        load = machine.load()
        times = alternate(calls, OURS, request.seconds, clock)
        yield {"column": {"memory": request.memory, "threads": threads, "load": load, **asdict(times)}}
    if request.memory == FRESH:
        contenders = {OURS: problem.ours, **(problem.theirs if TORCH in request.rivals else {})}
        yield {
            "peak_bytes": {
                name: peak_of_step(worked(function, problem.inputs, case, upstream), CPU)
                for name, function in contenders.items()
            }
        }


def _floor(problem: Problem, memory: str) -> dict[str, Call]:
    """What nobody can be expected to be faster than. A copy gets new memory where the results do."""
    if not problem.copied:
        return problem.floor
    source = problem.inputs[0].detach()
    if memory == FRESH:
        return {COPY: source.clone}
    target = torch.empty_like(source)
    return {COPY: lambda: target.copy_(source)}


def _rivals(
    problem: Problem,
    case: Case,
    upstream: tuple[Tensor, ...],
    request: Request,
    modules: SimpleNamespace | None,
) -> dict[str, Callable[[], Call]]:
    """Functions that make the calls of the rivals, by name."""
    inputs = problem.inputs
    makers: dict[str, Callable[[], Call]] = {}
    if TORCH in request.rivals:
        makers |= {
            name: lambda f=function: worked(f, inputs, case, upstream) for name, function in problem.theirs.items()
        }
    if COMPILE in request.rivals:
        makers[COMPILE] = lambda: compiled(problem.theirs[TORCH], inputs, case, upstream)
    if modules is not None and problem.jax is not None:
        makers[JAX] = lambda: with_jax(problem, modules, case, upstream)
    return makers


def _in_words(error: Exception) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


if __name__ == "__main__":
    main()
