"""Simulated comparisons: a cell is a law and its classifiers, a record what one data set of it gave at every look."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from anymax.lab.statistics.decisions import LOOKS
from anymax.lab.statistics.twoway import Gains, Spread, spread
from tests.lab.statistics.bootstrap import deviation
from tests.lab.statistics.trained import (
    Law,
    Trainer,
    counts,
    drawn,
    logistic,
    nearest_mean,
    one_vs_rest,
    outcomes,
    ridge,
    until,
)

MEASURES = ("top1", "nll", "macro_f1", "average_precision")
# the first is the reference
FAMILIES: dict[str, tuple[Trainer, ...]] = {
    "logistic": (logistic(1.0), logistic(30.0)),
    "nearest mean": (nearest_mean, ridge(None)),
    "nets": (ridge(40), ridge(40)),
    "nets of two sizes": (ridge(40), ridge(24)),
    "four equal nets": (ridge(40),) * 4,
}
EQUAL = ("nets", "four equal nets", "drawn")  # the truth is 0
# of labels
LABEL_FAMILIES = {
    **{family: tuple(map(one_vs_rest, trainers)) for family, trainers in FAMILIES.items()},
    "drawn": (drawn(0.5), drawn(0.5)),
    "drawn of two kinds": (drawn(0.4), drawn(0.6)),
}


@dataclass(frozen=True)
class Cell:
    """A law, the classifiers that are compared on it, and the repeats after which one looks.

    Args:
        resampled: whether the two-way bootstrap is taken too.
    """

    family: str
    law: Law
    looks: tuple[int, ...] = (5, 10, 20)
    measures: tuple[str, ...] = MEASURES
    resampled: bool = False

    @property
    def name(self) -> str:
        balance = f" 1-{1 / self.law.rare:.0f}" if self.law.rare else ""
        apart = f" apart {self.law.apart:g}" if self.law.apart is not None else ""
        labels = f" labels {'-'.join(f'{100 * share:g}' for share in self.law.labels)}" if self.law.labels else ""
        resampled = " resampled" if self.resampled else ""
        return f"{self.family} {self.law.rows}{balance}{apart}{labels}{resampled} to {self.looks[-1]}"


HEADS = ("logistic", "nearest mean", "nets")
BALANCED = tuple(Cell(family, Law(rows)) for rows in (144, 500, 2500, 5000) for family in HEADS)
RARE = tuple(Cell(family, Law(rows, rare=0.02)) for rows in (500, 1000, 2500, 5000) for family in HEADS)
LESS_RARE = tuple(Cell(family, Law(rows, rare=0.1)) for rows in (500, 1000, 2500, 5000) for family in HEADS)
FEW_WRONG = tuple(Cell(family, Law(500, apart=apart)) for apart in (2.5, 3.0, 3.5, 4.0) for family in HEADS)
PLANNED = {"looks": LOOKS, "measures": ("top1", "nll")}
EQUAL_METHODS = tuple(Cell("four equal nets", law, **PLANNED) for law in (Law(500), Law(2500), Law(2500, apart=1.5)))
UNEQUAL = tuple(Cell(family, Law(2500), **PLANNED) for family in ("logistic", "nearest mean", "nets of two sizes"))
RESAMPLED = tuple(
    Cell(family, law, looks=(5, 10), measures=("macro_f1", "average_precision"), resampled=True)
    for law in (Law(500), Law(500, rare=0.02), Law(2500, rare=0.02))
    for family in ("nets", "logistic")
)
# a label in a hundred rows beside frequent ones, one that is enough by the rule, and none that is frequent
LABELS = tuple(
    Cell(family, Law.of_labels(rows, *shares), measures=("average_precision",))
    for rows, shares in (
        (500, (0.3, 0.3, 0.3)),
        (2500, (0.3, 0.3, 0.3)),
        (2500, (0.3, 0.3, 0.01)),
        (2500, (0.3, 0.3, 0.06)),
        (2500, (0.01, 0.01, 0.01)),
    )
    for family in (*HEADS, "drawn", "drawn of two kinds")
)
EQUAL_ON_LABELS = tuple(
    Cell("four equal nets", Law.of_labels(rows, *shares), looks=LOOKS, measures=("average_precision",))
    for rows, shares in ((500, (0.3, 0.3, 0.3)), (2500, (0.3, 0.3, 0.06)))
)


@dataclass(frozen=True)
class Found:
    """One difference at one look.

    Args:
        deviation: of the repeats' differences, for the corrected t.
        resampled: the error by the two-way bootstrap, where it was taken.
    """

    spread: Spread
    deviation: float
    resampled: float | None = None


@dataclass(frozen=True)
class Record:
    """One data set: rows of the rarest class or label, wrong rows, and by measure and look what each head gave."""

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
                int(look): [Found(**{**one, "spread": Spread(**one["spread"])}) for one in heads]
                for look, heads in looks.items()
            }
            for measure, looks in raw["found"].items()
        }
        return Record(raw["rarest"], raw["wrong"], found)


def record(cell: Cell, seed: int) -> Record:
    """What the data set of this seed gives."""
    random = np.random.default_rng(seed)
    families = LABEL_FAMILIES if cell.law.labels else FAMILIES
    given = outcomes(random, cell.law, families[cell.family], repeats=cell.looks[-1])
    _, first = np.unique(given.row, return_index=True)
    found: dict[str, dict[int, list[Found]]] = {}
    for measure in cell.measures:
        of_heads = given.gains(measure)
        found[measure] = {look: [_found(until(gains, look)) for gains in of_heads] for look in cell.looks}
        if cell.resampled:
            for look, heads in found[measure].items():
                heads[0] = replace(heads[0], resampled=deviation(random, given, measure, look))
    rarest = int(counts(given.target[first], cell.law.classes).min())
    return Record(rarest, given.wrong(), found)


def _found(gains: Gains) -> Found:
    differences = np.bincount(gains.repeat, gains.gain) / np.bincount(gains.repeat)
    return Found(spread(gains), float(differences.std(ddof=1)))


def _line(cell: Cell, seed: int) -> str:
    return record(cell, seed).line()


def records(cell: Cell, runs: int, *, folder: Path | None = None, processes: int = 1) -> Iterator[Record]:
    """As many data sets as asked for; those that stand in the folder are not made again."""
    if folder is None:
        return (record(cell, seed) for seed in range(runs))
    path = folder / f"{cell.name.replace(' ', '-')}.jsonl"
    return map(Record.read, lines(partial(_line, cell), runs, path, processes))


def lines(make: Callable[[int], str], runs: int, path: Path, processes: int) -> Iterator[str]:
    """What `make` gives of each seed, in a file that keeps it: what stands there is not made again."""
    # a line without its end is one that was being written when the command was stopped
    kept = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []
    yield from kept[:runs]
    if len(kept) >= runs:
        return
    path.write_text("".join(kept))
    # a process each: more threads than that would only wait for one another
    with path.open("a") as file, Pool(processes, _one_thread) as pool:
        for line in pool.imap(make, range(len(kept), runs)):
            file.write(line + "\n")
            file.flush()
            yield line


def _one_thread() -> None:
    threadpool_limits(1)
    torch.set_num_threads(1)
