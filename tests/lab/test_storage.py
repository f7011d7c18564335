"""Results on disk: read back as they were, or refused in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from anymax.lab import storage
from anymax.lab.data.dataset import Items
from anymax.lab.errors import DataError
from anymax.lab.measuring.outcomes import Answers, Outcomes
from anymax.lab.report.page import render
from anymax.lab.results import MissedRow
from tests.lab.comparisons import by_class, compared, make_comparison

MISSED = MissedRow(row=7, target=1, repeats=1, tested=2, answers={"softmax": [0], "nce": [0]})


def test_saved_and_loaded_is_the_same_and_so_is_its_report(tmp_path):
    comparison = compared()
    comparison.by_class = by_class({"softmax": [0.5, None], "nce": [0.25, 0]}, "softmax", [MISSED])
    storage.save(comparison, tmp_path / "results.json")
    loaded = storage.load(tmp_path / "results.json")
    assert loaded == comparison
    assert render(loaded) == render(comparison)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "format 3"),
        (b'{"some": "thing"}', "format 3"),
        (b'{"format": 1, "trials": []}', "format 3"),
        (b'{"format": 3}', "damaged results: data: "),
    ],
)
def test_what_holds_no_results_is_one_sentence(tmp_path, content, says):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        storage.load(path)
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["trials", "decide_by", "versions", "method", "curve"])
def test_damaged_results_are_one_sentence(tmp_path, damage):
    path = tmp_path / "results.json"
    storage.save(compared(), path)
    stored = json.loads(path.read_text())
    if damage == "method":
        stored["trials"][0]["method"] = "unheard of"
    elif damage == "curve":
        stored["trials"][0]["curve"]["seconds"].append(1.0)
    else:
        stored[damage] = "nonsense"
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=r"damaged results: [^\n]*\.$"):
        storage.load(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored["figures"]["ids"].__setitem__(0, 10),
        lambda stored: stored["figures"]["tested"].append(3),
        lambda stored: stored["figures"]["recall"]["nce"].pop(),
        lambda stored: stored["figures"]["precision"].pop("nce"),
        lambda stored: stored["confusions"].__setitem__("method", "unheard of"),
        lambda stored: stored["confusions"]["ids"].append(-1),
        lambda stored: stored["confusions"]["items"].pop(),
        lambda stored: stored["missed"]["worst"][0].__setitem__("target", 10),
        lambda stored: stored["missed"]["worst"][0]["answers"].__setitem__("nce", [-1]),
        lambda stored: stored["missed"]["worst"][0]["answers"].__setitem__("unheard of", [1]),
    ],
)
def test_what_is_said_of_single_classes_fits_the_classes_and_methods(tmp_path, damage):
    path = tmp_path / "results.json"
    comparison = compared()
    comparison.by_class = by_class({"softmax": [0.5, None], "nce": [0.25, 0]}, "softmax", [MISSED])
    storage.save(comparison, path)
    assert storage.load(path) == comparison
    stored = json.loads(path.read_text())
    damage(stored["by_class"])
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match="what is said of single classes does not fit"):
        storage.load(path)


def test_results_without_single_classes_still_read(tmp_path):
    path = tmp_path / "results.json"
    storage.save(compared(), path)
    stored = json.loads(path.read_text())
    del stored["by_class"]
    path.write_text(json.dumps(stored))
    assert storage.load(path) == compared()
    assert "Class by class" in render(storage.load(path))


def test_a_name_in_damaged_results_is_cut_and_acts_on_no_terminal(tmp_path):
    path = tmp_path / "results.json"
    storage.save(compared(), path)
    stored = json.loads(path.read_text())
    stored["trials"][0]["tested"]["measures"] = {"\x1b[2J" * 1_000_000: "nonsense"}
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=r"damaged results: trials\.0\.tested\.measures") as caught:
        storage.load(path)
    stored = json.loads(path.read_text()) | {"decide_by": "\x1b[2J" * 1_000_000, "trials": []}
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match="damaged results: no measure is called ") as caught_too:
        storage.load(path)
    for sentence in (str(caught.value), str(caught_too.value)):
        assert sentence.isprintable()
        assert len(sentence) < 4 * (250 + 40) + len(str(path)) + 200


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"^'.*results.json' cannot be read: No such file or directory\.$"):
        storage.load(tmp_path / "results.json")


def test_predictions_say_what_each_method_answered_to_each_row(tmp_path):
    comparison = make_comparison(
        {"softmax": [0.5] * 2, "nce": [0.5] * 2}, class_names=["a,b", 'say "c"', "é"], num_classes=3
    )
    items = [Items(np.array(rows), np.array(rows), np.array([0, 1])) for rows in ([7, 3], [3, 9])]
    answers = {
        "softmax": [Answers(np.array([0, 2]), {}), Answers(np.array([1, 1]), {})],
        "nce": [Answers(np.array([2, 2]), {}), Answers(np.array([0, 0]), {})],
    }
    comparison.outcomes = Outcomes(items, answers)
    storage.save_predictions(comparison, tmp_path / "predictions.csv")
    frame = pd.read_csv(tmp_path / "predictions.csv")
    assert frame.to_dict("list") == {
        "repeat": [0, 0, 1, 1],
        "row": [7, 3, 3, 9],
        "class": ["a,b", 'say "c"', "a,b", 'say "c"'],
        "softmax": ["a,b", "é", 'say "c"', 'say "c"'],
        "nce": ["é", "é", "a,b", "a,b"],
    }
    comparison.outcomes = None
    storage.save_predictions(comparison, tmp_path / "predictions.csv")
    assert (tmp_path / "predictions.csv").read_text() == '"repeat","row","class","softmax","nce"\n'
