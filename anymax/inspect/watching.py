"""watch: the first steps of a training loop, looked at while they run."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from anymax._core.errors import CALLER, named_after_function
from anymax.inspect.check.findings import Finding, more
from anymax.inspect.running import losses, maps, steps
from anymax.inspect.running.propagation import CARRIERS
from anymax.inspect.running.record import MisuseWarning, Record

__all__ = ["MisuseWarning", "Watch", "watch"]

_HANDLERS: dict[Any, maps.Handler] = {**maps.HANDLERS, **losses.HANDLERS}
# one look-up serves the many calls that nothing is known of
_LOOKS: dict[Any, tuple[bool, Any]] = {
    **{function: (False, carrier) for function, carrier in CARRIERS.items()},
    **{function: (True, handler) for function, handler in _HANDLERS.items()},
}


class _Mode(TorchFunctionMode):
    """Sees each call of torch, and of ours, as a whole: nothing that the call does inside comes here."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        looks = _LOOKS.get(func)
        # Dynamo traces through here and folds this into a plain call; is_compiling would take twice as long
        if looks is None or torch.compiler.is_dynamo_compiling():
            return func(*args, **kwargs) if kwargs else func(*args)
        kwargs = kwargs or {}
        is_handler, look = looks
        if is_handler:
            return look(self.record, func, args, kwargs)
        result = func(*args, **kwargs)
        look(self.record.origins, args, kwargs, result)
        return result


class Watch:
    """What `watch` makes: a context manager, and afterwards what it has found; `str()` is the report.

    Attributes:
        findings: what was found, in the order in which it was met, once per place and code: each with `code`, `level`
            ("error", "warning", "info"), `path`, `line` and `message`. Those of level info give no warning.
        steps: how many steps are watched. steps_seen: how many were, so far.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.steps_seen = 0
        self._record = Record()
        self._mode: _Mode | None = None
        self._is_paused = False

    @property
    def findings(self) -> list[Finding]:
        return self._record.findings

    def __enter__(self) -> Watch:
        if torch.compiler.is_compiling():
            return self
        if self._mode is not None:
            raise RuntimeError("watch: this watch is on already; make another one with anymax.watch()")
        if self.steps_seen < self.steps:
            self._mode = _Mode(self._record)
            self._mode.__enter__()
            steps.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if torch.compiler.is_compiling():
            return
        self.stop()

    def stop(self) -> None:
        """Watch no longer; harmless where the watch has stopped already."""
        if self._mode is None:
            return
        mode, self._mode = self._mode, None
        _leave_stack(mode)
        steps.end(self)
        losses.after_last_step(self._record)
        self._record.forget()

    def pause(self) -> None:
        """Called when an optimizer begins its step, which is many calls and none of interest."""
        if self._mode is not None:
            self._is_paused = _leave_stack(self._mode)

    def go_on(self) -> None:
        """Called when the optimizer has done it, and at the next `backward()` if it failed."""
        if self._mode is not None and self._is_paused:
            self._is_paused = False
            self._mode.__enter__()

    def step_is_over(self) -> None:
        """Called behind each `backward()`."""
        self.go_on()
        self.steps_seen += 1
        maps.after_step(self._record)
        if self.steps_seen >= self.steps:
            self.stop()

    def __str__(self) -> str:
        return "\n".join([self._summary(), *map(str, self.findings), *more(self.findings), "", *self._unseen()])

    def _summary(self) -> str:
        seen, count = self._record.seen, len(self.findings)
        found = "nothing was found" if count == 0 else f"{count} finding{'s' if count > 1 else ''}"
        return (
            f"watched {self.steps_seen} of {self.steps} steps, {seen['softmax']} calls of a softmax and "
            f"{seen['loss']} of a loss: {found}"
        )

    def _unseen(self) -> list[str]:
        lines = [
            "Not looked at: other threads and processes, what a function of torch does inside (such as "
            "multi_head_attention_forward), losses and softmaxes that are written out or stand in C++, compiled code."
        ]
        if self._record.unknown_losses:
            lines.append(f"Losses whose input came from a call that is not followed: {self._record.unknown_losses}.")
        if self._record.compiled:
            lines.append("Some of them came out of torch.compile: watch the same steps without it.")
        if self.steps_seen < self.steps:
            lines.append("A step ends with backward(); fewer were seen than asked for.")
        return lines


def _leave_stack(mode: _Mode) -> bool:
    """Take a mode off this thread's stack, from under others if need be; False if it was not on it."""
    above, found = [], False
    while torch._C._len_torch_function_stack() and not found:
        top = torch._C._pop_torch_function_stack()
        found = top is mode
        if not found:
            above.append(top)
    for other in reversed(above):
        torch._C._push_on_torch_function_stack(other)
    return found


