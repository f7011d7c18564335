"""The bootstrap of rows and repeats at once, the alternative to what each row adds by its influence.

Source: A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007.
"""

from __future__ import annotations

import numpy as np

from tests.lab.statistics.trained import Outcomes


def deviation(random: np.random.Generator, given: Outcomes, measure: str, repeats: int, draws: int = 200) -> float:
    """The standard deviation over draws of the mean difference of the second classifier from the first.

    A draw takes rows and, apart from that, repeats with replacement; a row counts in each repeat as often as it was
    drawn.
    """
    rows = int(given.row.max()) + 1
    of_row = random.multinomial(rows, np.full(rows, 1 / rows), size=draws)
    of_repeat = random.multinomial(repeats, np.full(repeats, 1 / repeats), size=draws)
    measured = weighted_f1 if measure == "macro_f1" else weighted_average_precision
    differences = np.empty((draws, repeats))
    for repeat in range(repeats):
        tested = given.repeat == repeat
        weights, targets = of_row[:, given.row[tested]], given.target[tested]
        ours, theirs = (measured(probs[tested], targets, weights) for probs in given.probs[:2])
        differences[:, repeat] = theirs - ours
    return float(np.std((of_repeat * differences).sum(1) / repeats))


def weighted_f1(probs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Macro-F1 with each of the weights (draws, rows)."""
    classes = np.arange(probs.shape[1])
    occurs, predicted = targets[:, None] == classes, probs.argmax(1)[:, None] == classes
    either = weights @ (occurs * 1.0 + predicted)
    return (2 * (weights @ (occurs & predicted)) / np.maximum(either, 1)).mean(1)


def weighted_average_precision(probs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision with each of the weights (draws, rows), its mean over the classes; ties in the rows' order."""
    found = []
    for of_class in range(probs.shape[1]):
        order = np.argsort(-probs[:, of_class], kind="stable")
        weight = weights[:, order]
        positive = weight * (targets[order] == of_class)
        precision = positive.cumsum(1) / np.maximum(weight.cumsum(1), 1)
        found.append((positive * precision).sum(1) / np.maximum(positive.sum(1), 1))
    return np.mean(found, axis=0)
