"""A whole run: paths to findings, on two processes where there are many files."""

from __future__ import annotations

import bisect
import gc
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anymax.inspect.check.config import Config
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.names import Names
from anymax.inspect.check.reading import Reading
from anymax.inspect.check.rules import Rule, all_rules, run
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.sources import Source, Unreadable, read
from anymax.inspect.check.telling import strongest

# Files from which a second process, which takes 0.1 s to start, saves time.
MANY = 200


@dataclass
class Report:
    """What a run found, which files it looked at, what it did not, and where the check itself failed.

    `cut_short` are files that were looked at, but hold more calls inside calls than a run follows.
    """

    findings: list[Finding] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    cut_short: list[str] = field(default_factory=list)
    unread: list[Unreadable] = field(default_factory=list)
    failed: list[Unreadable] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.findings += other.findings
        self.looked_at += other.looked_at
        self.cut_short += other.cut_short
        self.unread += other.unread
        self.failed += other.failed


def check(paths: Sequence[str], config: Config, texts: Mapping[str, str] | None = None) -> Report:
    """Check these files; `texts` holds what is to be taken for the text of some of them."""
    codes = [rule.code for rule in config.rules()]
    report = Report()
    workers = min(2, os.cpu_count() or 1)
    if len(paths) < MANY or workers == 1:
        report.add(_check(paths, paths, codes, texts or {}))
    else:
        from concurrent.futures import ProcessPoolExecutor  # which takes a fifth of the time of a start

        half = _half(paths)
        # a worker keeps its trees and values to its end: to look for garbage among them is a quarter of its time
        with ProcessPoolExecutor(workers, initializer=gc.disable) as pool:
            parts = [pool.submit(_check, part, paths, codes, texts or {}) for part in (paths[:half], paths[half:])]
            for part in parts:
                report.add(part.result())
    # both processes may have come by a place, with more or less to say
    found = strongest(report.findings)
    report.findings = sorted(
        (each for each in found if not each.code.startswith(config.ignored_in(each.path))),
        key=lambda finding: finding.place,
    )
    return report


def _half(paths: Sequence[str]) -> int:
    """How many files, from the first on, have half of all bytes or more: neighbours, which import one another."""
    ends = list(itertools.accumulate(os.path.getsize(path) if os.path.isfile(path) else 0 for path in paths))
    return bisect.bisect_left(ends, ends[-1] / 2) + 1


def _check(paths: Sequence[str], among: Sequence[str], codes: Sequence[str], texts: Mapping[str, str]) -> Report:
    """Look at some files, which may import any `among` them."""
    report = Report()
    rules = [all_rules()[code] for code in codes]
    imported: dict[str, Source | Unreadable] = {}  # files that were read before it was their turn

    def of_import(path: str) -> Source | None:
        source = imported[path] = read(path, texts.get(path))
        return source if isinstance(source, Source) else None

    reading = Reading(among, of_import)
    for path in paths:
        source = imported.pop(path, None) or read(path, texts.get(path))
        if isinstance(source, Unreadable):
            report.unread.append(source)
            continue
        report.looked_at.append(path)
        report.unread += source.unread
        report.add(_findings(Seen(source, Names(source.tree)), [rule for rule in rules if rule.of_names]))
        reading.look(source)
    for source, observations in reading.seen():
        seen = Seen(source, Names(source.tree), observations)
        report.add(_findings(seen, [rule for rule in rules if not rule.of_names]))
    report.failed += [Unreadable(path, f"a mistake of anymax itself: {what}") for path, what in reading.failed.items()]
    report.cut_short += sorted(reading.partly)
    return report


def _findings(seen: Seen, rules: Sequence[Rule]) -> Report:
    try:
        return Report(findings=run(seen, rules))
    except Exception as error:
        # one file must not lose what the others gave
        what = f"a mistake of anymax itself: {type(error).__name__}: {error}"
        return Report(failed=[Unreadable(seen.source.path, what)])
