"""## What it does
Finds a softmax of a softmax and a sigmoid of a sigmoid, in one function or across several: a model that ends in a
softmax and an evaluation that applies another.

## Why is this bad
Probabilities lie between 0 and 1, so a second softmax is close to uniform: of 10 classes none gets more than 0.24. A
second sigmoid gives numbers between 0.5 and 0.73. The order stays, so the accuracy does not show it; thresholds,
calibration, ensembles and losses do. A softmax over one axis and then another is no softmax over both.

## Example
```python
probs = F.softmax(model(x), dim=1)     # the model's forward ends in a softmax
```

## Use instead
```python
probs = model(x)
```

## How sure it is
An error where it is so on every path. Nothing is said where the values were multiplied, divided or selected in
between, as with a temperature, and of a softmax of log-probabilities, which gives the probabilities.

## References
jianlin-cheng/DProQA#3, whose published results used it.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Sigmoid, Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, call_name, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    softmaxes = [one for one in seen.each(Softmax) if one.op != "gumbel_softmax"]
    yield from strongest(finding for one in softmaxes if (finding := _softmax(seen, one)))
    for one in seen.each(Sigmoid):
        if (made := all_made(one.paths, "sigmoid", "softmax")) and not made.shifted:
            place = where(made.place, seen.source)
            message = f"A sigmoid of probabilities, those of the {made.kind} at {place}: {mistakes.SIGMOID_TWICE}."
            yield at(RULE, seen, one.place, message, "error")


def _softmax(seen: Seen, one: Softmax) -> Finding | None:
    made = all_made(one.paths, "softmax")
    if made is None or made.shifted:
        return None
    other = one.axis is not None and made.axis is not None and one.axis is not made.axis
    leads_to = mistakes.SOFTMAX_TWICE
    if other and not one.operand.shape.open:
        leads_to = mistakes.ONE_AXIS_AFTER_ANOTHER
    message = (
        f"{call_name(one)} of probabilities, those of the softmax at {where(made.place, seen.source)}: {leads_to}."
    )
    return at(RULE, seen, one.home, message, "error")


RULE = Rule("AMX206", "applied-twice", "error", __doc__, check)
