"""## What it does
Finds rows of scores that are nothing but -inf, in a softmax or a cross-entropy whose result is NaN, and masks before a
softmax that hide a row as a whole or not at all: `unsqueeze` put the axis of size 1 where the softmax normalises, as
when the padding is unsqueezed for the queries instead of the keys.

## Why is this bad
A softmax of -inf alone is 0 / 0. NaN spreads to everything that the row meets, and by its gradient to every parameter.
And a mask that is the same along a row hides no padded key from any other row.

## Example
```python
scores = q @ k.transpose(-2, -1)                                  # (batch, queries, keys)
weights = scores.masked_fill(padding.unsqueeze(2), float("-inf")).softmax(dim=-1)
```

## Use instead
```python
weights = scores.masked_fill(padding.unsqueeze(1), float("-inf")).softmax(dim=-1)
weights = anymax.softmax(scores, dim=-1, mask=~padding.unsqueeze(1))   # zeros for a sample that is padding alone
```

## How sure it is
An error in a run, where the row and the NaN are seen. A warning in code: of a mask of -inf it is said of any softmax,
unless the result is cleaned by masked_fill, where or nan_to_num; of a large negative number only where queries meet
keys, and where nothing was masked before. Rows that are hidden because of the data are seen by `anymax.watch` alone.

## References
pytorch/pytorch#41508, hyunwoongko/transformer#40.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import Axis, Shape
from anymax.inspect.check.telling import at, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(finding for one in seen.each(Softmax) if (finding := _of(seen, one)))


def _of(seen: Seen, one: Softmax) -> Finding | None:
    tensor = one.operand
    if tensor.masked is None or tensor.mask is None or one.axis is None or one.axis.size == 1:
        return None
    value, place = tensor.masked
    if value > mistakes.SMALL_ENOUGH or not _is_of_whole_rows(tensor.mask, tensor.shape, one.axis):
        return None
    infinite = math.isinf(value)
    if infinite and any(use.what == "cleaned" for use in one.result.uses):
        return None
    if not infinite and (tensor.pair is None or one.axis not in tensor.pair or tensor.masked_before):
        return None
    result = "NaN" if infinite else "even, as if nothing were known of its scores"
    message = (
        f"The mask at {where(place, seen.source)} has size 1 along the axis that the softmax at "
        f"{where(one.place, seen.source)} normalises: it hides a row as a whole, which is then {result}, and no single "
        "entry of any other row. Write unsqueeze on another axis, so that the mask runs along the entries that compete."
    )
    here = place if place.module.path == seen.source.path else one.home
    return at(RULE, seen, here, message, "warning")


def _is_of_whole_rows(mask: Shape, scores: Shape, axis: Axis) -> bool:
    """Whether the mask, matched from the back, has size 1 along this axis of the scores."""
    dim = scores.dim_of(axis)
    if dim is None:
        return False
    if dim >= 0 and scores.rank is None:
        return False
    if dim >= 0 and scores.rank is not None:
        dim -= scores.rank
    if scores.rank is not None and mask.least_rank == scores.rank:
        mask = mask.with_rank(scores.rank)  # it has no more axes than what it masks
    along = mask.axis(dim)
    return along is not None and along.size == 1


RULE = Rule("AMX304", "rows-all-masked", "error", __doc__, check)
