"""How an error gets the name of the function that was called.

A check does not know whom it serves, so it writes `CALLER` where the name belongs. Whatever the user calls puts its
name there: the wrapper of a public function, or one of the decorators here.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

CALLER = "<caller>"
# packages whose lines no warning about a call names
NOT_THE_USER = ("anymax", "torch")
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


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of whoever called: the first frame that belongs neither to this package nor to torch.

    Between the two may stand a module's forward, torch's call of it, a transform or a tracer, so no fixed number of
    frames would do; and warnings are shown once per line.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in NOT_THE_USER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
