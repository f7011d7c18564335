"""## What it does
Finds `x - x.logsumexp(dim, keepdim=True)`.

## Why is this bad
It is log_softmax in two steps, and loses accuracy where the scores are large: for scores around 1e7 in float32 it is
off by 0.1, where log_softmax is exact, because it subtracts the largest score first.

## Example
```python
log_probs = x - torch.logsumexp(x, dim=1, keepdim=True)
```

## Use instead
```python
log_probs = F.log_softmax(x, dim=1)
```

## How sure it is
A warning: the two operands are the same tensor. The fix is equal in exact arithmetic.

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


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(_of(seen, one) for one in seen.each(Quotient) if one.name == "log_softmax")


def _of(seen: Seen, one: Quotient) -> Finding:
    message = f"{mistakes.own_log_softmax('dim' if one.dim is None else one.dim)}."
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
