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
that `bmm` takes for the batch, or that an einsum calls b. A warning for items with one weight each, (..., 1), that are
summed over another axis than the softmax normalised. Nothing is said where the scores are no product (a soft
assignment of items to clusters is normalised over the clusters and summed over the items, rightly), and where the
weights were divided in between.

## References
labmlai/annotated_deep_learning_paper_implementations#146 ("a typo and a big bug") and #282; PyTorch-NLP#2.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Product, WeightedSum
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import Axis
from anymax.inspect.check.telling import at, strongest, where
from anymax.inspect.check.values import Made


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(finding for one in seen.each(Product) if (finding := _of(seen, one)))
    yield from strongest(_of_a_sum(seen, one) for one in seen.each(WeightedSum))


def _of_a_sum(seen: Seen, one: WeightedSum) -> Finding:
    message = (
        f"This sum over axis {one.dim} is of items with a weight each, but the softmax at "
        f"{where(one.made.place, seen.source)} normalised axis {one.made.dim}: {mistakes.WEIGHTS_OF_ELSE}. Write "
        f"dim={one.dim} in the softmax, or dim={one.made.dim} in the sum."
    )
    return at(RULE, seen, one.place, message, "warning")


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
        f"normalised {competing}: {_instead(one, made, one.summed)}."
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
    if normalised.kind == "batch" and normalised.sure and summed.kind != "batch":
        return "the batch, so the samples compete instead of what is summed"
    if one.written in ("torch.bmm", ".bmm", "bmm") and one.weights.shape.dim_of(normalised) == 0:
        return "axis 0, which bmm takes for the batch"
    return None


def _instead(one: Product, made: Made, summed: Axis) -> str:
    write = _dim(made, summed)
    if made.operand is not None and made.operand.pair is None:
        return f"{mistakes.WEIGHTS_OF_ELSE}. Write {write} in the softmax"
    return mistakes.queries_compete(write)


def _dim(made: Made, summed: Axis) -> str:
    """The summed axis, by its dim where the softmax stands."""
    dim = made.operand.shape.dim_of(summed) if made.operand else None
    rank = made.operand.shape.rank if made.operand else None
    if dim is None:
        return "the dim of that axis"
    return f"dim={dim - rank if rank and dim == rank - 1 else dim}"


RULE = Rule("AMX105", "attention-over-another-axis", "error", __doc__, check)
