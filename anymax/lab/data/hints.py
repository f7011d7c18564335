"""What a column may mean beside what it is read as, and the option that would change the reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anymax._core.sentences import first_of, quoted
from anymax.lab.data.dates import EARLIEST, LATEST

MOST_LISTED = 5  # columns in one sentence
SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)
FEWEST_SENTINELS = 3  # rows
FEW_CODES, FEW_HALVES = 5, 21  # different numbers up to which they may be codes, or marks in halves,
FREQUENT = 0.05  # where each whole one stands in this share of the rows


@dataclass(frozen=True)
class Hint:
    """Something that is true of a column, and said once for all columns of which it is true."""

    what: str  # "constant" | "counter" | "identifier" | "codes" | "halves" | "sentinel"
    column: str
    detail: str = ""


def of_numbers(name: str, values: pd.Series) -> tuple[Hint, ...]:
    """What numbers may be beside quantities."""
    numbers = values.to_numpy()
    different, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    found = []
    if 2 < len(different) <= FEW_HALVES:
        if (different % 1 == 0).all():
            if len(different) <= FEW_CODES and counts.min() >= FREQUENT * counts.sum():
                found.append(Hint("codes", name, ", ".join(f"{value:g}" for value in different)))
        elif (different * 2 % 1 == 0).all():
            found.append(Hint("halves", name, f"{different[0]:g} to {different[-1]:g}"))
    sentinel = _sentinel(different, counts)
    if sentinel is not None:
        found.append(Hint("sentinel", name, f"{sentinel:g}"))
    return tuple(found)


def _sentinel(different: np.ndarray, counts: np.ndarray) -> float | None:
    """A number such as -999 that is far from all others and comes again."""
    if len(different) < 2:
        return None
    for end, others, times in ((different[0], different[1:], counts[0]), (different[-1], different[:-1], counts[-1])):
        if end not in SENTINELS or times < FEWEST_SENTINELS:
            continue
        gap = min(abs(end - others[0]), abs(end - others[-1]))
        if (end < 0 <= others[0]) or gap > others[-1] - others[0]:
            return float(end)
    return None


def are_days(values: pd.Series) -> bool:
    """Whether numbers may be dates without any sign between year, month and day, such as 20240112."""
    numbers = values.to_numpy()
    first = numbers[int(np.argmin(np.isnan(numbers)))]
    if not EARLIEST * 10_000 <= first < (LATEST + 1) * 10_000:
        return False
    numbers = numbers[~np.isnan(numbers)]
    return bool(((numbers >= EARLIEST * 10_000) & (numbers < (LATEST + 1) * 10_000) & (numbers % 1 == 0)).all())


def leading_zero(cells: pd.Series, values: pd.Series) -> str | None:
    """A whole number that begins with a zero, where all cells are whole numbers without a sign.

    Args:
        cells: as they stand there.
        values: the numbers in them.
    """
    numbers = values.to_numpy()
    if pd.api.types.is_numeric_dtype(cells) or not ((numbers % 1 == 0) | np.isnan(numbers)).all():
        return None
    present = [str(cell) for cell in cells.dropna().tolist()]
    if not all(cell.isdecimal() for cell in present):
        return None
    return next((cell for cell in present if len(cell) > 1 and cell[0] == "0"), None)


def no_words(name: str) -> str:
    """That text which was asked for holds nothing."""
    return f"Column {quoted(name)} contributes little: hardly a word of it stands in several rows."


def notes(hints: Iterable[Hint]) -> list[str]:
    """A sentence per kind of hint, or per sentinel, with the columns that it is true of."""
    of_what: dict[tuple[str, str], list[Hint]] = {}
    for hint in hints:
        of_what.setdefault((hint.what, hint.detail if hint.what == "sentinel" else ""), []).append(hint)
    return [_sentence(what, found) for (what, _), found in of_what.items()]


def _sentence(what: str, found: Sequence[Hint]) -> str:
    first = found[0].column
    detailed = [f"{quoted(hint.column)} ({hint.detail})" for hint in found]
    listed = first_of(detailed if what in ("codes", "halves") else [quoted(hint.column) for hint in found], MOST_LISTED)
    several = len(found) > 1
    columns, they = (f"Columns {listed}", "are") if several else (f"Column {listed}", "is")
    if what == "constant":
        return f"{columns} {they} dropped: the same value in every row."
    if what == "counter":
        return f"{columns} {they} dropped, as row numbers are: to keep one, --as {quoted(first + '=number')}."
    if what == "identifier":
        return (
            f"{columns} {they} dropped: text that is different in every row and shares no words; to keep "
            f"{'one' if several else 'it'}, --as {quoted(first + '=text')}."
        )
    if what == "sentinel":
        return (
            f"{columns} hold{'' if several else 's'} {found[0].detail} in some rows, far from all other numbers: if "
            f"that means missing, --missing {quoted(found[0].detail)}."
        )
    few = "few different whole numbers" if what == "codes" else "numbers in steps of a half"
    return (
        f"{columns} hold{'' if several else 's'} {few} and {they} read as {'numbers' if several else 'a number'}: if "
        f"{'such numbers are' if several else 'they are'} codes, --as {quoted(first + '=category')}."
    )
