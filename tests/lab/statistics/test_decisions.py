"""Better, worse, equivalent or open: levels that are kept over methods and looks, and intervals that say the same."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from anymax.lab.statistics.decisions import LEVEL, LOOKS, decide, further_repeats, share, spent
from anymax.lab.statistics.twoway import Estimate, Spread
from tests.lab.statistics.test_twoway import by_chance

MARGIN = 0.01


def of(mean, error=0.002, freedom=9, *, higher_is_better=True, level=LEVEL):
    (found,) = decide(
        {"one": Estimate(mean, error, freedom)}, margin=MARGIN, higher_is_better=higher_is_better, level=level
    ).values()
    return found


def test_each_answer_where_it_belongs():
    assert [of(mean).answer for mean in (0.02, -0.02, 0.001, 0.0)] == ["better", "worse", "equivalent", "equivalent"]
    assert of(-0.02, higher_is_better=False).answer == "better"
    assert of(0.02, error=0.02).answer == "open"
    # inside the margin and not 0: a difference, if a small one
    assert of(0.005, error=0.0005).answer == "better"
    # exactly the same in every row
    assert of(0.0, error=0.0).answer == "equivalent"


def test_equivalent_is_the_90_per_cent_interval_inside_the_margin():
    error, freedom = 0.003, 9
    half = stats.t.ppf(1 - LEVEL, freedom) * error
    edge = MARGIN - half
    assert of(edge - 1e-6, error, freedom).answer == "equivalent"
    assert of(edge + 1e-6, error, freedom).answer == "open"
    assert of(-edge + 1e-6, error, freedom).answer == "equivalent"


def test_looks_spend_the_whole_error_and_no_more():
    assert spent(40) == pytest.approx(LEVEL)
    assert sum(map(share, LOOKS)) == pytest.approx(LEVEL)
    assert spent(100) == pytest.approx(LEVEL)
    # a number between two looks has what the look before left it, and the next planned one is not made then
    assert share(7) == pytest.approx(spent(7) - spent(5))
    assert 0 < share(6) < share(9) < share(10)


def spread_of(mean, error=0.004, *, repeats=10, of_rows=0.0):
    """With so much error now, of which the share `of_rows` stays, in a thousand rows that each round tests once."""
    variance, retested = error**2, 1 - 5 / repeats
    of_rows, by_both = variance * of_rows, variance * (1 - of_rows) / 2
    by_cluster = by_both + of_rows * retested
    return Spread(mean, by_cluster, variance - by_cluster + by_both, by_both, 1000, repeats, retested)


def test_further_repeats_are_those_after_which_the_forecast_is_decided():
    decided = set()
    for mean, error, of_rows, methods in itertools.product(
        (0.0, 0.004, 0.012, 0.03), (0.002, 0.005, 0.01, 0.02), (0.0, 0.3, 1.0), (1, 3)
    ):
        parts = spread_of(mean, error, of_rows=of_rows)
        found = further_repeats(parts, margin=MARGIN, methods=methods)
        answers = {}
        for look in (20, 40):
            # all methods alike, so that Holm's first step is everybody's
            estimates = dict.fromkeys(map(str, range(methods)), parts.after(look).estimate())
            answers[look - 10] = decide(estimates, margin=MARGIN, higher_is_better=True, level=share(look))["0"].answer
        assert found == next((more for more, answer in answers.items() if answer != "open"), None)
        decided.add(found)
    assert decided == {10, 30, None}


def test_further_repeats_where_rows_are_what_is_missing():
    assert further_repeats(spread_of(0.006, 0.004, of_rows=1.0), margin=MARGIN) is None
    assert further_repeats(spread_of(0.006, 0.004, of_rows=0.0), margin=MARGIN) is not None
    # nothing is planned after the last look, and a look of the caller's own counts
    assert further_repeats(spread_of(0.0, repeats=40), margin=MARGIN) is None
    assert further_repeats(spread_of(0.0, repeats=40), margin=MARGIN, levels={40: LEVEL, 43: LEVEL}) == 3


def test_more_methods_need_more_repeats():
    parts = spread_of(0.012, 0.005)
    assert further_repeats(parts, margin=MARGIN, methods=1) == 10
    assert further_repeats(parts, margin=MARGIN, methods=20) == 30


def test_adjusts_by_holm_and_its_intervals_exclude_0_exactly_where_it_decides():
    random = np.random.default_rng(0)
    for _ in range(300):
        level = random.choice([0.05, 0.01])
        estimates = {str(i): Estimate(random.normal(0, 2.5), 1.0, 12) for i in range(4)}
        found = decide(estimates, margin=0.5, higher_is_better=True, level=level)
        assert list(found) == list(estimates)
        p_values = {name: 2 * stats.t.sf(abs(e.mean), 12) for name, e in estimates.items()}
        highest = 0.0
        for step, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
            highest = max(highest, min(1.0, (4 - step) * p_values[name]))
            decision = found[name]
            assert decision.p_adjusted == pytest.approx(highest)
            differs = decision.answer in ("better", "worse")
            assert differs == (highest < level)
            assert differs == (not decision.low <= 0 <= decision.high)
            assert decision.nominal == pytest.approx(stats.t.interval(0.95, 12, loc=decision.estimate.mean))
            assert decision.low <= decision.estimate.mean <= decision.high


def test_false_alarms_over_methods_and_looks_together_are_rare():
    random = np.random.default_rng(1)
    runs, alarms, every_look_at_full_level = 2000, 0, 0
    for _ in range(runs):
        # three methods that differ from their reference by chance alone, 40 repeats of each
        ours, *theirs = random.standard_normal((4, 40))
        spent_alarm = full_alarm = False
        for look in LOOKS:
            estimates = {
                str(i): Estimate(d.mean(), d.std(ddof=1) / math.sqrt(look), look - 1)
                for i, d in enumerate(np.array(theirs)[:, :look] - ours[:look])
            }
            for level in (share(look), LEVEL):
                found = decide(estimates, margin=0.0, higher_is_better=True, level=level).values()
                alarm = any(decision.answer != "open" for decision in found)
                spent_alarm, full_alarm = spent_alarm or (alarm and level < LEVEL), full_alarm or alarm
        alarms += spent_alarm
        every_look_at_full_level += full_alarm
    _, most = by_chance(runs, LEVEL)
    assert 0 < alarms <= most
    # the test can tell: four looks at the full level are too many
    assert every_look_at_full_level > most
