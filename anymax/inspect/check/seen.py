"""What a rule is given of one file."""

from __future__ import annotations

from dataclasses import dataclass

from anymax.inspect.check.names import Names
from anymax.inspect.check.sources import Source


@dataclass(frozen=True)
class Seen:
    """A file and what the engines found in it: the syntax tree in `source`, and what its names stand for."""

    source: Source
    names: Names
