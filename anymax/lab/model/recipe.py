"""How the method that was picked is trained once more, on all rows: what the repeats chose, and nothing else."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from anymax.lab.options import Precision
from anymax.lab.results import Comparison, Trial
from anymax.lab.training.trial import UNTIMED_STEPS


class NotKept(Exception):
    """There is no model to keep; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Recipe:
    """All that was chosen for the model.

    Args:
        method: the one that was picked.
        learning_rate: its own, chosen in the first repeats.
        strength: the same, of a method that has one.
        epochs: the median of those after which it was best on the validation parts. Under a budget of seconds, which
            would train another model on another machine, it is what the steps up to the best look come to.
        temperature: the median of those fitted on the validation parts; None where the method defines no law. One at
            the end of those searched, as where every answer is right, says nothing and counts as 1.
        batch_size: rows a step.
        precision: of the training steps.
        backbone: the name of the network before the head.
        own_backbone: whether it is the user's.
        repeats: how many repeats chose.
        data: the fingerprint of what was read.
    """

    method: str
    learning_rate: float
    strength: float | None
    epochs: float
    temperature: float | None
    batch_size: int
    precision: Precision
    backbone: str
    own_backbone: bool
    repeats: int
    data: str


def recipe_of(comparison: Comparison) -> Recipe:
    """What the repeats of a comparison say of the model to keep.

    Raises:
        NotKept: there is none.
    """
    if comparison.data.task == "text":
        raise NotKept("the data are text")
    if comparison.verdict is None:
        raise NotKept("there is no verdict")
    pick = comparison.verdict.pick
    trained = [trial for trial in comparison.of(pick) if not trial.diverged]
    if not trained:
        raise NotKept(f"{pick} diverged in every repeat")
    return Recipe(
        method=pick,
        learning_rate=trained[0].learning_rate,
        strength=trained[0].strength,
        epochs=epochs_of(comparison, trained),
        temperature=temperature_of(trained),
        batch_size=comparison.options["batch_size"],
        precision=comparison.options["precision"],
        backbone=comparison.options["backbone"],
        own_backbone=comparison.asked.get("backbone") is not None,
        repeats=comparison.repeats,
        data=comparison.data.fingerprint,
    )


def epochs_of(comparison: Comparison, trained: list[Trial]) -> float:
    """The median of the epochs that were best; of a budget's looks the epochs that the steps before them make."""
    if "budget" not in comparison.options:
        return statistics.median_high(trial.best_epoch for trial in trained)
    rows_a_step = comparison.options["batch_size"] / comparison.data.train_items
    return statistics.median(rows_a_step * _steps_to_best(trial) for trial in trained)


def _steps_to_best(trial: Trial) -> float:
    timed = trial.curve.seconds[trial.best_epoch - 1] / trial.seconds_per_step if trial.seconds_per_step else 0.0
    return UNTIMED_STEPS + timed


def temperature_of(trained: list[Trial]) -> float | None:
    """The median temperature; None where no trial has one."""
    found = [trial.tested.scaled for trial in trained if trial.tested.scaled is not None]
    if not found:
        return None
    return statistics.median(1.0 if scaled.at_bound else scaled.temperature for scaled in found)
