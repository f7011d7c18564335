"""From the name of a data set, or a file, frame or pair of arrays, to data that methods can be compared on."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pydoc_data import topics
from typing import Any

import pandas as pd
from sklearn import datasets

from anymax._core.sentences import of_path, printable, quoted
from anymax.lab.data.dataset import Dataset
from anymax.lab.data.delimited import read_csv
from anymax.lab.data.formats import checked_frame, of_arrays, read_jsonl, read_npz, read_parquet
from anymax.lab.data.table import TableDataset, read_table
from anymax.lab.data.text import TextDataset, of_lines, read_text
from anymax.lab.errors import DataError

__all__ = ["BUILT_IN", "DataError", "Dataset", "load"]


OF_SCIKIT_LEARN: dict[str, Callable[..., Any]] = {
    "digits": datasets.load_digits,
    "wine": datasets.load_wine,
    "breast-cancer": datasets.load_breast_cancer,
}
BUILT_IN = (*OF_SCIKIT_LEARN, "pydoc")
TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".npz")
EXPECTED = "a .csv, .tsv, .parquet, .jsonl, .npz or .txt file"


def load(
    source: str | Path | pd.DataFrame | tuple[Any, Any],
    *,
    target: str | None = None,
    group: str | None = None,
    time: str | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
    vocab_size: int | None = None,
    min_count: int | None = None,
    context: int | None = None,
) -> Dataset:
    """Read a built-in data set by name, a file, a folder of texts, a frame, or a pair of arrays.

    Args:
        source: a name in `BUILT_IN`, a path, a frame, or features with their classes.
        target: the column of a table that holds the classes.
        group: the column of a table whose equal values stay in one part.
        time: the column of a table by which the latest rows become the test part.
        drop: columns that are no features.
        kinds: columns to be read as a kind, whatever they look like.
        missing: further cells that mean missing, beside empty ones.
        vocab_size: so many of the most frequent words of a text are its vocabulary.
        min_count: words seen less often in the training part of a text are unknown; 2 by default.
        context: words a prediction may look back on; 32 by default.

    Raises:
        DataError: `source` cannot be read or compared on; the message is one sentence.
    """
    asked: dict[str, Any] = {"group": group, "time": time, "drop": drop, "kinds": kinds}
    roles = {name: value for name, value in asked.items() if value}
    of_tables = {"--target": target, "--group": group, "--time": time, "--drop": drop, "--as": kinds}
    of_tables["--missing"] = missing
    of_texts = {"--vocab-size": vocab_size, "--min-count": min_count, "--context": context}
    if isinstance(source, pd.DataFrame | tuple):
        _refuse("frame" if isinstance(source, pd.DataFrame) else "arrays", "a table", of_texts)
        return _of_memory(source, target, missing, roles)
    source = str(source)
    if source in BUILT_IN:
        if target is not None:
            raise DataError(f"--target names a column of a file, and '{source}' brings its own target.")
        if source == "pydoc":
            _refuse(source, "a text", of_tables)
            return _pydoc(vocab_size=vocab_size, min_count=min_count, context=context)
        _refuse(source, "a table", of_texts)
        return _of_scikit_learn(source, missing, roles)
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
        _refuse(source, "a table", of_texts)
        return _of_table_file(path, target, missing, roles)
    if ending == ".txt" or (kind == "folder" and any(path.glob("*.txt"))):
        _refuse(source, "a text", of_tables)
        return read_text(path, vocab_size=vocab_size, min_count=min_count, context=context)
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


def _refuse(name: str, what: str, options: Mapping[str, Any]) -> None:
    for option, value in options.items():
        if value is not None and value != () and value != [] and value != {}:
            raise DataError(f"{option} does not fit {of_path(name)}, which is {what}: leave it out.")


def _of_memory(
    source: pd.DataFrame | tuple[Any, Any], target: str | None, missing: Sequence[str], roles: dict[str, Any]
) -> TableDataset:
    if isinstance(source, pd.DataFrame):
        frame = checked_frame("frame", source, missing)
        return read_table("frame", frame, _target("frame", frame, target), **roles)
    if len(source) != 2:
        raise DataError(f"A tuple of {len(source)} is no pair: expected (X, y).")
    return _of_pair("arrays", source[0], source[1], target, missing, roles)


def _of_pair(
    name: str, features: Any, classes: Any, target: str | None, missing: Sequence[str], roles: dict[str, Any]
) -> TableDataset:
    if target is not None:
        raise DataError(f"--target names a column, and {of_path(name)} brings its classes as y: leave it out.")
    frame, notes = of_arrays(name, features, classes)
    table = read_table(name, checked_frame(name, frame, missing), "y", **roles)
    table.notes[:0] = notes
    return table


def _of_table_file(path: Path, target: str | None, missing: Sequence[str], roles: dict[str, Any]) -> TableDataset:
    ending, name = path.suffix.lower(), printable(path.name)
    if ending == ".npz":
        return _of_pair(name, *read_npz(path), target, missing, roles)
    if ending == ".csv" or ending == ".tsv":
        cells = read_csv(path, missing)
        frame, notes, decimal_comma = cells.frame, cells.notes, cells.separator == ";"
    else:
        frame, notes = (read_parquet(path), []) if ending == ".parquet" else read_jsonl(path)
        frame, decimal_comma = checked_frame(name, frame, missing), False
    table = read_table(name, frame, _target(str(path), frame, target), decimal_comma=decimal_comma, **roles)
    table.notes[:0] = notes
    return table


def _target(source: str, frame: pd.DataFrame, target: str | None) -> str:
    if target is None:
        names = ", ".join(quoted(name) for name in frame.columns[:20])
        raise DataError(f"{of_path(source)} needs --target COLUMN, the column that holds the classes: one of {names}.")
    return target


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


def _of_scikit_learn(name: str, missing: Sequence[str], roles: dict[str, Any]) -> TableDataset:
    bunch = OF_SCIKIT_LEARN[name](as_frame=True)
    frame = bunch.data.assign(**{"class": [str(bunch.target_names[i]) for i in bunch.target]})
    return read_table(name, checked_frame(name, frame, missing), "class", **roles)


def _pydoc(**options: int | None) -> TextDataset:
    lines = [line for topic in topics.topics.values() for line in topic.split("\n")]
    return of_lines("pydoc", lines, ["The text is Python's own documentation of its language."], **options)
