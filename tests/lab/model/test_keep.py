"""When a model is kept, on which rows it is trained, and what an interruption leaves."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from anymax.lab import compare, load
from anymax.lab.errors import OptionError
from anymax.lab.model.folder import COLUMNS, FACTS, FIRST_ROWS, WEIGHTS, facts_of, read
from anymax.lab.training import trial
from anymax.lab.training.events import FinalTraining, FoundFinished, NoModel
from anymax.lab.training.folder import RESULTS
from tests.lab.model.conftest import a_table

OPTIONS = {"methods": ["sigmoid"], "epochs": 2, "lr": 0.01, "device": "cpu"}


def carried_out(arrays, folder, seeds=3, **options):
    """The events of a comparison."""
    events = []
    compare(arrays, seeds=seeds, output=folder, progress=events.append, **(OPTIONS | options))
    return events


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def narrow(in_features):
    return nn.Linear(in_features, 3)


def wide(in_features):
    return nn.Linear(in_features, 5)


def test_it_is_trained_on_all_rows_for_the_epochs_that_were_chosen(arrays, tmp_path, monkeypatch):
    steps = []
    step = trial._step

    def counted(plan, model, optimizer, fabric, inputs, targets):
        steps.append(len(inputs))
        return step(plan, model, optimizer, fabric, inputs, targets)

    def began(event):
        if isinstance(event, FinalTraining):
            steps.clear()

    monkeypatch.setattr(trial, "_step", counted)
    comparison = compare(arrays, seeds=3, output=tmp_path, progress=began, **OPTIONS)
    facts = facts_of(tmp_path / "model")
    assert facts.recipe.epochs == sorted(each.best_epoch for each in comparison.trials)[1]
    assert sum(steps) == 120 * facts.recipe.epochs
    assert sum(facts.class_counts) == 120
    # what was fitted on the columns saw all rows too
    scaler = read(tmp_path).preparation.columns.steps[0][1].transformers_[0][1].steps[1][1]
    np.testing.assert_allclose(scaler.mean_, arrays[0].mean(0), rtol=1e-5)


def test_the_first_rows_it_keeps_are_its_own_answers(of_table, table_file):
    kept = np.load(of_table / "model" / FIRST_ROWS, allow_pickle=False)
    model = load(of_table)
    answers = model.predict(table_file)[kept["row"]]
    assert list(model.classes_[kept["class"]]) == list(answers)
    assert np.allclose(kept["probabilities"].sum(1), 1)
    assert kept["probabilities"].std(0).min() > 0.01  # they are not all the same


def test_a_run_that_is_found_finished_does_not_train_it_again(arrays, tmp_path):
    assert of(carried_out(arrays, tmp_path), FinalTraining)
    written = (tmp_path / "model" / WEIGHTS).stat().st_mtime_ns
    again = carried_out(arrays, tmp_path)
    assert of(again, FoundFinished)
    assert not of(again, FinalTraining)
    assert (tmp_path / "model" / WEIGHTS).stat().st_mtime_ns == written


def test_a_folder_that_grows_makes_it_anew(arrays, tmp_path):
    carried_out(arrays, tmp_path)
    assert of(carried_out(arrays, tmp_path, seeds=4), FinalTraining)
    assert facts_of(tmp_path / "model").recipe.repeats == 4


def test_it_is_left_out_where_nobody_wants_it_and_made_when_somebody_does(arrays, tmp_path):
    assert not of(carried_out(arrays, tmp_path, keep_model=False), FinalTraining)
    assert not (tmp_path / "model").exists()
    again = carried_out(arrays, tmp_path)
    assert of(again, FoundFinished)
    assert of(again, FinalTraining)
    assert sorted(os.listdir(tmp_path / "model")) == [COLUMNS, FIRST_ROWS, FACTS, WEIGHTS]


def test_an_interruption_while_it_is_trained_loses_no_results(arrays, tmp_path):
    def interrupt(event):
        if isinstance(event, FinalTraining):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(arrays, seeds=3, output=tmp_path, progress=interrupt, **OPTIONS)
    assert (tmp_path / RESULTS).exists()
    assert not (tmp_path / "model").exists()
    again = carried_out(arrays, tmp_path)
    assert of(again, FoundFinished)
    assert (tmp_path / "model" / FACTS).exists()


def test_nothing_is_kept_of_a_pick_that_diverged(arrays, tmp_path):
    """An older model would pass for this comparison's, so it goes."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / FACTS).write_text("{}")
    events = carried_out(arrays, tmp_path, lr=1e30)
    assert [event.why for event in of(events, NoModel)] == ["sigmoid diverged in every repeat"]
    assert not (tmp_path / "model").exists()


