"""What a run says of itself while it goes on: plain data, sent to whoever follows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Planned:
    """How many trainings there will be and how long all will take; sent once, before any training."""

    trainings: int
    repeats: int
    methods: list[str]
    learning_rates: list[float]
    epochs: int | None  # None where a budget limits each training
    budget: float | None
    seconds: float  # forecast for the whole run, from a few timed steps of each method
    fitting_budget: float | None  # the budget with which a run that takes long would end in about half an hour
    already_done: int  # trainings that an earlier, interrupted run left


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


@dataclass(frozen=True)
class FoundFinished:
    """This very run was carried out before; its results are those of the folder."""

    folder: Path


Event = FoundFinished | Planned | TrainingStarted | EpochDone | TrainingDone | RepeatDone
