"""The forecast of a run: what it counts, and what follows from its numbers."""

import itertools

import pytest

from anymax.lab.training.forecast import EXPECTED_EPOCHS, LONG_RUN, Forecast, forecast
from anymax.lab.training.trial import LOOKS_PER_BUDGET, Pace, Plan


def plan(**changes):
    options = {"task": "classification", "decide_by": "top1", "measured_ids": [0, 1], "epochs": 10, "patience": 5}
    return Plan(**(options | {"batch_size": 16} | changes))


def expected(
    plan, *, steps=(0.01, 0.02), look=0.1, rows=161, preparing=2.0, rates=3, strengths=(0, 0), tuning=5, redrawn=True
):
    paces = [Pace(step, look, 0) for step in steps]
    return forecast(
        plan,
        paces,
        train_rows=rows,
        preparing=preparing,
        rates=rates,
        strengths=strengths,
        tuning_repeats=tuning,
        redrawn=redrawn,
    )


def test_seconds_are_steps_looks_and_preparing():
    # two methods, 3 rates, 4 repeats; 11 steps and a look per epoch, 3 looks' worth for the test part
    found = expected(plan())
    assert found.trainings(4) == 24
    steps = 12 * 10 * 11 * (0.01 + 0.02)
    looks = 12 * (10 + 3) * 2 * 0.1
    assert found.seconds(4) == pytest.approx(steps + looks + 4 * 2.0)
    assert expected(plan(), redrawn=False).seconds(4) == pytest.approx(steps + looks + 2.0)


def test_all_rates_are_tried_in_the_first_repeats_alone():
    assert [expected(plan(), tuning=2).per_method(repeats)[0] for repeats in range(5)] == [0, 3, 6, 7, 8]
    assert expected(plan(), tuning=1).trainings(3) == 10


def test_strengths_are_trainings_of_their_method_and_parts_drawn_once_more():
    found, without = expected(plan(), tuning=2, strengths=(0, 4)), expected(plan(), tuning=2)
    assert found.per_method(3) == [7, 15]
    assert found.trainings(3) == 22
    assert found.seconds(3) - without.seconds(3) == pytest.approx(8 * (10 * 11 * 0.02 + 13 * 0.1) + 2 * 2.0)
    shared = expected(plan(), tuning=2, strengths=(0, 4), redrawn=False)
    assert shared.seconds(3) == pytest.approx(found.seconds(3) - (5 - 1) * 2.0)


def test_a_table_is_expected_to_stop_early_and_a_text_is_not():
    assert expected(plan(epochs=100)).looks == EXPECTED_EPOCHS
    assert expected(plan(epochs=100, task="text")).looks == 100


def test_a_budget_is_the_time_in_steps_whatever_the_pace():
    found = expected(plan(budget=7.0), steps=(0.01, 5.0))
    assert found.in_steps == [7.0, 7.0]
    assert found.looks == LOOKS_PER_BUDGET


@pytest.mark.parametrize("tuning", [1, 5])
def test_each_repeat_adds_trainings_and_time(tuning):
    found = expected(plan(), tuning=tuning)
    for fewer, more in itertools.pairwise(range(1, 12)):
        assert found.trainings(fewer) < found.trainings(more)
        assert found.seconds(fewer) < found.seconds(more)


@pytest.mark.parametrize(("limit", "seconds"), [(None, LONG_RUN), (900.0, 900.0)])
def test_the_fitting_budget_ends_the_run_in_time(limit, seconds):
    found = expected(plan(), steps=(1.0, 3.0))
    assert found.seconds(10) > LONG_RUN
    budget = found.fitting_budget(10, limit)
    assert budget is not None
    fitted = Forecast([budget, budget], found.evaluations, found.looks, found.preparing, [3, 3], 5, 1)
    assert fitted.seconds(10) == pytest.approx(seconds)
    assert fitted.fitting_budget(9, limit) is None
    # where looks alone take longer, a second of steps is the least
    assert expected(plan(), steps=(1.0, 3.0), look=100.0).fitting_budget(10, limit) == 1.0
