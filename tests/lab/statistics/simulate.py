"""How often intervals cover and answers are false, over simulated data sets: the tables of how-sure-a-verdict-is.md.

    python -m tests.lab.statistics.simulate --runs 1000 --records build/simulated --out docs/how-sure-a-verdict-is.md

What a data set gave is kept in the folder of records, so a command that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy import stats

from anymax.lab.statistics.counts import too_few
from anymax.lab.statistics.decisions import LEVEL, LOOKS, decide, further_repeats, share
from anymax.lab.statistics.twoway import Estimate, Spread
from tests.lab.statistics import cells
from tests.lab.statistics.cells import Cell, Found, Record
from tests.lab.statistics.trained import FOLDS

MARGINS = {"top1": 0.01, "nll": 0.01, "average_precision": 0.01}
TITLES = {"top1": "accuracy", "nll": "NLL", "macro_f1": "macro-F1", "average_precision": "average precision"}

Runs = Callable[[Cell], Sequence[Record]]


def truth(cell: Cell, records: Sequence[Record], measure: str) -> float:
    """The mean difference over data sets, from the most repeats of each."""
    if cell.family in cells.EQUAL:
        return 0.0
    return float(np.mean([record.found[measure][cell.looks[-1]][0].spread.mean for record in records]))


def corrected(found: Found) -> float:
    """Half the width of the interval of the corrected resampled t.

    Source: C. Nadeau and Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003.
    """
    repeats = found.spread.repeats
    error = found.deviation * math.sqrt(1 / repeats + 1 / (FOLDS - 1))
    return float(stats.t.ppf(1 - LEVEL / 2, repeats - 1)) * error


def covered(records: Sequence[Record], measure: str, look: int, truth: float) -> np.ndarray:
    """Of each data set, whether the nominal interval of its first method covers the truth."""
    estimates = [record.found[measure][look][0].spread.estimate() for record in records]
    return np.array([abs(one.mean - truth) <= one.half_width(LEVEL) for one in estimates])


def widths(records: Sequence[Record], measure: str, look: int) -> tuple[float, float]:
    """The median half-width of ours, and of the narrowest that could cover, in units of the corrected t's.

    The narrowest is that of whoever knows how much the difference varies over data sets.
    """
    found = [record.found[measure][look][0] for record in records]
    unit = float(np.median([corrected(one) for one in found]))
    ours = float(np.median([one.spread.estimate().half_width(LEVEL) for one in found]))
    deviation = float(np.std([one.spread.mean for one in found]))
    return ours / unit, float(stats.norm.ppf(1 - LEVEL / 2)) * deviation / unit


def enough(cell: Cell, records: Sequence[Record], measure: str) -> list[Record]:
    """Those whose answer does not stay open for too little that was counted."""
    even = cell.law.even
    return [one for one in records if too_few(measure, rarest=one.rarest, even=even, wrong=one.wrong) is None]


def coverage_table(cells_: Sequence[Cell], runs: Runs) -> Iterator[str]:
    yield "| data sets | heads | measure | counted enough | covers | half-width | narrowest |"
    yield "|---|---|---|---|---|---|---|"
    for cell in cells_:
        records = runs(cell)
        for measure in cell.measures:
            kept = enough(cell, records, measure)
            real = truth(cell, records, measure)
            of_looks = [widths(records, measure, look) for look in cell.looks]
            row = (
                _of(cell, len(records)),
                cell.family,
                TITLES[measure],
                _per_cent([len(kept) / len(records)]),
                # of a few that are kept nothing can be said
                _per_cent([covered(kept, measure, look, real).mean() for look in cell.looks])
                if len(kept) >= len(records) / 2
                else f"({_per_cent([covered(records, measure, look, real).mean() for look in cell.looks])})",
                _ratios(ours for ours, _ in of_looks),
                _ratios(narrowest for _, narrowest in of_looks),
            )
            yield f"| {' | '.join(row)} |"


def called_different(records: Sequence[Record], measure: str, *, level: float | None = None) -> float:
    """The share of data sets in which some method is called better or worse at some look."""
    heads = range(len(records[0].found[measure][LOOKS[0]]))
    return float(
        np.mean(
            [
                any(
                    decision.answer in ("better", "worse")
                    for look in LOOKS
                    for decision in decide(
                        {str(head): record.found[measure][look][head].spread.estimate() for head in heads},
                        margin=0.0,
                        higher_is_better=True,
                        level=share(look) if level is None else level,
                    ).values()
                )
                for record in records
            ]
        )
    )


def equivalent(estimate: Estimate, margin: float, level: float = LEVEL) -> bool:
    """Two one-sided tests, each at the level."""
    return abs(estimate.mean) + estimate.half_width(2 * level) < margin


def planned_table(cells_: Sequence[Cell], runs: Runs) -> Iterator[str]:
    yield (
        "| data sets | heads | measure | false better or worse | the same with 5 % at every look | "
        "equivalent after 20 repeats | the same at the look's share | equivalent by 20 repeats |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for cell in cells_:
        records = runs(cell)
        for measure in cell.measures:
            margin = MARGINS[measure]
            at_20 = [one.spread.estimate() for record in records for one in record.found[measure][20]]
            by_20 = [
                any(equivalent(record.found[measure][look][0].spread.estimate(), margin) for look in (5, 10, 20))
                for record in records
            ]
            row = (
                _of(cell, len(records)),
                cell.family,
                TITLES[measure],
                _per_cent([called_different(records, measure)]),
                _per_cent([called_different(records, measure, level=LEVEL)]),
                _per_cent([np.mean([equivalent(one, margin) for one in at_20])]),
                _per_cent([np.mean([equivalent(one, margin, share(20)) for one in at_20])]),
                _per_cent([np.mean(by_20)]),
            )
            yield f"| {' | '.join(row)} |"


def at_the_margin(cell: Cell, records: Sequence[Record], measure: str) -> tuple[float, np.ndarray]:
    """A margin as large as the true difference, and whether each data set is called equivalent at each look.

    Equal methods are moved by the margin: as if one was better by so much in every row.
    """
    real = truth(cell, records, measure)
    margin, moved = (abs(real), 0.0) if real else (MARGINS[measure], MARGINS[measure])
    called = [
        [
            equivalent(replace(one, mean=one.mean + moved), margin)
            for one in (record.found[measure][look][0].spread.estimate() for look in cell.looks)
        ]
        for record in records
    ]
    return margin, np.array(called)


def margin_table(cells_: Sequence[Cell], runs: Runs) -> Iterator[str]:
    yield "| data sets | heads | measure | margin | equivalent at each look | at any look | better or worse |"
    yield "|---|---|---|---|---|---|---|"
    for cell in cells_:
        records = runs(cell)
        for measure in cell.measures:
            margin, called = at_the_margin(cell, records, measure)
            row = (
                _of(cell, len(records)),
                cell.family,
                TITLES[measure],
                f"{margin:.4f}",
                _per_cent(called.mean(0)),
                _per_cent([called.any(1).mean()]),
                "" if cell.family in cells.EQUAL else _per_cent([called_different(records, measure)]),
            )
            yield f"| {' | '.join(row)} |"


def decided_at(spreads: dict[int, Spread], margin: float, methods: int) -> int | None:
    """The first look with a difference, in Holm's first step, or with equivalence."""
    for look, spread in spreads.items():
        estimate = spread.estimate()
        if estimate.p_value() < share(look) / methods or equivalent(estimate, margin):
            return look
    return None


