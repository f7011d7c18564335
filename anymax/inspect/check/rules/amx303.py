"""## What it does
Finds `x.exp() / x.exp().sum(dim, keepdim=True)`, and exponentials divided by the sum of those of their group, as of the
edges that end in the same node: `total = zeros.index_add(0, index, x.exp())`, `x.exp() / total[index]`. Also exp(-x)
divided by its sum, and exp(x - x.max()) divided by sums by rows, where all exponentials of a row can be 0.

## Why is this bad
It is softmax without the subtraction of the largest score: above 88 in float32, above 11 in float16, the exponential
is infinite and the quotient NaN.

## Example
```python
probs = torch.exp(x) / torch.exp(x).sum(dim=1, keepdim=True)
```

## Use instead
```python
probs = torch.softmax(x, dim=1)
```

## How sure it is
A warning: both exponentials are of the same tensor. Nothing is said where the largest score of each
row is subtracted first, nor of exp of a squared difference, a kernel. The fix is equal in exact arithmetic.

## References
pytorch/pytorch#34874, whose own snippet is of this kind.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Edit, Finding, Fix
from anymax.inspect.check.observed import Quotient
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import argument_of, at, strongest

UNDERFLOWS = {
    "negative": (
        "exp(-x) / exp(-x).sum() is NaN where all x of a row are so large that their exponentials are 0 (103 in "
        "float32). Write softmin(x, {dim}), which shifts first."
    ),
    "below all": (
        "The largest of all entries is subtracted, and the exponentials are divided by their sums by rows: a row whose "
        "scores are all 103 below it (float32) is 0 / 0, NaN. Write softmax(x, {dim}), which shifts each row."
    ),
}


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(_of(seen, one) for one in seen.each(Quotient) if one.name == "softmax")


def _of(seen: Seen, one: Quotient) -> Finding:
    if one.way == "grouped":
        message = (
            "Exponentials are divided by the sum of those of their group: a softmax that is NaN as soon as a score "
            "passes 88 in float32, 11 in float16. Subtract the largest score of each group first (scatter_reduce with "
            "'amax')."
        )
        return at(RULE, seen, one.place, message, "warning")
    if one.way in UNDERFLOWS:
        dim = "dim" if one.dim is None else one.dim
        return at(RULE, seen, one.place, UNDERFLOWS[one.way].format(dim=dim), "warning")
    message = f"{mistakes.own_softmax('dim' if one.dim is None else one.dim)}."
    return at(RULE, seen, one.place, message, "warning", _fix(seen, one))


def _fix(seen: Seen, one: Quotient) -> Fix | None:
    """Where both are written out in one expression, of a plain name."""
    node, total = one.place.node, one.total.node
    if not isinstance(node, ast.BinOp) or node.right is not total or one.dim is None:
        return None
    scores = argument_of(node.left)
    if not isinstance(scores, ast.Name):
        return None
    return Fix("Write softmax.", (Edit(*seen.source.span(node), f"{scores.id}.softmax({one.dim})"),))


RULE = Rule("AMX303", "own-softmax", "warning", __doc__, check)
