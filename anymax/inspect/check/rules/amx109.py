"""## What it does
Finds `cross_entropy` and `nll_loss` of a tensor whose classes are its last axis of three or more.

## Why is this bad
Both read the classes from axis 1. Of (batch, time, classes) that is the time. Where there are as many steps as classes
the call runs and computes another loss; elsewhere it fails with a message that does not say why.

## Example
```python
out, _ = self.lstm(self.embedding(words))     # batch_first=True
loss = F.cross_entropy(self.fc(out), tags)
```

## Use instead
```python
loss = F.cross_entropy(self.fc(out).transpose(1, 2), tags)
```

## How sure it is
An error where the last axis came out of a linear layer or was normalised by a softmax and axis 1 is known to be
something else, such as the steps of an LSTM; a warning where axis 1 is only not known to be the classes.

## References
pytorch/pytorch#29754, pytorch/pytorch#5554, facebookresearch/MaskFormer#27.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Loss
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import CLASSES
from anymax.inspect.check.telling import at, described, strongest
from anymax.inspect.check.values import Tensor


def check(seen: Seen) -> Iterator[Finding]:
    losses = [one for one in seen.each(Loss) if one.name in ("cross_entropy", "nll_loss") and "dim" not in one.options]
    yield from strongest(finding for one in losses if (finding := _of(seen, one)))


def _of(seen: Seen, loss: Loss) -> Finding | None:
    if not loss.inputs or not all(_classes_last(tensor) for tensor in loss.inputs):
        return None
    message = (
        f"{loss.written} reads the classes from axis 1, but of {described(loss.inputs[0].shape)} they are the last: "
        f"{mistakes.CLASSES_LAST}."
    )
    certain = all(tensor.shape.front[1].kind or tensor.kind() != "scores" for tensor in loss.inputs)
    return at(RULE, seen, loss.place, message, "error" if certain else "warning")


def _classes_last(tensor: Tensor) -> bool:
    shape, made = tensor.shape, tensor.made
    if shape.rank is None or shape.rank < 3 or made is None:
        return False
    last, second = shape.front[-1], shape.front[1]
    if made.is_distribution:
        return made.axis is last and second.kind not in CLASSES
    return made.kind == "scores" and last.kind == "feature" and second.kind not in CLASSES


RULE = Rule("AMX109", "classes-last", "error", __doc__, check)
