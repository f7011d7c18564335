"""The report and the terminal output: whole, escaped, and true to the results."""

from __future__ import annotations

import html
import io
import itertools
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from anymax.lab import results
from anymax.lab.measure import MEASURES, Summary, summarise
from anymax.lab.report import plots, terminal
from anymax.lab.report.page import render, write
from anymax.lab.results import ColumnInfo, Comparison, LeftOut, LogZ, RecallBin, ReliabilityBin
from anymax.lab.summary import (
    best_so_far,
    clock,
    cost_columns,
    edge_choices,
    listed,
    signed,
    size,
    times_to_quality,
)
from anymax.lab.training.events import EpochDone, Planned, RepeatDone, TrainingDone, TrainingStarted
from anymax.lab.verdict import judge
from tests.lab.comparisons import make_comparison

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "br", "img", "link", "hr", "input"}


def three_heads(**arguments) -> Comparison:
    random = np.random.default_rng(0)
    values = {name: list(mean + 0.01 * random.standard_normal(5)) for name, mean in HEADS.items()}
    law = {name: [0.3] * 5 for name in ("softmax", "nce")}
    comparison = make_comparison(
        values, others={"nll": law, "ece": law, "brier": law}, without_law=["sigmoid"], **arguments
    )
    comparison.verdict = judge(comparison)
    return comparison


HEADS = {"softmax": 0.9, "nce": 0.8, "sigmoid": 0.89}


