"""What each engine finds in one half, in one form: the codes it reports.

read looks at the source alone, graph at the exported model, watch at a few steps of training, probe at outputs while a
sample changes.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anymax
from tests.dimbugs.driving import Drive
from tests.dimbugs.pairs import Pair

STEPS = 12  # that are watched; a loss that does not fall takes some to be seen
READ_IN_A_PROCESS = "import sys; from anymax.inspect.check.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Sight:
    """The codes an engine reported for a half, or why it had nothing to look at."""

    codes: frozenset[str] = frozenset()
    not_run: str = ""


@dataclass(frozen=True)
class Engine:
    name: str
    look: Callable[[Pair, str], Sight]
    is_there: Callable[[], bool]

    def sight(self, pair: Pair, half: str) -> Sight:
        """What the engine sees; that it stopped is a result, which the score shows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self.look(pair, half)
            except Exception as error:
                reason = str(error).partition("\n")[0]
                return Sight(not_run=f"{type(error).__name__}: {reason}")


def read(pair: Pair, half: str) -> Sight:
    # away from the repository, whose configuration is about its own code
    done = subprocess.run(
        [sys.executable, "-c", READ_IN_A_PROCESS, "--output-format", "json", str(pair.path(half))],
        cwd=tempfile.gettempdir(),
        env={"PYTHONPATH": str(Path(anymax.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr.strip() or f"exit status {done.returncode}")
    return Sight(frozenset(found["code"] for found in json.loads(done.stdout or "[]")))


def graph(pair: Pair, half: str) -> Sight:
    run = _set_up(pair, half)
    if run.model is None:
        return Sight(not_run="no model to trace")
    options = {"loss": run.loss, "target": run.target, "batch_dim": run.batch_dim}
    return _codes(anymax.check_model(run.model, run.example_input, **options).findings)


def watch(pair: Pair, half: str) -> Sight:
    run = _set_up(pair, half)
    if run.step is None:
        return Sight(not_run="no step to watch")
    # a buggy half may stop with an error, before which it has been watched
    with contextlib.suppress(RuntimeError, AttributeError, ValueError), anymax.watch() as seen:
        for _ in range(STEPS):
            run.step()
    return _codes(seen.findings)


def probe(pair: Pair, half: str) -> Sight:
    run = _set_up(pair, half)
    if run.model is None:
        return Sight(not_run="no model to perturb")
    return _codes(anymax.probe(run.model, run.example_input, batch_dim=run.batch_dim).findings)


def _set_up(pair: Pair, half: str) -> Drive:
    return pair.driver().drive(pair.load(half))


def _codes(findings: Iterable[Any]) -> Sight:
    return Sight(frozenset(finding.code for finding in findings))


def _reader_is_there() -> bool:
    return find_spec("anymax.inspect.check") is not None and find_spec("anymax.inspect.check.main") is not None


ALL = (
    Engine("read", read, _reader_is_there),
    Engine("graph", graph, lambda: hasattr(anymax, "check_model")),
    Engine("watch", watch, lambda: hasattr(anymax, "watch")),
    Engine("probe", probe, lambda: hasattr(anymax, "probe")),
)
