"""Where samples first mix: the innermost module whose inputs do not know of the change and whose output does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from anymax.inspect.running.batches import Batch, differ, named_tensors, rounding
from anymax.inspect.running.places import Place, caller
from anymax.inspect.running.rerunning import Rerun


@dataclass(frozen=True)
class Mixing:
    """A module, and the call in its own code, in which samples first mix."""

    module: str
    kind: str
    is_batch_norm: bool
    # the function of torch, where one was seen, and the line that called it, else the line that called probe
    function: str | None
    place: Place


@dataclass
class _Seen:
    """What went in and came out: of tensors with a batch axis one sample's row, of others everything."""

    name: str
    rows_in: list[Tensor]
    whole_in: list[Tensor]
    rows_out: list[Tensor]
    place: Place | None = None


def first_mixing(run: Rerun, batch: Batch, changed: int, sample: int) -> Mixing:
    """Where `sample` first learns of a change of the sample `changed`."""
    value = batch.replaced(changed)
    name, module = "", None
    if isinstance(run.model, nn.Module):
        before, after = ([*_modules_seen(run, run.model, batch, sample, one)] for one in (None, value))
        name = _first_that_differs(before, after) or ""
        module = run.model.get_submodule(name)
    if isinstance(module, _BatchNorm):
        return Mixing(name, type(module).__name__, True, None, caller())
    before, after = (_calls_seen(run, batch, sample, one, module) for one in (None, value))
    # a mean over the batch has no row of its own: then the call that brings it into the rows
    call = _first_that_differs(before, after) or _first_that_differs(before, after, whole=False)
    kind = type(module).__name__ if module is not None else getattr(run.model, "__name__", "a function")
    if call is None:
        return Mixing(name, kind, False, None, caller())
    place = next(seen.place for seen in before if seen.name == call)
    return Mixing(name, kind, False, call.partition(" ")[0], place or caller())


def _first_that_differs(before: list[_Seen], after: list[_Seen], whole: bool = True) -> str | None:
    """The first that gives another row out and got the same in; with `whole` also tensors without a batch axis."""
    for one, other in zip(before, after, strict=False):
        if one.name != other.name:
            return None
        knows = _differ(one.rows_in, other.rows_in) or (whole and _differ(one.whole_in, other.whole_in))
        if not knows and _differ(one.rows_out, other.rows_out):
            return one.name
    return None


def _differ(before: list[Tensor], after: list[Tensor]) -> bool:
    if len(before) != len(after):
        return True
    return any(differ(one, other) > rounding(one) for one, other in zip(before, after, strict=True))


def _modules_seen(run: Rerun, model: nn.Module, batch: Batch, sample: int, value: Any) -> list[_Seen]:
    """What every module got and gave, in the order in which they were done."""
    inputs: list[tuple[list[Tensor], list[Tensor]]] = []
    found: list[_Seen] = []

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        # copies, since a module may write into what it was given
        inputs.append(_rows(batch, sample, (args, kwargs)))

    def after(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            found.append(_Seen(name, *inputs.pop(), _rows(batch, sample, output)[0]))

        return hook

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            hooks.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(after(name)).remove)
        run(value)
    return found


def _rows(batch: Batch, sample: int, value: Any) -> tuple[list[Tensor], list[Tensor]]:
    rows, whole = [], []
    for _, tensor in named_tensors(value, ""):
        if batch.has_axis(tensor):
            rows.append(batch.row(tensor, sample).detach().clone())
        else:
            whole.append(tensor.detach().clone())
    return rows, whole


def _calls_seen(run: Rerun, batch: Batch, sample: int, value: Any, inside: nn.Module | None) -> list[_Seen]:
    """What every function of torch got and gave that the module's own code calls, and not that of its parts."""
    with _only_own_calls(inside) as is_inside:
        mode = _Calls(batch, sample, is_inside)
        with mode:
            run(value)
    return mode.found


@contextmanager
def _only_own_calls(module: nn.Module | None) -> Iterator[Callable[[], bool]]:
    """A function that says whether the module's own code is what runs; without a module it always is."""
    if module is None:
        yield lambda: True
        return
    running: list[nn.Module] = []
    with ExitStack() as hooks:
        for part in module.modules():
            hooks.callback(part.register_forward_pre_hook(lambda part, args: running.append(part)).remove)
            hooks.callback(part.register_forward_hook(lambda part, args, output: running.remove(part)).remove)
        yield lambda: bool(running) and running[-1] is module


class _Calls(TorchFunctionMode):
    def __init__(self, batch: Batch, sample: int, is_inside: Callable[[], bool]) -> None:
        super().__init__()
        self.batch, self.sample, self.is_inside = batch, sample, is_inside
        self.found: list[_Seen] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.compiler.is_dynamo_compiling() or not self.is_inside():
            return func(*args, **kwargs)
        inputs = _rows(self.batch, self.sample, (args, kwargs))
        result = func(*args, **kwargs)
        rows_out = _rows(self.batch, self.sample, result)[0]
        if rows_out:
            name = f"{getattr(func, '__name__', 'a function')} {len(self.found)}"
            self.found.append(_Seen(name, *inputs, rows_out, caller()))
        return result
