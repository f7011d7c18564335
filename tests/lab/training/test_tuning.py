"""Which learning rate a method keeps."""

from __future__ import annotations

import pytest

from anymax.lab.training.trial import Standing
from anymax.lab.training.tuning import choose_rate


def standings(*values, loss=1.0):
    return [None if value is None else Standing(value, loss) for value in values]


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
