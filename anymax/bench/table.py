"""The results as a table in the terminal, and as the same table in a file."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from anymax._core.files import write_whole
from anymax._core.sentences import printable
from anymax.bench.contenders import COMPILE, JAX, OURS, TORCH
from anymax.bench.problems import FLOORS
from anymax.bench.results import FRESH, REUSED, Column, Results, Row

WIDTH = 120
UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
EXPLANATION = (
    "Float32 unless said. Time of one call of anymax, and that time as a multiple of a copy of the same bytes "
    "(`y.copy_(x)`, or for a head its three matrix products) and of each rival; below 1 anymax is faster. Medians of "
    "rounds in which all take turns. 'fresh': one thread, every result in fresh pages of the system; otherwise pages "
    "are used again. 'peak': the most bytes of tensors that live at once, anymax's and over torch's."
)


def show(results: Results, console: Console | None = None) -> None:
    console = console or Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(_page(results))


def follow(number: int, row: Row) -> None:
    """Say on standard error that a case is done, and how it came out."""
    times = row.column(REUSED, 1)
    found = [f"{_ratio(ratio)} x {name}" for name, ratio in times.ratios.items()] if times else []
    said = f"WRONG: {row.wrong}" if row.wrong else ", ".join(found)
    print(printable(f"{number:3} {row.case}: {said}"), file=sys.stderr, flush=True)


def write(results: Results, path: Path) -> None:
    """What `show` prints, as a file."""
    text = io.StringIO()
    show(results, Console(file=text, highlight=False, markup=False, emoji=False))
    write_whole(path, "\n".join(line.rstrip() for line in text.getvalue().splitlines()).encode() + b"\n")


def _page(results: Results) -> Group:
    machine, versions = results.machine, results.versions
    head = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['instruction_set'] or 'no kernels'}; "
        f"anymax {versions.get('anymax')}, torch {versions.get('torch')} ({machine['instruction_set_of_torch']}); "
        f"{results.date[:10]}, load {results.load_before} before"
    )
    remarks = [*results.absent, *(f"{row.case}: {note}." for row in results.rows for note in row.notes)]
    remarks += [f"WRONG, not timed: {row.case}: {row.wrong}." for row in results.rows if row.wrong]
    return Group(
        Text(head, style="bold"), Text(EXPLANATION), *_tables(results), *(Text(printable(one)) for one in remarks)
    )


def _tables(results: Results) -> Iterator[Table]:
    with_jax = any(JAX in column.ratios for row in results.rows for column in row.columns)
    for threads in (1, 2):
        rivals = [TORCH, COMPILE, *([JAX] if with_jax and threads == 1 else [])]
        timed = [(row, column) for row in results.rows if (column := row.column(REUSED, threads))]
        if timed:
            table = _empty(f"{threads} thread{'s' * (threads > 1)}", rivals)
            for row, column in timed:
                table.add_row(row.case.name, row.case.work, *_cells(column, rivals))
            yield table
    weighed = [row for row in results.rows if row.peak_bytes]
    if weighed:
        table = _empty("fresh", [TORCH], "peak", "x torch")
        for row in weighed:
            table.add_row(row.case.name, row.case.work, *_cells(row.column(FRESH, 1), [TORCH]), *_peak(row))
        yield table


def _empty(*titles: str | list[str]) -> Table:
    """A table of cases; a list of rivals stands for a column of each, behind that of the floor."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("case", no_wrap=True)
    table.add_column("work", no_wrap=True)
    for title in titles:
        rivals = [] if isinstance(title, str) else ["copy", *title]
        for column in [title] if isinstance(title, str) else [f"x {one.removeprefix('torch.')}" for one in rivals]:
            table.add_column(column, justify="right", no_wrap=True)
    return table


def _cells(column: Column | None, rivals: list[str]) -> list[str]:
    if column is None:
        return [""] * (2 + len(rivals))
    return [
        time_of(column.seconds[OURS]),
        _ratio(floor_of(column)),
        *(_ratio(column.ratios.get(one)) for one in rivals),
    ]


def floor_of(column: Column) -> float | None:
    """The ratio to what is nobody's rival, the copy or the products."""
    return next((ratio for name, ratio in column.ratios.items() if name in FLOORS), None)


def _ratio(ratio: float | None) -> str:
    if ratio is not None and ratio < 0.1:
        return f"{ratio:.1g}"
    return "" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def time_of(seconds: float) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if seconds >= size), UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def _peak(row: Row) -> list[str]:
    if OURS not in row.peak_bytes:
        return ["", ""]
    ours, theirs = row.peak_bytes[OURS], row.peak_bytes.get(TORCH)
    return [_bytes(ours), _ratio(ours / theirs) if theirs else ""]


def _bytes(count: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 100 * size else f"{count / size:.0f} {unit}"
    return f"{count} B"
