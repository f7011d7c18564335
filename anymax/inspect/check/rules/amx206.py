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

from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Sigmoid, Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, call_name, strongest, where
from anymax.inspect.check.values import Made


def check(seen: Seen) -> Iterator[Finding]:
    softmaxes = [one for one in seen.each(Softmax) if one.op != "gumbel_softmax"]
    yield from strongest(finding for one in softmaxes if (finding := _softmax(seen, one)))
    for one in seen.each(Sigmoid):
        if (made := all_made(one.paths, "sigmoid", "softmax")) and not made.shifted:
            yield at(RULE, seen, one.place, _twice(seen, made), "error")


def _softmax(seen: Seen, one: Softmax) -> Finding | None:
    made = all_made(one.paths, "softmax")
    if made is None or made.shifted:
        return None
    place = where(made.place, seen.source)
    if one.axis is not None and made.axis is not None and one.axis is not made.axis and not one.operand.shape.open:
        leads = "over another axis, which is no softmax over both"
        instead = "To normalise both axes jointly, flatten them into one"
    else:
        leads = "so this is the softmax of numbers between 0 and 1, which is close to uniform"
        instead = f"Drop one of the two: this, or the one at {place}"
    message = f"{call_name(one)} of probabilities: a softmax was applied at {place} already, {leads}. {instead}."
    return at(RULE, seen, one.home, message, "error")


def _twice(seen: Seen, made: Made) -> str:
    place = where(made.place, seen.source)
    return (
        f"A sigmoid of probabilities: a {made.kind} was applied at {place} already, so the result lies between 0.5 and "
        f"0.73. Drop one of the two: this, or the one at {place}."
    )


RULE = Rule("AMX206", "applied-twice", "error", __doc__, check)
