"""The page of a code, and which engines find it. Of what only a run shows the pages are here, of a rule in its file."""

from __future__ import annotations

from dataclasses import dataclass

from anymax.inspect.check.findings import Level

_AXES = [f"AMX{number}" for number in range(101, 110)]
_VALUES = [f"AMX{number}" for number in range(201, 209)]
_NUMERICS = [f"AMX{number}" for number in range(301, 306)]
_BOTH = frozenset([*_AXES, *_VALUES, *_NUMERICS])

# which codes each engine gives
ENGINES = {
    "anymax check": _BOTH | {"AMX401"},
    "anymax.check_model": _BOTH,
    "anymax.watch": _BOTH | {"AMX209", "AMX210", "AMX211"},
    "anymax.probe": frozenset({"AMX102"}),
}


@dataclass(frozen=True)
class Page:
    """What is said of a code: `level` is that of its surest findings, `text` has the headings of a rule."""

    code: str
    name: str
    level: Level
    text: str | None

    @property
    def documentation(self) -> str:
        """Code, name and level, then the text, and who finds it."""
        engines = ", ".join(engine for engine, codes in ENGINES.items() if self.code in codes)
        found_by = f"\n\nFound by {engines}." if engines else ""
        return f"# {self.code} {self.name} ({self.level})\n\n{(self.text or '').strip()}{found_by}"

    @property
    def summary(self) -> str:
        """What it does, in its first paragraph."""
        return self._paragraph("What it does")

    @property
    def reason(self) -> str:
        """Why that is bad, in its first paragraph."""
        return self._paragraph("Why is this bad")

    def _paragraph(self, heading: str) -> str:
        """The first one under a heading, in one line."""
        below = (self.text or "").partition(f"## {heading}\n")[2]
        return " ".join(below.partition("\n\n")[0].split())


_OFF_THE_SIMPLEX = """## What it does
Finds class probabilities given as targets that do not sum to 1 or are below 0, and targets of a binary cross-entropy
outside [0, 1].

## Why is this bad
`cross_entropy` weighs the log-probabilities with whatever is there: rows count by their sums, and the loss is least at
another prediction than the target. A binary target above 1 or below 0 leaves the loss without a minimum. Nothing is
raised.

## Example
```python
target = one_hot + 0.1 * other_one_hot      # rows sum to 1.1
loss = F.cross_entropy(scores, target)
```

## Use instead
```python
loss = F.cross_entropy(scores, target / target.sum(1, keepdim=True))
```

## How sure it is
A warning for class probabilities, whose sums may be off by what half precision loses; rows of zeros leave a sample out
and are let be. An error for binary targets.

## References
pytorch/pytorch#11959, milesial/Pytorch-UNet#78.
"""

_AT_THE_FLOOR = """## What it does
Finds a `cross_entropy` that stays where a perfect prediction lands after a softmax too many, while nearly all
predictions are right.

## Why is this bad
Of probabilities `cross_entropy` cannot fall below log(e + classes - 1) - 1: 1.46 for 10 classes, 0.31 for 2. The model
has learned what it can, and its gradients are small all along.

## Example
```python
model = torch.compile(nn.Sequential(linear, nn.Softmax(dim=1)))     # 10 classes
loss = F.cross_entropy(model(x), y)                                 # stays at 1.46
```

## Use instead
```python
model = torch.compile(linear)
loss = F.cross_entropy(model(x), y)
```

## How sure it is
A warning: the values alone say so, of three steps in a row within 5 % of the floor. Where the scores come from need not
be known, so a softmax in compiled code or in C++ is seen too.

## References
pytorch/pytorch#55902, nishnik/Deep-Semantic-Similarity-Model-PyTorch#2.
"""

_ALL_IGNORED = """## What it does
Finds a batch in which every target of `cross_entropy` or `nll_loss` is `ignore_index`, where the loss is NaN.

## Why is this bad
The mean is over nothing, 0 / 0. One such batch puts NaN into the gradients, and the next step of the optimizer into
every parameter.

## Example
```python
loss = F.cross_entropy(scores, labels)      # all labels are -100: a prompt that was cut before its answer
```

## Use instead
```python
total = F.cross_entropy(scores, labels, reduction="sum")
loss = total / (labels != -100).sum().clamp(min=1)
```

## How sure it is
An error: the loss is NaN, and the targets are seen.

## References
pytorch/pytorch#70348.
"""

# what only a run shows, since it is in the values
OF_RUNS = {
    page.code: page
    for page in (
        Page("AMX209", "targets-off-the-simplex", "error", _OFF_THE_SIMPLEX),
        Page("AMX210", "loss-at-a-floor", "warning", _AT_THE_FLOOR),
        Page("AMX211", "all-targets-ignored", "error", _ALL_IGNORED),
    )
}
