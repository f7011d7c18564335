"""Which backend serves a call, and why.

A `Choice` stands where a computation may have several implementations: one in every op, and one in every shared piece
such as the random words. It holds the reference, which is pure torch, serves every call and is the definition, and
kernels in order of preference. Every public function is an `Op` in `OPS`, made by the decorator `public`.
"""

from __future__ import annotations

import functools
import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from anymax._core.context import forward_mode, is_exporting, may_be_forward_mode, transforms_active
from anymax._core.errors import KINDS, with_name

P = ParamSpec("P")
R = TypeVar("R")

REFERENCE = "reference"


class State:
    """What holds for every call; an object and no context variable, since Dynamo guards on its attributes."""

    # the backend of `use_backend`
    forced: str | None = os.environ.get("ANYMAX_BACKEND") or None
    # what `explain_backend` reads: per choice, in the order in which they are made, a line per backend
    record: dict[str, list[str]] | None = None


state = State()


class Kernel(ABC):
    """One backend's implementation of a computation; its arguments are those of the reference, by position."""

    backend: str

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute it."""

    @abstractmethod
    def cannot(self, *args: Any, **kwargs: Any) -> str | None:
        """Why this kernel cannot serve the call; None if it can."""

    def not_worth(self, *args: Any, **kwargs: Any) -> str | None:
        """Why another implementation is faster, although this kernel can; None if this is the fastest.

        It may read sizes, so it is never asked while a compiler traces.
        """
        return None


class Choice:
    """A computation with a reference and any number of kernels; calling it takes the best one."""

    def __init__(self, name: str, reference: Callable[..., Any], kernels: tuple[Kernel, ...] = ()) -> None:
        self.name = name
        self.reference = reference
        self.kernels = kernels
        CHOICES[name] = self

    def __call__(self, *args: Any) -> Any:
        if not self.kernels and state.forced is None and state.record is None:
            return self.reference(*args)
        return self._best(args)(*args)

    def _best(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        best, lines = self._asked_for(args) if state.forced is not None else self._fastest(args)
        if state.record is not None:
            state.record.setdefault(self.name, lines)
        if isinstance(best, str):
            raise NotImplementedError(best)
        return best

    def _asked_for(self, args: tuple[Any, ...]) -> tuple[Callable[..., Any] | str, list[str]]:
        """The forced backend's implementation, or the sentence that refuses the call."""
        assert state.forced is not None
        asked = "asked for by use_backend or ANYMAX_BACKEND"
        if state.forced == REFERENCE:
            return self.reference, [f"{REFERENCE}: taken, {asked}"]
        reason = _reference_only(args)
        if reason is not None:
            return self.reference, [f"{state.forced}: not taken, {reason}", f"{REFERENCE}: taken"]
        kernel = next((kernel for kernel in self.kernels if kernel.backend == state.forced), None)
        if kernel is None:
            _check_backend(state.forced)
            reason = f"it does not have {self.name}"
        else:
            reason = kernel.cannot(*args)
            if reason is None:
                return kernel, [f"{state.forced}: taken, {asked}"]
        refusal = f"{self.name}: the backend {state.forced!r} was asked for and cannot serve this call: {reason}"
        return refusal, [f"{state.forced}: {asked}, and refused: {reason}"]

    def _fastest(self, args: tuple[Any, ...]) -> tuple[Callable[..., Any], list[str]]:
        """The first kernel that can serve the call and is worth it; else the reference."""
        lines = []
        general = _reference_only(args)
        for kernel in self.kernels:
            reason = general or kernel.cannot(*args)
            if reason is None and not torch.compiler.is_compiling():
                reason = kernel.not_worth(*args)
            if reason is None:
                return kernel, [*lines, f"{kernel.backend}: taken"]
            lines.append(f"{kernel.backend}: not taken, {reason}")
        why = "no kernel serves this call" if self.kernels else "the only backend that this build has for it"
        return self.reference, [*lines, f"{REFERENCE}: taken, {why}"]


class Plain(NamedTuple):
    """The short way of the calls that need no more: straight to a kernel, or to torch's own op.

    `around` makes the public function of the general one and its choice: it serves these calls itself, while no
    backend is forced and the choice has the kernels that it was made with, and hands on all others. It is in front of
    everything, so it has to be cheap.
    """

    around: Callable[[Callable[..., Any], Choice], Callable[..., Any]]
    # which calls torch's own op serves, for `explain_backend`; None where it serves none
    calls: str | None = None


@dataclass(frozen=True)
class Op:
    """A public function and what computes it."""

    name: str
    function: Callable[..., Any]
    choice: Choice
    plain: Plain | None


