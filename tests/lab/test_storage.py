"""Results on disk: read back as they were, or refused in one sentence."""

from __future__ import annotations

import json

import pytest

from anymax.lab import storage
from anymax.lab.errors import DataError
from anymax.lab.report.page import render
from tests.lab.comparisons import compared


def test_saved_and_loaded_is_the_same_and_so_is_its_report(tmp_path):
    comparison = compared()
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
