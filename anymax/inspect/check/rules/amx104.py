"""## What it does
Finds a softmax with a number as `dim` that is reached by tensors with different numbers of axes, where the number
means another axis each time.

## Why is this bad
`dim=0` is the classes of one vector of scores and the batch of several. Code that was right for one sample runs on
when a batch comes, and is wrong.

## Example
```python
def probabilities(scores):
    return torch.softmax(scores, dim=0)

probabilities(torch.randn(4))
probabilities(torch.randn(1, 4))
```

## Use instead
```python
def probabilities(scores):
    return torch.softmax(scores, dim=-1)
```

## How sure it is
A warning: both calls are read, but not which of them is meant.

## References
BindsNET/bindsnet#577, where every action became equally likely to the agent; fsdl-2021-labs#27.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import CLASSES
from anymax.inspect.check.telling import at, by_home, call_name


def check(seen: Seen) -> Iterator[Finding]:
    for group in by_home(one for one in seen.each(Softmax) if isinstance(one.dim, int)):
        if found := _two_meanings(group):
            one, other = found
            message = (
                f"{call_name(one)} with dim={one.dim} is reached by tensors with {_axes(one)} and with {_axes(other)}: "
                f"that is {_axis(one)} of the one and {_axis(other)} of the other. {mistakes.TWO_RANKS}."
            )
            yield at(RULE, seen, one.home, message, "warning")


def _two_meanings(group: list[Softmax]) -> tuple[Softmax, Softmax] | None:
    known = sorted((one for one in group if one.operand.shape.rank), key=lambda one: one.operand.shape.rank or 0)
    if not known:
        return None
    first, last = known[0], known[-1]
    if first.operand.shape.rank == last.operand.shape.rank:
        return None
    if first.dim == 0 and first.operand.shape.rank == 1:
        return first, last
    kinds = [one.axis.kind if one.axis else None for one in (first, last)]
    differs = None not in kinds and kinds[0] != kinds[1] and any(kind in CLASSES for kind in kinds)
    return (first, last) if differs and not all(kind in CLASSES for kind in kinds) else None


def _axes(one: Softmax) -> str:
    rank = one.operand.shape.rank
    return f"{rank} axis" if rank == 1 else f"{rank} axes"


def _axis(one: Softmax) -> str:
    if one.operand.shape.rank == 1:
        return "the only axis"
    kind = one.axis.kind if one.axis else None
    if kind is None and one.dim == 0:
        return "axis 0, as a rule the batch,"
    return f"the {kind}" if kind else f"axis {one.dim}"


RULE = Rule("AMX104", "dim-meets-other-ranks", "warning", __doc__, check)
