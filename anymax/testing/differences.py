"""Where anymax answers differently from torch, on purpose: one table.

tests/test_opinfo.py runs PyTorch's own samples, and a few more, through both libraries. Values and gradients are equal
on every one that no row names; a row fails if no sample meets it, or if its samples agree after all.
docs/differences-from-torch.md is this table: `python -m anymax.testing.differences > docs/differences-from-torch.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Call:
    """A call of a torch function, by the name of its OpInfo."""

    op: str
    input: Tensor
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def argument(self, name: str, position: int | None = None, default: Any = None) -> Any:
        """What was given as `name`, or as the argument at `position` after the input."""
        if position is not None and position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)


@dataclass(frozen=True)
class Difference:
    """A kind of call, and what both libraries do with it."""

    ops: tuple[str, ...]
    when: str
    applies: Callable[[Call], bool]
    in_torch: str
    in_anymax: str
    why: str
    # anymax's result, from the call and torch's result; None where anymax refuses the call
    result: Callable[[Call, Tensor], Tensor] | None = None


LOSSES = (
    "nn.functional.cross_entropy",
    "nn.functional.linear_cross_entropy",
    "nn.functional.binary_cross_entropy_with_logits",
)


def _target(call: Call) -> Tensor:
    return call.argument("target", 1 if call.op == "nn.functional.linear_cross_entropy" else 0)


def _is_table_per_position(call: Call) -> bool:
    return call.op == "nn.functional.linear_cross_entropy" and call.argument("linear_weight", 0).ndim > 2


def _is_off_the_simplex(call: Call) -> bool:
    target = _target(call)
    if not target.is_floating_point() or _is_table_per_position(call):
        return False
    axis = min(1, target.ndim - 1)
    return bool(((target.sum(axis) - 1).abs() > 1e-2).any()) or bool((target < 0).any())


def _is_outside_zero_one(call: Call) -> bool:
    return bool(((_target(call) < 0) | (_target(call) > 1)).any())


def _is_mean_over_nothing(call: Call) -> bool:
    if call.argument("reduction", default="mean") != "mean" or _is_table_per_position(call):
        return False
    target = _target(call)
    if target.is_floating_point():
        return target.numel() == 0
    ignored = call.argument("ignore_index")
    counted = target[target != (-100 if ignored is None else ignored)]
    weight = call.argument("weight", 1 if call.op == "nn.functional.cross_entropy" else None)
    return counted.numel() == 0 or (weight is not None and not bool(weight[counted].any()))


def _mask(call: Call) -> Tensor:
    mask = call.argument("mask")
    return torch.ones_like(call.input, dtype=torch.bool) if mask is None else mask.expand(call.input.shape)


def _has_dead_row(call: Call) -> bool:
    mask = _mask(call)
    return mask.numel() > 0 and not bool(mask.any(call.argument("dim", 0)).all())


def _has_dead_entries_only(call: Call) -> bool:
    return not bool(_mask(call).all()) and not _has_dead_row(call)


def _wraps_below_zero(call: Call) -> bool:
    if call.input.dtype != torch.uint8 or call.input.numel() == 0:
        return False
    dim = call.argument("dim", 0)
    return bool(((call.input == 0).any(dim) & (call.input > 0).any(dim)).any())


DIFFERENCES = (
    Difference(
        ("nn.functional.cross_entropy", "nn.functional.linear_cross_entropy"),
        "a probability target has a row that does not sum to 1",
        _is_off_the_simplex,
        "weighs the log-probabilities with whatever is there",
        "`ValueError`: write `target / target.sum(1, keepdim=True)` for counts",
        "Such a row is not a distribution; scores or counts given as a target are a common mistake.",
    ),
    Difference(
        ("nn.functional.binary_cross_entropy_with_logits",),
        "a target lies outside [0, 1]",
        _is_outside_zero_one,
        "goes on; the loss has no least value",
        "`ValueError`",
        "Labels in {-1, 1} and in {0, 255} are common mistakes.",
    ),
    Difference(
        LOSSES,
        '`reduction="mean"` over nothing: no rows, all of them ignored, or total weight 0',
        _is_mean_over_nothing,
        "NaN",
        "0, with zero gradient",
        "A batch without a counted row must not destroy the parameters.",
        result=lambda call, theirs: torch.zeros_like(theirs),
    ),
    Difference(
        ("nn.functional.linear_cross_entropy",),
        "`linear_weight` has more than two axes",
        _is_table_per_position,
        "one class table per position",
        "`ValueError`: write `cross_entropy(torch.einsum('nf,c...f->nc...', input, linear_weight), target)`",
        "Chunks of rows would hold the scores of all positions; torch's own chunks do not serve it either.",
    ),
    Difference(
        ("nn.functional.linear_cross_entropy",),
        "`options` with a `chunking_method` of its own",
        lambda call: getattr(call.argument("options"), "chunking_method", None) not in (None, "auto"),
        "chunks by that rule",
        "`ValueError`: write `chunks=` or `memory_budget=`",
        "The rules are torch's; `batch_chunk_size` is kept, and so is what the other options promise.",
    ),
    Difference(
        ("masked.softmax", "masked.softmin"),
        "a row's mask is all False",
        _has_dead_row,
        "NaN in that row",
        "0 in that row, with zero gradient",
        "A padded row must not spoil the others.",
        result=lambda call, theirs: torch.nan_to_num(theirs),
    ),
    Difference(
        ("masked.log_softmax",),
        "a row's mask is all False",
        _has_dead_row,
        "NaN in that row",
        "-inf in that row, with zero gradient",
        "The log of the probability 0.",
        result=lambda call, theirs: torch.nan_to_num(theirs, nan=-torch.inf, neginf=-torch.inf),
    ),
    Difference(
        ("masked.log_softmax",),
        "an entry that does not take part gets an upstream gradient",
        _has_dead_entries_only,
        "adds it to the gradient of the entries that do",
        "drops it",
        "The result there is the constant -inf.",
        result=lambda call, theirs: theirs,
    ),
    Difference(
        ("nn.functional.softmin",),
        "unsigned integers, with a 0 and a positive number in one row, and `dtype=`",
        _wraps_below_zero,
        "negates before it casts, so that 1 becomes 255",
        "casts before it negates",
        "The smallest cost has the largest probability.",
        result=lambda call, theirs: torch.softmax(-call.input.to(theirs.dtype), call.argument("dim", 0)),
    ),
    Difference(
        ("masked.logsumexp",),
        "integers",
        lambda call: not call.input.is_floating_point() and not call.input.is_complex(),
        "cuts the result to integers",
        "the default floating-point dtype, as `torch.logsumexp`",
        "A log of a sum is hardly ever an integer.",
        result=lambda call, theirs: torch.masked.logsumexp(call.input.float(), *call.args, **call.kwargs),
    ),
    Difference(
        ("logsumexp", "masked.logsumexp"),
        "complex numbers",
        lambda call: call.input.is_complex(),
        "a complex logarithm",
        "`TypeError`",
        "Scores are real: they are compared with each other.",
    ),
)


def as_page() -> str:
    """The table as the documentation shows it."""
    lines = [
        "# Differences from torch",
        "",
        "Functions that torch has keep its names, positions, defaults and results. These calls are the exceptions. The",
        "table is the one that the tests use: on every sample of PyTorch's own tests that no row names, values and",
        "gradients are equal, and a row that is not true any more fails.",
        "",
        "| function | call | torch | anymax | why |",
        "|---|---|---|---|---|",
    ]
    for row in DIFFERENCES:
        names = ", ".join(f"`{op.removeprefix('nn.functional.')}`" for op in row.ops)
        lines.append(f"| {names} | {row.when} | {row.in_torch} | {row.in_anymax} | {row.why} |")
    lines += [
        "",
        "`dtype` of the maps is taken by name only. The third position, which is `dtype` in `torch.softmax` and",
        "`_stacklevel` in `torch.nn.functional.softmax`, is an error that shows the call.",
        "",
        "`torch.masked.softmax(input, dim, mask=mask)` is `anymax.softmax(input, dim, mask=mask)`, and so on: in both",
        "True takes part.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_page(), end="")
