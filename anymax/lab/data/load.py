"""From the name of a data set, or a file, frame or pair of arrays, to data that methods can be compared on."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from pydoc_data import topics
from typing import Any

import pandas as pd
from sklearn import datasets

from anymax._core.sentences import of_path, printable, quoted
from anymax.lab.data.dataset import Dataset
from anymax.lab.data.delimited import Cells, read_csv
from anymax.lab.data.formats import checked_frame, of_arrays, read_jsonl, read_npz, read_parquet
from anymax.lab.data.readings import Features, TableReading
from anymax.lab.data.table import TableDataset, read_table, row_hashes
from anymax.lab.data.text import TextDataset, of_lines, read_text
from anymax.lab.errors import DataError, Option
from anymax.lab.options import OF_FILES, OF_TABLES, OF_TEXTS, ReadOptions

OF_SCIKIT_LEARN: dict[str, Callable[..., Any]] = {
    "digits": datasets.load_digits,
    "wine": datasets.load_wine,
    "breast-cancer": datasets.load_breast_cancer,
}
BUILT_IN = (*OF_SCIKIT_LEARN, "pydoc")
TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".npz")
NOT_TEXT = (".parquet", ".npz")
EXPECTED = "a .csv, .tsv, .parquet, .jsonl, .npz or .txt file"


def load(source: str | Path | pd.DataFrame | tuple[Any, Any], options: ReadOptions | None = None) -> Dataset:
    """Read a built-in data set by name, a file, a folder of texts, a frame, or a pair of arrays.

    Args:
        source: a name in `BUILT_IN`, a path, a frame, or features with their classes.
        options: how to read it; None takes the defaults.

    Raises:
        DataError: `source` cannot be read or compared on; the message is one sentence.
    """
    options = options or ReadOptions()
    if isinstance(source, pd.DataFrame | tuple):
        name = "frame" if isinstance(source, pd.DataFrame) else "arrays"
        _refuse(name, "a table", options, OF_TEXTS)
        _refuse(name, "no file", options, OF_FILES)
        return _of_memory(source, options)
    source = str(source)
    if source in BUILT_IN:
        if options.target is not None:
            raise DataError(Option("target"), f" names a column of a file, and '{source}' brings its own target.")
        _refuse(source, "no file", options, OF_FILES)
        if source == "pydoc":
            _refuse(source, "a text", options, OF_TABLES)
            return _pydoc(options)
        _refuse(source, "a table", options, OF_TEXTS)
        return _of_scikit_learn(source, options)
    path = Path(source)
    ending = path.suffix.lower()
    kind = _kind(path)
    if kind == "nothing" and ending in (*TABLES, ".txt"):
        raise DataError(f"There is no file {of_path(path)}.")
    if kind == "neither":
        raise DataError(f"{of_path(path)} is neither a file nor a folder: expected {EXPECTED}.")
    if ending in TABLES:
        if kind == "folder":
            raise DataError(f"{of_path(path)} is a folder: expected {EXPECTED}.")
        _refuse(source, "a table", options, OF_TEXTS)
        return _of_table_file(path, options)
    if ending == ".txt" or (kind == "folder" and any(path.glob("*.txt"))):
        _refuse(source, "a text", options, OF_TABLES)
        return read_text(path, options)
    raise _unknown_source(path, kind)


def _kind(path: Path) -> str:
    """What stands at a path: "nothing", "file", "folder" or "neither"."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "nothing"
    except OSError as error:
        raise DataError(f"{of_path(path)} cannot be read: {error.strerror or error}.") from None
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "neither"


def _refuse(name: str, what: str, options: ReadOptions, unfit: tuple[str, ...]) -> None:
    given = options.given(unfit)
    if given is not None:
        raise DataError(Option(given), f" does not fit {of_path(name)}, which is {what}: leave it out.")


def _of_memory(source: pd.DataFrame | tuple[Any, Any], options: ReadOptions) -> TableDataset:
    if isinstance(source, pd.DataFrame):
        return _of_frame("frame", "frame", source, options)
    if len(source) != 2:
        raise DataError(f"A tuple of {len(source)} is not a pair: expected (X, y).")
    return _of_pair("arrays", source[0], source[1], options)


def _of_pair(name: str, features: Any, classes: Any, options: ReadOptions) -> TableDataset:
    if options.target is not None:
        raise DataError(
            Option("target"), f" names a column, and {of_path(name)} brings its classes as y: leave it out."
        )
    frame, targets, notes = of_arrays(name, features, classes)
    return _of_frame(name, name, frame, replace(options, target=targets), notes)


