"""How sure a mean difference is that was measured on rows, in several repeats: by rows and by repeats at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit


@dataclass(frozen=True)
class Gains:
    """What each tested row adds to the difference between two methods, all repeats one after the other.

    Args:
        gain: of the method minus the reference, so that the mean over the rows of a repeat is its difference. Of a
            measure that is no mean over rows it is the difference plus that of the influence functions.
        repeat: in which repeat the row was tested, 0 to J - 1; each has rows.
        cluster: a number for what the row stands or falls with: itself and its duplicates, its group, its block of a
            text.
    """

    gain: np.ndarray
    repeat: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A mean difference, its standard error, and the degrees of freedom of that error."""

    mean: float
    error: float
    freedom: int

    def p_value(self, truth: float = 0.0) -> float:
        """Two-sided: how often a difference at least this far from `truth` comes up where that is the truth."""
        if self.error == 0:
            return 1.0 if self.mean == truth else 0.0
        return float(2 * stdtr(self.freedom, -abs(self.mean - truth) / self.error))

    def half_width(self, level: float) -> float:
        """Half the width of the interval that misses the truth with probability `level`."""
        return float(stdtrit(self.freedom, 1 - level / 2)) * self.error


def estimate(gains: Gains) -> Estimate:
    r"""The mean over the repeats of their mean gains, and its error where rows and repeats are both drawn by chance.

    With u_i = (g_i - mean) / (J n_r) for a row of a repeat with n_r rows, and the sum over what shares a cluster, a
    repeat, or both,

    .. math::
        V = \frac{G}{G - 1} \sum_{c} \Big(\sum_{i \in c} u_i\Big)^2
            + \frac{J}{J - 1} \sum_{r} \Big(\sum_{i \in r} u_i\Big)^2
            - \sum_{c, r} \Big(\sum_{i \in c \cap r} u_i\Big)^2

    and never less than either of the first two terms; min(J, G) - 1 degrees of freedom.

    Raises:
        ValueError: fewer than two repeats or clusters, of which chance has no measure.

    Source: A. C. Cameron, J. B. Gelbach and D. L. Miller, Robust inference with multiway clustering, Journal of
    Business and Economic Statistics 29, 2011, section 2.
    """
    rows = np.bincount(gains.repeat)
    repeats, clusters = len(rows), len(np.unique(gains.cluster))
    if min(repeats, clusters) < 2:
        raise ValueError(f"estimate: {repeats} repeats of {clusters} clusters of rows do not say how much is chance")
    weight = 1 / (repeats * rows[gains.repeat])
    mean = float(weight @ gains.gain)
    moved = weight * (gains.gain - mean)
    by_cluster = clusters / (clusters - 1) * _squares(moved, gains.cluster)
    by_repeat = repeats / (repeats - 1) * _squares(moved, gains.repeat)
    by_both = _squares(moved, gains.cluster.astype(np.int64) * repeats + gains.repeat)
    variance = max(by_cluster + by_repeat - by_both, by_cluster, by_repeat)
    return Estimate(mean, math.sqrt(variance), min(repeats, clusters) - 1)


def _squares(values: np.ndarray, groups: np.ndarray) -> float:
    """The sum over the groups of the square of their sums."""
    return float(np.square(np.bincount(np.unique(groups, return_inverse=True)[1], values)).sum())
