"""Sentences and edits that several rules share."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from anymax.inspect.check.findings import STRENGTH, Edit, Finding, Fix, Level
from anymax.inspect.check.observed import Loss, Observation, Softmax
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import Axis, Shape
from anymax.inspect.check.sources import Source
from anymax.inspect.check.values import Made, Place, Tensor

if TYPE_CHECKING:
    from anymax.inspect.check.rules import Rule

T = TypeVar("T", bound=Observation)

NAMES = {
    "softmax": "probabilities (softmax at {})",
    "log_softmax": "log-probabilities (log_softmax at {})",
    "sigmoid": "probabilities (sigmoid at {})",
    "logsigmoid": "log-probabilities (logsigmoid at {})",
    "scores": "scores (from {})",
}

KINDS = {
    "batch": "the batch",
    "feature": "the features",
    "channel": "the channels",
    "height": "the height of the image",
    "width": "the width of the image",
    "position": "the positions",
    "depth": "the depth of the volume",
}


def where(place: Place, seen_from: Source) -> str:
    """A place as a sentence in a finding about `seen_from` names it."""
    node = place.node
    if not isinstance(node, ast.expr | ast.stmt):
        return place.module.path
    if place.module.source.path == seen_from.path and not seen_from.cells:
        return f"line {node.lineno}"
    return place.module.source.place(node)


def what(made: Made, seen_from: Source) -> str:
    """What values are and where they were made: "probabilities (softmax at line 12)"."""
    return NAMES[made.kind].format(where(made.place, seen_from))


def all_made(tensors: Iterable[Tensor] | None, *kinds: str) -> Made | None:
    """How the tensors came about, where every one of them is of these kinds."""
    found = [tensor.made for tensor in tensors or ()]
    if not found or any(made is None or made.kind not in kinds for made in found):
        return None
    return found[0]


def by_home(observations: Iterable[T]) -> Iterator[list[T]]:
    """Those of the same piece of code together."""
    groups: dict[int, list[T]] = {}
    for one in observations:
        groups.setdefault(id(one.home.node), []).append(one)
    yield from groups.values()


def perhaps(loss: Loss) -> str:
    """What to say first of a loss that is one of several that the code may choose."""
    return "" if loss.certain else "Where this loss is chosen: "


def argument_of(node: ast.expr) -> ast.expr | None:
    """The x of `f(x)` and `x.f()`, where nothing else is given."""
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
        return node.args[0]
    return node.func.value if not node.args and isinstance(node.func, ast.Attribute) else None


def is_call_of(node: ast.AST, *names: str) -> bool:
    """Whether a call is written as one of these functions or methods; a module that applies them inside is not."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    return name in names


def strongest(findings: Iterable[Finding]) -> Iterator[Finding]:
    """One finding of a code for each place: the surest, and of those the first."""
    best: dict[tuple[str, int, int, int, str], Finding] = {}
    for finding in findings:
        kept = best.get(finding.place)
        if kept is None or STRENGTH[finding.level] > STRENGTH[kept.level]:
            best[finding.place] = finding
    yield from best.values()


def at(rule: Rule, seen: Seen, place: Place, message: str, level: Level, fix: Fix | None = None) -> Finding:
    """A finding at a place of this file."""
    node = place.node
    assert isinstance(node, ast.expr | ast.stmt)
    if place.assuming:
        message, level = f"Where {place.assuming}: {message}", "warning" if level == "error" else level
    return rule.finding(seen.source, node, message, level=level, fix=fix)


def call_name(one: Softmax) -> str:
    """`nn.Softmax()` or `F.softmax`, as it is written."""
    node = one.home.node
    return ast.unparse(node.func) if isinstance(node, ast.Call) else one.written


def meaning(axis: Axis | None) -> str:
    """What an axis holds, behind its number: ", the batch"; nothing where that is not known."""
    return f", {KINDS[axis.kind]}" if axis is not None and axis.kind else ""


def described(shape: Shape) -> str:
    """A shape by its axes: (batch, channels, height, width)."""
    names = [str(axis) if axis.kind or axis.name else str(axis.size or "?") for axis in shape.known]
    if shape.open:
        names.insert(len(shape.front), "...")
    return f"({', '.join(names)})"


def with_argument(source: Source, node: ast.AST, argument: str, message: str) -> Fix | None:
    """A fix that gives a call one more argument, or replaces `dim=None`."""
    if not isinstance(node, ast.Call):
        return None
    name, _, value = argument.partition("=")
    for keyword in node.keywords:
        if keyword.arg == name:
            start, end = source.span(keyword.value)
            return Fix(message, (Edit(start, end, value),))
    if any(keyword.arg is None for keyword in node.keywords) or any(isinstance(one, ast.Starred) for one in node.args):
        return None
    _, end = source.span(node)
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    last = max((source.span(one)[1] for one in given), default=None)
    comma = ""
    if last is not None:
        between = "".join(line.partition("#")[0] for line in source.text[last : end - 1].splitlines())
        comma = " " if "," in between else ", "
    return Fix(message, (Edit(end - 1, end - 1, f"{comma}{argument}"),))
