"""Which learning rate a method keeps: the one that stood best on the validation parts of the first repeats."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from anymax.lab.training.trial import Standing


def choose_rate(standings: Mapping[float, Sequence[Standing | None]], decide_by: str) -> float:
    """The rate with the best mean over the repeats, the lower one of equals.

    A rate at which a training diverged, which has no mean, is taken only where all have one.

    Args:
        standings: rate -> how its trainings stood at their best, by repeat; None where one diverged at once.
        decide_by: the deciding measure.
    """
    best: float | None = None
    for rate in sorted(standings):
        mean = _mean(standings[rate])
        if mean is not None and mean.beats(None if best is None else _mean(standings[best]), decide_by):
            best = rate
    if best is not None:
        return best
    return min(standings, key=lambda rate: (standings[rate].count(None), rate))


def _mean(standings: Sequence[Standing | None]) -> Standing | None:
    found = [standing for standing in standings if standing is not None]
    if len(found) < len(standings):
        return None
    return Standing(statistics.fmean(one.value for one in found), statistics.fmean(one.loss for one in found))
