"""Methods: which take part, which are left out and why, and that every head keeps the lab's bargain."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric

from anymax.lab import compare
from anymax.lab.training import trial
from anymax.lab.training.methods import METHODS, NUM_NOISE, MethodError, choose
from anymax.noise import Noise
from tests.lab.calls import load


def names(methods):
    return [method.name for method in methods]


def test_all_that_fit_take_part():
    chosen, left_out = choose(None, "classification", 1000, "top1")
    assert names(chosen) == ["softmax", "nce", "sampled", "sigmoid"]
    assert [(out.method, out.why) for out in left_out] == [
        ("gumbel", "its objective aims at none of the measures; --methods takes it")
    ]
    assert names(choose(["gumbel", "softmax"], "classification", 1000, "top1")[0]) == ["gumbel", "softmax"]


def test_methods_that_would_draw_all_classes_are_left_out_unless_named():
    chosen, left_out = choose(None, "classification", 10, "top1")
    assert names(chosen) == ["softmax", "sigmoid"]
    why = "64 draws from 10 classes cost more than softmax"
    assert [(out.method, out.why) for out in left_out[1:]] == [("nce", why), ("sampled", why)]
    named = ["sampled", "nce", "softmax"]
    assert names(choose(named, "classification", 10, "top1")[0]) == named


def test_a_method_without_a_law_is_left_out_where_its_law_decides():
    chosen, left_out = choose(None, "text", 1000, "perplexity")
    assert "sigmoid" not in names(chosen)
    assert left_out[-1].why == "it defines no probabilities over the classes, so it has no perplexity"
    assert "sigmoid" in names(choose(None, "text", 1000, "top1")[0])


def test_an_unknown_method_is_refused_with_the_valid_names():
    with pytest.raises(MethodError) as error:
        choose(["softmax", "sotfmax"], "classification", 10, "top1")
    assert str(error.value) == (
        "There is no method 'sotfmax': expected some of softmax, gumbel, nce, sampled, sigmoid. Did you mean 'softmax'?"
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "No method was named: expected some of softmax,"),
        (["nce", "nce"], "Method 'nce' is named twice."),
        (["sigmoid"], r"No method is left to compare \(sigmoid: it defines no probabilities"),
    ],
)
def test_requests_that_leave_nothing_to_compare_are_refused(asked, said):
    with pytest.raises(MethodError, match=said):
        choose(asked, "text", 1000, "perplexity")


@pytest.mark.parametrize("num_classes", [2, 3, NUM_NOISE, NUM_NOISE + 1, NUM_NOISE + 2, NUM_NOISE + 3, 500])
@pytest.mark.parametrize("name", METHODS)
def test_every_head_trains_and_keeps_the_interface(name, num_classes):
    torch.manual_seed(0)
    counts = torch.arange(num_classes)  # a class without a row in training, too
    head = METHODS[name].make(6, counts)
    features = torch.randn(5, 7, 6, requires_grad=True)
    targets = torch.randint(0, num_classes, (5, 7))
    targets[0, :3] = -100
    loss = head(features, targets)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    assert features.grad is not None
    assert (features.grad[0, :3] == 0).all()
    assert features.grad.abs().sum() > 0
    values, ids = head.predict(features, k=2)
    assert values.shape == ids.shape == (5, 7, 2)
    if METHODS[name].defines_law:
        log_probs = head.log_prob(features)
        assert log_probs.shape == (5, 7, num_classes)
        assert torch.allclose(log_probs.exp().sum(-1), torch.ones(5, 7), atol=1e-5)
        assert torch.equal(log_probs.argmax(-1), ids[..., 0])
    else:
        with pytest.raises(NotImplementedError):
            head.log_prob(features)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.defines_law])
def test_a_head_starts_at_the_class_frequencies(name):
    counts = torch.tensor([99, 49, 1, 199] * 25)
    head = METHODS[name].make(6, counts)
    frequency = (counts + 1) / (counts + 1).sum()
    assert torch.allclose(head.log_prob(torch.zeros(6)).exp(), frequency.float(), rtol=1e-4)


# Classes that the training part lacks, as they come where rows are cut by time or by group


@pytest.fixture(scope="module")
def drifting():
    """Rows in order of time: `new` is first seen in the test part, `passing` in the validation part alone."""
    generator = np.random.default_rng(0)
    kind = generator.choice(["a", "b"], 200)
    kind[170:180] = "new"
    kind[130:140] = "passing"
    size = generator.normal(size=200) + (kind == "b")
    return pd.DataFrame({"size": size, "when": np.arange(200), "kind": kind})


def test_the_drifting_rows_are_as_they_say(drifting):
    dataset = load(drifting, target="kind", time="when")
    parts = dataset.parts(0)
    assert parts.class_counts.tolist()[2:] == [0, 0]
    held = [(part.targets[:, None] == torch.arange(4)).any(0).tolist() for part in (parts.validation, parts.test)]
    assert held == [[True, True, False, True], [True, True, True, False]]
    assert dataset.measured_ids == [0, 1]


@pytest.mark.parametrize("name", METHODS)
def test_a_class_that_training_lacks_has_a_finite_start_and_a_finite_price(drifting, name):
    dataset = load(drifting, target="kind", time="when")
    parts = dataset.parts(0)
    plan = trial.Plan("classification", "top1", dataset.measured_ids, epochs=20, patience=20, batch_size=16)
    fabric = Fabric(accelerator="cpu", devices=1)
    begun = trial.untrained(METHODS[name], plan, parts, repeat=0)
    assert begun.head.bias.isfinite().all()
    assert (begun.head.bias[:2] > begun.head.bias[2:].max()).all()
    if isinstance(getattr(begun.head, "noise", None), Noise):
        assert begun.head.noise.log_prob(torch.arange(4)).isfinite().all()
    model, training = trial.train(METHODS[name], plan, parts, repeat=0, learning_rate=1e-2, fabric=fabric)
    assert training.best is not None
    assert math.isfinite(training.best.loss)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    outcome = trial.look(model, METHODS[name], parts.test)
    if METHODS[name].defines_law:
        price = outcome.law.nll
        assert np.isfinite(price).all()
        assert price[outcome.targets == 2].min() > price[outcome.targets != 2].max()


def test_a_comparison_with_classes_that_training_lacks_has_finite_numbers_alone(drifting, tmp_path):
    comparison = compare(
        drifting,
        target="kind",
        time="when",
        methods=list(METHODS),
        seeds=3,
        epochs=2,
        lr=1e-2,
        device="cpu",
        output=tmp_path,
    )
    assert "NaN" not in (written := (tmp_path / "results.json").read_text())
    assert "Infinity" not in written
    for found in comparison.trials:
        laws = [found.tested.measures[key] for key in ("nll", "brier", "ece")]
        assert [value is not None for value in laws] == [METHODS[found.method].defines_law] * 3
        assert found.tested.measures["macro_f1"] is not None
        if found.tested.scaled is not None:
            assert found.tested.scaled.nll is not None


def test_a_text_whose_training_part_knows_all_its_words_prices_an_unknown_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    lines = [" ".join(f"w{i}" for i in torch.randint(90, (10,), generator=generator).tolist()) for _ in range(100)]
    (tmp_path / "text.txt").write_text("\n".join(f"{line} only{i}" for i, line in enumerate(lines)))
    dataset = load(tmp_path / "text.txt", min_count=1)
    parts = dataset.parts(0)
    assert dataset.unknown_class is not None
    assert parts.class_counts[dataset.unknown_class] == 0
    assert (parts.test.targets == dataset.unknown_class).any()
    comparison = compare(
        tmp_path / "text.txt", min_count=1, methods=["softmax", "nce", "sampled"], seeds=1, epochs=1, lr=1e-2
    )
    for found in comparison.trials:
        known, all_words = (found.tested.measures[key] for key in ("perplexity_known", "perplexity"))
        assert known < all_words < 1e3
