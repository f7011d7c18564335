"""A model and its loss as one graph, by torch.export with a symbolic batch, and the user's line behind each node."""

from __future__ import annotations

import copy
import io
import logging
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from types import CodeType, FrameType
from typing import Any

import sympy
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import Node
from torch.fx import traceback as node_meta
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from anymax._core.errors import CALLER, NOT_THE_USER
from anymax.inspect import written
from anymax.inspect.written import Span

_OURS = "anymax"
_MOST_OF_A_CAUSE = 300


@dataclass(frozen=True)
class Call:
    """A call of torch or of anymax that the model makes: all nodes of one call share one.

    `within` is the module of torch whose own code makes the call, such as torch.distributions.categorical, and empty
    where the line is that of the call itself.
    `file` is empty where no line of the user's leads to it.
    """

    number: int
    function: str
    ours: bool
    without_dim: bool
    within: str
    file: str
    line: int
    span: Span


@dataclass(frozen=True)
class Trace:
    """The exported program, the symbol that is the batch, and its size in the example.

    `stands_in`: the program has this size itself, and not the symbol, because the model's own code fixes the batch.
    """

    program: ExportedProgram
    batch: sympy.Symbol
    size: int
    stands_in: bool
    modes: tuple[str, ...]

    def sizes(self, shape: Sequence[int | torch.SymInt]) -> tuple[sympy.Expr, ...]:
        """The sizes of a tensor, with the batch as a symbol."""
        return tuple(self._size(extent) for extent in shape)

    def _size(self, extent: int | torch.SymInt) -> sympy.Expr:
        if isinstance(extent, torch.SymInt):
            return extent.node.expr
        if self.stands_in and extent and extent % self.size == 0:
            return self.batch * (extent // self.size)
        return sympy.Integer(extent)


def call_of(node: Node) -> Call | None:
    """The call that made this node; None for what the tracer itself adds."""
    return (node.meta.get("custom") or {}).get(_OURS)


def trace(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    loss: Callable[..., Any] | None,
    target: Any,
    batch_dim: int,
) -> Trace:
    """Export the model, followed by the loss where there is one, without running or changing either."""
    inputs = (tuple(args), dict(kwargs), target)
    size = _batch_size(inputs[:2], batch_dim)
    places = pytree.tree_map(lambda leaf: _batch_place(leaf, batch_dim, size), inputs)
    step = _Step(model, loss, has_target=target is not None)
    with _unchanged(step):
        try:
            program = _exported(step, inputs, _symbolic(places))
            return Trace(program, _symbol(program), size, False, _modes(model))
        except Exception as error:
            if not _fixes_batch(error):
                raise RuntimeError(_why_not(model, error)) from error
        prime = _unlike(step, inputs)
        try:
            program = _exported(step, pytree.tree_map(partial(_of_size, prime), inputs, places), None)
        except Exception as error:
            raise RuntimeError(_why_not(model, error, only=size)) from error
        return Trace(program, sympy.Symbol("batch"), prime, True, _modes(model))


def _exported(step: nn.Module, inputs: Any, shapes: Any) -> ExportedProgram:
    return torch.export.export(step, inputs, dynamic_shapes=shapes, strict=False)


class _Step(nn.Module):
    """Model, then loss, as one module."""

    def __init__(self, model: nn.Module, loss: Callable[..., Any] | None, *, has_target: bool) -> None:
        super().__init__()
        self.training = model.training
        self.model = model
        self.loss = loss
        self.has_target = has_target

    def forward(self, args: tuple[Any, ...], kwargs: dict[str, Any], target: Any) -> list[Tensor]:
        with _attributes_kept(self), _Calls():
            output = self.model(*args, **kwargs)
            result = [output]
            if self.loss is not None:
                result.append(self.loss(output, target) if self.has_target else self.loss(output))
        return list(_tensors(result))


class _Calls(TorchFunctionMode):
    """Writes onto each node which call made it. The stack that export keeps has the lines of `forward` alone."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        frame: FrameType | None = sys._getframe(1)
        # a function of torch that is written in Python hands itself over, by way of torch.overrides
        while frame is not None and (_module(frame) == "torch.overrides" or frame.f_code is _code(func)):
            frame = frame.f_back
        within = "" if frame is None else _module(frame)
        while frame is not None and _is_library(frame) and frame.f_code is not _Step.forward.__code__:
            frame = frame.f_back
        # nothing of the user's in between: a loss of torch, or a model that is a Sequential of its layers
        users = None if frame is None or _is_library(frame) else frame
        file = users.f_code.co_filename if users else ""
        self.count += 1
        call = Call(
            number=self.count,
            function=getattr(func, "__name__", str(func)),
            ours=(getattr(func, "__module__", None) or "").startswith(_OURS),
            without_dim=_without_dim(func, args, kwargs, users),
            within=within if within.startswith("torch.") else "",
            file=file,
            line=users.f_lineno if users else 0,
            span=written.span_of(users) if users else (0, 0, 1, 1),
        )
        with node_meta.annotate({_OURS: call}):
            return func(*args, **kwargs)


def _code(func: Callable[..., Any]) -> CodeType | None:
    return getattr(func, "__code__", None)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_library(frame: FrameType) -> bool:
    return _module(frame).partition(".")[0] in NOT_THE_USER


# the position of `dim` in the functions that choose one where it is missing
_DIM_AT = {"softmax": 1, "log_softmax": 1, "softmin": 1, "gumbel_softmax": 4}


def _without_dim(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType | None
) -> bool:
    name = getattr(func, "__name__", "")
    if name == "cross_entropy":
        return "dim" not in kwargs
    if name not in _DIM_AT or func is getattr(Tensor, name, None) or func is getattr(torch, name, None):
        return False
    at = _DIM_AT[name]
    dim = kwargs.get("dim", args[at] if len(args) > at else None)
    if name != "gumbel_softmax" or dim != -1 or frame is None:
        return dim is None
    # F.gumbel_softmax has -1 as its default and hands that on, so the source has to say
    call = written.call_at(frame.f_code.co_filename, written.span_of(frame))
    return (
        call is not None and written.names_function(call, func, frame.f_globals) and written.leaves_out(call, "dim", at)
    )


def _batch_size(inputs: tuple[Any, ...], batch_dim: int) -> int:
    tensors = _input_tensors(inputs)
    if not tensors:
        raise ValueError(f"{CALLER}: example_input must hold a tensor, got none")
    first = next((tensor for tensor in tensors if tensor.ndim > batch_dim), None)
    if first is None:
        raise ValueError(
            f"{CALLER}: batch_dim must be an axis of the inputs, got {batch_dim} for inputs of shape "
            f"{', '.join(str(tuple(tensor.shape)) for tensor in tensors)}"
        )
    size = first.shape[batch_dim]
    if size < 2:
        raise ValueError(
            f"{CALLER}: example_input must have two samples or more, got {size} on axis {batch_dim} of shape "
            f"{tuple(first.shape)}: a batch of {size} cannot be told from an axis of that size; give two samples, "
            "or say with batch_dim= which axis is the batch"
        )
    return size


# no axis of the batch; None would be no leaf
_NOWHERE = -1
_FEWEST_SAMPLES = 61


def _batch_place(leaf: Any, batch_dim: int, size: int) -> int:
    """The axis of a tensor that has the batch's size: `batch_dim`, or else one other alone, as the target has it in
    front where a model takes the length first."""
    places = [dim for dim, extent in enumerate(leaf.shape) if extent == size] if isinstance(leaf, Tensor) else []
    if batch_dim in places:
        return batch_dim
    return places[0] if len(places) == 1 else _NOWHERE


def _symbolic(places: Any) -> Any:
    batch = Dim("batch", min=2)
    return pytree.tree_map(lambda place: None if place == _NOWHERE else {place: batch}, places)


def _of_size(size: int, leaf: Any, place: int) -> Any:
    """A tensor with so many samples, the first one again and again; a trace reads no values."""
    if place == _NOWHERE:
        return leaf
    return leaf.narrow(place, 0, 1).repeat([size if dim == place else 1 for dim in range(leaf.ndim)])


def _unlike(step: nn.Module, inputs: Any) -> int:
    """A number of samples that tells the batch from any other size: a prime that divides none of them."""
    tensors = [*step.parameters(), *step.buffers(), *_input_tensors(inputs)]
    sizes = {extent for tensor in tensors for extent in tensor.shape if extent}
    return next(
        prime for prime in sympy.primerange(_FEWEST_SAMPLES, 1 << 20) if all(extent % prime for extent in sizes)
    )


def _input_tensors(inputs: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, Tensor)]


def _symbol(program: ExportedProgram) -> sympy.Symbol:
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder" and isinstance(value, Tensor):
            for extent in value.shape:
                if isinstance(extent, torch.SymInt):
                    return next(iter(extent.node.expr.free_symbols))
    raise RuntimeError(f"{CALLER}: the model's own code fixes the size of the batch, so nothing was looked at")


def _modes(model: nn.Module) -> tuple[str, ...]:
    return tuple(sorted({"training" if module.training else "eval" for module in model.modules()}))


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of an output, whatever holds them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _tensors(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _tensors(entry)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, torch.distributions.Distribution):
        yield from _tensors(list(vars(value).values()))


@contextmanager
def _attributes_kept(root: nn.Module) -> Iterator[None]:
    """Modules that keep what they computed, `self.weights = weights`, would keep tensors of the trace, and export
    refuses to trace them: their attributes are put back."""
    before = {module: {name: _held(value) for name, value in vars(module).items()} for module in root.modules()}
    try:
        yield
    finally:
        for module, attributes in before.items():
            state = vars(module)
            for name in [name for name in state if name not in attributes]:
                del state[name]
            for name, (value, content) in attributes.items():
                # buffers are the tracer's
                if name.startswith("_") and name in _OF_TORCH:
                    continue
                state[name] = value
                _put_back(value, content)


_OF_TORCH = frozenset(vars(nn.Module()))


def _held(value: Any) -> tuple[Any, Any]:
    return value, copy.copy(value) if type(value) in (list, dict, set) else None


def _put_back(value: Any, content: Any) -> None:
    if isinstance(content, list):
        value[:] = content
    elif content is not None and value != content:
        value.clear()
        value.update(content)


@contextmanager
def _unchanged(step: nn.Module) -> Iterator[None]:
    """Random states and settings of torch as they were.

    While tracing, distributions do not branch on values, torch's layers are not fused into one op that hides their
    softmax, and torch does not print what the error says in a sentence.
    """
    states, python = torch.get_rng_state(), random.getstate()
    checks = torch.distributions.Distribution._validate_args
    fused = torch.backends.mha.get_fastpath_enabled()
    log = logging.getLogger("torch")
    level = log.level
    torch.distributions.Distribution.set_default_validate_args(False)
    torch.backends.mha.set_fastpath_enabled(False)
    log.setLevel(logging.CRITICAL + 1)
    try:
        with (
            _attributes_kept(step),
            node_meta.preserve_node_meta(),
            warnings.catch_warnings(),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        torch.backends.mha.set_fastpath_enabled(fused)
        torch.distributions.Distribution.set_default_validate_args(checks)
        torch.set_rng_state(states)
        random.setstate(python)


def _fixes_batch(error: Exception) -> bool:
    return type(error).__name__ in ("ConstraintViolationError", "UserError") and "pecializ" in str(error)


def _why_not(model: nn.Module, error: Exception, only: int | None = None) -> str:
    """Why a model could not be traced; `only`: it could not with a batch of any size, nor with another than this."""
    name = type(model).__name__
    where = _where(error)
    kind, text = type(error).__name__, str(error)
    if kind.startswith("GuardOnDataDependent") or "data-dependent" in text.lower():
        cause = f"it branches on the values of a tensor{where}"
    elif kind == "DynamicOutputShapeException":
        cause = f"the shape of what {text} gives depends on values{where}"
    else:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
        cause = f"{kind}{where}: {first[:_MOST_OF_A_CAUSE]}"
    if only is not None:
        cause = f"it works for a batch of {only} alone, as a size that is written as a number does; with more, {cause}"
    return f"{CALLER}: {name} could not be traced by torch.export, so nothing was looked at: {cause}"


def _where(error: Exception) -> str:
    """The last line of the user's own code on the way to the error."""
    place, step = "", error.__traceback__
    while step is not None:
        if not _is_library(step.tb_frame):
            place = f" at {step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
        step = step.tb_next
    return place
