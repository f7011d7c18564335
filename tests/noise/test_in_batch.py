"""InBatch: the other targets of a batch as draws, expected as often as the popularity of the classes says."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import anymax
from anymax import noise
from anymax.testing.inputs import randn, seed

COUNTS = torch.tensor([4.0, 3.0, 2.0, 1.0])
F = (COUNTS / 10).tolist()
LAW = noise.InBatch(noise.Unigram(COUNTS))
TARGET = torch.tensor([0, 2, -100, 0, 3, 2])
LOSSES = {
    "nce": (anymax.nce_loss, {"log_partition": 0.4}),
    "negative": (anymax.negative_sampling_loss, {}),
    "ranking": (anymax.sampled_softmax_loss, {}),
    "ranking-replacement": (anymax.sampled_softmax_loss, {"unique": False}),
    "importance": (anymax.sampled_softmax_loss, {"correction": "importance"}),
    "importance-replacement": (anymax.sampled_softmax_loss, {"correction": "importance", "unique": False}),
}
EACH = pytest.mark.parametrize("name", LOSSES)


def softplus(score: float) -> float:
    return math.log1p(math.exp(score))


def by_hand(name: str, scores: list[list[float]], targets: list[int]) -> list[float]:
    """Each row against the targets of the other rows, one after the other."""
    loss, options = LOSSES[name]
    rows = []
    for row, target in enumerate(targets):
        others = [other for at, other in enumerate(targets) if at != row and other != -100]
        number = len(others)
        if target == -100:
            rows.append(0.0)
            continue
        unique = loss is anymax.sampled_softmax_loss and options.get("unique", True)
        if unique:
            others = sorted(set(others))
            log_e = [math.log(1 - (1 - f) ** number) for f in F]
        else:
            log_e = [math.log(number * f) for f in F]
        if loss is not anymax.sampled_softmax_loss:
            shift = [options["log_partition"] + count for count in log_e] if name == "nce" else [0.0] * len(F)
            cost = softplus(-(scores[row][target] - shift[target]))
            rows.append(cost + sum(softplus(scores[row][j] - shift[j]) for j in others))
            continue
        if name != "ranking-replacement":
            others = [j for j in others if j != target]
        own = scores[row][target] - (0.0 if name.startswith("importance") else log_e[target])
        rows.append(-own + math.log(math.exp(own) + sum(math.exp(scores[row][j] - log_e[j]) for j in others)))
    return rows


@EACH
def test_a_row_is_compared_with_the_targets_of_the_others(name):
    loss, options = LOSSES[name]
    features, table, bias = randn(6, 3), randn(4, 3, at=1), randn(4, at=2)
    expected = by_hand(name, (features @ table.T + bias).tolist(), TARGET.tolist())
    for backend in anymax._core.dispatch.backend_names():
        with anymax.use_backend(backend):
            rows = loss(features, table, TARGET, LAW, linear_bias=bias, reduction="none", **options)
            assert_close(rows, torch.tensor(expected, dtype=torch.float64))
            shaped = loss(
                features.view(2, 3, 3), table, TARGET.view(2, 3), LAW, linear_bias=bias, reduction="none", **options
            )
            assert_close(shaped.flatten(), rows)
            mean = loss(features, table, TARGET, LAW, linear_bias=bias, **options)
            assert_close(mean, rows.sum() / 5)


@EACH
def test_both_backends_have_the_same_gradients(name):
    loss, options = LOSSES[name]
    found = []
    for backend in anymax._core.dispatch.backend_names():
        inputs = [tensor.requires_grad_() for tensor in (randn(6, 3), randn(4, 3, at=1), randn(4, at=2))]
        features, table, bias = inputs
        with anymax.use_backend(backend):
            value = loss(features, table, TARGET, LAW, linear_bias=bias, **options)
        found.append(torch.autograd.grad(value, inputs))
    for gradients in found[1:]:
        for mine, theirs in zip(gradients, found[0], strict=True):
            assert_close(mine, theirs)


@EACH
def test_a_row_of_its_own_is_no_noise(name):
    loss, options = LOSSES[name]
    for target in (torch.tensor([1]), torch.tensor([-100, 1]), torch.tensor([-100]), torch.zeros(0).long()):
        features = randn(len(target), 3).requires_grad_()
        value = loss(features, randn(4, 3, at=1), target, LAW, **options)
        assert value.isfinite()
        (gradient,) = torch.autograd.grad(value, features)
        assert bool(gradient.isfinite().all())
        if loss is anymax.sampled_softmax_loss:
            assert value == 0


@EACH
def test_compiles_and_goes_through_vmap(name):
    torch.compiler.reset()
    loss, options = LOSSES[name]

    table, features = randn(4, 3, at=1), randn(6, 3)

    def function(features: Tensor, target: Tensor) -> Tensor:
        return loss(features, table, target, LAW, **options)

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    assert_close(compiled(features, TARGET), function(features, TARGET))
    batches = torch.stack([features, features.flip(0)])
    together = torch.vmap(function, (0, None))(batches, TARGET)
    assert_close(together, torch.stack([function(each, TARGET) for each in batches]))


def test_a_bad_target_spoils_its_own_row_where_values_cannot_be_read():
    table, target = randn(4, 3, at=1), torch.tensor([0, 9, 1])

    def function(features: Tensor) -> Tensor:
        return anymax.nce_loss(features, table, target, LAW, reduction="none")

    assert torch.vmap(function)(randn(1, 3, 3)).isnan().tolist() == [[False, True, False]]


# ----------------------------------------------------------------------------------------------- where it comes to rest

# two contexts, and what follows each
TRUTH = torch.tensor([[0.6, 0.1, 0.3], [0.2, 0.5, 0.3]], dtype=torch.float64)
POPULARITY = TRUTH.mean(0)


def expected_gradient(loss, scores: Tensor, popularity: Tensor, rows: int = 3, **options) -> Tensor:
    """The gradient in free scores per context, over every batch of rows (context, target)."""
    law, total = noise.InBatch(noise.Unigram(popularity)), torch.zeros(()).double()
    scores = scores.clone().requires_grad_()
    for batch in itertools.product(itertools.product(range(2), range(3)), repeat=rows):
        contexts, targets = (torch.tensor(part) for part in zip(*batch, strict=True))
        weight = (TRUTH[contexts, targets] / 2).prod()
        features = torch.eye(2, dtype=torch.float64)[contexts]
        total = total + weight * loss(features, scores.T, targets, law, reduction="sum", **options)
    return torch.autograd.grad(total, scores)[0]


@pytest.mark.parametrize(
    ("loss", "options", "optimum"),
    [
        (anymax.nce_loss, {"log_partition": 0.7}, TRUTH.log() + 0.7),
        (anymax.negative_sampling_loss, {}, TRUTH.log() - (2 * POPULARITY).log()),
        (anymax.sampled_softmax_loss, {"unique": False}, TRUTH.log() + torch.tensor([[0.3], [-2.0]])),
    ],
    ids=["nce", "negative", "ranking"],
)
def test_the_optimum_is_exact(loss, options, optimum):
    gradient = expected_gradient(loss, optimum, POPULARITY, **options)
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)
    # and the test can tell
    assert expected_gradient(loss, optimum, torch.ones(3), **options).abs().max() > 0.01 or loss is (
        anymax.negative_sampling_loss
    )
    assert expected_gradient(loss, optimum + torch.eye(3)[0] / 10, POPULARITY, **options).abs().max() > 0.01


def test_importance_sees_the_normaliser_without_bias():
    scores = 2 * randn(2, 3, at=4)
    for unique in (True, False):
        law, mean = noise.InBatch(noise.Unigram(POPULARITY)), torch.zeros(2).double()
        for others in itertools.product(range(3), repeat=2):
            for context in range(2):
                target = torch.tensor([1, *others])
                features = torch.eye(2, dtype=torch.float64)[[context] * 3]
                loss = anymax.sampled_softmax_loss(
                    features, scores.T, target, law, correction="importance", unique=unique, reduction="none"
                )[0]
                mean[context] += POPULARITY[list(others)].prod() * (loss + scores[context, 1]).exp()
        assert_close(mean, scores.exp().sum(1))


# ------------------------------------------------------------------------------------------------------------- the law


def test_a_class_is_expected_once_at_most_in_unique_draws():
    law = noise.InBatch(noise.Unigram([1000, 1, 1]))
    draws = law.of(torch.tensor([0, 0, 0, 1]), unique=True)
    assert draws.log_expected_count.exp().tolist() == pytest.approx([1.0, math.inf, math.inf, 0.002991], rel=1e-3)
    classes = torch.tensor([0, 2])
    assert draws.target_log_expected_count(classes).exp().tolist() == pytest.approx([1.0, 0.002991], rel=1e-3)
    # rare ones keep their digits
    draws = noise.InBatch(noise.Unigram([1, 1e-12])).of(torch.tensor([0, 0, 1]), unique=True)
    assert draws.log_expected_count[2].exp().item() == pytest.approx(2e-12, rel=1e-9, abs=0)
    # with replacement it is the number of rows that counts
    draws = law.of(torch.tensor([0, 0, 0, 1]))
    assert draws.target_log_expected_count(classes).exp().tolist() == pytest.approx([2.994, 0.002994], rel=1e-3)
    # a class that is ignored is not drawn, nor counted among the other rows
    draws = law.of(torch.tensor([0, 2, 1]), ignore_index=2)
    assert draws.log_expected_count.exp().tolist() == pytest.approx([0.998, math.inf, 0.000998], rel=1e-3)
    assert noise.InBatch(noise.Unigram([0, 1, 1])).support == 2
    # never seen so far, and yet finite
    assert noise.InBatch(noise.LearnedUnigram(3)).of(torch.tensor([1, 2])).log_expected_count.isfinite().all()


def test_it_follows_counts_that_are_learnt():
    learned = noise.LearnedUnigram(4)
    law = noise.InBatch(learned)
    assert list(law.state_dict()) == ["popularity.counts"]
    target = torch.tensor([0, 0, 1])
    before = anymax.nce_loss(randn(3, 2), randn(4, 2, at=1), target, law)
    learned.update(target)
    assert before != anymax.nce_loss(randn(3, 2), randn(4, 2, at=1), target, law)
    assert_close(law.log_prob(torch.arange(4)), learned.log_prob(torch.arange(4)))
    assert law.support == 4


def test_a_head_takes_it_and_touches_the_rows_of_the_batch_alone():
    head = anymax.nn.NCEHead(3, 4, noise=LAW, sparse=True)
    head(torch.randn(5, 3), torch.tensor([3, 2, -100, 3, 2])).backward()
    assert set(head.weight.grad.coalesce().indices()[0].tolist()) == {2, 3}


X, W, T = torch.ones(3, 2), torch.ones(4, 2), torch.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: noise.InBatch(COUNTS), TypeError, r"InBatch: popularity must be a law .* got a value of type Tensor"),
        (lambda: noise.InBatch(noise.All(4)), TypeError, r"says how frequent the classes are, .* of type All"),
        (lambda: LAW.sample(3), ValueError, r"InBatch\.sample: InBatch draws the targets of a batch: .* law\.of\(targ"),
        (lambda: LAW.of(T, unique=1), TypeError, r"InBatch\.of: unique must be True or False, got 1"),
        (lambda: LAW.of(T, ignore_index=0.5), TypeError, r"InBatch\.of: ignore_index must be an int, got 0\.5"),
        (lambda: LAW.of(torch.ones(3)), TypeError, r"InBatch\.of: target must hold class ids \(integers\)"),
        (lambda: anymax.nce_loss(X, W, T, LAW, num_noise=3), ValueError, r"num_noise has no effect on InBatch, which"),
        (lambda: anymax.nce_loss(X, W, T, LAW, shared=False), ValueError, r"shared has no effect on InBatch"),
        (lambda: anymax.nce_loss(X, W, T, LAW, generator=seed(0)), ValueError, r"generator has no effect on InBatch"),
        (lambda: anymax.nce_loss(X, W, T + 2, LAW), ValueError, r"target ids must be in \[0, 3\] .*, got 4"),
        (
            lambda: anymax.nce_loss(X, W, T, LAW.of(T[:2])),
            ValueError,
            r"in-batch noise must be that of this batch of 3 targets, got 2 draws",
        ),
        (
            lambda: anymax.negative_sampling_loss(X, W, T, LAW.of(T, unique=True)),
            ValueError,
            r"in-batch noise must be drawn with replacement here, where draws that hit the target stay",
        ),
        (
            lambda: anymax.nce_loss(X, W, T, noise.InBatch(noise.Unigram([0, 1, 1, 1]))),
            ValueError,
            r"noise must give every target a positive probability, and class 0 has none",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
