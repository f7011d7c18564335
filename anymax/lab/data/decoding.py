"""From the bytes of a file to text: what the file really is, and its encoding."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from anymax._core.sentences import of_path
from anymax.lab.errors import DataError

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


def decode(raw: bytes, path: Path, advice: str) -> tuple[str, str]:
    """The file's text and its encoding.

    Raises:
        DataError: the file is not text, or text in two encodings; `advice` ends the sentence.
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
            raise DataError(f"{named} not readable text: write it as UTF-8.")
        return text, "utf-16"
    found = NO_TEXT.search(start)
    place = found.start() if found else raw.find(b"\0")
    if place >= 0:
        if _is_utf16(start):
            raise DataError(f"{named} UTF-16 without a byte order mark: write it as UTF-8.")
        line = raw.count(b"\n", 0, place) + 1
        raise DataError(f"{named} a binary file (line {line} holds the byte {raw[place]:#04x}): {advice}.")
    try:
        return raw.decode("utf-8-sig"), "utf-8-sig"
    except UnicodeDecodeError:
        _refuse_two_encodings(raw, path)
        return raw.decode("latin-1"), "latin-1"


def encoding_notes(path: Path, encoding: str) -> list[str]:
    """What must be said about the encoding in which a file was read."""
    return [f"{of_path(path.name)} is not valid UTF-8 and was read as Latin-1."] if encoding == "latin-1" else []


def _is_utf16(start: bytes) -> bool:
    """Whether many bytes are zero, all of them first or all of them second in their pair, and no pair is a control."""
    first, second = start[0::2].count(0), start[1::2].count(0)
    if min(first, second) or first + second <= len(start) / 4:
        return False
    text = start[: len(start) // 2 * 2].decode("utf-16-be" if first else "utf-16-le", errors="replace")
    return all(character.isprintable() or character.isspace() for character in text)


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
