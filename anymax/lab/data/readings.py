"""How a column is read: decided once, kept as plain data, and applied to any cells without looking at others.

What was decided for the cells that a model was trained on holds for the cells that it meets later: a cell that does not
fit is missing, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anymax.lab.data import dates, numbers
from anymax.lab.data.numbers import NumberFormat

LARGEST_NUMBER = float(np.finfo(np.float32).max)
MISSING = "(missing)"


@dataclass(frozen=True)
class Reading:
    """How one feature column is read; as JSON it is these fields."""

    name: str
    kind: str  # "number" | "category" | "date" | "text" | "dropped"
    number: NumberFormat | None = None  # of numbers
    date: str | None = None  # of dates, their format


@dataclass(frozen=True)
class Values:
    """Cells as they were read: numbers, level names, text, the numbers that a date gives, or None where dropped."""

    values: pd.Series | pd.DataFrame | None
    unfit: np.ndarray  # (rows,), cells that hold something else than the reading takes, and count as missing


@dataclass(frozen=True)
class Features:
    """The feature columns of a table as they were read, by what becomes of them."""

    numbers: pd.DataFrame
    categories: pd.DataFrame
    texts: pd.DataFrame
    unfit: dict[str, int]  # by column, the cells that do not fit and count as missing; columns without any are left out

    def side_by_side(self) -> pd.DataFrame:
        """All of them as one table."""
        frames = [frame for frame in (self.numbers, self.categories, self.texts) if frame.shape[1]]
        return pd.concat(frames, axis=1)


@dataclass(frozen=True)
class TableReading:
    """How the feature columns of a table are read, in their order; as JSON it is these fields."""

    columns: tuple[Reading, ...]
    missing: tuple[
        str, ...
    ] = ()  # cells that mean missing beside empty ones, as `checked_frame` and `read_csv` take it

    def apply(self, frame: pd.DataFrame) -> Features:
        """Read the columns of another table with the same names: nothing is inferred.

        Args:
            frame: cells as text with missing ones NA, or columns of numbers or dates; it may have more columns.

        Raises:
            KeyError: a column is not there.
        """
        return joined(self.columns, [apply(reading, frame[reading.name]) for reading in self.columns])


def joined(readings: Sequence[Reading], read: Sequence[Values]) -> Features:
    """The columns side by side, by what becomes of them."""

    def of(*kinds: str) -> pd.DataFrame:
        columns = [
            each.values.rename(reading.name) if isinstance(each.values, pd.Series) else each.values
            for reading, each in zip(readings, read, strict=True)
            if reading.kind in kinds and each.values is not None
        ]
        # copied into one block, which is taken rows from much faster than ten thousand are
        return pd.concat(columns, axis=1).copy() if columns else pd.DataFrame(index=range(rows))

    rows = len(read[0].unfit) if read else 0
    unfit = {reading.name: int(each.unfit.sum()) for reading, each in zip(readings, read, strict=True)}
    return Features(
        of("number", "date"), of("category"), of("text"), {name: count for name, count in unfit.items() if count}
    )


def apply(reading: Reading, cells: pd.Series) -> Values:
    """The cells by what was decided, whatever stands in them."""
    cells = plain(cells)
    present = cells.notna().to_numpy(dtype=bool)
    nothing = np.zeros(len(cells), dtype=bool)
    if reading.kind == "dropped":
        return Values(None, nothing)
    if reading.kind == "category":
        return Values(as_text(cells, MISSING), nothing)
    if reading.kind == "text":
        return Values(as_text(cells, ""), nothing)
    if reading.kind == "date":
        return of_dates(reading.name, dates.parse(cells, reading.date or dates.ISO), present)
    return of_numbers(numbers.parse(cells, reading.number or numbers.PLAIN), present)


def of_numbers(values: pd.Series, present: np.ndarray) -> Values:
    """Parsed numbers; what cannot be computed with is none."""
    unfit = present & ~(values.abs() <= LARGEST_NUMBER).to_numpy(dtype=bool)
    return Values(values.where(~unfit) if unfit.any() else values, unfit)


def of_dates(name: str, found: pd.Series, present: np.ndarray) -> Values:
    """Parsed dates."""
    return Values(dates.parts(name, found), present & found.isna().to_numpy())


def plain(cells: pd.Series) -> pd.Series:
    """The cells, numbered from 0, and text where they are of several types."""
    cells = cells.reset_index(drop=True)
    if cells.dtype == object and pd.api.types.infer_dtype(cells, skipna=True) not in ("string", "empty"):
        return cells.map(str, na_action="ignore")
    return cells


def as_text(cells: pd.Series, missing: str | None) -> pd.Series:
    """The cells as text, missing ones as `missing`."""
    return cells.map(str, na_action="ignore").astype(object).where(cells.notna(), missing)
