"""Verdicts: which method is picked, when the data do not decide, and what is said of other aims."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anymax.lab.summary import times_to_quality
from anymax.lab.verdict import judge
from tests.lab.comparisons import around, make_comparison


def test_a_head_better_by_a_known_margin_is_picked():
    softmax = around(0.90, 0.01)
    nce = [value + d for value, d in zip(softmax, around(0.03, 0.006, seed=1), strict=True)]
    verdict = judge(make_comparison({"softmax": softmax, "nce": nce, "gumbel": around(0.90, 0.01, seed=2)}))
    assert (verdict.reference, verdict.pick, verdict.decided) == ("softmax", "nce", True)
    nce_difference, gumbel_difference = verdict.differences
    assert nce_difference.low < 0.03 < nce_difference.high
    assert nce_difference.low > 0
    assert not gumbel_difference.decided
    assert verdict.text.startswith("Take nce: its top-1 accuracy is 0.9")


def test_lower_is_better_where_the_measure_says_so():
    softmax = around(0.30, 0.01)
    nce = [value + 0.05 + d for value, d in zip(softmax, around(0, 0.005, seed=1), strict=True)]
    verdict = judge(make_comparison({"nce": nce, "softmax": softmax}, decide_by="nll", baseline=2.3))
    assert (verdict.reference, verdict.pick, verdict.decided) == ("softmax", "softmax", True)
    assert "the closest is nce" in verdict.text


@pytest.mark.parametrize("decide_by", ["top1", "nll"])
def test_one_head_under_two_names_is_not_decided(decide_by):
    same = around(0.9, 0.01)
    for repeats in (same, [0.9] * 10):
        verdict = judge(make_comparison({"softmax": repeats, "twin": list(repeats)}, decide_by=decide_by))
        assert (verdict.pick, verdict.decided) == ("softmax", False)
        (difference,) = verdict.differences
        assert (difference.mean, difference.p_adjusted) == (0, 1)
        assert difference.low <= 0 <= difference.high
        assert "twin gave the same" in verdict.text


def test_rounding_is_no_difference():
    """Sampled softmax with all classes drawn is softmax, in another order of float32 sums."""
    ours = around(0.9, 0.01)
    theirs = [v + 1e-8 + d for v, d in zip(ours, around(0, 1e-10, seed=1), strict=True)]
    verdict = judge(make_comparison({"softmax": ours, "sampled": theirs}, decide_by="nll", baseline=2.3))
    assert not verdict.decided
    assert "sampled gave the same" in verdict.text


def test_equal_counts_are_no_proof_of_equality():
    """A width of zero would claim more than 36 test items can show."""
    verdict = judge(make_comparison({"softmax": [0.95] * 3, "nce": [0.95] * 3}, test_items=36, train_items=106))
    (difference,) = verdict.differences
    assert difference.low < -1 / 36
    assert difference.high > 1 / 36


def test_differences_that_cancel_are_not_called_the_same():
    values = {"softmax": [0.9, 0.9, 0.9, 0.9], "nce": [0.89, 0.91, 0.88, 0.92]}
    assert "gave the same" not in judge(make_comparison(values)).text


def test_a_constant_difference_has_no_measure_of_chance():
    ours = around(0.5, 0.01)
    verdict = judge(make_comparison({"softmax": ours, "nce": [v - 0.125 for v in ours]}, decide_by="nll", baseline=2.3))
    assert (verdict.pick, verdict.decided, verdict.differences) == ("softmax", False, [])
    assert "the same to the last digit" in verdict.text


def test_undecided_takes_the_simplest_and_names_the_worse():
    softmax = around(0.9, 0.01)
    verdict = judge(
        make_comparison(
            {
                "gumbel": around(0.9, 0.01, seed=1),
                "softmax": softmax,
                "nce": [v - 0.1 + d for v, d in zip(softmax, around(0, 0.01, seed=2), strict=True)],
            }
        )
    )
    assert (verdict.reference, verdict.pick, verdict.decided) == ("softmax", "softmax", False)
    assert "do not decide between softmax and gumbel" in verdict.text
    assert "Decidedly worse than softmax: nce" in verdict.text


def test_without_softmax_the_first_method_is_the_reference():
    verdict = judge(make_comparison({"nce": around(0.9, 0.01), "sampled": around(0.9, 0.01, seed=1)}))
    assert (verdict.reference, verdict.pick) == ("nce", "nce")


def test_two_winners_are_both_named():
    softmax = around(0.8, 0.01)
    better = {
        name: [v + 0.08 + shift + d for v, d in zip(softmax, around(0, 0.01, seed=seed), strict=True)]
        for name, shift, seed in (("nce", 0.0, 1), ("sampled", 0.01, 2))
    }
    verdict = judge(make_comparison({"softmax": softmax, **better}))
    assert verdict.pick == "sampled"
    assert "nce also beats softmax" in verdict.text


def test_better_in_one_measure_and_worse_in_another_is_said():
    softmax, loss = around(0.90, 0.01), around(0.30, 0.01)
    verdict = judge(
        make_comparison(
            {"softmax": softmax, "nce": [v + d for v, d in zip(softmax, around(0.04, 0.004, seed=1), strict=True)]},
            others={
                "nll": {
                    "softmax": loss,
                    "nce": [v + d for v, d in zip(loss, around(0.2, 0.01, seed=2), strict=True)],
                }
            },
        )
    )
    assert (verdict.pick, verdict.decided) == ("nce", True)
    assert "By negative log-likelihood (nats) it would be softmax, with 0.30" in verdict.text


def test_speed_size_and_law_are_named_as_other_cases():
    softmax = around(0.80, 0.01)
    comparison = make_comparison(
        {
            "softmax": softmax,
            "sigmoid": [v + 0.1 + d for v, d in zip(softmax, around(0, 0.01, seed=1), strict=True)],
            "nce": around(0.80, 0.01, seed=2),
            "sampled": around(0.50, 0.01, seed=3),  # the fastest, and of no use
        },
        without_law=["sigmoid"],
        seconds_per_step={"nce": 0.25e-3, "sampled": 0.1e-3},
        parameters={"nce": 1_000},
    )
    verdict = judge(comparison)
    assert verdict.pick == "sigmoid"
    assert "If speed counts more, nce: its steps are 4 times as fast" in verdict.text
    assert "If size counts more, nce: it has 15 % of the parameters" in verdict.text
    assert (
        "If probabilities over the classes are needed, softmax or nce or sampled: sigmoid defines none." in verdict.text
    )


def test_who_leads_after_a_short_training_is_said():
    softmax = around(0.90, 0.01)
    worse = [v - 0.02 + d for v, d in zip(softmax, around(0, 0.002, seed=1), strict=True)]
    comparison = make_comparison({"softmax": softmax, "nce": worse}, seconds_per_step={"softmax": 1.0, "nce": 0.1})
    verdict = judge(comparison)
    assert verdict.pick == "softmax"
    # Four epochs of 10 s each; softmax needs 100 s for its first.
    assert "If training time is short, nce: after 100 s it is at a top-1 accuracy of 0.8" in verdict.text


def test_a_training_cut_short_is_said():
    comparison = make_comparison({"softmax": around(0.90, 0.01), "nce": around(0.80, 0.01, seed=1)})
    assert "still improving" not in judge(comparison).text
    for trial in comparison.of("nce"):
        trial.best_epoch = 4
    assert "nce was still improving at the last epoch (4)" in judge(comparison).text


@pytest.mark.parametrize(
    ("decide_by", "softmax", "nce"),
    [("top1", [0.5, 0.9, 1.0, 0.99], [0.97, 0.981, 0.7, 0.99]), ("nll", [2.0, 1.5, 1.0, 1.1], [1.03, 1.019, 2.0, 1.0])],
)
def test_the_time_to_quality_is_that_of_the_first_value_within_two_per_cent(decide_by, softmax, nce):
    comparison = make_comparison({"softmax": [1.0] * 3, "nce": [1.0] * 3}, decide_by=decide_by)
    for name, values in (("softmax", softmax), ("nce", nce)):
        for trial in comparison.of(name):
            trial.curve.seconds, trial.curve.validation = [1.0, 2.0, 3.0, 4.0], list(values)
    far = 0.5 if decide_by == "top1" else 5.0
    comparison.of("nce")[1].curve.validation = [far] * 4
    comparison.of("softmax")[2].curve.validation = [None] * 4
    assert times_to_quality(comparison, "softmax") == [3.0, 3.0, None]
    assert times_to_quality(comparison, "nce") == [2.0, None, None]


@pytest.mark.parametrize("repeats", [1, 2])
def test_fewer_than_three_repeats_get_no_verdict(repeats):
    verdict = judge(make_comparison({"nce": [0.99] * repeats, "softmax": [0.2] * repeats}))
    assert (verdict.pick, verdict.decided, verdict.differences) == ("softmax", False, [])
    assert "--seeds 3" in verdict.text


def test_a_method_that_diverged_is_not_compared():
    nce = [*around(0.99, 0.001, repeats=9), 0.99]
    comparison = make_comparison({"softmax": around(0.9, 0.01), "nce": nce, "gumbel": around(0.9, 0.01, seed=1)})
    comparison.of("nce")[3].best_epoch = 0  # the numbers are those of the model it started from
    verdict = judge(comparison)
    assert [d.method for d in verdict.differences] == ["gumbel"]
    assert "nce is not compared: training diverged in 1 of 10 repeats" in verdict.text


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_a_method_without_a_finite_number_is_not_compared(bad):
    nce = [*around(2.0, 0.1, repeats=9), bad]
    ours = around(1.0, 0.01)
    comparison = make_comparison({"softmax": ours, "nce": nce}, decide_by="nll", baseline=2.3)
    comparison.of("nce")[9].best_epoch = 3
    verdict = judge(comparison)
    assert verdict.differences == []
    assert "nce is not compared: it has no negative log-likelihood" in verdict.text


def test_softmax_that_diverged_is_not_the_reference():
    verdict = judge(
        make_comparison({"softmax": [None] * 10, "nce": around(0.9, 0.01), "gumbel": around(0.9, 0.01, seed=1)})
    )
    assert (verdict.reference, verdict.pick) == ("nce", "nce")


def test_nothing_left_to_pick():
    verdict = judge(make_comparison({"softmax": [None] * 3, "nce": [math.nan] * 3}))
    assert not verdict.decided
    assert verdict.text.startswith("No verdict")


def test_one_method_alone():
    verdict = judge(make_comparison({"softmax": around(0.9, 0.01)}))
    assert (verdict.pick, verdict.decided) == ("softmax", False)
    assert "no other method took part" in verdict.text


def test_a_pick_no_better_than_the_trivial_answer_is_warned_of():
    verdict = judge(make_comparison({"softmax": around(0.3, 0.01), "nce": around(0.3, 0.01, seed=1)}, baseline=0.6))
    assert "trivial answer" in verdict.text
    assert "0.600" in verdict.text


@pytest.mark.parametrize(("trivial", "learnt"), [(0.9, True), (0.5, False)])
def test_a_pick_whose_probabilities_alone_beat_the_trivial_answer_is_said_to_have_learnt(trivial, learnt):
    comparison = make_comparison(
        {"softmax": around(0.3, 0.01), "nce": around(0.3, 0.01, seed=1)},
        others={"nll": {"softmax": [0.7] * 10, "nce": [0.7] * 10}},
        baseline=0.6,
    )
    for row in comparison.baseline:
        row.measures["nll"] = trivial
    assert (f"0.700 against {trivial:.3f}: --decide-by nll" in judge(comparison).text) == learnt


@pytest.mark.parametrize(("peak", "said"), [(400 << 20, True), (40 << 20, False)])
def test_a_step_that_takes_far_less_of_much_memory_is_named(peak, said):
    verdict = judge(
        make_comparison(
            {"softmax": around(0.9, 0.01), "sampled": around(0.9, 0.01, seed=1)},
            peak_bytes={"softmax": peak, "sampled": 30 << 20},
        )
    )
    assert ("If memory counts more, sampled: a step takes 30 MiB, one of softmax 400 MiB." in verdict.text) == said


@pytest.mark.parametrize(
    ("redrawn", "sentence"), [(True, "(--seeds 10) would"), (False, "(--seeds 10) or more data to")]
)
def test_undecided_with_few_repeats_says_what_would_narrow_the_interval(redrawn, sentence):
    words = np.full(20, 200)
    sums = [list(words * (3 + 0.1 * np.random.default_rng(seed).standard_normal(20))) for seed in range(6)]
    comparison = make_comparison(
        {"softmax": around(3.0, 0.01, 3), "nce": around(3.0, 0.01, 3, seed=1)},
        decide_by="nll",
        blocks={"softmax": sums[:3], "nce": sums[3:]},
        block_items=list(words),
        splits_redrawn=redrawn,
    )
    assert sentence in judge(comparison).text
