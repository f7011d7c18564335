"""Measures: hand-computed values, scikit-learn's where it has them, and the edges of calibration."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, f1_score, log_loss

from anymax.lab import measures
from anymax.lab.measures import NUM_BINS, Law, Outcome


def outcome_of(confidence, correct):
    """Items with given confidences, right or wrong."""
    confidence = np.asarray(confidence, dtype=np.float64)
    targets = np.zeros(len(confidence), dtype=np.int64)
    predictions = np.where(np.asarray(correct, dtype=bool), 0, 1)
    unused = np.zeros(len(confidence))
    return Outcome(targets, predictions, Law(unused, unused, confidence))


@pytest.fixture(scope="module")
def scored():
    """Log-probabilities of 500 items in 7 classes that are right more often than not, and their targets."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 7, (500,), generator=generator)
    scores = torch.randn(500, 7, generator=generator)
    scores[torch.arange(500), targets] += 1.5
    return scores.log_softmax(-1), targets


def observed(log_probs, targets):
    return measures.observe(targets, log_probs, log_prob=lambda rows: rows, predict=lambda rows: rows.topk(1))


def test_measures_agree_with_scikit_learn(scored):
    log_probs, targets = scored
    outcome = observed(log_probs, targets)
    found = measures.values(outcome, "classification", range(7))
    probs = log_probs.double().exp().numpy()
    probs /= probs.sum(1, keepdims=True)
    predictions = probs.argmax(1)
    assert set(found) == {"top1", "macro_f1", "nll", "brier", "ece"}
    assert 0.5 < found["top1"] < 1
    assert found["top1"] == (predictions == targets.numpy()).mean()
    assert found["macro_f1"] == pytest.approx(f1_score(targets, predictions, average="macro"))
    assert found["nll"] == pytest.approx(log_loss(targets, probs), rel=1e-6)
    assert found["brier"] == pytest.approx(
        brier_score_loss(targets, probs, labels=range(7), scale_by_half=False), rel=1e-6
    )


def test_perplexity_is_the_exponential_of_the_mean_nll(scored):
    outcome = observed(*scored)
    found = measures.values(outcome, "text", range(7))
    assert set(found) == {"perplexity", "nll", "top1", "brier", "ece"}
    assert found["perplexity"] == pytest.approx(math.exp(found["nll"]))


def test_measures_do_not_depend_on_how_rows_are_chunked(scored, monkeypatch):
    whole = measures.values(observed(*scored), "classification", range(7))
    monkeypatch.setattr(measures, "MOST_SCORES", 7 * 13)
    assert measures.values(observed(*scored), "classification", range(7)) == pytest.approx(whole, rel=1e-12)


def test_a_head_without_a_law_has_predictions_and_nothing_else(scored):
    log_probs, targets = scored
    outcome = measures.observe(targets, log_probs, log_prob=None, predict=lambda rows: rows.topk(1))
    found = measures.values(outcome, "classification", range(7))
    assert found["top1"] == measures.value(observed(*scored), "top1", range(7))
    assert [key for key, value in found.items() if value is None] == ["nll", "brier", "ece"]
    assert measures.reliability(outcome) == []
    assert measures.calibration_error_if_calibrated(outcome) is None
    assert measures.by_block(outcome) == ([], {})


def test_constant_agrees_with_the_same_rows_written_out():
    log_probs = torch.tensor([0.2, 0.5, 0.3]).log()
    targets = torch.tensor([0, 1, 1, 2, 1])
    told = measures.constant(targets, log_probs)
    written = observed(log_probs.expand(5, 3), targets)
    assert measures.values(told, "text", range(3)) == pytest.approx(measures.values(written, "text", range(3)))


def test_a_class_that_is_not_measured_does_not_count():
    outcome = Outcome(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), None)
    assert measures.value(outcome, "macro_f1", [0, 1]) == pytest.approx((1 + 2 / 3) / 2)


