"""Numbers of a comparison as a reader sees them."""

from __future__ import annotations

import re

import pytest

from anymax.lab.measure import MEASURES, Summary
from anymax.lab.report.page import render
from anymax.lab.results import Comparison, StrengthPoint
from anymax.lab.summary import (
    best_so_far,
    clock,
    cost_columns,
    edge_choices,
    listed,
    signed,
    size,
    strength_notes,
    times_to_quality,
)
from tests.lab.comparisons import make_comparison, three_heads
from tests.lab.report.reading import Page, shown


@pytest.mark.parametrize(("higher", "expected"), [(True, [0.5, 0.8, 0.8]), (False, [0.5, 0.5, 0.4])])
def test_best_so_far_follows_the_direction_and_skips_what_is_missing(higher, expected):
    comparison = make_comparison({"softmax": [0.5]}, decide_by="top1" if higher else "nll")
    trial = comparison.trials[0]
    trial.curve.seconds = [1.0, 2.0, 3.0, 4.0]
    trial.curve.validation = [0.5, 0.8, None, 0.4]
    assert best_so_far(comparison, trial) == ([1.0, 2.0, 4.0], expected)


@pytest.mark.parametrize(("gain", "edges"), [(0.02, ["nce"]), (0.009, [])])
def test_an_edge_of_the_grid_is_named_where_it_was_better_by_more_than_the_margin(gain, edges):
    comparison = make_comparison({"softmax": [0.9] * 7, "nce": [0.9] * 7}, rates={"nce": 1e-2})
    for trial in comparison.of("nce")[:5]:
        trial.tuning[1].validation = 0.9 - gain
    assert [(choice.method, choice.end) for choice in edge_choices(comparison)] == [(name, "largest") for name in edges]


def test_the_strengths_that_were_tried_stand_below_the_rates():
    comparison = make_comparison({"softmax": [0.9] * 6, "prior": [0.9] * 6})
    comparison.methods[1].strength = "tau"
    assert strength_notes(comparison) == []
    for trial in comparison.of("prior"):
        trial.strength = 0.5
        if trial.repeat < 5:
            trial.strengths = [StrengthPoint(0.25, 0.8), StrengthPoint(0.5, 0.9), StrengthPoint(1.0, None)]
    (note,) = strength_notes(comparison)
    assert note == (
        "prior then tried its tau at the rate that it kept, in 10 trainings more than the others have: "
        "0.25: 0.800, 0.5: 0.900 (kept), 1: diverged."
    )
    assert note in " ".join(Page(render(comparison)).text.split())


@pytest.mark.parametrize(("higher", "expected"), [(True, [2.0, None]), (False, [1.0, None])])
def test_time_to_quality_is_the_first_epoch_within_two_per_cent_of_softmax(higher, expected):
    comparison = make_comparison({"softmax": [0.5] * 2, "nce": [0.5] * 2}, decide_by="top1" if higher else "nll")
    for trial in comparison.trials:
        trial.curve.seconds = [1.0, 2.0, 3.0]
    for trial in comparison.of("softmax"):
        trial.curve.validation = [0.5, 1.0, 0.7]
    first, second = comparison.of("nce")
    first.curve.validation = [0.97, 0.98, 0.5] if higher else [0.51, 0.3, 0.3]
    second.curve.validation = [0.97, None, 0.979] if higher else [0.511, None, 0.6]
    assert times_to_quality(comparison, "nce") == expected
    assert "(1 of 2)" in shown(comparison)
    first.curve.validation = second.curve.validation
    assert "not reached" in shown(comparison)


def test_without_softmax_there_is_no_time_to_quality():
    comparison = make_comparison({"gumbel": [0.9] * 3, "nce": [0.9] * 3})
    assert "to quality" not in shown(comparison)
    assert times_to_quality(comparison, "nce") == [None] * 3


def costs(comparison: Comparison, method: str) -> list[str]:
    columns = {column.short: column.cells for column in cost_columns(comparison)}
    return [columns[short][method] for short in ("train", "step", "to quality")]


def test_what_was_not_timed_is_a_dash_and_said_to_be_so():
    comparison = make_comparison({"softmax": [0.9] * 2, "nce": [0.8] * 2}, seconds_per_step={"softmax": 0, "nce": 0})
    assert costs(comparison, "softmax") == costs(comparison, "nce") == ["-", "-", "-"]
    for text in (shown(comparison), Page(render(comparison)).text):
        assert not re.search(r"\b0 (µs|s)\b", text)
        assert "not reached" not in text
        assert "not timed" in text
    for text in (shown(three_heads()), Page(render(three_heads())).text):
        assert "not timed" not in text


def test_a_mean_time_is_over_the_trainings_that_were_timed():
    comparison = make_comparison({"softmax": [0.9] * 2, "nce": [0.8] * 2}, seconds_per_step={"softmax": 0})
    untimed = comparison.of("nce")[0]
    untimed.train_seconds, untimed.seconds_per_step, untimed.curve.seconds = 0.0, 0.0, [0.0] * 4
    assert costs(comparison, "nce") == ["400 ms", "1 ms", "-"]
    softmax = comparison.of("softmax")[1]
    softmax.train_seconds, softmax.seconds_per_step, softmax.curve.seconds = 0.2, 2e-3, [0.05, 0.1, 0.15, 0.2]
    assert costs(comparison, "softmax") == ["200 ms", "2 ms", "150 ms (1 of 2)"]
    assert costs(comparison, "nce") == ["400 ms", "1 ms", "not reached"]


def test_sizes_have_a_unit():
    assert [size(value) for value in (512, 3 << 20, 999 << 20, 3 << 30)] == ["0.5 KiB", "3 MiB", "999 MiB", "3 GiB"]


def test_an_edge_is_a_minimum_where_lower_is_better():
    comparison = make_comparison({"softmax": [5.0] * 3}, decide_by="nll", rates={"softmax": 1e-3})
    assert edge_choices(comparison) == []  # its neighbour was lower by less than a hundredth of it
    for trial in comparison.trials:
        trial.tuning[0].validation = 0.1
    assert [choice.end for choice in edge_choices(comparison)] == ["smallest"]


def test_no_bound_reads_as_zero():
    comparison = three_heads()
    assert comparison.verdict is not None
    difference = comparison.verdict.differences[0]
    difference.mean, difference.low, difference.high = 0.0102, 0.0004, 0.02
    assert signed(difference) == ("+0.0102", "+0.0004", "+0.0200")
    difference.measure, difference.mean, difference.low, difference.high = "perplexity", -0.1, -0.15, -0.05
    assert signed(difference) == ("-9.5 %", "-13.9 %", "-4.9 %")


@pytest.mark.parametrize(
    ("key", "mean", "spread", "text"),
    [
        ("nll", 0.00491, 0.0312, "0.0049 ± 0.0312"),
        ("top1", 0.9731, 0.0042, "0.973 ± 0.004"),
        ("perplexity", 45.832, 1.234, "45.83 ± 1.23"),
        ("perplexity", 12345.6, 70.2, "12,346 ± 70"),
    ],
)
def test_a_spread_has_as_many_decimals_as_its_mean(key, mean, spread, text):
    assert MEASURES[key].text(Summary(mean, spread), spread=True) == text


def test_lists_and_clocks():
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert [clock(seconds) for seconds in (5, 65, 3661)] == ["0:05", "1:05", "1:01:01"]
