"""From paths to parsed source: files, folders and notebooks; what cannot be read is said, and skipped."""

from __future__ import annotations

import ast
import bisect
import codecs
import io
import json
import os
import re
import sys
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SUFFIXES = (".py", ".pyi", ".ipynb")

# Folders that hold no code of the project itself; ruff's default.
SKIPPED = {
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pants.d",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    ".vscode",
    "__pypackages__",
    "_build",
    "buck-out",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
}

NEWLINE = re.compile(r"\r\n|\r|\n")
CODING = re.compile(rb"coding[:=]")
NOQA = re.compile(r"#\s*noqa(?P<codes>:\s?[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*)?", re.IGNORECASE)

# Lines of IPython that are no Python: magics, shell commands, help
MAGIC = re.compile(r"^(?P<indent>\s*)(?:[%!?]|(?:[\w\s,.]+=\s*)[%!]|[\w.]+\?{1,2}\s*$)")
# cell magics whose cell is Python all the same
PYTHON_CELLS = ("%%time", "%%timeit", "%%capture", "%%prun", "%%python3")


@dataclass(frozen=True)
class Unreadable:
    """A file, or one cell of a notebook, that was not looked at, and why."""

    path: str
    reason: str
    line: int | None = None
    cell: int | None = None


@dataclass(frozen=True)
class Cell:
    """A code cell: its number among all cells of the notebook, and where its text begins in the source's."""

    number: int
    first_line: int  # counts from 0
    lines: int


@dataclass(frozen=True)
class Source:
    """One file, parsed.

    Attributes:
        path: as it is shown. text: what stands in the file; of a notebook the code cells, one after the other.
        tree: of that text, magics of IPython left out. raw: the whole file as text; encoding: and as bytes.
        cells: of a notebook. unread: its cells that are no Python.
    """

    path: str
    text: str
    tree: ast.Module
    raw: str = field(default="", repr=False)
    encoding: str = "utf-8"
    cells: tuple[Cell, ...] = ()
    unread: tuple[Unreadable, ...] = ()

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without their ends. Not `splitlines`, which also splits where Python goes on counting."""
        return NEWLINE.split(self.text)

    @cached_property
    def starts(self) -> list[int]:
        """Where each line begins in the text."""
        return [0, *(match.end() for match in NEWLINE.finditer(self.text))]

    def column(self, line: int, offset: int) -> int:
        """A column of `ast`, which counts bytes of UTF-8, in characters; `line` from 1, columns from 0."""
        text = self.lines[line - 1]
        return offset if text.isascii() else len(text.encode()[:offset].decode(errors="ignore"))

    def span(self, node: ast.expr | ast.stmt | ast.alias | ast.keyword) -> tuple[int, int]:
        """Where a node begins and ends in the text, in characters."""
        end_line = node.end_lineno or node.lineno
        end_offset = node.col_offset if node.end_col_offset is None else node.end_col_offset
        start = self.starts[node.lineno - 1] + self.column(node.lineno, node.col_offset)
        return start, self.starts[end_line - 1] + self.column(end_line, end_offset)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character of the text, both from 1; in a notebook within the cell."""
        line = bisect.bisect_right(self.starts, offset)
        cell = self.cell_of(line)
        return line - (cell.first_line if cell else 0), offset - self.starts[line - 1] + 1

    def segment(self, node: ast.expr | ast.stmt) -> str:
        """A node as it is written."""
        start, end = self.span(node)
        return self.text[start:end]

    def cell_of(self, line: int) -> Cell | None:
        """The cell that holds a line (from 1) of the text."""
        at = bisect.bisect_right(self.cells, line - 1, key=lambda cell: cell.first_line)
        return self.cells[at - 1] if at else None

    def lines_before(self, number: int | None) -> int:
        """How many lines of the text stand before the cell of this number; 0 in a file without cells."""
        return next((cell.first_line for cell in self.cells if cell.number == number), 0)

    def line_in_file(self, number: int | None, line: int) -> int:
        """The line of the file that holds this one of a cell, whose code stands in strings of JSON."""
        if number is None:
            return line
        written: _Placed | list[_Placed] = _with_places(self.raw)["cells"][number - 1]["source"]
        pieces = written if isinstance(written, list) else [written]
        ends = accumulate(len(NEWLINE.findall(piece)) for piece in pieces)
        piece = next((piece for piece, end in zip(pieces, ends, strict=True) if end >= line), pieces[-1])
        return len(NEWLINE.findall(self.raw, 0, piece.at)) + 1

    def place(self, node: ast.expr | ast.stmt) -> str:
        """Where a node stands, for a sentence: "model.py:46", or "train.ipynb, cell 3, line 4"."""
        if cell := self.cell_of(node.lineno):
            return f"{self.path}, cell {cell.number}, line {node.lineno - cell.first_line}"
        return f"{self.path}:{node.lineno}"

    @cached_property
    def noqa(self) -> dict[int, frozenset[str]]:
        """By line (from 1): the codes that a `# noqa` there names; without any, the empty set, which means all."""
        if "noqa" not in self.text.lower():
            return {}
        found = ((number, NOQA.search(line)) for number, line in enumerate(self.lines, 1))
        return {
            number: frozenset(re.findall(r"[A-Z]+[0-9]+", (match["codes"] or "").upper()))
            for number, match in found
            if match
        }

    def is_silenced(self, code: str, lines: Iterable[int]) -> bool:
        """Whether one of the lines says `# noqa` of this code."""
        marks = [self.noqa[line] for line in lines if line in self.noqa]
        return any(not codes or code in codes for codes in marks)


