"""What was measured, as plain data, and results.json."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anymax._core.files import write_whole
from anymax.bench.cases import Case

FORMAT = 1
REUSED, FRESH = "reused", "fresh"


@dataclass
class Column:
    """One way of measuring a case: in pages that the process has already, or in fresh ones of the system's."""

    memory: str
    threads: int
    load: float | None  # of the last minute, when it was measured; the measuring itself adds to it
    rounds: int
    seconds: dict[str, float]
    ratios: dict[str, float]


@dataclass
class Row:
    """A case: what was wrong with anymax's answer, or else its times; `notes` say which rival is missing, and why."""

    case: Case
    wrong: str | None = None
    notes: list[str] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    peak_bytes: dict[str, int] = field(default_factory=dict)

    def column(self, memory: str, threads: int) -> Column | None:
        return next((one for one in self.columns if (one.memory, one.threads) == (memory, threads)), None)


@dataclass
class Results:
    """A run; `finished` is false while it goes on, and stays so where it was interrupted."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    options: dict[str, Any]
    load_before: float | None
    absent: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    finished: bool = False

    @property
    def is_right(self) -> bool:
        return not any(row.wrong for row in self.rows)


def save(results: Results, path: Path) -> None:
    text = json.dumps({"format": FORMAT, **dataclasses.asdict(results)}, indent=1, allow_nan=False)
    write_whole(path, f"{text}\n".encode())
