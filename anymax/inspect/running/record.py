"""What a watch has seen: origins, places, findings. Each finding is made once per place and code."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from anymax._core.context import is_eager
from anymax.inspect.check.findings import Finding, Level
from anymax.inspect.running import places
from anymax.inspect.running.places import Place, caller
from anymax.inspect.running.provenance import Origins


class MisuseWarning(UserWarning):
    """A call that runs and means something else than was probably meant; `anymax.watch` and its kin give it."""


@dataclass
class Calls:
    """The calls of a softmax at one place: what they all had in common."""

    name: str
    dim: Any
    count: int = 0
    # calls in which a single entry competed
    single: int = 0
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass
class Losses:
    """The values of a cross-entropy at one place, one per step, beside the share of right answers."""

    num_classes: int
    values: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)


class Record:
    """What was seen so far."""

    def __init__(self) -> None:
        self.origins = Origins()
        self.findings: list[Finding] = []
        self.seen: Counter[str] = Counter()
        # losses whose input came from no call that is known
        self.unknown_losses = 0
        self.compiled = False
        self.softmaxes: dict[Place, Calls] = {}
        self.losses: dict[Place, Losses] = {}
        self._said: set[tuple[str, Place]] = set()

    def say(self, code: str, level: Level, message: str, place: Place | None = None) -> None:
        """Write it down, once for the line that called, and warn, unless the level is info."""
        place = place or caller()
        if (code, place) in self._said:
            return
        self._said.add((code, place))
        message += "."
        where = (place.path, None, place.line, place.column, place.end_line, place.end_column)
        self.findings.append(Finding(*where, code=code, level=level, message=message))
        if level != "info":
            warnings.warn_explicit(
                f"{code}: {message}",
                MisuseWarning,
                place.path,
                place.line,
                module=place.names.get("__name__", "<unknown>"),
                registry=place.names.setdefault("__warningregistry__", {}),
            )

    def forget(self) -> None:
        """Let go of everything but the findings and the counts."""
        self.origins.clear()
        self.softmaxes.clear()
        self.losses.clear()
        places.forget()


def readable(*tensors: Tensor) -> bool:
    """True where the numbers may be looked at, on any device: a watch does it in a few steps only."""
    for tensor in tensors:
        if tensor.is_meta or isinstance(tensor, FakeTensor):
            return False
        if tensor.is_cuda and torch.cuda.is_current_stream_capturing():
            return False
    return is_eager()
