"""Methods: which take part, which are left out and why, and that every head keeps the lab's bargain."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric

from anymax.lab import compare
from anymax.lab.measure import MEASURES
from anymax.lab.training import methods as lab_methods
from anymax.lab.training import trial
from anymax.lab.training.methods import METHODS, NUM_NOISE, MethodError
from anymax.noise import Noise
from tests.lab.calls import OF_CLASSES, load


def names(methods):
    return [method.name for method in methods]


def choose(asked, task="classification", num_classes=10, decide_by="top1", *, has_rare_class=False):
    return lab_methods.choose(asked, task, num_classes, decide_by, has_rare_class=has_rare_class)


def test_all_that_fit_take_part():
    chosen, left_out = choose(None, "classification", 1000, "top1")
    assert names(chosen) == ["softmax", "nce", "sampled", "adaptive", "hierarchical", "sigmoid", "negative"]
    assert [(out.method, out.why) for out in left_out] == [
        ("gumbel", "its objective aims at none of the measures; --methods takes it"),
        ("prior", "no class has under a tenth of its even share; --methods takes it"),
        (
            "smoothed",
            "it takes part where the negative log-likelihood decides (--decide-by nll); --methods takes it",
        ),
        ("focal", "its objective aims at none of the measures; --methods takes it"),
        ("sparsemax", "it says of classes that they are impossible; --methods takes it"),
        ("entmax", "it says of classes that they are impossible; --methods takes it"),
    ]
    assert names(choose(["gumbel", "softmax"], "classification", 1000, "top1")[0]) == ["gumbel", "softmax"]


def test_methods_that_would_draw_all_classes_are_left_out_unless_named():
    chosen, left_out = choose(None, "classification", 10, "top1")
    assert names(chosen) == ["softmax", "sigmoid"]
    why = "64 draws from 10 classes cost more than softmax"
    assert [(out.method, out.why) for out in left_out[1:3]] == [("nce", why), ("sampled", why)]
    why = "a tree over 10 classes saves nothing; --methods takes it"
    assert [(out.method, out.why) for out in left_out[3:5]] == [("adaptive", why), ("hierarchical", why)]
    assert [out.why for out in left_out if out.method == "negative"] == [
        "64 draws from 10 classes cost more than softmax"
    ]
    named = ["sampled", "nce", "negative", "softmax"]
    assert names(choose(named, "classification", 10, "top1")[0]) == named


def test_a_method_without_a_law_is_left_out_where_its_law_decides():
    chosen, left_out = choose(None, "text", 1000, "perplexity")
    assert "sigmoid" not in names(chosen)
    assert left_out[1].why == "it defines no probabilities over the classes, so it has no perplexity"
    assert "sigmoid" in names(choose(None, "text", 1000, "top1")[0])


@pytest.mark.parametrize("name", ["sparsemax", "entmax"])
def test_a_law_with_zeros_takes_part_where_named_unless_its_logarithm_decides(name):
    for measure in ("top1", "macro_f1", "average_precision", "brier"):
        assert names(choose([name, "softmax"], decide_by=measure)[0]) == [name, "softmax"]
        assert name not in names(choose(None, decide_by=measure, has_rare_class=True)[0])
    for task, measure in (("classification", "nll"), ("text", "nll"), ("text", "perplexity")):
        chosen, (out,) = choose([name, "softmax"], task, 1000, measure)
        assert names(chosen) == ["softmax"]
        assert out.why == f"it gives probability 0 to true classes too, where {MEASURES[measure].title} is infinite"


def test_what_a_reader_of_its_numbers_must_know_stands_in_the_note_of_a_method():
    notes = {name: METHODS[name].note_on("classification") or "" for name in OF_CLASSES}
    assert [name for name, note in notes.items() if not note] == ["softmax"]
    for name, note in notes.items():
        assert ("It defines no probabilities" in note) != METHODS[name].defines_law
        assert ("It gives probability 0" in note) == METHODS[name].gives_zeros
        assert (f"{NUM_NOISE} drawn" in note) == (METHODS[name].why_not is lab_methods._why_not_drawn)
    of_labels = {name: METHODS[name].note_on("multilabel") or "" for name in LABELLED}
    assert [name for name, note in of_labels.items() if not note] == ["sigmoid"]
    assert not set(notes.values()) & set(of_labels.values()) - {""}


def test_an_unknown_method_is_refused_with_the_valid_names():
    with pytest.raises(MethodError) as error:
        choose(["softmax", "sotfmax"], "classification", 10, "top1")
    assert str(error.value) == (
        "There is no method 'sotfmax': expected some of softmax, gumbel, nce, sampled, adaptive, "
        "hierarchical, sigmoid, prior, smoothed, negative, focal, sparsemax, entmax. Did you mean 'softmax'?"
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


def test_the_prior_takes_part_where_a_class_is_rare():
    assert "prior" in names(choose(None, has_rare_class=True)[0])
    assert names(choose(["prior", "softmax"])[0]) == ["prior", "softmax"]
    chosen, left_out = choose(["prior", "softmax"], "text", 1000, "perplexity", has_rare_class=True)
    assert names(chosen) == ["softmax"]
    assert left_out[0].why == "its answers favour rare words, which no measure of a text asks for"


def test_smoothing_takes_part_where_the_likelihood_decides():
    assert "smoothed" in names(choose(None, decide_by="nll")[0])
    assert "smoothed" not in names(choose(None, "text", 1000, "perplexity")[0])
    assert names(choose(["smoothed"], decide_by="brier")[0]) == ["smoothed"]


@pytest.mark.parametrize("num_classes", [2, 3, NUM_NOISE, NUM_NOISE + 1, NUM_NOISE + 2, NUM_NOISE + 3, 500])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_every_head_trains_and_keeps_the_interface(name, num_classes):
    torch.manual_seed(0)
    counts = torch.arange(num_classes)  # a class without a row in training, too
    head = METHODS[name].head(6, counts)
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
        assert torch.equal(log_probs.gather(-1, ids), values)
        if name != "prior":
            assert torch.equal(log_probs.argmax(-1), ids[..., 0])
    else:
        with pytest.raises(NotImplementedError):
            head.log_prob(features)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.defines_law])
def test_a_head_starts_at_the_class_frequencies(name):
    counts = torch.tensor([99, 49, 1, 199] * 25)
    head = METHODS[name].head(6, counts)
    frequency = (counts + 1) / (counts + 1).sum()
    assert torch.allclose(head.log_prob(torch.zeros(6)).exp(), frequency.float(), rtol=1e-4)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.defines_law])
def test_log_z_is_told_where_it_is_all_that_scores_lack(name):
    torch.manual_seed(0)
    head = METHODS[name].head(6, torch.tensor([99, 49, 1, 199] * 25))
    features = torch.randn(8, 6)
    scores = getattr(head, "scores", head.log_prob)(features)
    lacking = head.log_prob(features) - scores
    assert METHODS[name].has_log_z == bool((lacking.std(-1) < 1e-4).all())


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.defines_law])
def test_answers_are_ordered_by_the_law_or_by_the_scores(name):
    torch.manual_seed(0)
    method = METHODS[name]
    head = method.head(6, torch.tensor([99, 49, 1, 199] * 25))
    features = torch.randn(8, 6)
    ordering = head.log_prob if method.answers_by_law else getattr(head, "scores", head.log_prob)
    assert torch.equal(head.predict(features, 5)[1], ordering(features).topk(5).indices)


def of_some_strength(name, strength, counts):
    torch.manual_seed(0)
    return METHODS[name].head(6, counts, strength)


def test_the_answers_of_the_prior_leave_frequencies_out_and_its_probabilities_have_them():
    counts = torch.tensor([899, 89, 9])
    frequency = (counts + 1) / 1000
    head = of_some_strength("prior", 0.5, counts)
    features = torch.randn(50, 6)
    law = head.log_prob(features)
    scores = features @ head.weight.T + head.bias
    assert torch.allclose(law, (scores + 0.5 * frequency.log()).log_softmax(-1), atol=1e-5)
    values, answers = head.predict(features, 3)
    assert torch.equal(answers, (law - 0.5 * frequency.log()).argsort(-1, descending=True))
    assert not torch.equal(answers[:, 0], law.argmax(-1))
    assert torch.equal(values, law.gather(-1, answers))
    targets = torch.randint(3, (50,))
    assert head(features, targets).item() == pytest.approx(-law[range(50), targets].mean().item(), rel=1e-5)


@pytest.mark.parametrize("name", ["prior", "smoothed"])
def test_a_strength_of_nothing_is_softmax(name):
    parts = load("wine").parts(0)
    plan = trial.Plan("classification", "top1", [0, 1, 2], epochs=3, patience=3, batch_size=16)
    fabric = Fabric(accelerator="cpu", devices=1)
    looks = []
    for method, strength in ((METHODS["softmax"], None), (METHODS[name], 0.0)):
        options = {"repeat": 0, "learning_rate": 1e-2, "strength": strength, "fabric": fabric}
        model, training = trial.train(method, plan, parts, **options)
        looks.append(trial.look(model, method, parts.test))
        assert training.strength == strength
    assert np.array_equal(looks[0].predictions, looks[1].predictions)
    assert looks[0].law.nll == pytest.approx(looks[1].law.nll, rel=1e-4)


def test_a_strength_acts():
    counts = torch.tensor([899, 89, 9])
    features, targets = torch.randn(50, 6), torch.randint(3, (50,))
    flat = [of_some_strength("smoothed", share, counts)(features, targets).item() for share in (0.0, 0.03, 0.1)]
    assert len(set(flat)) == 3
    usual = METHODS["smoothed"].strengths.usual
    assert of_some_strength("smoothed", None, counts)(features, targets).item() == flat[(0.0, 0.03, 0.1).index(usual)]


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


@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_class_that_training_lacks_has_a_finite_start_and_a_finite_price(drifting, name):
    dataset = load(drifting, target="kind", time="when")
    parts = dataset.parts(0)
    plan = trial.Plan("classification", "top1", dataset.measured_ids, epochs=20, patience=20, batch_size=16)
    fabric = Fabric(accelerator="cpu", devices=1)
    begun = trial.untrained(METHODS[name], plan, parts, repeat=0)
    head = begun.head
    start = head.log_prob(torch.zeros(head.in_features)) if METHODS[name].defines_law else head.bias
    assert start.isfinite().all()
    assert (start[:2] > start[2:].max()).all()
    if isinstance(getattr(begun.head, "noise", None), Noise):
        assert begun.head.noise.log_prob(torch.arange(4)).isfinite().all()
    model, training = trial.train(METHODS[name], plan, parts, repeat=0, learning_rate=1e-2, fabric=fabric)
    assert training.best is not None
    assert math.isfinite(training.best.loss)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    outcome = trial.look(model, METHODS[name], parts.test)
    if METHODS[name].gives_zeros:
        assert np.isfinite(outcome.law.brier).all()
        with torch.no_grad():
            assert math.isfinite(model(parts.test.inputs, parts.test.targets))
    elif METHODS[name].defines_law:
        price = outcome.law.nll
        assert np.isfinite(price).all()
        assert price[outcome.targets == 2].min() > price[outcome.targets != 2].max()


def test_a_comparison_with_classes_that_training_lacks_has_finite_numbers_alone(drifting, tmp_path):
    comparison = compare(
        drifting,
        target="kind",
        time="when",
        methods=OF_CLASSES,
        seeds=3,
        epochs=2,
        lr=1e-2,
        device="cpu",
        output=tmp_path,
    )
    assert "NaN" not in (written := (tmp_path / "results.json").read_text())
    assert "Infinity" not in written
    for found in comparison.trials:
        method = METHODS[found.method]
        laws = [found.tested.measures[key] for key in ("brier", "ece", "nll")]
        assert [value is not None for value in laws] == [method.defines_law] * 2 + [
            method.defines_law and not method.gives_zeros
        ]
        assert found.tested.measures["macro_f1"] is not None
        if found.tested.scaled is not None:
            assert (found.tested.scaled.nll is None) == method.gives_zeros


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


# ---------------------------------------------------------------- several labels


LABELLED = [name for name, method in METHODS.items() if method.make_for_labels is not None]


@pytest.mark.parametrize("name", LABELLED)
def test_the_law_of_a_head_of_labels_starts_at_the_frequencies(name):
    head = METHODS[name].label_head(6, torch.tensor([50, 4, 0]), 99)
    with torch.no_grad():
        head.weight.zero_()
        answers, log_odds = head.answer(torch.randn(7, 6, generator=torch.Generator().manual_seed(0)))
    expected = torch.tensor([51 / 101, 5 / 101, 1 / 101]).expand(7, 3)
    torch.testing.assert_close(log_odds.sigmoid(), expected)
    assert answers.dtype == torch.bool
    assert answers.shape == (7, 3)


@pytest.mark.parametrize("name", ["sigmoid", "weighted"])  # the others' notes say that theirs does not
def test_the_law_of_a_head_of_labels_ends_at_the_frequencies(name):
    """Of rows that say nothing: the best law is how often each label is there, whatever the weights."""
    labels = (torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) < torch.tensor([0.6, 0.2, 0.05])).float()
    head = METHODS[name].label_head(1, labels.sum(0).long(), 4000)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.add_(torch.tensor([1.0, -1.0, 1.0]))
    optimizer = torch.optim.LBFGS([head.bias], max_iter=50)
    rows = torch.zeros(4000, 1)

    def closure():
        optimizer.zero_grad()
        loss = head(rows, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(head.answer(rows[:1])[1].sigmoid()[0], labels.mean(0), atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", LABELLED)
def test_the_loss_of_a_head_of_labels_is_its_formula_summed_over_labels_and_averaged_over_rows(name):
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(40, 3, generator=generator) < 0.3).float()
    head = METHODS[name].label_head(6, labels.sum(0), 40)
    features = torch.randn(40, 6, generator=generator)
    p = head.scores(features).sigmoid()
    weight = (40 - labels.sum(0) + 1) / (labels.sum(0) + 1)
    absence = (1 - p + 0.05).clamp(max=1)
    there, absent = {
        "sigmoid": (p.log(), (1 - p).log()),
        "weighted": (weight * p.log(), (1 - p).log()),
        "focal": ((1 - p) ** 2 * p.log(), p**2 * (1 - p).log()),
        "asymmetric": ((1 - p) * p.log(), (1 - absence) ** 4 * absence.log()),
    }[name]
    expected = -(labels * there + (1 - labels) * absent).sum(-1).mean()
    torch.testing.assert_close(head(features, labels), expected)


def test_only_methods_of_labels_take_part_where_rows_have_labels():
    chosen, left_out = choose(None, "multilabel", 3, "average_precision")
    assert names(chosen) == ["sigmoid", "weighted"]
    assert {out.why for out in left_out if out.method not in LABELLED} == {
        "the labels of a row do not exclude each other"
    }
    why = "its objective aims at none of the measures; --methods takes it"
    assert [(out.method, out.why) for out in left_out if out.method in LABELLED] == [
        ("focal", why),
        ("asymmetric", why),
    ]
    assert not {"weighted", "asymmetric"} & set(names(choose(None, "classification", 3, "top1")[0]))
    assert names(choose(LABELLED, "multilabel", 3, "nll")[0]) == LABELLED  # each has a law of every label
    expected = r"expected some of sigmoid, weighted, focal, asymmetric\."
    with pytest.raises(MethodError, match=f"There is no method 'softmx': {expected}"):
        choose(["softmx"], "multilabel", 3, "nll")
