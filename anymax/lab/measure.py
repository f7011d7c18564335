"""What a measure is: how it is called and written, which direction is better, where it is taken and from what."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Rows of features with a class each, or with any number of labels, or text whose next word is predicted.
Task = Literal["classification", "multilabel", "text"]

SMALLEST_PROBABILITY = 2.0**-52  # to which others are raised before their logarithm, as in scikit-learn's log_loss
SMALL = 0.01  # below it three decimals would hide differences, as in the log-likelihoods of a rare class


@dataclass(frozen=True)
class Summary:
    """A number over the repeats: its mean and its standard deviation, which a single repeat has none of."""

    mean: float
    spread: float | None


def is_number(value: float | None) -> bool:
    """Whether `value` is there and finite."""
    return value is not None and math.isfinite(value)


def summarise(values: Sequence[float | None]) -> Summary | None:
    """Mean and standard deviation, or None where a value is missing: the rest would flatter a head that failed."""
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    if not numbers or len(numbers) < len(values):
        return None
    return Summary(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None)


@dataclass(frozen=True)
class Measure:
    """A number taken on a part of the data."""

    key: str
    title: str
    short: str  # the title where a table heads a column with it
    higher_is_better: bool
    tasks: tuple[Task, ...]  # that report it
    needs_law: bool = False  # it is taken from probabilities over the classes
    of_log: bool = False  # it is infinite as soon as a true class has probability 0
    of_zeros: bool = False  # it is taken of methods alone that give probability 0
    from_scores: bool = False  # it ranks the classes of an item or the items of a class, so it needs the head's scores
    may_decide: bool = True
    by_ratio: bool = False  # two values are compared by their ratio: differences are taken between logarithms
    relative_margin: bool = False  # what does not matter is a share of its value, and not so many points
    legend: str | None = None  # what the short title stands for, where it does not say so itself

    @property
    def one(self) -> str:
        """The title with its article."""
        return f"{'an' if self.title[0] in 'aeiou' else 'a'} {self.title}"

    def number(self, value: float) -> str:
        """A value: three decimals, four where it is small, or four figures for a measure compared by ratio."""
        return f"{value:,.{self._decimals(value)}f}"

    def text(self, summary: Summary, *, spread: bool) -> str:
        """Mean, with ± spread where asked and there is one."""
        mean = self.number(summary.mean)
        if not spread or summary.spread is None:
            return mean
        return f"{mean} ± {summary.spread:,.{self._decimals(summary.mean)}f}"

    def _decimals(self, value: float) -> int:
        if self.by_ratio:
            return max(0, 3 - int(math.log10(max(value, 1))))
        return 3 if abs(value) >= SMALL else 4


_CLASSES: tuple[Task, ...] = ("classification", "text")
_LABELS: tuple[Task, ...] = ("multilabel",)
_TABLE: tuple[Task, ...] = ("classification", "multilabel")
_TEXT: tuple[Task, ...] = ("text",)
_ALL: tuple[Task, ...] = ("classification", "multilabel", "text")

MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure("top1", "top-1 accuracy", "top-1", True, _CLASSES),
        Measure("top5", "top-5 accuracy", "top-5", True, _CLASSES, from_scores=True, may_decide=False),
        Measure("macro_f1", "macro-F1", "macro-F1", True, _TABLE),
        Measure("micro_f1", "micro-F1", "micro-F1", True, _LABELS),
        Measure(
            "exact",
            "subset accuracy",
            "exact",
            True,
            _LABELS,
            legend="exact: subset accuracy, the share of rows of which every label is right.",
        ),
        Measure(
            "average_precision",
            "average precision",
            "AP",
            True,
            _TABLE,
            from_scores=True,
            legend="AP: average precision.",
        ),
        Measure(
            "nll",
            "negative log-likelihood (nats)",
            "NLL",
            False,
            _ALL,
            needs_law=True,
            of_log=True,
            relative_margin=True,
            legend="NLL: negative log-likelihood in nats.",
        ),
        Measure("perplexity", "perplexity", "perplexity", False, _TEXT, needs_law=True, of_log=True, by_ratio=True),
        Measure(
            "perplexity_known",
            "perplexity without <unk>",
            "w/o <unk>",
            False,
            _TEXT,
            needs_law=True,
            of_log=True,
            may_decide=False,
            by_ratio=True,
        ),
        Measure("brier", "Brier score", "Brier", False, _ALL, needs_law=True, relative_margin=True),
        # no mean over items, and not 0 for a calibrated model: its error over rows is not known
        Measure(
            "ece",
            "calibration error",
            "ECE",
            False,
            _ALL,
            needs_law=True,
            may_decide=False,
            legend="ECE: calibration error.",
        ),
        Measure(
            "impossible",
            "share of rows whose true class has probability 0",
            "p = 0",
            False,
            _CLASSES,
            needs_law=True,
            of_zeros=True,
            may_decide=False,
            legend="p = 0: the share of rows whose true class has probability 0.",
        ),
    )
}


def measured(task: Task) -> tuple[str, ...]:
    """The measures that a task reports."""
    return tuple(key for key, measure in MEASURES.items() if task in measure.tasks)


def deciders(task: Task) -> tuple[str, ...]:
    """Those of them that may decide."""
    return tuple(key for key in measured(task) if MEASURES[key].may_decide)
