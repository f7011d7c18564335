"""Trials: one start for all methods, early stopping, and what is timed."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from anymax.lab.data.dataset import Part
from anymax.lab.data.text import TextDataset
from anymax.lab.training import trial
from anymax.lab.training.methods import METHODS, Method
from tests.lab.calls import OF_CLASSES, load


@pytest.fixture(scope="module")
def fabric():
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def wine():
    dataset = load("wine")
    return dataset, dataset.parts(0)


@pytest.fixture(scope="module")
def text():
    generator = torch.Generator().manual_seed(0)
    # the next word follows from the last one more often than not
    words = [0]
    for surprise in torch.rand(3000, generator=generator).tolist():
        words.append((words[-1] * 7 + 3) % 80 if surprise < 0.8 else int(surprise * 1e6) % 80)
    dataset = TextDataset("chain", [f"w{i}" for i in words])
    return dataset, dataset.parts(0)


def plan_for(dataset, **changes):
    plan = {
        "task": dataset.task,
        "decide_by": "perplexity" if dataset.task == "text" else "top1",
        "measured_ids": dataset.measured_ids,
        "epochs": 3,
        "patience": 5,
        "batch_size": 16,
    }
    return trial.Plan(**(plan | changes))


def train(method, dataset, parts, fabric, **changes):
    return train_model(method, dataset, parts, fabric, **changes)[1]


def train_model(method, dataset, parts, fabric, **changes):
    options = {"repeat": 0, "learning_rate": 3e-3, **changes.pop("options", {})}
    return trial.train(method, plan_for(dataset, **changes), parts, fabric=fabric, **options)


def test_methods_share_backbone_and_head_start(wine):
    _, parts = wine
    models = [trial.start(method, "classification", parts, seed=4) for method in map(METHODS.get, OF_CLASSES)]
    for model in models[1:]:
        for ours, theirs in zip(models[0].backbone.parameters(), model.backbone.parameters(), strict=True):
            assert torch.equal(ours, theirs)
        own = getattr(model.head, "weight", None)
        if own is not None and own.shape == models[0].head.weight.shape:  # a tree has no row for each class
            assert torch.equal(models[0].head.weight, own)
    other = trial.start(METHODS["softmax"], "classification", parts, seed=5)
    assert not torch.equal(models[0].head.weight, other.head.weight)


def test_methods_share_the_order_of_batches(wine, fabric, monkeypatch):
    dataset, parts = wine
    seen = {}

    def note(name):
        def forward(self, input, target, _calls=trial.Model.forward):
            if self.training:
                seen.setdefault(name, []).append(target.tolist())
            return _calls(self, input, target)

        return forward

    for name in OF_CLASSES:
        monkeypatch.setattr(trial.Model, "forward", note(name))
        train(METHODS[name], dataset, parts, fabric)
        monkeypatch.undo()
    assert len(seen["softmax"]) == 3 * 7  # epochs, batches of 16 from 106 rows
    assert all(batches == seen["softmax"] for batches in seen.values())


@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_training_repeats_exactly(wine, fabric, name):
    dataset, parts = wine
    model, first = train_model(METHODS[name], dataset, parts, fabric)
    torch.rand(3)  # whatever else draws from the default generator
    same, second = train_model(METHODS[name], dataset, parts, fabric)
    assert first.curve.validation == second.curve.validation
    for ours, theirs in zip(model.parameters(), same.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    other, _ = train_model(METHODS[name], dataset, parts, fabric, options={"repeat": 1})
    assert not torch.equal(next(model.parameters()), next(other.parameters()))


@pytest.mark.parametrize("name", OF_CLASSES)
def test_every_method_learns_a_table(wine, fabric, name):
    dataset, parts = wine
    model, _ = train_model(METHODS[name], dataset, parts, fabric, epochs=25)
    outcome = trial.look(model, METHODS[name], parts.test)
    assert (outcome.predictions == outcome.targets).mean() > 0.85


@pytest.mark.parametrize("name", ["softmax", "nce", "sampled", "gumbel"])
def test_every_method_learns_text_far_below_the_unigram(text, fabric, name):
    dataset, parts = text
    assert len(parts.class_counts) > 64
    training = train(METHODS[name], dataset, parts, fabric, epochs=6, options={"learning_rate": 1e-2})
    assert training.best_validation is not None
    assert training.best_validation < 40  # a unigram stands at about 80


def test_the_model_stands_at_its_best_epoch(wine, fabric):
    dataset, parts = wine
    model, training = train_model(
        METHODS["softmax"],
        dataset,
        parts,
        fabric,
        decide_by="nll",
        epochs=30,
        patience=3,
        options={"learning_rate": 3e-2},
    )
    curve = training.curve.validation
    assert len(curve) < 30
    assert training.best_epoch == curve.index(min(curve)) + 1 == len(curve) - 3
    outcome = trial.look(model, METHODS["softmax"], parts.validation)
    assert outcome.law is not None
    assert outcome.law.nll.mean() == pytest.approx(training.best_validation)


def test_equal_epochs_are_told_apart_by_their_loss():
    one = trial.Standing(0.9, 0.5)
    assert one.beats(None, "top1")
    assert trial.Standing(0.91, 9.0).beats(one, "top1")
    assert trial.Standing(0.89, 0.1).beats(one, "brier")
    assert trial.Standing(0.9, 0.4).beats(one, "top1")
    assert trial.Standing(0.9, 0.4).beats(one, "brier")
    assert not trial.Standing(0.9, 0.5).beats(one, "top1")
    assert not trial.Standing(0.9, float("nan")).beats(one, "top1")


def perceptron(in_features):
    return nn.Sequential(nn.Linear(in_features, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_where_accuracy_stands_still_training_goes_on(wine, fabric, name):
    dataset, parts = wine
    training = train(METHODS[name], dataset, parts, fabric, epochs=12, patience=3, backbone=perceptron)
    curve = training.curve.validation
    first = curve.index(max(curve)) + 1
    assert max(curve) == curve[training.best_epoch - 1]
    assert training.best_epoch > first + 3


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
@pytest.mark.parametrize(("kind", "name"), [("wine", "softmax"), ("wine", "sigmoid"), ("text", "softmax")])
def test_every_precision_trains_and_is_measured(request, kind, name, precision):
    dataset, parts = request.getfixturevalue(kind)
    few = trial.Part(parts.train.inputs[:40], parts.train.targets[:40])
    parts = dataclasses.replace(parts, train=few, validation=few)
    method = METHODS[name]
    plan = plan_for(dataset, epochs=1)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    model, training = trial.train(method, plan, parts, repeat=0, learning_rate=3e-3, fabric=fabric)
    assert model.head.weight.dtype == (torch.float64 if precision == "64-true" else torch.float32)
    assert training.best is not None
    tested, _ = trial.look_at_test(model, method, plan, parts, dataset.info(), dataset.unknown_class)
    assert tested.measures[plan.decide_by] is not None


def test_a_training_that_diverges_stops_and_says_so(wine, fabric):
    class Diverging(nn.Module):
        def __init__(self, in_features, class_counts):
            super().__init__()
            self.inner = METHODS["softmax"].make(in_features, class_counts)
            self.predict, self.log_prob = self.inner.predict, self.inner.log_prob

        def forward(self, input, target):
            return self.inner(input, target) * float("nan")

    dataset, parts = wine
    training = train(Method("diverging", "diverging", Diverging, True), dataset, parts, fabric)
    assert training.curve.validation == [None]
    assert training.best_validation is None
    assert training.best_epoch == 0


def test_seconds_leave_out_evaluation_and_the_first_steps(wine, fabric, monkeypatch):
    dataset, parts = wine
    now = [0.0]
    monkeypatch.setattr(trial.time, "perf_counter", lambda: now[0])
    forward, look = trial.Model.forward, trial.look
    steps = []

    def slow_forward(self, input, target):
        steps.append(1)
        now[0] += 100.0 if len(steps) <= trial.UNTIMED_STEPS else 1.0
        return forward(self, input, target)

    def slow_look(*arguments, **options):
        now[0] += 1000.0
        return look(*arguments, **options)

    monkeypatch.setattr(trial.Model, "forward", slow_forward)
    monkeypatch.setattr(trial, "look", slow_look)
    training = train(METHODS["softmax"], dataset, parts, fabric)
    assert training.train_seconds == 3 * 7 - trial.UNTIMED_STEPS
    assert training.seconds_per_step == 1.0
    assert training.curve.seconds == [4, 11, 18]


def test_the_test_part_is_not_read_in_training(wine, fabric):
    dataset, parts = wine
    poisoned = dataclasses.replace(parts, test=None, tested=None)
    ours = train(METHODS["softmax"], dataset, parts, fabric)
    theirs = train(METHODS["softmax"], dataset, poisoned, fabric)
    assert ours.curve.validation == theirs.curve.validation


def test_classes_are_ranked_by_their_probabilities_and_not_by_scores_that_lack_a_part_of_these():
    torch.manual_seed(0)
    head = METHODS["negative"].head(6, torch.tensor([900, 60, 20, 10, 5, 3, 2]))
    part = Part(torch.randn(50, 6), torch.arange(50) % 7)
    outcome = trial.look(trial.Model(nn.Identity(), head), METHODS["negative"], part, scores=True, ranks=True)
    with torch.no_grad():
        scores, log_probs = head.scores(part.inputs), head.log_prob(part.inputs)
    in_top5 = [(one.topk(5).indices == part.targets[:, None]).any(1).tolist() for one in (scores, log_probs)]
    assert in_top5[0] != in_top5[1] == outcome.in_top5.tolist()
    torch.testing.assert_close(torch.from_numpy(outcome.ranked_by), log_probs)
    assert outcome.log_z is None


@pytest.mark.parametrize("name", ["softmax", "sparsemax"])
def test_the_temperature_is_fitted_without_the_test_part(wine, fabric, name):
    dataset, parts = wine
    model, _ = train_model(METHODS[name], dataset, parts, fabric)
    others = dataclasses.replace(parts.test, targets=parts.test.targets.roll(1))
    found = [
        trial.look_at_test(model, METHODS[name], plan_for(dataset), each, dataset.info(), None)[0].scaled
        for each in (parts, dataclasses.replace(parts, test=others))
    ]
    assert found[0].temperature == found[1].temperature
    assert found[0].brier < found[1].brier


def test_parameters_are_counted(wine, fabric):
    dataset, parts = wine
    training = train(METHODS["softmax"], dataset, parts, fabric, epochs=1)
    numbers = 13 * 4 * (16 + 2)  # in 16 pieces, with slope and bias
    bent, straight = (13 * 4 * 128 + 128) + (128 * 64 + 64), 13 * 32 + 32
    assert training.parameters == numbers + bent + straight + (96 * 3 + 3)


def slow_clock(monkeypatch, of_step, of_look):
    """Time in which a training step and a look at the validation part take so many seconds, and nothing else any."""
    now = [0.0]
    monkeypatch.setattr(trial.time, "perf_counter", lambda: now[0])
    forward, look = trial.Model.forward, trial.look

    def slow_forward(self, input, target):
        now[0] += of_step
        return forward(self, input, target)

    def slow_look(*arguments, **options):
        now[0] += of_look
        return look(*arguments, **options)

    monkeypatch.setattr(trial.Model, "forward", slow_forward)
    monkeypatch.setattr(trial, "look", slow_look)


def test_a_budget_ends_a_training_whatever_its_epochs(wine, fabric, monkeypatch):
    dataset, parts = wine
    slow_clock(monkeypatch, of_step=1.0, of_look=1000.0)
    # longer than its epochs of 7 steps: a look after each of them, and no early stop
    long = train(METHODS["softmax"], dataset, parts, fabric, budget=100.0, epochs=1, patience=1)
    assert long.curve.seconds[:3] == [4, 11, 18]
    assert long.train_seconds == long.curve.seconds[-1]
    assert 100 <= long.train_seconds < 107
    # shorter than an epoch: a look after each tenth of it
    short = train(METHODS["softmax"], dataset, parts, fabric, budget=3.0)
    assert short.curve.seconds == [1, 2, 3]


def test_the_pace_is_that_of_a_step_and_of_a_look(wine, fabric, monkeypatch):
    dataset, parts = wine
    slow_clock(monkeypatch, of_step=2.0, of_look=30.0)
    pace = trial.pace(METHODS["softmax"], plan_for(dataset), parts, fabric)
    assert (pace.step, pace.evaluation) == (2.0, 30.0)


def test_the_peak_of_a_method_is_its_own(text, fabric):
    dataset, parts = text
    plan = plan_for(dataset)
    small = trial.pace(METHODS["softmax"], plan, parts, fabric).peak_bytes
    large = trial.pace(METHODS["gumbel"], plan, parts, fabric).peak_bytes
    again = trial.pace(METHODS["softmax"], plan, parts, fabric).peak_bytes
    # the noise of the relaxed sample is as large as the scores, and the larger method ran before the smaller one
    assert large > 1.05 * small
    assert again == pytest.approx(small, rel=0.02)
    gradients = 4 * sum(
        parameter.numel() for parameter in trial.untrained(METHODS["softmax"], plan, parts, 0).parameters()
    )
    assert gradients < small < 100 * gradients


@pytest.mark.parametrize(("rows", "world"), [(16, 1), (16, 2), (15, 2), (1, 2), (1, 4), (5, 4)])
def test_processes_share_a_batch_evenly_and_leave_no_row_out(rows, world):
    batch = torch.randperm(rows) + 100
    shares = [trial._own_share(batch, SimpleNamespace(world_size=world, global_rank=r)) for r in range(world)]  # type: ignore[arg-type]
    assert len({len(share) for share in shares}) == 1
    assert set(torch.cat(shares).tolist()) == set(batch.tolist())
    assert sum(map(len, shares)) - rows < world
