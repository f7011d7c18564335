"""Simulated comparisons: a cell is a law and its classifiers, a record what one data set of it gave at every look."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from anymax.lab.statistics.twoway import Gains, Spread, spread
from tests.lab.statistics.trained import Law, Trainer, logistic, nearest_mean, outcomes, ridge, until

MEASURES = ("top1", "nll", "macro_f1", "average_precision")
# the first is the reference; equal ones have the truth 0
FAMILIES: dict[str, tuple[Trainer, ...]] = {
    "logistic": (logistic(1.0), logistic(30.0)),
    "nearest mean": (nearest_mean, ridge(None)),
    "nets": (ridge(40), ridge(40)),
    "nets of two sizes": (ridge(40), ridge(32)),
    "four equal nets": (ridge(40),) * 4,
}
EQUAL = ("nets", "four equal nets")


@dataclass(frozen=True)
class Cell:
    """A law, the classifiers that are compared on it, and the repeats after which one looks."""

    family: str
    law: Law
    looks: tuple[int, ...] = (5, 10, 20)
    measures: tuple[str, ...] = MEASURES

    @property
    def name(self) -> str:
        balance = f" 1-{1 / self.law.rare:.0f}" if self.law.rare else ""
        clear = f" clear {self.law.clear:g}" if self.law.clear != 1 else ""
        return f"{self.family} {self.law.rows}{balance}{clear} to {self.looks[-1]}"


@dataclass(frozen=True)
class Found:
    """One difference at one look, and the standard deviation of the repeats' differences, for the corrected t."""

    spread: Spread
    deviation: float


@dataclass(frozen=True)
class Record:
    """One data set: rows of the rarest class, rows answered wrongly, and by measure and look what each head gave."""

    rarest: int
    wrong: int
    found: dict[str, dict[int, list[Found]]]

    def line(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def read(line: str) -> Record:
        raw = json.loads(line)
        found = {
            measure: {
                int(look): [Found(Spread(**one["spread"]), one["deviation"]) for one in heads]
                for look, heads in looks.items()
            }
            for measure, looks in raw["found"].items()
        }
        return Record(raw["rarest"], raw["wrong"], found)


def record(cell: Cell, seed: int) -> Record:
    """What the data set of this seed gives."""
    random = np.random.default_rng(seed)
    given = outcomes(random, cell.law, FAMILIES[cell.family], repeats=cell.looks[-1])
    _, first = np.unique(given.row, return_index=True)
    return Record(
        rarest=int(np.bincount(given.target[first], minlength=cell.law.classes).min()),
        wrong=given.wrong(),
        found={
            measure: {look: [_found(until(gains, look)) for gains in given.gains(measure)] for look in cell.looks}
            for measure in cell.measures
        },
    )


def _found(gains: Gains) -> Found:
    differences = np.bincount(gains.repeat, gains.gain) / np.bincount(gains.repeat)
    return Found(spread(gains), float(differences.std(ddof=1)))


def _line(task: tuple[Cell, int]) -> str:
    return record(*task).line()


def records(cell: Cell, runs: int, *, folder: Path | None = None, processes: int = 1) -> Iterator[Record]:
    """As many data sets as asked for; those that stand in the folder are not made again."""
    kept: Sequence[str] = ()
    path = folder / f"{cell.name.replace(' ', '-')}.jsonl" if folder else None
    if path is not None and path.exists():
        # a line without its end is one that was being written when the command was stopped
        kept = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")][:runs]
    yield from map(Record.read, kept)
    tasks = [(cell, seed) for seed in range(len(kept), runs)]
    if not tasks:
        return
    if path is None:
        yield from (record(*task) for task in tasks)
        return
    path.write_text("".join(kept))
    with path.open("a") as file, Pool(processes) as pool:
        for line in pool.imap(_line, tasks, chunksize=4):
            file.write(line + "\n")
            yield Record.read(line)
