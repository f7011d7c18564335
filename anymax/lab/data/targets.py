"""What is to be predicted of each row: its class, as a number into a list of names."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np
import pandas as pd

from anymax._core.sentences import quoted, spelled
from anymax.lab.data.columns import LONGEST_NAME, number_values
from anymax.lab.data.splits import SMALLEST_SPLIT_CLASS
from anymax.lab.errors import DataError

MOST_LISTED = 5  # pairs of classes in one sentence


@dataclass(frozen=True)
class Target:
    """What is to be predicted.

    Args:
        values: (rows,) class ids.
        names: of the classes.
        notes: what must be said about them.
    """

    values: np.ndarray
    names: list[str]
    notes: list[str]


def read_classes(cells: pd.Series, target: str) -> Target:
    """The classes in a column, in numeric order where their names are numbers.

    Raises:
        DataError: fewer than two of them can be split, or they are a quantity.
    """
    text = cells.astype(str)
    names = sorted(set(text), key=_numbers_first)
    longest = max(names, key=len)
    if len(longest) > LONGEST_NAME:
        raise DataError(
            f"Target column {quoted(target)} holds a cell of {len(longest)} characters ({quoted(longest)}): "
            f"expected the names of classes, of {LONGEST_NAME} characters at most."
        )
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
    return Target(pd.Categorical(text, categories=names).codes.astype(np.int64), names, _alike_notes(names))


def _alike_notes(names: list[str]) -> list[str]:
    """The classes that may be meant as one."""
    alike: dict[object, list[str]] = {}
    for name in names:
        alike.setdefault(_meaning(name), []).append(name)
    pairs = [f"{spelled(first)} and {spelled(other)}" for first, *others in alike.values() for other in others]
    if not pairs:
        return []
    left = len(pairs) - MOST_LISTED
    more = f" and {left} more pair{'s' * (left > 1)}" if left > 0 else ""
    return [
        f"Classes {', '.join(pairs[:MOST_LISTED])}{more} differ only in capitals, in spaces or in how a number is "
        "written: each stays a class of its own."
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
