"""The paragraph: what it says of records, of other aims, and of what could not be compared."""

from __future__ import annotations

import math

import pytest

from anymax.lab import results
from anymax.lab.results import Beside, Verdict
from anymax.lab.statistics.counts import TooFew
from anymax.lab.summary import times_to_quality
from anymax.lab.verdict import advice
from tests.lab.comparisons import around, make_comparison, record, verdict_of


def said(values, answers, beside=(), **arguments):
    """The paragraph on heads of these values, with these answers."""
    changes = {name: arguments.pop(name) for name in ("margin", "half") if name in arguments}
    return verdict_of(make_comparison(values, **arguments), answers, beside, **changes).text


TWO = {"softmax": [0.90] * 10, "nce": [0.93] * 10}


def test_a_better_head_is_taken_with_its_numbers():
    text = said({**TWO, "gumbel": [0.9] * 10}, {"nce": "better", "gumbel": "open"})
    assert text.startswith(
        "Take nce: its top-1 accuracy is 0.930 against 0.900 for softmax over 10 repeats, a difference of +0.030 "
        "(+0.015 to +0.045). Open against softmax: gumbel (+0.000, -0.020 to +0.020); more rows"
    )


@pytest.mark.parametrize(
    ("half", "words"),
    [(0.015, ""), (0.025, ", perhaps by less than the margin of 0.01"), (0.02, ", perhaps by less than the margin")],
)
def test_a_difference_that_reaches_inside_the_margin_is_said_to(half, words):
    sentence = said(TWO, {"nce": "better"}, half=half).partition(". ")[0]
    assert ("less than the margin" in sentence) == (half > 0.02)
    if half > 0.02:
        assert words in sentence


def test_a_difference_inside_the_margin_is_said_to_be():
    text = said({"softmax": [0.9] * 10, "nce": [0.904] * 10}, {"nce": "better"}, half=0.003)
    assert "a difference of +0.004 (+0.001 to +0.007), by less than the margin of 0.01." in text


def test_where_all_others_are_worse_the_closest_is_named():
    values = {"softmax": [0.9] * 10, "nce": [0.8] * 10, "gumbel": [0.85] * 10}
    text = said(values, {"nce": "worse", "gumbel": "worse"})
    assert text.startswith(
        "Take softmax: its top-1 accuracy is 0.900 over 10 repeats, and every other method is worse; the closest is "
        "gumbel, by -0.050 (-0.075 to -0.025)."
    )
    assert "Worse than softmax" not in text


def test_equivalent_worse_and_open_ones_are_each_named():
    values = {"softmax": [0.9] * 10, "nce": [0.9] * 10, "gumbel": [0.8] * 10, "sigmoid": [0.91] * 10}
    text = said(values, {"nce": "equivalent", "gumbel": "worse", "sigmoid": "open"})
    assert text.startswith("Take softmax, the simplest: its top-1 accuracy is 0.900 over 10 repeats, and no other")
    assert "Equivalent to softmax, within 0.01: nce (+0.000, -0.003 to +0.003)." in text
    assert "Worse than softmax: gumbel (-0.100, -0.150 to -0.050)." in text
    assert "Open against softmax: sigmoid (+0.010, -0.020 to +0.040); more rows would decide it" in text


def test_a_perplexity_is_spoken_of_in_per_cent():
    text = said(
        {"softmax": [100.0] * 3, "nce": [90.0] * 3}, {"nce": "better"}, decide_by="perplexity", margin=math.log(1.01)
    )
    assert "Take nce: its perplexity is 90.00 against 100.0 for softmax over 3 repeats, a difference of -10.0 %" in text
    equal = {"softmax": [100.0] * 3, "nce": [100.0] * 3}
    text = said(equal, {"nce": "equivalent"}, decide_by="perplexity", margin=math.log(1.01))
    assert "Equivalent to softmax, within 1 %: nce (+0.0 %" in text


def test_what_would_decide_an_open_difference_is_said():
    comparison = make_comparison({"softmax": [0.9] * 5, "nce": [0.9] * 5, "gumbel": [0.9] * 5, "sigmoid": [0.9] * 5})
    few = TooFew("wrong answers", 12, 40)
    found = [
        record("nce", "open", 0.0, repeats=5, further_repeats=15),
        record("gumbel", "open", 0.0, repeats=5, too_few=few),
        record("sigmoid", "open", 0.0, repeats=5, further_repeats=15),
    ]
    comparison.verdict = Verdict("softmax", found, [], "softmax", "")
    text = advice.text(comparison)
    assert "nce (+0.000, -0.020 to +0.020) and sigmoid (+0.000, -0.020 to +0.020); 15 further repeats may" in text
    assert "(--seeds 20)" in text
    assert "there are 12 wrong answers, and an interval can be trusted from 40 on" in text


