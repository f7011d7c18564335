"""## What it does
Finds `x - x.logsumexp(dim, keepdim=True)`, also where the logarithm of the sum of exponentials is written out, and
where a mask is multiplied into these exponentials; and the logarithm of sums of exp(x - x.max()) by rows, where the
largest of all entries is subtracted instead of that of each row.

## Why is this bad
It is log_softmax in two steps, and loses accuracy where the scores are large: for scores around 1e7 in float32 it is
off by 0.1, where log_softmax is exact, because it subtracts the largest score first. Written out, the exponentials
overflow above 88, or all of them are 0 and the logarithm is -inf.

## Example
```python
log_probs = x - torch.logsumexp(x, dim=1, keepdim=True)
```

## Use instead
```python
log_probs = F.log_softmax(x, dim=1)
```

## How sure it is
A warning: the two operands are the same tensor. The fix is equal in exact arithmetic. Nothing is said of
`x - log(exp(x).sum())` where something was subtracted from x first: that is log_softmax as it should be.

## References
pytorch/pytorch#11866.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Edit, Finding, Fix
from anymax.inspect.check.observed import Quotient
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import at, strongest

WRITTEN_OUT = {
    "written out, plain": (
        "x - log(exp(x).sum()) is log_softmax where nothing overflows: above 88 in float32 the exponential is "
        "infinite, and where all of them are below -103 the logarithm is that of 0."
    ),
    "written out, masked": (
        "x - log((exp(x) * mask).sum()) is a log_softmax over what the mask leaves where nothing overflows: above 88 "
        "in float32 the exponential is infinite, and where all that are left are below -103 the logarithm is that of 0."
    ),
    "below all": (
        "The largest of all entries is subtracted here, and the exponentials are summed by rows: a row whose scores "
        "are 103 below it (float32) has a sum of 0, whose logarithm is -inf."
    ),
    "shifted and masked": (
        "x - log((exp(x) * mask).sum()) is a log_softmax over what the mask leaves, but -inf or NaN where it takes "
        "away the largest and the others are so far below that their exponentials are 0 (103 in float32)."
    ),
}


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(_of(seen, one) for one in seen.each(Quotient) if one.name == "log_softmax")


def _of(seen: Seen, one: Quotient) -> Finding:
    dim = "dim" if one.dim is None else one.dim
    if one.way == "below all":
        return at(RULE, seen, one.place, f"{WRITTEN_OUT[one.way]} Write logsumexp(x, {dim}).", "warning")
    if one.way != "plain":
        instead = "x" if one.way == "written out, plain" else "x.masked_fill(~mask, -torch.inf)"
        message = f"{WRITTEN_OUT[one.way]} Write log_softmax({instead}, {dim})."
        return at(RULE, seen, one.place, message, "warning")
    message = f"{mistakes.own_log_softmax(dim)}."
    return at(RULE, seen, one.place, message, "warning", _fix(seen, one))


def _fix(seen: Seen, one: Quotient) -> Fix | None:
    """Where both are written out in one expression; torch.log_softmax needs no import that is not there."""
    node, total = one.place.node, one.total.node
    if (
        not isinstance(node, ast.BinOp)
        or node.right is not total
        or not isinstance(node.left, ast.Name)
        or one.dim is None
    ):
        return None
    changed = f"{node.left.id}.log_softmax({one.dim})"
    return Fix("Write log_softmax.", (Edit(*seen.source.span(node), changed),))


RULE = Rule("AMX302", "own-log-softmax", "warning", __doc__, check)
