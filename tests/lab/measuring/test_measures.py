"""Measures: hand-computed values, scikit-learn's where it has them, and the edges of calibration."""

import math

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as reference
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, log_loss, top_k_accuracy_score

from anymax import entmax
from anymax.lab.measure import MEASURES, measured
from anymax.lab.measuring import measures
from anymax.lab.measuring.measures import Law, Outcome
from anymax.lab.measuring.reliability import NUM_BINS


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
    return measures.observe(
        targets,
        log_probs,
        log_prob=lambda rows: rows,
        predict=lambda rows: rows.topk(1),
        scores=lambda rows: rows,
        ranks=True,
    )


def test_measures_agree_with_scikit_learn(scored):
    log_probs, targets = scored
    outcome = observed(log_probs, targets)
    found = measures.values(outcome, "classification", range(7))
    probs = log_probs.double().exp().numpy()
    probs /= probs.sum(1, keepdims=True)
    predictions = probs.argmax(1)
    assert set(found) == {"top1", "top5", "macro_f1", "average_precision", "nll", "brier", "ece"}
    assert 0.5 < found["top1"] < 1
    assert found["top1"] == (predictions == targets.numpy()).mean()
    assert found["macro_f1"] == pytest.approx(f1_score(targets, predictions, average="macro"))
    assert found["nll"] == pytest.approx(log_loss(targets, probs), rel=1e-6)
    assert found["top5"] == top_k_accuracy_score(targets, probs, k=5)
    assert found["top5"] < 1
    assert found["average_precision"] == pytest.approx(average_precision_score(np.eye(7)[targets], probs), rel=1e-6)
    assert found["brier"] == pytest.approx(
        brier_score_loss(targets, probs, labels=range(7), scale_by_half=False), rel=1e-6
    )


def test_perplexity_is_the_exponential_of_the_mean_nll(scored):
    outcome = observed(*scored)
    found = measures.values(outcome, "text", range(7))
    assert set(found) == {"perplexity", "perplexity_known", "nll", "top1", "top5", "brier", "ece"}
    assert found["perplexity"] == pytest.approx(math.exp(found["nll"]))
    assert found["perplexity_known"] is None


def test_perplexity_of_known_words_is_that_of_the_other_targets(scored):
    log_probs, targets = scored
    known = targets != 3
    found = measures.value(observed(log_probs, targets), "perplexity_known", range(7), unknown_class=3)
    assert found == pytest.approx(measures.value(observed(log_probs[known], targets[known]), "perplexity", range(7)))
    nothing_known = observed(log_probs[~known], targets[~known])
    assert measures.value(nothing_known, "perplexity_known", range(7), unknown_class=3) is None


def test_measures_do_not_depend_on_how_rows_are_chunked(scored, monkeypatch):
    whole = measures.values(observed(*scored), "classification", range(7))
    monkeypatch.setattr(measures, "MOST_SCORES", 7 * 13)
    assert measures.values(observed(*scored), "classification", range(7)) == pytest.approx(whole, rel=1e-12)


def test_torchmetrics_says_the_same(scored):
    log_probs, targets = scored
    probs = log_probs.exp()
    found = measures.values(observed(log_probs, targets), "classification", range(7))
    of_seven = {"num_classes": 7}
    top5 = reference.multiclass_accuracy(probs, targets, **of_seven, top_k=5, average="micro")
    assert found["top1"] == pytest.approx(
        float(reference.multiclass_accuracy(probs, targets, **of_seven, average="micro"))
    )
    assert found["top5"] == pytest.approx(float(top5))
    assert found["macro_f1"] == pytest.approx(float(reference.multiclass_f1_score(probs, targets, **of_seven)))
    assert found["average_precision"] == pytest.approx(
        float(reference.multiclass_average_precision(probs, targets, **of_seven)), rel=1e-5
    )
    assert found["ece"] == pytest.approx(
        float(reference.multiclass_calibration_error(probs, targets, **of_seven, n_bins=NUM_BINS)), rel=1e-5
    )


