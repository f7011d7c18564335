"""How an error gets the name of the function that was called.

A check does not know whom it serves, so it writes `CALLER` where the name belongs. Whatever the user calls puts its
name there: the wrapper of a public function, or one of the decorators here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

CALLER = "<caller>"
# Built-in types only: Dynamo traces a handler for these, and none for an exception that holds more than its text.
KINDS = (IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)


def with_name(error: Exception, name: str) -> Exception | None:
    """The error of a check with `name` in it; None for an error that comes from somewhere else."""
    text = error.args[0] if error.args else ""
    if not isinstance(text, str) or CALLER not in text:
        return None
    return type(error)(text.replace(CALLER, name))


def named_after_function(function: Callable[P, R]) -> Callable[P, R]:
    """Let errors name the function."""
    return _naming(function, lambda *args: function.__name__)


def named_after_class(method: Callable[P, R]) -> Callable[P, R]:
    """Let errors name the class of a constructor or a module's forward, and class and method of any other method."""
    suffix = "" if method.__name__ in ("__init__", "forward") else f".{method.__name__}"
    return _naming(method, lambda self, *args: f"{type(self).__name__}{suffix}")


def _naming(function: Callable[P, R], name_of: Callable[..., str]) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except KINDS as error:
            named = with_name(error, name_of(*args))
            if named is None:
                raise
            raise named from None

    return wrapper
