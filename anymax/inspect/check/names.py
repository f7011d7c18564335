"""What the names of one file stand for, as far as its imports say: `F.softmax` is "torch.nn.functional.softmax"."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)


@dataclass(frozen=True)
class Import:
    """One name of an import statement: the name that it binds, what that stands for, and the name that it asks for.

    The two differ for `import torch.nn`, which binds `torch`.
    """

    node: ast.alias
    bound: str
    means: str
    qualified: str


class Names:
    """The name table of a file.

    A name counts as imported where every binding of it in the file, whatever the scope, is an import of the same thing;
    where it is also assigned, a parameter or a loop variable, nothing is known of it.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree

    @cached_property
    def imports(self) -> list[Import]:
        """Every name of every import, in the order of the tree."""
        return [each for node in _statements(self._tree) for each in _imports(node)]

    @cached_property
    def _table(self) -> dict[str, str]:
        bound: dict[str, set[str | None]] = {}
        for each in self.imports:
            bound.setdefault(each.bound, set()).add(each.means)
        for node in ast.walk(self._tree):
            if name := _bound_otherwise(node):
                bound.setdefault(name, set()).add(None)
        return {name: means for name, all_ in bound.items() if len(all_) == 1 and (means := next(iter(all_)))}

    def qualified(self, node: ast.expr) -> str | None:
        """The qualified name of a name or a chain of attributes, or None where it is not known."""
        if isinstance(node, ast.Name):
            return self._table.get(node.id)
        if isinstance(node, ast.Attribute) and (owner := self.qualified(node.value)):
            return f"{owner}.{node.attr}"
        return None


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements inside a node, which are a tenth of what `ast.walk` goes through."""
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        inside = getattr(node, part, None)
        for each in inside if isinstance(inside, list) else ():
            yield each
            yield from _statements(each)


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            first = alias.name.partition(".")[0]
            yield Import(alias, alias.asname or first, alias.name if alias.asname else first, alias.name)
    elif isinstance(node, ast.ImportFrom):
        # "?" for the packages that dots in front lead to
        parts = (["?"] if node.level else []) + ([node.module] if node.module else [])
        for alias in node.names:
            qualified = ".".join([*parts, alias.name])
            yield Import(alias, alias.asname or alias.name, qualified, qualified)


def _bound_otherwise(node: ast.AST) -> str | None:
    """The name that this node binds, other than by an import."""
    if isinstance(node, ast.Name):
        return None if isinstance(node.ctx, ast.Load) else node.id
    if isinstance(node, ast.arg):
        return node.arg
    return node.name if isinstance(node, _NAMED) else None
