"""Edits applied: to the text of a file or the cells of a notebook, until nothing is left to do, and only where the
result parses."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from anymax.inspect.check.config import Config
from anymax.inspect.check.findings import Edit, Finding
from anymax.inspect.check.run import Report, check
from anymax.inspect.check.sources import Source, Unreadable, read

# A fix may make room for another, so that files are looked at again; this often.
ROUNDS = 10


@dataclass
class Fixed:
    """The new texts of files by path, how many findings were fixed, which could not be, and what is left."""

    report: Report
    texts: dict[str, str] = field(default_factory=dict)
    count: int = 0
    refused: list[Unreadable] = field(default_factory=list)


def fix(report: Report, paths: Sequence[str], config: Config) -> Fixed:
    """What the files become in which this report of these paths has something to fix. Nothing is written."""
    fixed = Fixed(report)
    for _ in range(ROUNDS):
        groups = groupby(fixed.report.findings, key=lambda finding: finding.path)
        changed = [_fix_file(path, list(group), fixed) for path, group in groups]
        if not any(changed):
            break
        # all of them again, since what one file returns another may take
        fixed.report = check(paths, config, fixed.texts)
    return fixed


def _fix_file(path: str, findings: Sequence[Finding], fixed: Fixed) -> bool:
    fixable = [finding for finding in findings if finding.fix]
    if not fixable or any(refused.path == path for refused in fixed.refused):
        return False
    source = read(path, fixed.texts.get(path))
    if isinstance(source, Unreadable):
        return False
    edits, count = compatible(fixable)
    try:
        after = apply(source, edits)
        after.encode(source.encoding)
    except ValueError as error:
        fixed.refused.append(Unreadable(path, f"not fixed, since {error}"))
        return False
    result = read(path, after)
    if isinstance(result, Unreadable) or result.unread != source.unread:
        fixed.refused.append(Unreadable(path, "not fixed, since the result would not parse"))
        return False
    fixed.texts[path] = after
    fixed.count += count
    return True


def compatible(findings: Sequence[Finding]) -> tuple[list[Edit], int]:
    """The edits of as many of the findings as do not touch one another, and how many these are."""
    taken: list[Edit] = []
    count = 0
    for finding in findings:
        edits = finding.fix.edits if finding.fix else ()
        # the same edit may be part of two fixes: an import that both need
        new = [edit for edit in edits if edit not in taken]
        if all(edit.end < other.start or edit.start > other.end for edit in new for other in taken):
            taken += new
            count += 1
    return sorted(taken), count


def apply(source: Source, edits: Sequence[Edit]) -> str:
    """The text of the file after these edits; of a notebook its JSON, in which nothing else changes."""
    if not source.cells:
        return _replaced(source.text, edits)
    notebook = json.loads(source.raw)
    layout = _layout(source.raw, notebook)
    for cell in source.cells:
        written = notebook["cells"][cell.number - 1]
        code = "".join(written["source"])
        first = source.starts[cell.first_line]
        inside = [
            Edit(edit.start - first, edit.end - first, edit.replacement)
            for edit in edits
            if first <= edit.start <= edit.end <= first + len(code)
        ]
        if inside:
            code = _replaced(code, inside)
            written["source"] = code.splitlines(keepends=True) if isinstance(written["source"], list) else code
    return _dumped(notebook, *layout)


def _replaced(text: str, edits: Sequence[Edit]) -> str:
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.replacement + text[edit.end :]
    return text


def _layout(raw: str, notebook: object) -> tuple[int | None, bool, str]:
    """How a notebook was written, so that writing it again changes nothing: indent, whether ASCII, what ends it."""
    end = raw[len(raw.rstrip()) :]
    for indent in (1, 2, 4, None):
        for ascii_only in (False, True):
            if _dumped(notebook, indent, ascii_only, end) == raw:
                return indent, ascii_only, end
    raise ValueError("writing its JSON again would change more than the fix")


def _dumped(notebook: object, indent: int | None, ascii_only: bool, end: str) -> str:
    return json.dumps(notebook, indent=indent, ensure_ascii=ascii_only) + end


def diff(before: str, after: str, path: str) -> str:
    """The change of one file as `diff -u` shows it."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), fromfile=path, tofile=path
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def write(path: str, text: str) -> None:
    """Write a file in its own encoding, so that it is the old or the new one at any time, with its permissions."""
    before = read(path)
    encoding = before.encoding if isinstance(before, Source) else "utf-8"
    real = os.path.realpath(path)
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(real), prefix=f".{os.path.basename(real)}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode(encoding))
        shutil.copymode(real, partial)
        os.replace(partial, real)
    except BaseException:
        os.unlink(partial)
        raise