def forecast_table(cells_: Sequence[Cell], runs: Runs, methods: int = 3) -> Iterator[str]:
    yield "| data sets | heads | measure | after | open | right | a look too early or late | none, wrongly | in vain |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for cell in cells_:
        records = runs(cell)
        for measure in cell.measures:
            margin = MARGINS[measure]
            for now in (5, 10, 20):
                pairs = []
                for record in records:
                    spreads = {look: heads[0].spread for look, heads in record.found[measure].items()}
                    came = decided_at(spreads, margin, methods)
                    if came is None or came > now:
                        more = further_repeats(spreads[now], margin=margin, methods=methods)
                        pairs.append((None if more is None else now + more, came))
                row = (_of(cell, len(records)), cell.family, TITLES[measure], str(now), str(len(pairs)))
                yield f"| {' | '.join((*row, *(_per_cent([one]) for one in _of_forecasts(pairs))))} |"


def _of_forecasts(pairs: Sequence[tuple[int | None, int | None]]) -> list[float]:
    """The shares of what was said and what came: the same, another look, none and it came, a look and it never came."""
    kinds = [
        (
            said == came,
            None not in (said, came) and said != came,
            said is None and came is not None,
            came is None and said,
        )
        for said, came in pairs
    ]
    return [float(np.mean([bool(kind[i]) for kind in kinds])) if kinds else math.nan for i in range(4)]


