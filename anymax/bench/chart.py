"""The chart of a run: the time of each case as a multiple of a copy, one thread, pages that are used again."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from anymax._core.files import write_whole
from anymax.bench.cases import RECORDED
from anymax.bench.contenders import COMPILE, JAX, OURS, TORCH
from anymax.bench.problems import FLOORS
from anymax.bench.results import REUSED, Column, Results

# Okabe and Ito's, as in the reports of `anymax compare`; the marker differs too.
LOOKS = {
    TORCH: ("#000000", "s"),
    COMPILE: ("#E69F00", "^"),
    JAX: ("#CC79A7", "D"),
    OURS: ("#0072B2", "o"),
}
WIDTH, ROW, MARGIN = 8.0, 0.21, 1.3  # inches


def write(results: Results, path: Path) -> None:
    """Write the chart as SVG; no file where no case has a copy or products beside it."""
    lines = [
        (f"{row.case.name}, {row.case.work}", _multiples(column))
        for row in results.rows
        if not row.case.is_small and row.case.work != RECORDED and (column := row.column(REUSED, 1)) and _floor(column)
    ]
    if not lines:
        return
    figure = Figure(figsize=(WIDTH, MARGIN + ROW * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    for name, (colour, marker) in LOOKS.items():
        points = [(multiples[name], place) for place, (_, multiples) in enumerate(lines) if name in multiples]
        if points:
            axes.scatter(*zip(*points, strict=True), s=26, color=colour, marker=marker, label=name, zorder=3)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines], fontsize=7.5)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvline(1, color="#888888", linewidth=1)
    axes.set_xlabel("time, as a multiple of a copy of the scores\n(for linear_cross_entropy of its three products)")
    machine = results.machine
    axes.set_title(
        f"float32 unless said, one thread, {machine['processor']} ({machine['instruction_set'] or 'no kernels'})\n"
        f"torch {results.versions.get('torch')}",
        fontsize=9,
    )
    figure.legend(loc="outside lower center", ncols=len(LOOKS), frameon=False)
    picture = io.BytesIO()
    # the same results give the same bytes
    with matplotlib.rc_context({"svg.hashsalt": "anymax", "svg.fonttype": "none"}):
        figure.savefig(picture, format="svg", metadata={"Date": None})
    write_whole(path, picture.getvalue())


def _floor(column: Column) -> float | None:
    return next((column.seconds[name] for name in FLOORS if name in column.seconds), None)


def _multiples(column: Column) -> dict[str, float]:
    floor = _floor(column)
    return {name: seconds / floor for name, seconds in column.seconds.items() if floor}
