"""## What it does
Finds an argmax, max or topk that chooses along another axis than the classes: over the batch, over another axis than
the softmax of the same tensor, or, without `dim`, over the whole batch at once, before it is compared with labels.

## Why is this bad
The prediction is an index of a sample, or of an entry of the flattened tensor, and is compared with class labels all
the same. The accuracy is a number like any other.

## Example
```python
probs = torch.softmax(logits, dim=1)
correct = (probs.argmax() == labels).sum()
```

## Use instead
```python
correct = (probs.argmax(dim=1) == labels).sum()
```

## How sure it is
An error where the axis is known to be the batch, or where all axes of a batch are flattened, or what was chosen already
is chosen from once more, and the result is compared. A warning where it is another axis than that of the softmax, or
one of an image or of the steps of a sequence whose scores come out of a convolution or linear layer, and the result is
compared; and where a product is flattened of which only one side is a matrix for certain.

## References
train-CLIP#6, qubvel/segmentation_models.pytorch#201, deepdetect#1567.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Choice
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.shapes import CLASSES, Axis
from anymax.inspect.check.telling import at, described, strongest, where
from anymax.inspect.check.values import Tensor


def check(seen: Seen) -> Iterator[Finding]:
    choices = [one for one in seen.each(Choice) if one.name in ("argmax", "argmin", "max", "min", "topk")]
    yield from strongest(finding for one in choices if (finding := _of(seen, one)))


def _of(seen: Seen, one: Choice) -> Finding | None:
    tensor = one.operands[0]
    made = tensor.made if tensor.made and tensor.made.is_distribution else None
    classes = _classes(tensor)
    if one.dim == "missing":
        if one.compared is None or one.name != "argmax":
            return None
        if tensor.kind() == "argmax" and tensor.made and tensor.made.dim is not None:
            message = (
                f"{one.name} without dim of what was chosen along an axis at {where(tensor.made.place, seen.source)} "
                f"is the place of the largest index, and is compared at {where(one.compared, seen.source)}. Compare "
                "the indices themselves."
            )
            return at(RULE, seen, one.place, message, "error")
        if not _has_several_axes(tensor):
            return None
        guessed = tensor.pair is not None and not all(axis.sure for axis in tensor.pair)
        message = (
            f"{one.name} of {described(tensor.shape)} {mistakes.FLAT_CHOICE}, and is compared at "
            f"{where(one.compared, seen.source)}. Write {mistakes.CLASS_DIM if classes is None else f'dim={classes}'}."
        )
        return at(RULE, seen, one.place, message, "warning" if guessed else "error")
    if one.axis is None:
        return None
    if one.axis.kind == "batch" and classes is not None and (one.compared or (made and one.name == "argmax")):
        message = (
            f"{one.name} with dim={one.dim} of {described(tensor.shape)} {mistakes.CHOICE_OF_SAMPLES}. Write "
            f"dim={classes}."
        )
        return at(RULE, seen, one.place, message, "error" if one.axis.sure else "warning")
    if one.compared is not None and made is None and classes is not None and _is_place(tensor, one.axis, classes):
        message = (
            f"{one.name} with dim={one.dim} of {described(tensor.shape)} chooses a place for each class, not a class "
            f"for each place, and is compared at {where(one.compared, seen.source)}. Write dim={classes}."
        )
        return at(RULE, seen, one.place, message, "warning")
    if made is None or made.axis is None or one.compared is None or made.axis is one.axis:
        return None
    normalised = tensor.shape.dim_of(made.axis)
    if normalised is None or (tensor.shape.open and isinstance(one.dim, int) and (normalised < 0) != (one.dim < 0)):
        return None
    softmax = f"the {made.kind} at {where(made.place, seen.source)}"
    message = (
        f"{one.name} with dim={one.dim}, which is compared at {where(one.compared, seen.source)}, "
        f"{mistakes.other_choice(softmax, f'dim={normalised}')}."
    )
    return at(RULE, seen, one.place, message, "warning")


def _has_several_axes(tensor: Tensor) -> bool:
    """Whether there is a batch: two axes at least of which the first is no literal 1."""
    shape = tensor.shape
    several = shape.least_rank >= 2 and not any(axis.size == 1 for axis in shape.known)
    made = tensor.made
    by_softmax = made is not None and made.is_distribution and (made.dim or 0) > 0 and several
    # of two things of which nothing is known, a product may be a number
    of_two = tensor.pair is not None and any(axis.sure for axis in tensor.pair)
    return by_softmax or of_two or (several and bool(shape.front) and shape.front[0].kind == "batch")


def _is_place(tensor: Tensor, axis: Axis, classes: int) -> bool:
    """Whether an axis of scores is one of an image, or that of the steps in front of three or more classes."""
    last = tensor.shape.axis(classes)
    if tensor.kind() not in ("scores", "part") or last is None or last.size in (1, 2):
        return False
    return axis.kind in ("height", "width", "depth") or (axis.kind == "position" and last.kind == "feature")


def _classes(tensor: Tensor) -> int | None:
    made = tensor.made
    if made is not None and made.is_distribution and made.axis is not None and made.axis.kind != "batch":
        return tensor.shape.dim_of(made.axis)
    items = [axis for axis in tensor.shape.known if axis.kind in CLASSES]
    return tensor.shape.dim_of(items[0]) if len(items) == 1 else None


RULE = Rule("AMX107", "argmax-along-another-axis", "error", __doc__, check)
