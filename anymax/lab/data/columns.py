"""How one column of a table is named and read: as numbers, categories, dates, free text, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anymax._core.sentences import count_rows, of_path, quoted
from anymax.lab.errors import DataError
from anymax.lab.results import ColumnInfo

KINDS = ("number", "category", "date", "text")
MOST_LEVELS = 64  # one-hot columns per category; where more are frequent, levels are embedded
LARGEST_NUMBER = float(np.finfo(np.float32).max)
MISSING = "(missing)"
FREE_TEXT_WORDS = 4  # mean words per cell from which text that hardly repeats is read word by word
SMALLEST_COUNTER = 6  # rows below which whole numbers in a row may be chance
LONGEST_NAME = 10_000  # characters of a column's name or a class; what is longer is no name
LOOKED_AT = 1000  # cells that distinguish dates and free text from the rest

# what stands for a date beside ISO 8601; pairs differ in whether day or month comes first
DATE_FORMATS = (
    ("ISO8601",),
    ("%d.%m.%Y",),
    ("%d.%m.%Y %H:%M",),
    ("%d.%m.%Y %H:%M:%S",),
    ("%Y/%m/%d",),
    ("%Y/%m/%d %H:%M",),
    ("%Y/%m/%d %H:%M:%S",),
    ("%d/%m/%Y", "%m/%d/%Y"),
    ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"),
    ("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"),
    ("%d-%m-%Y", "%m-%d-%Y"),
    ("%d %b %Y",),
    ("%d %B %Y",),
    ("%b %d, %Y",),
    ("%B %d, %Y",),
)


@dataclass(frozen=True)
class Column:
    """One feature column as it was read; `values` is None where it was dropped.

    The values are numbers, level names, text, or for a date the numbers that it gives, a column each.
    """

    info: ColumnInfo
    values: pd.Series | pd.DataFrame | None
    note: str | None = None


def check_names(table: str, names: Sequence[str]) -> None:
    """Refuse two columns of one name, and names that are none.

    Raises:
        DataError: with the name.
    """
    for name in names:
        if len(name) > LONGEST_NAME:
            raise too_long(table, name)
        if "\0" in name:
            raise DataError(f"Column {quoted(name)} of {of_path(table)} has a null character in its name: rename it.")
    for name, occurrences in Counter(names).items():
        if name and occurrences > 1:
            raise DataError(
                f"{of_path(table)} has {occurrences} columns named {quoted(name)}: rename all but one of them."
            )


def too_long(table: str, name: str) -> DataError:
    """Why text that long is no name of a column."""
    return DataError(
        f"{of_path(table)} has a column whose name is longer than {LONGEST_NAME} characters ({quoted(name)}): "
        "shorten it, or close a quote that is left open."
    )


def read_column(name: str, cells: pd.Series, decimal_comma: bool = False, kind: str | None = None) -> Column:
    """Decide what one feature column holds: numbers, categories, dates, text, or nothing to learn from.

    Args:
        name: what the column is called.
        cells: its cells, missing ones NA.
        decimal_comma: whether "1,5" is a number.
        kind: one of `KINDS` that the user asked for, whatever the cells look like.

    Raises:
        DataError: the column has no value, an infinite one, or does not fit the kind that was asked for.
    """
    cells = cells.reset_index(drop=True)
    if cells.dtype == object and pd.api.types.infer_dtype(cells, skipna=True) not in ("string", "empty"):
        cells = cells.map(str, na_action="ignore")
    present = cells.notna()
    missing = int((~present).sum())
    if not present.any():
        raise DataError(f"Feature column {quoted(name)} has no value at all: take it out of the file.")
    different = int(cells.nunique())
    if different == 1 and not missing:
        return Column(ColumnInfo(name, "dropped", f"holds {quoted(cells[0])} in every row"), None)
    if kind is not None:
        return _as_asked(name, cells, missing, decimal_comma, kind)

    every = f"every {'non-empty ' if missing else ''}cell is a"
    if pd.api.types.is_datetime64_any_dtype(cells):
        return _date_column(name, cells, f"{every} date", missing)
    numbers = to_numbers(cells, decimal_comma)
    not_numbers = present & numbers.isna()
    if not not_numbers.any():
        _refuse_infinite(name, cells, numbers)
        if _counts_rows(numbers):
            why = "counts the rows: whole numbers without a gap, each once"
            return Column(ColumnInfo(name, "dropped", why), None)
        return Column(ColumnInfo(name, "number", f"{every} number", missing), numbers)
    dates = to_dates(cells)
    if isinstance(dates, pd.Series):
        return _date_column(name, dates, f"{every} date", missing)

    if _is_free_text(pd.Series(cells[present]), different):
        why = f"free text: {different} different cells, read word by word"
        return Column(ColumnInfo(name, "text", why, missing), _as_text(cells, ""))
    if different == int(present.sum()):
        why = "holds text that is different in every row"
        return Column(ColumnInfo(name, "dropped", why, missing), None, _ambiguity_note(name, dates))
    example = quoted(cells[int(np.flatnonzero(not_numbers)[0])])
    which = "some of them" if not_numbers.sum() < present.sum() else "which are"
    why = f"{different} different values, {which} not numbers ({example})"
    note = _ambiguity_note(name, dates)
    if not_numbers.sum() <= 0.1 * present.sum():
        note = (
            f"Column {quoted(name)} is read as a category because {count_rows(int(not_numbers.sum()))} hold no number "
            f"({example}): if that means missing, make those cells empty."
        )
    return _category_column(name, cells, why, different, missing, note)


def _as_asked(name: str, cells: pd.Series, missing: int, decimal_comma: bool, kind: str) -> Column:
    """The column as the kind that was asked for, or one sentence on the first cell that does not fit."""
    why = "read so because you asked for it"
    if kind == "category":
        return _category_column(name, cells, why, int(cells.nunique()), missing, None)
    if kind == "text":
        text = _as_text(cells, "")
        if not text.str.contains(r"\w").any():
            raise DataError(f"Column {quoted(name)} cannot be read as text: no cell of it holds a word.")
        return Column(ColumnInfo(name, "text", why, missing), text)
    if kind == "number":
        numbers = to_numbers(cells, decimal_comma)
        unfit = cells.notna() & numbers.isna()
        if unfit.any():
            raise _does_not_fit(name, "number", cells, unfit)
        _refuse_infinite(name, cells, numbers)
        return Column(ColumnInfo(name, "number", why, missing), numbers)
    dates = cells if pd.api.types.is_datetime64_any_dtype(cells) else to_dates(_as_text(cells, None))
    if isinstance(dates, str):
        raise DataError(f"Column {quoted(name)} cannot be read as date: {dates}.")
    if dates is None:
        parsed = pd.to_datetime(_as_text(cells, None), format="ISO8601", errors="coerce", utc=True)
        raise _does_not_fit(name, "date", cells, cells.notna() & parsed.isna())
    return _date_column(name, dates, why, missing)


def _does_not_fit(name: str, kind: str, cells: pd.Series, unfit: pd.Series) -> DataError:
    row = int(np.flatnonzero(unfit)[0])
    return DataError(
        f"Column {quoted(name)} cannot be read as {kind}: row {row + 1} holds {quoted(cells[row])}, which is not one."
    )


def _category_column(name: str, cells: pd.Series, why: str, different: int, missing: int, note: str | None) -> Column:
    if different > MOST_LEVELS:
        why += f"; where more than {MOST_LEVELS} are frequent in the training part, each is embedded"
    return Column(ColumnInfo(name, "category", why, missing), _as_text(cells, MISSING), note)


def _date_column(name: str, dates: pd.Series, why: str, missing: int) -> Column:
    dates = pd.to_datetime(dates, utc=True)
    # standardised on the training part, days since any origin are the age counted from that part's latest day
    days = _seconds(dates) / 86_400
    # no name in a file holds a null character, so these meet no other column's
    values = pd.DataFrame(
        {
            f"{name}\0year": dates.dt.year,
            f"{name}\0month": dates.dt.month,
            f"{name}\0day of week": dates.dt.day_of_week,
            f"{name}\0age": -days,
        }
    ).astype(np.float64)
    return Column(ColumnInfo(name, "date", f"{why}: year, month, day of week and age in days", missing), values)


def _as_text(cells: pd.Series, missing: str | None) -> pd.Series:
    return cells.map(str, na_action="ignore").astype(object).where(cells.notna(), missing)


def _is_free_text(present: pd.Series, different: int) -> bool:
    if different <= len(present) / 2:
        return False
    words = present.iloc[:LOOKED_AT].astype(str).str.count(r"\w+")
    return float(words.mean()) >= FREE_TEXT_WORDS


def _ambiguity_note(name: str, dates: str | None) -> str | None:
    return f"Column {quoted(name)} is not read as dates: {dates}." if dates else None


def to_numbers(cells: pd.Series, decimal_comma: bool = False) -> pd.Series:
    """The cells as numbers, NaN where they are none."""
    if pd.api.types.is_numeric_dtype(cells):
        return cells.astype(np.float64)
    text = cells.astype(object)
    numbers = pd.Series(pd.to_numeric(text, errors="coerce"), dtype=np.float64)
    if decimal_comma:
        with_points = text.str.replace(",", ".", n=1)
        numbers = numbers.fillna(pd.Series(pd.to_numeric(with_points, errors="coerce"), dtype=np.float64))
    return numbers


def to_dates(cells: pd.Series) -> pd.Series | str | None:
    """The cells as dates, or what makes them ambiguous, or None where one of them is no date."""
    present = cells.dropna().astype(str)
    # pandas takes "now" and "today" for dates; and most columns of words are known not to be any in one step
    if not present.str.contains(r"[0-9]").all():
        return None
    for formats in DATE_FORMATS:
        fitting = [
            form
            for form in formats
            if (len(present) <= LOOKED_AT or _parsed(present.iloc[:LOOKED_AT], form) is not None)
            and _parsed(present, form) is not None
        ]
        if len(fitting) == 1:
            return pd.to_datetime(cells, format=fitting[0], errors="coerce", utc=True)
        if fitting:
            return (
                f"in {quoted(present.iloc[0])} and every other cell the day may come first or the month; "
                "write them as YEAR-MONTH-DAY"
            )
    return None


def _parsed(present: pd.Series, form: str) -> pd.Series | None:
    parsed = pd.to_datetime(present, format=form, errors="coerce", utc=True)
    return None if parsed.isna().any() else parsed


def _seconds(dates: pd.Series) -> pd.Series:
    """Seconds since 1970; days such as 9999-12-31, which stand for "for ever", are beyond the reach of nanoseconds."""
    return (dates - pd.Timestamp(0, tz="UTC").as_unit("s")).dt.total_seconds()


def _refuse_infinite(name: str, cells: pd.Series, numbers: pd.Series) -> None:
    beyond = numbers.abs() > LARGEST_NUMBER
    if beyond.any():
        row = int(np.flatnonzero(beyond)[0])
        raise DataError(
            f"Feature column {quoted(name)} holds an infinite number ({quoted(cells[row])}, row {row + 1}): "
            "replace it by a finite one or make the cell empty."
        )


def _counts_rows(numbers: pd.Series) -> bool:
    """Whether the column is a row number: as many different whole numbers as rows, without a gap."""
    ordered = np.sort(numbers.to_numpy())
    return len(ordered) >= SMALLEST_COUNTER and bool(np.all(np.diff(ordered) == 1))


def read_times(name: str, cells: pd.Series, decimal_comma: bool = False) -> np.ndarray:
    """The column that orders the rows: numbers, or dates as seconds.

    Raises:
        DataError: a cell is empty or neither number nor date.
    """
    cells = cells.reset_index(drop=True)
    if cells.isna().any():
        row = int(np.flatnonzero(cells.isna())[0])
        raise DataError(
            f"Time column {quoted(name)} is empty in {count_rows(int(cells.isna().sum()))}, first in row {row + 1}: "
            "fill these cells in or take the rows out."
        )
    if not pd.api.types.is_datetime64_any_dtype(cells):
        numbers = to_numbers(cells, decimal_comma)
        if np.isfinite(numbers).all():
            return numbers.to_numpy()
        dates = to_dates(cells)
    else:
        dates = cells
    if isinstance(dates, pd.Series):
        return _seconds(pd.to_datetime(dates, utc=True)).to_numpy(dtype=np.float64)
    why = dates or f"its cells (the first holds {quoted(cells[0])}) are not all numbers or all dates such as 2024-12-31"
    raise DataError(f"Time column {quoted(name)} cannot be put in order: {why}.")
