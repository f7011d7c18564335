"""Reading a .csv or .tsv file: its separator, its header, its cells as text."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from anymax._core.sentences import count_rows, of_path
from anymax.lab.data.columns import check_names, too_long
from anymax.lab.data.decoding import decode, encoding_notes, read_bytes
from anymax.lab.errors import DataError

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
LINE = re.compile(r"[^\r\n]*(?:\r\n|[\r\n]|\Z)")
# what pandas says of a row that does not fit, and what that means
IRREGULAR = {
    r"Expected (\d+) fields in line (\d+), saw (\d+)": r"line \2 has \3 cells where \1 are expected",
    r"EOF inside string starting at row 0\b": "a quote that opens in the header is never closed",
    r"EOF inside string starting at row (\d+)": r"a quote that opens in row \1 is never closed",
    r"Length of header or names does not match length of data\b.*": "its rows have more cells than its header",
}


@dataclass(frozen=True)
class Cells:
    """A table as it stands in a file: every cell text, or missing where it is empty."""

    frame: pd.DataFrame
    separator: str
    notes: list[str]  # what must be said about how it was read


def read_csv(path: Path, missing: Sequence[str] = ()) -> Cells:
    """Read a .csv or .tsv file without interpreting a cell; empty ones and those in `missing` are missing.

    Raises:
        DataError: the file is not a text table, is empty, has rows longer than its header, or unusable names.
    """
    advice = "write it as comma-separated text"
    text, encoding = decode(read_bytes(path), path, advice)
    if not text.strip():
        raise DataError(f"{of_path(path)} is empty: expected a header line and rows.")
    for language, is_it in (("HTML or XML", _is_markup), ("JSON", _is_json)):
        if is_it(text):
            raise DataError(f"{of_path(path)} is named {path.suffix.lower()} but is {language}: {advice}.")
    header = _header(text)
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(header)
    names = _names(header, separator)
    if not names:
        raise too_long(str(path), header)
    # pandas would call the second of two by another name
    check_names(str(path), names)
    try:
        with warnings.catch_warnings():
            # pandas only warns about rows whose surplus cells it cuts off
            warnings.simplefilter("error", ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                index_col=False,
                skipinitialspace=True,
            )
    except EmptyDataError:
        raise DataError(f"{of_path(path)} is empty: expected a header line and rows.") from None
    except (ParserError, ParserWarning) as error:
        detail = str(error).replace("Error tokenizing data. C error: ", "").strip().rstrip(".")
        for said, meant in IRREGULAR.items():
            detail = re.sub(said, meant, detail)
        raise DataError(
            f"{of_path(path)} is not a regular table ({SEPARATORS[separator]} was taken as its separator): {detail}."
        ) from None
    if frame.empty:
        raise DataError(f"{of_path(path)} has a header and no rows below it.")
    notes = encoding_notes(path, encoding)
    # pandas fills a short row up without a word; another pass costs a tenth of reading, so it is made on suspicion
    if frame.iloc[:, -1].isna().any():
        notes += _short_row_notes(text, separator, len(names))
    frame.columns = [str(name).strip() for name in frame.columns]
    stripped = frame.apply(lambda cells: cells.astype("str").str.strip())
    return Cells(stripped.replace(["", *missing], pd.NA), separator, notes)


def _short_row_notes(text: str, separator: str, columns: int) -> list[str]:
    """How many rows have fewer cells than the header; blank lines are no rows."""
    before = csv.field_size_limit(len(text))
    try:
        rows = csv.reader(io.StringIO(text, newline=None), delimiter=separator, skipinitialspace=True)
        short = sum(len(row) < columns and row not in ([], [""]) for row in rows)
    finally:
        csv.field_size_limit(before)
    if not short:
        return []
    ends, their = ("ends", "its") if short == 1 else ("end", "their")
    return [f"{count_rows(short)} {ends} before the last column: {their} missing cells count as empty."]


def _is_markup(text: str) -> bool:
    return text.lstrip()[:100].lower().startswith(("<!doctype", "<html", "<?xml"))


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    for candidate in (text.strip().splitlines()[0], text):
        try:
            json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return True
    return False


def _header(text: str) -> str:
    """The lines of the first row that is not empty: a name in quotes may go over several."""
    start = quotes = 0
    for line in LINE.finditer(text):
        if not quotes and not line.group().strip("\r\n "):
            start = line.end()
            continue
        quotes += line.group().count('"')
        if quotes % 2 == 0:
            return text[start : line.end()]
    return text[start:]


def _separator(header: str) -> str:
    """The separator that cuts the header into the most names; a comma where none does."""
    return max(SEPARATORS, key=lambda separator: len(_names(header, separator)))


def _names(header: str, separator: str) -> list[str]:
    """The names that a separator cuts a header into; none where one of them would be beyond any measure."""
    lines = io.StringIO(header, newline=None)
    try:
        return [name.strip() for name in next(csv.reader(lines, delimiter=separator, skipinitialspace=True))]
    except csv.Error:
        return []
