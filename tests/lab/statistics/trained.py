"""Trained classifiers whose true difference is known, tested in folds: what estimates are judged on.

A law draws data sets; on each, classifiers are trained and tested in repeats; the truth is their mean difference over
the law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.model_selection import StratifiedKFold

from anymax.lab.data.splits import strata
from anymax.lab.statistics.influence import average_precision, macro_f1, mean_average_precision
from anymax.lab.statistics.twoway import Gains

FOLDS = 5
# train(random, x, y, num_classes) -> the probabilities of rows
Trainer = Callable[[np.random.Generator, np.ndarray, np.ndarray, int], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class Law:
    """Rows of which classes are drawn by a curved softmax, given that all classes can be split.

    Args:
        rare: the share of the last class, where it is rare.
        apart: where it is given, classes are as frequent as one another, each has its mean this far from 0, and few
            answers are wrong.
        labels: where they are given, a row has any number of labels and no class: the share of the rows that has each,
            by a curved logistic law.
    """

    rows: int
    features: int = 8
    classes: int = 3
    rare: float | None = None
    apart: float | None = None
    labels: tuple[float, ...] = ()

    @staticmethod
    def of_labels(rows: int, *shares: float) -> Law:
        """Rows with labels, each with its share of them."""
        return Law(rows, classes=len(shares), labels=shares)

    @property
    def even(self) -> float:
        """Rows that each class or label would have if all had as many."""
        return self.rows * (float(np.mean(self.labels)) if self.labels else 1 / self.classes)

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        while True:
            x, y = self._draw(random)
            if counts(y, self.classes).min() >= FOLDS:
                return x, y

    def _draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x = random.standard_normal((self.rows, self.features))
        if self.apart is not None:
            y = random.integers(0, self.classes, self.rows)
            return x + self.apart * np.eye(self.classes, self.features)[y], y
        scores = _scores(x, self.classes)
        if self.labels:
            return x, random.random(scores.shape) < expit(scores + _offsets(self.features, self.labels))
        if self.rare is not None:
            scores[:, -1] += _offset(self.features, self.classes, self.rare)
        return x, (scores + random.gumbel(size=scores.shape)).argmax(1)


def counts(y: np.ndarray, classes: int) -> np.ndarray:
    """Rows of each class, or of each label."""
    return np.bincount(y, minlength=classes) if y.ndim == 1 else y.sum(0)


def _scores(x: np.ndarray, classes: int) -> np.ndarray:
    # the law is the same for every data set
    fixed = np.random.default_rng(x.shape[1] * 100 + classes)
    straight, curved = fixed.standard_normal((2, x.shape[1], classes))
    return x @ straight + np.sin(2 * x) @ curved


@cache
def _offset(features: int, classes: int, rare: float) -> float:
    """What is to be added to the last class's scores, so that it has this share of the rows."""
    scores = _many_scores(features, classes)
    return _shift(scores[:, -1] - np.logaddexp.reduce(scores[:, :-1], axis=1), rare)


@cache
def _offsets(features: int, shares: tuple[float, ...]) -> np.ndarray:
    """What is to be added to the scores of labels, so that each has its share of the rows."""
    log_odds = _many_scores(features, len(shares))
    return np.array([_shift(column, share) for column, share in zip(log_odds.T, shares, strict=True)])


def _many_scores(features: int, classes: int) -> np.ndarray:
    return _scores(np.random.default_rng(0).standard_normal((100_000, features)), classes)


def _shift(log_odds: np.ndarray, share: float) -> float:
    """What is to be added to log-odds, so that their mean probability is this."""
    return float(brentq(lambda offset: expit(log_odds + offset).mean() - share, -99, 99))  # pyright: ignore[reportArgumentType]


def _softmax(scores: np.ndarray) -> np.ndarray:
    # columns are few: one after the other is faster than along the rows
    e = np.exp(scores - reduce(np.maximum, scores.T)[:, None])
    return e / reduce(np.add, e.T)[:, None]


def logistic(penalty: float, steps: int = 6) -> Trainer:
    """Softmax regression with a ridge penalty, by Newton's steps."""

    def train(random: np.random.Generator, x: np.ndarray, y: np.ndarray, num_classes: int):
        del random
        f, targets = np.column_stack([np.ones(len(x)), x]), np.eye(num_classes)[y]
        size = f.shape[1]
        squares = (f[:, :, None] * f[:, None, :]).reshape(len(f), -1)
        weight = np.zeros((num_classes, size))
        for _ in range(steps):
            probs = _softmax(f @ weight.T)
            curved = (probs[:, :, None] * (np.eye(num_classes) - probs[:, None, :])).reshape(len(f), -1)
            hessian = (curved.T @ squares).reshape(num_classes, num_classes, size, size)
            hessian = hessian.transpose(0, 2, 1, 3).reshape(num_classes * size, -1)
            slope = (probs - targets).T @ f + penalty * weight
            weight -= np.linalg.solve(hessian + penalty * np.eye(len(hessian)), slope.ravel()).reshape(weight.shape)
        return lambda rows: _softmax(np.column_stack([np.ones(len(rows)), rows]) @ weight.T)

    return train


