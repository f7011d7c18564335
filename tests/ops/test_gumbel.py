"""Philox and Gumbel against published vectors; gumbel_softmax and sample against the law they claim."""

import pytest
import torch
from scipy.stats import chisquare, kstest
from torch.testing import assert_close

import anymax
from anymax._core import random
from anymax.testing.inputs import seed

INFINITY = float("inf")
CPU = torch.device("cpu")


def test_philox_agrees_with_the_published_vector():
    # Random123's known-answer test for counter 0 and key 0
    words = random.words(seed(0), (4,), CPU).tolist()
    assert [f"{word:08x}" for word in words] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_philox_agrees_with_the_cipher_written_out():
    def block(counter, key):
        for _ in range(10):
            first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
            counter = [
                (second >> 32) ^ counter[1] ^ key[0],
                second % 2**32,
                (first >> 32) ^ counter[3] ^ key[1],
                first % 2**32,
            ]
            key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
        return counter

    for value in (1, 2**33 + 5, -1, -(2**62)):
        key = [value % 2**32, (value >> 32) % 2**32]
        expected = [word for at in range(5) for word in block([at, 0, 0, 0], key)]
        assert random.words(seed(value), (19,), CPU).tolist() == expected[:19]


def test_a_word_depends_on_its_index_alone():
    whole = random.words(seed(5), (7, 11), CPU)
    assert torch.equal(whole.flatten()[:40], random.words(seed(5), (40,), CPU))
    assert torch.equal(random.words(seed(5), (0,), CPU), torch.zeros(0, dtype=torch.int64))
    assert not torch.equal(whole, random.words(seed(6), (7, 11), CPU))


def test_the_map_from_word_to_variate():
    words = torch.tensor([0, 2**31 - 1, 2**31, 2**32 - 1])
    assert_close(
        random.exponential(words, torch.float32), torch.tensor([1.1641532e-10, 0.69314718, 0.69314718, 22.873857])
    )
    assert_close(random.gumbel(words, torch.float32), torch.tensor([22.873857, 0.36651292, 0.36651292, -3.1299946]))
    many = random.words(seed(1), (200_000,), CPU)
    single, double = (random.exponential(many, dtype) for dtype in (torch.float32, torch.float64))
    assert_close(single.double(), double, rtol=2e-7, atol=0)


def test_gumbel_variates_follow_the_gumbel_law():
    variates = random.gumbel(random.words(seed(2), (100_000,), CPU), torch.float64)
    assert kstest(variates.numpy(), "gumbel_r").pvalue > 0.01
    assert variates.mean().item() == pytest.approx(0.5772156649, abs=4 * 1.2825 / 100_000**0.5)


def scores():
    return torch.tensor([0.7, -0.4, 0.1], dtype=torch.float64)


def test_hard_samples_follow_softmax_for_every_tau():
    draws = 40_000
    for tau in (0.1, 1.0, 1e6):
        samples = anymax.gumbel_softmax(scores().expand(draws, 3), tau, True, dim=1, generator=seed(11))
        # ties would show at tau = 1e6, where float32 rounds y to a third each
        assert chisquare(samples.sum(0).numpy(), (torch.softmax(scores(), 0) * draws).numpy()).pvalue > 0.01


@pytest.mark.parametrize("tau", [1e-30, 1.0, 1e30, INFINITY])
def test_the_winner_is_the_largest_perturbed_score_whatever_tau_rounds(tau):
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    noise = random.gumbel(random.words(seed(15), x.shape, CPU), x.dtype)
    perturbed = x - x.amax(1, keepdim=True) + noise
    hard = anymax.gumbel_softmax(x, tau, True, dim=1, generator=seed(15))
    assert torch.equal(hard.argmax(1), perturbed.argmax(1))


