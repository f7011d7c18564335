"""From the name of a data set, or a file, to data that methods can be compared on."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pydoc_data import topics
from typing import Any

from sklearn import datasets

from anymax.lab.errors import DataError
from anymax.lab.files import read_csv
from anymax.lab.parts import Dataset
from anymax.lab.tables import TableDataset, read_table
from anymax.lab.text import TextDataset, words_of

__all__ = ["BUILT_IN", "DataError", "Dataset", "load"]


def load(source: str, *, target: str | None = None) -> Dataset:
    """Read a built-in data set by name, or a .csv file.

    Args:
        source: a name in `BUILT_IN`, or the path of a .csv file.
        target: the column of the file that holds the classes.

    Raises:
        DataError: `source` cannot be read or compared on; the message is one sentence.
    """
    if source in BUILT_IN:
        if target is not None:
            raise DataError(f"--target names a column of a file, and '{source}' brings its own target.")
        return BUILT_IN[source]()
    path = Path(source)
    if path.suffix.lower() != ".csv":
        raise _unknown_source(source, path)
    if not path.exists():
        raise DataError(f"There is no file '{source}'.")
    if not path.is_file():
        raise DataError(f"'{source}' is a folder: expected a .csv file.")
    cells = read_csv(path)
    if target is None:
        names = ", ".join(f"'{name}'" for name in cells.frame.columns[:20])
        raise DataError(f"'{source}' needs --target COLUMN, the column that holds the classes: one of {names}.")
    table = read_table(path.name, cells.frame, target, decimal_comma=cells.separator == ";")
    if cells.encoding == "latin-1":
        table.notes.insert(0, f"'{path.name}' is no UTF-8 and was read as Latin-1.")
    return table


def _unknown_source(source: str, path: Path) -> DataError:
    names = ", ".join(BUILT_IN)
    if path.is_dir():
        return DataError(f"'{source}' is a folder: expected a .csv file or one of {names}.")
    if path.exists():
        ending = f"a file ending in '{path.suffix}'" if path.suffix else "a file without an ending"
        return DataError(f"'{source}' is {ending}: expected a .csv file or one of {names}.")
    close = difflib.get_close_matches(source, BUILT_IN, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return DataError(f"There is no data set or file '{source}': expected {names} or a .csv file.{hint}")


def _of_scikit_learn(name: str, read: Callable[..., Any]) -> TableDataset:
    bunch = read(as_frame=True)
    frame = bunch.data.assign(**{"class": [str(bunch.target_names[i]) for i in bunch.target]})
    return read_table(name, frame, "class")


def _pydoc() -> TextDataset:
    lines = [line for topic in topics.topics.values() for line in topic.split("\n")]
    return TextDataset(
        "pydoc",
        words_of(lines),
        ["The text is Python's own documentation of its language; a line that occurs again is left out."],
    )


BUILT_IN: dict[str, Callable[[], Dataset]] = {
    "digits": partial(_of_scikit_learn, "digits", datasets.load_digits),
    "wine": partial(_of_scikit_learn, "wine", datasets.load_wine),
    "breast-cancer": partial(_of_scikit_learn, "breast-cancer", datasets.load_breast_cancer),
    "pydoc": _pydoc,
}
