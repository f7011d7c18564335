"""Reading a .csv or .tsv file: what it really is, its encoding, its separator, its cells as text."""

from __future__ import annotations

import codecs
import csv
import io
import json
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pandas.errors import EmptyDataError, ParserError, ParserWarning

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
TEXT_CONTROLS = frozenset(b"\t\n\r\f\x0b")


@dataclass(frozen=True)
class Cells:
    """A table as it stands in a file: every cell text, or missing where it is empty."""

    frame: pd.DataFrame
    separator: str
    encoding: str


def read_csv(path: Path, missing: Sequence[str] = ()) -> Cells:
    """Read a .csv or .tsv file without interpreting a cell; empty ones and those in `missing` are missing.

    Raises:
        DataError: the file is no text table, is empty, or has rows longer than its header.
    """
    advice = "write it as comma-separated text"
    text, encoding = decode(read_bytes(path), path, advice)
    if not text.strip():
        raise DataError(f"'{path}' is empty: expected a header line and rows.")
    for language, is_it in (("HTML or XML", _is_markup), ("JSON", _is_json)):
        if is_it(text):
            raise DataError(f"'{path}' is named {path.suffix.lower()} but is {language}: {advice}.")
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(text)
    # pandas would call the second one by another name
    for name, occurrences in Counter(_header(text, separator)).items():
        if name and occurrences > 1:
            raise DataError(f"'{path}' has {occurrences} columns named '{name}': rename all but one of them.")
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
        raise DataError(f"'{path}' is empty: expected a header line and rows.") from None
    except (ParserError, ParserWarning) as error:
        detail = str(error).replace("Error tokenizing data. C error: ", "").strip().rstrip(".")
        raise DataError(
            f"'{path}' is not a regular table ({SEPARATORS[separator]} was taken as its separator): {detail}."
        ) from None
    if frame.empty:
        raise DataError(f"'{path}' has a header and no rows below it.")
    frame.columns = [str(name).strip() for name in frame.columns]
    stripped = frame.apply(lambda cells: cells.astype("str").str.strip())
    return Cells(stripped.replace(["", *missing], pd.NA), separator, encoding)


def decode(raw: bytes, path: Path, advice: str) -> tuple[str, str]:
    """The file's text and its encoding.

    Raises:
        DataError: the file is no text; `advice` ends the sentence.
    """
    named = f"'{path}' is named {path.suffix.lower()} but is"
    for signature, what in SIGNATURES.items():
        if raw.startswith(signature):
            raise DataError(f"{named} {what}: {advice}.")
    start = raw[:SNIFFED_BYTES]
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif any(byte < 32 and byte not in TEXT_CONTROLS for byte in start):
        raise DataError(f"{named} a binary file: {advice}.")
    else:
        encodings = ["utf-8-sig", "latin-1"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text, encoding
    raise DataError(f"{named} no readable text: write it as UTF-8.")


def read_bytes(path: Path) -> bytes:
    """The file's bytes, or one sentence on why they cannot be had."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}.") from None


def _is_markup(text: str) -> bool:
    return text.lstrip()[:100].lower().startswith(("<!doctype", "<html", "<?xml"))


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    for candidate in (text.strip().splitlines()[0], text):
        try:
            json.loads(candidate)
        except ValueError:
            continue
        return True
    return False


def _separator(text: str) -> str:
    """The separator that cuts the header into the most names; a comma where none does."""
    return max(SEPARATORS, key=lambda separator: len(_header(text, separator)))


def _header(text: str, separator: str) -> list[str]:
    lines = io.StringIO(text[: csv.field_size_limit()].lstrip(), newline=None)
    return [name.strip() for name in next(csv.reader(lines, delimiter=separator))]
