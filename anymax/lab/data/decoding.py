"""From the bytes of a file to text: what the file really is, and its encoding."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from charset_normalizer import from_bytes

from anymax._core.sentences import of_path, quoted
from anymax.lab.errors import DataError, Option

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
TELLING_LINES = 1000
FALLBACK = "cp1252"  # what programs for Windows write in the west of Europe and in America
OTHER_LETTERS = re.compile(r"\w*[^\x00-\x7f]\w*")
NO_TEXT = re.compile(rb"[^\t\n\r\f\x0b\x20-\xff]")


@dataclass(frozen=True)
class Decoded:
    """The text of a file, and what must be said about its encoding."""

    text: str
    notes: list[str]


def decode(raw: bytes, path: Path, advice: str, encoding: str | None = None) -> Decoded:
    """The file's text.

    Args:
        raw: the file's bytes.
        path: what the file is called.
        advice: ends the sentence where the file is no text.
        encoding: the one that the user named; None recognises UTF-8 and UTF-16, and takes `FALLBACK` else.

    Raises:
        DataError: the file is not text, text in two encodings, or text in another encoding than the one named.
    """
    named = f"{of_path(path)} is named {path.suffix.lower()} but is"
    for signature, what in SIGNATURES.items():
        if raw.startswith(signature):
            raise DataError(f"{named} {what}: {advice}.")
    if encoding is not None:
        return Decoded(_in_encoding(raw, path, encoding), [])
    start = raw[:SNIFFED_BYTES]
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = raw.decode("utf-16")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise DataError(f"{named} not readable text: write it as UTF-8.")
        return Decoded(text, [])
    found = NO_TEXT.search(start)
    place = found.start() if found else raw.find(b"\0")
    if place >= 0:
        if _is_utf16(start):
            raise DataError(f"{named} UTF-16 without a byte order mark: write it as UTF-8.")
        line = raw.count(b"\n", 0, place) + 1
        raise DataError(f"{named} a binary file (line {line} holds the byte {raw[place]:#04x}): {advice}.")
    try:
        return Decoded(raw.decode("utf-8-sig"), [])
    except UnicodeDecodeError:
        _refuse_two_encodings(raw, path)
    return _in_fallback(raw, path)


def _in_encoding(raw: bytes, path: Path, encoding: str) -> str:
    try:
        # a byte order mark is no letter
        return raw.decode("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)
    except LookupError:
        raise DataError(
            Option("encoding", encoding), " names no encoding of text: expected one such as utf-8, cp1252 or shift_jis."
        ) from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"Line {line} of {of_path(path)} cannot be read in the encoding of ", Option("encoding", encoding), "."
        ) from None


def _in_fallback(raw: bytes, path: Path) -> Decoded:
    """The text in the encoding that is guessed, with the guess in a note beside what a library would guess."""
    # lines of plain ASCII are the same in nearly all encodings, and would outweigh the few that tell them apart
    telling = [line for line in raw.splitlines() if not line.isascii()][:TELLING_LINES]
    sample = b"\n".join(telling)[:SNIFFED_BYTES]
    best = from_bytes(sample).best()
    try:
        text = raw.decode(FALLBACK)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        rather = f", which may be {best.encoding}" if best else ""
        raise DataError(
            f"{of_path(path)} is neither UTF-8 nor {FALLBACK} (line {line} holds the byte {raw[error.start]:#04x}): "
            "name its encoding",
            rather,
            ", with ",
            Option("encoding"),
            ".",
        ) from None
    word = OTHER_LETTERS.search(text)
    example = f" ({quoted(word.group())})" if word else ""
    other = ""
    if best and str(best) != sample.decode(FALLBACK):
        guessed = OTHER_LETTERS.search(str(best))
        other = f"; charset-normalizer would guess {best.encoding}" + (
            f" ({quoted(guessed.group())})" if guessed else ""
        )
    return Decoded(
        text,
        [
            f"{of_path(path.name)} is not valid UTF-8 and was read as {FALLBACK}{example}{other}: if that is wrong, "
            "name its encoding with --encoding."
        ],
    )


def _is_utf16(start: bytes) -> bool:
    """Whether many bytes are zero, all of them first or all of them second in their pair, and no pair is a control."""
    first, second = start[0::2].count(0), start[1::2].count(0)
    if min(first, second) or first + second <= len(start) / 4:
        return False
    text = start[: len(start) // 2 * 2].decode("utf-16-be" if first else "utf-16-le", errors="replace")
    return all(character.isprintable() or character.isspace() for character in text)


def _refuse_two_encodings(raw: bytes, path: Path) -> None:
    """Nearly any bytes can be read as cp1252, which would turn the letters of lines in UTF-8 into others."""
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
