"""A rule for tests: it finds calls of `wrong` and renames them to `right`, and `nested` in two steps."""

from __future__ import annotations

import ast

from anymax.inspect.check.findings import Edit, Fix
from anymax.inspect.check.rules import Rule

RENAMED = {"wrong": "right", "nested": "wrong", "broken": "not a name", "raises": ""}


def check(seen):
    for node in ast.walk(seen.source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (name := node.func.id) in RENAMED:
            if name == "raises":
                raise KeyError(name)
            start, end = seen.source.span(node.func)
            fix = Fix(f"Write {RENAMED[name]}.", (Edit(start, end, RENAMED[name]),))
            yield RULE.finding(seen.source, node, f"`{name}` is seen.", fix=fix)


TEXT = "## What it does\nFinds `wrong`.\n\n## Why is this bad\nIt is."
RULE = Rule("AMX999", "planted", "info", TEXT, check, of_names=True)
