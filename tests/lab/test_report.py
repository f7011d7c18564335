"""The report and the terminal output: whole, escaped, and true to the results."""

from __future__ import annotations

import html
import io
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from comparisons import make_comparison

from anymax.lab import plots, report, terminal
from anymax.lab.results import ColumnInfo, Comparison, LeftOut, ReliabilityBin
from anymax.lab.run import EpochDone, Planned, RepeatDone, TrainingDone, TrainingStarted
from anymax.lab.summary import best_so_far, clock, edge_choices, listed, signed, summarise
from anymax.lab.verdict import judge

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
    page = report.render(
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
    text = report.render(three_heads())
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
    page = " ".join(Page(report.render(comparison)).text.split())
    assert comparison.verdict is not None
    assert comparison.verdict.text in page
    for method in HEADS:
        summary = summarise([trial.tested.measures["top1"] for trial in comparison.of(method)])
        assert summary is not None
        assert summary.spread is not None
        assert f"{summary.mean:.3f} ± {summary.spread:.3f}" in page
    assert page.index("frequencies 0.100") < page.index("softmax 0.9")
    for expected in (
        "no law",
        "sampled left out: 64 draws",
        "age number 3 every cell",
        "2.13.0",
        "a processor",
        "edge",
    ):
        assert expected in page


def test_is_made_the_same_way_twice():
    assert report.render(three_heads()) == report.render(three_heads())


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_few_repeats_and_missing_numbers_still_make_a_report(repeats):
    comparison = make_comparison({"softmax": [0.9] * repeats, "nce": [None] * repeats})
    comparison.verdict = judge(comparison)
    page = Page(report.render(comparison)).text
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
        report.write(three_heads(), tmp_path / "report.html")
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
            others={
                key: law for key in ("macro_f1", "nll", "brier", "ece") if decide_by == "top1" or key != "macro_f1"
            },
            notes=["a long note " * 20],
        )
        comparison.verdict = judge(comparison)
        text = shown(comparison)
        assert max(map(len, text.splitlines())) <= 80
        assert "\x1b" not in text
        assert "…" not in text
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