def bootstrap_table(cells_: Sequence[Cell], runs: Runs) -> Iterator[str]:
    yield "| data sets | heads | measure | influence covers | bootstrap covers | bootstrap's half-width in ours |"
    yield "|---|---|---|---|---|---|"
    for cell in cells_:
        records = runs(cell)
        for measure in cell.measures:
            real = truth(cell, records, measure)
            shares, ratios = [], []
            for look in cell.looks:
                found = [record.found[measure][look][0] for record in records]
                half = stats.norm.ppf(1 - LEVEL / 2) * np.array([one.resampled for one in found])
                shares.append(np.mean(np.abs([one.spread.mean - real for one in found]) <= half))
                ratios.append(np.median(half) / np.median([one.spread.estimate().half_width(LEVEL) for one in found]))
            row = (
                _of(cell, len(records)),
                cell.family,
                TITLES[measure],
                _per_cent([covered(records, measure, look, real).mean() for look in cell.looks]),
                _per_cent(shares),
                _ratios(ratios),
            )
            yield f"| {' | '.join(row)} |"


def _of(cell: Cell, runs: int) -> str:
    balance = f", 1:{1 / cell.law.rare:.0f}" if cell.law.rare else ""
    apart = f", {cell.law.apart:g} apart" if cell.law.apart is not None else ""
    labels = f", {' '.join(f'{100 * share:g}' for share in cell.law.labels)} %" if cell.law.labels else ""
    return f"{runs:,} of {cell.law.rows:,} rows{balance}{apart}{labels}"


def _per_cent(shares: Iterable[float | np.floating]) -> str:
    return " ".join("-" if math.isnan(one) else f"{100 * one:.1f}" for one in shares)


def _ratios(ratios: Iterable[float | np.floating]) -> str:
    return " ".join(f"{one:.2f}" for one in ratios)


def report(runs: Runs, chosen: Callable[[Cell], bool], command: str) -> str:
    """All tables of the chosen cells, and how they came about."""
    started = time.monotonic()
    tables = (
        ("Coverage, balanced", coverage_table, cells.BALANCED),
        (
            "Coverage where a class is rare, or few answers are wrong",
            coverage_table,
            (*cells.RARE, *cells.LESS_RARE, *cells.FEW_WRONG),
        ),
        ("Coverage where a row may have several labels", coverage_table, cells.LABELS),
        ("Three methods equal to the reference", planned_table, (*cells.EQUAL_METHODS, *cells.EQUAL_ON_LABELS)),
        ("A difference exactly as large as the margin", margin_table, (*cells.EQUAL_METHODS, *cells.UNEQUAL)),
        ("How many more repeats would decide", forecast_table, (*cells.EQUAL_METHODS, *cells.UNEQUAL)),
        ("Influence or bootstrap", bootstrap_table, cells.RESAMPLED),
    )
    parts = []
    for title, table, of_table in tables:
        there = [cell for cell in of_table if chosen(cell)]
        if there:
            parts.append("\n".join((f"### {title}", "", *table(there, runs))))
    minutes = (time.monotonic() - started) / 60
    made = (
        f"`{command}` on {platform.machine()} with {os.cpu_count()} cores, {minutes:.0f} minutes for what was not "
        f"there already; Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"scikit-learn {sklearn.__version__}."
    )
    return "\n\n".join((*parts, made))


def put(tables: str, path: Path | None, name: str) -> None:
    """The tables into the page, between the two marks of this name; printed where there is no page."""
    if path is None:
        print(tables)
        return
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = path.read_text()
    between = re.compile(f"(?<={re.escape(begin)}\n).*(?={re.escape(end)})", re.DOTALL)
    if not between.search(page):
        raise SystemExit(f"{path} has no lines '{begin}' and '{end}' for the tables to stand between")
    path.write_text(between.sub(lambda _: f"\n{tables}\n\n", page))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000, help="data sets a cell (default: 1000)")
    parser.add_argument("--cells", default="", help="only those with this in their name, such as 'nets 500'")
    parser.add_argument("--records", type=Path, default=Path("build/simulated"), help="folder of what is done")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="the page to put the tables into; printed where it is left out")
    args = parser.parse_args(arguments)
    args.records.mkdir(parents=True, exist_ok=True)
    kept: dict[str, list[Record]] = {}

    def runs(cell: Cell) -> Sequence[Record]:
        if cell.name not in kept:
            kept[cell.name] = []
            for record in cells.records(cell, args.runs, folder=args.records, processes=args.processes):
                kept[cell.name].append(record)
                print(f"\r{cell.name}: {len(kept[cell.name]):,} of {args.runs:,}", end="", file=sys.stderr, flush=True)
            print(file=sys.stderr)
        return kept[cell.name]

    command = f"python -m tests.lab.statistics.simulate --runs {args.runs}"
    tables = report(runs, lambda cell: args.cells in cell.name, command)
    put(tables, args.out, "simulated")


if __name__ == "__main__":
    main()
