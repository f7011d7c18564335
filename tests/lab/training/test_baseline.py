"""Predictions of the user's beside the heads: judged on the same rows, with the same interval."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from anymax.lab import compare, summary
from anymax.lab.errors import DataError
from anymax.lab.report.page import render
from anymax.lab.training.events import FoundFinished, TrainingStarted
from tests.lab.calls import load

OPTIONS = {"methods": ["softmax", "sigmoid"], "epochs": 1, "lr": 0.003, "device": "cpu", "keep_model": False}
CLASSES = ["0", "1", "2"]


@pytest.fixture(scope="module")
def table():
    """Noise beside its class: no head finds much. The first rows have no target."""
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, 300).astype(str).astype(object)
    kind[:7] = None
    return pd.DataFrame({"x": random.standard_normal(300), "kind": kind})


def answers(table, right, probabilities=False):
    """Of which so many of a hundred rows are right."""
    truth = table["kind"].fillna("0").astype(int).to_numpy()
    wrong = np.arange(len(table)) % 100 >= right
    predicted = np.where(wrong, (truth + 1) % 3, truth)
    if not probabilities:
        return pd.DataFrame({"row": range(len(table)), "prediction": predicted})
    return pd.DataFrame(0.9 * np.eye(3)[predicted] + 0.1 / 3, columns=CLASSES).assign(row=range(len(table)))


def compared(table, baseline, seeds=5, **options):
    return compare(table, target="kind", seeds=seeds, baseline=baseline, **(OPTIONS | options))


@pytest.fixture(scope="module")
def beaten(table):
    """A comparison whose heads are worse than the predictions beside them."""
    return compared(table, answers(table, right=90))


@pytest.mark.usefixtures("heads_alone")
def test_rows_are_counted_as_they_stand_in_the_data(table):
    """A row without a target counts too, so that what was right stays right."""
    comparison = compared(table, answers(table, right=100))
    (beside,) = (each for each in comparison.beside if each.given)
    assert [tested.measures["top1"] for tested in beside.tested] == [1.0] * 5


def test_the_first_sentence_names_predictions_that_are_better(beaten):
    assert beaten.verdict.text.startswith("Ahead of every head here: the predictions of frame, with a top-1 accura")
    (beside,) = (each for each in beaten.beside if each.given)
    assert beside.difference.answer == "better"
    assert beside.difference.repeats == 5
    reached = np.mean([tested.measures["top1"] for tested in beside.tested])
    gap = reached - np.mean(beaten.values(beaten.verdict.pick, "top1"))
    assert beside.difference.mean == pytest.approx(gap, abs=1e-6)


@pytest.mark.usefixtures("heads_alone")
def test_worse_ones_are_a_row_and_no_sentence(table):
    comparison = compared(table, answers(table, right=5))
    assert "predictions" not in comparison.verdict.text
    (beside,) = (each for each in comparison.beside if each.given)
    assert beside.difference.answer == "worse"


def test_they_are_judged_over_all_repeats_and_classifiers_over_the_first(table):
    comparison = compared(table, answers(table, right=90), seeds=6)
    tested = {each.name: len(each.tested) for each in comparison.beside}
    assert tested == {"logistic": 5, "trees": 5, "baseline": 6}


def test_probabilities_have_a_likelihood_and_classes_alone_have_none(table, beaten):
    (with_law,) = (each for each in compared(table, answers(table, 90, True)).beside if each.given)
    assert with_law.tested[0].measures["nll"] == pytest.approx(
        -(0.9 * np.log(0.9 + 0.1 / 3) + 0.1 * np.log(0.1 / 3)), abs=0.15
    )
    (without,) = (each for each in beaten.beside if each.given)
    assert without.tested[0].measures["nll"] is None
    assert beaten.beside_cell(without, "nll", spread=True) == "no probabilities"
    assert beaten.beside_cell(without, "nll", spread=False) == "none"


@pytest.mark.usefixtures("heads_alone")
def test_where_the_likelihood_decides_classes_alone_are_not_compared(table):
    (beside,) = (each for each in compared(table, answers(table, 90), decide_by="nll").beside if each.given)
    assert beside.difference is None


def test_the_report_says_whose_word_it_is(beaten):
    said = (
        "baseline: the predictions of frame, on the tested rows of every repeat; that they are out of sample is your "
        "word."
    )
    assert said in summary.beside_note(beaten)
    page = render(beaten)
    assert said in page
    assert "baseline (the" not in page  # it is none of scikit-learn's


def test_a_finished_folder_takes_predictions_without_training(table, tmp_path):
    plain = compared(table, None, output=tmp_path)
    events = []
    comparison = compared(table, answers(table, right=90), output=tmp_path, progress=events.append)
    assert not [event for event in events if isinstance(event, TrainingStarted | FoundFinished)]
    assert comparison.verdict.differences == plain.verdict.differences
    assert [each.name for each in comparison.beside][-1] == "baseline"
    events.clear()
    again = compared(table, answers(table, right=90), output=tmp_path, progress=events.append)
    assert [event for event in events if isinstance(event, FoundFinished)]
    assert [dataclasses.asdict(each) for each in again.beside] == [
        dataclasses.asdict(each) for each in comparison.beside
    ]
    events.clear()
    other = compared(table, answers(table, right=80), output=tmp_path, progress=events.append)
    assert not [event for event in events if isinstance(event, FoundFinished)]
    assert other.beside[-1].tested != comparison.beside[-1].tested


def test_a_text_takes_none(tmp_path):
    with pytest.raises(DataError, match="baseline= does not fit a text"):
        compare("pydoc", baseline=pd.DataFrame({"row": [0], "prediction": ["a"]}))


def test_predictions_for_other_data_are_refused_before_training():
    wine = load("wine")
    frame = pd.DataFrame({"row": range(10), "prediction": wine.class_names[0]})
    with pytest.raises(DataError, match="lacks 168 of 178 rows"):
        compare("wine", baseline=frame)
