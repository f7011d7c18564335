"""The forecast of a run: what it counts, and what follows from its numbers."""

import itertools

import pytest

from anymax.lab.training.forecast import (
    EXPECTED_EPOCHS,
    FEW_REPEATS,
    LONG_RUN,
    MANY_REPEATS,
    SHORT_TRAINING,
    Forecast,
    forecast,
)
from anymax.lab.training.trial import LOOKS_PER_BUDGET, Pace, Plan


def plan(**changes):
    options = {"task": "classification", "decide_by": "top1", "measured_ids": [0, 1], "epochs": 10, "patience": 5}
    return Plan(**(options | {"batch_size": 16} | changes))


def expected(plan, *, steps=(0.01, 0.02), look=0.1, rows=161, preparing=2.0, rates=3, tuned_once=False):
    paces = [Pace(step, look, 0) for step in steps]
    return forecast(plan, paces, train_rows=rows, preparing=preparing, rates=rates, tuned_once=tuned_once)


def test_seconds_are_steps_looks_and_preparing():
    # two methods, 3 rates, 4 repeats; 11 steps and a look per epoch, 3 looks' worth for the test part
    found = expected(plan())
    assert found.trainings(4) == 24
    steps = 12 * 10 * 11 * (0.01 + 0.02)
    looks = (12 * 10 + 3 * 4) * 2 * 0.1
    assert found.seconds(4) == pytest.approx(steps + looks + 4 * 2.0)


def test_rates_chosen_once_are_tried_in_the_first_repeat_alone():
    found = expected(plan(), tuned_once=True)
    assert [found.rounds(repeat) for repeat in range(3)] == [3, 1, 1]
    assert found.trainings(3) == 10
    steps = 5 * 10 * 11 * (0.01 + 0.02)
    looks = (5 * 10 + 3 * 3) * 2 * 0.1
    assert found.seconds(3) == pytest.approx(steps + looks + 2.0)


def test_a_table_is_expected_to_stop_early_and_a_text_is_not():
    assert expected(plan(epochs=100)).looks == EXPECTED_EPOCHS
    assert expected(plan(epochs=100, task="text")).looks == 100


def test_a_budget_is_the_time_in_steps_whatever_the_pace():
    found = expected(plan(budget=7.0), steps=(0.01, 5.0))
    assert found.in_steps == [7.0, 7.0]
    assert found.looks == LOOKS_PER_BUDGET


@pytest.mark.parametrize("tuned_once", [True, False])
def test_each_repeat_adds_trainings_and_time(tuned_once):
    found = expected(plan(), tuned_once=tuned_once)
    for fewer, more in itertools.pairwise(range(1, 12)):
        assert found.trainings(fewer) < found.trainings(more)
        assert found.seconds(fewer) < found.seconds(more)


@pytest.mark.parametrize(("steps", "repeats"), [(0.9, MANY_REPEATS), (1.1, FEW_REPEATS)])
def test_a_long_training_of_one_method_means_few_repeats(steps, repeats):
    found = Forecast([0.1, steps * SHORT_TRAINING], [0.0, 0.0], 1, 0.0, 3, False)
    assert found.usual_repeats == repeats


def test_the_fitting_budget_ends_the_run_in_time():
    found = expected(plan(), steps=(1.0, 3.0))
    assert found.seconds(10) > LONG_RUN
    budget = found.fitting_budget(10)
    assert budget is not None
    fitted = Forecast([budget, budget], found.evaluations, found.looks, found.preparing, 3, False)
    assert fitted.seconds(10) == pytest.approx(LONG_RUN)
    assert fitted.fitting_budget(9) is None
    # where looks alone take longer, a second of steps is the least
    assert expected(plan(), steps=(1.0, 3.0), look=100.0).fitting_budget(10) == 1.0