def test_a_head_without_a_law_has_predictions_and_ranks_and_nothing_else(scored):
    log_probs, targets = scored
    outcome = measures.observe(
        targets, log_probs, log_prob=None, predict=lambda rows: rows.topk(1), scores=lambda rows: rows, ranks=True
    )
    found = measures.values(outcome, "classification", range(7))
    with_law = measures.values(observed(*scored), "classification", range(7))
    assert {key: value for key, value in found.items() if value is not None} == {
        key: with_law[key] for key in ("top1", "top5", "macro_f1", "average_precision")
    }
    assert measures.reliability(outcome) == []
    assert measures.calibration_error_if_calibrated(outcome) is None
    assert measures.log_z(outcome) is None


def test_without_scores_what_needs_them_is_left_out(scored):
    log_probs, targets = scored
    outcome = measures.observe(targets, log_probs, log_prob=lambda rows: rows, predict=lambda rows: rows.topk(1))
    found = measures.values(outcome, "classification", range(7))
    assert [key for key, value in found.items() if value is None] == [key for key in found if MEASURES[key].from_scores]


def test_an_answer_of_its_own_is_judged_by_the_probability_that_the_law_gives_it():
    generator = torch.Generator().manual_seed(0)
    log_probs = (2 * torch.randn(20_000, 3, generator=generator)).log_softmax(-1)
    targets = torch.multinomial(log_probs.exp(), 1, generator=generator)[:, 0]
    shift = torch.tensor([0.0, 1.0, 3.0])
    outcome = measures.observe(
        targets, log_probs, log_prob=lambda rows: rows, predict=lambda rows: (rows + shift).topk(1)
    )
    answers = (log_probs + shift).argmax(-1)
    assert (answers != log_probs.argmax(-1)).double().mean() > 0.2
    assert np.array_equal(outcome.predictions, answers)
    # the law itself is that of the targets, whatever is answered: its error is what chance makes of it
    assert measures.value(outcome, "ece", ()) < 1.5 * measures.calibration_error_if_calibrated(outcome)
    assert measures.value(outcome, "nll", ()) == pytest.approx(float(-log_probs[range(20_000), targets].mean()))
    assert measures.value(outcome, "top1", ()) == float((answers == targets).double().mean())


def test_five_classes_have_no_top_5():
    log_probs = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    targets = torch.arange(20) % 5
    assert measures.value(observed(log_probs, targets), "top5", range(5)) is None
    assert measures.constant(targets, log_probs[0]).in_top5 is None


def test_log_z_is_mean_and_spread_of_the_log_of_the_sum(scored):
    log_probs, targets = scored
    shift = torch.linspace(-2, 3, len(targets))
    outcome = measures.observe(
        targets,
        log_probs,
        log_prob=lambda rows: rows.log_softmax(-1),
        predict=lambda rows: rows.topk(1),
        scores=lambda rows: rows + shift[: len(rows), None],
    )
    found = measures.log_z(outcome)
    assert found is not None
    assert found.mean == pytest.approx(0.5, abs=1e-6)
    assert found.spread == pytest.approx(float(shift.std(correction=0)), rel=1e-5)


# ---------------------------------------------------------------- laws with zeros


def of_map(scores, targets, alpha, ranks=True):
    """The outcome of a head whose probabilities are entmax of its scores."""
    return measures.observe(
        targets,
        scores,
        log_prob=lambda rows: entmax(rows, -1, alpha=alpha).log(),
        predict=lambda rows: rows.topk(1),
        scores=lambda rows: rows,
        ranks=ranks,
        alpha=alpha,
        has_log_z=False,
    )


@pytest.mark.parametrize("zeros", [0, 3])
def test_the_share_of_true_classes_without_a_chance_stands_in_for_the_likelihood(zeros):
    scores = torch.tensor([0.0, 0.5, 0.25, -5.0]).repeat(20, 1)  # sparsemax gives 1/12, 7/12, 1/3 and 0
    targets = torch.tensor([1] * (20 - zeros) + [3] * zeros)
    outcome = of_map(scores, targets, 2.0)
    found = measures.values(outcome, "text", range(4), unknown_class=0)
    assert found["impossible"] == zeros / 20
    squares = (1 + 49 + 16) / 144
    assert found["brier"] == pytest.approx(squares + 1 - (20 - zeros) / 20 * 7 / 6)
    assert found["ece"] == pytest.approx(abs((20 - zeros) / 20 - 7 / 12))
    assert [key for key, value in found.items() if value is None and key != "top5"] == [
        "nll",
        "perplexity",
        "perplexity_known",
    ]
    assert measures.log_z(outcome) is None
    adds = measures.by_item(outcome, "text", range(4))
    assert adds["brier"].mean() == pytest.approx(found["brier"])
    assert "nll" not in adds
    assert "impossible" not in measures.values(observed(scores.log_softmax(-1), targets), "text", range(4))


