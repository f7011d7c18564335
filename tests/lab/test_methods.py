"""Methods: which take part, which are left out and why, and that every head keeps the lab's bargain."""

import pytest
import torch

from anymax.lab.methods import METHODS, NUM_NOISE, MethodError, choose


def names(methods):
    return [method.name for method in methods]


def test_all_that_fit_take_part():
    chosen, left_out = choose(None, "classification", 1000, "top1")
    assert names(chosen) == ["softmax", "gumbel", "nce", "sampled", "sigmoid"]
    assert left_out == []


def test_sampled_is_left_out_where_it_would_draw_all_classes_unless_named():
    chosen, left_out = choose(None, "classification", 10, "top1")
    assert names(chosen) == ["softmax", "gumbel", "nce", "sigmoid"]
    assert [(out.method, out.why) for out in left_out] == [
        ("sampled", "64 draws from 10 classes cost more than softmax")
    ]
    assert names(choose(["sampled", "softmax"], "classification", 10, "top1")[0]) == ["sampled", "softmax"]


def test_a_method_without_a_law_is_left_out_where_its_law_decides():
    chosen, left_out = choose(None, "text", 1000, "perplexity")
    assert "sigmoid" not in names(chosen)
    assert [out.why for out in left_out] == ["it defines no probabilities over the classes, so it has no perplexity"]
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
