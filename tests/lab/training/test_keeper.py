"""Memory keeps a run as its folder does."""

import contextlib

import pytest
import torch

from anymax.lab import results
from anymax.lab.results import TuningPoint
from anymax.lab.training.events import Planned, TrainingDone
from anymax.lab.training.folder import Folder
from anymax.lab.training.keeper import FinishedRepeat, Memory
from anymax.lab.training.trial import Training
from tests.lab.calls import load, run
from tests.lab.comparisons import make_comparison


@pytest.fixture(params=["folder", "memory"])
def keeper(request, tmp_path):
    place = Folder(tmp_path, {}, "data") if request.param == "folder" else contextlib.nullcontext(Memory())
    with place as keeper:
        yield keeper


def network(value: float) -> torch.nn.Linear:
    layer = torch.nn.Linear(2, 1, dtype=torch.float64)
    torch.nn.init.constant_(layer.weight, value)
    return layer


def test_what_was_settled_stays(keeper):
    assert keeper.repeats(lambda: 4) == 4
    assert keeper.repeats(lambda: 7) == 4


def test_trainings_are_kept_and_of_each_method_the_last_model(keeper):
    for rate in (0.001, 0.003, 0.01):
        state = None if rate == 0.01 else network(rate).state_dict()
        keeper.keep_training(1, "softmax", Training(rate, 3), state)
    keeper.keep_training(1, "nce", Training(0.01, 5), network(7.0).state_dict())
    assert keeper.kept_trainings(1) == 4
    assert keeper.kept_trainings(0) == 0
    assert keeper.training(1, "softmax", 0.01) == Training(0.01, 3)
    assert keeper.training(0, "softmax", 0.01) is None
    model = torch.nn.Linear(2, 1)
    before = model.weight.detach().clone()
    for rate in (0.001, 0.01):
        assert not keeper.restore(model, 1, "softmax", rate)
        assert torch.equal(model.weight, before)
    assert keeper.restore(model, 1, "softmax", 0.003)
    assert model.weight.tolist() == [[0.003, 0.003]]
    assert model.weight.dtype == torch.float64
    assert keeper.restore(model, 1, "nce", 0.01)
    assert model.weight.tolist() == [[7.0, 7.0]]


def test_a_repeat_that_is_done_takes_the_place_of_its_trainings(keeper):
    trials = make_comparison({"softmax": [0.5, 0.6]}).trials
    trials[0].tuning = [TuningPoint(0.01, None)]
    finished = FinishedRepeat(trials, results.Tested({"top1": 0.1}))
    keeper.keep_training(1, "softmax", Training(0.01, 3), network(1.0).state_dict())
    assert keeper.repeat(1) is None
    keeper.keep_repeat(1, finished)
    assert keeper.repeat(1) == finished
    assert keeper.repeat(0) is None
    assert keeper.kept_trainings(1) == 0
    assert keeper.training(1, "softmax", 0.01) is None
    assert not keeper.restore(torch.nn.Linear(2, 1), 1, "softmax", 0.01)


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
