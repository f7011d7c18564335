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
from anymax.lab.results import Beside, ColumnInfo, Confusions, LeftOut, LogZ, MissedRow, MissedRows
from tests.lab.comparisons import HEADS, by_class, make_comparison, record, three_heads, verdict_of
from tests.lab.report.reading import Page, shown

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def undrawn(monkeypatch):
    """Plots are made and not drawn, which takes most of the time of a report."""
    monkeypatch.setattr(plots, "_svg", lambda figure: "<svg/>")


def test_data_are_escaped():
    comparison = three_heads(
        name=EVIL,
        class_names=[EVIL] * 10,
        columns=[ColumnInfo(EVIL, "number", EVIL, missing=2)],
        notes=[EVIL],
        left_out=[LeftOut(EVIL, EVIL)],
    )
    missed = MissedRow(3, 1, 1, 1, {name: [0] for name in HEADS})
    comparison.by_class = by_class({name: [0.0, 0.5] for name in HEADS}, "softmax", [missed])
    page = render(comparison)
    assert "<script" not in page
    assert html.escape(EVIL, quote=False).replace("'", "&#39;") in page
    assert "script" not in Page(page).tags
    # in the notes, the table of classes, on both sides of the confusions, and as class and answer of a row
    assert Page(page).text.count(EVIL) >= 7 + 1 + 2 + 4


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


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("kind", ["number", "category", "date", "text", "dropped", "target", "group", "time"])
def test_every_kind_of_column_is_shown(kind):
    page = render(three_heads(columns=[ColumnInfo("a column", kind, "a reason", 1234)]))
    assert f"a column {kind} 1,234 a reason" in " ".join(Page(page).text.split())


def with_classes(recalls, **arguments):
    """Three heads that found the classes so; row 12 was missed three times, row 3 once."""
    comparison = three_heads(**arguments)
    missed = [
        MissedRow(12, 1, 3, 3, {"softmax": [0, 0, 0], "nce": [2, 0, 0], "sigmoid": [0, 0]}),
        MissedRow(3, 2, 1, 2, {"softmax": [0], "nce": [0]}),
    ]
    comparison.by_class = by_class(recalls, "softmax", missed)
    return comparison


RECALLS = {"softmax": [0.5, 0, 0.75, 0], "nce": [0.25, 0, None, 0.125], "sigmoid": [0.625, 0, 1.0, 0.25]}
NAMES = ["red", "green", "blue", "pink", *"abcdef"]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.usefixtures("undrawn")
def test_every_class_is_shown_by_name_with_what_each_head_finds():
    page = words(Page(render(with_classes(RECALLS, class_names=NAMES))).text)
    assert "recall precision class rows tested per repeat softmax nce sigmoid softmax nce sigmoid" in page
    assert "red 100 2.0 0.500 0.250 0.625 0.500 0.250 0.625" in page
    assert "green 100 2.2 0.000 0.000 0.000 - - -" in page
    assert "blue 100 2.4 0.750 - 1.000 0.750 - 1.000" in page
    assert "a 100 none b 100 none" in page  # never tested, no numbers


@pytest.mark.usefixtures("undrawn")
def test_of_many_classes_the_most_frequent_are_shown_and_the_least_found_named():
    recalls = {name: [(i % 7 + 1) / 10 for i in range(60)] for name in HEADS}
    recalls["softmax"][55] = 0.015625
    comparison = with_classes(recalls, num_classes=60, class_names=[f"kind {i}" for i in range(60)])
    comparison.data.class_counts = list(range(60, 0, -1))
    page = words(Page(render(comparison)).text)
    assert "kind 49 11 11.8" in page
    assert "kind 50 10 12.0" not in page
    assert "The 50 most frequent classes; 10 more in results.json." in page
    assert "softmax finds least: kind 55 0.016, kind 56 0.100," in page


