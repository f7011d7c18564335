"""## What it does
Finds `nll_loss` and `ctc_loss` of probabilities, or of scores, in the same function or across functions and files.

## Why is this bad
`nll_loss` takes log-probabilities: it picks an entry and changes its sign. Of probabilities that gives a loss between
-1 and 0 whose gradient does not grow where the answer is wrong; of scores it has no lower bound, and training only
makes them larger.

## Example
```python
probs = F.softmax(self.fc(x), dim=1)
loss = F.nll_loss(probs, target)
```

## Use instead
```python
loss = F.cross_entropy(self.fc(x), target)
```

## How sure it is
An error where it is so on every path that reaches the loss, a warning where the loss is one of several.

## References
Pointnet2#30, GetToThePoint#8, gwx314/STARS#9; pytorch/pytorch#12703, where an example of torch itself lacked the
log_softmax.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Loss
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, perhaps, strongest, what
from anymax.inspect.check.values import Made


def check(seen: Seen) -> Iterator[Finding]:
    losses = [one for one in seen.each(Loss) if one.name in ("nll_loss", "ctc_loss")]
    yield from strongest(finding for one in losses if (finding := _of(seen, one)))


def _of(seen: Seen, loss: Loss) -> Finding | None:
    made = all_made(loss.inputs, "softmax", "sigmoid", "scores", "logsigmoid")
    if made is None:
        return None
    leads_to = _of_alignments(made) if loss.name == "ctc_loss" else _of_choices(made)
    message = (
        f"{perhaps(loss)}{loss.written} takes log-probabilities of classes that compete, but its input is "
        f"{what(made, seen.source)}: {leads_to}."
    )
    return at(RULE, seen, loss.place, message, "error" if loss.certain else "warning")


def _of_choices(made: Made) -> str:
    """What becomes of the log-probability of one class."""
    if made.kind == "logsigmoid":
        return "the classes do not compete. Give the scores to cross_entropy"
    return mistakes.NLL_OF_SCORES if made.kind == "scores" else mistakes.NLL_OF_PROBS


def _of_alignments(made: Made) -> str:
    """What becomes of a CTC loss."""
    if made.kind == "logsigmoid":
        return "the classes do not compete. Write log_softmax over the classes of the scores"
    return mistakes.CTC_OF_SCORES if made.kind == "scores" else mistakes.CTC_OF_PROBS


RULE = Rule("AMX203", "nll-loss-without-log", "error", __doc__, check)