class Page(HTMLParser):
    """Tags in order, checked to be nested; text; every address that the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data):
        self.text += data


def test_data_are_escaped():
    page = render(
        three_heads(
            name=EVIL,
            class_names=[EVIL] * 10,
            columns=[ColumnInfo(EVIL, "number", EVIL, missing=2)],
            notes=[EVIL],
            left_out=[LeftOut(EVIL, EVIL)],
        )
    )
    assert "<script" not in page
    assert html.escape(EVIL, quote=False).replace("'", "&#39;") in page
    assert "script" not in Page(page).tags
    assert Page(page).text.count(EVIL) >= 7


def test_opens_without_a_network():
    text = render(three_heads())
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert "@import" not in text
    assert not re.search(r"url\(", text)


def test_says_what_the_results_say():
    comparison = three_heads(
        left_out=[LeftOut("sampled", "64 draws from 10 classes cost more than softmax")],
        columns=[ColumnInfo("age", "number", "every cell is a number", missing=3)],
        rates={"softmax": 1e-2},
    )
    comparison.of("softmax")[0].tuning[2].validation = 1.0
    page = " ".join(Page(render(comparison)).text.split())
    assert comparison.verdict is not None
    assert comparison.verdict.text in page
    for method in HEADS:
        summary = summarise([trial.tested.measures["top1"] for trial in comparison.of(method)])
        assert summary is not None
        assert summary.spread is not None
        assert f"{summary.mean:.3f} ± {summary.spread:.3f}" in page
    assert page.index("frequencies 0.100") < page.index("softmax 0.9")
    for expected in (
        "no probabilities",
        "sampled left out: 64 draws",
        "age number 3 every cell",
        "2.13.0",
        "a processor",
        "edge",
    ):
        assert expected in page


def test_says_scaling_log_z_memory_and_measured_classes():
    comparison = three_heads(peak_bytes={"nce": None})
    comparison.data.measured_classes = 7
    for trial, bound in zip(comparison.of("nce"), [True, True, False, False, False], strict=True):
        assert trial.tested.scaled is not None
        trial.tested.scaled.at_bound = bound
        trial.tested.log_z = LogZ(0.125, 0.0625)
    page = " ".join(Page(render(comparison)).text.split())
    assert "softmax 1.25 0.280 0.140 0.012 0.010" in page
    assert "nce 1.25 at the bound in 2 of 5 0.280" in page
    assert "nce 0.12 0.06" in page
    assert "3 MiB" in page
    assert "over 7 of 10 classes" in page
    assert "over 7 of 10 classes" in " ".join(shown(comparison).split())
    assert "top-5 accuracy" in page
    assert "average precision" in page


@pytest.mark.parametrize("kind", ["number", "category", "date", "text", "dropped", "target", "group", "time"])
def test_every_kind_of_column_is_shown(kind):
    page = render(three_heads(columns=[ColumnInfo("a column", kind, "a reason", 1234)]))
    assert f"a column {kind} 1,234 a reason" in " ".join(Page(page).text.split())


def test_is_made_the_same_way_twice():
    assert render(three_heads()) == render(three_heads())


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_few_repeats_and_missing_numbers_still_make_a_report(repeats):
    comparison = make_comparison({"softmax": [0.9] * repeats, "nce": [None] * repeats})
    comparison.verdict = judge(comparison)
    page = Page(render(comparison)).text
    assert f"missing in {repeats} of {repeats}" in page
    assert ("± 0.000" in page) == (repeats > 1)  # one repeat has no spread
    terminal.show(comparison, io.StringIO())


def test_nothing_trained_has_no_curve():
    comparison = make_comparison({"sigmoid": [None] * 3}, without_law=["sigmoid"])
    assert plots.quality_against_time(comparison) is None
    assert plots.reliability_diagram(comparison) is None


def test_the_file_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "reliability_diagram", lambda comparison: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(three_heads(), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


# Plots


def test_curves_keep_the_best_value_and_start_where_all_have_one():
    first = (np.array([1.0, 2.0]), np.array([0.5, 0.7]))
    second = (np.array([1.5, 4.0]), np.array([0.6, 0.9]))
    times, values = plots.over_repeats([first, second])
    assert (times[0], times[-1]) == (1.5, pytest.approx(4.0))
    assert values[:, 0].tolist() == [0.5, 0.6]
    assert values[:, -1].tolist() == [0.7, 0.9]


@pytest.mark.parametrize(("higher", "expected"), [(True, [0.5, 0.8, 0.8]), (False, [0.5, 0.5, 0.4])])
def test_best_so_far_follows_the_direction_and_skips_what_is_missing(higher, expected):
    comparison = make_comparison({"softmax": [0.5]}, decide_by="top1" if higher else "nll")
    trial = comparison.trials[0]
    trial.curve.seconds = [1.0, 2.0, 3.0, 4.0]
    trial.curve.validation = [0.5, 0.8, None, 0.4]
    assert best_so_far(comparison, trial) == ([1.0, 2.0, 4.0], expected)


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


def test_what_is_not_known_has_no_plot_and_no_heading():
    comparison = three_heads()
    for trial in comparison.trials:
        trial.tested = results.Tested({"top1": 0.9})
        trial.peak_bytes = None
    page = Page(render(comparison)).text
    assert plots.recall_against_frequency(comparison) is None
    assert "temperature scaling" not in page
    assert "log Z" not in page
    assert "memory" not in " ".join(Page(render(comparison)).text.split()).partition("Means over")[0]
    assert plots.cost_against_quality(make_comparison({"softmax": [None] * 3})) is None
    assert "memory" not in shown(comparison)


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


# Numbers as read


def test_edges_of_the_grid_count_where_they_won():
    comparison = make_comparison({"softmax": [0.9] * 3, "nce": [0.9] * 3}, rates={"softmax": 1e-2, "nce": 1e-2})
    comparison.of("softmax")[0].tuning[1].validation = 0.9  # a tie
    found = [(choice.method, choice.end, choice.best) for choice in edge_choices(comparison)]
    assert found == [("softmax", "largest", 2), ("nce", "largest", 3)]


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
    comparison = make_comparison({"softmax": [0.5] * 3}, decide_by="nll", rates={"softmax": 1e-3})
    for trial in comparison.trials:
        trial.tuning[0].validation = 0.1
    assert [choice.end for choice in edge_choices(comparison)] == ["smallest"]


def test_no_bound_reads_as_zero():
    comparison = three_heads()
    assert comparison.verdict is not None
    difference = comparison.verdict.differences[0]
    difference.mean, difference.low, difference.high = 0.0102, 0.0004, 0.02
    assert signed("top1", difference) == ("+0.0102", "+0.0004", "+0.0200")
    difference.mean, difference.low, difference.high = -0.1, -0.15, -0.05
    assert signed("perplexity", difference) == ("-9.5 %", "-13.9 %", "-4.9 %")


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


# Terminal


def shown(comparison: Comparison) -> str:
    stream = io.StringIO()
    terminal.show(comparison, stream)
    return stream.getvalue()


def test_reads_at_80_columns_without_colour():
    methods = {name: [0.9] * 10 for name in ("softmax", "gumbel", "nce", "sampled", "sigmoid")}
    law = {name: [0.3] * 10 for name in methods}
    for decide_by in ("top1", "perplexity"):
        comparison = make_comparison(
            {name: [v * 1000 for v in vs] for name, vs in methods.items()} if decide_by == "perplexity" else methods,
            decide_by=decide_by,
            others=dict.fromkeys(
                ("perplexity_known" if decide_by != "top1" else "macro_f1", "nll", "brier", "ece"), law
            ),
            peak_bytes={"nce": 999 << 20},
            notes=["a long note " * 20],
        )
        comparison.verdict = judge(comparison)
        for trial in comparison.trials if decide_by != "top1" else []:
            del trial.tested.measures["average_precision"]  # text has none
        for trial in comparison.of("nce")[1:]:
            trial.curve.validation = [None] * 4
        text = shown(comparison)
        assert max(map(len, text.splitlines())) <= 80
        assert "\x1b" not in text
        assert "…" not in text
        assert "999 MiB" in text
        assert "(1 of 10)" in text
        assert comparison.verdict.text in " ".join(text.split())


def test_markup_in_names_is_shown_as_it_is():
    text = shown(three_heads(name="[red]data[/red]", notes=["[bold]note[/bold] :smile:"]))
    assert "[red]data[/red]" in text
    assert "[bold]note[/bold] :smile:" in text


def follow(stream):
    progress = terminal.Following(stream)
    with progress:
        progress(Planned(4, 2, ["softmax", "nce"], [0.01], 3, None, 75.0, None, 0))
        for repeat in range(2):
            for i, method in enumerate(("softmax", "nce")):
                progress(TrainingStarted(method, repeat, 0.01))
                progress(EpochDone(method, repeat, 0.01, 1, 0.5))
                progress(TrainingDone(method, repeat, 0.01, 0.5, 0.1, repeat * 2 + i + 1))
            progress(RepeatDone(repeat))


def test_progress_in_a_pipe_is_a_line_per_repeat():
    stream = io.StringIO()
    follow(stream)
    lines = stream.getvalue().splitlines()
    plan = "2 methods, learning rate 0.01, 2 repeats: 4 trainings of at most 3 epochs, about 1:15 in all."
    assert lines[0] == plan
    assert lines[1].startswith("repeat 1 of 2 after 0:0")
    assert lines[1].endswith(" left")
    assert lines[2].startswith("repeat 2 of 2 after 0:0")
    assert len(lines) == 3


def test_progress_in_a_terminal_is_a_bar(monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    follow(stream)
    text = stream.getvalue()
    assert "repeat 2/2, nce, rate 0.01" in text
    assert "100%" in text
    assert "of 2 after" not in text


@pytest.mark.parametrize(("largest", "numbers"), [(5_000, 5), (50_000, 3)])
def test_numbers_on_a_logarithmic_axis_do_not_run_into_each_other(largest, numbers):
    axes = Figure().add_subplot()
    axes.set_xscale("log")
    axes.set_xlim(50, largest)
    plots.plain_numbers(axes.xaxis)
    assert sum(50 < tick < largest for tick in axes.get_xticks()) == numbers