@pytest.mark.parametrize("hard", [False, True])
def test_noise_is_not_lost_beside_large_scores(hard):
    # float32 at 2^30 has steps of 128, in which noise of a few nats would vanish
    x = 128.0 * torch.randint(2, (200, 5), generator=torch.Generator().manual_seed(1))
    small = anymax.gumbel_softmax(x, 0.7, hard, dim=1, generator=seed(16))
    large = anymax.gumbel_softmax(x + 2.0**30, 0.7, hard, dim=1, generator=seed(16))
    assert torch.equal(large, small)
    assert small.argmax(1).unique().numel() == 5
    assert torch.equal(anymax.sample(x + 2.0**30, 1, generator=seed(16)), anymax.sample(x, 1, generator=seed(16)))


@pytest.mark.parametrize(
    ("tau", "mean", "square"),
    [
        (0.5, (0.5070403628, 0.1923083038, 0.3006513334), 0.7286232167),
        (1.0, (0.4687992130, 0.2196178207, 0.3115829663), 0.5620476062),
        (2.0, (0.4191410849, 0.2584090840, 0.3224498311), 0.4250996653),
    ],
)
def test_soft_samples_have_the_moments_of_the_concrete_law(tau, mean, square):
    draws = 200_000
    samples = anymax.gumbel_softmax(scores().expand(draws, 3), tau, dim=1, generator=seed(12))
    error = 4 * samples.std(0) / draws**0.5
    assert ((samples.mean(0) - torch.tensor(mean, dtype=torch.float64)).abs() < error).all()
    assert samples.square().sum(1).mean().item() == pytest.approx(square, abs=4 * 0.25 / draws**0.5)


def test_straight_through_has_the_known_bias():
    # E f(D), f quadratic: the expected ST-GS gradient by quadrature, tau = 0.5
    matrix = torch.tensor([[1, -0.5, 0.3], [-0.5, 2, 0.1], [0.3, 0.1, -1]], dtype=torch.float64)
    linear = torch.tensor([0.3, -0.7, 0.5], dtype=torch.float64)
    draws = 200_000
    logits = scores().expand(draws, 3).clone().requires_grad_()
    one_hot = anymax.gumbel_softmax(logits, 0.5, True, dim=1, generator=seed(13))
    objective = 0.5 * ((one_hot @ matrix) * one_hot).sum(1) + one_hot @ linear
    (gradient,) = torch.autograd.grad(objective.sum(), logits)
    expected = torch.tensor([0.1760209696, -0.0887869426, -0.0872340270], dtype=torch.float64)
    assert ((gradient.mean(0) - expected).abs() < 4 * gradient.std(0) / draws**0.5).all()


def test_hard_has_the_gradient_of_soft():
    x = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    upstream = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(4, 6)
    gradients = []
    for hard in (False, True):
        leaf = x.clone().requires_grad_()
        tau = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        sample = anymax.gumbel_softmax(leaf, tau, hard, dim=1, generator=seed(3))
        gradients.append(torch.autograd.grad((sample * upstream).sum(), [leaf, tau]))
    for soft, hard in zip(*gradients, strict=True):
        assert_close(hard, soft)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("tau", [1e-38, 3e-4, 1.0, 1e7])
def test_hard_is_exactly_one_hot_and_soft_is_finite_for_any_score(dtype, tau):
    top = torch.finfo(dtype).max
    x = torch.randn(200, 50, generator=torch.Generator().manual_seed(1)).to(dtype)
    x[0], x[1, 0], x[2, :7], x[3] = top, top, -top, -top
    x[4, 1:] = -INFINITY
    hard = anymax.gumbel_softmax(x, tau, True, dim=1, generator=seed(4))
    assert hard.dtype == dtype
    assert ((hard == 0) | (hard == 1)).all()
    assert (hard.sum(1) == 1).all()
    assert hard[4, 0] == 1
    soft = anymax.gumbel_softmax(x, tau, dim=1, generator=seed(4))
    assert soft.isfinite().all()
    # the largest perturbed score wins both; in a half type several entries may round to the same largest value
    assert (soft.gather(1, hard.argmax(1, keepdim=True)).squeeze(1) == soft.amax(1)).all()


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_ties_go_to_the_lowest_index(tau):
    # among many words some are the same
    size = 300_000
    words, counts = (drawn := random.words(seed(22), (size,), CPU)).unique(return_counts=True)
    pairs = [(drawn == word).nonzero().flatten() for word in words[counts == 2]]
    assert len(pairs) > 5
    for pair in pairs:
        x = torch.full((size,), -INFINITY)
        x[pair] = 1.0
        first = int(pair.min())
        assert anymax.gumbel_softmax(x, tau, True, dim=0, generator=seed(22)).nonzero().tolist() == [[first]]
        assert anymax.sample(x, 0, generator=seed(22)) == first


