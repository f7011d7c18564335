"""Losses over a few drawn classes: where their expected gradients vanish, and what they estimate."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear, softplus
from torch.testing import assert_close

import anymax
from anymax import noise
from anymax.noise.draws import Candidates, Race
from anymax.testing.inputs import randn, seed

TRUTH = torch.tensor([0.4, 0.05, 0.2, 0.1, 0.25]).double()
COUNTS = torch.tensor([1.0, 4.0, 2.0, 2.0, 3.0])


def expected_gradient(loss, count, shift: float | Tensor = 0.0, sign=1.0, **options) -> Tensor:
    """The gradient in free scores at log p + shift, over every target and every draw with replacement."""
    law = noise.Unigram(COUNTS)
    num_classes = len(COUNTS)
    log_q = law.log_prob(torch.arange(num_classes))
    every_draw = torch.tensor(list(itertools.product(range(num_classes), repeat=count)))
    ids = every_draw.expand(num_classes, *every_draw.shape)
    target = torch.arange(num_classes)[:, None].expand(ids.shape[:-1])
    weight = TRUTH[target] * log_q[ids].sum(-1).exp()
    assert weight.sum() == pytest.approx(1)
    # what the law's own draws of this size claim, with the sign that is asked for
    claimed = law.sample((1, count)).target_log_expected_count

    def log_count(classes: Tensor) -> Tensor:
        return math.log(count) + sign * (claimed(classes) - math.log(count))

    candidates = Candidates(ids, log_count(ids), target_log_expected_count=log_count, unique=False)
    scores = (TRUTH.log() + shift).requires_grad_()
    rows = loss(
        torch.zeros(*target.shape, 1), torch.zeros(num_classes, 1), target, candidates,
        linear_bias=scores, reduction="none", **options,
    )  # fmt: skip
    (gradient,) = torch.autograd.grad((rows * weight).sum(), scores)
    return gradient


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("c", [0.0, 1.3])
def test_nce_rests_at_log_p_plus_c(count, c):
    gradient = expected_gradient(anymax.nce_loss, count, shift=c, log_partition=c)
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-7)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_ranking_rests_at_log_p_plus_any_constant(count):
    gradient = expected_gradient(anymax.sampled_softmax_loss, count, shift=0.9)
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-7)


def without_hits(input, linear_weight, target, candidates, *, linear_bias, reduction) -> Tensor:
    """word2vec's code: draws that hit the target are left out."""
    of_noise = linear_bias[candidates.ids].masked_fill(candidates.ids == target.unsqueeze(-1), -math.inf)
    return softplus(-linear_bias[target]) + softplus(of_noise).sum(-1)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_negative_sampling_rests_at_log_p_minus_log_k_q(count):
    log_count = (count * COUNTS.double() / COUNTS.sum()).log()
    gradient = expected_gradient(anymax.negative_sampling_loss, count, shift=-log_count)
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-7)
    # the tests can tell log p from it, and where other code comes to rest
    assert expected_gradient(anymax.negative_sampling_loss, count).abs().max() > 0.02
    assert expected_gradient(without_hits, count, shift=-log_count).abs().max() > 0.02
    gradient = expected_gradient(without_hits, count, shift=-log_count - (1 - TRUTH).log())
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-7)


def test_a_wrong_sign_of_log_q_moves_the_optimum():
    for loss in (anymax.nce_loss, anymax.sampled_softmax_loss):
        assert expected_gradient(loss, 2, sign=-1.0).abs().max() > 0.02
        # and so does no correction at all
        assert expected_gradient(loss, 2, sign=0.0).abs().max() > 0.02


def test_a_wrong_log_partition_moves_the_optimum():
    assert expected_gradient(anymax.nce_loss, 2, shift=0.5).abs().max() > 0.02


def test_importance_is_biased_where_ranking_is_not():
    # why ranking is the default: at the truth importance with few draws still pushes
    assert expected_gradient(anymax.sampled_softmax_loss, 2, correction="importance").abs().max() > 0.02


UNIQUE_LAW = noise.Unigram(torch.arange(1, 17).double() ** -1.0)
UNIQUE_TRUTH = torch.softmax(randn(16, at=7), 0)


def gradients_at_truth(race: Race, loss, draw=Race) -> Tensor:
    """Per draw the gradient in free scores at log p, over every target."""
    num_classes = len(UNIQUE_TRUTH)
    zeros, every_target = torch.zeros(num_classes, 1).double(), torch.arange(num_classes)

    def expected(scores: Tensor, arrivals: Tensor, times: Tensor) -> Tensor:
        candidates = draw(race.law, arrivals, times)
        return UNIQUE_TRUTH @ loss(zeros, zeros, every_target, candidates, linear_bias=scores, reduction="none")

    return torch.vmap(torch.func.grad(expected), (None, 0, 0))(UNIQUE_TRUTH.log(), race.arrivals, race.times)


