"""Which setting a method keeps: the one that stood best on the validation parts of the first repeats."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anymax.lab.training.trial import Standing


@dataclass(frozen=True, order=True)
class Setting:
    """What a method is trained at."""

    learning_rate: float
    strength: float | None = None  # None where the method has none


def choose_setting(standings: Mapping[Setting, Sequence[Standing | None]], decide_by: str) -> Setting:
    """The setting with the best mean over the repeats, the lower one of equals.

    A setting at which a training diverged, which has no mean, is taken only where all have one.

    Args:
        standings: setting -> how its trainings stood at their best, by repeat; None where one diverged at once.
        decide_by: the deciding measure.
    """
    best: Setting | None = None
    for setting in sorted(standings):
        mean = _mean(standings[setting])
        if mean is not None and mean.beats(None if best is None else _mean(standings[best]), decide_by):
            best = setting
    if best is not None:
        return best
    return min(standings, key=lambda setting: (standings[setting].count(None), setting))


def _mean(standings: Sequence[Standing | None]) -> Standing | None:
    found = [standing for standing in standings if standing is not None]
    if len(found) < len(standings):
        return None
    return Standing(statistics.fmean(one.value for one in found), statistics.fmean(one.loss for one in found))
