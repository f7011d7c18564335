"""What a head gains by a rate that was chosen on rows that later test it: beside a choice that never saw them.

    python -m tests.lab.nested_tuning wine breast-cancer digits

`compare` chooses a setting once, by the validation parts of the first five repeats, whose rows are test rows of other
repeats. Here the whole choice is made again for each test part, by five repeats of the rows that it leaves (nested
cross-validation), and the answers of the same trainings are counted at one choice and at the other. Prints the table of
docs/how-sure-a-verdict-is.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np

from anymax.lab.data.load import load
from anymax.lab.data.splits import FOLDS
from anymax.lab.data.table import TableDataset
from anymax.lab.options import ReadOptions, TrainOptions
from anymax.lab.training import beside
from anymax.lab.training.keeper import Memory
from anymax.lab.training.run import run
from anymax.lab.training.tuning import Setting

REFERENCE = "softmax"


@dataclass(frozen=True)
class Leak:
    """The deciding measure of one head on the test parts, by repeat, at either choice."""

    method: str
    measure: str
    once: np.ndarray
    nested: np.ndarray
    agreed: int  # repeats in which both chose the same


def leaks(dataset: TableDataset, options: TrainOptions) -> list[Leak]:
    """Both choices for each head."""
    with patch.object(beside, "CLASSIFIERS", ()):
        trained = Memory()
        comparison = run(dataset, options, keeper=trained)
        inner = [run(_without(dataset, dataset.rows(repeat)[2]), options) for repeat in range(FOLDS)]
    key = comparison.decide_by

    def reached(name: str, settings: Sequence[Setting]) -> np.ndarray:
        found = (trained.finished[repeat, name, setting] for repeat, setting in enumerate(settings))
        return np.array([each.tested.measures[key] for each in found], dtype=float)

    of_heads = []
    for method in comparison.methods:
        once = [Setting(trial.learning_rate, trial.strength) for trial in comparison.of(method.name)]
        nested = [Setting(one.of(method.name)[0].learning_rate, one.of(method.name)[0].strength) for one in inner]
        of_heads.append(
            Leak(method.name, key, reached(method.name, once), reached(method.name, nested), _equal(once, nested))
        )
    return of_heads


def _equal(left: Sequence[Setting], right: Sequence[Setting]) -> int:
    return sum(map(Setting.__eq__, left, right))


def _without(dataset: TableDataset, rows: np.ndarray) -> TableDataset:
    """The same table without these rows."""
    kept = np.setdiff1d(np.arange(len(dataset.classes)), rows)
    tables = {name: getattr(dataset, name) for name in ("numbers", "categories", "texts")}
    frames = {name: table.iloc[kept] for name, table in tables.items() if table.shape[1]}
    return replace(dataset, **frames, classes=dataset.classes[kept], given=None, numbered=None, notes=[])


def table(found: Sequence[tuple[str, Sequence[Leak]]]) -> Iterator[str]:
    yield "| data | head | measure | chosen once | chosen nested | once minus nested | the same choice |"
    yield "|---|---|---|---|---|---|---|"
    for name, of_heads in found:
        for leak in of_heads:
            once, nested = leak.once.mean(), leak.nested.mean()
            row = (name, leak.method, leak.measure, f"{once:.4f}", f"{nested:.4f}", f"{once - nested:+.4f}")
            yield f"| {' | '.join(row)} | {leak.agreed} of {len(leak.once)} |"


def main(names: Sequence[str]) -> None:
    options = TrainOptions(repeats=FOLDS)
    found = []
    for name in names:
        path, _, target = name.partition(":")
        dataset = load(path, ReadOptions(target=target or None))
        assert isinstance(dataset, TableDataset)
        found.append((dataset.name, leaks(dataset, options)))
        print(f"{name} is done", file=sys.stderr)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
