"""Where names are looked up: the scopes of modules, classes and functions, and what is being gone through."""

from __future__ import annotations

from dataclasses import dataclass, field

from anymax.inspect.check.project import Module
from anymax.inspect.check.values import Class, Value


@dataclass(eq=False)
class Scope:
    """The names of a module, class or function."""

    module: Module
    parent: Scope | None = None
    names: dict[str, Value] = field(default_factory=dict)
    elsewhere: dict[str, Scope] = field(default_factory=dict)  # by `global` and `nonlocal`


@dataclass(eq=False)
class Frame:
    """A function that is being gone through, or the body of a module or class."""

    scope: Scope
    owner: Class | None = None
    self: Value | None = None
    returned: list[Value] = field(default_factory=list)

    @property
    def module(self) -> Module:
        return self.scope.module
