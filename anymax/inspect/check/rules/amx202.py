"""## What it does
Finds `binary_cross_entropy_with_logits`, `nn.BCEWithLogitsLoss`, `nn.MultiLabelSoftMarginLoss`, `sigmoid_focal_loss` of
torchvision and anymax, and anymax's `asymmetric_loss` of what a sigmoid or softmax has already been applied to.

## Why is this bad
These losses apply the sigmoid themselves. Of probabilities it gives numbers between 0.5 and 0.73: a negative can never
be predicted with less than 0.5, and the loss stays above 0.31 for positives and 0.69 for negatives.

## Example
```python
prob = torch.sigmoid(self.fc(x))
loss = F.binary_cross_entropy_with_logits(prob, target)
```

## Use instead
```python
loss = F.binary_cross_entropy_with_logits(self.fc(x), target)
```

## How sure it is
An error where it is so on every path that reaches the loss, a warning where the loss is one of several.

## References
cvg/glue-factory#89, NVIDIA-Merlin#1175, pytorch/pytorch#24933.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Loss
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, perhaps, strongest, where


def check(seen: Seen) -> Iterator[Finding]:
    losses = [one for one in seen.each(Loss) if one.name == "bce_with_logits"]
    yield from strongest(finding for one in losses if (finding := _of(seen, one)))


def _of(seen: Seen, loss: Loss) -> Finding | None:
    made = all_made(loss.inputs, "sigmoid", "softmax", "logsigmoid", "log_softmax")
    if made is None:
        return None
    message = (
        f"{perhaps(loss)}{loss.written} of a {made.kind}: that at {where(made.place, seen.source)} "
        f"{mistakes.sigmoid_twice_in_loss(made.kind)}."
    )
    return at(RULE, seen, loss.place, message, "error" if loss.certain else "warning")


RULE = Rule("AMX202", "bce-with-logits-of-probabilities", "error", __doc__, check)
