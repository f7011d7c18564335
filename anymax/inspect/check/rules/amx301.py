"""## What it does
Finds the logarithm of a softmax or sigmoid, with or without a small number added.

## Why is this bad
A probability that rounds to 0 has the logarithm -inf and the gradient NaN; a number added against it changes every
value and cuts gradients off where they are needed most. `log_softmax` and `logsigmoid` compute the same from the
scores, exactly and without either.

## Example
```python
log_probs = torch.log(F.softmax(scores, dim=1) + 1e-8)
```

## Use instead
```python
log_probs = F.log_softmax(scores, dim=1)
```

## How sure it is
A warning. The fix is offered where both stand in one expression without a number added; then the result is equal in
exact arithmetic.

## References
pytorch/pytorch#1620 (gradients that are NaN), tracel-ai/burn#315.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Edit, Finding, Fix
from anymax.inspect.check.observed import Log
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(finding for one in seen.each(Log) if (finding := _of(seen, one)))


def _of(seen: Seen, one: Log) -> Finding | None:
    made = all_made(one.paths, "softmax", "sigmoid", "complement")
    if made is None:
        return None
    inner = made.operand.made if made.kind == "complement" and made.operand and made.operand.made else made
    of = {"complement": "1 - sigmoid"}.get(made.kind, made.kind)
    message = f"log of the {of} at {where(inner.place, seen.source)}: {mistakes.log_of(made.kind, made.shifted)}."
    fix = None if made.shifted or made.place.node is not one.operand_node else _fix(seen, one, made.place.node)
    return at(RULE, seen, one.place, message, "warning", fix)


def _fix(seen: Seen, one: Log, inner: ast.AST) -> Fix | None:
    """`torch.log(torch.softmax(...))` and `x.softmax(1).log()` become the call inside, under its other name."""
    node = one.place.node
    if not isinstance(node, ast.Call) or not isinstance(inner, ast.Call) or len(node.args) + len(node.keywords) > 1:
        return None
    function = inner.func
    if not isinstance(function, ast.Attribute) or function.attr != "softmax":
        return None
    start, _ = seen.source.span(inner)
    name_end = seen.source.span(function)[1] - start
    text = seen.source.segment(inner)
    changed = f"{text[: name_end - len('softmax')]}log_softmax{text[name_end:]}"
    return Fix("Write log_softmax.", (Edit(*seen.source.span(node), changed),))


RULE = Rule("AMX301", "log-of-softmax", "warning", __doc__, check)