def test_labels_of_too_few_rows_are_named_the_rarest_first():
    comparison = make_comparison({"sigmoid": [0.9] * 5, "weighted": [0.9] * 5}, task="multilabel", num_classes=5)
    comparison.data.class_names, comparison.data.class_counts = list("abcde"), [100, 39, 40, 10, 3]
    few = TooFew("rows of the rarest label", 10, 40)
    found = [record("weighted", "open", 0.0, repeats=5, too_few=few)]
    comparison.verdict = Verdict("sigmoid", found, [], "sigmoid", "")
    text = advice.text(comparison)
    assert text.startswith("Take sigmoid, the simplest: ")
    # that of 3 rows is in too few parts to be measured
    assert "there are 10 rows of the rarest label ('d': 10, 'b': 39), and an interval can be trusted from 40 on" in text


@pytest.mark.parametrize(
    ("answer", "mean", "said_first"),
    [
        (
            "better",
            0.05,
            "Ahead of every head here: gradient-boosted trees, with a top-1 accuracy of 0.950 over 5 repeats, a ",
        ),
        ("open", 0.03, "Perhaps ahead of every head here: gradient-boosted trees, with a top-1 accuracy of 0.950"),
        ("open", 0.015, "Take softmax"),
        ("open", -0.05, "Take softmax"),
        ("worse", -0.05, "Take softmax"),
    ],
)
def test_a_classifier_that_leaves_the_heads_behind_is_named_first(answer, mean, said_first):
    comparison = make_comparison({"softmax": [0.9] * 5, "nce": [0.9] * 5})
    tested = [results.Tested({"top1": 0.95})] * 5
    gap = record("trees", answer, mean, repeats=5)
    comparison.beside = [
        Beside("logistic", "logistic regression", [], 1.0, in_time=False),
        Beside("trees", "gradient-boosted trees", tested, 1.0, in_time=True, difference=gap),
    ]
    text = verdict_of(comparison, {"nce": "open"}).text
    assert text.startswith(said_first)
    assert ("which chance alone can make" in text) == (answer == "open" and mean == 0.03)
    assert "Take softmax" in text


def test_two_winners_are_both_named():
    text = said({**TWO, "sampled": [0.94] * 10}, {"nce": "better", "sampled": "better"})
    assert text.startswith("Take sampled")
    assert "nce also beats softmax" in text


def test_without_softmax_the_reference_is_not_called_the_simplest():
    comparison = make_comparison({"nce": [0.9] * 10, "sampled": [0.9] * 10})
    text = verdict_of(comparison, {"sampled": "open"}, reference="nce").text
    assert text.startswith("Take nce: its top-1 accuracy is 0.900")


def test_better_in_one_measure_and_worse_in_another_is_said():
    others = {"nll": {"softmax": [0.3] * 10, "nce": [0.5] * 10}}
    text = said(TWO, {"nce": "better"}, [record("nce", "worse", 0.2, measure="nll")], others=others)
    assert text.startswith("Take nce")
    assert "By negative log-likelihood (nats) it would be softmax, with 0.300 against 0.500." in text


def test_another_measure_speaks_for_another_head_only_where_it_is_better_than_the_pick():
    others = {"nll": {"softmax": [0.5] * 10, "nce": [0.3] * 10, "gumbel": [0.2] * 10}}
    values = {**TWO, "gumbel": [0.9] * 10}
    found = [record("nce", "open", -0.2, measure="nll"), record("gumbel", "better", -0.3, measure="nll")]
    assert "it would be gumbel, with 0.200 against 0.300." in said(
        values, {"nce": "better", "gumbel": "open"}, found, others=others
    )
    # what is better than softmax need not be better than the pick
    found[0] = record("nce", "better", -0.2, measure="nll")
    assert "it would be gumbel" not in said(values, {"nce": "better", "gumbel": "open"}, found, others=others)


def test_probabilities_worse_than_the_frequencies_are_named():
    others = {"nll": {"softmax": [0.5] * 10, "nce": [2.5] * 10}}
    comparison = make_comparison(TWO, others=others)
    for row in comparison.baseline:
        row.measures["nll"] = 2.3
    text = verdict_of(comparison, {"nce": "better"}).text
    assert "The probabilities of nce are worse than the class frequencies: their negative log-likelihood" in text
    assert "2.500 against 2.300" in text
    comparison.of("nce")[0].tested.measures["nll"] = -20.0
    assert "worse than the class frequencies" not in verdict_of(comparison, {"nce": "better"}).text


