"""A whole run: paths to findings, on two processes where there are many files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from anymax.inspect.check.config import Config
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.names import Names
from anymax.inspect.check.rules import Rule, all_rules, run
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.sources import Source, Unreadable, read

# Files from which a second process, which takes 0.1 s to start, saves time.
MANY = 200


@dataclass
class Report:
    """What a run found, which files it looked at, what it did not, and where the check itself failed."""

    findings: list[Finding] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    unread: list[Unreadable] = field(default_factory=list)
    failed: list[Unreadable] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.findings += other.findings
        self.looked_at += other.looked_at
        self.unread += other.unread
        self.failed += other.failed


def check(paths: Sequence[str], config: Config, texts: Mapping[str, str] | None = None) -> Report:
    """Check these files; `texts` holds what is to be taken for the text of some of them."""
    codes = [rule.code for rule in config.rules()]
    report = Report()
    workers = min(2, os.cpu_count() or 1)
    if len(paths) < MANY or workers == 1:
        report.add(_check(paths, codes, texts or {}))
    else:
        # each gets neighbours, which import one another
        half = len(paths) // 2
        with ProcessPoolExecutor(workers) as pool:
            parts = [pool.submit(_check, part, codes, texts or {}) for part in (paths[:half], paths[half:])]
            for part in parts:
                report.add(part.result())
    report.findings = sorted(
        (each for each in report.findings if not each.code.startswith(config.ignored_in(each.path) or ("?",))),
        key=lambda finding: finding.place,
    )
    return report


def _check(paths: Sequence[str], codes: Sequence[str], texts: Mapping[str, str]) -> Report:
    report = Report()
    rules = [all_rules()[code] for code in codes]
    for path in paths:
        source = read(path, texts.get(path))
        if isinstance(source, Unreadable):
            report.unread.append(source)
            continue
        report.looked_at.append(path)
        report.unread += source.unread
        try:
            report.findings += _findings(source, rules)
        except Exception as error:
            # one file must not lose what the others gave
            report.failed.append(Unreadable(path, f"a mistake of anymax itself: {type(error).__name__}: {error}"))
    return report


def _findings(source: Source, rules: Sequence[Rule]) -> list[Finding]:
    return run(Seen(source, Names(source.tree)), rules)
