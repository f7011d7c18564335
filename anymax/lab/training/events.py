"""What a run says of itself while it goes on: plain data, sent to whoever follows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Planned:
    """What there is to do until the first look, and how long it takes; sent once, before any training."""

    trainings: int
    repeats: int
    most_repeats: int
    within: float | None  # seconds after which no further repeat begins
    methods: list[str]
    learning_rates: list[float]
    epochs: int | None  # None where a budget limits each training
    budget: float | None
    seconds: float  # forecast from a few timed steps of each method
    fitting_budget: float | None  # the budget with which it would take no longer than it should
    already_done: int  # trainings that an earlier run in the same folder left


@dataclass(frozen=True)
class TrainingStarted:
    """One method begins training at one learning rate and strength in one repeat (counted from 0)."""

    method: str
    repeat: int
    learning_rate: float
    strength: float | None = None  # of a method that has one


@dataclass(frozen=True)
class EpochDone:
    """An epoch (counted from 1) is over; `validation` is the deciding measure, None where training diverged."""

    method: str
    repeat: int
    learning_rate: float
    epoch: int
    validation: float | None
    strength: float | None = None


@dataclass(frozen=True)
class TrainingDone:
    """One training is over, `done` of the planned ones are; early stopping may have ended it before `epochs`."""

    method: str
    repeat: int
    learning_rate: float
    best_validation: float | None
    seconds: float  # wall clock of this training, evaluation included
    done: int
    strength: float | None = None


@dataclass(frozen=True)
class RepeatDone:
    """All methods are finished with one repeat: its trials stand in the result."""

    repeat: int


@dataclass(frozen=True)
class Looked:
    """So many repeats were looked at; the next look, where the run goes on, is after `next_look` of them."""

    repeats: int
    undecided: list[str]  # the methods of which nothing is decided
    next_look: int
    trainings: int  # that there will have been by then


@dataclass(frozen=True)
class FoundFinished:
    """This very run was carried out before; its results are those of the folder."""

    folder: Path


@dataclass(frozen=True)
class FinalTraining:
    """The method that was picked is trained once more, on all rows, to be kept."""

    method: str
    epochs: float


@dataclass(frozen=True)
class NoModel:
    """No model is kept, and why: the end of a sentence."""

    why: str


Event = (
    FinalTraining | FoundFinished | NoModel | Planned | TrainingStarted | EpochDone | TrainingDone | RepeatDone | Looked
)
