"""## What it does
Finds `kl_div` and `nn.KLDivLoss` whose first argument is no logarithm, whose second is one without `log_target`, and
those with the reduction "mean", or of which the entries are averaged over the classes later.

## Why is this bad
`kl_div(input, target)` computes target * (log target - input): the input is taken for log-probabilities and the target
for probabilities. Of two tensors of probabilities the result is a number, but no divergence. The reduction "mean",
which is the default, divides by the number of entries instead of the number of distributions; so does `.mean()` of what
the reduction "none" gives, where the classes were not summed before.

## Example
```python
loss = F.kl_div(F.softmax(student, dim=1), F.softmax(teacher, dim=1))
```

## Use instead
```python
loss = F.kl_div(F.log_softmax(student, dim=1), F.softmax(teacher, dim=1), reduction="batchmean")
```

## How sure it is
An error where an argument is known to be of the wrong kind, info for the reduction and for a mean.

## References
KLDivLoss in the documentation of torch, which says the same of "mean"; HikariTJU/LD#74.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Averaged, Loss
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, perhaps, strongest, what, where
from anymax.inspect.check.values import Const


def check(seen: Seen) -> Iterator[Finding]:
    losses = [one for one in seen.each(Loss) if one.name == "kl_div"]
    yield from strongest(finding for one in losses if (finding := _of(seen, one)))
    yield from strongest(_averaged(seen, one) for one in seen.each(Averaged))


def _averaged(seen: Seen, one: Averaged) -> Finding:
    over = "all entries" if one.everything else "the classes"
    message = (
        f"A mean over {over} of what kl_div gave at {where(one.loss, seen.source)}: a divergence is their sum over the "
        "classes, so the result is a fraction of it. Sum over the classes, and average over the rest."
    )
    return at(RULE, seen, one.place, message, "info")


def _of(seen: Seen, loss: Loss) -> Finding | None:
    level = "error" if loss.certain else "warning"
    if made := all_made(loss.inputs, "softmax", "sigmoid", "scores"):
        message = (
            f"{perhaps(loss)}{loss.written} takes log-probabilities first, but its input is "
            f"{what(made, seen.source)}: {mistakes.NO_DIVERGENCE}."
        )
        return at(RULE, seen, loss.place, message, level)
    log_target = _option(loss, "log_target", False)
    made = all_made(loss.targets, "log_softmax", "logsigmoid", "scores")
    if made is not None and log_target is False:
        instead = "Write softmax(scores, dim) for it" if made.kind == "scores" else "Add log_target=True"
        message = (
            f"{perhaps(loss)}{loss.written} takes probabilities for the target, but it is {what(made, seen.source)}: "
            f"the result is no divergence. {instead}."
        )
        return at(RULE, seen, loss.place, message, level)
    made = all_made(loss.targets, "softmax")
    if made is not None and log_target is True:
        message = (
            f"{perhaps(loss)}{loss.written} with log_target=True takes log-probabilities for the target, but it is "
            f"{what(made, seen.source)}. Drop log_target, or write log_softmax there."
        )
        return at(RULE, seen, loss.place, message, level)
    if _option(loss, "reduction", "mean") == "mean" and not {"reduce", "size_average", "**"} & set(loss.options):
        return at(RULE, seen, loss.place, f"{loss.written} {mistakes.MEAN_OF_ENTRIES}.", "info")
    return None


def _option(loss: Loss, name: str, default: object) -> object:
    value = loss.options.get(name)
    if value is None:
        return default
    return value.value if isinstance(value, Const) else None


RULE = Rule("AMX205", "kl-div-arguments", "error", __doc__, check)
