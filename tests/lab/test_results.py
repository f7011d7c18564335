"""Results as frames, and in a notebook."""

from __future__ import annotations

import pytest

from tests.lab.comparisons import by_class, compared, make_comparison, record, verdict_of

EVIL = "<script>alert('x')</script>"


def test_trials_frame_holds_every_trial_and_misses_what_was_not_measured():
    frame = compared().trials_frame().set_index(["method", "repeat"])
    assert len(frame) == 9
    assert frame.loc[("softmax", 1), "top1"] == 0.91
    assert frame.loc[("softmax", 2), "nll"] == 0.29
    assert frame.loc["sigmoid", :]["nll"].isna().all()
    assert frame.loc["sigmoid", :]["temperature"].isna().all()
    assert frame.loc["softmax", :]["temperature"].tolist() == [1.25] * 3
    assert frame["at_bound"].tolist()[:3] == [False] * 3
    assert frame["log_z_spread"].iloc[0] == 0.75
    assert frame["peak_bytes"].iloc[0] == 3 << 20
    assert frame.loc["nce", :]["peak_bytes"].isna().all()


def test_a_diverged_training_has_no_measures():
    frame = compared().trials_frame().set_index(["method", "repeat"])
    assert frame.loc[("nce", 1), "best_epoch"] == 0
    assert frame.loc[("nce", 1), ["top1", "top5", "scaled_nll", "log_z_mean"]].isna().all()
    assert frame.loc[("nce", 0), ["top1", "top5", "scaled_nll", "log_z_mean"]].notna().all()


def test_differences_frame_says_what_the_verdict_says():
    comparison = make_comparison({"softmax": [0.9, 0.901, 0.9, 0.899], "nce": [0.5, 0.51, 0.5, 0.49]})
    assert len(comparison.differences_frame()) == 0
    verdict = verdict_of(comparison, {"nce": "worse"}, [record("nce", "open", 0.1, measure="nll")])
    frame = comparison.differences_frame().set_index("measure")
    assert list(frame.index) == ["top1", "nll"]
    assert frame.loc["top1", "mean"] == verdict.differences[0].mean == pytest.approx(-0.4)
    assert frame["answer"].tolist() == ["worse", "open"]


def test_columns_and_curves_frames():
    comparison = compared()
    assert comparison.columns_frame().to_dict("list") == {
        "name": ["born", "note"],
        "kind": ["date", "text"],
        "why": ["every cell is a date", "long cells"],
        "missing": [2, 0],
    }
    curves = comparison.curves_frame()
    assert len(curves) == sum(len(trial.curve.seconds) for trial in comparison.trials)
    first = curves[(curves.method == "softmax") & (curves.repeat == 0)]
    assert first.epoch.tolist() == [1, 2, 3, 4]
    assert first.validation.tolist() == comparison.of("softmax")[0].curve.validation


def test_frames_of_nothing_have_their_columns():
    comparison = make_comparison({"softmax": [None] * 3})
    comparison.trials.clear()
    assert "peak_bytes" in comparison.trials_frame()
    assert list(comparison.curves_frame())[-1] == "validation"
    assert list(comparison.columns_frame()) == ["name", "kind", "why", "missing"]


def test_a_notebook_shows_paragraph_and_table_escaped():
    comparison = compared(name=EVIL)
    assert comparison.verdict is not None
    comparison.verdict.text += EVIL
    comparison.methods[1].name = EVIL
    for trial in comparison.of("nce"):
        trial.method = EVIL
    shown = comparison._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 3
    assert "0.910 ± 0.010" in shown
    assert "no probabilities" in shown


def test_classes_frame_has_a_row_per_tested_class_and_method():
    comparison = compared()
    columns = ["class", "count", "tested", "method", "recall", "precision"]
    assert comparison.classes_frame().columns.tolist() == columns
    assert len(comparison.classes_frame()) == 0
    comparison.by_class = by_class({"softmax": [0.5, None], "nce": [0.25, 0]}, "softmax")
    frame = comparison.classes_frame().set_index(["method", "class"])
    assert frame.index.tolist() == [("softmax", "0"), ("softmax", "1"), ("nce", "0"), ("nce", "1")]
    assert frame["tested"].tolist() == [10, 11, 10, 11]
    assert frame["recall"].isna().tolist() == [False, True, False, False]
    assert frame["precision"].isna().tolist() == [False, True, False, True]
    assert frame.loc[("nce", "0"), ["count", "recall", "precision"]].tolist() == [100, 0.25, 0.25]
