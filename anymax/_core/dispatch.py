"""Which backend serves a call, and why.

Every public function is an `Op` in `OPS`, made by the decorator `public`. A backend is a name and, per op, a
function; `reference` has one for every op, is pure torch, and is the definition.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from torch.overrides import handle_torch_function, has_torch_function

from anymax._core.errors import KINDS, with_name

P = ParamSpec("P")
R = TypeVar("R")

BACKENDS = ("reference",)


@dataclass(frozen=True)
class Op:
    """A public function and, per backend that has it, what computes it."""

    name: str
    function: Callable[..., Any]
    implementations: dict[str, Callable[..., Any]]


OPS: dict[str, Op] = {}

# A plain global, not a context variable: Dynamo guards on it, so compiled code follows `use_backend`.
_forced: str | None = os.environ.get("ANYMAX_BACKEND") or None


def public(**implementations: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a public function with its implementations, and let tensor subclasses and modes see it whole."""

    def register(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__name__
        signature = inspect.signature(function)
        bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        call = f"{name}{signature.replace(parameters=bare, return_annotation=signature.empty)}"

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            arguments = (*args, *kwargs.values())
            if has_torch_function(arguments):
                return handle_torch_function(wrapper, arguments, *args, **kwargs)
            try:
                return function(*args, **kwargs)
            except KINDS as error:
                # no frame below this one: the arguments did not fit the signature
                if type(error) is TypeError and error.__traceback__ and error.__traceback__.tb_next is None:
                    raise TypeError(f"{error}; the call is {call}") from None
                named = with_name(error, name)
                if named is None:
                    raise
                raise named from None

        OPS[name] = Op(name, wrapper, implementations)
        return wrapper

    return register


def implementation(name: str) -> Callable[..., Any]:
    """What computes the op `name` for this call: the forced backend's function, or the best one that can."""
    implementations = OPS[name].implementations
    if _forced is None:
        return implementations["reference"]
    _check_backend(_forced)
    if _forced not in implementations:
        raise NotImplementedError(
            f"{name}: the backend {_forced!r} was asked for and does not have this function; "
            f"it has: {', '.join(implementations)}"
        )
    return implementations[_forced]


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Serve every call inside the block with one backend, for the whole process, without falling back.

    The environment variable `ANYMAX_BACKEND` does the same for a whole run.

    Args:
        name: one of the backends that this build has: "reference".

    Raises:
        ValueError: for a name that this build does not have.

    Example:
        >>> with anymax.use_backend("reference"):
        ...     anymax.softmax(torch.zeros(2), dim=0)
        tensor([0.5000, 0.5000])
    """
    global _forced
    _check_backend(name)
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before


def explain_backend(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Say, per backend, whether it would serve `function(*args, **kwargs)` and why.

    Args:
        function: a public function of anymax.
        args, kwargs: the call in question. They decide as soon as there is more than one backend.

    Raises:
        ValueError: for a function that is not one of anymax's ops.

    Example:
        >>> print(anymax.explain_backend(anymax.softmax, torch.zeros(2), dim=0))
        softmax:
          reference: taken, the only backend that this build has
    """
    op = OPS.get(getattr(function, "__name__", ""))
    if op is None or op.function is not function:
        raise ValueError(f"explain_backend: expected a public function of anymax, got {function!r}")
    if _forced is not None:
        _check_backend(_forced)
    lines = [f"{op.name}:"]
    for name in BACKENDS:
        if name not in op.implementations:
            lines.append(f"  {name}: not taken, it does not have this function")
        elif _forced == name:
            lines.append(f"  {name}: taken, asked for by use_backend or ANYMAX_BACKEND")
        else:
            lines.append(f"  {name}: taken, the only backend that this build has")
    return "\n".join(lines)


def _check_backend(name: str) -> None:
    if name not in BACKENDS:
        raise ValueError(f"use_backend: unknown backend {name!r}; this build has: {', '.join(BACKENDS)}")
