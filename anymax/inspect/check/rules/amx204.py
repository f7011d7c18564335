"""## What it does
Finds `binary_cross_entropy` and `nn.BCELoss` of scores or of logarithms; and, as info, of a sigmoid in the same
expression, which the loss with logits computes more accurately.

## Why is this bad
The loss takes probabilities. Scores outside [0, 1] raise an error on the CPU and a device-side assertion on a GPU;
those within give a loss of something else. After a sigmoid the result is right, but for a score of 100 the probability
is exactly 1, and its logarithm is cut off at -100.

## Example
```python
loss = F.binary_cross_entropy(self.fc(x), target)
loss = F.binary_cross_entropy(torch.sigmoid(self.fc(x)), target)
```

## Use instead
```python
loss = F.binary_cross_entropy_with_logits(self.fc(x), target)
```

## How sure it is
An error where scores or logarithms come on every path, a warning where the loss is one of several, info for a sigmoid.
The fix of the latter is equal in exact arithmetic and more accurate.

## References
pytorch/pytorch#24933, BCELoss in the documentation of torch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Edit, Finding, Fix
from anymax.inspect.check.observed import Loss
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, argument_of, at, is_call_of, perhaps, strongest, what


def check(seen: Seen) -> Iterator[Finding]:
    losses = [one for one in seen.each(Loss) if one.name == "bce"]
    yield from strongest(finding for one in losses if (finding := _of(seen, one)))


def _of(seen: Seen, loss: Loss) -> Finding | None:
    if made := all_made(loss.inputs, "scores", "log_softmax", "logsigmoid"):
        message = (
            f"{perhaps(loss)}{loss.written} takes probabilities, but its input is {what(made, seen.source)}: "
            f"{mistakes.BCE_OF_OTHERS}."
        )
        return at(RULE, seen, loss.place, message, "error" if loss.certain else "warning")
    made = all_made(loss.inputs, "sigmoid")
    if made is None or made.shifted or loss.input_node is None or made.place.node is not loss.input_node:
        return None
    if not is_call_of(loss.input_node, "sigmoid"):
        return None
    message = f"{loss.written} of a sigmoid {mistakes.BCE_OF_SIGMOID}."
    return at(RULE, seen, loss.place, message, "info", _fix(seen, loss, loss.input_node))


def _fix(seen: Seen, loss: Loss, inner: ast.expr) -> Fix | None:
    """`F.binary_cross_entropy(torch.sigmoid(x), y)`; a weight means the same to both."""
    node = loss.place.node
    scores = argument_of(inner)
    if (
        not isinstance(node, ast.Call)
        or scores is None
        or not isinstance(node.func, ast.Attribute)
        or loss.built is not None
    ):
        return None
    if node.func.attr != "binary_cross_entropy":
        return None
    _, end = seen.source.span(node.func)
    edits = (Edit(end, end, "_with_logits"), Edit(*seen.source.span(inner), seen.source.segment(scores)))
    return Fix("Write binary_cross_entropy_with_logits of the scores.", edits)


RULE = Rule("AMX204", "bce-loss-of-scores", "error", __doc__, check)
