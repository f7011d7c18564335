"""Class by class: how well each is found, what one head confuses, and the rows that all heads get wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from anymax.lab.measuring.outcomes import Outcomes
from anymax.lab.results import ByClass, ClassFigures, Confusions, MissedRow, MissedRows

MOST_CONFUSED = 20  # classes with a row and a column of their own
MOST_MISSED = 20  # rows that are named
DECIMALS = 6  # of a share: ten thousand classes and five heads have a hundred thousand of them
_DIVERGED = -1  # in place of the answers of a head whose training came to nothing


def by_label(outcomes: Outcomes, average_precisions: Mapping[str, list[list[float | None]]]) -> ByClass:
    """All that is said of single labels, where a row may have several: one is not taken for another.

    Args:
        outcomes: the answers of every head to the test parts.
        average_precisions: method -> that of each label, by repeat, without those in which training diverged.
    """
    found = figures(outcomes, outcomes.items[0].target.shape[1])
    for method, by_repeat in average_precisions.items():
        columns = [[one for each in by_repeat if (one := each[i]) is not None] for i in found.ids]
        found.average_precision[method] = [round(float(np.mean(each)), DECIMALS) if each else None for each in columns]
    return ByClass(found, confusions=None, missed=None)


def by_class(outcomes: Outcomes, num_classes: int, pick: str, *, has_rows: bool) -> ByClass:
    """All that is said of single classes.

    Args:
        outcomes: the answers of every head to the test parts.
        num_classes: how many classes the heads know.
        pick: the head whose confusions are counted.
        has_rows: whether an item is a row that one can look up; of a text it is a word.
    """
    return ByClass(
        figures=figures(outcomes, num_classes),
        confusions=confusions(outcomes, num_classes, pick),
        missed=missed_rows(outcomes) if has_rows else None,
    )


def figures(outcomes: Outcomes, num_classes: int) -> ClassFigures:
    """Recall and precision of each class or label that was tested, for every head: means over the repeats that have
    them.
    """
    tested = np.sum([_of_each(items.target, num_classes) for items in outcomes.items], axis=0)
    ids = np.flatnonzero(tested)
    recalls, precisions = {}, {}
    for method in outcomes.answers:
        counts = [_counts(target, answer, num_classes) for target, answer in _answered(outcomes, method)]
        if counts:
            hits, of_class, answered = (np.stack(each)[:, ids] for each in zip(*counts, strict=True))
            recalls[method] = _mean_share(hits, of_class)
            precisions[method] = _mean_share(hits, answered)
    return ClassFigures(ids.tolist(), tested[ids].tolist(), recalls, precisions)


def confusions(outcomes: Outcomes, num_classes: int, method: str) -> Confusions | None:
    """What a head answered to the most frequent classes, the rest together; None where it has no answers."""
    pairs = list(_answered(outcomes, method))
    if not pairs:
        return None
    targets, answers = (np.concatenate(each) for each in zip(*pairs, strict=True))
    tested = np.bincount(targets, minlength=num_classes)
    ids = np.argsort(-tested, kind="stable")[:MOST_CONFUSED]
    rest = num_classes - len(ids)
    side = len(ids) + bool(rest)
    place = np.full(num_classes, len(ids))
    place[ids] = np.arange(len(ids))
    items = np.bincount(place[targets] * side + place[answers], minlength=side * side).reshape(side, side)
    return Confusions(method, ids.tolist(), rest, items.tolist())


def missed_rows(outcomes: Outcomes) -> MissedRows:
    """The rows that all heads answered wrongly: first those in most repeats, then those on whose answer they agree.

    Where all heads agree on another class, the class that the data give may be the wrong one.
    """
    row, target, answers = _items(outcomes)
    missed = (answers != target[:, None]).all(axis=1)
    rows, place = np.unique(row, return_inverse=True)
    tested, failed = (np.bincount(where, minlength=len(rows)) for where in (place, place[missed]))
    agreement = _agreement(place[missed], answers[missed], len(rows))
    worst = []
    for i in np.lexsort((rows, -agreement, -failed))[: min(MOST_MISSED, np.count_nonzero(failed))]:
        there = missed & (place == i)
        given = {
            name: column[column != _DIVERGED] for name, column in zip(outcomes.answers, answers[there].T, strict=True)
        }
        worst.append(
            MissedRow(
                row=int(rows[i]),
                target=int(target[there][0]),
                repeats=int(failed[i]),
                tested=int(tested[i]),
                answers={name: ids.tolist() for name, ids in given.items() if len(ids)},
            )
        )
    always = int(((failed > 0) & (failed == tested)).sum())
    return MissedRows(rows=int((failed > 0).sum()), always=always, tested=len(rows), worst=worst)


def _items(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every item and repeat its row in the data, its class, and a column of answers for each head.

    Repeats in which all heads diverged are left out: these tested nothing.
    """
    rows, targets, answers = [], [], []
    for items, *found in zip(outcomes.items, *outcomes.answers.values(), strict=True):
        if not all(each.diverged for each in found):
            rows.append(items.row)
            targets.append(items.target)
            columns = [np.full_like(each.prediction, _DIVERGED) if each.diverged else each.prediction for each in found]
            answers.append(np.stack(columns, axis=1))
    if not rows:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros((0, len(outcomes.answers)), dtype=int)
    return np.concatenate(rows), np.concatenate(targets), np.concatenate(answers)


def _agreement(place: np.ndarray, answers: np.ndarray, rows: int) -> np.ndarray:
    """By row the share that its most frequent answer has of all answers to it; 0 where there are none."""
    pairs = np.stack([place.repeat(answers.shape[1]), answers.ravel()])
    pairs = pairs[:, pairs[1] != _DIVERGED]
    (places, _), counts = np.unique(pairs, axis=1, return_counts=True)
    most = np.zeros(rows)
    np.maximum.at(most, places, counts)
    return most / np.bincount(pairs[0], minlength=rows).clip(min=1)


def _answered(outcomes: Outcomes, method: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Classes and answers of each repeat in which the training of a head did not diverge."""
    for items, answers in zip(outcomes.items, outcomes.answers[method], strict=True):
        if not answers.diverged:
            yield items.target, answers.prediction


def _counts(target: np.ndarray, answer: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By class: items that are found, that are of it, and that are answered as it."""
    hits = target[target == answer] if target.ndim == 1 else target & answer
    return _of_each(hits, num_classes), _of_each(target, num_classes), _of_each(answer, num_classes)


def _of_each(items: np.ndarray, num_classes: int) -> np.ndarray:
    """How many items each class or label has."""
    return np.bincount(items, minlength=num_classes) if items.ndim == 1 else items.sum(axis=0)


def _mean_share(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    """By column the mean of part / whole over the rows that have a whole; None where none has."""
    there = wholes > 0
    shares = np.divide(parts, wholes, out=np.zeros(parts.shape), where=there)
    sums, numbers = shares.sum(axis=0), there.sum(axis=0)
    return [round(float(total / n), DECIMALS) if n else None for total, n in zip(sums, numbers, strict=True)]