def ridge(width: int | None, penalty: float = 1.0, scale: float = 4.0) -> Trainer:
    """Least squares on the features, or on `width` random ones of a layer that is drawn anew for each training."""

    def train(random: np.random.Generator, x: np.ndarray, y: np.ndarray, num_classes: int):
        weight = random.standard_normal((x.shape[1], width or 0)) / x.shape[1] ** 0.5
        shift = random.uniform(-1, 1, width or 0)

        def features(rows: np.ndarray) -> np.ndarray:
            inner = np.maximum(rows @ weight + shift, 0) if width else rows
            return np.column_stack([np.ones(len(rows)), inner])

        f = features(x)
        targets = np.eye(num_classes)[y]
        solved = np.linalg.solve(f.T @ f + penalty * np.eye(f.shape[1]), f.T @ targets)
        return lambda rows: _softmax(scale * features(rows) @ solved)

    return train


def nearest_mean(random: np.random.Generator, x: np.ndarray, y: np.ndarray, num_classes: int):
    del random
    means = np.stack([x[y == c].mean(0) if (y == c).any() else np.zeros(x.shape[1]) for c in range(num_classes)])
    return lambda rows: _softmax(rows @ means.T - 0.5 * np.square(means).sum(1))


def one_vs_rest(trainer: Trainer) -> Trainer:
    """A classifier of two classes for each label; what is drawn for a training is the same for all of them."""

    def train(random: np.random.Generator, x: np.ndarray, y: np.ndarray, num_classes: int):
        seed = int(random.integers(2**63))
        fitted = [trainer(np.random.default_rng(seed), x, has.astype(int), 2) for has in y.T]
        return lambda rows: np.stack([of_label(rows)[:, 1] for of_label in fitted], axis=1)

    return train


def drawn(error: float) -> Trainer:
    """No training: scores that rank the rows of each label as the law does, but for an error that is drawn anew."""

    def train(random: np.random.Generator, x: np.ndarray, y: np.ndarray, num_classes: int):
        off = error * random.standard_normal((x.shape[1], num_classes))
        return lambda rows: expit(_scores(rows, num_classes) + rows @ off)

    return train


def folds(random: np.random.Generator, y: np.ndarray, repeats: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each repeat: five repeats are the folds of one shuffle."""
    made = 0
    classes = y if y.ndim == 1 else strata(y)
    while made < repeats:
        folding = StratifiedKFold(FOLDS, shuffle=True, random_state=int(random.integers(2**31)))
        for train, test in folding.split(classes, classes):
            if made < repeats:
                yield train, test
            made += 1


@dataclass(frozen=True)
class Outcomes:
    """What each classifier gave on each tested row, all repeats one after the other."""

    row: np.ndarray
    repeat: np.ndarray
    target: np.ndarray
    probs: tuple[np.ndarray, ...]

    def gains(self, measure: str) -> list[Gains]:
        """What each row adds to the difference of each classifier from the first."""
        first, *others = (self._of_rows(probs, measure) for probs in self.probs)
        return [Gains(other - first, self.repeat, self.row) for other in others]

    def wrong(self) -> int:
        """How many rows some classifier answered wrongly in some repeat."""
        return len(np.unique(np.concatenate([self.row[self._is_wrong(probs)] for probs in self.probs])))

    def _is_wrong(self, probs: np.ndarray) -> np.ndarray:
        if self.target.ndim == 1:
            return probs.argmax(1) != self.target
        return ((probs > 0.5) != self.target).any(1)

    def _of_rows(self, probs: np.ndarray, measure: str) -> np.ndarray:
        if measure == "top1":
            return (probs.argmax(1) == self.target).astype(float)
        if measure == "nll":
            return -np.log(np.maximum(probs[np.arange(len(probs)), self.target], 1e-12))
        adds, classes = np.empty(len(probs)), range(probs.shape[1])
        for repeat in range(self.repeat.max() + 1):
            rows = self.repeat == repeat
            if measure == "macro_f1":
                adds[rows] = macro_f1(self.target[rows], probs[rows].argmax(1), classes)
            elif self.target.ndim == 2:
                of_labels = zip(probs[rows].T, self.target[rows].T, strict=True)
                adds[rows] = np.mean([average_precision(scores, has) for scores, has in of_labels], axis=0)
            else:
                adds[rows] = mean_average_precision(probs[rows], self.target[rows], classes)
        return adds


def outcomes(random: np.random.Generator, law: Law, trainers: Sequence[Trainer], *, repeats: int) -> Outcomes:
    x, y = law.draw(random)
    rows, numbers, probs = [], [], [[] for _ in trainers]
    for repeat, (train, test) in enumerate(folds(random, y, repeats)):
        for trainer, found in zip(trainers, probs, strict=True):
            found.append(trainer(random, x[train], y[train], law.classes)(x[test]))
        rows.append(test)
        numbers.append(np.full(len(test), repeat))
    row = np.concatenate(rows)
    return Outcomes(row, np.concatenate(numbers), y[row], tuple(map(np.concatenate, probs)))


def until(gains: Gains, repeats: int) -> Gains:
    """The first so many repeats."""
    early = gains.repeat < repeats
    return Gains(gains.gain[early], gains.repeat[early], gains.cluster[early])
