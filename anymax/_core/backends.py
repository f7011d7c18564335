"""What this build computes with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anymax._core.dispatch import REFERENCE
from anymax._core.native import native


@dataclass(frozen=True)
class Backend:
    """A backend, and what it runs with; `missing` says why it cannot be used, and is None where it can."""

    name: str
    instruction_set: str | None = None
    threads: int | None = None
    compiler: str | None = None
    missing: str | None = None

    def __str__(self) -> str:
        if self.missing is not None:
            return f"{self.name}: missing, {self.missing}"
        if self.instruction_set is None:
            return f"{self.name}: pure torch, serves every call"
        return f"{self.name}: {self.instruction_set}, {self.threads} threads, built by {self.compiler}"


def backends() -> tuple[Backend, ...]:
    """Say which backends there are, with what each runs, and why one cannot be used.

    The instruction set is chosen when anymax is imported: the best one that the processor has, or the one that the
    environment variable `ANYMAX_INSTRUCTION_SET` names.

    Returns:
        One `Backend` for each, with its `name`, `instruction_set`, `threads`, `compiler` and what is `missing`: the
        reference first, which serves every call, then the kernels.

    Example:
        >>> anymax.backends()[0].name
        'reference'
    """
    name = f"x86-64-{native.level}" if native.level and native.level.startswith("v") else native.level
    threads = None if native.missing else torch.get_num_threads()
    return (Backend(REFERENCE), Backend("cpu", name, threads, native.compiler, native.missing))
