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

from anymax._core.sentences import count_rows, of_path, quoted
from anymax.lab.data.columns import check_names, too_long
from anymax.lab.data.decoding import decode, read_bytes
from anymax.lab.errors import DataError

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
# what stands between cells in other files, where a header is one name to all of the above
NO_SEPARATORS = {":": "colons", "^": "carets", "~": "tildes", " ": "spaces"}
COMMENT = re.compile(r"^[ ]*(?:#|//).*$", re.MULTILINE)
SNIFFED, SNIFFED_LINES = 1 << 16, 20  # characters and lines in which another separator is looked for
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
    notes: list[str]  # what must be said about how it was read
    separator: str = ""


def read_csv(path: Path, missing: Sequence[str] = (), drop: Sequence[str] = (), encoding: str | None = None) -> Cells:
    """Read a .csv or .tsv file without interpreting a cell; empty ones and those in `missing` are missing.

    Args:
        path: the file.
        missing: cells that mean missing, beside empty ones.
        drop: columns that are not used, so that two may have the same name.
        encoding: the one that the user named, if any.

    Raises:
        DataError: the file is not a text table, is empty, has rows longer than its header, or unusable names.
    """
    advice = "write it as comma-separated text"
    decoded = decode(read_bytes(path), path, advice, encoding)
    text = decoded.text
    if not text.strip():
        raise DataError(f"{of_path(path)} is empty: expected a header line and rows.")
    for language, is_it in (("HTML or XML", _is_markup), ("JSON", _is_json)):
        if is_it(text):
            raise DataError(f"{of_path(path)} is named {path.suffix.lower()} but is {language}: {advice}.")
    header = _header(text)
    separator = _separator(header, "\t" if path.suffix.lower() == ".tsv" else ",")
    names = _names(header, separator)
    if not names:
        raise too_long(str(path), header)
    if len(names) == 1:
        _refuse_other_separator(path, text, header)
    # pandas would call the second of two by another name
    check_names(str(path), [name for name in names if name not in drop])
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
            f"{of_path(path)} is not a regular table ({SEPARATORS[separator]} was taken as its separator): {detail}"
            f"{_comment_cause(text)}."
        ) from None
    if frame.empty:
        raise DataError(f"{of_path(path)} has a header and no rows below it.")
    notes = list(decoded.notes)
    # pandas fills a short row up without a word; another pass costs a tenth of reading, so it is made on suspicion
    if frame.iloc[:, -1].isna().any():
        notes += _short_row_notes(text, separator, len(names))
    # pandas calls the second of two columns by another name; one without a name is numbered
    frame.columns = [name or str(given) for name, given in zip(names, frame.columns, strict=True)]
    stripped = frame.apply(lambda cells: cells.astype("str").str.strip())
    return Cells(stripped.replace(["", *missing], pd.NA), notes, separator)


def _short_row_notes(text: str, separator: str, columns: int) -> list[str]:
    """How many rows have fewer cells than the header; blank lines are no rows."""
    before = csv.field_size_limit(len(text))
    try:
        reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator, skipinitialspace=True)
        rows = [row[:1] for row in reader if len(row) < columns and row not in ([], [""])]
        short = len(rows)
    finally:
        csv.field_size_limit(before)
    if not short:
        return []
    ends, their = ("ends", "its") if short == 1 else ("end", "their")
    comments = sum(row[:1] != [] and row[0].startswith(("#", "//")) for row in rows)
    cause = f", and {comments} of them begin like a comment: take comments out" if comments else ""
    return [f"{count_rows(short)} {ends} before the last column: {their} missing cells count as empty{cause}."]


def _comment_cause(text: str) -> str:
    """The end of a sentence on a table that is none, where a comment in it may be why."""
    comment = COMMENT.search(text)
    if comment is None:
        return ""
    line = text.count("\n", 0, comment.start()) + 1
    return f"; line {line} looks like a comment ({quoted(comment.group())}): take such lines out"


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


def _separator(header: str, expected: str) -> str:
    """The separator that cuts the header into the most names; the expected one where no other cuts it into more."""
    return max([expected, *SEPARATORS], key=lambda separator: len(_names(header, separator)))


def _refuse_other_separator(path: Path, text: str, header: str) -> None:
    """Refuse a table that is one column to all known separators, and cut alike in its first lines by another sign."""
    lines = [line for line in text[:SNIFFED].splitlines() if line.strip()][:SNIFFED_LINES]
    for sign, what in NO_SEPARATORS.items():
        cells = {len(line.split() if sign == " " else line.split(sign)) for line in lines}
        if len(lines) > 2 and len(cells) == 1 and cells.pop() > 1:
            raise DataError(
                f"{of_path(path)} has one column only ({quoted(header)}), and its cells seem to be set apart by "
                f"{what}: write commas between them."
            )


def _names(header: str, separator: str) -> list[str]:
    """The names that a separator cuts a header into; none where one of them would be beyond any measure."""
    lines = io.StringIO(header, newline=None)
    try:
        return [name.strip() for name in next(csv.reader(lines, delimiter=separator, skipinitialspace=True))]
    except csv.Error:
        return []