@pytest.mark.parametrize("alpha", [1.25, 1.5, 2.0])
def test_items_whose_probability_is_zero_are_still_ranked(alpha, scored):
    """By how far they are from having one, so that two classes are ranked as by softmax."""
    scores, targets = two_classes()
    binary = [
        measures.value(outcome, "average_precision", range(2))
        for outcome in (of_map(9 * scores, targets, alpha), observed(scores.log_softmax(-1), targets))
    ]
    assert binary[0] == pytest.approx(binary[1])
    scores, targets = scored
    outcome = of_map(scores, targets, alpha)
    probs = entmax(scores, -1, alpha=alpha).numpy()
    held = probs > 0
    assert 0.1 < held.mean() < 0.95
    assert np.allclose(outcome.ranked_by[held], probs[held] ** (alpha - 1) / (alpha - 1), atol=1e-5)
    assert (outcome.ranked_by[~held] < 1e-5).all()
    adds = measures.by_item(outcome, "classification", range(7))
    assert adds["average_precision"].mean() == pytest.approx(
        measures.value(outcome, "average_precision", range(7)), rel=1e-5
    )


# ---------------------------------------------------------------- average precision


def two_classes():
    """300 items of which a tenth are of class 1, which is told better than chance."""
    generator = torch.Generator().manual_seed(1)
    targets = (torch.rand(300, generator=generator) < 0.1).long()
    scores = torch.randn(300, 2, generator=generator)
    scores[:, 1] += 1.5 * targets
    return scores, targets


@pytest.mark.parametrize("flip", [False, True])
def test_of_two_classes_average_precision_is_that_of_the_rarer(flip):
    scores, targets = two_classes()
    if flip:
        scores, targets = scores.flip(1), 1 - targets
    rarer = 0 if flip else 1
    margin = (scores[:, rarer] - scores[:, 1 - rarer]).numpy()
    expected = average_precision_score(targets == rarer, margin)
    found = measures.value(observed(scores.log_softmax(-1), targets), "average_precision", range(2))
    assert found == pytest.approx(expected)
    assert 0.15 < found < 0.9


def test_probabilities_next_to_one_still_rank_two_classes():
    scores, targets = two_classes()
    scores[:, 1] += 40  # in float32 the log of each probability of the rarer class is 0
    expected = average_precision_score(targets, (scores[:, 1] - scores[:, 0]).numpy())
    found = measures.value(observed(scores.log_softmax(-1), targets), "average_precision", range(2))
    assert found == pytest.approx(expected, rel=0.02)


def test_what_a_law_adds_to_all_scores_of_an_item_does_not_rank_it(scored):
    log_probs, targets = scored
    shifted = log_probs + 10 * torch.randn(len(targets), 1, generator=torch.Generator().manual_seed(2))
    outcome = measures.observe(
        targets,
        shifted,
        log_prob=lambda rows: rows.log_softmax(-1),
        predict=lambda rows: rows.topk(1),
        scores=lambda rows: rows,
        ranks=True,
    )
    expected = measures.value(observed(*scored), "average_precision", range(7))
    assert measures.value(outcome, "average_precision", range(7)) == pytest.approx(expected, rel=1e-4)


def test_too_many_scores_to_keep_have_no_average_precision(scored, monkeypatch):
    monkeypatch.setattr(measures, "MOST_RANKED", 7 * 499)
    found = measures.values(observed(*scored), "classification", range(7))
    assert found["average_precision"] is None
    assert found["top5"] is not None


