"""Modules that keep what they make of a buffer's values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from anymax._core.context import can_branch

Made = TypeVar("Made")


class Derived(nn.Module, Generic[Made]):
    """A module whose state is one buffer, and which works with what is made of that, such as tables.

    It is made anew once the buffer is another tensor or was written to, whoever did it: some loaders call no hook.
    """

    # the name of the buffer
    _source: str
    # whether it is written to between two calls of compiled code
    _learns = False
    _kept: Made | None = None
    _kept_of: tuple[Tensor, tuple[int, int]] | None = None

    def _make(self) -> Made | None:
        """What follows from the values; None where they are those of memory that nobody filled."""
        raise NotImplementedError

    def _make_without_values(self) -> Made | None:
        """The same where Python cannot depend on values, which is not kept."""
        raise NotImplementedError

    def _unfilled(self) -> Exception:
        """What to raise where there is nothing to make it from."""
        raise NotImplementedError

    @property
    def _held(self) -> Tensor:
        return getattr(self, self._source)

    def _current(self) -> Made:
        """What was made of the state as it is now. Compiled code asks for the identity only, on which Dynamo guards."""
        made, held = self._kept, self._held
        if made is not None and self._kept_of is not None and self._kept_of[0] is held:
            if torch.compiler.is_compiling():
                if not self._learns:
                    return made
            elif self._kept_of[1] == _state_of(held):
                return made
        made = self._renew() if can_branch(held) else self._make_without_values()
        if made is None:
            raise self._unfilled()
        return made

    def _renew(self) -> Made | None:
        """Make it and keep it; None where there is nothing yet to make it from."""
        held = self._held
        self._kept = self._make() if can_branch(held) else None
        self._kept_of = None if self._kept is None else (held, _state_of(held))
        return self._kept

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        # here and not at the next call, which may be compiled
        self._renew()
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        # another tensor, so that compiled code sees it
        setattr(self, self._source, self._held.clone())
        super()._load_from_state_dict(*args, **kwargs)
        self._renew()


def _state_of(tensor: Tensor) -> tuple[int, int]:
    """What changes when a tensor is written to, or given other memory."""
    return 0 if tensor.is_inference() else tensor._version, tensor.data_ptr()
