"""A report as text, JSON, SARIF or annotations of GitHub."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from urllib.parse import quote

from anymax._core.sentences import printable
from anymax.inspect.check.findings import Edit, Finding
from anymax.inspect.check.rules import all_rules
from anymax.inspect.check.run import Report
from anymax.inspect.check.sources import NEWLINE, Source, Unreadable, read

COLOURS = {"error": "31", "warning": "33", "info": "36"}
# of SARIF and of GitHub for ours
SARIF_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
GITHUB_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}
TAB = "    "
LONGEST_LINE = 160


def text(report: Report) -> str:
    """For people: each finding with its line and a caret under it, then what was looked at and what was not."""
    return "\n".join([*(_with_line(finding) for finding in report.findings), *summary(report)])


def _with_line(finding: Finding) -> str:
    place = f"cell {finding.cell}:" if finding.cell else ""
    level = _coloured(finding.level, COLOURS[finding.level])
    where = _coloured(f"{printable(finding.path)}:{place}{finding.line}:{finding.column}", "1")
    fixable = " (--fix)" if finding.fix else ""
    head = f"{where}: {level} {finding.code}{fixable} {printable(finding.message)}"
    line = _line_of(finding)
    if line is None:
        return head
    start = finding.column - 1
    end = finding.end_column - 1 if finding.end_line == finding.line else len(line)
    # a line of data is shown around the finding
    first = max(0, start - LONGEST_LINE // 2) if len(line) > LONGEST_LINE else 0
    shown = line[first : first + LONGEST_LINE].rstrip()
    before, under = _shown(line[first:start]), _shown(line[start : min(end, first + LONGEST_LINE)].rstrip())
    number = str(finding.line)
    caret = _coloured("^" * max(1, _width(under)), COLOURS[finding.level])
    return f"{head}\n {number} | {_shown(shown)}\n {' ' * len(number)} | {' ' * _width(before)}{caret}\n"


def _line_of(finding: Finding) -> str | None:
    source = _source(finding.path)
    if source is None:
        return None
    return source.lines[source.lines_before(finding.cell) + finding.line - 1]


@cache
def _source(path: str) -> Source | None:
    source = read(path)
    return source if isinstance(source, Source) else None


def _shown(line: str) -> str:
    return printable(line.replace("\t", TAB))


def _width(line: str) -> int:
    """The columns that a terminal takes for it."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in line
    )


def _coloured(words: str, colour: str) -> str:
    return f"\033[{colour}m{words}\033[0m" if _has_colours() else words


def _has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def summary(report: Report) -> Iterator[str]:
    """What was looked at, and what was not."""
    yield from not_looked_at(report)
    levels = Counter(finding.level for finding in report.findings)
    parts = ", ".join(f"{levels[level]} {level}" for level in COLOURS if levels[level])
    found = f"{count(len(report.findings), 'finding')} ({parts})" if parts else "No findings"
    unread = len({each.path for each in (*report.unread, *report.failed)})
    not_read = f"{count(unread, 'file')} in whole or in part (named above), and " if unread else ""
    in_part = f", {len(report.cut_short)} of them not in every branch, for their size" if report.cut_short else ""
    yield (
        f"{found}. Looked at: {count(len(report.looked_at), 'file')}{in_part}. Not looked at: {not_read}"
        "what only a run knows, such as most shapes; silence is no proof."
    )


def not_looked_at(report: Report) -> Iterator[str]:
    """The files and cells that could not be read, a line each."""
    for each in sorted((*report.unread, *report.failed), key=lambda each: (each.path, each.cell or 0)):
        place = f":cell {each.cell}" if each.cell else ""
        line = f":{each.line}" if each.line else ""
        yield printable(f"{each.path}{place}{line}: not looked at: {each.reason}")


