"""Tables that are no text: Parquet files, JSON lines, NumPy archives, frames and arrays."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anymax.lab.errors import DataError
from anymax.lab.files import decode, read_bytes


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        detail = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"'{path}' cannot be read as a Parquet file: {detail}.") from None


def read_jsonl(path: Path) -> pd.DataFrame:
    """Read a file with one JSON object a line.

    Raises:
        DataError: a line is none; it is named.
    """
    text, _ = decode(read_bytes(path), path, "write one JSON object a line")
    records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"Line {number} of '{path}' is no JSON: write one JSON object a line.") from None
        if not isinstance(record, dict):
            raise DataError(f"Line {number} of '{path}' is no JSON object: write one JSON object a line.")
        records.append(record)
    if not records:
        raise DataError(f"'{path}' is empty: expected one JSON object a line.")
    return pd.DataFrame(records)


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the arrays X and y of a NumPy archive; nothing in it is run.

    Raises:
        DataError: it is no such archive, lacks one of the two, or holds Python objects.
    """
    # numpy would leave a broken file open
    raw = read_bytes(path)
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            for name in ("X", "y"):
                if name not in archive:
                    held = ", ".join(archive.files) or "nothing"
                    raise DataError(f"'{path}' has no array '{name}': expected X and y, and it holds {held}.")
            return archive["X"], archive["y"]
    except DataError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile):
        raise DataError(
            f"'{path}' is no NumPy archive of plain arrays: write it by numpy.savez, without Python objects."
        ) from None


def of_arrays(name: str, features: Any, classes: Any) -> tuple[pd.DataFrame, list[str]]:
    """A frame with columns x0, x1, ... and y, and what must be said about it.

    Raises:
        DataError: the shapes do not fit, or an array is none of numbers or text.
    """
    features, classes = np.asarray(features), np.asarray(classes)
    for letter, array in (("X", features), ("y", classes)):
        if array.dtype.kind not in "biufU":
            raise DataError(f"{letter} of '{name}' holds {array.dtype}: expected numbers or text.")
    if features.ndim < 2:
        raise DataError(f"X of '{name}' has {features.ndim} dims: expected rows and columns.")
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if classes.ndim != 1:
        raise DataError(f"y of '{name}' has {classes.ndim} dims: expected one class for each row.")
    if len(features) != len(classes):
        raise DataError(f"X of '{name}' has {len(features)} rows and y has {len(classes)}: expected as many.")
    if not features.size:
        raise DataError(f"X of '{name}' is empty: expected rows and columns.")
    notes = []
    if features.ndim > 2:
        notes.append(f"X has the shape {tuple(features.shape)}: each row was flattened.")
        features = features.reshape(len(features), -1)
    frame = pd.DataFrame(features, columns=[f"x{i}" for i in range(features.shape[1])])
    target = pd.Series(classes)
    if classes.dtype.kind == "f" and np.all(np.isnan(classes) | (classes % 1 == 0)):
        # 1.0 is class 1; a missing class stays missing
        target = pd.Series([None if np.isnan(value) else int(value) for value in classes], dtype=object)
    return pd.concat([frame, target.rename("y")], axis=1), notes


def checked_frame(name: str, frame: pd.DataFrame, missing: Sequence[str]) -> pd.DataFrame:
    """The frame with names as text, and empty cells and those in `missing` as missing.

    Raises:
        DataError: it is empty, two columns have one name, or a cell holds several values.
    """
    if frame.empty:
        raise DataError(f"'{name}' has no rows or no columns: expected a table.")
    names = [str(column).strip() for column in frame.columns]
    for column, occurrences in Counter(names).items():
        if occurrences > 1:
            raise DataError(f"'{name}' has {occurrences} columns named '{column}': rename all but one of them.")
    frame = frame.set_axis(names, axis=1).reset_index(drop=True)
    columns = {}
    for column in names:
        cells = frame[column]
        if pd.api.types.is_numeric_dtype(cells):
            meant = pd.Series(pd.to_numeric(pd.Series(list(missing), dtype=object), errors="coerce")).dropna()
            columns[column] = cells.mask(cells.isin(meant)) if len(meant) else cells
            continue
        if cells.dtype == object:
            nested = cells.map(lambda cell: isinstance(cell, list | dict | tuple | set | np.ndarray))
            if nested.any():
                row = int(np.flatnonzero(nested)[0])
                raise DataError(
                    f"Column '{column}' of '{name}' holds several values in one cell (row {row + 1}): "
                    "write a column for each."
                )
        columns[column] = cells.mask(cells.isin(["", *missing]))
    return pd.DataFrame(columns)
