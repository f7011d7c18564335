"""The error of a mean difference over rows and repeats: its formula, and intervals that cover a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from anymax.lab.statistics.twoway import MOST_FREEDOM, Estimate, Gains, estimate, spread
from tests.lab.statistics import trained

LEVEL = 0.05


def by_chance(runs, share):
    """Between how many and how many of so many runs it comes up, but for one time in a thousand (exact binomial)."""
    return stats.binom.ppf(0.0005, runs, share), stats.binom.ppf(0.9995, runs, share)


@pytest.mark.parametrize("seed", range(6))
def test_matches_the_formula_written_out(seed):
    random = np.random.default_rng(seed)
    # repeats of 3, 4 and 2 rows of 4 clusters, one of which comes twice in a repeat
    repeat, cluster = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 3, 0, 1, 2, 2])
    gain = random.standard_normal(9)
    found = estimate(Gains(gain, repeat, cluster))
    mean = np.mean([gain[repeat == r].mean() for r in range(3)])
    moved = [(g - mean) / (3 * np.sum(repeat == r)) for g, r in zip(gain, repeat, strict=True)]

    def squares(*labels):
        sums = {}
        for u, key in zip(moved, zip(*labels, strict=True), strict=True):
            sums[key] = sums.get(key, 0) + u
        return sum(value**2 for value in sums.values())

    terms = 4 / 3 * squares(cluster), 3 / 2 * squares(repeat), squares(cluster, repeat)
    assert found.mean == pytest.approx(mean)
    variance = max(terms[0] + terms[1] - terms[2], *terms[:2])
    assert found.error**2 == pytest.approx(variance)
    # Satterthwaite's, of 4 clusters and 3 repeats
    assert found.freedom == pytest.approx(variance**2 / (terms[0] ** 2 / 3 + terms[1] ** 2 / 2))


@pytest.mark.parametrize("seed", range(20))
def test_is_never_surer_than_rows_or_repeats_alone(seed):
    random = np.random.default_rng(seed)
    repeat, cluster = np.repeat(np.arange(5), 6), random.permutation(30) % 7
    gain = random.standard_normal(30)
    found = estimate(Gains(gain, repeat, cluster))
    moved = (gain - found.mean) / 30
    for groups in (repeat, cluster):
        sums, count = np.bincount(groups, moved), groups.max() + 1
        assert found.error**2 >= count / (count - 1) * np.square(sums).sum() * (1 - 1e-12)


def test_numbers_of_clusters_and_the_order_of_rows_mean_nothing():
    random = np.random.default_rng(1)
    gain, repeat, cluster = random.standard_normal(60), np.repeat(np.arange(6), 10), random.integers(0, 25, 60)
    one = estimate(Gains(gain, repeat, cluster))
    order = random.permutation(60)
    two = estimate(Gains(gain[order], repeat[order], 1000 - 7 * cluster[order]))
    assert (one.mean, one.error) == pytest.approx((two.mean, two.error))
    assert one.freedom == pytest.approx(two.freedom)


def test_the_same_on_every_row_has_no_error_and_no_chance():
    found = estimate(Gains(np.zeros(10), np.repeat([0, 1], 5), np.arange(10)))
    assert (found.mean, found.error, found.freedom, found.p_value()) == (0, 0, 1, 1)
    assert Estimate(0.1, 0.0, 4).p_value() == 0


def test_is_never_surer_of_its_error_than_twenty_repeats_would_be():
    random = np.random.default_rng(8)
    # rows carry it all, and there are thousands of them
    found = estimate(
        Gains(np.tile(random.standard_normal(5000), 4), np.repeat([0, 1, 2, 3], 5000), np.tile(range(5000), 4))
    )
    assert found.freedom == MOST_FREEDOM == 19


@pytest.mark.parametrize(("repeat", "cluster"), [([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [4, 4, 4])])
def test_chance_has_no_measure_in_one_repeat_or_one_cluster(repeat, cluster):
    with pytest.raises(ValueError, match="do not say how much is chance"):
        estimate(Gains(np.arange(3.0), np.array(repeat), np.array(cluster)))


def effects(random, *, repeats, rows, tested, of_row, of_repeat, own, truth):
    """Gains that rows and repeats move, of rows that are drawn anew in each repeat."""
    row_effect, repeat_effect = of_row * random.standard_normal(rows), of_repeat * random.standard_normal(repeats)
    row = np.concatenate([random.permutation(rows)[:tested] for _ in range(repeats)])
    repeat = np.repeat(np.arange(repeats), tested)
    gain = truth + row_effect[row] + repeat_effect[repeat] + own * random.standard_normal(len(row))
    return Gains(gain, repeat, row)


@pytest.mark.parametrize(
    ("of_row", "of_repeat", "needed"),
    [(1.0, 0.0, "rows"), (0.0, 0.3, "repeats"), (1.0, 0.5, "both")],
)
def test_intervals_cover_whatever_moves_the_gains(of_row, of_repeat, needed):
    random = np.random.default_rng(3)
    runs, truth, missed, by_rows, by_repeats = 1500, 0.3, 0, 0, 0
    for _ in range(runs):
        gains = effects(
            random, repeats=20, rows=80, tested=40, of_row=of_row, of_repeat=of_repeat, own=0.5, truth=truth
        )
        found = estimate(gains)
        missed += abs(found.mean - truth) > found.half_width(LEVEL)
        moved = (gains.gain - found.mean) / len(gains.gain)
        for groups, count in ((gains.cluster, "rows"), (gains.repeat, "repeats")):
            alone = math.sqrt(np.square(np.bincount(groups, moved)).sum())
            misses = abs(found.mean - truth) > stats.t.ppf(1 - LEVEL / 2, found.freedom) * alone
            by_rows, by_repeats = by_rows + misses * (count == "rows"), by_repeats + misses * (count == "repeats")
    assert missed <= by_chance(runs, LEVEL)[1]
    # the test can tell: with one of the two left out intervals are too narrow
    _, most = by_chance(runs, LEVEL)
    if needed != "rows":
        assert by_rows > 1.5 * most
    if needed != "repeats":
        assert by_repeats > 1.5 * most


def test_duplicates_are_no_further_rows():
    random = np.random.default_rng(4)
    runs, missed, missed_apart = 1000, 0, 0
    for _ in range(runs):
        gains = effects(random, repeats=10, rows=60, tested=30, of_row=1.0, of_repeat=0.0, own=0.2, truth=0.0)
        four = Gains(np.tile(gains.gain, 4), np.tile(gains.repeat, 4), np.tile(gains.cluster, 4))
        together = estimate(four)
        apart = estimate(Gains(four.gain, four.repeat, four.cluster + 60 * np.repeat(np.arange(4), len(gains.gain))))
        missed += abs(together.mean) > together.half_width(LEVEL)
        missed_apart += abs(apart.mean) > apart.half_width(LEVEL)
    assert missed <= by_chance(runs, LEVEL)[1]
    assert missed_apart > 2 * by_chance(runs, LEVEL)[1]


def in_folds(random, *, rounds, rows, of_row, of_repeat, own):
    """Gains that rows and repeats move, of rows that each round tests once."""
    repeats, row = 5 * rounds, np.concatenate([random.permutation(rows) for _ in range(rounds)])
    repeat = np.repeat(np.arange(repeats), rows // 5)
    row_effect, repeat_effect = of_row * random.standard_normal(rows), of_repeat * random.standard_normal(repeats)
    return Gains(row_effect[row] + repeat_effect[repeat] + own * random.standard_normal(len(row)), repeat, row)


@pytest.mark.parametrize(("of_row", "of_repeat"), [(1.0, 0.0), (0.0, 0.5), (0.6, 0.3), (0.0, 0.0)])
def test_tells_what_repeats_cannot_reduce(of_row, of_repeat):
    random = np.random.default_rng(5)
    rows, runs = 200, 300
    found, after, later = [], [], []
    for _ in range(runs):
        gains = in_folds(random, rounds=8, rows=rows, of_row=of_row, of_repeat=of_repeat, own=1.0)
        parts = spread(trained.until(gains, 10))
        found.append(parts.of_rows())
        after.append(parts.after(40).by_cluster)
        later.append(spread(gains).by_cluster)
        assert 0 <= parts.of_rows() <= parts.by_cluster
    # three standard errors, of the median since none falls below 0
    error = 3 * 1.25 * np.std(found) / math.sqrt(runs)
    assert np.median(found) == pytest.approx(of_row**2 / rows, abs=error)
    assert np.median(after) == pytest.approx(np.median(later), abs=3 * 1.25 * np.std(after) / math.sqrt(runs))


def test_after_one_round_nothing_says_that_any_error_would_stay():
    random = np.random.default_rng(6)
    parts = spread(Gains(random.standard_normal(40), np.repeat(np.arange(5), 8), random.permutation(40)))
    assert parts.retested == 0
    assert parts.of_rows() == 0
    later = parts.after(20)
    found = [later.by_cluster, later.by_repeat, later.by_both]
    np.testing.assert_allclose(found, np.array([parts.by_cluster, parts.by_repeat, parts.by_both]) / 4)
    assert parts.after(5) == parts


def test_rows_that_every_repeat_tests_are_all_pairs_but_their_own():
    parts = spread(Gains(np.random.default_rng(7).standard_normal(30), np.repeat([0, 1, 2], 10), np.tile(range(10), 3)))
    assert parts.retested == pytest.approx(2 / 3)
