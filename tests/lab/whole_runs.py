"""Heads whose truth is known, through the whole of `compare` on many data sets: how often each answer comes.

    python -m tests.lab.whole_runs --runs 200 --records build/whole_runs --out docs/how-sure-a-verdict-is.md

Unlike `tests.lab.statistics.simulate`, which looks at the statistics alone, everything takes part here: reading, parts,
the choice of rates, early stopping, the looks. What a data set gave is kept in the folder of records.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from anymax.lab.api import compare
from anymax.lab.training.methods import METHODS
from tests.lab.planted_heads import OwnStart, next_class, planted, straight
from tests.lab.statistics.cells import lines
from tests.lab.statistics.simulate import put
from tests.lab.statistics.trained import Law

LAW = Law(2500)
EPOCHS = 4  # so that a run takes seconds
ENOUGH = 86_400.0  # seconds: the looks end a run, not the clock of a busy machine
LOST = 0.49  # of top-1 accuracy on a row whose answer is moved to the next class: its mean over such rows


@dataclass(frozen=True)
class Case:
    """Heads that are trained alike from starts of their own; softmax, the reference, is worse by so much top-1."""

    name: str
    better_by: float
    heads: tuple[str, ...] = ("planted",)


CASES = (
    Case("three equal heads", 0.0, ("first", "second", "third")),
    Case("better by 0.2 points", 0.002),
    Case("better by 1.4 points", 0.014),
)


@dataclass(frozen=True)
class Answered:
    """What a run said of one head; its size is where the interval of a better or worse one lies against the margin."""

    answer: str
    size: str
    mean: float
    repeats: int


def run(case: Case, seed: int) -> list[Answered]:
    """What `compare` says on the data set of this seed."""
    x, y = LAW.draw(np.random.default_rng(seed))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(LAW.features)]).assign(label=y)
    bend = next_class(case.better_by / LOST) if case.better_by else straight
    heads = {"softmax": planted("softmax", OwnStart, 0, bend)}
    heads |= {name: planted(name, OwnStart, i, straight) for i, name in enumerate(case.heads, start=1)}
    with patch.dict(METHODS, heads):
        comparison = compare(
            frame, target="label", methods=list(heads), epochs=EPOCHS, within=ENOUGH, decide_by="top1", device="cpu"
        )
    assert comparison.verdict is not None
    return [Answered(one.answer, one.size, one.mean, one.repeats) for one in comparison.verdict.differences]


def line(case: Case, seed: int) -> str:
    return json.dumps([asdict(one) for one in run(case, seed)])


def table(found: Sequence[tuple[Case, Sequence[Sequence[Answered]]]]) -> Iterator[str]:
    """How often each answer came, per cent: of all heads, then of data sets, of which any head was that."""
    yield "| heads | data sets | better | worse | equivalent | open | plainly better | better or worse | repeats |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for case, runs in found:
        answers = Counter(one.answer for answered in runs for one in answered)
        shares = [answers[answer] / answers.total() for answer in ("better", "worse", "equivalent", "open")]
        shares.append(_any(runs, lambda one: one.answer == "better" and one.size == "beyond"))
        shares.append(_any(runs, lambda one: one.answer in ("better", "worse")))
        repeats = np.median([answered[0].repeats for answered in runs])
        row = (case.name, str(len(runs)), *(f"{100 * share:.1f}" for share in shares), f"{repeats:.0f}")
        yield f"| {' | '.join(row)} |"


def _any(runs: Sequence[Sequence[Answered]], which: Callable[[Answered], bool]) -> float:
    return float(np.mean([any(map(which, answered)) for answered in runs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="data sets a case (default: 200)")
    parser.add_argument("--records", type=Path, default=Path("build/whole_runs"), help="folder of what is done")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="the page to put the table into; printed where it is left out")
    args = parser.parse_args()
    args.records.mkdir(parents=True, exist_ok=True)
    found = []
    for case in CASES:
        path = args.records / f"{case.name.replace(' ', '-')}.jsonl"
        kept = lines(partial(line, case), args.runs, path, args.processes)
        found.append((case, [[Answered(**one) for one in json.loads(each)] for each in kept]))
    put("\n".join(table(found)), args.out, "whole runs")


if __name__ == "__main__":
    main()
