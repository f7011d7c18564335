"""A kept model's folder: it comes back as it was, and nothing that stands in it is run."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from skops import io as skops

from anymax.lab import load
from anymax.lab.errors import DataError
from anymax.lab.model.folder import COLUMNS, FACTS, FIRST_ROWS, FORMAT, WEIGHTS, facts_of, read

FILES = [FACTS, WEIGHTS, COLUMNS]


@pytest.fixture
def model(of_table, tmp_path):
    """A copy of a model to be spoilt."""
    return shutil.copytree(of_table / "model", tmp_path / "model")


class RunsCode:
    """What a pickle runs where it is read: it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def leaves_a_trace(values):
    raise AssertionError("a function of the file was called")


def test_a_fresh_process_gives_the_probabilities_that_were_kept(of_table, table_file):
    """To float accuracy, for the first hundred rows by their number in the file; two of them have no target."""
    command = [sys.executable, "-m", "anymax", "predict", str(of_table), str(table_file)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    kept = np.load(of_table / "model" / FIRST_ROWS, allow_pickle=False)
    lines = [line.split('"') for line in told.stdout.splitlines()]
    assert lines[0][1::2] == ["row", "prediction", "a", "b, or c", "d"]
    found = np.array([line[-1].split(",")[1:] for line in lines[1:]], dtype=float)
    assert len(found) == 420
    assert list(kept["row"]) == [0, 1, 2, *range(5, 102)]
    np.testing.assert_allclose(found[kept["row"]], kept["probabilities"], rtol=0, atol=1e-6)
    assert {line[1] for line in lines[1:]} == {"a", "b, or c", "d"}


def test_every_way_to_read_a_column_is_in_it(of_table):
    facts = facts_of(of_table / "model")
    assert {column.name: column.kind for column in facts.reading.columns} == {
        "price": "number",
        "colour": "category",
        "shop": "category",
        "title": "text",
        "sold": "date",
    }
    assert facts.class_names == ["a", "b, or c", "d"]
    assert list(facts.levels) == ["shop"]
    assert (
        "__class__"
        in skops.load(of_table / "model" / COLUMNS, trusted=trusted()).steps[0][1].transformers_[2][1].vocabulary_
    )


def trusted():
    return ["anymax.lab.data.preparation.CutOff", "numpy.dtype"]


def test_the_folder_of_the_comparison_and_that_of_the_model_are_the_same(of_table, table_file):
    one, other = load(of_table), load(of_table / "model")
    assert np.array_equal(one.predict_proba(table_file), other.predict_proba(table_file))


@pytest.mark.parametrize(
    "made",
    [
        FunctionTransformer(leaves_a_trace),
        FunctionTransformer(np.exp),
        LogisticRegression().fit([[0], [1]], [0, 1]),
    ],
    ids=["a function of the file's", "a function that skops trusts", "a class that skops trusts"],
)
def test_what_no_model_of_ours_holds_is_not_read(model, table_file, made):
    skops.dump(Pipeline([("made", made)]), model / COLUMNS)
    with pytest.raises(DataError, match="which no model that anymax keeps holds"):
        load(model).predict(table_file)


def test_a_loader_that_no_model_of_ours_needs_is_not_run(model):
    """Even where it is to make what is trusted."""
    with zipfile.ZipFile(model / COLUMNS) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["schema.json"] = members["schema.json"].replace(b'"ListNode"', b'"SetNode"')
    with zipfile.ZipFile(model / COLUMNS, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match=r"SetNode.*, which no model that anymax keeps holds"):
        read(model)


def test_the_list_of_trusted_types_is_not_the_file_s(model, monkeypatch):
    """Not even the check that comes before skops' own lets skops build what it does not trust."""
    skops.dump(Pipeline([("made", FunctionTransformer(leaves_a_trace))]), model / COLUMNS)
    monkeypatch.setattr("anymax.lab.model.folder._described", lambda schema: [])
    with pytest.raises(DataError, match="Untrusted types"):
        read(model)


@pytest.mark.parametrize("name", FILES)
def test_a_pickle_under_the_name_of_a_file_is_not_unpickled(model, tmp_path, name):
    trace = tmp_path / "trace"
    (model / name).write_bytes(pickle.dumps(RunsCode(trace)))
    with pytest.raises(DataError, match="damaged"):
        read(model)
    assert not trace.exists()


def test_new_rows_are_not_unpickled(of_arrays, tmp_path):
    trace = tmp_path / "trace"
    np.savez(tmp_path / "rows.npz", X=np.array([[RunsCode(trace)] * 4], dtype=object))
    with pytest.raises(DataError, match="without Python objects"):
        load(of_arrays).predict(tmp_path / "rows.npz")
    assert not trace.exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("spoil", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"\x93" * 100])
def test_a_damaged_file_is_one_sentence(model, name, spoil):
    (model / name).write_bytes(spoil((model / name).read_bytes()))
    with pytest.raises(DataError, match=r"^'[^\n]*' is damaged: [^\n]+\.$"):
        read(model)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_one_sentence(model, name):
    (model / name).unlink()
    with pytest.raises(DataError, match=r"is damaged|holds no model"):
        read(model)


def changed(model, **facts):
    stored = json.loads((model / FACTS).read_text())
    (model / FACTS).write_text(json.dumps(stored | facts))


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"format": FORMAT + 1}, f"holds no model in format {FORMAT}"),
        ({"class_names": ["a", "b"]}, "more names than counts"),
        ({"class_names": 3}, "class_names"),
        ({"class_names": ["a", "b"], "class_counts": [1, 2]}, "the weights are not those of such a model"),
        ({"inputs": 7}, "is damaged"),
        ({"levels": {}}, "is damaged"),
        ({"recipe": None}, "recipe"),
    ],
)
def test_facts_that_cannot_be_are_one_sentence(model, facts, sentence):
    changed(model, **facts)
    with pytest.raises(DataError, match=sentence):
        read(model)


def test_a_method_that_does_not_exist_is_one_sentence(model):
    recipe = json.loads((model / FACTS).read_text())["recipe"]
    changed(model, recipe=recipe | {"method": "hardmax"})
    with pytest.raises(DataError, match="no method 'hardmax'"):
        read(model)


def test_a_folder_without_a_model_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="holds no model that was kept"):
        load(tmp_path)


def test_the_weights_are_plain_numbers(of_table):
    assert {"head.weight", "head.bias"} <= set(load_file(of_table / "model" / WEIGHTS))


def test_rows_of_a_frame_are_read_as_those_of_the_file(of_table, table_file):
    frame = pd.read_csv(table_file, dtype=str, keep_default_na=False).replace("", None)
    model = load(of_table)
    assert np.array_equal(model.predict_proba(frame), model.predict_proba(table_file))
