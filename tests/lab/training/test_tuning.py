"""Which setting a method keeps."""

from __future__ import annotations

import pytest

from anymax.lab.training.trial import Standing
from anymax.lab.training.tuning import Setting, choose_setting


def standings(*values, loss=1.0):
    return [None if value is None else Standing(value, loss) for value in values]


def choose_rate(tried, decide_by):
    return choose_setting({Setting(rate): found for rate, found in tried.items()}, decide_by).learning_rate


@pytest.mark.parametrize(("decide_by", "rate"), [("top1", 0.1), ("nll", 0.01)])
def test_the_best_mean_over_the_repeats_wins(decide_by, rate):
    # 0.01 has the best single repeat by either direction
    tried = {0.01: standings(0.1, 0.99, 0.2), 0.1: standings(0.5, 0.6, 0.7)}
    assert choose_rate(tried, decide_by) == rate


def test_equals_are_told_apart_by_their_loss_and_then_the_lower_rate_is_kept():
    assert choose_rate({0.1: standings(0.5, loss=1.0), 0.2: standings(0.5, loss=0.9)}, "top1") == 0.2
    assert choose_rate({0.2: standings(0.5), 0.1: standings(0.5)}, "top1") == 0.1


def test_a_rate_that_diverged_somewhere_is_kept_only_where_all_did():
    assert choose_rate({0.1: standings(0.2, 0.2), 0.2: standings(0.9, None)}, "top1") == 0.1
    assert choose_rate({0.1: standings(None, None), 0.2: standings(0.9, None)}, "top1") == 0.2
    assert choose_rate({0.2: standings(None), 0.1: standings(None)}, "top1") == 0.1


def test_a_strength_is_chosen_as_a_rate_is_and_the_weaker_of_equals_kept():
    tried = {Setting(0.1, 0.5): standings(0.7), Setting(0.1, 0.25): standings(0.8), Setting(0.1, 0.125): standings(0.8)}
    assert choose_setting(tried, "top1") == Setting(0.1, 0.125)
    assert choose_setting(tried, "nll") == Setting(0.1, 0.5)
