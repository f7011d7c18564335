"""A whole comparison with heads whose probabilities may be 0, and all that is left of it."""

import html
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from anymax.lab import compare, load, storage
from anymax.lab.model.classifier import KeptClassifier
from anymax.lab.model.predictions import predict
from anymax.lab.report import terminal
from anymax.lab.report.code import code_of
from anymax.lab.report.page import render

SPARSE = {"sparsemax": 2.0, "entmax": 1.5}
OPTIONS = {"target": "kind", "epochs": 5, "lr": 0.01, "device": "cpu", "decide_by": "brier", "seeds": 3}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Four classes well apart, a tenth of the rows with a class that their numbers rule out."""
    generator = np.random.default_rng(0)
    kind = generator.integers(0, 4, 400)
    frame = pd.DataFrame(5 * np.eye(4)[kind] + generator.normal(size=(400, 4)), columns=list("wxyz"))
    wrong = generator.random(400) < 0.1
    frame["kind"] = np.array(list("abcd"))[np.where(wrong, (kind + 1) % 4, kind)]
    path = tmp_path_factory.mktemp("source") / "t.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """The comparison, and its folder."""
    folder = tmp_path_factory.mktemp("sparse") / "run"
    return compare(source, **OPTIONS, methods=["softmax", *SPARSE], output=folder), folder


@pytest.mark.parametrize("name", SPARSE)
def test_the_share_of_impossible_rows_stands_in_for_the_likelihood(made, name):
    comparison, _ = made
    assert comparison.values(name, "nll") == [None] * 3
    # some of the wrong tenth, and few others
    assert 0 < np.mean(comparison.values(name, "impossible")) < 0.2
    assert np.mean(comparison.values(name, "brier")) < 0.4
    assert comparison.values("softmax", "impossible") == [None] * 3
    for trial in comparison.of(name):
        assert trial.tested.scaled.nll is None
        assert trial.tested.scaled.brier is not None
        assert trial.tested.log_z is None
    frame = comparison.trials_frame().set_index("method")
    assert frame.loc[name, "nll"].isna().all()
    assert frame.loc[name, "impossible"].notna().all()


def test_nothing_is_decided_or_flagged_by_a_likelihood_that_may_be_infinite(made, capsys):
    comparison, folder = made
    judged = {(each.method, each.measure) for each in (*comparison.verdict.differences, *comparison.verdict.others)}
    assert {(name, "brier") for name in SPARSE} <= judged
    assert not {(name, "nll") for name in SPARSE} & judged
    assert "are worse than the class frequencies" not in comparison.verdict.text
    terminal.show(comparison)
    said, page = capsys.readouterr().out, html.unescape(render(comparison))
    for text in (said, page):
        assert "It gives probability 0 to classes" in " ".join(text.split())
    assert "p = 0: the share of rows whose true class has probability 0." in " ".join(said.split())
    assert "share of rows whose true class has probability 0" in page
    assert page.count("may be infinite") == 2
    assert "missing in" not in page  # the share of softmax, which has none, is an empty cell
    assert storage.load(folder / "results.json") == comparison
    assert "Infinity" not in (folder / "results.json").read_text()


@pytest.mark.parametrize("name", SPARSE)
def test_the_model_that_is_kept_and_the_code_have_its_probabilities(source, name, tmp_path, capsys):
    comparison = compare(source, **OPTIONS, methods=[name], output=tmp_path / "run")
    model = load(tmp_path / "run")
    rows = pd.read_csv(source)
    probabilities = model.predict_proba(rows)
    assert np.allclose(probabilities.sum(1), 1)
    assert 0.1 < (probabilities == 0).mean() < 0.75
    assert (model.classes_[probabilities.argmax(1)] == model.predict(rows)).all()
    content, _ = predict(tmp_path / "run", source, encoding=None, backbone=None)
    lines = pd.read_csv(io.BytesIO(content))
    assert np.allclose(lines[list("abcd")].to_numpy(), probabilities)
    # all scores are divided by the temperature before the map
    kept = model.kept
    assert kept.facts.recipe.temperature not in (None, 1.0)
    hot = replace(kept, facts=replace(kept.facts, recipe=replace(kept.facts.recipe, temperature=100.0)))
    assert (KeptClassifier(hot).predict_proba(rows) > 0).all()
    names = {"__name__": "__main__"}
    exec(code_of(comparison), names)
    accuracy = float(capsys.readouterr().out.rpartition(" ")[2])
    assert accuracy == pytest.approx(np.mean(comparison.values(name, "top1")), abs=0.1)
    assert torch.allclose(names["probabilities"].sum(-1), torch.ones(len(names["probabilities"])))
    assert (names["probabilities"] == 0).any()
