"""Dates as people write them: which format all cells of a column share, and the cells read by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import product

import numpy as np
import pandas as pd

from anymax._core.sentences import quoted

LOOKED_AT = 1000  # cells that distinguish dates from the rest,
FIRST = 3  # and those of which one must be a date in a format for it to be looked into
FEW_MISFITS = 0.1  # of the cells, up to which a column is nearly one of dates
# years of eight digits that are dates: other numbers of eight digits are not all in these
EARLIEST, LATEST = 1800, 2200

ISO = "ISO8601"
ISO_WEEK, ISO_WEEK_DAY = "%G-W%V", "%G-W%V-%u"
DIGITS = "%Y%m%d"
# beside ISO 8601; pairs differ in whether day or month comes first
DAYS = (
    ("%d.%m.%Y",),
    ("%Y/%m/%d",),
    ("%d/%m/%Y", "%m/%d/%Y"),
    ("%d-%m-%Y", "%m-%d-%Y"),
    ("%d.%m.%y",),
    ("%d/%m/%y", "%m/%d/%y"),
    ("%d-%m-%y", "%m-%d-%y"),
    ("%d %b %Y",),
    ("%d %B %Y",),
    ("%d-%b-%Y",),
    ("%d-%B-%Y",),
    ("%d-%b-%y",),
    ("%b %d, %Y",),
    ("%B %d, %Y",),
    ("%b %d %Y",),
    ("%B %d %Y",),
    ("%a, %d %b %Y",),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
# without a day the first of the month is meant, without a day of the week the Monday
MONTHS = (("%b %Y",), ("%B %Y",), ("%b-%Y",), ("%m/%Y",))
FORMATS = (
    (DIGITS,),
    (ISO,),
    (ISO_WEEK,),
    (ISO_WEEK_DAY,),
    *(tuple(day + time for day in days) for time, days in product(TIMES, DAYS)),
    *MONTHS,
    ("%a %b %d %H:%M:%S %Y",),  # as C and Unix write it
)


@dataclass(frozen=True)
class Dates:
    """The format that all cells share, or what keeps them from being read as dates."""

    form: str | None = None
    values: pd.Series | None = None  # the cells in this format
    decided_by: str | None = None  # the cell that tells whether the day or the month comes first
    ambiguous: str | None = None  # why there is no format, where two fit
    misfit: str | None = None  # a cell that is no date, where nearly all are,
    misfits: int = 0  # and how many there are


def propose(cells: pd.Series) -> Dates:
    """The format in which all cells are dates."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return Dates(ISO, parse(cells, ISO))
    present = _as_text(cells.dropna())
    # most columns of words are known not to be dates in one step
    few = present.iloc[:LOOKED_AT]
    if few.empty or few.str.contains(r"[0-9]").mean() < 1 - FEW_MISFITS:
        return Dates()
    nearly = Dates()
    for formats in FORMATS:
        read = {form: found for form in formats if (found := _nearly_all(present, form)) is not None}
        fitting = [form for form, found in read.items() if found.notna().all()]
        if len(fitting) == 1:
            (form,) = fitting
            return Dates(form, read[form].reindex(cells.index), _decider(present, form, formats))
        if fitting:
            return Dates(
                ambiguous=f"in {quoted(present.iloc[0])} and every other cell the day may come first or the month; "
                "write them as YEAR-MONTH-DAY"
            )
        for found in read.values():
            misfits = pd.Series(present[found.isna()])
            nearly = Dates(misfit=str(misfits.iloc[0]), misfits=len(misfits))
    return nearly


def parse(cells: pd.Series, form: str) -> pd.Series:
    """The cells as dates in UTC, NaT where they are none in this format."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return pd.Series(pd.to_datetime(cells, utc=True))
    text = _as_text(cells)
    if form in (ISO_WEEK, ISO_WEEK_DAY):
        monday = "-1" if form == ISO_WEEK else ""
        # ISO 8601 has them without hyphens too
        text = text.str.replace(r"^(\d{4})-?(W\d{2})-?(\d?)$", r"\1-\2-\3", regex=True).str.rstrip("-") + monday
        return pd.Series(pd.to_datetime(text, format=ISO_WEEK_DAY, errors="coerce", utc=True))
    # pandas takes "now" and "today" for dates
    text = text.where(text.str.contains(r"[0-9]").eq(True))
    dates = pd.Series(pd.to_datetime(text, format=form, errors="coerce", utc=True))
    if form == DIGITS:
        # pandas takes "2024011" for a date as well
        dates = dates.where(text.str.fullmatch(r"\d{8}").eq(True) & dates.dt.year.between(EARLIEST, LATEST))
    return dates


def seconds(dates: pd.Series) -> pd.Series:
    """Seconds since 1970; days such as 9999-12-31, which stand for "for ever", are beyond the reach of nanoseconds."""
    return (dates - pd.Timestamp(0, tz="UTC").as_unit("s")).dt.total_seconds()


def parts(name: str, dates: pd.Series) -> pd.DataFrame:
    """The numbers that a date gives, a column each."""
    # standardised on the training part, days since any origin are the age counted from that part's latest day
    days = seconds(dates) / 86_400
    # no name in a file holds a null character, so these meet no other column's
    return pd.DataFrame(
        {
            f"{name}\0year": dates.dt.year,
            f"{name}\0month": dates.dt.month,
            f"{name}\0day of week": dates.dt.day_of_week,
            f"{name}\0age": -days,
        }
    ).astype(np.float64)


def _as_text(cells: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(cells):
        # 20240112.0 is what a whole number becomes where others are missing
        cells = cells.astype(np.float64)
        whole = cells.notna() & (cells % 1 == 0) & (cells.abs() < 1e15)
        text = pd.Series(pd.NA, cells.index, dtype=object)
        text[whole] = cells[whole].astype(np.int64).astype(str)
        return text.where(whole | cells.isna(), "no date").astype("str")
    return cells if cells.dtype == "str" else cells.map(str, na_action="ignore").astype("str")


def _nearly_all(present: pd.Series, form: str) -> pd.Series | None:
    """The cells as dates in a format, or None where more than a few are none."""
    if form not in (ISO, ISO_WEEK, ISO_WEEK_DAY) and not any(_is_date(cell, form) for cell in present.iloc[:FIRST]):
        return None
    # "1.2.10" is a version
    if form.startswith(("%d.%m.%y", "%d-%m-%y", "%m-%d-%y")) and not present.str.match(r"\d\d\D\d\d\D\d\d").all():
        return None
    if len(present) > LOOKED_AT and parse(present.iloc[:LOOKED_AT], form).isna().mean() > FEW_MISFITS:
        return None
    found = parse(present, form)
    return found if found.isna().mean() <= FEW_MISFITS else None


def _is_date(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)
    except ValueError:
        return False
    return True


def _decider(present: pd.Series, form: str, formats: tuple[str, ...]) -> str | None:
    """The first cell that is a date in one format of a pair only."""
    others = [each for each in formats if each != form]
    if not others:
        return None
    return str(pd.Series(present[parse(present, others[0]).isna()]).iloc[0])
