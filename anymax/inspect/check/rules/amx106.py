"""## What it does
Finds a softmax over the width or the height of what a 2-D convolution gave, (batch, channels, height, width), or over
one of the three axes of space of what a 3-D convolution gave.

## Why is this bad
The classes of a pixel are the channels, axis 1. With `dim=-1` the pixels of a row compete instead: no pixel's class
probabilities sum to 1, and the shape is right.

## Example
```python
logits = self.head(features)          # nn.Conv2d(64, 21, 1)
probs = torch.softmax(logits, dim=-1)
```

## Use instead
```python
probs = torch.softmax(logits, dim=1)
```

## How sure it is
A warning: rows of an image do compete in some models. An error where a loss or an argmax over axis 1 then takes the
channels for the classes. Nothing is said of pixels that were flattened first, of one channel alone, and of weights
that are summed over the same axis.

## References
lucidrains/DALLE-pytorch#12 ("Wow! This is now working"), ModelsGenesis#8.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Choice, Loss, Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import at, call_name, described, strongest, where
from anymax.inspect.check.values import Place

IMAGE = ["channel", "height", "width"]
VOLUME = ["channel", "depth", "height", "width"]


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(finding for one in seen.each(Softmax) if (finding := _of(seen, one)))


def _of(seen: Seen, one: Softmax) -> Finding | None:
    shape, axis = one.operand.shape, one.axis
    kinds = [each.kind for each in shape.front[1:]]
    if axis is None or axis.kind not in VOLUME[1:] or sorted(map(str, kinds)) not in (sorted(IMAGE), sorted(VOLUME)):
        return None
    channels = 1 + kinds.index("channel")
    if one.op == "gumbel_softmax" and one.dim == "missing":
        return None  # AMX108 says more
    if one.operand.kind() != "scores" or shape.front[channels].size == 1 or axis.size == 1:
        return None
    if any(use.what == "summed" for use in one.result.uses):
        return None
    consumer = _takes_channels(seen, one) if channels == 1 else None
    dim = f"dim={one.dim}" if isinstance(one.dim, int) else "its default dim"
    space = [dim for dim in range(1, len(shape.front)) if dim != channels]
    message = f"{call_name(one)} with {dim} of {described(shape)} {mistakes.pixels_compete(space, channels)}."
    if consumer:
        message += f" {consumer[0]} at {where(consumer[1], seen.source)} takes the channels for the classes."
    return at(RULE, seen, one.home, message, "error" if consumer else "warning")


def _takes_channels(seen: Seen, one: Softmax) -> tuple[str, Place] | None:
    """What reads the classes of this result from axis 1."""
    for loss in seen.each(Loss):
        if loss.name in ("cross_entropy", "nll_loss") and any(
            tensor.made is one.result for tensor in loss.inputs or ()
        ):
            return loss.written, loss.place
    for choice in seen.each(Choice):
        if (
            any(tensor.made is one.result for tensor in choice.operands)
            and choice.axis
            and choice.axis.kind == "channel"
        ):
            return choice.name, choice.place
    return None


RULE = Rule("AMX106", "softmax-over-pixels", "error", __doc__, check)