def test_rows_that_are_masked_spoilt_or_empty():
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    x[1, 0], x[2, 1] = float("nan"), INFINITY
    mask = torch.tensor([[True, False, True]] * 3 + [[False] * 3])
    x.requires_grad_()
    for hard in (False, True):
        sample = anymax.gumbel_softmax(x, 1.0, hard, dim=1, mask=mask, generator=seed(1))
        assert (sample[:, 1] == 0).all()
        assert sample[0].sum().item() == pytest.approx(1)
        assert sample[1, [0, 2]].isnan().all()
        assert sample[2].isfinite().all(), "the +inf is masked"
        assert (sample[3] == 0).all()
        (gradient,) = torch.autograd.grad(sample[[0, 2, 3]].square().sum(), x)
        assert gradient[[0, 2, 3]].isfinite().all()
        assert (gradient[3] == 0).all()
    assert anymax.gumbel_softmax(torch.full((1, 2), -INFINITY), dim=1).isnan().all()
    assert anymax.gumbel_softmax(torch.zeros(0, 3), hard=True, dim=1).shape == (0, 3)
    assert anymax.gumbel_softmax(torch.zeros(3, 0), hard=True, dim=1).shape == (3, 0)
    assert anymax.gumbel_softmax(torch.tensor(3.0), hard=True, dim=0) == 1


def test_the_noise_belongs_to_the_element_not_to_its_place_in_memory():
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(3))
    plain = anymax.gumbel_softmax(x, dim=1, generator=seed(9))
    assert torch.equal(anymax.gumbel_softmax(x.t().contiguous().t(), dim=1, generator=seed(9)), plain)
    assert torch.equal(anymax.gumbel_softmax(x.reshape(6, 2, 4), dim=(1, 2), generator=seed(9)).reshape(6, 8), plain)
    # one more row takes nothing from the others
    longer = anymax.gumbel_softmax(torch.cat([x, x[:1]]), dim=1, generator=seed(9))
    assert torch.equal(longer[:6], plain)


def test_seeds_come_from_generators_as_torch_users_expect():
    x = torch.zeros(5, 7)
    torch.manual_seed(0)
    first, second = anymax.gumbel_softmax(x, dim=1), anymax.gumbel_softmax(x, dim=1)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(anymax.gumbel_softmax(x, dim=1), first)
    draws = [anymax.sample(x, 1, generator=torch.Generator().manual_seed(4)) for _ in range(2)]
    assert torch.equal(*draws)


def test_compiled_code_draws_the_seeds_of_eager_code():
    def twice(x):
        return anymax.gumbel_softmax(x, dim=1), anymax.sample(x, 1)

    x = torch.zeros(4, 5)
    compiled = torch.compile(twice, fullgraph=True, backend="aot_eager")
    torch.manual_seed(3)
    mine = compiled(x)
    torch.manual_seed(3)
    for one, other in zip(mine, twice(x), strict=True):
        assert_close(one, other)


def test_vmap_randomness_means_what_it_says():
    x = torch.zeros(6, 50)

    def draw(row):
        return anymax.gumbel_softmax(row, hard=True, dim=0)

    same = torch.vmap(draw, randomness="same")(x)
    assert (same == same[0]).all()
    different = torch.vmap(draw, randomness="different")(x)
    assert not (different == different[0]).all()
    unbatched = torch.vmap(lambda _: draw(x[0]), randomness="different")(x)
    assert not (unbatched == unbatched[0]).all()
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(draw)(x)


