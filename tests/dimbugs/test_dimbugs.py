"""Each pair is what it says it is: both halves run, and what is wrong shows in the buggy half alone."""

from __future__ import annotations

import math
import re

import pytest
import torch

from tests.dimbugs.driving import Drive
from tests.dimbugs.pairs import ENGINES, HALVES, Pair, all_pairs

PAIRS = all_pairs()
WITHOUT_SYMPTOM = {"nll_of_log_softmax"}  # the value is the same; what is wrong is that it is said in two calls

# torch warns of an implicit dim and of KLDivLoss with the mean
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.slug)
each_half = pytest.mark.parametrize("half", HALVES)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def test_there_are_as_many_pairs_as_promised():
    assert len(PAIRS) >= 44


def test_the_pairs_spread_over_the_catalogue():
    named = {code for pair in PAIRS for code in pair.codes}
    assert named >= {f"AMX{number}" for number in (*range(101, 110), *range(201, 212), *range(301, 306), 401)}


@each_pair
def test_about_is_complete(pair: Pair):
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull|blob)/\S+", pair.thread)
    assert pair.wrong.endswith(".")
    assert pair.codes
    assert all(re.fullmatch(r"AMX[1-4]\d\d", code) for code in pair.codes)
    assert pair.engines
    assert set(pair.engines) <= set(ENGINES)


def test_no_two_pairs_are_after_the_same_thread():
    threads = [pair.thread for pair in PAIRS]
    assert len(set(threads)) == len(threads)


@each_pair
def test_the_halves_differ_and_are_short(pair: Pair):
    buggy, fixed = ([file.read_text(encoding="utf-8") for file in pair.files(half)] for half in HALVES)
    assert len(buggy) == len(fixed)
    assert buggy != fixed
    for texts in (buggy, fixed):
        assert 12 <= sum(len(text.splitlines()) for text in texts) <= 80


@each_pair
@each_half
def test_a_step_runs_and_trains(pair: Pair, half: str):
    run = pair.driver().drive(pair.load(half))
    assert isinstance(run, Drive)
    assert run.step is not None
    if pair.raises and half == "buggy":
        with pytest.raises((RuntimeError, AttributeError)):
            run.step()
        return
    loss = run.step()
    assert loss.requires_grad
    if run.model is not None:
        assert any(parameter.grad is not None for parameter in run.model.parameters())
    if half == "fixed":
        assert math.isfinite(loss)


@each_pair
@each_half
def test_the_model_takes_the_example_and_the_loss_its_output(pair: Pair, half: str):
    run = pair.driver().drive(pair.load(half))
    if run.model is None or (pair.raises and half == "buggy"):
        pytest.skip("nothing for the engines that trace or perturb a model")
    inputs = run.example_input if isinstance(run.example_input, tuple) else (run.example_input,)
    assert inputs[0].shape[run.batch_dim] > 1
    outputs = run.model(*inputs)
    if run.loss is not None:
        assert run.loss(outputs, run.target).numel() == 1


@each_pair
@each_half
def test_what_is_wrong_shows_in_the_buggy_half_alone(pair: Pair, half: str):
    symptom = getattr(pair.driver(), "symptom", None)
    assert (symptom is None) == (pair.slug in WITHOUT_SYMPTOM)
    if symptom is not None:
        assert symptom(pair.load(half)) == (half == "buggy")


@each_pair
def test_in_the_fixed_half_no_sample_moves_another(pair: Pair):
    run = pair.driver().drive(pair.load("fixed"))
    if run.model is None:
        pytest.skip("the samples of a batch are compared with one another on purpose")
    first, *others = run.example_input if isinstance(run.example_input, tuple) else (run.example_input,)
    changed = first.clone()
    changed.select(run.batch_dim, -1).copy_(first.select(run.batch_dim, 0))
    assert not torch.equal(first, changed)

    outputs = []
    for inputs in (first, changed):
        torch.manual_seed(0)  # some models draw
        output = run.model(inputs, *others)
        output = next(iter(output.values())) if isinstance(output, dict) else output
        outputs.append(output[0] if isinstance(output, tuple) else output)
    axes = [axis for axis, size in enumerate(outputs[0].shape) if size == first.shape[run.batch_dim]]
    if not axes:
        pytest.skip("the model returns its loss")
    kept = (output.movedim(axes[0] if run.batch_dim not in axes else run.batch_dim, 0)[:-1] for output in outputs)
    torch.testing.assert_close(*kept)
