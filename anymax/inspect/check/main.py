"""`anymax check PATH...`: from arguments to findings, their output and an exit status. The standard library alone."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from anymax._core.sentences import of_path, printable, quoted
from anymax.inspect.check import config as configuration
from anymax.inspect.check import fixes, output, sources
from anymax.inspect.check.config import Config, ConfigError
from anymax.inspect.check.fixes import Fixed
from anymax.inspect.check.pages import OF_RUNS
from anymax.inspect.check.rules import all_rules
from anymax.inspect.check.run import Report, check
from anymax.inspect.check.sources import Source, Unreadable

CLEAN = 0
FOUND = 1
WRONG_USE = 2  # and where the check itself failed


def main(arguments: Sequence[str]) -> int:
    """Find softmaxes over the wrong axis, scores and probabilities mixed up, and names that are not there, in code.

    Returns the exit status: 0 without findings, 1 with some, 2 where the request makes no sense.
    """
    try:
        options = _parser().parse_args(arguments)
        if options.explain:
            print(_documentation(options.explain))
            return CLEAN
        return _run(options)
    except ConfigError as error:
        print(f"anymax: {printable(str(error))}", file=sys.stderr)
        return WRONG_USE


def _run(options: argparse.Namespace) -> int:
    config = _config(options)
    for path in options.paths:
        if not os.path.exists(path):
            raise ConfigError(f"There is no {of_path(path)}.")
    # a hook names every file that is committed, those too that are excluded
    excluded = [path for path in options.paths if config.is_excluded(path)]
    asked = [path for path in options.paths if path not in excluded]
    paths = list(sources.find(asked, config.is_excluded))

    report = check(paths, config)
    if options.diff or options.fix:
        fixed = fixes.fix(report, paths, config)
        for refused in fixed.refused:
            print(printable(f"{refused.path}: {refused.reason}"), file=sys.stderr)
        if options.diff:
            return _show_diff(fixed)
        if fixed.texts:
            _write(fixed)
        report = fixed.report
    report.unread += [Unreadable(path, "it is excluded") for path in excluded]
    return _show(options, report)


def _show_diff(fixed: Fixed) -> int:
    for path, after in fixed.texts.items():
        before = sources.read(path)
        if isinstance(before, Source):
            sys.stdout.write(fixes.diff(before.raw, after, path))
    return FOUND if fixed.texts else CLEAN


def _write(fixed: Fixed) -> None:
    for path, after in fixed.texts.items():
        try:
            fixes.write(path, after)
        except OSError as error:
            raise ConfigError(f"{of_path(path)} cannot be written: {error.strerror or error}.") from None
    found, files = output.count(fixed.count, "finding"), output.count(len(fixed.texts), "file")
    print(f"Fixed {found} in {files}.", file=sys.stderr)


def _show(options: argparse.Namespace, report: Report) -> int:
    shown = output.FORMATS[options.output_format](report)
    if shown:
        print(shown)
    if options.output_format != "text":
        for line in output.not_looked_at(report):
            print(line, file=sys.stderr)
    return _status(report)


def _status(report: Report) -> int:
    if report.failed:
        return WRONG_USE
    return FOUND if report.findings else CLEAN


def _config(options: argparse.Namespace) -> Config:
    config = configuration.load(Path.cwd())
    if options.select is not None:
        config = replace(config, select=configuration.codes(options.select))
    if options.ignore is not None:
        config = replace(config, ignore=configuration.codes(options.ignore))
    config.rules()  # a prefix that begins no code is said before any work
    return config


def _documentation(code: str) -> str:
    pages = {**all_rules(), **OF_RUNS}
    page = pages.get(code.upper())
    if page is None:
        raise ConfigError(f"There is no code {quoted(code)}; the codes are {', '.join(sorted(pages))}.")
    return page.documentation


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message.rstrip('.').capitalize()} (see anymax check --help).")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="anymax check", description=(main.__doc__ or "").partition("\n")[0], allow_abbrev=False)
    add = parser.add_argument
    add("paths", nargs="*", default=["."], metavar="PATH", help="Files, notebooks and folders; default: this folder.")
    add("--select", metavar="A,B", help="Run the rules whose codes begin so, such as AMX1,AMX401; default: all.")
    add("--ignore", metavar="A,B", help="Do not run the rules whose codes begin so.")
    add("--output-format", choices=output.FORMATS, default="text", help="Default: text.")
    add("--fix", action="store_true", help="Rewrite what has a fix that changes no result; show what is left.")
    add("--diff", action="store_true", help="Show what --fix would change, and write nothing.")
    add("--explain", metavar="CODE", help="Say what a code means, why it is bad, what to write, and who finds it.")
    parser.epilog = (
        "Code is read, never imported or run. Settings are in [tool.anymax.check] of pyproject.toml; "
        "`# noqa: CODE` silences a line."
    )
    return parser
