"""## What it does
Finds masks before a softmax whose constant is too small to hide anything (`masked_fill(mask, 1e-9)`), or that
overflows in half precision.

## Why is this bad
A score of 0 or 1e-9 is a score like others: the masked entries get a probability, often a larger one than entries with
negative scores. And -1e9 cannot be written in float16, where the line fails or gives -inf.

## Example
```python
scores = scores.masked_fill(mask == 0, 1e-9)
probs = scores.softmax(dim=-1)
```

## Use instead
```python
scores = scores.masked_fill(mask == 0, float("-inf"))
probs = scores.softmax(dim=-1)
```

## How sure it is
An error for constants between -1 and 1 other than 0, which are slips of the sign, and for large positive ones. A
warning for 0, which may be cleaning up, also of scores that are multiplied with a comparison; nothing where the result
is cleaned by the mask once more. An error for what half precision cannot hold, where the tensor is known to be
half; a warning where it is so by the defaults of a settings class. A product with the mask, such as `mask * -1e9`, is
followed to what it is where the mask was tested for a number. A warning for a mask multiplied with a buffer that half
precision cannot hold: `.half()` of the module makes it infinite, and 0 times infinity is NaN.

## References
nGPT#11.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Softmax
from anymax.inspect.check.ops import BUFFER, LARGEST_HALF
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import at, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(finding for one in seen.each(Softmax) if (finding := _of(seen, one)))


def _of(seen: Seen, one: Softmax) -> Finding | None:
    if one.operand.masked is None:
        return None
    value, place = one.operand.masked
    # a finding stands at the mask, where that is in this file
    here = place if place.module.path == seen.source.path else one.home
    if one.operand.dtype == BUFFER:
        message = (
            f"{value:g} is a buffer, multiplied with the mask at {where(place, seen.source)}: where the module is made "
            f"half, it is -inf without a word (the largest number of float16 is {LARGEST_HALF:g}), and 0 times -inf, "
            f"for what is not masked, is NaN. {mistakes.WRITE_MASK}."
        )
        return at(RULE, seen, here, message, "warning")
    if one.operand.dtype == "half" and abs(value) > LARGEST_HALF and abs(value) != float("inf"):
        message = (
            f"{value:g} cannot be held in float16, whose largest number is {LARGEST_HALF:g}: the mask at "
            f"{where(place, seen.source)} fails or overflows. {mistakes.WRITE_MASK}."
        )
        return at(RULE, seen, here, message, "error")
    if value <= mistakes.SMALL_ENOUGH or (value == 0 and any(use.what == "cleaned" for use in one.result.uses)):
        return None
    message = (
        f"The mask sets scores to {value:g} (at {where(place, seen.source)}), which stay in the softmax at "
        f"{where(one.place, seen.source)}: {mistakes.WEAK_MASK}."
    )
    return at(RULE, seen, here, message, "warning" if value == 0 or value < -1 else "error")


RULE = Rule("AMX305", "mask-constant", "error", __doc__, check)