def test_speed_size_and_law_are_named_as_other_cases():
    text = said(
        # sampled is the fastest, and of no use
        {"softmax": [0.8] * 10, "sigmoid": [0.9] * 10, "nce": [0.8] * 10, "sampled": [0.5] * 10},
        {"sigmoid": "better", "nce": "open", "sampled": "worse"},
        without_law=["sigmoid"],
        seconds_per_step={"nce": 0.25e-3, "sampled": 0.1e-3},
        parameters={"nce": 1_000},
    )
    assert text.startswith("Take sigmoid")
    assert "If speed counts more, nce: its steps are 4 times as fast" in text
    assert "If size counts more, nce: it has 15 % of the parameters" in text
    assert "If probabilities over the classes are needed, softmax or nce or sampled: sigmoid defines none." in text
    assert "tens of thousands" not in text


def test_who_leads_after_a_short_training_is_said():
    softmax = around(0.90, 0.01)
    text = said(
        {"softmax": softmax, "nce": [v - 0.02 for v in softmax]},
        {"nce": "worse"},
        seconds_per_step={"softmax": 1.0, "nce": 0.1},
    )
    assert text.startswith("Take softmax")
    # four epochs of 10 s each; softmax needs 100 s for its first
    assert "If training time is short, nce: after 100 s it is at a top-1 accuracy of 0.8" in text


def test_a_training_cut_short_is_said():
    comparison = make_comparison({"softmax": around(0.90, 0.01), "nce": around(0.80, 0.01, seed=1)})
    assert "still improving" not in verdict_of(comparison, {"nce": "worse"}).text
    for trial in comparison.of("nce"):
        trial.best_epoch = 4
    assert "nce was still improving at the last epoch (4)" in verdict_of(comparison, {"nce": "worse"}).text


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
    text = said({"nce": [0.99] * repeats, "softmax": [0.2] * repeats}, {})
    assert text.startswith("No verdict")
    assert "--seeds 3" in text


def test_a_method_that_diverged_is_said_not_to_be_compared():
    comparison = make_comparison({"softmax": [0.9] * 10, "nce": [0.99] * 10, "gumbel": [0.9] * 10})
    comparison.of("nce")[3].best_epoch = 0  # the numbers are those of the model it started from
    text = verdict_of(comparison, {"gumbel": "open"}).text
    assert "nce is not compared: training diverged in 1 of 10 repeats" in text


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_method_without_a_finite_number_is_said_not_to_be_compared(bad):
    text = said({"softmax": [1.0] * 10, "nce": [2.0] * 9 + [bad]}, {}, decide_by="nll", baseline=2.3)
    assert "nce is not compared: it has no negative log-likelihood" in text


def test_nothing_left_to_pick():
    comparison = make_comparison({"softmax": [None] * 3, "nce": [math.nan] * 3})
    comparison.verdict = Verdict("softmax", [], [], "softmax", "")
    assert advice.text(comparison).startswith("No verdict: no method has a top-1 accuracy in every repeat.")


def test_one_method_alone():
    assert "no other method took part" in said({"softmax": [0.9] * 10}, {})


def test_a_pick_no_better_than_the_trivial_answer_is_warned_of():
    text = said({"softmax": [0.3] * 10, "nce": [0.3] * 10}, {"nce": "open"}, baseline=0.6)
    assert "trivial answer" in text
    assert "0.600" in text


@pytest.mark.parametrize(("trivial", "learnt"), [(0.9, True), (0.5, False)])
def test_a_pick_whose_probabilities_alone_beat_the_trivial_answer_is_said_to_have_learnt(trivial, learnt):
    comparison = make_comparison(
        {"softmax": [0.3] * 10, "nce": [0.3] * 10},
        others={"nll": {"softmax": [0.7] * 10, "nce": [0.7] * 10}},
        baseline=0.6,
    )
    for row in comparison.baseline:
        row.measures["nll"] = trivial
    text = verdict_of(comparison, {"nce": "open"}).text
    assert (f"0.700 against {trivial:.3f}: --decide-by nll" in text) == learnt


@pytest.mark.parametrize(("peak", "named"), [(400 << 20, True), (40 << 20, False)])
def test_a_step_that_takes_far_less_of_much_memory_is_named(peak, named):
    text = said(
        {"softmax": [0.9] * 10, "sampled": [0.9] * 10},
        {"sampled": "open"},
        peak_bytes={"softmax": peak, "sampled": 30 << 20},
    )
    assert ("If memory counts more, sampled: a step takes 30 MiB, one of softmax 400 MiB." in text) == named
