"""Plots: what they are drawn from, and that they can be told apart."""

from __future__ import annotations

import itertools
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from anymax.lab.report import plots
from anymax.lab.results import Beside, RecallBin, ReliabilityBin
from anymax.lab.statistics.counts import TooFew
from tests.lab.comparisons import make_comparison, record, three_heads, verdict_of


def test_nothing_trained_has_no_curve():
    comparison = make_comparison({"sigmoid": [None] * 3}, without_law=["sigmoid"])
    assert plots.quality_against_time(comparison) is None
    assert plots.reliability_diagram(comparison) is None


def test_curves_keep_the_best_value_and_start_where_all_have_one():
    first = (np.array([1.0, 2.0]), np.array([0.5, 0.7]))
    second = (np.array([1.5, 4.0]), np.array([0.6, 0.9]))
    times, values = plots.over_repeats([first, second])
    assert (times[0], times[-1]) == (1.5, pytest.approx(4.0))
    assert values[:, 0].tolist() == [0.5, 0.6]
    assert values[:, -1].tolist() == [0.7, 0.9]


def test_reliability_bins_of_several_repeats_are_pooled():
    trials = make_comparison({"softmax": [0.9, 0.9]}).trials
    trials[0].tested.reliability = [ReliabilityBin(0.98, 0.5, 10), ReliabilityBin(1.0, 1.0, 30)]
    trials[1].tested.reliability = [ReliabilityBin(0.98, 0.8, 20)]
    confidence, accuracy, count = plots.pooled_bins(trials)
    assert count.tolist() == [60]
    assert confidence.tolist() == [pytest.approx((30 * 0.98 + 30) / 60)]
    assert accuracy.tolist() == [pytest.approx((5 + 16 + 30) / 60)]


def test_every_method_looks_different():
    names = [str(i) for i in range(28)]
    assert len({(look.colour, look.line) for look in plots.looks(names).values()}) == len(names)


