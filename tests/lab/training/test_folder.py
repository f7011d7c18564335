"""The folder of a run: what an interruption leaves, how the same command goes on, and whom it refuses."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from anymax.lab import storage
from anymax.lab.errors import OptionError
from anymax.lab.report.page import write
from anymax.lab.training.events import EpochDone, Planned, RepeatDone, TrainingDone
from anymax.lab.training.folder import REPORT, RESULTS, Folder
from tests.lab.calls import load, run

WRITERS = {RESULTS: storage.save, REPORT: write}
ASKED = {"data": "wine", "seeds": 2, "drop": []}
TIMES = {"train_seconds", "seconds_per_step", "seconds", "total_seconds", "forecast_seconds", "peak_bytes"}


@pytest.fixture(scope="module")
def wine():
    return load("wine")


def carry_out(dataset, path, progress=None, asked=ASKED):
    with Folder(path, asked, dataset.info().fingerprint) as folder:
        comparison = run(
            dataset,
            methods=["softmax", "nce"],
            repeats=2,
            epochs=3,
            device="cpu",
            keeper=folder,
            progress=progress,
        )
        comparison.asked = dict(asked)
        folder.finish(comparison, WRITERS)
    return comparison


def timeless(value):
    """Everything in a comparison that does not depend on how fast the machine was."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def uninterrupted(wine, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "folder"
    carry_out(wine, path)
    assert sorted(os.listdir(path)) == [".lock", REPORT, RESULTS]
    return timeless(json.loads((path / RESULTS).read_text()))


def stop_at(kind, number):
    seen = []

    def progress(event):
        seen.append(event)
        if isinstance(event, kind) and sum(isinstance(e, kind) for e in seen) == number:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(
    ("kind", "number", "kept"),
    [
        (EpochDone, 2, 0),  # in the first training
        (EpochDone, 14, 4),  # in a later one of the first repeat
        (TrainingDone, 6, 6),  # after the last training of a repeat, before its trials
        (RepeatDone, 1, 6),
        (TrainingDone, 9, 9),
        (RepeatDone, 2, 12),  # before the results are written
    ],
)
def test_an_interrupted_run_goes_on_and_ends_like_an_uninterrupted_one(
    wine, uninterrupted, tmp_path, kind, number, kept
):
    with pytest.raises(KeyboardInterrupt):
        carry_out(wine, tmp_path, stop_at(kind, number))
    events = []
    carry_out(wine, tmp_path, events.append)
    assert next(e for e in events if isinstance(e, Planned)).already_done == kept
    assert sum(isinstance(e, TrainingDone) for e in events) == 12 - kept
    assert timeless(json.loads((tmp_path / RESULTS).read_text())) == uninterrupted
    assert sorted(os.listdir(tmp_path)) == [".lock", REPORT, RESULTS]


