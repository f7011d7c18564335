"""What any of the engines has found: where, how sure it is, what to write, and, where that is certain, the edits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# error: provable from what was read; warning: likely; info: a habit that may be right here
Level = Literal["error", "warning", "info"]
STRENGTH: dict[Level, int] = {"error": 2, "warning": 1, "info": 0}


@dataclass(frozen=True, order=True)
class Edit:
    """Characters `start` to `end` of a source's text become `replacement`."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True)
class Fix:
    """Edits after which the code computes the same, in exact arithmetic, and never less accurately."""

    message: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Finding:
    """One finding. Lines and columns count from 1, columns in characters; the end is the column behind the last one.

    In a notebook they count within the cell, whose number is `cell`. Where the columns are not known, they are 1.
    """

    path: str
    cell: int | None
    line: int
    column: int
    end_line: int
    end_column: int
    code: str
    level: Level
    message: str
    fix: Fix | None = None

    @property
    def place(self) -> tuple[str, int, int, int, str]:
        """What findings are sorted by."""
        return self.path, self.cell or 0, self.line, self.column, self.code

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.code} {self.level}: {self.message}"


def more(findings: Iterable[Finding]) -> list[str]:
    """The line of a report that leads to the pages of its codes, if it has any."""
    codes = sorted({finding.code for finding in findings})
    return [f"`anymax check --explain CODE` says more of {', '.join(codes)}."] if codes else []