def test_numbers_that_are_not_finite_are_none():
    infinite = Outcome(np.array([0]), np.array([0]), Law(*(np.array([np.inf]),) * 3))
    found = measures.values(infinite, "text", [0])
    assert found == {"perplexity": None, "nll": None, "top1": 1.0, "brier": None, "ece": None}
    huge = Outcome(np.array([0]), np.array([0]), Law(np.array([800.0]), np.array([2.0]), np.array([1.0])))
    assert measures.value(huge, "perplexity", [0]) is None
    assert measures.value(huge, "nll", [0]) == 800
    assert measures.by_block(infinite) == ([], {})


# ---------------------------------------------------------------- calibration


def test_confidence_of_exactly_one_falls_into_the_last_bin():
    # where the last bin is open above, as in torchmetrics 1.9, this comes out as .525
    outcome = outcome_of([0.95, 1.0], [True, False])
    bins = measures.reliability(outcome)
    assert [(b.confidence, b.accuracy, b.count) for b in bins] == [(0.975, 0.5, 2)]
    assert measures.value(outcome, "ece", [0]) == pytest.approx(0.475)


def test_confidence_zero_and_edges_fall_below_their_edge():
    edges = np.arange(NUM_BINS + 1) / NUM_BINS
    bins = measures.reliability(outcome_of(edges, np.ones(NUM_BINS + 1)))
    assert len(bins) == NUM_BINS
    assert [b.count for b in bins] == [2] + [1] * (NUM_BINS - 1)
    assert bins[-1].confidence == 1


def test_empty_bins_are_left_out_and_counts_sum_to_the_items():
    generator = np.random.default_rng(0)
    confidence = generator.choice([0.31, 0.5, 0.97], size=100)
    bins = measures.reliability(outcome_of(confidence, generator.random(100) < confidence))
    assert len(bins) == 3
    assert sum(b.count for b in bins) == 100
    assert all(math.isfinite(b.confidence) and 0 <= b.accuracy <= 1 for b in bins)


def test_no_items_have_no_calibration_error():
    empty = outcome_of([], [])
    assert measures.reliability(empty) == []
    assert measures.value(empty, "ece", [0]) is None
    assert measures.calibration_error_if_calibrated(empty) is None


@pytest.mark.parametrize(("items", "expected"), [(50, 0.126), (100, 0.089), (1000, 0.029), (10_000, 0.0086)])
def test_a_calibrated_model_shows_the_error_expected_of_its_size(items, expected):
    # confidences uniform on (.5, 1); expectations from an independent simulation
    generator = np.random.default_rng(items)
    repeats = 40 if items <= 1000 else 4
    found = []
    for _ in range(repeats):
        confidence = generator.uniform(0.5, 1, size=items)
        found.append(measures.calibration_error_if_calibrated(outcome_of(confidence, np.ones(items)), draws=50))
    assert np.mean(found) == pytest.approx(expected, rel=0.05)


def test_the_expected_error_is_always_the_same_number():
    outcome = outcome_of([0.6, 0.7, 0.9], [True, True, False])
    assert measures.calibration_error_if_calibrated(outcome) == measures.calibration_error_if_calibrated(outcome)


def test_a_sure_and_right_model_is_expected_to_have_no_error():
    assert measures.calibration_error_if_calibrated(outcome_of([1.0] * 10, [True] * 10)) == 0


# ---------------------------------------------------------------- blocks


@pytest.mark.parametrize("items", [1, 49, 50, 51, 1234])
def test_blocks_hold_every_item_once_in_order(items):
    nll = np.random.default_rng(0).exponential(size=items)
    outcome = Outcome(np.zeros(items, int), np.zeros(items, int), Law(nll, nll, np.full(items, 0.5)))
    counts, by_measure = measures.by_block(outcome)
    sums = by_measure["nll"]
    assert len(sums) == len(counts) == min(50, items)
    assert sum(counts) == items
    assert sum(sums) == pytest.approx(nll.sum())
    assert sums[0] == pytest.approx(nll[: counts[0]].sum())