@named_after_function
def watch(steps: int = 10) -> Watch:
    """Look at the first steps of a training loop, and warn of what runs and means something else.

    Within the block it sees each call of torch and of anymax as a whole, knows where a tensor comes from through views,
    casts, `detach`, `no_grad`, indexing and dropout, and finds: softmax or log_softmax into cross_entropy (AMX201),
    sigmoid into binary_cross_entropy_with_logits (AMX202), nll_loss or ctc_loss without a log (AMX203),
    binary_cross_entropy of scores (AMX204), kl_div of probabilities (AMX205), softmax of softmax (AMX206), nll_loss of
    log_softmax in one expression (AMX207), samplers that take scores for probabilities (AMX208), targets off the
    simplex or outside [0, 1] (AMX209), a loss at the floor of a double softmax (AMX210), no target that counts
    (AMX211), log of softmax (AMX301), log_softmax and softmax by hand without the shift (AMX302, AMX303), rows that are
    all masked (AMX304), masks that leave a weight (AMX305), no dim (AMX101, AMX108), samples that compete (AMX102), an
    axis of size 1 (AMX103), a dim that meets several ranks (AMX104), attention weights that compete over the queries
    (AMX105), positions that compete instead of classes (AMX106), argmax over another axis (AMX107), and classes last in
    cross_entropy (AMX109).

    Silence proves nothing. It does not see other threads and processes, the inside of one of torch's functions, what
    else is written out by hand, and compiled code: under `torch.compile` it does nothing, and code compiled within the
    block is compiled once more behind it. Where it does not know what a tensor or an axis is, it says nothing.

    Each finding gives one `MisuseWarning` per line, at that line; those of level "info" are only in `findings`. A step
    ends with `backward()`, whether of a tensor or `torch.autograd.backward`. So with gradient accumulation each part of
    a batch is a step, and two losses with a `backward()` each are two; `torch.autograd.grad` ends none. Behind the last
    step torch is as it was, also within the block. A step takes up to half as long again, and on an accelerator it
    waits for values: of targets, and of losses and softmaxes, whether they are NaN.

    Args:
        steps: how many steps are watched.

    Returns:
        A context manager: `with anymax.watch() as seen:`, then `seen.findings` and `print(seen)`. One that has steps
        left goes on in a second block. `stop()` ends it early.

    Raises:
        ValueError: steps below 1. TypeError: steps is no int. RuntimeError: a watch that is on begins again.

    Example:
        >>> import warnings
        >>> scores = torch.randn(4, 3, requires_grad=True)
        >>> with warnings.catch_warnings(), anymax.watch(steps=1) as seen:
        ...     warnings.simplefilter("ignore")
        ...     probs = scores.softmax(dim=1)
        ...     torch.nn.functional.cross_entropy(probs, torch.tensor([0, 1, 2, 0])).backward()
        >>> for finding in seen.findings:
        ...     print(finding.code, finding.level, finding.message.partition(":")[0])
        AMX201 error cross_entropy was given probabilities
        >>> print(str(seen).partition(":")[0])
        watched 1 of 1 steps, 1 calls of a softmax and 1 of a loss

    Provenance as a property of tensors was asked of torch in pytorch/pytorch#55902, and held to be too much for its
    core: that its silence would be read as approval is why the report says what was not looked at.
    """
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(f"{CALLER}: steps must be an int, got {steps!r} of type {type(steps).__name__}")
    if steps < 1:
        raise ValueError(f"{CALLER}: steps must be at least 1, got {steps}")
    return Watch(steps)
