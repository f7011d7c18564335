"""Trained classifiers whose true difference is known, tested in folds: what estimates are judged on.

A law draws data sets; on each, two classifiers are trained and tested in repeats; the truth is their mean difference
over the law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.model_selection import StratifiedKFold

FOLDS = 5
# train(random, x, y, num_classes) -> the probabilities of rows
Trainer = Callable[[np.random.Generator, np.ndarray, np.ndarray, int], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class Law:
    """Rows from Gaussians of which classes are drawn by a curved softmax."""

    rows: int
    features: int = 8
    classes: int = 3
    rare: float | None = None  # the share of the last class, where it is rare

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x = random.standard_normal((self.rows, self.features))
        scores = _scores(x, self.classes)
        if self.rare is not None:
            scores[:, -1] += _offset(self.features, self.classes, self.rare)
        return x, (scores + random.gumbel(size=scores.shape)).argmax(1)


def _scores(x: np.ndarray, classes: int) -> np.ndarray:
    # the law is the same for every data set
    fixed = np.random.default_rng(x.shape[1] * 100 + classes)
    straight, curved = fixed.standard_normal((2, x.shape[1], classes))
    return x @ straight + np.sin(2 * x) @ curved


@cache
def _offset(features: int, classes: int, rare: float) -> float:
    """What is to be added to the last class's scores, so that it has this share of the rows."""
    scores = _scores(np.random.default_rng(0).standard_normal((100_000, features)), classes)
    others = np.logaddexp.reduce(scores[:, :-1], axis=1)
    return float(brentq(lambda offset: expit(scores[:, -1] + offset - others).mean() - rare, -50, 50))  # pyright: ignore[reportArgumentType]


def _softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def ridge(width: int | None, penalty: float = 1.0, scale: float = 4.0) -> Trainer:
    """Least squares on the features, or on `width` random ones that are drawn anew for each training."""

    def train(random: np.random.Generator, x: np.ndarray, y: np.ndarray, num_classes: int):
        weight = random.standard_normal((x.shape[1], width or 0)) / x.shape[1] ** 0.5 * 2
        shift = random.uniform(0, 2 * np.pi, width or 0)

        def features(rows: np.ndarray) -> np.ndarray:
            inner = np.cos(rows @ weight + shift) if width else rows
            return np.column_stack([np.ones(len(rows)), inner])

        f = features(x)
        target = np.eye(num_classes)[y]
        solved = np.linalg.solve(f.T @ f + penalty * np.eye(f.shape[1]), f.T @ target)
        return lambda rows: _softmax(scale * features(rows) @ solved)

    return train


def nearest_mean(random: np.random.Generator, x: np.ndarray, y: np.ndarray, num_classes: int):
    del random
    means = np.stack([x[y == c].mean(0) if (y == c).any() else np.zeros(x.shape[1]) for c in range(num_classes)])
    return lambda rows: _softmax(-0.5 * ((rows[:, None] - means) ** 2).sum(-1))


def folds(random: np.random.Generator, y: np.ndarray, repeats: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each repeat: five repeats are the folds of one shuffle."""
    made = 0
    while made < repeats:
        folding = StratifiedKFold(FOLDS, shuffle=True, random_state=int(random.integers(2**31)))
        for train, test in folding.split(y, y):
            if made < repeats:
                yield train, test
            made += 1


@dataclass(frozen=True)
class Outcomes:
    """What both classifiers gave on each tested row, all repeats one after the other."""

    row: np.ndarray
    repeat: np.ndarray
    target: np.ndarray
    probs: tuple[np.ndarray, np.ndarray]

    def gain(self, measure: str) -> np.ndarray:
        """What each row adds to the difference, the second classifier less the first."""
        ours, theirs = (self._of_rows(probs, measure) for probs in self.probs)
        return theirs - ours

    def _of_rows(self, probs: np.ndarray, measure: str) -> np.ndarray:
        if measure == "top1":
            return (probs.argmax(1) == self.target).astype(float)
        return -np.log(np.maximum(probs[np.arange(len(probs)), self.target], 1e-12))


def outcomes(random: np.random.Generator, law: Law, ours: Trainer, theirs: Trainer, *, repeats: int) -> Outcomes:
    x, y = law.draw(random)
    rows, numbers, probs = [], [], ([], [])
    for repeat, (train, test) in enumerate(folds(random, y, repeats)):
        for trainer, found in zip((ours, theirs), probs, strict=True):
            found.append(trainer(random, x[train], y[train], law.classes)(x[test]))
        rows.append(test)
        numbers.append(np.full(len(test), repeat))
    row = np.concatenate(rows)
    return Outcomes(row, np.concatenate(numbers), y[row], (np.concatenate(probs[0]), np.concatenate(probs[1])))
