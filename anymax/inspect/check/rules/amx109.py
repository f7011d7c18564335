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
something else, such as the steps of an LSTM; a warning where axis 1 is only not known to be the classes, and where an
argmax elsewhere chooses along the other axis of the same product.

## References
pytorch/pytorch#29754, pytorch/pytorch#5554, facebookresearch/MaskFormer#27.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Choice, Loss
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import CLASSES, Axis
from anymax.inspect.check.telling import at, described, strongest, where
from anymax.inspect.check.values import Place, Tensor


def check(seen: Seen) -> Iterator[Finding]:
    losses = [one for one in seen.each(Loss) if one.name in ("cross_entropy", "nll_loss") and "dim" not in one.options]
    yield from strongest(finding for one in losses if (finding := _of(seen, one) or _chosen_elsewhere(seen, one)))


def _of(seen: Seen, loss: Loss) -> Finding | None:
    if not loss.inputs or not all(_classes_last(tensor) for tensor in loss.inputs):
        return None
    message = (
        f"{loss.written} reads the classes from axis 1, but of {described(loss.inputs[0].shape)} they are the last: "
        f"{mistakes.CLASSES_LAST}."
    )
    certain = all(tensor.shape.front[1].kind or tensor.kind() != "scores" for tensor in loss.inputs)
    return at(RULE, seen, loss.place, message, "error" if certain else "warning")


def _chosen_elsewhere(seen: Seen, loss: Loss) -> Finding | None:
    """Where an argmax chooses along one axis of a product, and the loss takes the other for the classes."""
    if not loss.inputs or len(loss.inputs) != 1:
        return None
    tensor = loss.inputs[0]
    made, shape = tensor.made, tensor.shape
    taken = _side(tensor, shape.front[1]) if (shape.rank or 0) >= 3 else None
    if made is None or taken is None:
        return None
    choices = [one for one in seen.each(Choice) if one.name == "argmax" and _is_from(one.operands[0], made.place)]
    if not choices or any(_side(one.operands[0], one.axis) != 1 - taken for one in choices):
        return None
    other = shape.dim_of((tensor.pair or ())[1 - taken])
    message = (
        f"{loss.written} reads the classes from axis 1 of {described(shape)}, but the argmax at "
        f"{where(choices[0].place, seen.source)} chooses along the other axis of this product: one of them takes the "
        f"wrong axis for the classes. Write input.transpose(1, {other}) here if that of the argmax holds them."
    )
    return at(RULE, seen, loss.place, message, "warning")


def _side(tensor: Tensor, axis: Axis | None) -> int | None:
    """0 for the axis that the first factor of a product brought, 1 for that of the second."""
    return next((at for at, one in enumerate(tensor.pair or ()) if one is axis), None)


def _is_from(tensor: Tensor, place: Place) -> bool:
    return tensor.pair is not None and tensor.made is not None and tensor.made.place.node is place.node


def _classes_last(tensor: Tensor) -> bool:
    shape, made = tensor.shape, tensor.made
    if shape.rank is None or shape.rank < 3 or made is None:
        return False
    last, second = shape.front[-1], shape.front[1]
    if made.is_distribution:
        return made.axis is last and second.kind not in CLASSES
    return made.kind == "scores" and last.kind == "feature" and second.kind not in CLASSES


RULE = Rule("AMX109", "classes-last", "error", __doc__, check)
