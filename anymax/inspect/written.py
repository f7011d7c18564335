"""A call as it stands in the source: torch fills its defaults in, and only the line says what was given."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Mapping
from types import CodeType, FrameType, ModuleType
from typing import Any

# first and last line, first column and the one behind the last, counted from 1
Span = tuple[int, int, int, int]


def span_of(frame: FrameType) -> Span:
    """Where the expression stands that the frame is running: line, end line, column, end column."""
    start, end, column, end_column = _spans(frame.f_code).get(frame.f_lasti // 2, (None,) * 4)
    line = frame.f_lineno
    if start is None or end is None or column is None or end_column is None:
        return line, line, 1, 1
    return start, end, column + 1, end_column + 1


def forget() -> None:
    """Let go of the code that was asked about."""
    _spans.cache_clear()


@functools.lru_cache(maxsize=256)
def _spans(code: CodeType) -> dict[int, tuple[int | None, int | None, int | None, int | None]]:
    # Python 3.10 knows lines only
    positions = getattr(code, "co_positions", None)
    return {} if positions is None else dict(enumerate(positions()))


def call_at(path: str, span: Span) -> ast.Call | None:
    """The call there; None where the source cannot be read, or Python does not say which part of the line runs."""
    start, end, column, end_column = span
    lines = linecache.getlines(path)[start - 1 : end]
    if not lines or end_column == 1:
        return None
    lines[-1] = lines[-1].encode()[: end_column - 1].decode(errors="ignore")
    lines[0] = lines[0].encode()[column - 1 :].decode(errors="ignore")
    try:
        tree = ast.parse("".join(lines).strip(), mode="eval")
    except SyntaxError:
        return None
    return tree.body if isinstance(tree.body, ast.Call) else None


def leaves_out(call: ast.Call, argument: str, position: int) -> bool:
    """True where the call gives this argument neither by its name nor by its position, nor in a list or dict."""
    return (
        len(call.args) <= position
        and not any(isinstance(value, ast.Starred) for value in call.args)
        and not any(keyword.arg in (None, argument) for keyword in call.keywords)
    )


def is_literal(call: ast.Call | None, argument: str) -> bool:
    """False where the source says that this argument, or the last without a name, is computed."""
    if call is None or "softm" not in _last_name(call):
        return True
    given = [keyword.value for keyword in call.keywords if keyword.arg == argument] or call.args[-1:]
    return any(isinstance(getattr(value, "operand", value), ast.Constant) for value in given)


def _last_name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def names_function(call: ast.Call, function: Any, names: Mapping[str, Any]) -> bool:
    """True where the call names this function itself, and not a wrapper, which may give arguments of its own."""
    return _meant(call.func, names) is function


def _meant(name: ast.expr, names: Mapping[str, Any]) -> Any:
    """What a dotted name stands for, as far as it leads through modules alone."""
    if isinstance(name, ast.Name):
        return names.get(name.id)
    if isinstance(name, ast.Attribute):
        home = _meant(name.value, names)
        return getattr(home, name.attr, None) if isinstance(home, ModuleType) else None
    return None
