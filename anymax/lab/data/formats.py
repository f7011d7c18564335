"""Tables that are no text: Parquet files, JSON lines, NumPy archives, frames and arrays."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow.parquet import ParquetFile

from anymax._core.sentences import LONGEST_DETAIL, detail, of_path, quoted, shown
from anymax.lab.data.columns import LISTS, check_names
from anymax.lab.data.decoding import decode, read_bytes
from anymax.lab.errors import DataError

HALF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # an escape that JSON allows alone and Unicode does not


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with ParquetFile(path) as file:
            # whole numbers stay whole where some are missing: class 1 is not class 1.0
            return file.read().to_pandas(integer_object_nulls=True)
    except PermissionError as error:
        raise DataError(f"{of_path(path)} cannot be read: {error.strerror}.") from None
    except Exception as error:
        # what it raises depends on which byte is wrong
        raise DataError(f"{of_path(path)} cannot be read as a Parquet file: {detail(error)}.") from None


def read_jsonl(path: Path, drop: Sequence[str] = (), encoding: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read a file with one JSON object a line, numbers as the text that stands there, and what must be said about it.

    Args:
        path: the file.
        drop: columns that are not used, in which anything may stand.
        encoding: the one that the user named, if any.

    Raises:
        DataError: a line is none, or names a key twice; it is named.
    """
    decoded = decode(read_bytes(path), path, "write one JSON object a line", encoding)
    records = []
    for number, line in enumerate(decoded.text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"Line {number} of {of_path(path)}"
        try:
            record = json.loads(
                line,
                parse_int=str,
                parse_float=str,
                parse_constant=lambda name: None if name == "NaN" else name,
                object_pairs_hook=_with_keys_once,
            )
        except _KeyTwice as key:
            raise DataError(f"{place} names the key {quoted(key)} twice: take one of them out.") from None
        except (ValueError, RecursionError):
            raise DataError(f"{place} is not JSON: write one JSON object a line.") from None
        if not isinstance(record, dict):
            raise DataError(f"{place} is not a JSON object: write one JSON object a line.")
        if HALF_A_CHARACTER.search(line) and not _is_text(record, drop):
            raise DataError(
                f"{place} holds half a character (\\ud800 to \\udfff without the other half): write all of it."
            )
        records.append(record)
    if not records:
        raise DataError(f"{of_path(path)} is empty: expected one JSON object a line.")
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: pd.Series([record.get(name) for record in records], dtype=object) for name in names}
    return pd.DataFrame(columns), decoded.notes


class _KeyTwice(Exception):
    pass


def _with_keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise _KeyTwice(next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1))
    return record


