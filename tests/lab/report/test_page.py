"""The report: whole, escaped, and true to the results."""

from __future__ import annotations

import html
import io
import re

import pytest

from anymax.lab import results
from anymax.lab.measure import summarise
from anymax.lab.report import plots, terminal
from anymax.lab.report.page import render, write
from anymax.lab.results import ColumnInfo, LeftOut, LogZ
from tests.lab.comparisons import HEADS, make_comparison, three_heads, verdict_of
from tests.lab.report.reading import Page, shown

EVIL = "<script>alert('x')</script>"


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
    comparison.of("softmax")[0].tuning[2].validation = 2.0
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
    verdict_of(comparison, {})
    page = Page(render(comparison)).text
    assert f"missing in {repeats} of {repeats}" in page
    assert ("± 0.000" in page) == (repeats > 1)  # one repeat has no spread
    terminal.show(comparison, io.StringIO())


def test_the_file_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "reliability_diagram", lambda comparison: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(three_heads(), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


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