def test_a_model_that_diverges_on_all_rows_is_not_kept(arrays, tmp_path, monkeypatch):
    step = trial._step

    def diverges(plan, model, optimizer, fabric, inputs, targets):
        return step(plan, model, optimizer, fabric, inputs, targets) * (torch.nan if plan.epochs == 0 else 1.0)

    monkeypatch.setattr(trial, "_step", diverges)
    events = carried_out(arrays, tmp_path)
    assert [event.why for event in of(events, NoModel)] == ["sigmoid diverged when it was trained on all rows"]
    assert not (tmp_path / "model").exists()


def test_a_text_says_that_none_is_kept(tmp_path):
    lines = "\n".join(f"the {word} sat on the {other} mat" for word in "abcdef" for other in "uvwxyz") + "\n"
    (tmp_path / "words.txt").write_text(lines * 30)
    events = carried_out(tmp_path / "words.txt", tmp_path / "out", seeds=1, methods=["softmax"], min_count=1)
    assert [event.why for event in of(events, NoModel)] == ["the data are text"]


def test_what_else_stands_in_its_place_is_not_overwritten(arrays, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match="is no model that anymax kept"):
        carried_out(arrays, tmp_path)
    assert (tmp_path / "model" / "mine.txt").read_text() == "mine"
    assert not (tmp_path / RESULTS).exists()


def test_a_backbone_of_the_user_s_is_named_again(arrays, tmp_path):
    carried_out(arrays, tmp_path, backbone=narrow)
    with pytest.raises(OptionError, match="a backbone of your own"):
        load(tmp_path)
    with pytest.raises(OptionError, match="not those of this backbone"):
        load(tmp_path, backbone=wide)
    kept = np.load(tmp_path / "model" / FIRST_ROWS, allow_pickle=False)
    assert list(load(tmp_path, backbone=narrow).answer(arrays[0][:100])[0]) == list(kept["class"])


def test_a_backbone_is_not_named_for_a_model_on_the_built_in_one(of_arrays):
    with pytest.raises(OptionError, match="stands on the built-in backbone"):
        load(of_arrays, backbone=narrow)


def test_a_model_of_double_precision_comes_back_as_such(arrays, tmp_path):
    carried_out(arrays, tmp_path, precision="64-true", methods=["softmax"])
    kept = np.load(tmp_path / "model" / FIRST_ROWS, allow_pickle=False)
    model = load(tmp_path)
    assert next(model.kept.model.parameters()).dtype is torch.float64
    np.testing.assert_allclose(model.predict_proba(arrays[0][:100]), kept["probabilities"], rtol=0, atol=1e-12)


def test_a_model_whose_columns_are_all_embedded_needs_nothing_that_was_fitted_on_others(tmp_path):
    table = a_table()[["shop", "kind"]]
    compare(table, target="kind", seeds=3, output=tmp_path, kinds={"shop": "category"}, **OPTIONS)
    assert sorted(os.listdir(tmp_path / "model")) == [FIRST_ROWS, FACTS, WEIGHTS]
    kept = np.load(tmp_path / "model" / FIRST_ROWS, allow_pickle=False)
    assert list(load(tmp_path).answer(table)[0][kept["row"]]) == list(kept["class"])


def test_the_others_that_torchrun_started_keep_none(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("anymax.lab.api.is_first_process", lambda: False)
    assert not of(carried_out(arrays, tmp_path / "out"), FinalTraining)
    assert not (tmp_path / "out").exists()
