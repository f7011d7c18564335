"""Sizes and times of a run, worked out from the data's and from a few timed steps: numbers in, numbers out."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

from anymax.lab.measure import Task
from anymax.lab.results import DataInfo
from anymax.lab.training.trial import LOOKS_PER_BUDGET, Pace, Plan

TABLE_STEPS = 1500  # training steps that suffice for a table; early stopping ends most trainings before
FEWEST_EPOCHS, MOST_EPOCHS = 20, 100
TEXT_EPOCHS = 8
PATIENCE: dict[Task, int] = {"classification": 10, "multilabel": 10, "text": 2}
TEXT_BATCH = 32  # windows
EXPECTED_EPOCHS = 25  # after which early stopping has ended a table's training: 14 to 45 in docs/data-sets.md
TEST_LOOKS = 3  # what measuring the test part costs, in looks at the validation part
LONG_RUN = 1800.0  # seconds; without a limit, a longer run is announced with the budget that would end it by then


def batch_size(info: DataInfo) -> int:
    """Windows for text; else a power of two from 16 to 512 that leaves about 16 steps or more to an epoch."""
    if info.task == "text":
        return TEXT_BATCH
    return min(512, max(16, 1 << int(math.log2(max(1, info.train_items / 16)))))


def epochs(info: DataInfo) -> int:
    """As many epochs as make `TABLE_STEPS` steps, within bounds; for text what a few minutes allow."""
    if info.task == "text":
        return TEXT_EPOCHS
    steps_per_epoch = math.ceil(info.train_items / batch_size(info))
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(TABLE_STEPS / steps_per_epoch)))


@dataclass(frozen=True)
class Forecast:
    """How many trainings a run has and how long it takes, by the number of its repeats."""

    in_steps: Sequence[float]  # per method, seconds in the training steps of one training
    evaluations: Sequence[float]  # per method, seconds of one look at the validation part
    looks: int  # at the validation part, in one training
    preparing: float  # seconds to draw and prepare the parts of one repeat
    settings: Sequence[int]  # per method, learning rates and then further strengths to choose from
    tuning_repeats: int  # in which all of them are tried
    draws: int  # how often the parts of one of these are drawn; 0 where all repeats share the same

    def per_method(self, repeats: int) -> list[int]:
        """How often each method is trained."""
        tuning = min(repeats, self.tuning_repeats)
        return [tuning * settings + repeats - tuning for settings in self.settings]

    def trainings(self, repeats: int) -> int:
        """How many trainings there are."""
        return sum(self.per_method(repeats))

    def seconds(self, repeats: int) -> float:
        """How long all of it takes."""
        return sum(map(operator.mul, self.per_method(repeats), self.in_steps)) + self._other(repeats)

    def fitting_budget(self, repeats: int, limit: float | None) -> float | None:
        """The seconds in steps of each training with which a run that takes longer than it should would not."""
        limit = LONG_RUN if limit is None else limit
        if self.seconds(repeats) <= limit:
            return None
        return max(1.0, (limit - self._other(repeats)) / self.trainings(repeats))

    def _other(self, repeats: int) -> float:
        """Seconds outside of training steps."""
        looks = sum(map(operator.mul, self.per_method(repeats), self.evaluations)) * (self.looks + TEST_LOOKS)
        tuning = min(repeats, self.tuning_repeats)
        draws = tuning * self.draws + repeats - tuning if self.draws else 1
        return looks + self.preparing * draws


def forecast(
    plan: Plan,
    paces: Sequence[Pace],
    *,
    train_rows: int,
    preparing: float,
    rates: int,
    strengths: Sequence[int],
    tuning_repeats: int,
    redrawn: bool,
) -> Forecast:
    """What a few steps of each method say of the whole run.

    Args:
        plan: what all trainings share.
        paces: of each method.
        train_rows: rows or windows of the training part.
        preparing: seconds that the parts of the first repeat took.
        rates: learning rates to choose from.
        strengths: per method, those to choose from beside the one at which the rates are tried.
        tuning_repeats: in how many repeats all of them are tried.
        redrawn: whether parts are drawn anew in each repeat.
    """
    steps = math.ceil(train_rows / plan.batch_size)
    expected = plan.epochs if plan.task == "text" else min(plan.epochs, EXPECTED_EPOCHS)
    return Forecast(
        in_steps=[plan.budget or expected * steps * pace.step for pace in paces],
        evaluations=[pace.evaluation for pace in paces],
        looks=LOOKS_PER_BUDGET if plan.budget else expected,
        preparing=preparing,
        settings=[rates + others for others in strengths],
        tuning_repeats=tuning_repeats,
        # once more for the strengths, which are tried when the rates are chosen
        draws=(2 if any(strengths) else 1) if redrawn else 0,
    )
