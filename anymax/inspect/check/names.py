"""What the names of one file stand for, as far as its imports say: `F.softmax` is "torch.nn.functional.softmax"."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)


@dataclass(frozen=True)
class Import:
    """One name of an import statement: what it is bound to, and the qualified name it asks for."""

    node: ast.alias
    bound: str
    qualified: str


class Names:
    """The name table of a file.

    A name counts as imported where every binding of it in the file, whatever the scope, is an import of the same thing;
    where it is also assigned, a parameter or a loop variable, nothing is known of it.
    """

    def __init__(self, tree: ast.Module, package: str = "") -> None:
        self.imports: list[Import] = []
        bound: dict[str, set[str | None]] = {}
        for node in ast.walk(tree):
            for name, qualified in self._bindings(node, package):
                bound.setdefault(name, set()).add(qualified)
        self._table = {name: next(iter(all_)) for name, all_ in bound.items() if len(all_) == 1}

    def qualified(self, node: ast.expr) -> str | None:
        """The qualified name of a name or a chain of attributes, or None where it is not known."""
        if isinstance(node, ast.Name):
            return self._table.get(node.id)
        if isinstance(node, ast.Attribute) and (owner := self.qualified(node.value)):
            return f"{owner}.{node.attr}"
        return None

    def _bindings(self, node: ast.AST, package: str) -> Iterator[tuple[str, str | None]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                bound, qualified = (alias.asname, alias.name) if alias.asname else (first, first)
                self.imports.append(Import(alias, bound, alias.name))
                yield bound, qualified
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = package.split(".") if package else []
                kept = parts[: len(parts) - node.level + 1]
                module = ".".join([*kept, *([module] if module else [])]) if len(parts) >= node.level else "?"
            for alias in node.names:
                qualified = f"{module}.{alias.name}"
                self.imports.append(Import(alias, alias.asname or alias.name, qualified))
                yield alias.asname or alias.name, qualified
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, None
        elif isinstance(node, ast.arg):
            yield node.arg, None
        elif isinstance(node, _NAMED) and node.name:
            yield node.name, None