def _is_text(record: dict[str, Any], drop: Sequence[str]) -> bool:
    """Whether what is used of a record can be written as UTF-8."""
    used = {name: value for name, value in record.items() if name not in drop}
    try:
        json.dumps(used, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_npz(path: Path, *names: str) -> tuple[np.ndarray, ...]:
    """Read the named arrays of a NumPy archive; nothing in it is run.

    Raises:
        DataError: it is no such archive, lacks one of them, or holds Python objects.
    """
    # numpy would leave a broken file open
    raw = read_bytes(path)
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            for name in names:
                if name not in archive:
                    held = shown(", ".join(archive.files), LONGEST_DETAIL) or "nothing"
                    raise DataError(
                        f"{of_path(path)} has no array '{name}': expected {' and '.join(names)}, and it holds {held}."
                    )
            return tuple(archive[name] for name in names)
    except DataError:
        raise
    except Exception:
        # numpy, zipfile and zlib raise nearly anything, by which byte is wrong
        raise DataError(
            f"{of_path(path)} is not a NumPy archive of plain arrays: write it with numpy.savez, without Python "
            "objects."
        ) from None


def of_arrays(name: str, features: Any, classes: Any) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    """A frame with columns x0, x1, ... and y, or y0, y1, ..., the names of the latter, and what must be said about it.

    Raises:
        DataError: the shapes do not fit, or an array is none of numbers or text.
    """
    frame, notes = of_features(name, features)
    classes = _plain_array(name, "y", classes)
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if classes.ndim not in (1, 2):
        raise DataError(
            f"y of {of_path(name)} has {classes.ndim} dims: expected one class for each row, or a column of 0 and 1 "
            "for each label."
        )
    if len(frame) != len(classes):
        raise DataError(
            f"X of {of_path(name)} has {len(frame)} rows and y has {len(classes)}: expected the same number."
        )
    if classes.ndim == 2:
        targets = pd.DataFrame(classes).add_prefix("y")
    elif classes.dtype.kind == "f" and np.all(np.isnan(classes) | (classes % 1 == 0)):
        # 1.0 is class 1; a missing class stays missing
        targets = pd.DataFrame({"y": [None if np.isnan(value) else int(value) for value in classes]}, dtype=object)
    else:
        targets = pd.DataFrame({"y": classes})
    return pd.concat([frame, targets], axis=1), tuple(targets.columns), notes


def of_features(name: str, features: Any) -> tuple[pd.DataFrame, list[str]]:
    """A frame with columns x0, x1, ..., and what must be said about it.

    Raises:
        DataError: it has no rows of columns, or is none of numbers or text.
    """
    features = _plain_array(name, "X", features)
    if features.ndim < 2:
        raise DataError(f"X of {of_path(name)} has {features.ndim} dims: expected rows and columns.")
    if not features.size:
        raise DataError(f"X of {of_path(name)} is empty: expected rows and columns.")
    notes = []
    if features.ndim > 2:
        notes.append(f"X has the shape {tuple(features.shape)}: each row was flattened.")
        features = features.reshape(len(features), -1)
    return pd.DataFrame(features, columns=[f"x{i}" for i in range(features.shape[1])]), notes


def _plain_array(name: str, letter: str, array: Any) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "biufU":
        raise DataError(f"{letter} of {of_path(name)} holds {array.dtype}: expected numbers or text.")
    return array


def checked_frame(
    name: str, frame: pd.DataFrame, missing: Sequence[str], drop: Sequence[str] = (), lists: Sequence[str] = ()
) -> pd.DataFrame:
    """The frame with names as text, and empty cells and those in `missing` as missing.

    Args:
        name: what the table is called.
        frame: its columns.
        missing: cells that mean missing, beside empty ones.
        drop: columns that are not used: they keep their place and lose their cells, whatever these are.
        lists: columns whose cells may be lists.

    Raises:
        DataError: it is empty, has two columns of one name or a name that is none, or a cell holds several values.
    """
    if frame.empty:
        raise DataError(f"{of_path(name)} has no rows or no columns: expected a table.")
    names = [str(column).strip() for column in frame.columns]
    check_names(name, [column for column in names if column not in drop])
    frame = frame.set_axis(names, axis=1).reset_index(drop=True)
    columns = {}
    for column in names:
        if column in drop:
            columns[column] = pd.Series(pd.NA, frame.index, dtype=object)
            continue
        cells = frame[column]
        if pd.api.types.is_complex_dtype(cells):
            raise DataError(
                f"Column {quoted(column)} of {of_path(name)} holds complex numbers: write a column for each part."
            )
        if pd.api.types.is_numeric_dtype(cells):
            meant = pd.Series(pd.to_numeric(pd.Series(list(missing), dtype=object), errors="coerce")).dropna()
            columns[column] = cells.mask(cells.isin(meant)) if len(meant) else cells
            continue
        if cells.dtype == object:
            is_list, is_dict = (cells.map(lambda cell, kind=kind: isinstance(cell, kind)) for kind in (LISTS, dict))
            nested = is_list | is_dict
            if column in lists and is_list.any() and not is_dict.any():
                columns[column] = cells
                continue
            if nested.any():
                row = int(np.flatnonzero(nested)[0])
                raise DataError(
                    f"Column {quoted(column)} of {of_path(name)} holds several values in one cell (row {row + 1}): "
                    "write a column for each."
                )
            if pd.api.types.infer_dtype(cells, skipna=True) not in ("string", "empty"):
                cells = cells.map(str, na_action="ignore")
            try:
                cells = cells.astype("str")
            except UnicodeEncodeError:
                raise DataError(
                    f"Column {quoted(column)} of {of_path(name)} holds half a character (\\ud800 to \\udfff "
                    "without the other half): write all of it."
                ) from None
        columns[column] = cells.mask(cells.isin(["", *missing]))
    return pd.DataFrame(columns)