def count(number: int, noun: str) -> str:
    """So many of them, in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def as_json(report: Report) -> str:
    """A list of objects with the names that ruff gives their fields, and `level`."""
    return json.dumps([_as_object(finding) for finding in report.findings], indent=2)


def _as_object(finding: Finding) -> dict[str, Any]:
    fix = finding.fix
    edits = [_edit_as_object(edit, finding) for edit in fix.edits] if fix else []
    return {
        "cell": finding.cell,
        "code": finding.code,
        "end_location": {"row": finding.end_line, "column": finding.end_column},
        "filename": os.path.abspath(finding.path),
        "fix": {"applicability": "safe", "edits": edits, "message": fix.message} if fix else None,
        "level": finding.level,
        "location": {"row": finding.line, "column": finding.column},
        "message": finding.message,
        "name": all_rules()[finding.code].name,
        "noqa_row": finding.line,
        "url": None,
    }


def _edit_as_object(edit: Edit, finding: Finding) -> dict[str, Any]:
    source = _source(finding.path)
    start, end = (_location(source, offset) for offset in (edit.start, edit.end))
    return {"content": edit.replacement, "end_location": end, "location": start}


def _location(source: Source | None, offset: int) -> dict[str, int] | None:
    if source is None:
        return None
    line, column = source.position(offset)
    return {"row": line, "column": column}


def sarif(report: Report) -> str:
    """SARIF 2.1.0: the rules with their documentation, the findings, and what could not be read as notifications."""
    from importlib.metadata import version  # which takes a fifth of the start and is asked for here alone

    rules = list(all_rules().values())
    driver = {
        "name": "anymax check",
        "semanticVersion": version("anymax"),
        "rules": [
            {
                "id": rule.code,
                "name": rule.name,
                "shortDescription": {"text": rule.summary},
                "fullDescription": {"text": rule.reason},
                "help": {"text": rule.documentation, "markdown": rule.documentation},
                "defaultConfiguration": {"level": SARIF_LEVELS[rule.level]},
            }
            for rule in rules
        ],
    }
    index = {rule.code: at for at, rule in enumerate(rules)}
    notifications = [
        {
            "level": "error" if each in report.failed else "warning",
            "message": {"text": f"{_cell(each)}not looked at: {each.reason}"},
            "locations": [{"physicalLocation": _physical(each.path, _lines(each))}],
        }
        for each in (*report.unread, *report.failed)
    ]
    results = [
        {
            "ruleId": finding.code,
            "ruleIndex": index[finding.code],
            "level": SARIF_LEVELS[finding.level],
            "message": {"text": _cell(finding) + finding.message},
            "locations": [{"physicalLocation": _physical(finding.path, _region(finding))}],
        }
        for finding in report.findings
    ]
    invocation = {"executionSuccessful": not report.failed, "toolExecutionNotifications": notifications}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": results,
    }
    return json.dumps(
        {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}, indent=2
    )


def _physical(path: str, region: dict[str, int]) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(path)}}
    return place | {"region": region} if region else place


def _region(finding: Finding) -> dict[str, int]:
    if finding.cell is not None:
        return _lines(finding)
    return {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    }


def _lines(place: Finding | Unreadable) -> dict[str, int]:
    """A whole line of the file: of a notebook, whose JSON has other columns than the code, and of what was not read."""
    if not place.line:
        return {}
    source = _source(place.path)
    if source is None:
        return {"startLine": place.line}
    line = source.line_in_file(place.cell, place.line)
    end = len(NEWLINE.split(source.raw)[line - 1]) + 1
    return {"startLine": line, "startColumn": 1, "endLine": line, "endColumn": end}


def _uri(path: str) -> str:
    """A path for a file of results: relative where it lies below the current folder."""
    relative = os.path.relpath(path)
    if relative.split(os.sep)[0] == os.pardir:
        return f"file://{quote(os.fsencode(os.path.abspath(path)))}"
    return quote(os.fsencode(relative.replace(os.sep, "/")))


def _cell(place: Finding | Unreadable) -> str:
    """What stands before a message on a notebook, whose lines are not those of its file."""
    if place.cell is None:
        return ""
    return f"cell {place.cell}, line {place.line}: " if place.line else f"cell {place.cell}: "


def github(report: Report) -> str:
    """Commands that GitHub's runner turns into annotations."""
    return "\n".join(map(_annotation, report.findings))


def _annotation(finding: Finding) -> str:
    fields = {"title": f"anymax {finding.code}", "file": os.path.relpath(finding.path)}
    region = {name: str(value) for name, value in _region(finding).items()}
    fields |= {"line": region["startLine"], "endLine": region["endLine"]}
    # GitHub takes columns within one line alone
    if region["startLine"] == region["endLine"]:
        fields |= {"col": region["startColumn"], "endColumn": region["endColumn"]}
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in fields.items())
    message = _escaped(f"{finding.code} {_cell(finding)}{finding.message}")
    return f"::{GITHUB_LEVELS[finding.level]} {properties}::{message}"


def _escaped(value: str, more: str = "") -> str:
    for sign in f"%\r\n{more}":
        value = value.replace(sign, f"%{ord(sign):02X}")
    return value


FORMATS: dict[str, Callable[[Report], str]] = {"text": text, "json": as_json, "sarif": sarif, "github": github}