def _of_table_file(path: Path, options: ReadOptions) -> TableDataset:
    name = printable(path.name)
    if path.suffix.lower() in NOT_TEXT:
        _refuse(str(path), "no text", options, OF_FILES)
    if path.suffix.lower() == ".npz":
        features, classes = read_npz(path, "X", "y")
        return _of_pair(name, features, classes, options)
    cells = read_cells(path, options.missing, options.drop, options.encoding)
    return _of_frame(name, str(path), cells.frame, options, cells.notes, decimal_comma=cells.separator == ";")


def _of_frame(
    name: str,
    source: str,
    frame: pd.DataFrame,
    options: ReadOptions,
    notes: Sequence[str] = (),
    *,
    decimal_comma: bool = False,
) -> TableDataset:
    """The table in a frame; `source` is what a sentence calls it before it is known to be one."""
    targets = _targets([str(column).strip() for column in frame.columns], options.target)
    checked = checked_frame(name, frame, options.missing, options.drop, lists=targets)
    if not targets:
        raise _no_target(source, checked)
    # rows are compared as they were given, before anything is left out
    given = row_hashes(frame).to_numpy()
    table = read_table(name, checked, targets, options, decimal_comma=decimal_comma, given=given)
    table.notes[:0] = notes
    return table


def read_cells(path: Path, missing: Sequence[str], drop: Sequence[str] = (), encoding: str | None = None) -> Cells:
    """The columns of a .csv, .tsv, .jsonl or .parquet file as they stand there.

    Raises:
        DataError: it cannot be read.
    """
    ending = path.suffix.lower()
    if ending == ".parquet":
        return Cells(read_parquet(path), [])
    if ending == ".jsonl":
        return Cells(*read_jsonl(path, drop, encoding))
    return read_csv(path, missing, drop, encoding)


def read_features(source: str | Path | pd.DataFrame, reading: TableReading, encoding: str | None = None) -> Features:
    """Read the feature columns of a new file or frame by what was decided for the one that a model was trained on.

    Args:
        source: a .csv, .tsv, .jsonl or .parquet file, or a frame; columns beside those of the reading may be there.
        reading: of `TableDataset.reading`.
        encoding: of a file of text; None recognises UTF-8 and UTF-16, and takes cp1252 else.

    Raises:
        DataError: it cannot be read, or a column is not there.
    """
    wanted = [column.name for column in reading.columns]
    if isinstance(source, pd.DataFrame):
        name, frame = "frame", source
    else:
        path = Path(source)
        if path.suffix.lower() not in TABLES or path.suffix.lower() == ".npz" or _kind(path) != "file":
            raise DataError(f"There is no .csv, .tsv, .parquet or .jsonl file {of_path(path)}.")
        name = str(path)
        # what is not asked for is dropped below: here it is not yet known
        frame = read_cells(path, reading.missing, encoding=encoding).frame
    names = [str(column).strip() for column in frame.columns]
    for column in wanted:
        if column not in names:
            raise DataError(f"{of_path(name)} has no column {quoted(column)}, which the model was trained with.")
    others = [column for column in names if column not in wanted]
    return reading.apply(checked_frame(name, frame, reading.missing, others))


def _targets(names: Sequence[str], target: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns that the target names: several with commas between them, where no column has that name."""
    if not isinstance(target, str):
        return tuple(target or ())
    pieces = tuple(piece.strip() for piece in target.split(","))
    return pieces if target not in names and any(piece in names for piece in pieces) else (target,)


def _no_target(source: str, frame: pd.DataFrame) -> DataError:
    names = ", ".join(quoted(name) for name in frame.columns[:20])
    return DataError(
        f"{of_path(source)} needs ",
        Option("target"),
        f", the column that holds the classes: one of {names}.",
    )


def _unknown_source(path: Path, kind: str) -> DataError:
    names = ", ".join(BUILT_IN)
    if kind == "folder":
        return DataError(f"{of_path(path)} is a folder without .txt files: expected {EXPECTED}, or one of {names}.")
    if kind == "file":
        ending = f"a file ending in {quoted(path.suffix)}" if path.suffix else "a file without an ending"
        return DataError(f"{of_path(path)} is {ending}: expected {EXPECTED}, or one of {names}.")
    close = difflib.get_close_matches(str(path), BUILT_IN, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return DataError(f"There is no data set or file {of_path(path)}: expected {names}, or {EXPECTED}.{hint}")


def _of_scikit_learn(name: str, options: ReadOptions) -> TableDataset:
    bunch = OF_SCIKIT_LEARN[name](as_frame=True)
    frame = bunch.data.assign(**{"class": [str(bunch.target_names[i]) for i in bunch.target]})
    return _of_frame(name, name, frame, replace(options, target="class"))


def _pydoc(options: ReadOptions) -> TextDataset:
    lines = [line for topic in topics.topics.values() for line in topic.split("\n")]
    return of_lines("pydoc", lines, ["The text is Python's own documentation of its language."], options)
