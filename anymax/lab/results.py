"""What a comparison found, as plain data.

`results.json` is these classes as JSON. The verdict, the table in the terminal and the report are functions of
them and of nothing else, so that a report can be made again from the file.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class Measure:
    """A number taken on a part: how it is called, which direction is better, whether it needs probabilities."""

    key: str
    title: str
    higher_is_better: bool
    needs_law: bool


MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure("top1", "top-1 accuracy", True, False),
        Measure("macro_f1", "macro-F1", True, False),
        Measure("nll", "negative log-likelihood (nats)", False, True),
        Measure("perplexity", "perplexity", False, True),
        Measure("brier", "Brier score", False, True),
        Measure("ece", "calibration error", False, True),
    )
}


@dataclass
class TuningPoint:
    """One learning rate that was tried: the best validation value it reached, None where training diverged."""

    learning_rate: float
    validation: float | None


@dataclass
class Curve:
    """The deciding measure on the validation part after each epoch, against seconds spent in training steps."""

    seconds: list[float] = field(default_factory=list)
    validation: list[float | None] = field(default_factory=list)


@dataclass
class ReliabilityBin:
    """Test items whose confidence fell into one bin: their mean confidence, their accuracy, how many."""

    confidence: float
    accuracy: float
    count: int


@dataclass
class Trial:
    """One method trained in one repeat at the rate chosen for it, and what it reached on the test part."""

    method: str
    repeat: int
    learning_rate: float
    tuning: list[TuningPoint]
    best_epoch: int
    curve: Curve
    # measure key -> value; None where the method defines no such number (no law, say)
    measures: dict[str, float | None]
    # expected calibration error of a perfectly calibrated model of this size (None without a law)
    ece_if_calibrated: float | None
    reliability: list[ReliabilityBin]
    train_seconds: float
    seconds_per_step: float
    parameters: int
    # text: per contiguous block of the test part, the sum of the nll (nats) and the number of tokens
    block_nll: list[float] = field(default_factory=list)
    block_tokens: list[int] = field(default_factory=list)


@dataclass
class MethodInfo:
    """One head that took part. `note` says what a reader of its numbers must know."""

    name: str
    title: str
    defines_law: bool
    note: str | None = None


@dataclass
class LeftOut:
    """A method that did not take part, and why."""

    method: str
    why: str


@dataclass
class ColumnInfo:
    """How one column of the data was read, and why."""

    name: str
    kind: str  # "number" | "category" | "dropped" | "target"
    why: str
    missing: int = 0


@dataclass
class DataInfo:
    """What was compared on."""

    name: str
    task: str  # "classification" | "text"
    train_items: int
    validation_items: int
    test_items: int
    num_classes: int
    class_names: list[str]
    class_counts: list[int]  # over all parts
    columns: list[ColumnInfo]
    notes: list[str]  # sentences the reader must see: rows dropped, classes too rare to be split, ...
    splits_redrawn: bool  # False for one text: the split stays, only the starts are drawn anew


@dataclass
class Difference:
    """One method against the reference in the deciding measure, over paired repeats."""

    method: str
    mean: float  # method minus reference, in the measure's own unit; between logarithms for a perplexity
    low: float  # Holm-adjusted interval
    high: float
    p_value: float
    p_adjusted: float
    decided: bool


@dataclass
class Verdict:
    """Which method to pick and why, in numbers and in words."""

    reference: str  # the method the others are compared with: softmax where it took part
    differences: list[Difference]
    pick: str
    decided: bool  # False: the data do not decide, `pick` is the simplest
    text: str  # the paragraph


@dataclass
class Comparison:
    """A whole run."""

    data: DataInfo
    decide_by: str  # key into MEASURES
    options: dict[str, Any]  # the options as they acted
    versions: dict[str, str]
    machine: dict[str, Any]
    methods: list[MethodInfo]
    left_out: list[LeftOut]
    # the trivial answer (class frequencies, unigram) per repeat: measure key -> value
    baseline: list[dict[str, float | None]]
    trials: list[Trial]
    total_seconds: float
    verdict: Verdict | None = None
    command: dict[str, Any] = field(default_factory=dict)  # the command line as it was given, where there was one

    def of(self, method: str) -> list[Trial]:
        """The trials of one method, by repeat."""
        return sorted((t for t in self.trials if t.method == method), key=lambda t: t.repeat)


def save(comparison: Comparison, path: Path) -> None:
    """Write `comparison` as JSON; the file appears whole or not at all."""
    text = json.dumps({"format": FORMAT, **dataclasses.asdict(comparison)}, indent=1, allow_nan=False)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