def with_one_threshold(law: noise.Noise, arrivals: Tensor, times: Tensor) -> Candidates:
    """The (k + 1)-th time for drawn and target classes alike, as one would write it at first."""

    def log_count(classes: Tensor) -> Tensor:
        return torch.log(-torch.expm1(-law.log_q(classes).exp() * times[-2]))

    ids = arrivals[:-1]
    return Candidates(ids, log_count(ids), target_log_expected_count=log_count, unique=True)


def standard_errors(per_draw: Tensor) -> Tensor:
    """How many standard errors the mean over draws lies from zero."""
    return (per_draw.mean(0) / (per_draw.std(0) / len(per_draw) ** 0.5)).abs()


@pytest.mark.parametrize("count", [2, 4, 8])
def test_unique_draws_rest_at_the_truth(count):
    race = UNIQUE_LAW.sample((30_000, count), unique=True, generator=seed(20 + count))
    nce = gradients_at_truth(race, anymax.nce_loss)
    assert bool((standard_errors(nce) < 4).all())
    assert standard_errors(nce.sum(-1)) < 4
    assert bool((standard_errors(gradients_at_truth(race, anymax.sampled_softmax_loss)) < 4).all())
    # The test can tell: with one threshold for all, NCE's gradient is off by percents of p.
    biased = gradients_at_truth(race, anymax.nce_loss, with_one_threshold).sum(-1)
    assert standard_errors(biased) > 8
    assert biased.mean().abs() > {2: 0.05, 4: 0.025, 8: 0.01}[count]


@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("unique", [False, True])
def test_importance_sees_the_normaliser_without_bias(unique, count):
    race = UNIQUE_LAW.sample((20_000, count), unique=unique, generator=seed(40 + count))
    scores = 2 * randn(UNIQUE_LAW.num_classes, at=3)
    target = torch.randint(UNIQUE_LAW.num_classes, (20_000,), generator=torch.Generator().manual_seed(1))
    loss = anymax.sampled_softmax_loss(
        torch.zeros(20_000, 1), torch.zeros(len(scores), 1), target, race, linear_bias=scores,
        correction="importance", reduction="none",
    )  # fmt: skip
    # loss = log Z^ - s_y
    ratio = (loss + scores[target] - scores.logsumexp(0)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / len(ratio) ** 0.5
    assert ratio.std() > 0.01


def test_a_row_of_unique_draws_is_filled_up_without_its_target():
    rows = 200
    race = UNIQUE_LAW.sample((rows, 3), unique=True, generator=seed(5))
    target = torch.randint(UNIQUE_LAW.num_classes, (rows,), generator=torch.Generator().manual_seed(2))
    for_nce = race.for_nce(target)
    terms = race.for_softmax(target, remove_hits=True)
    q = UNIQUE_LAW.log_prob(torch.arange(UNIQUE_LAW.num_classes)).exp()
    seen = set()
    for row in range(rows):
        others = [at for at in range(4) if race.arrivals[row, at] != target[row]]
        times = [race.times[row, at].item() for at in (*others, 4)]
        assert (~terms.removed[row]).nonzero().flatten().tolist() == others[:3]
        threshold = times[3]
        expected = -torch.expm1(-q * threshold)
        assert_close(terms.log_count[row].exp(), expected[race.arrivals[row]])
        assert_close(terms.target_log_count[row].exp(), expected[target[row]])
        # and for NCE, where the target may be a hit: the third time among the others
        assert_close(for_nce.target_log_count[row].exp(), -torch.expm1(-q[target[row]] * times[2]))
        seen.add(len(others))
    assert seen == {3, 4}


def test_all_others_drawn_are_certain():
    # one class is left out; without its target a row holds every other class, so the loss is exact
    law = noise.Uniform(5)
    race = law.sample(4, unique=True, generator=seed(6))
    features, table, bias = randn(7, 4), randn(5, 4, at=1), randn(5, at=2)
    target = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    inside = torch.isin(target, race.arrivals[:5])
    assert bool(inside.all())
    for correction in ("ranking", "importance"):
        loss = anymax.sampled_softmax_loss(features, table, target, race, linear_bias=bias, correction=correction)
        assert_close(loss, cross_entropy(linear(features, table, bias), target))
