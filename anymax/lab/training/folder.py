"""The folder of a run: one run at a time, finished trainings stay, and the same command goes on after them.

    results.json, report.html     when all is done
    unfinished/run.json           what was asked, on which data, by which version, how many repeats
    unfinished/repeat-0.json      the trials of a repeat that is done
    unfinished/repeat-1/          the repeat in work: a .json per training, a .pt for each method's best model so far

Every file appears whole or not at all, the model before the training that it belongs to.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import filelock
import pydantic
import torch
from torch import Tensor, nn

from anymax import __version__
from anymax._core.files import write_whole
from anymax._core.sentences import of_path
from anymax.lab.errors import DataError, Option, OptionError
from anymax.lab.results import Comparison
from anymax.lab.storage import FORMAT, load
from anymax.lab.training.keeper import FinishedRepeat, Writers
from anymax.lab.training.trial import Training

RESULTS, REPORT, UNFINISHED = "results.json", "report.html", "unfinished"
# More than the results of a long comparison take: a full disk is noticed before training.
ROOM = 1 << 23
OUTPUT = Option("output")
ANOTHER_FOLDER: tuple[str | Option, ...] = ("name another folder with ", OUTPUT, ", or remove this one.")
T = TypeVar("T")


@dataclass
class Identity:
    """What has to be the same for a run to go on where another stopped."""

    asked: dict[str, Any]
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


class Folder:
    """Use it as a context around the run; what was interrupted in it stays for the next one.

    Args:
        path: the folder; made where it does not exist.
        asked: the options as they were given, which a later run must repeat to go on here.
        fingerprint: that of the data.

    Raises:
        OptionError: another run works in it, it holds results of other data or options, or it cannot be written.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], fingerprint: str) -> None:
        self.path = path
        self.unfinished = path / UNFINISHED
        self.identity = Identity(json.loads(json.dumps(dict(asked))), fingerprint)
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
    def kept(self) -> int:
        """How many finished trainings, or whole repeats, the next run would find."""
        return len(list(self.unfinished.glob("repeat-*.json"))) + len(list(self.unfinished.glob("repeat-*/*.json")))

    def kept_trainings(self, repeat: int) -> int:
        """How many trainings are done of a repeat that is not."""
        return len(list(self.unfinished.glob(f"repeat-{repeat}/*.json")))

    def repeats(self, settle: Callable[[], int]) -> int:
        """How many repeats the run has: as settled when it first began, since a resumed run is the same run."""
        settled = self._read(self.unfinished / "run.json", dict[str, Any])
        if settled is None or "repeats" not in settled:
            settled = asdict(self.identity) | {"repeats": settle()}
            self._write(self.unfinished / "run.json", settled)
        return int(settled["repeats"])

    def repeat(self, repeat: int) -> FinishedRepeat | None:
        """A repeat that is done."""
        return self._read(self.unfinished / f"repeat-{repeat}.json", FinishedRepeat)

    def keep_repeat(self, repeat: int, finished: FinishedRepeat) -> None:
        """Keep a repeat that is done; its models are no longer needed."""
        self._write(self.unfinished / f"repeat-{repeat}.json", asdict(finished))
        shutil.rmtree(self.unfinished / f"repeat-{repeat}", ignore_errors=True)

    def training(self, repeat: int, method: str, learning_rate: float) -> Training | None:
        """A training that is done, of a repeat that is not."""
        return self._read(self._place(repeat, method, learning_rate).with_suffix(".json"), Training)

    def keep_training(self, repeat: int, method: str, training: Training, state: dict[str, Tensor] | None) -> None:
        """Keep a training that is done; `state` is its model where it is the method's best so far."""
        place = self._place(repeat, method, training.learning_rate)
        if state is not None:
            # in memory first: torch's own message about a full disk says nothing of the disk
            buffer = io.BytesIO()
            torch.save(state, buffer)
            write_whole(place.with_suffix(".pt"), buffer.getvalue())
        self._write(place.with_suffix(".json"), asdict(training))
        if state is not None:
            for older in place.parent.glob(f"{method}@*.pt"):
                if older != place.with_suffix(".pt"):
                    older.unlink()

    def restore(self, model: nn.Module, repeat: int, method: str, learning_rate: float) -> bool:
        """Put a model where it stood after a training that is done; False where a better one took its place."""
        path = self._place(repeat, method, learning_rate).with_suffix(".pt")
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True, map_location="cpu")
        try:
            # assigned, so that a model of float64 stays one
            model.load_state_dict(state, assign=True)
        except RuntimeError:
            # our own backbone does not change within a version; the user's may between two runs
            raise OptionError(
                f"{of_path(self.path)} holds models with another backbone than this one of the same name: ",
                *ANOTHER_FOLDER,
            ) from None
        return True

    def finish(self, comparison: Comparison, writers: Writers) -> list[Path]:
        """Let each writer write its file, all of them or none; nothing is unfinished then."""
        with tempfile.TemporaryDirectory(prefix=".anymax-", dir=self.path) as staging:
            for name, write in writers.items():
                write(comparison, Path(staging, name))
            for name in writers:
                Path(staging, name).replace(self.path / name)
        shutil.rmtree(self.unfinished, ignore_errors=True)
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
        if (self.path / RESULTS).exists() or (self.path / REPORT).exists():
            try:
                found = load(self.path / RESULTS)
            except DataError:
                raise self._not_ours() from None
            return Identity(found.asked, found.data.fingerprint, found.versions.get("anymax", "?"))
        if self.unfinished.exists():
            found = self._read(self.unfinished / "run.json", Identity)
            if found is None and any(self.unfinished.iterdir()):
                raise self._not_ours()
            return found
        return None

    def _not_ours(self) -> OptionError:
        return OptionError(
            f"{of_path(self.path)} holds files of these names that this version did not write: name another folder "
            "with ",
            OUTPUT,
            ".",
        )

    def _place(self, repeat: int, method: str, learning_rate: float) -> Path:
        # the rate's dots must not look like a suffix
        return self.unfinished / f"repeat-{repeat}" / f"{method}@{learning_rate!r}".replace(".", "_")

    def _read(self, path: Path, kind: type[T]) -> T | None:
        """A file of ours, or None where there is none or it is damaged: then its work is done again."""
        try:
            return pydantic.TypeAdapter(kind).validate_json(path.read_bytes())
        except (OSError, pydantic.ValidationError):
            return None

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        write_whole(path, json.dumps(content).encode())

    def _leave(self) -> None:
        """Let others in; an empty folder that this run made goes."""
        self.lock.release()
        if self.made and not self.kept and not (self.path / RESULTS).exists():
            with suppress(OSError):
                shutil.rmtree(self.unfinished, ignore_errors=True)
                (self.path / ".lock").unlink(missing_ok=True)
                self.path.rmdir()

    def _unwritable(self, error: OSError) -> OptionError:
        return OptionError(f"The results cannot be written to {of_path(self.path)}: {error.strerror or error}.")


def _asked(name: str, value: Any) -> list[str | Option]:
    return ["no ", Option(name)] if value in (None, [], {}) else [Option(name, value)]
