"""## What it does
Finds a softmax over the axis that holds the samples of a batch.

## Why is this bad
The samples compete with each other: the probabilities of one sample do not sum to 1, they change with the other
samples of the batch, and for a batch of one each is exactly 1. The shape is right, so nothing is raised.

## Example
```python
x = torch.flatten(x, 1)
return F.softmax(self.fc(x), dim=0)
```

## Use instead
```python
return F.softmax(self.fc(x), dim=1)
```

## How sure it is
An error where the samples are known: they come out of a loader, or a loss takes its classes from another axis. A
warning where they follow from a habit: rows of `x.view(x.size(0), -1)`, the first axis of a convolution; and where one
entry of each row is taken, as by `gather(1, actions.unsqueeze(1))`, after a softmax over axis 0. Nothing is said of a
weighting that is summed over the same axis, of similarities of samples with samples, and of vectors.

## References
fxia22/pointnet.pytorch#27, mrdbourke/pytorch-deep-learning#163, BindsNET/bindsnet#577.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Loss, Picked, Softmax
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import CLASSES
from anymax.inspect.check.telling import at, call_name, described, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest([*_over_samples(seen), *_not_the_class_axis(seen), *_picked_by_row(seen)])


def _over_samples(seen: Seen) -> Iterator[Finding]:
    for one in seen.each(Softmax):
        shape = one.operand.shape
        if not isinstance(one.dim, int) or one.axis is None or one.axis.kind != "batch" or one.axis.size == 1:
            continue
        others = [axis for axis in shape.known if axis is not one.axis]
        if any(axis.kind == "batch" for axis in others) or not any(
            axis.kind in CLASSES and axis.size != 1 for axis in others
        ):
            continue
        if any(use.what == "summed" for use in one.result.uses):
            continue
        better = next(axis for axis in others if axis.kind in CLASSES)
        message = (
            f"{call_name(one)} with dim={one.dim} normalises the batch of {described(shape)}: "
            f"{mistakes.SAMPLES_COMPETE}. Write dim={shape.dim_of(better)}, so that {_words(better.kind)} compete."
        )
        yield at(RULE, seen, one.home, message, "error" if one.axis.sure else "warning")


def _not_the_class_axis(seen: Seen) -> Iterator[Finding]:
    for loss in seen.each(Loss):
        if loss.name not in ("nll_loss", "cross_entropy") or "dim" in loss.options or not loss.certain:
            continue
        for tensor in loss.inputs or ():
            made, shape = tensor.made, tensor.shape
            if made is None or not made.is_distribution or made.dim != 0 or made.axis is None:
                continue
            if shape.rank == 1 or shape.dim_of(made.axis) != 0:
                continue
            message = (
                f"{loss.written} reads the classes from axis 1, but the {made.kind} at "
                f"{where(made.place, seen.source)} normalised axis 0, the batch: {mistakes.SAMPLES_COMPETE}. Write "
                "dim=1 there."
            )
            yield at(RULE, seen, loss.place, message, "warning")


def _picked_by_row(seen: Seen) -> Iterator[Finding]:
    for one in seen.each(Picked):
        message = (
            f"{one.written} takes one entry of each row, but the {one.made.kind} at "
            f"{where(one.made.place, seen.source)} normalised axis 0, the rows: {mistakes.SAMPLES_COMPETE}. Write "
            "dim=-1 there."
        )
        yield at(RULE, seen, one.place, message, "warning")


def _words(kind: str | None) -> str:
    return "the channels" if kind == "channel" else "the classes of a sample"


RULE = Rule("AMX102", "softmax-over-the-batch", "error", __doc__, check)
