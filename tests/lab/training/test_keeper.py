"""Memory keeps a run as its folder does."""

import contextlib

import numpy as np
import pytest

from anymax.lab import results
from anymax.lab.data.dataset import Items
from anymax.lab.measuring.outcomes import Answers
from anymax.lab.training.events import Planned, TrainingDone
from anymax.lab.training.folder import Folder
from anymax.lab.training.keeper import CommonPart, FinishedTraining, Memory
from anymax.lab.training.trial import Standing, Training
from anymax.lab.training.tuning import Setting
from tests.lab.calls import load, run


@pytest.fixture(params=["folder", "memory"])
def keeper(request, tmp_path):
    place = Folder(tmp_path, {}, "data") if request.param == "folder" else contextlib.nullcontext(Memory())
    with place as keeper:
        yield keeper


def finished(rate, **of_training):
    adds = {"top1": np.array([True, False]), "nll": np.array([0.1, 2.5], dtype=np.float32)}
    tested = results.Tested({"top1": 0.5, "nll": None}, recall=[results.RecallBin(3.0, 1, 2, 0.5, "a")])
    return FinishedTraining(Training(rate, 3, **of_training), tested, Answers(np.array([0, 1], dtype=np.int32), adds))


def same(one, other):
    assert (one.training, one.tested) == (other.training, other.tested)
    assert one.answers.adds.keys() == other.answers.adds.keys()
    for ours, theirs in (
        (one.answers.prediction, other.answers.prediction),
        *((one.answers.adds[key], other.answers.adds[key]) for key in one.answers.adds),
    ):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def test_trainings_are_given_back_as_they_were_kept(keeper):
    kept = {
        (1, "softmax", Setting(0.001)): finished(0.001, best=Standing(0.5, 0.3), best_epoch=2),
        (1, "softmax", Setting(0.01)): finished(0.01),
        (0, "nce", Setting(0.01)): finished(0.01, seconds=1.5),
        (0, "prior", Setting(0.01, 0.25)): finished(0.01, seconds=2.5, strength=0.25),
        (0, "prior", Setting(0.01, 0.5)): finished(0.01, seconds=3.5, strength=0.5),
    }
    assert keeper.trainings == 0
    for (repeat, method, _), training in kept.items():
        keeper.keep_training(repeat, method, training)
    assert keeper.trainings == 5
    for place, training in kept.items():
        same(keeper.training(*place), training)
    assert keeper.training(0, "softmax", Setting(0.01)) is None
    assert keeper.training(1, "softmax", Setting(0.003)) is None
    assert keeper.training(0, "prior", Setting(0.01, 0.125)) is None


def test_what_was_tested_is_given_back_as_it_was_kept(keeper):
    items = Items(np.array([7, 3]), np.array([1, 1]), np.array([0, 2]))
    assert keeper.part(2) is None
    keeper.keep_part(2, CommonPart(items, results.Tested({"top1": 0.1})))
    found = keeper.part(2)
    assert found.baseline == results.Tested({"top1": 0.1})
    for name in ("row", "cluster", "target"):
        assert np.array_equal(getattr(found.items, name), getattr(items, name))
    assert keeper.part(1) is None
    assert keeper.trainings == 0


def test_a_run_that_was_stopped_goes_on_from_memory():
    wine, memory, events = load("wine"), Memory(), []
    options = {"methods": ["softmax", "nce"], "repeats": 2, "epochs": 2, "device": "cpu"}

    def stop(event):
        if isinstance(event, TrainingDone) and event.done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(wine, **options, keeper=memory, progress=stop)
    resumed = run(wine, **options, keeper=memory, progress=events.append)
    assert next(event for event in events if isinstance(event, Planned)).already_done == 8
    assert sum(isinstance(event, TrainingDone) for event in events) == 4
    whole = run(wine, **options)
    assert [trial.tested for trial in resumed.trials] == [trial.tested for trial in whole.trials]