def test_a_method_looks_the_same_whichever_others_take_part():
    assert plots.looks(["softmax", "nce"])["nce"] == plots.looks(["own", "gumbel", "nce", "sigmoid"])["nce"]


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2: what is left of a colour in grey print."""
    parts = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], parts))


def test_up_to_eight_methods_are_told_apart_without_colour():
    found = list(plots.looks([str(i) for i in range(8)]).values())
    assert len({look.marker for look in found}) == 8
    for one, other in itertools.combinations(found, 2):
        assert abs(luminance(one.colour) - luminance(other.colour)) > 0.05 or one.marker != other.marker
    # Graphics that carry meaning need a contrast of 3 to white for the lines that have no marker to help them.
    assert max(luminance(look.colour) for look in found) < 0.5


def test_recall_is_pooled_by_name_or_by_place():
    trials = make_comparison({"softmax": [0.9, 0.9, None]}).trials
    trials[0].tested.recall = [RecallBin(100, 1, 5, 0.8, "b"), RecallBin(10, 1, 5, 0.2, "a")]
    trials[1].tested.recall = [RecallBin(12, 1, 5, 0.4, "a")]
    trials[2].tested.recall = [RecallBin(1, 1, 5, 0.0, "diverged")]
    frequency, recall = plots.pooled_recall(trials)
    assert frequency.tolist() == [11, 100]
    assert recall.tolist() == [pytest.approx(0.3), 0.8]
    trials[0].tested.recall = [RecallBin(100, 4, 50, 0.8), RecallBin(10, 4, 50, 0.2), RecallBin(0, 4, 50, 0.0)]
    trials[1].tested.recall = [RecallBin(0, 4, 50, 0.2), RecallBin(20, 4, 50, 0.4), RecallBin(200, 4, 50, 1.0)]
    frequency, recall = plots.pooled_recall(trials)
    assert frequency.tolist() == [15, 150]
    assert recall.tolist() == [pytest.approx(0.3), 0.9]


def test_one_repeat_and_equal_frequencies_can_be_drawn():
    comparison = make_comparison({"softmax": [0.9], "nce": [0.9]}, decide_by="perplexity")
    for trial in comparison.trials:
        trial.tested.recall = [RecallBin(50, 1, 10, 0.9, "a"), RecallBin(50, 1, 10, 0.8, "b")]
    assert plots.recall_against_frequency(comparison) is not None
    assert plots.cost_against_quality(comparison) is not None


def test_matplotlib_is_left_as_it_was():
    before = matplotlib.rcParams.copy()
    assert plots.reliability_diagram(three_heads()) is not None
    assert matplotlib.rcParams.copy() == before


@pytest.mark.parametrize(("largest", "numbers"), [(5_000, 5), (50_000, 3)])
def test_numbers_on_a_logarithmic_axis_do_not_run_into_each_other(largest, numbers):
    axes = Figure().add_subplot()
    axes.set_xscale("log")
    axes.set_xlim(50, largest)
    plots.plain_numbers(axes.xaxis)
    assert sum(50 < tick < largest for tick in axes.get_xticks()) == numbers


@pytest.mark.parametrize("decide_by", ["top1", "nll", "perplexity"])
def test_every_plot_is_one_svg_that_names_nothing_outside(decide_by):
    comparison = make_comparison({"softmax": [0.9, 0.8, 0.85], "nce": [0.7, None, 0.72]}, decide_by=decide_by)
    for plot in (
        plots.quality_against_time,
        plots.reliability_diagram,
        plots.recall_against_frequency,
        plots.cost_against_quality,
    ):
        svg = plot(comparison)
        assert svg is not None
        assert svg.count("<svg") == svg.count("</svg>") == 1
        assert not re.search(r"(href|src)=\"(?!#)", svg)
        assert plot(comparison) == svg


@pytest.mark.parametrize(
    ("task", "words"), [("classification", "confidence"), ("multilabel", "probability of a label")]
)
def test_what_is_calibrated_is_an_answer_or_a_label(monkeypatch, task, words):
    monkeypatch.setattr(plots, "_svg", lambda figure: figure.axes[0].get_xlabel())
    assert plots.reliability_diagram(make_comparison({"softmax": [0.9]}, task=task)).startswith(words)


def test_curves_of_repeats_that_get_better_get_better_together():
    generator = np.random.default_rng(0)
    curves = [(np.sort(generator.random(9)) + 0.1, np.sort(generator.random(9))) for _ in range(6)]
    times, values = plots.over_repeats(curves)
    assert (np.diff(times) > 0).all()
    assert (np.diff(values, axis=1) >= 0).all()
    for (seconds, reached), row in zip(curves, values, strict=True):
        # a value holds until the next one is there
        for time, value in zip(times, row, strict=True):
            assert value == reached[seconds <= time][-1]


def test_pooled_bins_lose_no_item():
    generator = np.random.default_rng(0)
    trials = make_comparison({"softmax": [0.9] * 4}).trials
    for trial in trials:
        trial.tested.reliability = [
            ReliabilityBin(float(c), float(generator.random()), int(generator.integers(1, 50)))
            for c in generator.random(20)
        ]
    bins = [b for trial in trials for b in trial.tested.reliability]
    confidence, accuracy, count = plots.pooled_bins(trials)
    assert count.sum() == sum(b.count for b in bins)
    assert confidence @ count == pytest.approx(sum(b.confidence * b.count for b in bins))
    assert accuracy @ count == pytest.approx(sum(b.accuracy * b.count for b in bins))


def drawn_intervals(monkeypatch, comparison, key):
    """The figure of the intervals of one measure."""
    figures = []
    monkeypatch.setattr(plots, "_svg", lambda figure: figures.append(figure) or "<svg/>")
    assert plots.intervals(comparison, key) == "<svg/>"
    return figures[0]


def test_an_interval_is_drawn_where_it_lies_with_its_answer_beside_it(monkeypatch):
    comparison = three_heads()
    assert comparison.verdict is not None
    comparison.verdict.differences = [
        record("nce", "worse", -0.1, half=0.03),
        record("sigmoid", "equivalent", 0.002, half=0.01),
    ]
    comparison.beside = [
        Beside("trees", "trees", [], 1.0, True, record("trees", "open", 0.05, too_few=TooFew("wrong answers", 7, 20)))
    ]
    (axes,) = drawn_intervals(monkeypatch, comparison, "top1").axes
    lines = [
        line.get_xdata().tolist() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "|"
    ]
    assert lines == [pytest.approx([-0.13, -0.07]), pytest.approx([-0.004, 0.008]), pytest.approx([-0.02, 0.12])]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["nce", "sigmoid", "trees"]
    (other_side,) = axes.child_axes
    assert [label.get_text() for label in other_side.get_yticklabels()] == ["worse", "equivalent", "open\n(too few)"]
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == (pytest.approx(-0.01), pytest.approx(0.02))
    assert "minus softmax (right of 0 is better)" in axes.get_xlabel()


def test_perplexities_are_drawn_in_per_cent(monkeypatch):
    comparison = make_comparison({"softmax": [100.0] * 3, "nce": [120.0] * 3}, decide_by="perplexity")
    verdict_of(comparison, {"nce": "worse"}, half=0.0)
    (axes,) = drawn_intervals(monkeypatch, comparison, "perplexity").axes
    assert axes.lines[1].get_xdata().tolist() == pytest.approx([20.0, 20.0])
    assert axes.get_xlabel() == "minus softmax, per cent (left of 0 is better)"


def test_another_reference_of_the_classifiers_beside_is_named(monkeypatch):
    comparison = make_comparison({"softmax": [0.8] * 3, "nce": [0.9] * 3})
    verdict_of(comparison, {"nce": "better"})
    comparison.beside = [Beside("trees", "trees", [], 1.0, True, record("trees", "open", 0.0))]
    (axes,) = drawn_intervals(monkeypatch, comparison, "top1").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["nce", "trees\nminus nce"]


def test_nothing_compared_has_no_intervals():
    comparison = three_heads()
    assert plots.intervals(comparison, "nll") is None
    comparison.verdict = None
    assert plots.intervals(comparison, "top1") is None
