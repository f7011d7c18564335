"""A whole run: what is measured by which process, and results.json, which is written after every finding."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from anymax.bench import machine
from anymax.bench.cases import Case
from anymax.bench.contenders import RIVALS, TORCH
from anymax.bench.results import FRESH, REUSED, Column, Results, Row, save
from anymax.bench.worker import INTERRUPTED, Request

COMMAND = (sys.executable, "-m", "anymax.bench.worker")
# glibc's: no result has pages of its own and none are given back; or every large one has, each time
ALLOCATING = {
    REUSED: {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "99999999999"},
    FRESH: {"MALLOC_MMAP_THRESHOLD_": "131072"},
}

Progress = Callable[[int, Row], None]


def run(
    cases: Sequence[Case],
    path: Path,
    *,
    seconds: float,
    rivals: Sequence[str] = RIVALS,
    progress: Progress = lambda number, row: None,
) -> Results:
    """Measure the cases one after the other.

    Args:
        cases: what is measured.
        path: of results.json, which holds at any time what has been found.
        seconds: for all rounds of one case, for each number of threads.
        rivals: who is measured beside anymax.
        progress: told of each row that is done with the first process, which measures most.
    """
    results = Results(
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        machine=machine.described(),
        versions=machine.versions(),
        options={"seconds": seconds, "rivals": list(rivals)},
        load_before=machine.load(),
        rows=[Row(case) for case in cases],
    )
    save(results, path)
    threads = [1, 2] if machine.cores() > 1 else [1]
    for memory in (REUSED, FRESH):
        rows = [number for number, row in enumerate(results.rows) if row.wrong is None]
        beside = list(rivals) if memory == REUSED else [TORCH] if TORCH in rivals else []
        request = Request(
            [(number, results.rows[number].case) for number in rows],
            memory,
            threads if memory == REUSED else [1],
            seconds if memory == REUSED else seconds / 2,
            beside,
        )
        for finding in _findings(request):
            _take(finding, results)
            save(results, path)
            if memory == REUSED and "end" in finding:
                progress(finding["row"] + 1, results.rows[finding["row"]])
    results.finished = True
    save(results, path)
    return results


def _take(finding: dict[str, Any], results: Results) -> None:
    if absent := finding.get("absent"):
        if absent not in results.absent:
            results.absent.append(absent)
        return
    row = results.rows[finding["row"]]
    if wrong := finding.get("wrong"):
        row.wrong = wrong
    elif note := finding.get("note"):
        if note not in row.notes:
            row.notes.append(note)
    elif column := finding.get("column"):
        row.columns.append(Column(**column))
    elif peaks := finding.get("peak_bytes"):
        row.peak_bytes = peaks


def _findings(request: Request) -> Iterator[dict[str, Any]]:
    """Those of a process; where it dies within a case, that case is wrong and another process goes on behind it."""
    left = request.cases
    while left:
        begun = None
        for finding in _findings_of_process(replace(request, cases=left)):
            begun = finding.get("row", begun)
            if "died" not in finding:
                yield finding
            elif begun is None:
                raise RuntimeError(f"The process that measures ended with status {finding['died']} before it began.")
            else:
                yield {"row": begun, "wrong": f"the process ended with status {finding['died']}"}
                yield {"row": begun, "end": True}
        left = [(row, case) for row, case in left if begun is not None and row > begun]


def _findings_of_process(request: Request) -> Iterator[dict[str, Any]]:
    # what is installed is measured, not a clone without kernels in which the command was given (Python 3.11 on)
    environment = os.environ | ALLOCATING[request.memory] | {"PYTHONSAFEPATH": "1"}
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # a process that dies at its start reads nothing; its status says so
            with suppress(BrokenPipeError):
                process.stdin.write(request.as_json())
                process.stdin.close()
            for line in process.stdout:
                yield json.loads(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if process.returncode != 0:
        yield {"died": process.returncode}
