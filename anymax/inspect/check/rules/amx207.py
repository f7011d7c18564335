"""## What it does
Finds `nll_loss(log_softmax(x, dim=1), y)` in one expression; and nll_loss of a log_softmax that a view put into rows of
classes although other axes stand behind that of the classes, as in (batch, classes, frames).

## Why is this bad
It is right, and it is `cross_entropy(x, y)` in two steps: the one call says what is meant, keeps no second tensor of
all log-probabilities, and leaves no room for a softmax in place of the log_softmax. The view does not
move an axis as permute does: a row of it holds scores of several places, and the label of one. cross_entropy needs no
view.

## Example
```python
loss = F.nll_loss(F.log_softmax(logits, dim=1), target)
```

## Use instead
```python
loss = F.cross_entropy(logits, target)
```

## How sure it is
Info. An error for the view, where reading knows the axes or watched steps show that it has put entries of several
distributions into one row. The fix is offered for dim=1, the axis that both read the classes from, and is equal in
exact arithmetic.

## References
CrossEntropyLoss in the documentation of torch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Edit, Finding, Fix
from anymax.inspect.check.observed import Loss
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, is_call_of, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    losses = [one for one in seen.each(Loss) if one.name == "nll_loss" and one.input_node is not None]
    yield from strongest(finding for one in losses if (finding := _of(seen, one)))


def _of(seen: Seen, loss: Loss) -> Finding | None:
    made = all_made(loss.inputs, "log_softmax")
    if made is not None and made.cut_at is not None:
        message = (
            f"{loss.written} of a log_softmax over an axis with others behind it, which the view at "
            f"{where(made.cut_at, seen.source)} has last: its rows hold scores of several places, not those of one. "
            "Write cross_entropy of the scores, which takes (batch, classes, ...) as it is."
        )
        return at(RULE, seen, loss.place, message, "error" if loss.certain else "warning")
    if made is None or made.place.node is not loss.input_node or not isinstance(made.place.node, ast.Call):
        return None
    if not is_call_of(made.place.node, "log_softmax"):
        return None
    message = f"{loss.written} of a log_softmax in one expression {mistakes.ONE_CALL}."
    return at(RULE, seen, loss.place, message, "info", _fix(seen, loss, made.place.node, made.dim))


def _fix(seen: Seen, loss: Loss, inner: ast.Call, dim: int | None) -> Fix | None:
    node = loss.place.node
    if (
        dim != 1
        or not isinstance(node, ast.Call)
        or not isinstance(node.func, ast.Attribute)
        or node.func.attr != "nll_loss"
    ):
        return None
    # what else is given to log_softmax, a dtype or two, has no place in cross_entropy
    given = len(inner.args) + len(inner.keywords)
    function = inner.func
    if (
        not isinstance(function, ast.Attribute)
        or function.attr != "log_softmax"
        or any(one.arg == "dtype" for one in inner.keywords)
    ):
        return None
    is_function = given == 2 and len(inner.args) >= 1
    scores = inner.args[0] if is_function else function.value if given == 1 else None
    if scores is None or isinstance(scores, ast.Starred) or len(node.args) < 2:
        return None
    name_end = seen.source.span(node.func)[1]
    edits = (
        Edit(name_end - len("nll_loss"), name_end, "cross_entropy"),
        Edit(*seen.source.span(inner), seen.source.segment(scores)),
    )
    return Fix("Write cross_entropy of the scores.", edits)


RULE = Rule("AMX207", "nll-loss-of-log-softmax", "info", __doc__, check)
