"""What the repeats say of the model to keep."""

import dataclasses

import pytest

from anymax.lab.model.recipe import NotKept, Recipe, recipe_of
from anymax.lab.results import Curve
from tests.lab.comparisons import make_comparison, verdict_of


def judged(values=None, **arguments):
    comparison = make_comparison(values or {"softmax": [0.9] * 4, "nce": [0.8] * 4}, **arguments)
    comparison.options |= {"batch_size": 30, "precision": "32-true", "backbone": "module:factory"}
    verdict_of(comparison, {"nce": "worse"})
    return comparison


def with_trials(comparison, **values):
    """The trials of softmax with these attributes, by repeat."""
    for name, by_repeat in values.items():
        for trial, value in zip(comparison.of("softmax"), by_repeat, strict=True):
            setattr(trial, name, value)
    return comparison


def with_temperatures(comparison, temperatures, at_bound):
    for trial, temperature, bound in zip(comparison.of("softmax"), temperatures, at_bound, strict=True):
        scaled = dataclasses.replace(trial.tested.scaled, temperature=temperature, at_bound=bound)
        trial.tested = dataclasses.replace(trial.tested, scaled=scaled)
    return comparison


def test_the_median_of_the_best_epochs_is_trained_for():
    assert recipe_of(with_trials(judged(), best_epoch=[2, 3, 30, 9])).epochs == 9


def test_a_repeat_that_diverged_has_no_say_in_it():
    assert recipe_of(with_trials(judged(), best_epoch=[0, 0, 0, 7])).epochs == 7


def test_a_budget_is_translated_into_epochs_by_its_steps():
    """1,200 rows in batches of 30 are 40 steps an epoch, and the clock leaves the first three out."""
    comparison = judged(train_items=1200)
    comparison.options["budget"] = 60.0
    with_trials(
        comparison,
        best_epoch=[2] * 4,
        seconds_per_step=[0.5] * 4,
        curve=[Curve([1.0, 0.5 * steps, 90.0], [0.7, 0.8, 0.7]) for steps in (37, 77, 97, 397)],
    )
    assert recipe_of(comparison).epochs == pytest.approx((80 + 100) / 2 / 40)


def test_the_median_temperature_divides_the_scores():
    comparison = with_temperatures(judged(), [1.5, 1.1, 4.0, 1.3], [False] * 4)
    assert recipe_of(comparison).temperature == pytest.approx(1.4)


def test_a_temperature_at_the_end_of_those_searched_says_nothing():
    comparison = with_temperatures(judged(), [0.01, 0.01, 0.01, 1.3], [True, True, True, False])
    assert recipe_of(comparison).temperature == 1.0


def test_a_method_without_a_law_has_no_temperature():
    comparison = judged(without_law=["softmax", "nce"])
    assert recipe_of(comparison).temperature is None


def test_all_that_was_chosen_is_in_it():
    comparison = with_trials(judged(rates={"softmax": 1e-2}), strength=[0.5] * 4, best_epoch=[2] * 4)
    comparison.asked = {"backbone": "module:factory"}
    assert recipe_of(comparison) == Recipe(
        method="softmax",
        learning_rate=1e-2,
        strength=0.5,
        epochs=2,
        temperature=1.25,
        batch_size=30,
        precision="32-true",
        backbone="module:factory",
        own_backbone=True,
        repeats=4,
        data="a fingerprint",
    )


@pytest.mark.parametrize(
    ("comparison", "why"),
    [
        (judged(task="text"), "text"),
        (with_trials(judged(), best_epoch=[0] * 4), "softmax diverged in every repeat"),
    ],
    ids=["text", "diverged"],
)
def test_where_there_is_no_model_to_keep_it_says_why(comparison, why):
    with pytest.raises(NotKept, match=why):
        recipe_of(comparison)
