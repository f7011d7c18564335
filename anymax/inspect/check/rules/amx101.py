"""## What it does
Finds `softmax`, `log_softmax`, `softmin` and their modules without `dim`.

## Why is this bad
torch then takes axis 0 of a tensor with 0, 1 or 3 axes, and axis 1 of any other. Scores of shape (batch, time,
classes) are normalised over the batch, and nothing is raised but a warning that does not name the axis.

## Example
```python
probs = F.softmax(scores)
```

## Use instead
```python
probs = F.softmax(scores, dim=-1)
```

## How sure it is
An error where the axis that torch takes is known to be the batch, a warning where the tensor is not known to be a
vector, info where it is one, since there is but one axis to take. The fix writes the axis that torch takes today, and
is offered where reading tells how many axes there are.

## References
`_get_softmax_dim` in torch/nn/functional.py; pytorch/pytorch#36524, pytorch/pytorch#84524, ray-project/ray#16311.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Built, Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import legacy_dim
from anymax.inspect.check.telling import at, by_home, call_name, described, meaning, strongest, with_argument

OF_ANY_TENSOR = (
    f"{{}} without dim: {mistakes.LEGACY_RULE}, which for (batch, time, classes) is the batch. Write dim=-1, or the "
    "axis of the classes."
)


def check(seen: Seen) -> Iterator[Finding]:
    calls = [
        one
        for one in seen.each(Softmax)
        if one.dim == "missing" and one.op != "gumbel_softmax" and _can_be_left_out(one)
    ]
    yield from strongest(_of_call(seen, group) for group in by_home(calls))
    told = {id(one.home.node) for one in calls}
    for group in by_home(one for one in seen.each(Built) if id(one.place.node) not in told):
        message = OF_ANY_TENSOR.format(f"nn.{group[0].name}()")
        yield at(RULE, seen, group[0].place, message, "warning")


def _can_be_left_out(one: Softmax) -> bool:
    """`torch.softmax` and the method have no default: there a missing dim is an error of its own."""
    node = one.home.node
    return isinstance(node, ast.Call) and not (one.written.startswith(".") or one.written.startswith("torch.softmax"))


def _of_call(seen: Seen, group: list[Softmax]) -> Finding:
    first, name = group[0], call_name(group[0])
    ranks = {one.operand.shape.rank for one in group}
    known = [one for one in group if one.operand.shape.rank is not None]
    on_batch = next(
        (one for one in known if one.axis is not None and one.axis.kind == "batch" and one.operand.shape.rank != 1),
        None,
    )
    if on_batch is not None:
        dim = legacy_dim(on_batch.operand.shape.rank or 0)
        message = (
            f"{name} without dim: of {described(on_batch.operand.shape)} torch normalises axis {dim}, the batch: "
            f"{mistakes.SAMPLES_COMPETE}. Write the axis of the classes, such as dim=-1."
        )
        return at(RULE, seen, first.home, message, "error")
    if len(ranks) == 1 and known:
        rank = known[0].operand.shape.rank or 0
        dim = legacy_dim(rank)
        message = (
            f"{name} without dim normalises axis {dim}{meaning(known[0].axis)}, of a tensor with {rank} "
            f"{'axis' if rank == 1 else 'axes'}: {mistakes.implicit_dim(dim)}."
        )
        fix = with_argument(
            seen.source, first.home.node, f"dim={dim}", f"Write dim={dim}, the axis that torch takes today."
        )
        return at(RULE, seen, first.home, message, "info" if rank == 1 else "warning", fix)
    return at(RULE, seen, first.home, OF_ANY_TENSOR.format(name), "warning")


RULE = Rule("AMX101", "implicit-dim", "error", __doc__, check)
