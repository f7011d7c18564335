"""The folder of a run: one run at a time, finished trainings stay, and the same command goes on after them.

    results.json, report.html     when a run has ended, and predictions.csv: every answer to every tested item
    trainings/run.json            what was asked, on which data, by which version
    trainings/0/items.npz         what was tested in the first repeat, and what the trivial answer reached
    trainings/0/softmax@0.01.npz  a training that is done: how it went, and its answer to every item tested
    trainings/0/prior@0.01@0.5.npz  the same of a method that has a strength
    trainings/0/trees.npz         the same of a classifier that is no head

Every file appears whole or not at all. The trainings stay, so that a run grows where more repeats are asked for.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import filelock
import numpy as np
import pydantic

from anymax import __version__
from anymax._core.files import write_whole
from anymax._core.sentences import of_path
from anymax.lab.data.dataset import Items
from anymax.lab.errors import ANOTHER_FOLDER, DataError, Option, OptionError
from anymax.lab.measuring.outcomes import Answers
from anymax.lab.results import Comparison, Tested
from anymax.lab.storage import FORMAT, load
from anymax.lab.training.keeper import CommonPart, FinishedFit, FinishedTraining, Writers
from anymax.lab.training.trial import Training
from anymax.lab.training.tuning import Setting

RESULTS, REPORT, PREDICTIONS, TRAININGS = "results.json", "report.html", "predictions.csv", "trainings"
RUN, ITEMS = "run.json", "items.npz"
FACTS = "facts"  # what is no array in a file of arrays, as JSON
GROWING = ("seeds", "within", "baseline")  # options with which a run goes on from one that had others
# More than the results of a long comparison take: a full disk is noticed before training.
ROOM = 1 << 23
OUTPUT = Option("output")
T = TypeVar("T")


@dataclass
class Identity:
    """What has to be the same for a run to go on where another stopped."""

    asked: dict[str, Any]  # but for the options that say how long to go on
    fingerprint: str
    version: str = __version__
    format: int = FORMAT

    def difference(self, other: Identity) -> list[str | Option]:
        """What is different in `other`, as a piece of a message; empty where nothing is."""
        for name in {**self.asked, **other.asked}:
            theirs, ours = other.asked.get(name), self.asked.get(name)
            if theirs != ours:
                return [*_asked(name, theirs), ", and this run has ", *_asked(name, ours)]
        if self.fingerprint != other.fingerprint:
            return ["other data: what was read differs"]
        if (self.version, self.format) != (other.version, other.format):
            return [
                f"anymax {other.version} (format {other.format}), and this is {self.version} (format {self.format})"
            ]
        return []


@dataclass
class _Facts:
    """What is kept of a training beside its answers."""

    training: Training
    tested: Tested


@dataclass
class _FitFacts:
    """What is kept of a classifier that is no head beside its answers."""

    seconds: float
    tested: Tested


class Folder:
    """Use it as a context around the run; what was interrupted in it stays for the next one.

    Args:
        path: the folder; made where it does not exist.
        asked: the options as they were given, which a later run must repeat to go on here, but for those that say how
            long.
        fingerprint: that of the data.

    Raises:
        OptionError: another run works in it, it holds results of other data or options, or it cannot be written.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], fingerprint: str) -> None:
        self.path = path
        self.kept = path / TRAININGS
        self.identity = Identity(_lasting(json.loads(json.dumps(dict(asked)))), fingerprint)
        self.lock = filelock.FileLock(path / ".lock", timeout=0)
        self.made = False

    def __enter__(self) -> Folder:
        try:
            self.made = not self.path.exists()
            if not self.made and not self.path.is_dir():
                raise OptionError(f"{of_path(self.path)} is a file: ", OUTPUT, " names a folder.")
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
        except filelock.Timeout:
            raise OptionError(
                f"Another run is writing to {of_path(self.path)}: name another folder with ", OUTPUT, "."
            ) from None
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            self._check()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        if isinstance(error, OSError):
            raise self._unwritable(error) from None

    @property
    def trainings(self) -> int:
        """How many finished trainings the next run would find."""
        return len(list(self.kept.glob("*/*@*.npz")))

    def part(self, repeat: int) -> CommonPart | None:
        """What was tested in a repeat that has begun."""
        found = self._read(self.kept / str(repeat) / ITEMS, Tested)
        if found is None:
            return None
        baseline, arrays = found
        return CommonPart(Items(**arrays), baseline)

    def keep_part(self, repeat: int, part: CommonPart) -> None:
        """Keep what is tested in a repeat."""
        items = part.items
        self._write(
            self.kept / str(repeat) / ITEMS,
            asdict(part.baseline),
            {"row": items.row, "cluster": items.cluster, "target": items.target},
        )

    def training(self, repeat: int, method: str, setting: Setting) -> FinishedTraining | None:
        """A training that is done."""
        found = self._read(self._place(repeat, method, setting), _Facts)
        if found is None:
            return None
        facts, arrays = found
        return FinishedTraining(facts.training, facts.tested, _answers(arrays))

    def keep_training(self, repeat: int, method: str, finished: FinishedTraining) -> None:
        """Keep a training that is done."""
        self._write(
            self._place(repeat, method, finished.setting),
            asdict(_Facts(finished.training, finished.tested)),
            _arrays(finished.answers),
        )

    def beside(self, repeat: int, name: str) -> FinishedFit | None:
        """The fit of a classifier that is no head."""
        found = self._read(self.kept / str(repeat) / f"{name}.npz", _FitFacts)
        return None if found is None else FinishedFit(found[0].seconds, found[0].tested, _answers(found[1]))

    def keep_beside(self, repeat: int, name: str, finished: FinishedFit) -> None:
        """Keep the fit of a classifier that is no head."""
        facts = asdict(_FitFacts(finished.seconds, finished.tested))
        self._write(self.kept / str(repeat) / f"{name}.npz", facts, _arrays(finished.answers))

    def finish(self, comparison: Comparison, writers: Writers) -> list[Path]:
        """Let each writer write its file, all of them or none."""
        with tempfile.TemporaryDirectory(prefix=".anymax-", dir=self.path) as staging:
            for name, write in writers.items():
                write(comparison, Path(staging, name))
            for name in writers:
                Path(staging, name).replace(self.path / name)
        return [self.path / name for name in writers]

    def _check(self) -> None:
        """Stop where the folder holds another run, or where there is no room."""
        earlier = self._earlier()
        if earlier is not None and (difference := self.identity.difference(earlier)):
            raise OptionError(f"{of_path(self.path)} holds a run with ", *difference, ": ", *ANOTHER_FOLDER)
        try:
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(bytes(ROOM))
        except OSError as error:
            raise self._unwritable(error) from None

    def _earlier(self) -> Identity | None:
        """Whose results the folder holds, finished or not."""
        if (self.path / RESULTS).exists():
            try:
                found = load(self.path / RESULTS)
            except DataError:
                raise self._not_ours() from None
            return Identity(_lasting(found.asked), found.data.fingerprint, found.versions.get("anymax", "?"))
        try:
            return pydantic.TypeAdapter(Identity).validate_json((self.kept / RUN).read_bytes())
        except (OSError, pydantic.ValidationError):
            if (self.path / REPORT).exists() or (self.kept.exists() and any(self.kept.iterdir())):
                raise self._not_ours() from None
        return None

    def _not_ours(self) -> OptionError:
        return OptionError(
            f"{of_path(self.path)} holds files of these names that this version did not write: name another folder "
            "with ",
            OUTPUT,
            ".",
        )

    def _place(self, repeat: int, method: str, setting: Setting) -> Path:
        strength = "" if setting.strength is None else f"@{setting.strength!r}"
        return self.kept / str(repeat) / f"{method}@{setting.learning_rate!r}{strength}.npz"

    def _read(self, path: Path, kind: type[T]) -> tuple[T, dict[str, np.ndarray]] | None:
        """Facts and arrays of a file of ours, or None where there is none or it is damaged: its work is done again."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            return pydantic.TypeAdapter(kind).validate_json(arrays.pop(FACTS).tobytes()), arrays
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def _write(self, path: Path, facts: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        if not (self.kept / RUN).exists():
            write_whole(self.kept / RUN, json.dumps(asdict(self.identity)).encode())
        # in memory first: numpy would leave half a file on a full disk
        buffer = io.BytesIO()
        named = {FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays}
        np.savez(buffer, **named)  # pyright: ignore[reportArgumentType]: a keyword of its own is not among the names
        write_whole(path, buffer.getvalue())

    def _leave(self) -> None:
        """Let others in; an empty folder that this run made goes."""
        self.lock.release()
        if self.made and not self.trainings and not (self.path / RESULTS).exists():
            with suppress(OSError):
                shutil.rmtree(self.kept, ignore_errors=True)
                (self.path / ".lock").unlink(missing_ok=True)
                self.path.rmdir()

    def _unwritable(self, error: OSError) -> OptionError:
        return OptionError(f"The results cannot be written to {of_path(self.path)}: {error.strerror or error}.")


def _arrays(answers: Answers) -> dict[str, np.ndarray]:
    return {"prediction": answers.prediction, **answers.adds}


def _answers(arrays: dict[str, np.ndarray]) -> Answers:
    return Answers(arrays.pop("prediction"), arrays)


def _lasting(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name not in GROWING}


def _asked(name: str, value: Any) -> list[str | Option]:
    return ["no ", Option(name)] if value in (None, [], {}) else [Option(name, value)]
