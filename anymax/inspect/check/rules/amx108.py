"""## What it does
Finds `gumbel_softmax` without `dim` on a tensor with three axes or more.

## Why is this bad
Its default is the last axis, unlike that of softmax. Of (batch, channels, height, width) that is the width: the pixels
of a row compete, and the choice of a code for each pixel is none.

## Example
```python
logits = self.encoder(images)         # ends in nn.Conv2d(256, 512, 1)
codes = F.gumbel_softmax(logits, tau=0.9, hard=True)
```

## Use instead
```python
codes = F.gumbel_softmax(logits, tau=0.9, hard=True, dim=1)
```

## How sure it is
An error on what a 2-D convolution gave. A warning on other tensors of three axes or more, where the last axis may well
be meant. Nothing is said where a linear layer made the last axis.

## References
lucidrains/DALLE-pytorch#12; pytorch/pytorch#20179, which brought the argument.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import at, call_name, described, strongest, with_argument


def check(seen: Seen) -> Iterator[Finding]:
    calls = [one for one in seen.each(Softmax) if one.op == "gumbel_softmax" and one.dim == "missing"]
    yield from strongest(_of(seen, one) for one in calls if (one.operand.shape.rank or 0) >= 3 and not _made_last(one))


def _made_last(one: Softmax) -> bool:
    return one.axis is not None and one.axis.kind == "feature"


def _of(seen: Seen, one: Softmax) -> Finding:
    pixels = one.axis is not None and one.axis.kind in ("width", "height", "position")
    message = f"{call_name(one)} of {described(one.operand.shape)} {mistakes.DRAWS_LAST}."
    if pixels:
        return at(RULE, seen, one.home, message, "error")
    fix = with_argument(seen.source, one.home.node, "dim=-1", "Write dim=-1, the axis that torch takes today.")
    return at(RULE, seen, one.home, message, "warning", fix)


RULE = Rule("AMX108", "gumbel-softmax-without-dim", "error", __doc__, check)
