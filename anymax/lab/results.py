"""What a comparison found, as plain data, with what can be asked of it.

`results.json` is these classes as JSON (`anymax.lab.storage`). The verdict, the table in the terminal and the report
are functions of them and of nothing else, so that a report can be made again from the file.
"""

from __future__ import annotations

import dataclasses
import html
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from anymax.lab.measure import MEASURES, Measure, Task, is_number, summarise
from anymax.lab.statistics.counts import TooFew
from anymax.lab.statistics.decisions import Answer

Size = Literal["beyond", "inside", "across"]
NONE = "none"  # where a narrow table has no room to say that a method gives no probabilities
# The columns of the frame of trials beside the measures: what a trial cost, and what is taken from its probabilities.
_COSTS = (
    "method",
    "repeat",
    "learning_rate",
    "strength",
    "best_epoch",
    "train_seconds",
    "seconds_per_step",
    "parameters",
    "peak_bytes",
)
_LAW = (
    "temperature",
    "at_bound",
    "scaled_nll",
    "scaled_brier",
    "scaled_ece",
    "ece_if_calibrated",
    "log_z_mean",
    "log_z_spread",
)


@dataclass
class TuningPoint:
    """One learning rate that was tried: the best validation value it reached, None where training diverged."""

    learning_rate: float
    validation: float | None


@dataclass
class StrengthPoint:
    """One strength of a method that was tried at the chosen rate: what it reached, as of a rate."""

    strength: float
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
    # by label, where a row may have several; None where no row of the test part has it
    average_precisions: list[float | None] = field(default_factory=list)


@dataclass
class Trial:
    """One method trained in one repeat at the setting chosen for it, and what it reached on the test part."""

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
    strength: float | None = None  # of a method that has one, chosen after the rate
    strengths: list[StrengthPoint] = field(default_factory=list)

    @property
    def diverged(self) -> bool:
        """Whether no epoch of the training had a finite value; its model is then the one it started from."""
        return self.best_epoch == 0

    def row(self, keys: list[str]) -> dict[str, object]:
        """What the frame of trials says of it; a training that diverged has no measures."""
        row: dict[str, object] = {name: getattr(self, name) for name in _COSTS}
        if self.diverged:
            return row
        row |= {key: self.tested.measures.get(key) for key in keys}
        row["ece_if_calibrated"] = self.tested.ece_if_calibrated
        if self.tested.scaled is not None:
            scaled = self.tested.scaled
            row |= {"temperature": scaled.temperature, "at_bound": scaled.at_bound}
            row |= {"scaled_nll": scaled.nll, "scaled_brier": scaled.brier, "scaled_ece": scaled.ece}
        if self.tested.log_z is not None:
            row |= {"log_z_mean": self.tested.log_z.mean, "log_z_spread": self.tested.log_z.spread}
        return row


@dataclass
class MethodInfo:
    """One head that took part. `note` says what a reader of its numbers must know."""

    name: str
    title: str
    defines_law: bool
    note: str | None = None
    strength: str | None = None  # the name of its strength, where it has one
    gives_zeros: bool = False  # as probabilities, so that it has no measure of their logarithm


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
    task: Task
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


@dataclass(frozen=True)
class Words:
    """What the parts of the data are called in a sentence."""

    class_: str  # what is told apart
    classes: str
    rows: str  # the items
    num_classes: str  # behind their number


WORDS: dict[Task, Words] = {
    "classification": Words("class", "classes", "rows", "classes"),
    "multilabel": Words("label", "labels", "rows", "labels"),
    "text": Words("word", "words", "words", "different words"),
}


