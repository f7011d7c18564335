"""The files that are read together, and which of them an import means."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anymax.inspect.check.frames import Scope
    from anymax.inspect.check.sources import Source
    from anymax.inspect.check.values import Class, Function, Value

# Packages that are described, never read, even where their files are among those that are given.
DESCRIBED = frozenset({"torch", "numpy", "anymax"})

# What a snippet without imports means by these names.
CUSTOMARY = {
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "optim": "torch.optim",
    "np": "numpy",
    "anymax": "anymax",
    "Categorical": "torch.distributions.Categorical",
    "DataLoader": "torch.utils.data.DataLoader",
    "rearrange": "einops.rearrange",
}


@dataclass(eq=False)
class Module:
    """A file as a module.

    Attributes:
        scope: its names, once the interpreter has begun to go through it.
        stars: packages that are not read and of which it imports everything.
        unbound: names that it uses and nothing in it binds, as in a snippet.
        names_at: for each function and class at the top, the names where it is written.
        replaced: those whose names went to later ones, as in a notebook, each with all names of its time.
    """

    path: str
    source: Source
    scope: Scope | None = None
    stars: list[str] = field(default_factory=list)
    unbound: dict[str, Value] = field(default_factory=dict)
    names_at: dict[Function | Class, dict[str, Value]] = field(default_factory=dict)
    replaced: list[tuple[Function | Class, dict[str, Value]]] = field(default_factory=list)

    @property
    def tree(self) -> ast.Module:
        return self.source.tree

    @property
    def is_package(self) -> bool:
        return posixpath.basename(self.path) == "__init__.py"


class Project:
    """The files that were given, by path. A file is parsed when it is first asked for."""

    def __init__(self, paths: Iterable[str], read: Callable[[str], Source | None]) -> None:
        self._read = read
        self._modules: dict[str, Module | None] = {}
        self._known = {_normal(path): path for path in paths if path.endswith(".py")}
        self._texts: dict[str, str] = {}
        self._found: dict[tuple[str, str, int], str | None] = {}
        self._folders: set[str] = set()
        for path in self._known:
            folder = posixpath.dirname(path)
            while folder not in self._folders:
                self._folders.add(folder)
                folder = posixpath.dirname(folder)

    def module(self, path: str, source: Source | None = None) -> Module | None:
        """The module in a file, whose source may be at hand; None where it cannot be read."""
        key = _normal(path)
        if key not in self._modules:
            source = source or self._read(self._known.get(key, path))
            self._modules[key] = Module(source.path, source) if source else None
        return self._modules[key]

    def imported(self, name: str, importer: Module, level: int = 0) -> Module | None:
        """The module that `importer` gets when it imports `name`, with `level` leading dots; None for one that is not
        among the files."""
        path = self.path_of(name, importer, level)
        return self.module(path) if path else None

    def path_of(self, name: str, importer: Module, level: int = 0) -> str | None:
        """The file of the module that `imported` gives."""
        if not level and name.partition(".")[0] in DESCRIBED:
            return None
        folder = posixpath.dirname(_normal(importer.path))
        key = (name, folder, level)
        if key not in self._found:
            self._found[key] = self._find(name.replace(".", "/"), folder, level)
        return self._found[key]

    def text(self, path: str) -> str:
        """What stands in a file that was given, parsed or not."""
        module = self._modules.get(path)
        if module is not None:
            return module.source.text
        if path not in self._texts:
            try:
                with open(self._known[path], encoding="utf-8", errors="replace") as file:
                    self._texts[path] = file.read()
            except OSError:
                self._texts[path] = ""
        return self._texts[path]

    def _find(self, name: str, folder: str, level: int) -> str | None:
        if level:
            for _ in range(level - 1):
                folder = posixpath.dirname(folder)
            return self._in(folder, name)
        while folder in self._folders:
            # Python does not look beside a file of a package, but beside the package
            if posixpath.join(folder, "__init__.py") not in self._known and (found := self._in(folder, name)):
                return found
            if folder == posixpath.dirname(folder):
                break
            folder = posixpath.dirname(folder)
        return None

    def _in(self, folder: str, name: str) -> str | None:
        path = posixpath.join(folder, name)
        candidates = (
            (f"{path}.py", posixpath.join(path, "__init__.py")) if name else (posixpath.join(path, "__init__.py"),)
        )
        return next((candidate for candidate in candidates if candidate in self._known), None)


def _normal(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/"))
