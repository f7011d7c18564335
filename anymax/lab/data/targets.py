"""What is to be predicted of each row: its class, or which of several labels it has."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd

from anymax._core.sentences import count_rows, quoted, spelled
from anymax.lab.data.columns import LISTS, LONGEST_NAME, number_values
from anymax.lab.data.splits import SMALLEST_SPLIT_CLASS
from anymax.lab.errors import DataError, Option

MOST_LISTED = 5  # pairs of classes in one sentence
MOST_CELLS = 1 << 26  # rows times labels that are held in memory
SEPARATORS = (";", "|", ",")  # that may stand between labels
YES, NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


@dataclass(frozen=True)
class Target:
    """What is to be predicted.

    Args:
        values: (rows,) class ids, or (rows, labels), whether a row has a label.
        names: of the classes or labels.
        whys: what is said of each column that it was read from.
        notes: what must be said about them.
    """

    values: np.ndarray
    names: list[str]
    whys: dict[str, str]
    notes: list[str]


def read_target(cells: pd.DataFrame, separator: str | None) -> Target:
    """Read the target: classes in one column, labels in several or as the lists of one.

    Args:
        cells: the target's columns, no cell missing but in one of separated lists, where that is a row without a label.
        separator: what stands between the labels in a cell; None where cells are no such text.

    Raises:
        DataError: it is no such thing, or cannot be split; the sentence says what to change.
    """
    if cells.shape[1] > 1:
        if separator is not None:
            raise DataError(
                Option("target_separator"), " cuts the cells of one target column: name one, or leave it out."
            )
        return _labels_in_columns(cells)
    name, column = str(cells.columns[0]), cells.iloc[:, 0]
    is_list = column.map(lambda cell: isinstance(cell, LISTS)).to_numpy(dtype=bool)
    if separator is not None:
        if is_list.any():
            raise DataError(
                f"Target column {quoted(name)} holds lists already: leave ", Option("target_separator"), " out."
            )
        pieces = [[] if pd.isna(cell) else str(cell).split(separator) for cell in column]
        lists = [[piece.strip() for piece in row if piece.strip()] for row in pieces]
        return _labels_in_lists(name, lists, f", with {quoted(separator)} between them")
    if is_list.any():
        return _labels_in_lists(name, _checked_lists(name, column, is_list), "")
    return _classes(name, column)


def _labels_in_columns(cells: pd.DataFrame) -> Target:
    """Each column a label, its cells yes or no."""
    columns = []
    for name, column in cells.items():
        said = column.map(str).str.strip().str.casefold()
        is_label = said.isin(YES) | said.isin(NO)
        if not is_label.all():
            place = int(np.flatnonzero(~is_label)[0])
            raise DataError(
                f"Target column {quoted(name)} holds {quoted(column.iloc[place])}: of several target columns each is a "
                "label, with cells of 0 and 1, true and false, or yes and no."
            )
        has = said.isin(YES).to_numpy(dtype=bool)
        if has.all() or not has.any():
            raise DataError(
                f"Target column {quoted(name)} says {'yes' if has.all() else 'no'} in every row, so there is nothing "
                "to learn: leave it out of ",
                Option("target"),
                ".",
            )
        columns.append(has)
    values = np.stack(columns, axis=1)
    names = [str(name) for name in cells.columns]
    whys = {name: f"is a label: yes in {count_rows(int(has.sum()))}" for name, has in zip(names, values.T, strict=True)}
    return _of_labels(values, names, whys, [])


def _labels_in_lists(name: str, lists: list[list[str]], how: str) -> Target:
    """Each row a list of the labels that it has."""
    names = sorted({label for row in lists for label in row}, key=_numbers_first)
    if len(names) < 2:
        held = f"the label {quoted(names[0])} only" if names else "no label"
        raise DataError(f"Target column {quoted(name)} holds {held}: expected lists of two or more different labels.")
    if len(longest := max(names, key=len)) > LONGEST_NAME:
        raise _too_long(name, longest, "labels")
    if len(names) * len(lists) > MOST_CELLS:
        raise DataError(
            f"Target column {quoted(name)} holds {len(names):,} different labels in {len(lists):,} rows: that is more "
            f"than {MOST_CELLS:,} decisions; keep the most frequent labels."
        )
    place = {label: i for i, label in enumerate(names)}
    values = np.zeros((len(lists), len(names)), dtype=bool)
    for row, labels in enumerate(lists):
        values[row, [place[label] for label in labels]] = True
    whys = {name: f"holds lists of {len(names):,} labels{how}"}
    return _of_labels(values, names, whys, _alike_notes(names, "Labels", "label"))


def _checked_lists(name: str, column: pd.Series, is_list: np.ndarray) -> list[list[str]]:
    """The labels of each row as text; every cell has to be a list of plain values."""

    def wrong(row: Any, what: str) -> DataError:
        return DataError(
            f"Target column {quoted(name)} holds {what} (row {row + 1}): expected a list of labels in each cell."
        )

    lists = []
    for (row, cell), is_one in zip(column.items(), is_list, strict=True):
        if not is_one:
            raise wrong(row, f"lists, and {quoted(cell)}")
        labels = list(cell)
        for label in labels:
            if isinstance(label, (*LISTS, dict)):
                raise wrong(row, "a list within a list")
            if pd.isna(label) or not str(label).strip():
                raise wrong(row, "a list with an empty label")
        lists.append([str(label).strip() for label in labels])
    return lists


def _of_labels(values: np.ndarray, names: list[str], whys: dict[str, str], notes: list[str]) -> Target:
    """The target, if it can be split."""
    rows = values.sum(axis=0)
    if not (np.minimum(rows, len(values) - rows) >= SMALLEST_SPLIT_CLASS).any():
        raise DataError(
            f"Of the {len(names)} labels none has the {SMALLEST_SPLIT_CLASS} rows with it, and as many without, that a "
            "split into training, validation and test part needs: expected one or more such labels."
        )
    return Target(values, names, whys, [*notes, *_label_notes(values)])


def _label_notes(values: np.ndarray) -> list[str]:
    """How many labels a row has, where that says something about the question."""
    number = values.sum(axis=1)
    if (number == 1).all():
        return [
            "Every row has exactly one label: if labels exclude each other they are classes, and with a target of one "
            "column that names them more heads can take part."
        ]
    without = int((number == 0).sum())
    return [f"{without} of {len(values)} rows {'has' if without == 1 else 'have'} no label."] if without else []


def _classes(target: str, cells: pd.Series) -> Target:
    """The classes in a column, in numeric order where their names are numbers."""
    text = cells.astype(str)
    names = sorted(set(text), key=_numbers_first)
    longest = max(names, key=len)
    if len(longest) > LONGEST_NAME:
        raise _too_long(target, longest, "classes")
    _refuse_continuous(number_values(text), target)
    counts = text.value_counts()
    if len(names) == 1:
        raise DataError(
            f"Target column {quoted(target)} has one class only ({quoted(names[0])}, in all {len(text)} rows): "
            "expected two or more."
        )
    splittable = int((counts >= SMALLEST_SPLIT_CLASS).sum())
    if splittable < 2:
        raise DataError(
            f"Target column {quoted(target)} has {len(names)} classes, of which {splittable} "
            f"{'has' if splittable == 1 else 'have'} the {SMALLEST_SPLIT_CLASS} rows that a split into training, "
            "validation and test part needs: expected two or more such classes."
        )
    ids = pd.Categorical(text, categories=names).codes.astype(np.int64)
    notes = [*_alike_notes(names, "Classes", "class"), *_list_notes(names)]
    return Target(ids, names, {target: f"holds {len(names)} classes"}, notes)


def _too_long(target: str, name: str, what: str) -> DataError:
    return DataError(
        f"Target column {quoted(target)} holds a cell of {len(name)} characters ({quoted(name)}): "
        f"expected the names of {what}, of {LONGEST_NAME} characters at most."
    )


def _list_notes(names: list[str]) -> list[str]:
    """That classes may be lists: most hold a separator, and what it cuts out comes again."""
    for sign in SEPARATORS:
        held = [name for name in names if sign in name]
        pieces = {piece.strip() for name in names for piece in name.split(sign)}
        if 2 * len(held) >= len(names) > len(pieces):
            return [
                f"Classes such as {quoted(held[0])} look like lists: --target-separator {quoted(sign)} makes each part "
                "a label, of which a row may have several."
            ]
    return []


def _alike_notes(names: list[str], these: str, one: str) -> list[str]:
    """The classes or labels that may be meant as one."""
    alike: dict[object, list[str]] = {}
    for name in names:
        alike.setdefault(_meaning(name), []).append(name)
    pairs = [f"{spelled(first)} and {spelled(other)}" for first, *others in alike.values() for other in others]
    if not pairs:
        return []
    left = len(pairs) - MOST_LISTED
    more = f" and {left} more pair{'s' * (left > 1)}" if left > 0 else ""
    return [
        f"{these} {', '.join(pairs[:MOST_LISTED])}{more} differ only in capitals, in spaces or in how a number is "
        f"written: each stays a {one} of its own."
    ]


def _meaning(name: str) -> object:
    """The same for names that differ only in capitals, in spaces or in how a number is written."""
    folded = " ".join(name.split()).casefold()
    try:
        number = Decimal(folded)
    except InvalidOperation:
        return folded
    # "1_0" is 10 to Python and hardly to anyone who names classes
    return folded if number.is_nan() or "_" in folded else number


def _refuse_continuous(numbers: pd.Series, target: str) -> None:
    """A target of many numbers, not whole or hardly ever repeated, is a quantity and no class."""
    different = numbers.nunique()
    if numbers.isna().any() or different <= 20:
        return
    whole = bool((numbers * 2 % 1 == 0).all())  # marks may be given in halves
    if not whole or different > len(numbers) / 2:
        raise DataError(
            f"Target column {quoted(target)} looks continuous ({different} different numbers in {len(numbers)} rows): "
            "compare needs classes, so cut it into a few ranges or name another column."
        )


def _numbers_first(name: str) -> tuple[int, float, str]:
    try:
        value = float(name)
    except ValueError:
        return 1, 0.0, name
    # "nan" has no place among numbers, and would leave all of them in an order that differs from run to run
    return (1, 0.0, name) if np.isnan(value) else (0, value, name)
