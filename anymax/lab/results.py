"""What a comparison found, as plain data.

`results.json` is these classes as JSON (`anymax.lab.storage`). The verdict, the table in the terminal and the report
are functions of them and of nothing else, so that a report can be made again from the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Measure:
    """A number taken on a part: how it is called, which direction is better, what it needs, whether it may decide."""

    key: str
    title: str
    higher_is_better: bool
    needs_law: bool
    may_decide: bool = True


MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure("top1", "top-1 accuracy", True, False),
        Measure("top5", "top-5 accuracy", True, False, may_decide=False),
        Measure("macro_f1", "macro-F1", True, False),
        Measure("average_precision", "average precision", True, False),
        Measure("nll", "negative log-likelihood (nats)", False, True),
        Measure("perplexity", "perplexity", False, True),
        Measure("perplexity_known", "perplexity without <unk>", False, True, may_decide=False),
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
class Scaled:
    """The law after one temperature, fitted on the validation part, has divided all scores."""

    temperature: float
    at_bound: bool  # the best temperature lies at or beyond the end of those that were searched
    nll: float | None
    brier: float | None
    ece: float | None
    ece_if_calibrated: float | None


@dataclass
class LogZ:
    """The log of the sum of all exponentiated scores: 0 in mean and spread where scores need no normalising (nats)."""

    mean: float
    spread: float  # standard deviation over the items


@dataclass
class RecallBin:
    """Recall of classes that are about as frequent in the training part; of one class where it has a name."""

    frequency: float  # mean rows or words per class in the training part
    classes: int
    items: int  # of the test part, of these classes
    recall: float  # mean over the classes that occur in the test part
    name: str | None = None


@dataclass
class Tested:
    """What a trained method reached on the test part."""

    # measure key -> value; None where the method defines no such number (no law, say)
    measures: dict[str, float | None]
    # expected calibration error of a perfectly calibrated model of this size (None without a law)
    ece_if_calibrated: float | None = None
    reliability: list[ReliabilityBin] = field(default_factory=list)
    scaled: Scaled | None = None
    log_z: LogZ | None = None
    recall: list[RecallBin] = field(default_factory=list)
    # where the parts stay in every repeat: per contiguous block of the test part the number of items, and by measure
    # the sum over them of what each item adds to its mean (perplexity: to that of the nll)
    block_items: list[int] = field(default_factory=list)
    block_sums: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Trial:
    """One method trained in one repeat at the rate chosen for it, and what it reached on the test part."""

    method: str
    repeat: int
    learning_rate: float
    tuning: list[TuningPoint]
    best_epoch: int
    curve: Curve
    tested: Tested
    train_seconds: float
    seconds_per_step: float
    parameters: int
    peak_bytes: int | None = None  # of one training step, above parameters and inputs


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
    kind: str  # "number" | "category" | "date" | "text" | "dropped" | "target" | "group" | "time"
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
    splits_redrawn: bool  # False for one text and for time: the split stays, only the starts are drawn anew
    measured_classes: int  # of num_classes, those that stand in every part; measures per class are over these
    fingerprint: str  # of all that was read, as it was read: the same for the same data


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
    baseline: list[Tested]  # the trivial answer (class frequencies, unigram) per repeat
    trials: list[Trial]
    total_seconds: float
    verdict: Verdict | None = None
    asked: dict[str, Any] = field(default_factory=dict)  # the options as they were given; None where none was
    forecast_seconds: float | None = None  # what the run was expected to take, before its first training

    def of(self, method: str) -> list[Trial]:
        """The trials of one method, by repeat."""
        return sorted((t for t in self.trials if t.method == method), key=lambda t: t.repeat)

    # frames.py is imported late because it stands on this module.

    def trials_frame(self) -> pd.DataFrame:
        """One row per method and repeat: what was chosen, what it cost and every number of the test part."""
        from anymax.lab import frames

        return frames.trials(self)

    def differences_frame(self) -> pd.DataFrame:
        """One row per method that the verdict compared with the reference."""
        from anymax.lab import frames

        return frames.differences(self)

    def columns_frame(self) -> pd.DataFrame:
        """One row per column of the data: how it was read and why."""
        from anymax.lab import frames

        return frames.columns(self)

    def curves_frame(self) -> pd.DataFrame:
        """One row per epoch of each trial: seconds of training and the deciding measure on the validation part."""
        from anymax.lab import frames

        return frames.curves(self)

    def _repr_html_(self) -> str:
        from anymax.lab import frames

        return frames.as_html(self)
