"""The way in: from what is asked for to a folder of results, or to the accuracy page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anymax._core.sentences import first_of, of_path, quoted
from anymax.bench import accuracy, chart, machine, table
from anymax.bench.cases import chosen
from anymax.bench.contenders import RIVALS
from anymax.bench.errors import BenchError
from anymax.bench.results import Results
from anymax.bench.run import Progress, run

RESULTS, TABLE, CHART, ACCURACY = "results.json", "table.txt", "chart.svg", "accuracy.md"
SECONDS, QUICK_SECONDS = 1.0, 0.3


def folder_of(output: Path) -> Path:
    """The folder of this machine."""
    return output / machine.folder_name(machine.described())


def bench(
    folder: Path,
    *,
    ops: Sequence[str] | None = None,
    quick: bool = False,
    seconds: float | None = None,
    rivals: Sequence[str] | None = None,
    progress: Progress = lambda number, row: None,
) -> Results:
    """Check and time the ops, and write results.json as they come, then the table and the chart.

    Args:
        folder: where the files go.
        ops: names of functions; None for all.
        quick: a few cases only.
        seconds: for the rounds of one case, for each number of threads.
        rivals: some of `RIVALS`.
        progress: told of each case that is done.

    Raises:
        BenchError: there is no such op or rival, or the folder cannot be written to.
    """
    cases = chosen(ops, quick)
    for rival in rivals or ():
        if rival not in RIVALS:
            raise BenchError(f"There is no rival {quoted(rival)}: expected some of {', '.join(RIVALS)}.")
    with _writing(folder):
        results = run(
            cases,
            folder / RESULTS,
            seconds=seconds if seconds is not None else QUICK_SECONDS if quick else SECONDS,
            rivals=RIVALS if rivals is None else rivals,
            progress=progress,
        )
        table.write(results, folder / TABLE)
        chart.write(results, folder / CHART)
    return results


def write_accuracy(
    output: Path, ops: Sequence[str] | None = None, progress: Callable[[str], None] = lambda op: None
) -> Path:
    """Measure the errors of the ops, which takes some minutes, and write the page about them.

    `progress` is told of each op that is done.

    Raises:
        BenchError: there is no such op, or the folder cannot be written to.
    """
    chosen_ops = {name: op for name, op in accuracy.OPS.items() if ops is None or name.partition(",")[0] in ops}
    known = list(dict.fromkeys(name.partition(",")[0] for name in accuracy.OPS))
    for op in ops or ():
        if op not in known:
            raise BenchError(f"The errors of {quoted(op)} are not measured: expected {first_of(known, len(known))}.")
    path = output / ACCURACY
    with _writing(output):
        # before the time that it takes
        output.mkdir(parents=True, exist_ok=True)
        lines: list[accuracy.Line] = []
        for name, op in chosen_ops.items():
            lines += accuracy.measured({name: op})
            progress(name)
        accuracy.write(lines, path)
    return path


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BenchError(f"The results cannot be written to {of_path(folder)}: {error.strerror or error}.") from None