@pytest.mark.usefixtures("undrawn")
def test_a_class_that_no_head_finds_is_the_first_note():
    comparison = with_classes(RECALLS, class_names=NAMES, notes=["another note"])
    note = "No head ever finds the class 'green', which was tested 11 times."
    page = words(Page(render(comparison)).text).replace("\u2068", "").replace("\u2069", "")
    assert note in page
    assert page.index(note) < page.index("another note")
    terminal_shows = words(shown(comparison))
    assert note in terminal_shows
    assert terminal_shows.index(note) < terminal_shows.index("another note")


@pytest.mark.usefixtures("undrawn")
def test_confusions_are_shares_of_the_items_of_a_class():
    comparison = with_classes(RECALLS, class_names=NAMES)
    assert comparison.by_class is not None
    comparison.by_class.confusions = Confusions("softmax", [2, 0], 8, [[150, 49, 1], [0, 0, 3], [0, 0, 0]])
    page = Page(render(comparison))
    found = words(page.text)
    assert "class tested blue red 8 others blue 200 75 24 · red 3 100 8 others 0 Rows" in found
    assert 'title="49 of 200: blue answered as red"' in render(comparison)
    # what is right is framed, whatever the colours
    assert len(re.findall(r'<td class="s\d+ right"', render(comparison))) == 3


@pytest.mark.usefixtures("undrawn")
def test_rows_that_all_heads_miss_are_named_with_their_answers():
    comparison = with_classes(RECALLS, class_names=NAMES)
    page = words(Page(render(comparison)).text)
    assert "All heads answer 2 of 50 tested rows wrongly in some repeat, 1 in each that tests them." in page
    assert "row repeats class softmax nce sigmoid 12 3 of 3 green red red , blue red 3 1 of 2 blue red red -" in page
    assert "more are in predictions.csv" not in page
    assert comparison.by_class is not None
    assert comparison.by_class.missed is not None
    comparison.by_class.missed = MissedRows(7, 7, 50, comparison.by_class.missed.worst)
    page = words(Page(render(comparison)).text)
    assert "All heads answer 7 of 50 tested rows wrongly in some repeat, 7 in each that tests them." in page
    assert "the 2 worst; 5 more are in predictions.csv" in page
    comparison.by_class.missed = MissedRows(0, 0, 50, [])
    assert "All heads answer 0 of 50 tested rows wrongly." in words(Page(render(comparison)).text)


@pytest.mark.usefixtures("undrawn")
def test_a_text_has_words_and_no_rows():
    comparison = with_classes(RECALLS, class_names=NAMES, task="text")
    assert comparison.by_class is not None
    comparison.by_class.missed = None
    page = words(Page(render(comparison)).text)
    assert "Word by word" in page
    assert "the word \u2068'green'\u2069, which was tested 11 times" in page
    assert "Rows that" not in page
    assert "finds least" not in words(shown(comparison))


@pytest.mark.usefixtures("undrawn")
def test_every_measure_has_a_picture_of_its_differences_the_deciding_one_first():
    comparison = three_heads()
    assert comparison.verdict is not None
    comparison.verdict.others = [record("nce", "worse", 0.2, measure=key) for key in ("nll", "brier")]
    captions = re.findall(r'alt="([^"]*): the interval of each difference', render(comparison))
    assert captions == ["top-1 accuracy", "negative log-likelihood (nats)", "Brier score"]
    comparison.verdict.differences = comparison.verdict.others = []
    assert "interval of each difference" not in render(comparison)
    comparison.beside = [Beside("trees", "trees", [], 1.0, True, record("trees", "better", 0.2))]
    assert 'alt="top-1 accuracy: the interval of each difference' in render(comparison)


@pytest.mark.usefixtures("undrawn")
def test_names_of_any_kind_leave_the_order_of_the_page_alone():
    names = ["مرحبا", "x" * 300, "🙂", "\u202eevil", *"abcdef"]
    text = render(with_classes({name: [0.0] * 4 for name in HEADS}, class_names=names))
    assert "\u202e" not in text
    assert "x" * 201 not in text
    assert "<bdi>مرحبا</bdi>" in text
    assert "\u2068&#39;مرحبا&#39;\u2069" in text


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