MISSING: Any = object()


def hand_on(
    general: Callable[..., R],
    first: tuple[str, Any],
    second: tuple[str, Any],
    positional: tuple[Any, ...],
    options: Any,
) -> R:
    """Call the general function with what was given of the two arguments that a plain one takes by name."""
    if first[1] is not MISSING and second[1] is not MISSING:
        return general(first[1], second[1], *positional, **options)
    return general(**{name: value for name, value in (first, second) if value is not MISSING}, **options)


CHOICES: dict[str, Choice] = {}
OPS: dict[str, Op] = {}


def public(
    *, reference: Callable[..., Any], kernels: tuple[Kernel, ...] = (), plain: Plain | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a public function with its implementations, and let tensor subclasses and modes see it whole."""

    def register(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__name__
        signature = inspect.signature(function)
        bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        call = f"{name}{signature.replace(parameters=bare, return_annotation=signature.empty)}"
        choice = Choice(name, reference, kernels)

        def general(*args: P.args, **kwargs: P.kwargs) -> R:
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

        wrapper = functools.wraps(function)(general if plain is None else plain.around(general, choice))
        OPS[name] = Op(name, wrapper, choice, plain)
        return wrapper

    return register


def implementation(name: str) -> Choice:
    """What computes the op `name`."""
    return OPS[name].choice


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Serve every call inside the block with one backend, for the whole process, without falling back.

    A call that the backend cannot serve is a `NotImplementedError` with the reason. Transforms and higher derivatives
    are computed by the reference under every backend. The environment variable `ANYMAX_BACKEND` does the same for a
    whole run.

    Args:
        name: "reference", or "cpu" for the kernels; :func:`anymax.backends` says what this build has.

    Raises:
        ValueError: for a name that this build does not have.

    Example:
        >>> with anymax.use_backend("reference"):
        ...     anymax.softmax(torch.zeros(2), dim=0)
        tensor([0.5000, 0.5000])
    """
    _check_backend(name)
    before, state.forced = state.forced, name
    try:
        yield
    finally:
        state.forced = before


def explain_backend(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Say what serves `function(*args, **kwargs)` and why, by carrying the call out once.

    Every choice that the call meets has a paragraph: the function's own, and those of the pieces that it is made of.
    The state of the random generators is left as it was.

    Args:
        function: a public function of anymax.
        args, kwargs: the call in question.

    Raises:
        ValueError: for a function that is not one of anymax's ops, or a forced backend that this build does not have.
            Whatever else the call raises.

    Example:
        >>> with anymax.use_backend("reference"):
        ...     print(anymax.explain_backend(anymax.entropy, torch.zeros(2), dim=0))
        entropy:
          reference: taken, asked for by use_backend or ANYMAX_BACKEND
    """
    op = OPS.get(getattr(function, "__name__", ""))
    if op is None or op.function is not function:
        raise ValueError(f"explain_backend: expected a public function of anymax, got {function!r}")
    with _generators_restored((*args, *kwargs.values())):
        before, state.record = state.record, {}
        try:
            function(*args, **kwargs)
        except NotImplementedError:
            # a refusal is in the record; whatever came before any choice is the caller's to see
            if not state.record:
                raise
        finally:
            record, state.record = state.record, before
    if op.plain is not None and op.plain.calls is not None:
        # no choice was made where torch answered
        taken = "not taken, it is for" if record else "taken,"
        record[op.name] = [f"torch: {taken} {op.plain.calls}", *record.get(op.name, [])]
    return "\n".join(f"{name}:\n" + "\n".join(f"  {line}" for line in found) for name, found in record.items())


@contextmanager
def _generators_restored(arguments: tuple[Any, ...]) -> Iterator[None]:
    generators = [torch.default_generator, *(entry for entry in arguments if isinstance(entry, torch.Generator))]
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def backend_names() -> tuple[str, ...]:
    """The names that `use_backend` takes."""
    return (REFERENCE, *sorted({kernel.backend for choice in CHOICES.values() for kernel in choice.kernels}))


def _check_backend(name: str) -> None:
    if name not in backend_names():
        raise ValueError(f"use_backend: unknown backend {name!r}; this build has: {', '.join(backend_names())}")


def _reference_only(args: tuple[Any, ...]) -> str | None:
    """Why the reference serves this call whatever the backend; None for most calls."""
    if transforms_active():
        return "a torch.func transform is active"
    if may_be_forward_mode() and forward_mode(*_tensors_of(args)):
        return "forward-mode differentiation is active"
    if is_exporting():
        return "torch.export takes the reference"
    return None


def _tensors_of(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for entry in value:
            yield from _tensors_of(entry)
