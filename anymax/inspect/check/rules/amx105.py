"""## What it does
Finds attention whose weights were normalised over another axis than the one that is summed against the values.

## Why is this bad
`weights @ values` sums over the keys. Where the queries (or the batch, or the heads) were normalised instead, the
weights of a query do not sum to 1, and its result grows and shrinks with the other queries. Nothing is raised, and
trained models hide it.

## Example
```python
weights = torch.softmax(queries @ keys.transpose(-2, -1), dim=-2)
out = weights @ values
```

## Use instead
```python
weights = torch.softmax(queries @ keys.transpose(-2, -1), dim=-1)
out = weights @ values
```

## How sure it is
An error: the scores are a product whose two axes are followed to the second product, or the normalised axis is the one
that `bmm` takes for the batch. Nothing is said where the scores are no product (a soft assignment of items to clusters
is normalised over the clusters and summed over the items, rightly), and where the weights were divided in between.

## References
labmlai/annotated_deep_learning_paper_implementations#146 ("a typo and a big bug") and #282; PyTorch-NLP#2.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Product
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import Axis
from anymax.inspect.check.telling import at, strongest, where
from anymax.inspect.check.values import Made


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(finding for one in seen.each(Product) if (finding := _of(seen, one)))


def _of(seen: Seen, one: Product) -> Finding | None:
    made = one.weights.made
    if made is None or made.axis is None or one.summed is None or made.axis is one.summed:
        return None
    competing = _competing(one, made, made.axis, one.summed)
    if competing is None:
        return None
    summed = one.weights.shape.dim_of(one.summed)
    message = (
        f"{one.written} sums axis {summed} of the weights, but the softmax at {where(made.place, seen.source)} "
        f"normalised {competing}: {mistakes.queries_compete(_dim(made, one.summed))}."
    )
    return at(RULE, seen, one.place, message, "error")


def _competing(one: Product, made: Made, normalised: Axis, summed: Axis) -> str | None:
    """What was normalised, where it is certain that it should not have been."""
    scores = made.operand
    if scores is not None and scores.pair is not None:
        if summed not in scores.pair:
            return None
        other = next(axis for axis in scores.pair if axis is not summed)
        if normalised is other:
            return "the other axis of the product, so the queries compete instead of the keys"
        return (
            "neither axis of the product, so the batch or the heads compete instead of the keys"
            if normalised in scores.shape.known
            else None
        )
    if one.written in ("torch.bmm", ".bmm", "bmm") and one.weights.shape.dim_of(normalised) == 0:
        return "axis 0, which bmm takes for the batch"
    return None


def _dim(made: Made, summed: Axis) -> str:
    """The summed axis, by its dim where the softmax stands."""
    dim = made.operand.shape.dim_of(summed) if made.operand else None
    rank = made.operand.shape.rank if made.operand else None
    if dim is None:
        return "the dim of that axis"
    return f"dim={dim - rank if rank and dim == rank - 1 else dim}"


RULE = Rule("AMX105", "attention-over-another-axis", "error", __doc__, check)