def test_a_damaged_file_is_work_to_be_done_again(wine, uninterrupted, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        carry_out(wine, tmp_path, stop_at(TrainingDone, 8))
    (tmp_path / "unfinished/repeat-0.json").write_text('{"trials": [')
    next((tmp_path / "unfinished/repeat-1").glob("*.json")).write_text("")
    carry_out(wine, tmp_path)
    assert timeless(json.loads((tmp_path / RESULTS).read_text())) == uninterrupted


def test_one_run_at_a_time(wine, tmp_path):
    with Folder(tmp_path, ASKED, "data"), pytest.raises(OptionError, match=r"^Another run is writing to .*output=\.$"):
        Folder(tmp_path, ASKED, "data").__enter__()
    with Folder(tmp_path, ASKED, "data"):
        pass


@pytest.mark.parametrize(
    ("asked", "fingerprint", "sentence"),
    [
        (ASKED | {"seeds": 3}, None, "with seeds=2, and this run has seeds=3"),
        (ASKED | {"seeds": None}, None, "with seeds=2, and this run has no seeds="),
        (ASKED | {"drop": ["x"]}, None, "with no drop=, and this run has drop=['x']"),
        (ASKED | {"data": "a.csv"}, None, "with data='wine', and this run has data='a.csv'"),
        (ASKED, "other", "with other data"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_other_data_and_options_are_refused_by_name(wine, tmp_path, asked, fingerprint, sentence, finished):
    if finished:
        carry_out(wine, tmp_path)
    else:
        with pytest.raises(KeyboardInterrupt):
            carry_out(wine, tmp_path, stop_at(TrainingDone, 1))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(OptionError) as refusal:
        Folder(tmp_path, asked, fingerprint or wine.info().fingerprint).__enter__()
    assert sentence in str(refusal.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_long_option_of_another_run_is_cut(wine, tmp_path):
    fingerprint = wine.info().fingerprint
    with Folder(tmp_path, ASKED, fingerprint) as folder:
        folder.repeats(lambda: 2)
    with (
        pytest.raises(OptionError, match="holds a run with no methods=, and this run has methods=") as caught,
        Folder(tmp_path, ASKED | {"methods": ["m\x1b" * 5_000_000]}, fingerprint),
    ):
        pass
    assert len(str(caught.value)) < 1500
    assert str(caught.value).isprintable()


def test_an_older_version_is_refused(wine, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        carry_out(wine, tmp_path, stop_at(TrainingDone, 1))
    settled = json.loads((tmp_path / "unfinished/run.json").read_text())
    (tmp_path / "unfinished/run.json").write_text(json.dumps(settled | {"version": "0.0.1"}))
    with pytest.raises(OptionError, match=r"anymax 0\.0\.1"):
        Folder(tmp_path, ASKED, wine.info().fingerprint).__enter__()


@pytest.mark.parametrize("name", [RESULTS, REPORT, "unfinished/notes.txt"])
def test_files_of_someone_else_are_kept(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("my notes")
    with pytest.raises(OptionError, match="did not write"):
        Folder(tmp_path, ASKED, "data").__enter__()
    assert (tmp_path / name).read_text() == "my notes"


def test_a_folder_without_anything_kept_goes_again(tmp_path):
    path = tmp_path / "new"
    with Folder(path, ASKED, "data") as folder:
        folder.repeats(lambda: 3)
        assert path.exists()
    assert not path.exists()


def test_a_disk_that_fills_up_is_one_sentence_and_keeps_what_is_done(wine, tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        if "repeat-1" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OptionError, match=r"^The results cannot be written to .*: No space left on device\.$"):
        carry_out(wine, tmp_path)
    monkeypatch.undo()
    events = []
    carry_out(wine, tmp_path, events.append)
    assert next(e for e in events if isinstance(e, Planned)).already_done == 6


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {checkout!r})
from tests.lab.training.test_folder import carry_out
from tests.lab.calls import load
from anymax.lab.training.events import TrainingDone
carry_out(load("wine"), Path({path!r}), lambda event: print(type(event).__name__, flush=True))
"""


def test_a_killed_run_loses_at_most_the_running_training(wine, uninterrupted, tmp_path):
    script = KILLED.format(checkout=str(Path(__file__).parents[3]), path=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        done = 0
        while done < 8:
            done += process.stdout.readline() == "TrainingDone\n"
        process.send_signal(signal.SIGKILL)
    events = []
    carry_out(wine, tmp_path, events.append)
    assert next(e for e in events if isinstance(e, Planned)).already_done >= 8
    assert timeless(json.loads((tmp_path / RESULTS).read_text())) == uninterrupted


def test_what_was_kept_reads_back_equal(wine, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        carry_out(wine, tmp_path, stop_at(RepeatDone, 1))
    with Folder(tmp_path, ASKED, wine.info().fingerprint) as folder:
        finished = folder.repeat(0)
    assert finished is not None
    stored = json.loads((tmp_path / "unfinished/repeat-0.json").read_text())
    assert dataclasses.asdict(finished) == stored
