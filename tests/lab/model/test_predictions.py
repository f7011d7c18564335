"""`anymax predict`: what it writes, and what it refuses."""

import csv
import json
import shutil
import sys

import numpy as np
import pytest

from anymax.lab import compare, load
from anymax.lab.data.predictions import read_predictions
from anymax.lab.model.folder import FACTS
from tests.lab.data.labelled import label_frame
from tests.lab.model.conftest import a_table
from tests.test_cli import anymax, refusal


def lines_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "new.csv"
    a_table().drop(columns="kind").head(7).to_csv(path, index=False)
    return path


def test_classes_and_probabilities_go_to_a_file(of_table, rows, tmp_path, monkeypatch, capsys):
    assert anymax(monkeypatch, "predict", str(of_table), str(rows), "--output", str(tmp_path / "out.csv")) == 0
    header, *lines = lines_of(tmp_path / "out.csv")
    assert header == ["row", "prediction", "a", "b, or c", "d"]
    assert [line[0] for line in lines] == [str(i) for i in range(7)]
    for line in lines:
        probabilities = np.array(line[2:], dtype=float)
        assert probabilities.sum() == pytest.approx(1)
        assert line[1] == header[2 + probabilities.argmax()]
    assert capsys.readouterr() == ("", "")


def test_classes_that_are_called_as_the_columns_beside_them_are_read_as_they_were_written(
    of_table, rows, tmp_path, monkeypatch
):
    model, out = shutil.copytree(of_table / "model", tmp_path / "model"), tmp_path / "out.csv"
    class_names = ["prediction", "row", "probability of row"]
    (model / FACTS).write_text(json.dumps(json.loads((model / FACTS).read_text()) | {"class_names": class_names}))
    assert anymax(monkeypatch, "predict", str(model), str(rows), "--output", str(out)) == 0
    assert lines_of(out)[0] == ["row", "prediction", *(f"probability of {name}" for name in class_names)]
    found = read_predictions(out, np.arange(7), class_names)
    classes, probabilities = load(model).answer(rows)
    assert list(found.prediction) == list(classes)
    np.testing.assert_allclose(found.probabilities, probabilities)


def test_labels_that_are_called_as_a_column_beside_them_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = label_frame(120).rename(columns={"sports": "row"})
    names = ["news", "row", "science"]
    frame.to_csv("rows.csv", index=False)
    compare("rows.csv", target=names, methods=["weighted"], seeds=1, epochs=4, lr=0.01, device="cpu", output="run")
    assert anymax(monkeypatch, "predict", "run", "rows.csv", "--output", "out.csv") == 0
    header, *lines = lines_of("out.csv")
    assert header == ["row", *(f"label {name}" for name in names), *(f"probability of {name}" for name in names)]
    # the weights are taken out of the probabilities, which are as large as labels are frequent, and not of the answers
    said, probabilities = np.array(lines, dtype=float)[:, 1:].reshape(-1, 2, 3).swapaxes(0, 1)
    has = (frame[names] == "yes").to_numpy()
    assert probabilities.mean(0) == pytest.approx(has.mean(0), abs=0.1)
    assert said.sum() > (probabilities > 0.5).sum()


def test_a_method_without_a_law_gives_classes_alone(of_arrays, arrays, tmp_path, monkeypatch):
    np.savez(tmp_path / "rows.npz", X=arrays[0][:3])
    out = tmp_path / "out.csv"
    assert anymax(monkeypatch, "predict", str(of_arrays), str(tmp_path / "rows.npz"), "--output", str(out)) == 0
    header, *lines = lines_of(out)
    assert header == ["row", "prediction"]
    assert {line[1] for line in lines} <= {"0", "1"}


def test_cells_that_do_not_fit_are_said_on_standard_error(of_table, rows, tmp_path, monkeypatch, capsys):
    rows.write_text(rows.read_text().replace('"$', '"about $'))
    assert anymax(monkeypatch, "predict", str(of_table), str(rows), "--output", str(tmp_path / "out.csv")) == 0
    said = capsys.readouterr().err
    assert said.startswith("anymax: Cells that do not fit what their column was read as count as missing: 'price' in ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda text: text.replace("sold", "bought"), "has no column 'sold', which the model was trained with."),
        (lambda text: text.splitlines()[0] + "\n", "has a header and no rows below it"),
        (lambda text: "", "is empty"),
    ],
    ids=["a column is missing", "a head alone", "nothing"],
)
def test_rows_that_cannot_be_read_are_one_sentence(of_table, rows, monkeypatch, capsys, spoil, sentence):
    rows.write_text(spoil(rows.read_text()))
    assert anymax(monkeypatch, "predict", str(of_table), str(rows)) == 2
    assert sentence in refusal(capsys)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.csv"], "There is no .csv, .tsv, .parquet or .jsonl file 'nowhere.csv'."),
        (["new.csv", "--backbone", "nets:make"], "stands on the built-in backbone: leave --backbone out."),
        (["new.csv", "--output", "new.csv/out.csv"], "The answers cannot be written to"),
        (["new.csv", "--encoding", "klingon"], "klingon"),
    ],
)
def test_requests_that_cannot_be_met_are_one_sentence(of_table, rows, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(rows.parent)
    assert anymax(monkeypatch, "predict", str(of_table), *arguments) == 2
    assert sentence in refusal(capsys)


def test_a_folder_without_a_model_is_one_sentence(tmp_path, rows, monkeypatch, capsys):
    assert anymax(monkeypatch, "predict", str(tmp_path), str(rows)) == 2
    assert "holds no model that was kept" in refusal(capsys)


def test_a_backbone_of_the_user_s_is_found_in_the_folder_of_the_command(arrays, tmp_path, monkeypatch, capsys):
    """And has to be named: the folder of the model says nothing of what is to be imported."""
    (tmp_path / "nets_of_mine.py").write_text("import torch\n\ndef make(n):\n    return torch.nn.Linear(n, 3)\n")
    np.savez(tmp_path / "data.npz", X=arrays[0], y=arrays[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    options = ["--seeds", "3", "--epochs", "1", "--lr", "0.01", "--methods", "softmax", "--device", "cpu"]
    backbone = ["--backbone", "nets_of_mine:make"]
    assert anymax(monkeypatch, "compare", "data.npz", *options, *backbone, "--output", "out") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "out/model"
    # as in a process of its own, which has not found it yet
    del sys.modules["nets_of_mine"]
    sys.path.remove(str(tmp_path))
    assert anymax(monkeypatch, "predict", "out", "data.npz") == 2
    assert "stands on a backbone of your own, nets_of_mine:make: name it with --backbone." in refusal(capsys)
    assert anymax(monkeypatch, "predict", "out", "data.npz", *backbone, "--output", "answers.csv") == 0
    assert len(lines_of("answers.csv")) == 121
