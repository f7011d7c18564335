"""What is right on paper, and not in floating point: AMX301 to AMX305."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch.fx import Node

from anymax.inspect import mistakes
from anymax.inspect.exported.rules.program import (
    NORMALISATIONS,
    Mistake,
    Program,
    behind,
    is_written,
    name_of,
    op_of,
    place_of,
)

_LOGS = ("log", "log2", "log10")


def log_of_link(program: Program) -> Iterator[Mistake]:
    for step, _, what in program.given():
        if step.op not in _LOGS or not is_written(step.node, *_LOGS):
            continue
        # the log of a mean has no function of its own
        if what.kind not in ("probs", "sigmoid") or what.mixed:
            continue
        link = program.made.get(what.node)
        if link is not None and link.op in NORMALISATIONS | {"sigmoid"}:
            leads_to = mistakes.log_of("sigmoid" if link.op == "sigmoid" else "softmax")
            message = f"log of the {name_of(link)} in {place_of(link.node)}: {leads_to}."
            yield Mistake("AMX301", "warning", step.node, message)


def own_softmax(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        if len(step.sources) != 2:
            continue
        # an epsilon in the denominator changes nothing
        first, second = step.sources[0], behind(step.sources[1], through=("add", "clamp"))
        if step.op == "sub" and is_written(step.node, "sub") and _is(second, "logsumexp", first):
            yield Mistake("AMX302", "warning", step.node, f"{mistakes.own_log_softmax()}.")
        elif step.op == "div" and is_written(step.node, "div", "truediv") and _is(second, "sum", first):
            # scores from which something was taken, such as their maximum, are shifted already
            scores = _exponent(first)
            if scores is not None and op_of(scores) != "sub":
                yield Mistake("AMX303", "warning", step.node, f"{mistakes.own_softmax()}.")


def _exponent(node: Node) -> Node | None:
    """The x of exp(x), or of exp(x) times a mask."""
    if op_of(node) == "exp":
        scores = _argument(node, 0)
        return scores if isinstance(scores, Node) else None
    if op_of(node) in ("mul", "masked_fill", "where"):
        found = [_exponent(value) for value in node.args if isinstance(value, Node) and op_of(value) == "exp"]
        return found[0] if len(found) == 1 else None
    return None


def _is(node: Node, op: str, of: Node) -> bool:
    return op_of(node) == op and node.args[0] is of


def weak_mask(program: Program) -> Iterator[Mistake]:
    for step, known, _ in program.normalised():
        mask = behind(step.sources[0], through=("div", "mul", "dropout"))
        value = _argument(mask, 2)
        if op_of(mask) not in ("masked_fill", "where") or not is_written(mask, "masked_fill", "where"):
            continue
        if isinstance(value, (int, float)) and math.isfinite(value) and value > mistakes.SMALL_ENOUGH:
            yield Mistake(
                "AMX305",
                "warning",
                step.node,
                f"the scores {program.shown(known)} of this {name_of(step)} are masked with {value:g} in "
                f"{place_of(mask)}: {mistakes.WEAK_MASK}.",
            )


def _argument(node: Node, at: int) -> Any:
    return node.args[at] if len(node.args) > at else None
