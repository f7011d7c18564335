"""What is right on paper, and not in floating point: AMX301 to AMX305."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
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
        if step.op == "sub" and is_written(step.node, "sub"):
            if _is(second, "logsumexp", first):
                yield Mistake("AMX302", "warning", step.node, f"{mistakes.own_log_softmax()}.")
            elif _is_log_of_own_sum(second, first):
                yield Mistake("AMX302", "warning", step.node, f"{mistakes.LOG_OF_OWN_SUM}.")
        elif step.op == "div" and is_written(step.node, "div", "truediv") and _is_sum(second, first):
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


def _is_sum(node: Node, of: Node) -> bool:
    """The sum of all entries along an axis, or of those of each group, picked for each entry again."""
    if _is(node, "sum", of):
        return True
    if op_of(node) not in _PICKS:
        return False
    total = behind(_argument(node, 0), through=("add", "clamp", "slice"))
    # self, dim, index, and what is added
    return op_of(total) in _GROUP_SUMS and _argument(total, 3) is of


_PICKS = ("index", "index_select", "gather")
_GROUP_SUMS = ("index_add", "scatter_add")


def _is_log_of_own_sum(node: Node, of: Node) -> bool:
    """log(exp(x).sum()); where x has been shifted, only with a mask, which may hide the one that it was shifted by."""
    if op_of(node) != "log":
        return False
    total = behind(_argument(node, 0), through=("add", "clamp"))
    if op_of(total) != "sum":
        return False
    summed = _argument(total, 0)
    return _exponent(summed) is of and (op_of(of) != "sub" or op_of(summed) != "exp")


def weak_mask(program: Program) -> Iterator[Mistake]:
    for step, known, _ in program.normalised():
        mask = behind(step.sources[0], through=("div", "mul", "dropout"))
        value = _filled_with(program, mask)
        if value is not None and math.isfinite(value) and value > mistakes.SMALL_ENOUGH:
            yield Mistake(
                "AMX305",
                "warning",
                step.node,
                f"the scores {program.shown(known)} of this {name_of(step)} are masked with {value:g} in "
                f"{place_of(mask)}: {mistakes.WEAK_MASK}.",
            )


def _filled_with(program: Program, mask: Node) -> float | None:
    """What masked entries become, where the user's own line says so."""
    if op_of(mask) in ("masked_fill", "where") and is_written(mask, "masked_fill", "where"):
        value = _argument(mask, 2)
        if isinstance(value, Node):
            return 0.0 if _fills_with_the_mask(mask) else None
        return float(value) if isinstance(value, (int, float)) else None
    made = program.made.get(mask)
    if made is not None and made.op == "mul" and len(made.operands) == 2 and is_written(mask, "mul"):
        # of a causal mask as of one that is given, what is not kept becomes 0
        kinds = [one.kind for one in made.operands]
        return 0.0 if sorted(kind or "" for kind in kinds) == ["mask", "scores"] else None
    return None


def _fills_with_the_mask(where: Node) -> bool:
    """where(mask == 0, mask * number, x): what is picked is 0, whatever the number."""
    condition, taken = _argument(where, 0), _argument(where, 1)
    if not isinstance(condition, Node) or not isinstance(taken, Node) or op_of(condition) != "eq":
        return False
    mask = _argument(condition, 0)
    return _argument(condition, 1) == 0 and op_of(taken) == "mul" and behind(_argument(taken, 0)) is behind(mask)


def rows_masked_as_a_whole(program: Program) -> Iterator[Mistake]:
    """A mask of one entry along the axis that competes hides all of a row or none of it."""
    for step, known, dim in program.normalised():
        fill = behind(step.sources[0], through=("div", "mul", "dropout"))
        if step.op == "_safe_softmax" or op_of(fill) not in ("masked_fill", "where") or _is_repaired(step.node):
            continue
        if not is_written(fill, "masked_fill", "where") or _argument(fill, 2) != -math.inf:
            continue
        mask = program.made[fill].operands[op_of(fill) == "masked_fill"]
        back = dim - len(known.axes)
        # the axes that a mask lacks in front are of size 1
        along = mask.sizes[back] if len(mask.sizes) >= -back else 1
        if along == 1 and known.sizes[dim] != 1:
            yield Mistake(
                "AMX304",
                "warning",
                step.node,
                f"{program.said(step)}, and the mask {program.shown(mask)} in {place_of(fill)} has one entry along "
                "that axis: where it masks it leaves nothing but -inf, which softmax turns into NaN. Give the mask "
                "the axis of what competes, the keys in attention.",
            )


def _is_repaired(node: Node) -> bool:
    return any(op_of(user) in ("nan_to_num", "masked_fill", "where") for user in node.users)


def overflowing_fill(program: Program) -> Iterator[Mistake]:
    """A number below all that the dtype has, as masks are filled with: torch refuses it when the line runs."""
    for step in program.steps:
        value = step.arguments.get("fill_value", step.arguments.get("value")) if step.op in _FILLS else None
        if not isinstance(value, (int, float)) or step.result is None or not step.result.dtype.is_floating_point:
            continue
        lowest = torch.finfo(step.result.dtype).min
        if math.isfinite(value) and value < lowest:
            yield Mistake(
                "AMX305",
                "error",
                step.node,
                f"{name_of(step)} fills {program.shown(step.result)} with {value:g}, and {step.result.dtype} ends at "
                f"{lowest:g}. Write float('-inf'), torch.finfo(x.dtype).min, or anymax.softmax(x, dim, mask=kept).",
            )


_FILLS = frozenset({"full", "full_like", "new_full", "fill", "masked_fill"})


def _argument(node: Node, at: int) -> Any:
    return node.args[at] if len(node.args) > at else None
