"""The rules, one file each: `amx101.py` holds AMX101. A new file needs no entry anywhere."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from anymax.inspect.check.findings import Finding, Fix, Level
from anymax.inspect.check.pages import Page
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.sources import Source

# The headings of a rule's documentation, in order, as ruff's rules have them.
HEADINGS = ("What it does", "Why is this bad", "Example", "Use instead", "How sure it is", "References")


@dataclass(frozen=True)
class Rule(Page):
    """A rule: its page is the docstring of its file, under HEADINGS.

    `check` yields what is wrong in a file. `of_names` rules need nothing that the interpreter saw, and look at every
    file.
    """

    check: Callable[[Seen], Iterator[Finding]]
    of_names: bool = False

    def finding(
        self,
        source: Source,
        node: ast.expr | ast.stmt | ast.alias | ast.keyword,
        message: str,
        *,
        level: Level | None = None,
        fix: Fix | None = None,
    ) -> Finding:
        """A finding of this rule at a node of the source's tree."""
        line, end_line = node.lineno, node.end_lineno or node.lineno
        end_column = node.col_offset if node.end_col_offset is None else node.end_col_offset
        cell = source.cell_of(line)
        before = cell.first_line if cell else 0
        return Finding(
            path=source.path,
            cell=cell.number if cell else None,
            line=line - before,
            column=source.column(line, node.col_offset) + 1,
            end_line=end_line - before,
            end_column=source.column(end_line, end_column) + 1,
            code=self.code,
            level=level or self.level,
            message=message,
            fix=fix,
        )


@cache
def all_rules() -> dict[str, Rule]:
    """Every rule by its code, in order."""
    files = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("amx"))
    rules = [import_module(f"{__name__}.{name}").RULE for name in files]
    return {rule.code: rule for rule in rules}


def run(seen: Seen, rules: Sequence[Rule]) -> list[Finding]:
    """What these rules find in a file, in the order of its lines, without what its `# noqa` silence."""
    found = [finding for rule in rules for finding in rule.check(seen)]
    kept = {finding for finding in found if not _is_silenced(seen.source, finding)}
    return sorted(kept, key=lambda finding: finding.place)


def _is_silenced(source: Source, finding: Finding) -> bool:
    before = source.lines_before(finding.cell)
    return source.is_silenced(finding.code, (before + finding.line, before + finding.end_line))
