"""The folder of a run: what an interruption leaves, how the same command goes on, and whom it refuses."""

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anymax.lab import storage
from anymax.lab.errors import OptionError
from anymax.lab.report.page import write
from anymax.lab.training import beside
from anymax.lab.training.events import EpochDone, Planned, RepeatDone, TrainingDone
from anymax.lab.training.folder import REPORT, RESULTS, RUN, TRAININGS, Folder
from tests.lab.calls import load, run

WRITERS = {RESULTS: storage.save, REPORT: write}
ASKED = {"data": "wine", "seeds": 2, "drop": []}
TIMES = {
    "train_seconds",
    "seconds_per_step",
    "seconds",
    "total_seconds",
    "repeat_seconds",
    "forecast_seconds",
    "peak_bytes",
    "text",  # which may speak of speed
}


@pytest.fixture(scope="module")
def wine():
    return load("wine")


def carry_out(dataset, path, progress=None, asked=ASKED, repeats=2, methods=("softmax", "nce"), **options):
    with Folder(path, asked, dataset.info().fingerprint) as folder:
        comparison = run(
            dataset,
            methods=methods,
            repeats=repeats,
            epochs=3,
            device="cpu",
            keeper=folder,
            progress=progress,
            **options,
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
def finished(wine, tmp_path_factory):
    """The folder of a whole run."""
    path = tmp_path_factory.mktemp("whole") / "folder"
    carry_out(wine, path)
    assert sorted(os.listdir(path)) == [".lock", REPORT, RESULTS, TRAININGS]
    return path


@pytest.fixture(scope="module")
def begun(wine, tmp_path_factory):
    """The folder of a run that was stopped after its first training."""
    path = tmp_path_factory.mktemp("begun") / "folder"
    with pytest.raises(KeyboardInterrupt):
        carry_out(wine, path, stop_at(TrainingDone, 1))
    return path


@pytest.fixture(scope="module")
def uninterrupted(finished):
    return timeless(json.loads((finished / RESULTS).read_text()))


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


def test_a_damaged_file_is_work_to_be_done_again(wine, uninterrupted, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        carry_out(wine, tmp_path, stop_at(TrainingDone, 8))
    whole = (tmp_path / TRAININGS / "0/softmax@0.01.npz").read_bytes()
    (tmp_path / TRAININGS / "0/softmax@0.01.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / TRAININGS / "0/nce@0.01.npz").write_bytes(b"")
    (tmp_path / TRAININGS / "1/items.npz").write_bytes(b"PK nonsense")
    np.savez(tmp_path / TRAININGS / "1/nce@0.001.npz", facts=np.array([1, 2]))
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
        (ASKED | {"epochs": 3}, None, "with no epochs=, and this run has epochs=3"),
        (ASKED | {"drop": ["x"]}, None, "with no drop=, and this run has drop=['x']"),
        (ASKED | {"data": "a.csv"}, None, "with data='wine', and this run has data='a.csv'"),
        (ASKED, "other", "with other data"),
    ],
)
@pytest.mark.parametrize("kept", ["begun", "finished"])
def test_other_data_and_options_are_refused_by_name(request, wine, asked, fingerprint, sentence, kept):
    folder = request.getfixturevalue(kept)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(OptionError) as refusal:
        Folder(folder, asked, fingerprint or wine.info().fingerprint).__enter__()
    assert sentence in str(refusal.value)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_long_option_of_another_run_is_cut(wine, begun):
    with (
        pytest.raises(OptionError, match="holds a run with no methods=, and this run has methods=") as caught,
        Folder(begun, ASKED | {"methods": ["m\x1b" * 5_000_000]}, wine.info().fingerprint),
    ):
        pass
    assert len(str(caught.value)) < 1500
    assert str(caught.value).isprintable()


def test_an_older_version_is_refused(wine, begun, tmp_path):
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    settled = json.loads((tmp_path / TRAININGS / RUN).read_text())
    (tmp_path / TRAININGS / RUN).write_text(json.dumps(settled | {"version": "0.0.1"}))
    with pytest.raises(OptionError, match=r"anymax 0\.0\.1"):
        Folder(tmp_path, ASKED, wine.info().fingerprint).__enter__()


@pytest.mark.parametrize("name", [RESULTS, REPORT, "trainings/notes.txt"])
def test_files_of_someone_else_are_kept(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("my notes")
    with pytest.raises(OptionError, match="did not write"):
        Folder(tmp_path, ASKED, "data").__enter__()
    assert (tmp_path / name).read_text() == "my notes"


def test_a_folder_without_anything_kept_goes_again(tmp_path):
    path = tmp_path / "new"
    with Folder(path, ASKED, "data"):
        assert path.exists()
    assert not path.exists()


def test_a_disk_that_fills_up_is_one_sentence_and_keeps_what_is_done(wine, tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        if path.parent.name == "1":
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


def of_a_run(comparison):
    """All that a run found, but for its times and for how long it was to go on."""
    found = timeless(json.loads(json.dumps(dataclasses.asdict(dataclasses.replace(comparison, outcomes=None)))))
    return {name: value for name, value in found.items() if name not in ("asked", "ending", "options")}


def test_a_run_that_grows_equals_one_in_one_go(wine, tmp_path):
    whole = carry_out(wine, tmp_path / "whole", repeats=7)
    # stopped in the first repeats, ended before the rates of the first round were all tried, then again after it
    with pytest.raises(KeyboardInterrupt):
        carry_out(wine, tmp_path / "grown", stop_at(TrainingDone, 4), ASKED | {"seeds": 3}, repeats=3)
    for seeds in (3, 6, 7):
        events = []
        grown = carry_out(wine, tmp_path / "grown", events.append, ASKED | {"seeds": seeds}, repeats=seeds)
    assert of_a_run(grown) == of_a_run(whole)
    assert sum(isinstance(event, TrainingDone) for event in events) == 2  # one repeat of two methods
    assert grown.verdict.differences[0].repeats == 7


STRENGTHS = {"methods": ["softmax", "prior"], "decide_by": "nll"}


@pytest.fixture(scope="module")
def with_strengths(wine, tmp_path_factory):
    """A run in one go of six repeats, of which a method has a strength; no other classifier is beside the heads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "CLASSIFIERS", ())
        return of_a_run(carry_out(wine, tmp_path_factory.mktemp("strengths") / "whole", repeats=6, **STRENGTHS))


@pytest.mark.parametrize("stopped_at", [7, 19, 21])  # at the rates, at the strengths of the first and second repeat
@pytest.mark.usefixtures("heads_alone")
def test_a_stopped_and_grown_run_chooses_its_strengths_anew_from_all_its_repeats(
    wine, with_strengths, tmp_path, stopped_at
):
    with pytest.raises(KeyboardInterrupt):
        carry_out(wine, tmp_path / "grown", stop_at(TrainingDone, stopped_at), ASKED | {"seeds": 3}, 3, **STRENGTHS)
    for seeds, trainings in ((3, 3 * (6 + 2) - stopped_at), (6, None)):
        events = []
        grown = carry_out(wine, tmp_path / "grown", events.append, ASKED | {"seeds": seeds}, seeds, **STRENGTHS)
        assert trainings in (None, sum(isinstance(event, TrainingDone) for event in events))
    assert of_a_run(grown) == with_strengths
    assert [len(trial.strengths) for trial in grown.of("prior")] == [3] * 5 + [0]
    (kept,) = {(trial.learning_rate, trial.strength) for trial in grown.of("prior")}
    assert (tmp_path / "grown" / TRAININGS / "5" / "prior@{!r}@{!r}.npz".format(*kept)).exists()


def test_a_run_grows_where_columns_come_and_go_with_the_split(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.standard_normal(60), "once": np.arange(60) == 7, "y": ["a", "b"] * 30})
    dataset = load(frame.astype({"once": float}), target="y")
    assert len({dataset.parts(repeat).train.inputs.shape[1] for repeat in range(5)}) == 2
    options = {"learning_rate": 1e-2}
    carry_out(dataset, tmp_path, None, ASKED | {"seeds": 5}, repeats=5, **options)
    assert carry_out(dataset, tmp_path, None, ASKED | {"seeds": 6}, repeats=6, **options).repeats == 6


def test_a_run_whose_time_was_over_goes_on_with_more(tmp_path):
    random = np.random.default_rng(0)
    tossed = load(pd.DataFrame({"x": random.standard_normal(120), "y": random.choice(["a", "b"], 120)}), target="y")
    options = {"repeats": None, "margin": 1e-6, "learning_rate": 1e-2}
    asked = ASKED | {"seeds": None, "within": 1e-3}
    short = carry_out(tossed, tmp_path, None, asked, within=1e-3, **options)
    assert (short.repeats, short.ending) == (5, "the time")
    (record,) = short.verdict.differences
    assert (record.answer, record.repeats) == ("open", 5)
    events = []
    longer = carry_out(tossed, tmp_path, events.append, asked | {"within": 1e3}, within=1e3, **options)
    assert next(event for event in events if isinstance(event, Planned)).already_done == 10
    assert longer.ending in ("all is decided", "the most repeats")
    assert longer.repeats == longer.verdict.differences[0].repeats
    assert longer.repeats in (10, 20, 40)
