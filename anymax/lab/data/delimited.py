"""Reading a .csv or .tsv file: what it really is, its encoding, its separator, its cells as text."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from anymax._core.sentences import count_rows, of_path, quoted
from anymax.lab.errors import DataError

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}

SIGNATURES = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PAR1": "a Parquet file",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x93NUMPY": "a NumPy array",
    b"ARROW1": "an Arrow file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
}
SNIFFED_BYTES = 1 << 16
NO_TEXT = re.compile(rb"[^\t\n\r\f\x0b\x20-\xff]")
LINE = re.compile(r"[^\r\n]*(?:\r\n|[\r\n]|\Z)")
LONGEST_NAME = 10_000  # signs of a column's name or a class; what is longer is no name
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
        DataError: the file is no text table, is empty, has rows longer than its header, or names that are none.
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
        raise _too_long(str(path), header)
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


def check_names(table: str, names: Sequence[str]) -> None:
    """Refuse two columns of one name, and names that are none.

    Raises:
        DataError: with the name.
    """
    for name in names:
        if len(name) > LONGEST_NAME:
            raise _too_long(table, name)
        if "\0" in name:
            raise DataError(f"Column {quoted(name)} of {of_path(table)} has a null character in its name: rename it.")
    for name, occurrences in Counter(names).items():
        if name and occurrences > 1:
            raise DataError(
                f"{of_path(table)} has {occurrences} columns named {quoted(name)}: rename all but one of them."
            )


def _too_long(table: str, name: str) -> DataError:
    return DataError(
        f"{of_path(table)} has a column whose name is longer than {LONGEST_NAME} signs ({quoted(name)}): "
        "shorten it, or close a quote that is left open."
    )


def decode(raw: bytes, path: Path, advice: str) -> tuple[str, str]:
    """The file's text and its encoding.

    Raises:
        DataError: the file is no text, or text in two encodings; `advice` ends the sentence.
    """
    named = f"{of_path(path)} is named {path.suffix.lower()} but is"
    for signature, what in SIGNATURES.items():
        if raw.startswith(signature):
            raise DataError(f"{named} {what}: {advice}.")
    start = raw[:SNIFFED_BYTES]
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = raw.decode("utf-16")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise DataError(f"{named} no readable text: write it as UTF-8.")
        return text, "utf-16"
    found = NO_TEXT.search(start)
    place = found.start() if found else raw.find(b"\0")
    if place >= 0:
        if _is_utf16(start):
            raise DataError(f"{named} UTF-16 without the mark that says so: write it as UTF-8.")
        line = raw.count(b"\n", 0, place) + 1
        raise DataError(f"{named} a binary file (line {line} holds the byte {raw[place]:#04x}): {advice}.")
    try:
        return raw.decode("utf-8-sig"), "utf-8-sig"
    except UnicodeDecodeError:
        _refuse_two_encodings(raw, path)
        return raw.decode("latin-1"), "latin-1"


def encoding_notes(path: Path, encoding: str) -> list[str]:
    """What must be said about the encoding in which a file was read."""
    return [f"{of_path(path.name)} is no UTF-8 and was read as Latin-1."] if encoding == "latin-1" else []


def _is_utf16(start: bytes) -> bool:
    """Whether many bytes are zero, all of them first or all of them second in their pair, and no pair is a control."""
    first, second = start[0::2].count(0), start[1::2].count(0)
    if min(first, second) or first + second <= len(start) / 4:
        return False
    text = start[: len(start) // 2 * 2].decode("utf-16-be" if first else "utf-16-le", errors="replace")
    return all(sign.isprintable() or sign.isspace() for sign in text)


def _refuse_two_encodings(raw: bytes, path: Path) -> None:
    """Latin-1 can be read from any bytes, and would turn the letters of lines in UTF-8 into others."""
    first: dict[bool, int] = {}  # whether it is UTF-8 -> the first such line that is not plain ASCII
    for number, line in enumerate(raw.splitlines(), start=1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            first.setdefault(False, number)
        else:
            first.setdefault(True, number)
        if len(first) == 2:
            raise DataError(
                f"{of_path(path)} is UTF-8 in line {first[True]} and is not in line {first[False]}: "
                "write all of it as UTF-8."
            )


def read_bytes(path: Path) -> bytes:
    """The file's bytes, or one sentence on why they cannot be had."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{of_path(path)} cannot be read: {error.strerror or error}.") from None


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