def places_of(words: str, text: str) -> Iterator[int]:
    """Where these letters begin in a text."""
    at = text.find(words)
    while at >= 0:
        yield at
        at = text.find(words, at + 1)


def whole_places_of(name: str, text: str) -> Iterator[int]:
    """Where a name stands by itself, not as part of another."""
    for at in places_of(name, text):
        around = text[max(0, at - 1) : at] + text[at + len(name) : at + len(name) + 1]
        if not any(letter.isalnum() or letter == "_" for letter in around):
            yield at


def find(paths: Sequence[str], is_excluded: Callable[[str], bool]) -> Iterator[str]:
    """The files in these paths, each once: those that are named whatever they are called, folders are searched."""
    seen = set()
    for path in paths:
        for file in _walk(path, is_excluded) if os.path.isdir(path) else [path]:
            if (real := os.path.realpath(file)) not in seen:
                seen.add(real)
                yield file


def _walk(folder: str, is_excluded: Callable[[str], bool]) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        kept = (name for name in folders if name not in SKIPPED and not is_excluded(os.path.join(root, name)))
        folders[:] = sorted(kept)
        for name in sorted(files):
            path = os.path.normpath(os.path.join(root, name))
            if name.endswith(SUFFIXES) and not is_excluded(path):
                yield path


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern names this path, its last part, or a folder above it."""
    path, pattern = os.path.normpath(path), os.path.normpath(pattern)
    parts = Path(path).parts
    folders = (os.path.join(*parts[:length]) for length in range(1, len(parts) + 1))
    return any(fnmatch(each, pattern) for each in (*parts, *folders))


def read(path: str, instead: str | None = None) -> Source | Unreadable:
    """Read and parse one file; `instead` is taken for its text where it is given."""
    try:
        on_disk, encoding = _decode(Path(path).read_bytes())
        raw = on_disk if instead is None else instead
        if path.endswith(".ipynb"):
            return _notebook(path, raw, encoding)
        return Source(path, raw, _parse(raw, path), raw, encoding)
    except OSError as error:
        return Unreadable(path, error.strerror or str(error))
    except UnicodeDecodeError:
        return Unreadable(path, "its encoding is not the one it declares, or UTF-8 where it declares none")
    except SyntaxError as error:
        return Unreadable(path, f"it is no Python {PYTHON}: {error.msg}", error.lineno)
    except (ValueError, RecursionError, MemoryError) as error:
        return Unreadable(path, f"it cannot be parsed: {error or type(error).__name__}")


def _decode(content: bytes) -> tuple[str, str]:
    """The text of a file, with its line ends as they are, and its encoding."""
    encoding = "utf-8"
    if content.startswith(codecs.BOM_UTF8) or CODING.search(content[:400]):
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return content.decode(encoding), encoding


def _parse(text: str, path: str) -> ast.Module:
    # what Python warns of on the way, such as "\d" in a string, is not our subject
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, path)


def _notebook(path: str, raw: str, encoding: str) -> Source | Unreadable:
    try:
        notebook = json.loads(raw)
        written = [(number, cell) for number, cell in enumerate(notebook["cells"], 1) if cell["cell_type"] == "code"]
        codes = [(number, "".join(cell["source"])) for number, cell in written]
        language = _language(notebook)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Unreadable(path, "it is no notebook of format 4 (JSON with cells)")
    if language != "python":
        return Unreadable(path, f"its language is {language}")
    cells, unread, read, line = [], [], [], 0
    for number, code in codes:
        lines = len(NEWLINE.split(code))
        cells.append(Cell(number, line, lines))
        line += lines
        try:
            read.append(_without_magics(code, path))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = f"it is no Python {PYTHON}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
            unread.append(Unreadable(path, reason, getattr(error, "lineno", None), number))
            read.append("\n" * (lines - 1))
    text = "\n".join(code for _, code in codes)
    return Source(path, text, _parse("\n".join(read), path), raw, encoding, tuple(cells), tuple(unread))


class _Placed(str):
    """A string of a JSON text, which begins at this character of it."""

    at: int


def _with_places(raw: str) -> Any:
    """What a JSON text says, in which every value that is a string knows where it stands."""
    decoder: Any = json.JSONDecoder()
    scan = decoder.parse_string

    def parse_string(text: str, at: int, strict: bool = True) -> tuple[_Placed, int]:
        value, end = scan(text, at, strict)
        placed = _Placed(value)
        placed.at = at
        return placed, end

    decoder.parse_string = parse_string
    # the scanner that is written in C does not ask parse_string
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # pyright: ignore[reportAttributeAccessIssue]
    return decoder.decode(raw)


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata", {})
    for part, name in (("language_info", "name"), ("kernelspec", "language")):
        if isinstance(language := metadata.get(part, {}).get(name), str):
            return language.lower()
    return "python"


def _without_magics(code: str, path: str) -> str:
    """A cell with each line that is IPython's replaced by `pass`; as it is where it is Python already."""
    try:
        _parse(code, path)
        return code
    except SyntaxError:
        pass
    lines = NEWLINE.split(code)
    if code.lstrip().startswith("%%") and not code.lstrip().startswith(PYTHON_CELLS):
        return "\n" * (len(lines) - 1)
    continued = False
    for at, line in enumerate(lines):
        magic = MAGIC.match(line)
        if magic or continued:
            lines[at] = f"{magic['indent']}pass" if magic else ""
            continued = line.endswith("\\")
    code = "\n".join(lines)
    _parse(code, path)
    return code
