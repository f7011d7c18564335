"""Which line of the user's called: the first frame that belongs neither to torch nor to this package."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from anymax._core.errors import NOT_THE_USER
from anymax.inspect import written


@dataclass(frozen=True)
class Place:
    """A line that called. Two modules that one line calls, as the parts of a Sequential, are two places."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    # the module of torch's or of ours through which the call went, by its number; 0 if there was none
    module: int
    # the names of the file's module, where Python notes which warnings it has shown
    names: dict[str, Any] = field(compare=False, repr=False)

    def holds(self, other: Place) -> bool:
        """True where the other is a part of this expression."""
        start, end = (self.line, self.column), (self.end_line, self.end_column)
        return self.path == other.path and start < (other.line, other.column) < end

    def call(self) -> ast.Call | None:
        """The call as it is written there, where the source can be read and the line holds one expression of it."""
        return written.call_at(self.path, (self.line, self.end_line, self.column, self.end_column))

    def __str__(self) -> str:
        return f"{os.path.basename(self.path)}:{self.line}"


# a line is met again in every step
_PLACES: dict[tuple[CodeType, int, int], Place] = {}
_OURS: dict[CodeType, bool] = {}


def caller() -> Place:
    """Where the user called."""
    frame: FrameType = sys._getframe(1)
    module = 0
    while frame.f_back is not None and _is_ours(frame):
        if not module and frame.f_code.co_name == "forward":
            module = id(frame.f_locals.get("self"))
        frame = frame.f_back
    key = frame.f_code, frame.f_lasti, module
    place = _PLACES.get(key)
    if place is None or place.names is not frame.f_globals:
        line, end_line, column, end_column = written.span_of(frame)
        place = Place(frame.f_code.co_filename, line, column, end_line, end_column, module, frame.f_globals)
        _PLACES[key] = place
    return place


def forget() -> None:
    """Let go of the code whose lines were named."""
    _PLACES.clear()
    _OURS.clear()
    written.forget()


def written_by_torch() -> bool:
    """True where what a handler of a watch serves was called by torch's own Python code, not by the user's."""
    # behind this, the handler and the mode that called it; a function in Python hands itself to the mode
    frame: FrameType | None = sys._getframe(3)
    if frame is not None and frame.f_globals.get("__name__") == "torch.overrides":
        frame = frame.f_back and frame.f_back.f_back
    return frame is not None and str(frame.f_globals.get("__name__")).startswith("torch.")


def _is_ours(frame: FrameType) -> bool:
    known = _OURS.get(frame.f_code)
    if known is None:
        known = str(frame.f_globals.get("__name__")).partition(".")[0] in NOT_THE_USER
        _OURS[frame.f_code] = known
    return known
