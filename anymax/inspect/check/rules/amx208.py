"""## What it does
Finds distributions and samplers that get scores for probabilities or probabilities for scores:
`Categorical(self.fc(x))`, `Categorical(logits=softmax)`, `torch.multinomial(scores, 1)`, `gumbel_softmax` of a
softmax.

## Why is this bad
The first argument of `Categorical` is `probs`. Scores there are divided by their sum: negative ones raise an error,
others give a distribution in which differences of scores mean nothing. Probabilities given as scores are put through a
softmax: the samples are close to uniform, and a policy cannot become certain.

## Example
```python
dist = Categorical(self.fc(x))
dist = Categorical(logits=F.softmax(self.fc(x), dim=-1))
```

## Use instead
```python
dist = Categorical(logits=self.fc(x))
dist = Categorical(probs=F.softmax(self.fc(x), dim=-1))
```

## How sure it is
An error where it is so on every path. Log-probabilities are scores and are right as such.

## References
Categorical, multinomial and gumbel_softmax in the documentation of torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Finding
from anymax.inspect.check.observed import Sampler
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.telling import all_made, at, strongest, what


def check(seen: Seen) -> Iterator[Finding]:
    yield from strongest(finding for one in seen.each(Sampler) if (finding := _of(seen, one)))


def _of(seen: Seen, one: Sampler) -> Finding | None:
    if one.takes == "logits":
        made = all_made(one.inputs, "softmax", "sigmoid")
        if made is None or made.shifted:
            return None
        leads_to = mistakes.LOGITS_OF_PROBS
        if one.name == "gumbel_softmax":
            leads_to = f"{mistakes.DRAWS_UNIFORMLY}. Give it the scores"
        message = f"{one.name} takes scores as logits, but gets {what(made, seen.source)}: {leads_to}."
        return at(RULE, seen, one.place, message, "error")
    made = all_made(one.inputs, "scores", "log_softmax", "logsigmoid")
    if made is None or made.shifted:
        return None
    takes = "takes probabilities first" if not one.explicit else "takes probabilities"
    instead = (
        "Write logits= for them"
        if one.name[:1].isupper()
        else f"Apply {'torch.sigmoid' if 'bernoulli' in one.name else 'a softmax'} first"
    )
    if made.kind != "scores" and not one.name[:1].isupper():
        instead = "Apply exp first"
    message = (
        f"{one.name} {takes}, but gets {what(made, seen.source)}: negative ones raise an error, and others are divided "
        f"by their sum, which is no softmax. {instead}."
    )
    return at(RULE, seen, one.place, message, "error")


RULE = Rule("AMX208", "sampler-of-the-other-kind", "error", __doc__, check)
