"""Measures of rows with several labels: those of scikit-learn and torchmetrics, and what each row adds to them."""

import numpy as np
import pytest
import sklearn.metrics as theirs
import torch
import torchmetrics.functional.classification as reference
from scipy.special import expit

from anymax.lab.measuring import labels
from anymax.lab.measuring.reliability import NUM_BINS
from anymax.lab.statistics import influence

MEASURED = [0, 1, 3]


@pytest.fixture
def outcome():
    random = np.random.default_rng(0)
    has = random.random((200, 5)) < [0.5, 0.3, 0.1, 0.2, 0.05]
    log_odds = (2 * has - 1 + 1.5 * random.standard_normal((200, 5))).astype(np.float32)
    return labels.LabelOutcome(has, log_odds > 0.3, log_odds)


def test_measures_are_those_of_the_libraries(outcome):
    has, said, probability = outcome.targets, outcome.predictions, expit(outcome.log_odds.astype(float))
    flat = torch.from_numpy(probability.ravel()), torch.from_numpy(has.ravel().astype(int))
    expected = {
        "average_precision": theirs.average_precision_score(has[:, MEASURED], probability[:, MEASURED]),
        "macro_f1": theirs.f1_score(has[:, MEASURED], said[:, MEASURED], average="macro"),
        "micro_f1": theirs.f1_score(has, said, average="micro"),
        "exact": theirs.accuracy_score(has, said),
        "nll": theirs.log_loss(has.ravel(), probability.ravel()),
        "brier": theirs.brier_score_loss(has.ravel(), probability.ravel()),
        "ece": float(reference.binary_calibration_error(*flat, n_bins=NUM_BINS)),
    }
    found = labels.of_test_part(outcome, MEASURED, label_counts=[9, 7, 5, 3, 1], label_names=list("abcde"))
    assert found.measures == pytest.approx(expected, rel=1e-5)
    recall = dict(zip("abcde", theirs.recall_score(has, said, average=None), strict=True))
    assert {each.name: each.recall for each in found.recall} == pytest.approx({name: recall[name] for name in "dba"})
    assert [each.frequency for each in found.recall] == [3, 7, 9]


def test_what_rows_add_has_the_measure_as_its_mean(outcome):
    adds = labels.by_item(outcome, MEASURED)
    for key, numbers in adds.items():
        assert len(numbers) == 200
        assert numbers.mean(dtype=float) == pytest.approx(labels.value(outcome, key, MEASURED), rel=1e-5), key
    assert set(adds) == {"exact", "nll", "brier", "macro_f1", "micro_f1", "average_precision"}


@pytest.mark.parametrize("key", ["macro_f1", "micro_f1", "average_precision"])
def test_what_a_row_adds_is_how_the_measure_moves_with_it(outcome, key):
    """A hundred copies of all rows and one row more: the measure moves by its influence over the number of rows."""
    copies = 100
    adds = labels.by_item(outcome, MEASURED)[key].astype(float)
    whole = labels.value(outcome, key, MEASURED)
    for row in (0, 3, 50, 101):
        rows = np.append(np.tile(np.arange(200), copies), row)
        more = labels.LabelOutcome(outcome.targets[rows], outcome.predictions[rows], outcome.log_odds[rows])
        moved = (labels.value(more, key, MEASURED) - whole) * len(rows)
        assert moved == pytest.approx(adds[row] - whole, abs=2e-3 + 0.02 * abs(adds[row] - whole))


def test_f1_of_nothing_said_and_nothing_true_is_0():
    nothing = np.zeros((4, 2))
    assert influence.f1(nothing, nothing).tolist() == nothing.tolist()


def test_a_label_without_a_row_is_left_out_of_the_mean(outcome):
    outcome.targets[:, 1] = False
    assert labels.average_precision(outcome, 1) is None
    assert labels.value(outcome, "average_precision", [0, 1]) == labels.average_precision(outcome, 0)
    assert labels.value(outcome, "average_precision", [1]) is None
    adds = labels.by_item(outcome, [0, 1])["average_precision"]
    assert adds.mean(dtype=float) == pytest.approx(labels.average_precision(outcome, 0))
    assert "average_precision" not in labels.by_item(outcome, [1])


def test_scores_that_are_no_numbers_have_no_measures(outcome):
    outcome.log_odds[0, 0] = np.nan
    assert labels.value(outcome, "nll", MEASURED) is None
    assert labels.value(outcome, "ece", MEASURED) is None
    assert set(labels.by_item(outcome, MEASURED)) == {"exact", "macro_f1", "micro_f1"}


def test_sure_answers_keep_their_digits():
    outcome = labels.LabelOutcome(np.array([[True, False]]), np.array([[True, False]]), np.array([[30.0, -700.0]]))
    assert outcome.nll[0] == pytest.approx(np.exp(-30) / 2, rel=1e-12)


def test_the_trivial_answer_says_the_frequencies():
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    outcome = labels.constant(targets, torch.tensor([0.5, 0.25]).logit())
    assert labels.value(outcome, "nll", [0, 1]) == pytest.approx((np.log(2) + 0.5623351) / 2, rel=1e-6)
    assert labels.value(outcome, "average_precision", [0, 1]) == pytest.approx((0.5 + 0.25) / 2)
