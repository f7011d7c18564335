"""What each row adds to a measure that is no mean over rows: macro-F1 and average precision.

The numbers of a part have the measure as their mean, and how they spread over the rows says to first order how the
measure spreads over parts (the influence function), so that `twoway.estimate` takes them like any other gain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def macro_f1(targets: np.ndarray, predictions: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """What each row adds to the mean of F1 over `classes`.

    F1 of a class is a / b, with a the mean over the rows of 2 [target = prediction = class] and b that of
    [target = class] + [prediction = class]. A row with a_i and b_i moves it by (a_i - F1 b_i) / b, which sums to 0.
    A class that neither occurs nor is predicted has an F1 of 0.
    """
    size = int(max(targets.max(initial=0), predictions.max(initial=0), *classes)) + 1
    hit = targets == predictions
    both = np.bincount(targets[hit], minlength=size) * 2.0
    either = np.maximum(1, np.bincount(targets, minlength=size) + np.bincount(predictions, minlength=size))
    of_mean = np.zeros(size)
    of_mean[list(classes)] = 1 / len(classes)
    f1 = both / either
    share = of_mean * len(targets) / either
    return float(of_mean @ f1) + 2 * hit * share[targets] - (share * f1)[targets] - (share * f1)[predictions]


def f1(hits: np.ndarray, said: np.ndarray) -> np.ndarray:
    """What each row adds to an F1 of yes/no decisions, of one or, a column each, of several.

    F1 is a / b as in `macro_f1`, and one without any yes, true or said, is 0.

    Args:
        hits: (rows, ...), 2 where yes is said and true, else 0; where decisions are counted together their sum.
        said: of the same shape, 1 for each yes that is said and 1 for each that is true.
    """
    all_said = np.maximum(1, said.sum(axis=0))
    found = hits.sum(axis=0) / all_said
    return found + len(said) / all_said * (hits - found * said)


def mean_average_precision(scores: np.ndarray, targets: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """What each row adds to the mean over `classes` of the average precision of each against the rest.

    Args:
        scores: (rows, all classes), higher where the class is likelier.
        targets: (rows,) class ids.
        classes: those that are measured.
    """
    return np.mean([average_precision(scores[:, c], targets == c) for c in classes], axis=0)


def average_precision(scores: np.ndarray, is_positive: np.ndarray) -> np.ndarray:
    r"""What each row adds to average precision: the mean over the positives of the precision at their score.

    With P(s) the share of positives among the B(s) rows that score at least s, and pi their share among all n rows, a
    row of score s, with y = 1 for a positive and else 0, moves it by

    .. math::
        \frac{1}{\pi} \Big(y (P(s) - AP) + \sum_{j \text{ positive}, s_j \le s} \frac{y - P(s_j)}{B(s_j)} \Big)

    Rows with equal scores share a threshold, as in scikit-learn. Without a positive it is 0.
    """
    positive = np.asarray(is_positive, dtype=np.float64)
    if not positive.any():
        return np.zeros(len(positive))
    # one entry per distinct score, from low to high
    _, at, ties = np.unique(scores, return_inverse=True, return_counts=True)
    positives = np.bincount(at, positive)
    rows_from = ties[::-1].cumsum()[::-1]
    precision = positives[::-1].cumsum()[::-1] / rows_from
    # what a row that scores s adds to the precision at the scores of the positives up to s
    as_positive = np.cumsum(positives / rows_from)
    less = np.cumsum(positives * precision / rows_from)
    ap = float(positives @ precision / positive.sum())
    moved = positive * (precision[at] - ap) + positive * as_positive[at] - less[at]
    return ap + moved / positive.mean()
