"""A whole comparison of heads on rows with several labels, and all that is left of it."""

import html
import io
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from anymax.lab import compare, load, storage
from anymax.lab.errors import LabError, MethodError
from anymax.lab.model.predictions import predict
from anymax.lab.report import terminal
from anymax.lab.report.code import LABEL_LOSSES, code_of
from anymax.lab.report.page import render
from anymax.lab.training.methods import METHODS
from tests.lab.data.labelled import NAMES, label_frame

OPTIONS = {"target": "news,sports,science", "epochs": 4, "lr": 0.01, "device": "cpu"}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A table as a file."""
    path = tmp_path_factory.mktemp("source") / "t.csv"
    label_frame(250).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def of_all(source):
    """A comparison of all heads of labels."""
    return compare(source, **OPTIONS, methods=list(LABEL_LOSSES), seeds=3)


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """The comparison, and its folder."""
    folder = tmp_path_factory.mktemp("labels") / "run"
    return compare(source, **OPTIONS, seeds=3, output=folder), folder


def test_average_precision_decides_among_the_heads_of_labels(made):
    comparison, _ = made
    assert comparison.decide_by == "average_precision"
    assert [method.name for method in comparison.methods] == ["sigmoid", "weighted"]
    others = {
        left.method for left in comparison.left_out if left.why != "the labels of a row do not exclude each other"
    }
    assert others == {"focal", "asymmetric"}
    assert comparison.verdict.reference == "sigmoid"
    frequencies = np.mean([each.measures["average_precision"] for each in comparison.baseline])
    # theirs are less than even odds
    assert np.mean(comparison.values("sigmoid", "nll")) + 0.1 < comparison.baseline[0].measures["nll"] < np.log(2)
    for name in ("sigmoid", "weighted"):
        assert np.mean(comparison.values(name, "average_precision")) > frequencies + 0.3
        assert np.mean(comparison.values(name, "nll")) < 0.6
    assert [each.in_time for each in comparison.beside] == [True, True]
    assert all(np.mean([t.measures["average_precision"] for t in each.tested]) > 0.7 for each in comparison.beside)


def test_what_the_text_says_is_of_labels(made, capsys):
    comparison, _ = made
    terminal.show(comparison)
    said = capsys.readouterr().out
    page = html.unescape(render(comparison))
    for text in (said, page):
        assert "3 labels" in text
        assert "Label by label" in text
        assert "and entmax left out: the labels of a row do not exclude each other" in " ".join(text.split())
        assert " class " not in text
    for absent in ("After temperature scaling", "takes for what", "can the scores", "time to quality"):
        assert absent.casefold() not in page.casefold()
    assert "No label is taken for another" in page
    figures = comparison.by_class.figures
    assert all(
        f"<td>{value:.3f}</td>" in page.replace(' class="first"', "") for value in figures.average_precision["sigmoid"]
    )


def test_figures_of_labels_are_those_of_the_answers(made):
    comparison, folder = made
    answers = pd.read_csv(folder / "predictions.csv")
    assert list(answers.columns[:3]) == ["repeat", "row", "true: news"]
    frame = comparison.classes_frame().set_index(["method", "class"])
    for name in NAMES:
        true, said = answers[f"true: {name}"], answers[f"weighted: {name}"]
        recall = [(true * said)[rows].sum() / true[rows].sum() for rows in answers.groupby("repeat").indices.values()]
        assert frame.recall["weighted", name] == pytest.approx(np.mean(recall), abs=1e-5)
        assert frame.tested["weighted", name] == true.sum()
        precisions = [trial.tested.average_precisions[NAMES.index(name)] for trial in comparison.of("weighted")]
        assert frame.average_precision["weighted", name] == pytest.approx(np.mean(precisions), abs=1e-5)
    right = answers[[f"true: {n}" for n in NAMES]].to_numpy() == answers[[f"sigmoid: {n}" for n in NAMES]].to_numpy()
    assert right.all(1)[answers.repeat == 1].mean() == pytest.approx(comparison.values("sigmoid", "exact")[1])


def test_results_are_read_back(made):
    comparison, folder = made
    assert storage.load(folder / "results.json") == comparison
    assert render(storage.load(folder / "results.json")) == render(comparison)


def test_the_winner_is_taken_home(made, source):
    comparison, folder = made
    model = load(folder)
    rows = pd.read_csv(source)
    probabilities, said = model.predict_proba(rows), model.predict(rows)
    assert probabilities.shape == said.shape == (250, 3)
    assert set(np.unique(said)) == {0, 1}
    assert list(model.classes_) == list(NAMES)
    assert model.__sklearn_tags__().classifier_tags.multi_label
    has = (rows[list(NAMES)] == "yes").to_numpy()
    assert average_precision_score(has, probabilities) > 0.8
    content, notes = predict(folder, source, encoding=None, backbone=None)
    lines = pd.read_csv(io.BytesIO(content))
    assert list(lines.columns) == ["row", *NAMES, *(f"probability of {name}" for name in NAMES)]
    assert np.array_equal(lines[list(NAMES)].to_numpy(), said)
    assert notes == []
    assert comparison.verdict.pick == model.kept.facts.recipe.method


@pytest.mark.parametrize("pick", list(LABEL_LOSSES))
def test_the_code_trains_the_winner(of_all, pick, monkeypatch):
    comparison = of_all
    monkeypatch.setattr(comparison.verdict, "pick", pick)
    done = subprocess.run([sys.executable, "-c", code_of(comparison)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    reached = float(done.stdout.splitlines()[0].removeprefix("average precision on the test part: "))
    assert reached == pytest.approx(np.mean(comparison.values(pick, "average_precision")), abs=0.1)


def test_heads_that_are_not_calibrated_say_so(of_all):
    for name in ("focal", "asymmetric"):
        (note,) = [method.note for method in of_all.methods if method.name == name]
        assert note.endswith("they are not calibrated.")
        assert np.mean(of_all.values(name, "nll")) > np.mean(of_all.values("sigmoid", "nll"))
        assert note in html.unescape(render(of_all))
    # the asymmetric loss says more labels
    said = {name: of_all.predictions_frame().filter(like=f"{name}: ").to_numpy().mean() for name in LABEL_LOSSES}
    assert said["asymmetric"] > said["sigmoid"]


def test_there_is_code_for_every_head_of_labels():
    assert set(LABEL_LOSSES) == {name for name, method in METHODS.items() if method.make_for_labels}


def test_a_run_that_was_interrupted_goes_on_and_grows(made, source, tmp_path):
    comparison, folder = made
    again = tmp_path / "again"
    shutil.copytree(folder / "trainings", again / "trainings")
    for gone in ("2/weighted@0.01.npz", "2/trees.npz"):
        (again / "trainings" / gone).unlink()
    resumed = compare(source, **OPTIONS, seeds=3, output=again, keep_model=False)
    for name in ("sigmoid", "weighted"):
        assert resumed.values(name, "average_precision") == comparison.values(name, "average_precision")
    assert resumed.by_class == comparison.by_class
    grown = compare(source, **OPTIONS, seeds=4, output=again, keep_model=False)
    assert grown.values("sigmoid", "nll")[:3] == comparison.values("sigmoid", "nll")
    assert grown.repeats == 4


def test_two_processes_reach_the_same(made, source, tmp_path):
    script = f"from anymax.lab import compare\ncompare({str(source)!r}, **{OPTIONS!r}, seeds=1, output='two')\n"
    (tmp_path / "script.py").write_text(script)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "script.py"]
    done = subprocess.run(torchrun, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    two = storage.load(tmp_path / "two" / "results.json")
    comparison, _ = made
    for name in ("sigmoid", "weighted"):
        (theirs,), ours = two.values(name, "average_precision"), comparison.values(name, "average_precision")[0]
        assert theirs == pytest.approx(ours, abs=0.1)


def test_requests_that_do_not_fit_labels_are_one_sentence(source):
    with pytest.raises(MethodError, match=r"softmax: the labels of a row do not exclude each other"):
        compare(source, **OPTIONS, methods=["softmax"])
    with pytest.raises(
        LabError, match=r"'top1' is not a measure of rows with several labels: expected one of average_p"
    ):
        compare(source, **OPTIONS, decide_by="top1")
    with pytest.raises(LabError, match="holds a class for each row, and rows have labels here"):
        compare(source, **OPTIONS, baseline=source)
    with pytest.raises(MethodError, match="weighted: it is for rows that may have several labels"):
        compare("wine", methods=["weighted"])
