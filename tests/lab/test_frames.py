"""Results as frames, in a notebook, and read back from the file."""

from __future__ import annotations

import json

import pytest

from anymax.lab import results
from anymax.lab.errors import DataError
from anymax.lab.report.page import render
from anymax.lab.results import ColumnInfo, Comparison, LeftOut
from anymax.lab.verdict import judge
from tests.lab.comparisons import make_comparison

EVIL = "<script>alert('x')</script>"


def compared(**arguments) -> Comparison:
    comparison = make_comparison(
        {"softmax": [0.9, 0.91, 0.92], "nce": [0.8, None, 0.82], "sigmoid": [0.7, 0.71, 0.7]},
        others={"nll": {"softmax": [0.3, 0.31, 0.29]}},
        without_law=["sigmoid"],
        peak_bytes={"nce": None},
        columns=[ColumnInfo("born", "date", "every cell is a date", 2), ColumnInfo("note", "text", "long cells")],
        left_out=[LeftOut("sampled", "64 draws from 10 classes cost more than softmax")],
        **arguments,
    )
    comparison.verdict = judge(comparison)
    return comparison


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
    comparison.verdict = judge(comparison)
    frame = comparison.differences_frame().set_index("method")
    assert frame.loc["nce", "mean"] == comparison.verdict.differences[0].mean == pytest.approx(-0.4)
    assert frame.loc["nce", "decision"] == "worse"


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
    assert "no law" in shown


# The file


def test_saved_and_loaded_is_the_same_and_so_is_its_report(tmp_path):
    comparison = compared()
    results.save(comparison, tmp_path / "results.json")
    loaded = results.load(tmp_path / "results.json")
    assert loaded == comparison
    assert render(loaded) == render(comparison)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1, 2]", "format 2"),
        (b'{"some": "thing"}', "format 2"),
        (b'{"format": 1, "trials": []}', "format 2"),
        (b'{"format": 2}', "damaged results: data: "),
    ],
)
def test_what_holds_no_results_is_one_sentence(tmp_path, content, says):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        results.load(path)
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["trials", "decide_by", "versions", "method", "curve"])
def test_damaged_results_are_one_sentence(tmp_path, damage):
    path = tmp_path / "results.json"
    results.save(compared(), path)
    stored = json.loads(path.read_text())
    if damage == "method":
        stored["trials"][0]["method"] = "unheard of"
    elif damage == "curve":
        stored["trials"][0]["curve"]["seconds"].append(1.0)
    else:
        stored[damage] = "nonsense"
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=r"damaged results: [^\n]*\.$"):
        results.load(path)


def test_a_name_in_damaged_results_is_cut_and_acts_on_no_terminal(tmp_path):
    path = tmp_path / "results.json"
    results.save(compared(), path)
    stored = json.loads(path.read_text())
    stored["trials"][0]["tested"]["measures"] = {"\x1b[2J" * 1_000_000: "nonsense"}
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=r"damaged results: trials\.0\.tested\.measures") as caught:
        results.load(path)
    stored = json.loads(path.read_text()) | {"decide_by": "\x1b[2J" * 1_000_000, "trials": []}
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match="damaged results: no measure is called ") as caught_too:
        results.load(path)
    for sentence in (str(caught.value), str(caught_too.value)):
        assert sentence.isprintable()
        assert len(sentence) < 4 * (250 + 40) + len(str(path)) + 200


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"^'.*results.json' cannot be read: No such file or directory\.$"):
        results.load(tmp_path / "results.json")
