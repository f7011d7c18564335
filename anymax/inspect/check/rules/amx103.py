"""## What it does
Finds a softmax over an axis of size 1, and a cross-entropy of one class.

## Why is this bad
One entry alone gets all of the probability: every result is exactly 1, whatever the scores, and every gradient is 0.

## Example
```python
self.fc = nn.Linear(64, 1)
prob = torch.softmax(self.fc(x), dim=1)
```

## Use instead
```python
prob = torch.sigmoid(self.fc(x))
```

## How sure it is
An error where the size is written in the code: the one output of a linear layer or convolution. A warning where the
axis was added by `unsqueeze` or `keepdim`, since it may be one of several shapes that the function serves, and where
it is squeezed afterwards, which does nothing to an axis of another size.

## References
keras-team/keras#18909, BindsNET/bindsnet#577, PyTorch-NLP#2.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Loss, Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import CLASSES
from anymax.inspect.check.telling import at, call_name, described, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest([*_softmaxes(seen), *_one_class(seen)])


def _softmaxes(seen: Seen) -> Iterator[Finding]:
    for one in seen.each(Softmax):
        if one.axis is not None and one.axis.size == 1:
            yield _of(seen, one)
        elif use := next((use for use in one.result.uses if use.what == "squeezed"), None):
            message = (
                f"{call_name(one)} with dim={one.dim} normalises what is squeezed at {where(use.place, seen.source)}, "
                f"which does something only to {mistakes.one_entry(one.op)}."
            )
            yield at(RULE, seen, one.home, message, "warning")


def _one_class(seen: Seen) -> Iterator[Finding]:
    for loss in seen.each(Loss):
        if loss.name != "cross_entropy" or not loss.inputs or "dim" in loss.options:
            continue
        ranks = [tensor.shape.rank or 0 for tensor in loss.inputs]
        if min(ranks) >= 2 and all(tensor.shape.front[1].size == 1 for tensor in loss.inputs):
            message = f"{loss.written} of {described(loss.inputs[0].shape)} {mistakes.ONE_CLASS}."
            yield at(RULE, seen, loss.place, message, "error" if loss.certain else "warning")


def _of(seen: Seen, one: Softmax) -> Finding:
    assert one.axis is not None
    dim = f"dim={one.dim}" if isinstance(one.dim, int) else "no dim"
    message = f"{call_name(one)} with {dim} of {described(one.operand.shape)}: {mistakes.one_entry(one.op)}."
    return at(RULE, seen, one.home, message, "error" if one.axis.kind in CLASSES else "warning")


RULE = Rule("AMX103", "softmax-over-one-entry", "error", __doc__, check)
