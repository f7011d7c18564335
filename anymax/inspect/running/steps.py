"""When a step of training is over: after the outermost `backward()` of a thread.

Watches see `backward()` as any other function of torch, but a mode cannot leave the stack of modes while torch serves a
call through it. So while a watch is on, torch's two ways into the backward pass are wrapped, and the wrapper tells the
watches of its thread when nothing of the call is left on the stack. An optimizer's step is hundreds of calls and none
of interest, so watches pause for it, unless it is given a closure, which holds the model.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle


class Watching(Protocol):
    def step_is_over(self) -> None: ...
    def pause(self) -> None: ...
    def go_on(self) -> None: ...


class _Thread(threading.local):
    def __init__(self) -> None:
        self.watches: list[Watching] = []
        self.depth = 0


_HERE = _Thread()
_LOCK = threading.Lock()
_WAYS: tuple[tuple[Any, str], ...] = ((torch.Tensor, "backward"), (torch.autograd, "backward"))
_originals: list[Callable[..., None]] = []
_hooks: list[RemovableHandle] = []
_count = 0


def begin(watch: Watching) -> None:
    """Tell the watch about the steps of this thread."""
    global _count
    with _LOCK:
        if _count == 0:
            for home, name in _WAYS:
                _originals.append(getattr(home, name))
                setattr(home, name, _telling(_originals[-1]))
            _hooks.extend((register_optimizer_step_pre_hook(_pause), register_optimizer_step_post_hook(_go_on)))
        _count += 1
    _HERE.watches.append(watch)


def end(watch: Watching) -> None:
    """Stop telling it; behind the last watch of all threads torch's functions are as before."""
    global _count
    _HERE.watches.remove(watch)
    with _LOCK:
        _count -= 1
        if _count == 0:
            for (home, name), original in zip(_WAYS, _originals, strict=True):
                setattr(home, name, original)
            for hook in _hooks:
                hook.remove()
            _originals.clear()
            _hooks.clear()


def _pause(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # a closure holds the model and the loss; the first argument is the optimizer
    if not kwargs and len(args) < 2:
        for watch in _HERE.watches:
            watch.pause()


def _go_on(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for watch in _HERE.watches:
        watch.go_on()


def _telling(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def backward(*args: Any, **kwargs: Any) -> None:
        _HERE.depth += 1
        try:
            original(*args, **kwargs)
        finally:
            _HERE.depth -= 1
        if _HERE.depth == 0:
            for watch in list(_HERE.watches):
                watch.step_is_over()

    return backward
