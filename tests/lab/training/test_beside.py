"""Classifiers beside the heads: they fit, on the same parts, end in time, and are kept."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from anymax.lab.training import beside, schedule
from anymax.lab.training.beside import CLASSIFIERS, OutOfTime, fit_and_test
from anymax.lab.training.keeper import Memory
from anymax.lab.training.trial import Plan, Standing
from tests.lab.calls import read_table, run
from tests.lab.data.labelled import NAMES, label_frame

LOGISTIC, TREES = CLASSIFIERS


def outcome_of(classifier, dataset, *, seconds=60.0, repeat=0, decide_by="top1"):
    plan = Plan("classification", decide_by, dataset.measured_ids, epochs=1, patience=1, batch_size=16)
    return fit_and_test(classifier, plan, dataset.parts(repeat), dataset.info(), seconds)


def signs(rows=400):
    """The class is whether two numbers have the same sign, which no line can tell."""
    x, y = np.random.default_rng(0).standard_normal((2, rows))
    return read_table("signs", pd.DataFrame({"x": x, "y": y, "same": (x * y > 0).astype(str)}), "same")


def clouds(rows=300):
    random = np.random.default_rng(0)
    label = random.integers(0, 3, rows)
    points = random.standard_normal((rows, 2)) + 3 * np.eye(3)[label][:, :2]
    return read_table("clouds", pd.DataFrame(points, columns=["x", "y"]).assign(label=label.astype(str)), "label")


def test_trees_learn_what_no_line_can_and_logistic_regression_what_one_can():
    assert outcome_of(TREES, signs())[0].measures["top1"] > 0.85
    assert outcome_of(LOGISTIC, signs())[0].measures["top1"] < 0.7
    assert outcome_of(LOGISTIC, clouds())[0].measures["top1"] > 0.85


def test_answers_have_the_measures_as_their_means():
    for classifier in CLASSIFIERS:
        found, answers = outcome_of(classifier, clouds())
        assert len(answers.prediction) == 60
        for key in ("top1", "macro_f1", "nll", "brier"):
            assert answers.adds[key].mean(dtype=float) == pytest.approx(found.measures[key], rel=1e-5)


def test_the_penalty_is_chosen_on_the_validation_part(monkeypatch):
    # so strong that every answer is the most frequent class, and none at all
    monkeypatch.setattr(beside, "STRENGTHS", (1e-9, 1.0))
    assert outcome_of(LOGISTIC, clouds())[0].measures["top1"] > 0.85
    monkeypatch.setattr(beside, "STRENGTHS", (1e-9,))
    assert outcome_of(LOGISTIC, clouds())[0].measures["top1"] < 0.6


@pytest.mark.parametrize("best", beside.STRENGTHS)
@pytest.mark.parametrize("words", [0, 60])
def test_logistic_regression_is_what_scikit_learn_fits_at_the_penalty_that_turned_out_best(monkeypatch, best, words):
    """With columns that are nearly all 0, too, which the solver gets as sparse ones."""
    dataset = clouds()
    random = torch.Generator().manual_seed(0)
    parts = {}
    for name in ("train", "validation", "test"):
        part = getattr(dataset.parts(0), name)
        rare = (torch.rand(len(part), words, generator=random) < 0.01).float()
        parts[name] = dataclasses.replace(part, inputs=torch.cat((part.inputs, rare), 1))
    parts = dataclasses.replace(dataset.parts(0), **parts)
    monkeypatch.setattr(
        beside.LogisticRegression, "predict_proba", spoilt(beside.LogisticRegression.predict_proba, best)
    )
    log_probs = beside._logistic(parts, by_nll(parts.validation), "nll", np.inf)(parts.test)
    monkeypatch.undo()
    alone = LogisticRegression(C=best, tol=1e-8, max_iter=10_000).fit(parts.train.inputs, parts.train.targets)
    np.testing.assert_allclose(np.exp(log_probs), alone.predict_proba(parts.test.inputs), atol=0.03)


def spoilt(predict_proba, best):
    """Uniform probabilities from every model but that of this strength."""
    return lambda model, inputs: (
        predict_proba(model, inputs) if best == model.C else np.full((inputs.shape[0], 3), 1 / 3)
    )


def by_nll(part):
    def standing(log_probs):
        nll = -log_probs(part)[np.arange(len(part)), part.targets].mean()
        return Standing(nll, nll)

    return standing


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda classifier: classifier.name)
def test_a_category_that_heads_embed_is_used(classifier):
    level = np.random.default_rng(0).integers(0, 100, 1500)
    frame = pd.DataFrame({"level": [f"l{i}" for i in level], "y": (level % 2).astype(str)})
    dataset = read_table("levels", frame, "y")
    assert dataset.parts(0).embedded_levels
    assert outcome_of(classifier, dataset)[0].measures["top1"] > 0.8


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda classifier: classifier.name)
def test_a_class_that_training_lacks_has_a_finite_price(classifier):
    dataset = clouds()
    parts = dataset.parts(0)
    lacking = parts.train.targets != 2
    train = dataclasses.replace(parts.train, inputs=parts.train.inputs[lacking], targets=parts.train.targets[lacking])
    plan = Plan("classification", "nll", dataset.measured_ids, epochs=1, patience=1, batch_size=16)
    found, _ = fit_and_test(classifier, plan, dataclasses.replace(parts, train=train), dataset.info(), 60.0)
    assert 5 < found.measures["nll"] < 36.1  # at least a quarter of the rows at -log of the smallest float


def labelled_outcome(classifier, dataset, parts):
    plan = Plan("multilabel", "average_precision", dataset.measured_ids, epochs=1, patience=1, batch_size=16)
    return fit_and_test(classifier, plan, parts, dataset.info(), 60.0)


def test_of_labels_the_penalty_is_chosen_for_each_on_the_validation_part(monkeypatch):
    dataset = read_table("labels", label_frame(), list(NAMES))
    parts = dataset.parts(0)
    # of turned labels the best that can be said is how frequent they are, in the test part too
    turned = dataclasses.replace(parts.validation, targets=1 - parts.validation.targets)
    monkeypatch.setattr(beside, "STRENGTHS", (1e-9, 1.0))
    honest, misled = (
        labelled_outcome(LOGISTIC, dataset, each)[0].measures["nll"]
        for each in (parts, dataclasses.replace(parts, validation=turned))
    )
    assert honest < 0.45 < 0.55 < misled


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda classifier: classifier.name)
def test_a_label_that_no_row_or_every_row_of_training_has_is_said_as_there(classifier):
    dataset = read_table("labels", label_frame(), list(NAMES))
    parts = dataset.parts(0)
    targets = parts.train.targets.clone()
    targets[:, 1], targets[:, 2] = 0, 1
    train = dataclasses.replace(parts.train, targets=targets)
    parts = dataclasses.replace(parts, train=train, class_counts=targets.sum(0).long())
    found, answers = labelled_outcome(classifier, dataset, parts)
    assert not answers.prediction[:, 1].any()
    assert answers.prediction[:, 2].all()
    assert found.measures["nll"] < 5


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda classifier: classifier.name)
def test_a_fit_that_takes_longer_than_it_may_is_stopped(classifier):
    with pytest.raises(OutOfTime):
        outcome_of(classifier, clouds(), seconds=0.0)


@pytest.mark.parametrize(("rows", "penalty"), [(25, 1.0), (60, 0.0)])
def test_the_values_of_leaves_are_penalised_where_a_class_cannot_fill_one(monkeypatch, rows, penalty):
    """Of so many rows three fifths are trained on: 15, fewer than a leaf has, or 36."""
    fitted = []
    fit = beside.HistGradientBoostingClassifier.fit
    monkeypatch.setattr(
        beside.HistGradientBoostingClassifier, "fit", lambda self, *data: fitted.append(self) or fit(self, *data)
    )
    labels = np.repeat(["rare", "usual"], [rows, 300])
    frame = pd.DataFrame({"x": np.random.default_rng(0).standard_normal(len(labels)) + (labels == "rare")})
    outcome_of(TREES, read_table("two", frame.assign(label=labels), "label"))
    assert {(model.l2_regularization, model.min_samples_leaf) for model in fitted} == {(penalty, 20)}


def test_trees_that_cannot_end_in_time_are_given_up_after_their_first_round(monkeypatch):
    now, rounds = [0.0], []
    fit = beside.HistGradientBoostingClassifier.fit

    def slow(self, *arguments):
        now[0] += 1.0
        rounds.append(self.max_iter)
        return fit(self, *arguments)

    monkeypatch.setattr(beside, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(beside.HistGradientBoostingClassifier, "fit", slow)
    with pytest.raises(OutOfTime):
        outcome_of(TREES, clouds(), seconds=3.5)  # one round, and three looks at least that find nothing better
    assert rounds == [1]
    rounds.clear()
    outcome_of(TREES, clouds(), seconds=100.0)
    assert rounds[:3] == [1, 10, 20]


def fitted(monkeypatch):
    """How often each classifier is fitted from here on."""
    fits = []
    fit = beside.fit_and_test

    def counted(classifier, *arguments):
        fits.append(classifier.name)
        return fit(classifier, *arguments)

    monkeypatch.setattr(beside, "fit_and_test", counted)
    return fits


OPTIONS = {"methods": ["softmax"], "epochs": 1, "learning_rate": 1e-2, "device": "cpu"}


def test_a_run_fits_them_in_its_first_round_and_keeps_them(monkeypatch):
    fits, keeper = fitted(monkeypatch), Memory()
    found = run(clouds(), repeats=6, keeper=keeper, **OPTIONS)
    assert sorted(fits) == ["logistic"] * 5 + ["trees"] * 5
    assert [(each.name, len(each.tested), each.in_time) for each in found.beside] == [
        ("logistic", 5, True),
        ("trees", 5, True),
    ]
    for each in found.beside:
        assert (each.difference.method, each.difference.repeats) == (each.name, 5)
        reached = np.mean([tested.measures["top1"] for tested in each.tested])
        heads = np.mean([trial.tested.measures["top1"] for trial in found.of("softmax")[:5]])
        assert each.difference.mean == pytest.approx(reached - heads)
    again = run(clouds(), repeats=7, keeper=keeper, **OPTIONS)
    assert len(fits) == 10
    assert [each.tested for each in again.beside] == [each.tested for each in found.beside]


def test_one_that_is_not_done_in_time_is_said_not_to_be_and_not_tried_again(monkeypatch):
    fits = fitted(monkeypatch)
    monkeypatch.setattr(schedule, "BESIDE_SHARE", 0.0)
    found = run(clouds(), repeats=5, **OPTIONS)
    assert sorted(fits) == ["logistic", "trees"]
    assert [(each.tested, each.in_time, each.difference) for each in found.beside] == [([], False, None)] * 2
    assert found.beside_cell(found.beside[0], "top1", spread=True) == "not reached"


def test_what_one_fit_leaves_of_its_time_the_next_may_take(monkeypatch):
    now, given = [0.0], []
    fit = beside.fit_and_test
    took = {"logistic": 0.5, "trees": 3.0}

    def timed(classifier, *arguments):
        given.append(arguments[-1])
        now[0] += took[classifier.name]
        return fit(classifier, *arguments[:-1], np.inf)

    monkeypatch.setattr(schedule, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(beside, "fit_and_test", timed)
    keeper = Memory()
    run(clouds(), repeats=2, keeper=keeper, **OPTIONS)  # of 180 seconds, a tenth for four fits
    assert given == pytest.approx([4.5, 4.5 + 4.0, 4.5 + 5.5, 4.5 + 9.5])
    given.clear()
    run(clouds(), repeats=3, keeper=keeper, **OPTIONS)  # for six, of which four are kept
    assert given == pytest.approx([3.0 + 5.0, 3.0 + 7.5])


@pytest.mark.parametrize("repeats", [1, 2])
def test_fewer_than_three_repeats_compare_nothing(repeats):
    found = run(clouds(), repeats=repeats, **OPTIONS)
    assert [(len(each.tested), each.difference) for each in found.beside] == [(repeats, None)] * 2
