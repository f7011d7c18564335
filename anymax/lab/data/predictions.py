"""Predictions that somebody has already: a class for each row of the data, or a probability for each class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from anymax._core.sentences import first_of, of_path, quoted, shown
from anymax.lab.data.formats import checked_frame
from anymax.lab.data.load import read_cells
from anymax.lab.errors import DataError, Option
from anymax.lab.measure import SMALLEST_PROBABILITY

ROW, PREDICTION, PROBABILITY = "row", "prediction", "probability of"
ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl")
MOST_NAMED = 5
ROUNDED = 0.02  # by how much probabilities that were written with few digits may miss a sum of 1


@dataclass(frozen=True)
class Predictions:
    """What was predicted of every row that can be tested.

    Args:
        name: what they are called.
        row: (rows,), the numbers of the rows in the data, ascending.
        prediction: (rows,), class ids.
        probabilities: (rows, classes), where there are any.
    """

    name: str
    row: np.ndarray
    prediction: np.ndarray
    probabilities: np.ndarray | None

    @property
    def fingerprint(self) -> str:
        """The same for the same predictions."""
        digest = hashlib.sha256(self.row.tobytes() + self.prediction.tobytes())
        if self.probabilities is not None:
            digest.update(self.probabilities.tobytes())
        return digest.hexdigest()

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The class ids predicted of these rows, and the log-probability of every class where there are any."""
        places = np.searchsorted(self.row, rows)
        probabilities = None if self.probabilities is None else np.log(self.probabilities[places])
        return self.prediction[places], probabilities


def columns_of(class_names: list[str]) -> list[str]:
    """The names of the columns that hold the probabilities: the classes, or where one of them is called as another
    column each `probability of` its class."""
    if {ROW, PREDICTION}.isdisjoint(class_names):
        return class_names
    return [f"{PROBABILITY} {name}" for name in class_names]


def read_predictions(source: str | Path | pd.DataFrame, rows: np.ndarray, class_names: list[str]) -> Predictions:
    """Read a file or frame with the columns `row` and `prediction`, or `row` and one for each class, or all of them.

    Args:
        source: a .csv, .tsv, .parquet or .jsonl file, or a frame.
        rows: the numbers of the rows in the data that can be tested, ascending, counted from 0; others are not looked
            at.
        class_names: of the data, by id.

    Raises:
        DataError: it is none, a row is missing or there twice, or a class or probability is none.
    """
    if isinstance(source, pd.DataFrame):
        name, frame = "frame", source
    else:
        if Path(source).suffix.lower() not in ENDINGS or not Path(source).is_file():
            raise DataError(Option("baseline"), f" needs a {', '.join(ENDINGS)} file: {of_path(source)} is none.")
        name, frame = Path(source).name, read_cells(Path(source), ()).frame
    frame = checked_frame(name, frame, ())
    if ROW not in frame.columns:
        raise _wrong(name, f"has no column {quoted(ROW)} that numbers the rows of the data from 0")
    frame = _by_row(name, frame, rows)
    expected = columns_of(class_names)
    others = [column for column in frame.columns if column not in (ROW, PREDICTION)]
    if unknown := sorted(set(others) - set(expected)):
        listed = first_of([quoted(each) for each in (ROW, PREDICTION, *expected)], MOST_NAMED)
        raise _wrong(name, f"has the column {quoted(unknown[0])}, which is none of {listed}")
    if not others and PREDICTION not in frame.columns:
        raise _wrong(name, f"has neither a column {quoted(PREDICTION)} nor one for each class")
    probabilities = _probabilities(name, frame, expected) if others else None
    if PREDICTION in frame.columns:
        prediction = _predictions(name, frame, class_names)
    else:
        assert probabilities is not None
        prediction = probabilities.argmax(1)
    return Predictions(name, rows, prediction, probabilities)


def _by_row(name: str, frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The lines of the given rows, in their order."""
    numbers = np.asarray(pd.to_numeric(frame[ROW], errors="coerce"), dtype=float)
    bad = ~(numbers >= 0) | (numbers % 1 != 0)
    if bad.any():
        cell = frame[ROW].iloc[int(bad.argmax())]
        raise _wrong(name, f"has {quoted('' if pd.isna(cell) else cell)} in the column {quoted(ROW)}, a number from 0")
    frame = frame.set_axis(numbers.astype(np.int64), axis=0)
    twice = frame.index[frame.index.duplicated()]
    if len(twice):
        raise _wrong(name, f"has row {twice[0]} more than once")
    missing = np.setdiff1d(rows, frame.index.to_numpy())
    if len(missing):
        listed = first_of([str(row) for row in missing], MOST_NAMED)
        raise _wrong(name, f"lacks {len(missing):,} of {len(rows):,} rows, counted from 0: {listed}")
    return frame.loc[rows]


def _predictions(name: str, frame: pd.DataFrame, class_names: list[str]) -> np.ndarray:
    cells = frame[PREDICTION].map(str, na_action="ignore")
    ids = pd.Index(class_names).get_indexer(cells)
    if (ids < 0).any():
        place = int((ids < 0).argmax())
        row, cell = frame.index[place], cells.iloc[place]
        known = isinstance(cell, str)
        said = f"the prediction {quoted(cell)}, which is no class of the data," if known else "no prediction"
        raise _wrong(name, f"has {said} for row {row}")
    return ids


def _probabilities(name: str, frame: pd.DataFrame, columns: list[str]) -> np.ndarray:
    lacking = [each for each in columns if each not in frame.columns]
    if lacking:
        listed = first_of([quoted(each) for each in lacking], MOST_NAMED)
        raise _wrong(name, f"has columns for some classes and no {listed}")
    found = frame[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    inside = np.all((found >= 0) & (found <= 1 + ROUNDED), axis=1)
    is_law = inside & (np.abs(found.sum(1) - 1) <= ROUNDED)
    if not is_law.all():
        place = int(is_law.argmin())
        why = f"they sum to {found[place].sum():.3g}" if inside[place] else "one is no number from 0 to 1"
        raise _wrong(name, f"has no probabilities for row {frame.index[place]}: {why}")
    found = np.maximum(found, SMALLEST_PROBABILITY)
    return found / found.sum(1, keepdims=True)


def _wrong(name: str, what: str) -> DataError:
    return DataError(Option("baseline"), f" cannot be used: {of_path(shown(name))} {what}.")
