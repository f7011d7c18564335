"""Names, cells and paths inside a sentence: on one line, acting on no terminal, cut where they are long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

LONGEST_NAME = 40  # characters of a name or cell that a sentence shows,
LONGEST_PATH = 250  # of a path,
LONGEST_DETAIL = 200  # and of what a library says


def printable(text: str) -> str:
    """The text with each character that a terminal would act on, or that none can show, written as its code."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown(value: object, longest: int = LONGEST_NAME) -> str:
    """A name or cell on one line, printable, and cut where it is long."""
    text = " ".join(str(value).split())
    return printable(f"{text[:longest]}…" if len(text) > longest else text)


def quoted(value: object, longest: int = LONGEST_NAME) -> str:
    """A name or cell for a sentence, as `shown` cuts it."""
    return f"'{shown(value, longest)}'"


def spelled(name: str) -> str:
    """A name for a sentence with its spaces as they stand, where it is about them."""
    return f"'{printable(name[:LONGEST_NAME])}{'…' if len(name) > LONGEST_NAME else ''}'"


def of_path(path: str | Path) -> str:
    """A path for a sentence."""
    return quoted(path, LONGEST_PATH)


def detail(error: BaseException) -> str:
    """What a library says of an error, for the end of a sentence."""
    return shown(error, LONGEST_DETAIL).rstrip(".")


def first_of(words: Sequence[str], most: int) -> str:
    """So many of the words with commas between them, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def count_rows(count: int) -> str:
    """So many rows, in words."""
    return "1 row" if count == 1 else f"{count} rows"