@dataclass
class Difference:
    """What is known of one method against the reference in one measure: a record of the verdict.

    Mean and bounds are method minus reference, in the measure's own unit; between logarithms for a perplexity.
    """

    method: str
    measure: str
    answer: Answer
    mean: float
    low: float  # the interval that decides: at this look's share of the error, for all methods together
    high: float
    nominal_low: float  # the 95 % interval of this method and look alone
    nominal_high: float
    equivalent_low: float  # the 90 % interval, two one-sided tests at 5 %: equivalent where it lies within the margin
    equivalent_high: float
    p_value: float
    p_adjusted: float
    level: float  # what `p_adjusted` is compared with
    margin: float  # what counts as equivalent, in the unit of the mean
    repeats: int  # after which this was found
    further_repeats: int | None = None  # of an open one: how many more would decide; None where more rows would
    too_few: TooFew | None = None  # why it stays open, whatever its interval says

    @property
    def decided(self) -> bool:
        """Whether it is anything but open."""
        return self.answer != "open"

    @property
    def interval(self) -> tuple[float, float]:
        """The interval that says why the answer is what it is."""
        if self.answer == "equivalent":
            return self.equivalent_low, self.equivalent_high
        return self.low, self.high

    @property
    def size(self) -> Size:
        """Where the interval of one that is better or worse lies: beyond the margin, inside it, or across it."""
        nearest, farthest = sorted((abs(self.low), abs(self.high)))
        if farthest <= self.margin:
            return "inside"
        return "beyond" if nearest >= self.margin else "across"


@dataclass
class Verdict:
    """Which method to pick and why, in numbers and in words."""

    reference: str  # the method the others are compared with: softmax where it took part
    differences: list[Difference]  # in the deciding measure
    others: list[Difference]  # in the other measures that are known by item
    pick: str
    text: str  # the paragraph

    @property
    def decided(self) -> bool:
        """Whether there is a difference, and none is open."""
        return bool(self.differences) and all(each.decided for each in self.differences)


@dataclass
class ClassFigures:
    """How well each class that was tested is found, as means over the repeats; all lists go by `ids`."""

    ids: list[int]  # of the classes, by which the data name them
    tested: list[int]  # items of a class in all test parts
    # method -> mean over the repeats that tested the class; None where training diverged in these
    recall: dict[str, list[float | None]]
    # method -> mean over the repeats in which it answered the class; None where it never did
    precision: dict[str, list[float | None]]
    # method -> mean over the repeats that tested the label, where a row may have several; else empty
    average_precision: dict[str, list[float | None]] = field(default_factory=dict)


@dataclass
class Confusions:
    """What one method answered to the items of the most frequent classes, those of all test parts together."""

    method: str
    ids: list[int]  # of the classes, the most frequent first
    rest: int  # classes that the last row and the last column stand for; 0 where there are neither
    items: list[list[int]]  # by class, and in it by answer


@dataclass
class MissedRow:
    """A row that all heads answered wrongly in some repeat."""

    row: int  # as `predictions.csv` counts
    target: int  # the id of its class
    repeats: int  # in which they did
    tested: int  # repeats that tested it
    answers: dict[str, list[int]]  # method -> ids of the classes that it answered in these repeats


@dataclass
class MissedRows:
    """The rows that all heads answered wrongly in some repeat: how many, and the worst of them."""

    rows: int
    always: int  # of them, in each repeat that tested them
    tested: int  # different rows that were tested
    worst: list[MissedRow]


@dataclass
class ByClass:
    """What the answers to the test parts say of each class."""

    figures: ClassFigures
    confusions: Confusions | None  # of the pick; None where its training always diverged
    missed: MissedRows | None  # None of a text, where a row is a word