def test_sample_follows_the_law_with_temperature_and_mask():
    draws = 60_000
    x = scores()
    mask = torch.tensor([True, True, False])
    for options, law in (
        ({}, torch.softmax(x, 0)),
        ({"temperature": 3.0}, torch.softmax(x / 3, 0)),
        ({"mask": mask}, anymax.softmax(x, 0, mask=mask)),
    ):
        ids = anymax.sample(x, 0, num_samples=draws, generator=seed(21), **options)
        assert ids.shape == (draws,)
        counts = torch.bincount(ids, minlength=3)
        present = law > 0
        assert (counts[~present] == 0).all()
        assert chisquare(counts[present].numpy(), (law[present] * draws).numpy()).pvalue > 0.01


def test_sample_shapes_and_word_indices():
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(5))
    many = anymax.sample(x, 1, num_samples=6, generator=seed(8))
    assert many.shape == (6, 3, 4)
    assert many.dtype == torch.int64
    # sample 0 uses the words that a single draw uses
    assert torch.equal(many[0], anymax.sample(x, 1, generator=seed(8)))
    assert anymax.sample(torch.zeros(4), 0).shape == ()
    assert anymax.sample(torch.zeros(0, 4), 1).shape == (0,)
    assert anymax.sample(torch.tensor(1.0), 0) == 0


def test_a_tensor_without_axes_has_one_class_to_draw():
    assert anymax.sample(torch.tensor(3.0), 0, num_samples=4).tolist() == [0, 0, 0, 0]
    masked_out = torch.tensor(False)
    with pytest.raises(ValueError, match="4 of 4 rows"):
        anymax.sample(torch.tensor(3.0), 0, num_samples=4, mask=masked_out)


def test_a_row_without_a_law_is_an_error_or_minus_one():
    x = torch.zeros(3, 2)
    x[1, 0], x[2] = float("nan"), -INFINITY
    with pytest.raises(ValueError, match="sample: 2 of 3 rows define no probabilities"):
        anymax.sample(x, 1)
    with pytest.raises(ValueError, match="1 of 1 rows"):
        anymax.sample(torch.zeros(1, 2), 1, mask=torch.zeros(1, 2, dtype=torch.bool))
    ids = torch.vmap(lambda row: anymax.sample(row, 0, generator=seed()))(x)
    assert ids[1:].tolist() == [-1, -1]
    with pytest.raises(ValueError, match="nothing can be drawn along axis 1 of size 0"):
        anymax.sample(torch.zeros(2, 0), 1)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: anymax.gumbel_softmax(x, 1.0, True, 0), ValueError, r"eps has no effect .* got 0; .* dim=\.\.\."),
        (lambda x: anymax.gumbel_softmax(x, 0.0, dim=1), ValueError, "tau must be greater than 0, got 0.0"),
        (
            lambda x: anymax.gumbel_softmax(x, 1e-46, dim=1),
            ValueError,
            "tau must .* which is 0 in torch.float32; write",
        ),
        (
            lambda x: anymax.sample(x, 1, temperature=1e-46),
            ValueError,
            "temperature must .* which is 0 in torch.float32",
        ),
        (lambda x: anymax.gumbel_softmax(x, -1, dim=1), ValueError, "tau must be greater than 0, got -1"),
        (lambda x: anymax.gumbel_softmax(x, 1.0, 1, dim=1), TypeError, "hard must be True or False, got 1"),
        (lambda x: anymax.gumbel_softmax(x.int(), dim=1), TypeError, "logits must be a floating-point tensor"),
        (
            lambda x: anymax.gumbel_softmax(x, dim=1, generator=3),
            TypeError,
            "generator must be a torch.Generator, a 0-d",
        ),
        (
            lambda x: anymax.gumbel_softmax(x, dim=1, generator=torch.zeros(1).long()),
            ValueError,
            r"must be 0-d int64, got torch.int64 of shape \(1,\)",
        ),
        (lambda x: anymax.sample(x, 1, num_samples=0), ValueError, "num_samples must be at least 1, got 0"),
        (lambda x: anymax.sample(x, 1, num_samples=2.0), TypeError, "num_samples must be an int, got 2.0"),
    ],
)
def test_bad_arguments_are_told_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.zeros(2, 3))
