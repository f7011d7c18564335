"""Which line of the user's called: the first frame that belongs neither to torch nor to this package."""

from __future__ import annotations

import ast
import functools
import linecache
import os
import sys
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from anymax._core.errors import NOT_THE_USER


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
        line, end_line, column, end_column = _span(frame)
        place = Place(frame.f_code.co_filename, line, column, end_line, end_column, module, frame.f_globals)
        _PLACES[key] = place
    return place


def forget() -> None:
    """Let go of the code whose lines were named."""
    _PLACES.clear()
    _OURS.clear()
    _spans.cache_clear()


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


def _span(frame: FrameType) -> tuple[int, int, int, int]:
    """Lines and columns of what the frame is running, counted from 1."""
    start, end, column, end_column = _spans(frame.f_code).get(frame.f_lasti // 2, (None,) * 4)
    line = frame.f_lineno
    if start is None or end is None or column is None or end_column is None:
        return line, line, 1, 1
    return start, end, column + 1, end_column + 1


@functools.lru_cache(maxsize=256)
def _spans(code: CodeType) -> dict[int, tuple[int | None, int | None, int | None, int | None]]:
    # Python 3.10 knows lines only
    positions = getattr(code, "co_positions", None)
    return {} if positions is None else dict(enumerate(positions()))


def call_at(place: Place) -> ast.Call | None:
    """The call as it is written there, where the source can be read and the line holds one expression of it."""
    lines = linecache.getlines(place.path)[place.line - 1 : place.end_line]
    if not lines or place.end_column == 1:
        return None
    lines[-1] = lines[-1].encode()[: place.end_column - 1].decode(errors="ignore")
    lines[0] = lines[0].encode()[place.column - 1 :].decode(errors="ignore")
    try:
        tree = ast.parse("".join(lines).strip(), mode="eval")
    except SyntaxError:
        return None
    return tree.body if isinstance(tree.body, ast.Call) else None
