"""How sure a mean difference over repeats is: estimates, their intervals, and many of them decided together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from anymax.lab.results import Difference, Trial

LEVEL = 0.05
BOOTSTRAP_DRAWS = 2000
# Smaller relative differences are rounding, not chance: heads are trained in float32, whose step is 1.2e-7.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A mean difference to the reference, its standard error, and the degrees of freedom of that error."""

    mean: float
    error: float
    freedom: float

    @property
    def p_value(self) -> float:
        """Two-sided: how often a difference at least this large comes up where the truth is none."""
        if self.error == 0:
            return 1.0  # all differences are exactly zero
        return float(2 * stdtr(self.freedom, -abs(self.mean) / self.error))

    def half_width(self, level: float) -> float:
        """Half the width of the interval that misses the truth with probability `level`."""
        return float(stdtrit(self.freedom, 1 - level / 2)) * self.error


class NotTestable(Exception):
    """Why the repeats do not say how much of a difference is chance, as a clause."""


def identical(theirs: Sequence[float], ours: Sequence[float]) -> bool:
    """Whether two methods gave the same numbers in every repeat, but for rounding."""
    scale = max(map(abs, (*theirs, *ours)))
    return all(abs(t - o) <= ROUNDING * scale for t, o in zip(theirs, ours, strict=True))


def redrawn_estimate(
    differences: Sequence[float], *, test_items: int, train_items: int, counting: bool = False
) -> Estimate:
    """Mean paired difference over repeats that each draw train and test part anew: the corrected resampled t.

    The parts of different repeats overlap, so the differences are correlated and s^2 / J is too small a variance of
    their mean. With J repeats it is taken as

        s^2 (1 / J + test_items / train_items),    J - 1 degrees of freedom

    (C. Nadeau and Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003, section 3).

    It is exact where the results of any two repeats correlate by test_items / (train_items + test_items). The interval
    errs on the wide side where much of s^2 comes from training anew, which repeats share less than that: for
    class-mean classifiers with 180 training and 60 test rows, drawn ten times from the same 240, the error came out
    1.4 times the true one, and the 95 % interval missed the true difference in 0.25 % of 2,000 simulated runs.

    For a measure that counts items, s^2 is at least d (1 - d) / test_items with d the mean difference, or one item
    where that is more: the least variance of a mean of as many items worth -1, 0 or 1. Repeats that agree by the
    coarseness of the count are no surer than that. Repeats that agree to the last digit in any other measure were
    not drawn by chance, and are `NotTestable`.
    """
    mean = statistics.fmean(differences)
    variance = statistics.variance(differences)
    if counting:
        d = max(abs(mean), 1 / test_items)
        variance = max(variance, d * (1 - d) / test_items)
    _check_chance(mean, variance)
    repeats = len(differences)
    return Estimate(mean, math.sqrt(variance * (1 / repeats + test_items / train_items)), repeats - 1)


def fixed_estimate(
    differences: Sequence[float], trials: Sequence[Trial], reference: Sequence[Trial], key: str = "nll"
) -> Estimate:
    """Mean paired difference in a measure where every repeat has the same parts and only the start is new.

    The measure is the mean over the test part of what its items add, of which `Tested.block_sums` has the sums.

    Two sources of chance are added: the starts, s^2 / J with J - 1 degrees of freedom, and the test part, the
    variance of the mean difference over B contiguous blocks of it drawn with replacement (a block bootstrap, since
    neighbouring words are not independent), with B - 1. The degrees of freedom of the sum are Satterthwaite's. The
    training part is not redrawn: the answer is about heads trained on this one.
    """
    if any(key not in trial.tested.block_sums for trial in (*trials, *reference)):
        raise NotTestable(
            "the test part is the same in every repeat, and its difference in this measure is not a mean over the items"
        )
    tokens = np.asarray(trials[0].tested.block_items, dtype=np.float64)
    if len(tokens) < 2:
        raise NotTestable("the test part is a single block, so its own chance has no measure")
    if any(trial.tested.block_items != trials[0].tested.block_items for trial in (*trials, *reference)):
        raise ValueError("verdict: the trials of two methods were not measured on the same blocks of the test part")
    sums = _block_sums(trials, key) - _block_sums(reference, key)
    drawn = np.random.default_rng(0).integers(0, len(tokens), (BOOTSTRAP_DRAWS, len(tokens)))
    means = sums[drawn].sum(axis=1) / tokens[drawn].sum(axis=1)
    # B blocks drawn from B vary by (B - 1) / B less than B blocks drawn from all text of the kind.
    from_test = float(means.var(ddof=1)) * len(tokens) / (len(tokens) - 1)
    from_starts = statistics.variance(differences) / len(differences)
    mean = statistics.fmean(differences)
    variance = from_test + from_starts
    _check_chance(mean, variance)
    freedom = variance**2 / (from_test**2 / (len(tokens) - 1) + from_starts**2 / (len(differences) - 1))
    return Estimate(mean, math.sqrt(variance), freedom)


def _block_sums(trials: Sequence[Trial], key: str) -> np.ndarray:
    return np.mean([trial.tested.block_sums[key] for trial in trials], axis=0)


def _check_chance(mean: float, variance: float) -> None:
    if variance <= (ROUNDING * mean) ** 2:
        raise NotTestable("its difference is the same to the last digit in every repeat, so chance has no measure")


def with_holm(estimates: Mapping[str, Estimate]) -> dict[str, Difference]:
    """Decide about m differences together, so that a false decision among them comes up with at most 5 %.

    With p values p_(1) <= ... <= p_(m), the adjusted ones are max over k <= i of (m - k + 1) p_(k), capped at 1
    (S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979).

    The intervals are Bonferroni's, each at 5 % / m, so that all of them hold together with 95 %. They exclude 0
    where p < 5 % / m; Holm decides those and, step by step, some more. For one that is decided at step i and that
    Bonferroni leaves open, the bound next to 0 is that of the interval at 5 % / (m - i + 1), the level of its step,
    which excludes 0. So an interval excludes 0 exactly where the difference is decided.
    """
    steps = sorted(estimates, key=lambda name: estimates[name].p_value)
    total = len(steps)
    differences: dict[str, Difference] = {}
    adjusted = 0.0
    for step, name in enumerate(steps):
        e = estimates[name]
        adjusted = max(adjusted, min(1.0, (total - step) * e.p_value))
        decided = adjusted < LEVEL
        by_holm_alone = decided and e.p_value >= LEVEL / total
        half = e.half_width(LEVEL / total)
        half_to_zero = e.half_width(LEVEL / (total - step)) if by_holm_alone else half
        low = e.mean - (half_to_zero if e.mean > 0 else half)
        high = e.mean + (half_to_zero if e.mean < 0 else half)
        differences[name] = Difference(name, e.mean, low, high, e.p_value, adjusted, decided)
    return {name: differences[name] for name in estimates}
