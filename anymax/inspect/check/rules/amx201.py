"""## What it does
Finds `cross_entropy` of what a softmax, log_softmax or sigmoid has already been applied to, in the same function or in
another: a model that returns probabilities and a training loop that applies `nn.CrossEntropyLoss`.

## Why is this bad
`cross_entropy` applies log_softmax itself. Of probabilities that is a second softmax: the loss cannot fall below 1.46
for 10 classes (0.31 for 2, 3.62 for 100) even where every answer is right, and its gradients are small. Training seems
to work and stays worse than it should.

## Example
```python
def forward(self, x):
    return F.softmax(self.fc(x), dim=1)

loss = F.cross_entropy(model(x), y)
```

## Use instead
```python
def forward(self, x):
    return self.fc(x)

loss = F.cross_entropy(model(x), y)
```

## How sure it is
An error for a softmax on every path that reaches the loss. A warning where the loss is one of several that may be
chosen, for a sigmoid, and for a log_softmax, which a second one leaves unchanged: the result is right, and computed
twice.

## References
pytorch/pytorch#55902, Lightning-Universe/lightning-bolts#654, pytorch/pytorch#22604.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Loss
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, perhaps, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    losses = [one for one in seen.each(Loss) if one.name == "cross_entropy"]
    yield from strongest(finding for one in losses if (finding := _of(seen, one)))


def _of(seen: Seen, loss: Loss) -> Finding | None:
    made = all_made(loss.inputs, "softmax", "log_softmax", "sigmoid")
    if made is None:
        return None
    place = where(made.place, seen.source)
    if made.kind == "log_softmax":
        message = (
            f"{perhaps(loss)}{loss.written} of log-probabilities: the log_softmax at {place} "
            f"{mistakes.LOG_SOFTMAX_TWICE}."
        )
        return at(RULE, seen, loss.place, message, "warning")
    message = (
        f"{perhaps(loss)}{loss.written} of probabilities: the {made.kind} at {place} "
        f"{mistakes.softmax_twice_in_loss()}."
    )
    return at(RULE, seen, loss.place, message, "error" if loss.certain and made.kind == "softmax" else "warning")


RULE = Rule("AMX201", "cross-entropy-of-probabilities", "error", __doc__, check)
