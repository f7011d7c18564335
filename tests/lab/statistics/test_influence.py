"""What each row adds to macro-F1 and average precision: the derivative of scikit-learn's value in the row's weight."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from anymax.lab.statistics.influence import average_precision, macro_f1, mean_average_precision

STEP = 1e-5


def by_weight(measure, rows):
    """How a measure that takes weights changes with the weight of each row, times the number of rows."""
    moved = []
    for row in range(rows):
        up, down = np.ones(rows), np.ones(rows)
        up[row], down[row] = 1 + STEP, 1 - STEP
        moved.append(rows * (measure(up) - measure(down)) / (2 * STEP))
    return measure(np.ones(rows)) + np.array(moved)


@pytest.mark.parametrize("levels", [None, 6, 1], ids=["no ties", "ties", "all the same"])
@pytest.mark.parametrize("positives", [1, 12, 40])
def test_average_precision_is_the_derivative_of_scikit_learns(levels, positives):
    random = np.random.default_rng(positives)
    is_positive = random.permutation(40) < positives
    scores = random.standard_normal(40) + is_positive
    if levels is not None:
        scores = np.digitize(scores, np.linspace(-1, 1, levels - 1)).astype(float)
    found = average_precision(scores, is_positive)
    expected = by_weight(lambda weight: average_precision_score(is_positive, scores, sample_weight=weight), 40)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    assert found.mean() == pytest.approx(average_precision_score(is_positive, scores), rel=1e-12)


def test_average_precision_without_a_positive_is_0():
    assert not average_precision(np.arange(4.0), np.zeros(4, dtype=bool)).any()


def test_mean_average_precision_is_over_the_classes_measured():
    random = np.random.default_rng(0)
    targets, scores = random.integers(0, 4, 60), random.standard_normal((60, 4))
    found = mean_average_precision(scores, targets, [0, 3])
    each = [average_precision(scores[:, c], targets == c) for c in (0, 3)]
    np.testing.assert_allclose(found, (each[0] + each[1]) / 2)


# class 3 is measured and never occurs in the second case; class 4 is predicted there and not measured
@pytest.mark.parametrize(("occurring", "predicted", "classes"), [(4, 4, [0, 1, 2, 3]), (3, 5, [0, 2, 3])])
def test_macro_f1_is_the_derivative_of_scikit_learns(occurring, predicted, classes):
    random = np.random.default_rng(1)
    targets = random.integers(0, occurring, 50)
    predictions = np.where(random.random(50) < 0.6, targets, random.integers(0, predicted, 50))

    def measure(weight):
        return f1_score(targets, predictions, labels=classes, average="macro", sample_weight=weight, zero_division=0)  # pyright: ignore[reportArgumentType]: the stubs know only "warn"

    np.testing.assert_allclose(macro_f1(targets, predictions, classes), by_weight(measure, 50), rtol=0, atol=1e-7)


@pytest.mark.parametrize("measure", ["average precision", "macro-F1"])
def test_the_spread_over_rows_is_the_spread_over_parts(measure):
    random = np.random.default_rng(2)
    rows, values, claimed = 800, [], []
    for _ in range(400):
        targets = (random.random(rows) < 0.2).astype(int)
        scores = random.standard_normal(rows) + 1.5 * targets
        if measure == "macro-F1":
            added = macro_f1(targets, (scores > 0.9).astype(int), [0, 1])
        else:
            added = average_precision(scores, targets == 1)
        values.append(added.mean())
        claimed.append(added.var(ddof=1) / rows)
    # the standard error of a standard deviation of 400 is 3.5 %
    assert np.sqrt(np.mean(claimed)) == pytest.approx(np.std(values, ddof=1), rel=0.11)