def test_average_precision_is_taken_where_a_class_is_rare_or_there_are_two():
    assert measures.takes_average_precision([50, 50], [0, 1])
    assert not measures.takes_average_precision([40, 50, 60], [0, 1, 2])
    assert measures.takes_average_precision([500, 500, 9], [0, 1, 2])
    assert not measures.takes_average_precision([500, 500, 1], [0, 1])


def test_the_trivial_answer_ranks_by_chance():
    _, targets = two_classes()
    told = measures.constant(targets, torch.tensor([0.9, 0.1]).log())
    assert measures.value(told, "average_precision", range(2)) == pytest.approx(float(targets.double().mean()))


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
    assert found == {key: None for key in measured("text") if not MEASURES[key].of_zeros} | {"top1": 1.0}
    huge = Outcome(np.array([0]), np.array([0]), Law(np.array([800.0]), np.array([2.0]), np.array([1.0])))
    assert measures.value(huge, "perplexity", [0]) is None
    assert measures.value(huge, "nll", [0]) == 800
    assert list(measures.by_item(infinite, "text", [0])) == ["top1"]


# ---------------------------------------------------------------- calibration


def test_confidence_of_exactly_one_falls_into_the_last_bin():
    outcome = outcome_of([0.95, 1.0], [True, False])
    # where the last bin is open above, the two items are apart: |.95 - 1| / 2 + |1 - 0| / 2
    open_above = reference.binary_calibration_error(torch.tensor([0.95, 1.0]), torch.tensor([1, 0]), n_bins=NUM_BINS)
    assert float(open_above) == pytest.approx(0.525)
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


# ---------------------------------------------------------------- by item


@pytest.mark.parametrize("classes", [2, 7])
def test_what_items_add_has_each_measure_as_its_mean(classes):
    random = np.random.default_rng(0)
    targets = torch.from_numpy(random.integers(0, classes, 200))
    scores = torch.from_numpy(random.standard_normal((200, classes))).float() + 2 * torch.eye(classes)[targets]
    outcome = observed(scores.log_softmax(-1), targets)
    measured_ids = list(range(classes - 1))
    adds = measures.by_item(outcome, "classification", measured_ids)
    assert set(adds) == {"top1", "macro_f1", "average_precision", "nll", "brier"} | ({"top5"} if classes > 5 else set())
    for key, numbers in adds.items():
        assert len(numbers) == 200
        assert numbers.mean() == pytest.approx(measures.value(outcome, key, measured_ids), rel=1e-5), key
    assert "macro_f1" not in measures.by_item(outcome, "text", measured_ids)


# ---------------------------------------------------------------- recall


def test_each_of_few_classes_has_a_recall_with_its_name():
    outcome = Outcome(np.array([0, 0, 1, 1, 1, 3]), np.array([0, 1, 1, 1, 1, 0]), None)
    found = measures.recall(outcome, [0, 1, 2, 3], [40, 30, 20, 10], ["a", "b", "c", "d"])
    assert [(r.name, r.frequency, r.classes, r.items, r.recall) for r in found] == [
        ("d", 10, 1, 1, 0.0),
        ("b", 30, 1, 3, 1.0),
        ("a", 40, 1, 2, 0.5),
    ]


def test_many_classes_share_bins_of_like_frequency():
    random = np.random.default_rng(0)
    counts = (2000 / np.arange(1, 401)).astype(int)  # word frequencies
    targets = random.choice(400, 20_000, p=counts / counts.sum())
    rare = counts < 20
    predictions = np.where(rare[targets] & (random.random(20_000) < 0.5), 0, targets)
    found = measures.recall(Outcome(targets, predictions, None), range(400), counts.tolist(), ["word"] * 400)
    assert 8 <= len(found) <= measures.RECALL_BINS
    assert sum(r.items for r in found) == 20_000
    assert sum(r.classes for r in found) == len(np.unique(targets))
    frequencies = [r.frequency for r in found]
    assert frequencies == sorted(frequencies)
    assert all(r.name is None for r in found)
    assert found[-1].recall == 1
    assert found[0].recall == pytest.approx(0.5, abs=0.1)


def test_no_items_have_no_recall():
    assert measures.recall(outcome_of([], []), range(60), [1] * 60, ["word"] * 60) == []
