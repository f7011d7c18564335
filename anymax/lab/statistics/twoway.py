"""How sure a mean difference is that was measured on rows, in several repeats: by rows and by repeats at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

# of an error: as many as twenty repeats have. Training rows that all repeats share are not in it, and with hundreds of
# degrees of freedom the intervals of nearest mean covered 92 to 93 % (docs/how-sure-a-verdict-is.md)
MOST_FREEDOM = 19.0


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
    freedom: float

    def p_value(self, truth: float = 0.0) -> float:
        """Two-sided: how often a difference at least this far from `truth` comes up where that is the truth."""
        if self.error == 0:
            return 1.0 if self.mean == truth else 0.0
        return float(2 * stdtr(self.freedom, -abs(self.mean - truth) / self.error))

    def half_width(self, level: float) -> float:
        """Half the width of the interval that misses the truth with probability `level`."""
        return float(stdtrit(self.freedom, 1 - level / 2)) * self.error


@dataclass(frozen=True)
class Spread:
    """What the error of a mean difference is made of: variances of the mean with only one thing drawn by chance.

    Args:
        mean: over the repeats of their mean gains.
        by_cluster, by_repeat: clustered by what a row stands or falls with, by repeats.
        by_both: clustered by what shares cluster and repeat.
        clusters, repeats: how many there are.
        retested: of all pairs of a cluster's tests, a test with itself included, the share from two repeats; 0 where
            no cluster was tested twice.
    """

    mean: float
    by_cluster: float
    by_repeat: float
    by_both: float
    clusters: int
    repeats: int
    retested: float

    def estimate(self) -> Estimate:
        """The error where rows and repeats are both drawn by chance; see `estimate`."""
        variance = max(self.by_cluster + self.by_repeat - self.by_both, self.by_cluster, self.by_repeat)
        own = self.by_cluster**2 / (self.clusters - 1) + self.by_repeat**2 / (self.repeats - 1)
        freedom = variance**2 / own if own else min(self.clusters, self.repeats) - 1.0
        return Estimate(self.mean, math.sqrt(variance), min(freedom, MOST_FREEDOM))

    def of_rows(self) -> float:
        """The variance that no further repeat would reduce: that of the clusters, if each was tested forever.

        Two tests of a cluster have in common what comes of its rows, so their products say how much that is. Where no
        cluster was tested twice nothing says that any of `by_cluster` would stay, and it is 0: the least it can be.
        """
        if not self.retested:
            return 0.0
        return min(self.by_cluster, max(0.0, (self.by_cluster - self.by_both) / self.retested))

    def after(self, repeats: int) -> Spread:
        """What is to be expected after so many repeats: all but `of_rows` shrinks with their number."""
        stays, shrunk = self.of_rows(), self.repeats / repeats
        return replace(
            self,
            by_cluster=stays + (self.by_cluster - stays) * shrunk,
            by_repeat=self.by_repeat * shrunk,
            by_both=self.by_both * shrunk,
            repeats=repeats,
        )


def spread(gains: Gains) -> Spread:
    r"""What `estimate` adds up.

    With u_i = (g_i - mean) / (J n_r) for a row of a repeat with n_r rows, the three variances are

    .. math::
        \frac{G}{G - 1} \sum_{c} \Big(\sum_{i \in c} u_i\Big)^2, \quad
        \frac{J}{J - 1} \sum_{r} \Big(\sum_{i \in r} u_i\Big)^2, \quad
        \sum_{c, r} \Big(\sum_{i \in c \cap r} u_i\Big)^2

    over the G clusters, the J repeats, and what shares both.

    Raises:
        ValueError: fewer than two repeats or clusters, of which chance has no measure.
    """
    rows = np.bincount(gains.repeat)
    cluster = np.unique(gains.cluster, return_inverse=True)[1]
    repeats, clusters = len(rows), int(cluster.max()) + 1
    if min(repeats, clusters) < 2:
        raise ValueError(f"spread: {repeats} repeats of {clusters} clusters of rows do not say how much is chance")
    both = np.unique(cluster * repeats + gains.repeat, return_inverse=True)[1]
    weight = 1 / (repeats * rows[gains.repeat])
    mean = float(weight @ gains.gain)
    moved = weight * (gains.gain - mean)
    return Spread(
        mean,
        by_cluster=clusters / (clusters - 1) * _squares(moved, cluster),
        by_repeat=repeats / (repeats - 1) * _squares(moved, gains.repeat),
        by_both=_squares(moved, both),
        clusters=clusters,
        repeats=repeats,
        retested=1 - _squares(weight, both) / _squares(weight, cluster),
    )


def estimate(gains: Gains) -> Estimate:
    r"""The mean over the repeats of their mean gains, and its error where rows and repeats are both drawn by chance.

    The variance is that of clusters plus that of repeats minus that of both (`spread`), never less than either of the
    first two. Each of these two has as many degrees of freedom as clusters or repeats, less one; V has

    .. math:: \frac{V^2}{V_c^2 / (G - 1) + V_r^2 / (J - 1)}

    so that an error that comes from many rows does not pay for few repeats, but never more than `MOST_FREEDOM`.

    Raises:
        ValueError: fewer than two repeats or clusters, of which chance has no measure.

    Source: A. C. Cameron, J. B. Gelbach and D. L. Miller, Robust inference with multiway clustering, Journal of
    Business and Economic Statistics 29, 2011, section 2; F. E. Satterthwaite, An approximate distribution of estimates
    of variance components, Biometrics Bulletin 2, 1946.
    """
    return spread(gains).estimate()


def _squares(values: np.ndarray, groups: np.ndarray) -> float:
    """The sum over the groups of the square of their sums."""
    return float(np.square(np.bincount(groups, values)).sum())
