"""A whole comparison: every method, every learning rate, every repeat, in a fair order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anymax.lab.data import Dataset
    from anymax.lab.results import Comparison


@dataclass(frozen=True)
class Planned:
    """How many trainings there will be; sent again when the number of repeats has been settled.

    Sent once before any training (`repeats` is a guess where `repeats_settled` is False) and at most once more,
    after the first trial of every method has shown how long one takes.
    """

    trainings: int
    repeats: int
    repeats_settled: bool
    methods: list[str]
    learning_rates: list[float]
    epochs: int


@dataclass(frozen=True)
class TrainingStarted:
    """One method begins training at one learning rate in one repeat (counted from 0)."""

    method: str
    repeat: int
    learning_rate: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch (counted from 1) is over; `validation` is the deciding measure, None where training diverged."""

    method: str
    repeat: int
    learning_rate: float
    epoch: int
    validation: float | None


@dataclass(frozen=True)
class TrainingDone:
    """One training is over, `done` of the planned ones are; early stopping may have ended it before `epochs`."""

    method: str
    repeat: int
    learning_rate: float
    best_validation: float | None
    seconds: float  # wall clock of this training, evaluation included
    done: int


@dataclass(frozen=True)
class RepeatDone:
    """All methods are finished with one repeat: its trials stand in the result."""

    repeat: int


Event = Planned | TrainingStarted | EpochDone | TrainingDone | RepeatDone


def run(
    dataset: Dataset,
    *,
    methods: Sequence[str] | None = None,
    repeats: int | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    decide_by: str | None = None,
    device: str = "auto",
    progress: Callable[[Event], None] | None = None,
) -> Comparison:
    """Train every method on the same parts, starts and batches, and measure each once on the test part.

    Args:
        dataset: what `anymax.lab.data.load` returned.
        methods: names from `anymax.lab.methods.METHODS`; None takes all that fit the data.
        repeats: how many times split and start are drawn anew; None takes 10 where a training takes under five
            seconds, else 3.
        epochs: the most epochs one training may take; None takes a default that suits the data.
        learning_rate: the one rate to use; None chooses on the validation part among three.
        decide_by: the measure that decides, a key of `anymax.lab.results.MEASURES`; None takes macro-F1 where the
            rarest class is rare, else top-1, and perplexity for text.
        device: "auto", "cpu", "cuda" or another accelerator name that Lightning Fabric knows.
        progress: called with each `Event` as it happens.

    Returns:
        The comparison, with `verdict=None`: `anymax.lab.verdict.judge` fills it.

    Raises:
        MethodError: a method name that does not exist, or none that fits; before any work.
        OptionError: any other option out of range (repeats, epochs, learning rate, measure, device); before any work.
    """
    raise NotImplementedError
