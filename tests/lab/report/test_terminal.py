"""The terminal: narrow, without surprises, and a progress that suits it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from anymax.lab.report import terminal
from anymax.lab.results import Beside, MissedRow
from anymax.lab.training.events import (
    EpochDone,
    FoundFinished,
    Looked,
    Planned,
    RepeatDone,
    TrainingDone,
    TrainingStarted,
)
from tests.lab.comparisons import HEADS, by_class, make_comparison, record, three_heads, verdict_of
from tests.lab.report.reading import shown


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
        verdict_of(comparison, dict.fromkeys(("gumbel", "nce", "sampled", "sigmoid"), "open"))
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
        assert comparison.verdict is not None
        assert comparison.verdict.text in " ".join(text.split())


def test_classes_found_least_and_rows_missed_are_a_few_lines():
    comparison = three_heads()
    recalls = {name: [0.0, 0.0, *(i / 10 for i in range(1, 9))] for name in HEADS}
    recalls["nce"][1] = 0.5
    missed = [MissedRow(row, 1, 1, 1, {name: [0] for name in HEADS}) for row in range(40, 47)]
    comparison.by_class = by_class(recalls, "softmax", missed)
    text = " ".join(shown(comparison).split())
    assert "No head ever finds the class '0', which was tested 10 times." in text
    least = "'1' (0.000, 11), '2' (0.100, 12), '3' (0.200, 13), '4' (0.300, 14), '5' (0.400, 15) and 4 more."
    assert f"Classes that softmax finds least (recall, times tested): {least}" in text
    missed_rows = "All heads answer 7 of 50 tested rows wrongly."
    assert f"{missed_rows} The worst, counted from 0: 40, 41, 42, 43 and 44." in text


def test_many_classes_that_no_head_finds_are_counted_and_some_named():
    comparison = three_heads(num_classes=100)
    comparison.by_class = by_class({name: [0.0] * 30 + [0.5] for name in HEADS}, "softmax")
    text = " ".join(shown(comparison).split())
    # those tested most first
    assert "No head ever finds 30 of the 31 classes tested (in brackets, how often): '29' (39), '28' (38), " in text
    assert "'20' (30) and 20 more." in text
    comparison.by_class = by_class({name: [0.5] * 30 for name in HEADS}, "softmax")
    assert "No head ever finds" not in shown(comparison)


def test_answers_in_every_measure_are_a_word_each():
    comparison = three_heads()
    assert comparison.verdict is not None
    comparison.verdict.others = [record("nce", "better", -0.2, measure="nll")]
    comparison.beside = [Beside("trees", "trees", [], 1.0, True, record("trees", "worse", -0.1, half=0.05))]
    lines = [line.split() for line in shown(comparison).splitlines()]
    assert ["method", "top-1", "NLL"] in lines
    assert ["nce", "worse", "better"] in lines
    assert ["sigmoid", "open", "-"] in lines
    assert ["softmax", "-", "-"] not in lines  # the reference
    text = " ".join(shown(comparison).split())
    assert "trees minus softmax in top-1 accuracy: -0.100 (-0.150 to -0.050), worse." in text


def test_markup_in_names_is_shown_as_it_is():
    text = shown(three_heads(name="[red]data[/red]", notes=["[bold]note[/bold] :smile:"]))
    assert "[red]data[/red]" in text
    assert "[bold]note[/bold] :smile:" in text


def follow(stream):
    progress = terminal.Following(stream)
    with progress:
        progress(Planned(4, 2, 2, None, ["softmax", "nce"], [0.01], 3, None, 75.0, None, 0))
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


def test_what_is_open_is_said_and_the_count_goes_up_to_the_next_look():
    stream = io.StringIO()
    with terminal.Following(stream) as progress:
        progress(Planned(15, 5, 40, 180.0, ["softmax"], [0.1, 0.2, 0.3], 1, None, 60.0, None, 0))
        progress(RepeatDone(4))
        progress(Looked(5, ["nce", "gumbel"], 10, 20))
        progress(RepeatDone(5))
        progress(Looked(10, [], 20, 30))
        progress(RepeatDone(9))
    lines = stream.getvalue().splitlines()[1:]
    assert lines[0].startswith("repeat 5 of 5 after")
    assert lines[1] == "Open after 5 repeats: nce and gumbel."
    assert lines[2].startswith("repeat 6 of 10 after")
    assert lines[3].startswith("repeat 10 of 10 after")


def test_progress_in_a_terminal_is_a_bar(monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    follow(stream)
    text = stream.getvalue()
    assert "repeat 2/2, nce, rate 0.01" in text
    assert "100%" in text
    assert "of 2 after" not in text


def test_a_method_without_probabilities_fits_into_80_columns_and_is_explained(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    methods = {name: [0.9] * 3 for name in ("softmax", "gumbel", "nce", "sampled", "sigmoid")}
    law = {name: [0.3] * 3 for name in methods if name != "sigmoid"}
    others = {"macro_f1": methods, **dict.fromkeys(("nll", "brier", "ece"), law)}
    text = shown(make_comparison(methods, others=others, without_law=["sigmoid"]))
    (row,) = [line for line in text.splitlines() if line.startswith("sigmoid") and line.endswith("none")]
    assert row.split()[-3:] == ["none"] * 3
    assert "none: the method gives no probabilities." in " ".join(text.split())
    assert "…" not in text
    assert "none" not in shown(make_comparison(methods, others=others | dict.fromkeys(law, methods)))


def test_a_run_that_is_found_finished_says_where_and_how_to_train_again():
    stream = io.StringIO()
    with terminal.Following(stream) as progress:
        progress(FoundFinished(Path("anymax-wine")))
    assert "to train again, remove 'anymax-wine'" in stream.getvalue()


def planned(trainings=4, repeats=2, most=2, within=None, rates=(0.1, 0.2), epochs=1, budget=None, **others):
    arguments = {"seconds": 240.0, "fitting_budget": None, "already_done": 0} | others
    return Planned(trainings, repeats, most, within, ["softmax"], list(rates), epochs, budget, **arguments)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (planned(epochs=None, budget=60.0), "4 trainings of 60 s of steps each"),
        (planned(), "at most 1 epoch, about 4:00 in all."),
        (planned(already_done=3), "3 trainings are done already."),
        (planned(seconds=7200.0, fitting_budget=440.0), "With --budget 440s it would take about half an hour."),
        (planned(most=40, within=180.0), "Then more repeats where something is open, up to 40, in 3:00 altogether."),
        (planned(most=40, within=180.0, fitting_budget=7.0), "With --budget 7s it would take about 3:00."),
    ],
)
def test_the_plan_says_how_much_and_how_long(plan, said):
    stream = io.StringIO()
    with terminal.Following(stream) as progress:
        progress(plan)
    assert said in stream.getvalue()