@dataclass
class Beside:
    """A classifier that is no head, on the parts of the first repeats: what else there was to gain.

    Or predictions that the user had already, on the parts of all repeats.
    """

    name: str
    title: str
    tested: list[Tested]  # by repeat, as far as it was fitted in time
    seconds: float  # of all fits
    in_time: bool  # it was fitted in each of the first repeats
    difference: Difference | None = None  # to the method that was picked, in the deciding measure
    given: bool = False  # by the user, who says that they are out of sample


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
    repeat_seconds: float  # what one more repeat takes
    ending: str  # why no further repeat was made
    verdict: Verdict | None = None
    beside: list[Beside] = field(default_factory=list)
    by_class: ByClass | None = None
    asked: dict[str, Any] = field(default_factory=dict)  # the options as they were given; None where none was
    forecast_seconds: float | None = None  # what its repeats up to the first look were expected to take
    # `anymax.lab.measuring.outcomes.Outcomes`, the answers to every item: with the run, not in `results.json`
    outcomes: Any = field(default=None, repr=False, compare=False)

    def of(self, method: str) -> list[Trial]:
        """The trials of one method, by repeat."""
        return sorted((t for t in self.trials if t.method == method), key=lambda t: t.repeat)

    @property
    def deciding(self) -> Measure:
        """The measure that decides."""
        return MEASURES[self.decide_by]

    @property
    def repeats(self) -> int:
        """How many repeats were made."""
        return len({trial.repeat for trial in self.trials})

    @property
    def words(self) -> Words:
        """What classes and rows are called here."""
        return WORDS[self.data.task]

    @property
    def measure_keys(self) -> list[str]:
        """The measures that some method has a value of, the deciding one first."""
        present = [key for key in MEASURES if any(is_number(trial.tested.measures.get(key)) for trial in self.trials)]
        return sorted(present, key=lambda key: key != self.decide_by)

    def values(self, method: str, key: str) -> list[float | None]:
        """One measure of one method by repeat; None where training diverged or the method defines no such number."""
        return [None if trial.diverged else trial.tested.measures.get(key) for trial in self.of(method)]

    def cell(self, method: MethodInfo, key: str, *, spread: bool) -> str:
        """One cell of the table of measures: mean ± spread over the repeats, or why there is no number.

        Without the spread the table is narrow, and a word or a dash stands for the reason.
        """
        if MEASURES[key].needs_law and not method.defines_law:
            return "no probabilities" if spread else NONE
        if MEASURES[key].of_log and method.gives_zeros:
            return "may be infinite" if spread else "-"
        if MEASURES[key].of_zeros and not method.gives_zeros:
            return ""
        values = self.values(method.name, key)
        summary = summarise(values)
        if summary is None:
            missing = sum(not is_number(value) for value in values)
            return f"missing in {missing} of {len(values)}" if spread else "-"
        return MEASURES[key].text(summary, spread=spread)

    def baseline_cell(self, key: str, *, spread: bool) -> str:
        """The same for the trivial answer."""
        summary = summarise([row.measures.get(key) for row in self.baseline])
        return "" if summary is None else MEASURES[key].text(summary, spread=spread)

    def beside_cell(self, classifier: Beside, key: str, *, spread: bool) -> str:
        """The same for a classifier that is no head."""
        if not classifier.in_time:
            return "not reached" if spread else "-"
        if classifier.given and MEASURES[key].needs_law and not any(t.reliability for t in classifier.tested):
            return "no probabilities" if spread else NONE
        summary = summarise([tested.measures.get(key) for tested in classifier.tested])
        return "" if summary is None else MEASURES[key].text(summary, spread=spread)

    def trials_frame(self) -> pd.DataFrame:
        """One row per method and repeat: what was chosen, what it cost and every number of the test part.

        A measure that a method defines no number of is missing, and so are all measures of a training that diverged.
        """
        keys = [key for key in MEASURES if any(key in trial.tested.measures for trial in self.trials)]
        frame = pd.DataFrame([trial.row(keys) for trial in self.trials], columns=[*_COSTS, *keys, *_LAW])
        return frame.astype(
            {
                "peak_bytes": "Int64",
                "at_bound": "boolean",
                **dict.fromkeys(["strength", *keys, *_LAW[:1], *_LAW[2:]], float),
            }
        )

    def differences_frame(self) -> pd.DataFrame:
        """One row per measure and method that was compared with the reference; no row without a verdict.

        The differences are those of the verdict, the deciding measure first: in the unit of the measure, between
        logarithms for a perplexity.
        """
        found = [*self.verdict.differences, *self.verdict.others] if self.verdict else []
        names = [field.name for field in dataclasses.fields(Difference)]
        return pd.DataFrame([{name: getattr(each, name) for name in names} for each in found], columns=names)

    def classes_frame(self) -> pd.DataFrame:
        """One row per class that was tested and method: how often it stands in the data and in the test parts of all
        repeats, and recall and precision as means over the repeats; of labels average precision too.
        """
        figures = self.by_class.figures if self.by_class else ClassFigures([], [], {}, {})
        shares = {"recall": figures.recall, "precision": figures.precision}
        if self.data.task == "multilabel":
            shares["average_precision"] = figures.average_precision
        rows = [
            (self.data.class_names[i], self.data.class_counts[i], tested, method, *found)
            for method in figures.recall
            for i, tested, *found in zip(
                figures.ids, figures.tested, *(share[method] for share in shares.values()), strict=True
            )
        ]
        frame = pd.DataFrame(rows, columns=["class", "count", "tested", "method", *shares])
        return frame.astype(dict.fromkeys(shares, float))

    def predictions_frame(self) -> pd.DataFrame:
        """One row per tested item and repeat: its row in the data, of a text its place in the test part, its class and
        what each method answered. A comparison that was read from a file has none.

        Where a row may have several labels there are columns of 0 and 1: "true: LABEL", and "METHOD: LABEL" for what a
        method answered.
        """
        columns = ["repeat", "row", "class"]
        if self.outcomes is None:
            return pd.DataFrame(columns=[*columns, *(method.name for method in self.methods)])
        frames = []
        for repeat, items in enumerate(self.outcomes.items):
            answers = {name: found[repeat].prediction for name, found in self.outcomes.answers.items()}
            if self.data.task == "multilabel":
                named = {"true: ": items.target, **{f"{name}: ": said for name, said in answers.items()}}
                found = [pd.DataFrame(said.astype(int), columns=self.data.class_names) for said in named.values()]
                sides = [frame.add_prefix(prefix) for prefix, frame in zip(named, found, strict=True)]
                place = pd.DataFrame({"repeat": repeat, "row": items.row})
                frames.append(pd.concat([place, *sides], axis=1))
                continue
            classes = {
                name: pd.Categorical.from_codes(ids, self.data.class_names)
                for name, ids in {"class": items.target, **answers}.items()
            }
            frames.append(pd.DataFrame({"repeat": repeat, "row": items.row, **classes}))
        return pd.concat(frames, ignore_index=True)

    def columns_frame(self) -> pd.DataFrame:
        """One row per column of the data: how it was read and why; no row where the data have no columns."""
        return pd.DataFrame(
            [dataclasses.asdict(column) for column in self.data.columns],
            columns=[field.name for field in dataclasses.fields(ColumnInfo)],
        )

    def curves_frame(self) -> pd.DataFrame:
        """One row per epoch of each trial: seconds in training steps so far, and the deciding measure on validation."""
        rows = [
            (trial.method, trial.repeat, epoch, seconds, value)
            for trial in self.trials
            for epoch, (seconds, value) in enumerate(
                zip(trial.curve.seconds, trial.curve.validation, strict=True), start=1
            )
        ]
        frame = pd.DataFrame(rows, columns=["method", "repeat", "epoch", "seconds", "validation"])
        return frame.astype({"seconds": float, "validation": float})

    def _repr_html_(self) -> str:
        """The paragraph and the table of measures, for a notebook; all of its text is escaped."""
        keys = self.measure_keys
        rows = {
            "frequencies": [self.baseline_cell(key, spread=True) for key in keys],
            **{method.name: [self.cell(method, key, spread=True) for key in keys] for method in self.methods},
        }
        table = pd.DataFrame.from_dict(rows, orient="index", columns=[MEASURES[key].short for key in keys])
        text = self.verdict.text if self.verdict else "No verdict."
        return (
            f"<p><b>{html.escape(self.data.name)}</b>, {self.deciding.title} decides</p>"
            f"<p>{html.escape(text)}</p>{table.to_html()}"
        )
