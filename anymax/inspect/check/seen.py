"""What a rule is given of one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from anymax.inspect.check.names import Names
from anymax.inspect.check.observed import Observation
from anymax.inspect.check.sources import Source

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """A file and what the engines found in it.

    Attributes:
        source: the syntax tree and the text. names: what its names stand for.
        observed: what the interpreter saw there, coming from this file or from another.
    """

    source: Source
    names: Names
    observed: Sequence[Observation] = ()

    def each(self, kind: type[T]) -> list[T]:
        """The observations of one kind."""
        return [one for one in self.observed if isinstance(one, kind)]
