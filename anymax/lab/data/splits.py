"""Which rows train, validate and test: stratified by class, by whole groups, or by time.

Where parts are drawn anew, repeats come in rounds of five, the folds of one shuffle: so every row that can be tested is
tested once a round, and the mean over a round has less spread than that over five random test parts.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from anymax.lab.errors import DataError

FOLDS = 5  # the repeats of a round
SMALLEST_SPLIT_CLASS = FOLDS  # a fifth of fewer rows is less than one: such a class cannot stand in every part
FEWEST_GROUPS = 5
TEST_SHARE = 1 / FOLDS
VALIDATION_SHARE = 0.25  # of what the test part leaves: a fifth of the whole
BLOCKS = 50  # of a test part whose neighbouring items are alike

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # row numbers of the training, validation and test part


def stratified(classes: np.ndarray, repeat: int) -> Rows:
    """Every class, or stratum, in every part; those too rare to be split go into training."""
    splittable = np.bincount(classes)[classes] >= SMALLEST_SPLIT_CLASS
    ids = np.flatnonzero(splittable)
    this_round, fold = divmod(repeat, FOLDS)
    folding = StratifiedKFold(FOLDS, shuffle=True, random_state=this_round)
    rest, test = (ids[rows] for rows in list(folding.split(ids, classes[ids]))[fold])
    train, validation = train_test_split(rest, test_size=VALIDATION_SHARE, stratify=classes[rest], random_state=repeat)
    return np.concatenate([train, np.flatnonzero(~splittable)]), np.asarray(validation), test


def strata(labels: np.ndarray) -> np.ndarray:
    """(rows,), by which rows are stratified that may have several labels: the rarest one that each has.

    From the rarest label on, the rows that have it and no rarer one are a stratum, if they are enough for every part;
    else they go with the next label that they have. What is left, rows without a label among it, is one more.

    Args:
        labels: (rows, labels), whether a row has a label.
    """
    found = np.full(len(labels), -1)
    for label in np.argsort(labels.sum(axis=0), kind="stable"):
        rows = labels[:, label] & (found < 0)
        if rows.sum() >= SMALLEST_SPLIT_CLASS:
            found[rows] = label
    left = found < 0
    if left.sum() < SMALLEST_SPLIT_CLASS and not left.all():
        found[left] = np.bincount(found[~left]).argmax()
    return np.unique(found, return_inverse=True)[1]


def grouped(classes: np.ndarray, groups: np.ndarray, repeat: int) -> Rows:
    """No group in two parts, and the classes as even as the groups allow."""
    this_round, fold = divmod(repeat, FOLDS)
    rows = np.arange(len(classes))
    rest, test = _without_some_groups(rows, classes, groups, TEST_SHARE, this_round, fold)
    train, validation = _without_some_groups(rest, classes, groups, VALIDATION_SHARE, repeat, 0)
    return train, validation, test


def _without_some_groups(
    rows: np.ndarray, classes: np.ndarray, groups: np.ndarray, share: float, shuffle: int, turn: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows without about a share of them, and that share: one fold of whole groups."""
    there = len(np.unique(groups[rows]))
    folds = min(round(1 / share), there, int(np.bincount(classes[rows]).max()))
    if folds < 2:
        raise DataError("The groups are too uneven in size for three parts: expected groups of fewer rows.")
    folding = StratifiedGroupKFold(folds, shuffle=True, random_state=shuffle)
    with warnings.catch_warnings():
        # a class with fewer rows than folds is expected here: `measured_ids` leaves it out
        warnings.filterwarnings("ignore", message="The least populated class")
        drawn = list(folding.split(rows, classes[rows], groups[rows]))
    # a group of most rows belongs into training, in whichever fold it was drawn: the others take turns
    small = [fold for fold in drawn if 0 < len(fold[1]) <= 2 * share * len(rows)]
    largest = max((len(taken) for _, taken in small), default=0)
    usual = [fold for fold in small if 2 * len(fold[1]) >= largest]
    if not usual:
        usual = [min(drawn, key=lambda fold: abs(len(fold[1]) / len(rows) - share))]
    kept, taken = usual[turn % len(usual)]
    if not len(taken):
        raise DataError("The groups are too uneven in size for three parts: expected groups of fewer rows.")
    return rows[kept], rows[taken]


def by_time(times: np.ndarray) -> Rows:
    """The latest rows test, the latest of the others validate; equal times stand in one part, each in order of time."""
    # whatever the order in the file: what is alike in neighbouring test rows shows in blocks of rows near in time
    rest, test = _without_latest(np.argsort(times, kind="stable"), times, TEST_SHARE)
    train, validation = _without_latest(rest, times, VALIDATION_SHARE)
    return train, validation, test


def in_blocks(items: int) -> np.ndarray:
    """A block number for each of so many items in a row: 50 contiguous blocks, equal in size but for one item."""
    return np.arange(items) * min(BLOCKS, items) // max(1, items)


def _without_latest(rows: np.ndarray, times: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    here = times[rows]
    starts, counts = np.unique(here, return_counts=True)
    if len(starts) < 2:
        raise DataError(
            "The time column has too few different times for three parts, one later than the other: expected more."
        )
    later = np.cumsum(counts[::-1])[::-1]  # rows at each time or after it
    start = starts[1:][np.argmin(np.abs(later[1:] - share * len(rows)))]
    return rows[here < start], rows[here >= start]
