"""The rules as a plugin of flake8, which brings its own `# noqa`, selection and output."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence

from anymax.inspect.check.names import Names
from anymax.inspect.check.reading import Reading
from anymax.inspect.check.rules import all_rules, run
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.sources import Source


class Plugin:
    """One file. flake8 hands over one at a time, so what other files define is not known."""

    def __init__(self, tree: ast.Module, filename: str, lines: Sequence[str]) -> None:
        self.source = Source(filename, "".join(lines), tree)

    def run(self) -> Iterator[tuple[int, int, str, type]]:
        """Line, column, text and the class of the plugin, for each finding."""
        reading = Reading([self.source.path], lambda path: self.source)
        reading.look(self.source)
        for path, what in reading.failed.items():
            print(f"{path}: not looked at: a mistake of anymax itself: {what}", file=sys.stderr)
        observed = [each for _, observations in reading.seen() for each in observations]
        seen = Seen(self.source, Names(self.source.tree), observed)
        for finding in run(seen, list(all_rules().values())):
            yield finding.line, finding.column - 1, f"{finding.code} {finding.message}", type(self)
