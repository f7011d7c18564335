"""The estimators of a hard sample's gradient and gumbel_topk, against exact numbers of a problem of three classes.

Samples are drawn in one batch. A mean is compared within five standard errors, which are so small that a mean that is
off by 5 % of the largest entry fails (asserted), variances within 3 %, five standard errors or more of theirs.
"""

import itertools
import math

import pytest
import torch
from scipy.stats import chisquare
from torch.testing import assert_close

import anymax
from anymax._core.dims import Dims
from anymax._core.dispatch import use_backend
from anymax.ops.gumbel import reference
from anymax.testing.inputs import seed

INFINITY = float("inf")
DRAWS = 400_000
LOGITS = torch.tensor([0.7, -0.4, 0.1], dtype=torch.float64)
MATRIX = torch.tensor([[1, -0.5, 0.3], [-0.5, 2, 0.1], [0.3, 0.1, -1]], dtype=torch.float64)
SLOPES = torch.tensor([0.3, -0.7, 0.5], dtype=torch.float64)
EXPONENTS = torch.tensor([1, -1, 0.5], dtype=torch.float64)
# per class, which is what the kernels' and the reference's rows are independent in
OBJECTIVES = {
    "linear": lambda d: d @ SLOPES,
    "quadratic": lambda d: 0.5 * ((d @ MATRIX) * d).sum(-1) + d @ SLOPES,
    "exponential": lambda d: (d @ EXPONENTS).exp(),
    "cubic": lambda d: (d - torch.tensor([0.2, 0.5, -0.3], dtype=torch.float64)).pow(3).sum(-1),
}


def gradients_of(objective, draws=DRAWS, tau=1.0, number=13, **options):
    """The gradients that an estimator gives for samples of one row each."""
    logits = LOGITS.expand(draws, 3).clone().requires_grad_()
    sample = anymax.gumbel_softmax(logits, tau, True, dim=1, generator=seed(number), **options)
    return torch.autograd.grad(OBJECTIVES[objective](sample).sum(), logits)[0]


def exact(objective):
    logits = LOGITS.clone().requires_grad_()
    values = OBJECTIVES[objective](torch.eye(3, dtype=torch.float64))
    return torch.autograd.grad((logits.softmax(0) * values).sum(), logits)[0]


def assert_mean(samples, expected):
    error = samples.std(0) / len(samples) ** 0.5
    expected = torch.as_tensor(expected, dtype=torch.float64)
    assert (5 * error < 0.05 * expected.abs().max() / 2).all(), "a fault of 5 % would pass"
    assert ((samples.mean(0) - expected).abs() < 5 * error + 1e-9).all()


REINMAX = {"estimator": "reinmax"}
RAO = {"estimator": "rao"}

# the expected gradients by quadrature or by going through the classes
MEANS = (
    ("exponential", 1.0, REINMAX, (0.4593570932, -0.3681708834, -0.0911862097)),
    ("linear", 1.0, REINMAX, (0.0630120810, -0.1559258500, 0.0929137690)),
    ("quadratic", 1.0, REINMAX, (0.1710056613, -0.0315275350, -0.1394781262)),
    ("quadratic", 0.5, {}, (0.1760209696, -0.0887869426, -0.0872340270)),
    ("quadratic", 0.5, RAO, (0.1760209696, -0.0887869426, -0.0872340270)),
    ("quadratic", 0.5, {**RAO, "num_samples": 1}, (0.1760209696, -0.0887869426, -0.0872340270)),
)


@pytest.mark.parametrize(("objective", "tau", "options", "expected"), MEANS)
def test_the_mean_of_an_estimator_is_the_exact_one(objective, tau, options, expected):
    found = gradients_of(objective, tau=tau, **options)
    assert_mean(found, expected)
    # no shift of all scores changes anything
    assert found.sum(1).abs().max() < 1e-12


# the norm of the bias and the variance of one sample
ESTIMATORS = (
    ("linear", 1.0, REINMAX, 0.0, 0.033338),
    ("quadratic", 1.0, REINMAX, 0.0, 0.147730),
    ("exponential", 1.0, REINMAX, 0.109202, 0.083286),
    ("linear", 1.5, REINMAX, 0.039946, 0.027621),
    ("quadratic", 1.5, REINMAX, 0.068271, 0.158604),
    ("exponential", 1.5, REINMAX, 0.262696, 0.157766),
    ("linear", 1.0, {}, 0.031869, 0.014724),
    ("quadratic", 1.0, {}, 0.118481, 0.095874),
    ("exponential", 1.0, {}, 0.142920, 0.215981),
    ("linear", 0.5, {}, 0.007545, 0.061676),
    ("quadratic", 0.5, {}, 0.077674, 0.259649),
    ("exponential", 0.5, {}, 0.157680, 0.740290),
    ("linear", 0.5, RAO, 0.007545, 0.016739),
    ("quadratic", 0.5, RAO, 0.077674, 0.117865),
    ("exponential", 0.5, RAO, 0.157680, 0.161250),
)


@pytest.mark.parametrize(("objective", "tau", "options", "bias", "variance"), ESTIMATORS)
def test_bias_and_variance_of_an_estimator_are_those_of_the_quadrature(objective, tau, options, bias, variance):
    found = gradients_of(objective, tau=tau, number=17, **options)
    errors = found - exact(objective)
    standard_error = (found.var(0).sum() / DRAWS).sqrt().item()
    assert errors.mean(0).norm().item() == pytest.approx(bias, abs=5 * standard_error)
    squares = (found - found.mean(0)).square().sum(1)
    assert 5 * (squares.std() / DRAWS**0.5).item() < 0.03 * variance
    assert squares.mean().item() == pytest.approx(variance, rel=0.03)


def test_reinmax_is_exact_also_where_the_third_derivatives_cancel_and_no_tau_but_1():
    assert_mean(gradients_of("cubic", **REINMAX), exact("cubic"))
    biased = gradients_of("linear", tau=1.5, **REINMAX)
    assert ((biased.mean(0) - exact("linear")).abs() > 10 * biased.std(0) / DRAWS**0.5).any()


def test_the_variance_of_rao_falls_with_its_samples_and_the_mean_stays():
    """A + B / K: a third K from two."""
    single, ten, hundred = (
        gradients_of("quadratic", 100_000, 0.5, number=5, **RAO, num_samples=k).var(0).sum().item()
        for k in (1, 10, 100)
    )
    slope = (single - ten) / (1 - 1 / 10)
    assert single == pytest.approx(0.2596, rel=0.03)
    assert hundred == pytest.approx(single - slope * (1 - 1 / 100), rel=0.03)


def test_one_sample_of_rao_has_the_law_of_straight_through():
    """Beside the mean and the variance, the quantiles of an entry, by a two-sample test."""
    from scipy.stats import ks_2samp

    plain = gradients_of("exponential", 100_000, 0.5, number=1)
    single = gradients_of("exponential", 100_000, 0.5, number=2, **RAO, num_samples=1)
    for at in range(3):
        assert ks_2samp(plain[:, at].numpy(), single[:, at].numpy()).pvalue > 0.01


def test_reinmax_is_its_closed_form():
    """By hand for each row, with tau where it belongs: inside the mixture alone, without a factor of 1 / tau."""
    x = torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    upstream = torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for tau in (1.0, 1.5, torch.tensor(2.0)):
        hard = anymax.gumbel_softmax(x, tau, True, dim=1, generator=seed(2), **REINMAX)
        (found,) = torch.autograd.grad(hard, x, upstream)

        def jacobian(p):
            return torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)

        middle = (hard + (x / tau).softmax(1)).detach() / 2
        by_hand = 2 * jacobian(middle) - 0.5 * jacobian(x.softmax(1).detach())
        assert_close(found, (by_hand @ upstream.unsqueeze(2)).squeeze(2))


def test_reinmax_through_autograd_is_its_closed_form():
    """As its authors write it, which has a log of what may be 0."""
    x = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    hard = anymax.gumbel_softmax(x, 1.5, True, dim=1, generator=seed(2), **REINMAX)
    middle = (hard + (x / 1.5).softmax(1)) / 2
    tilted = ((middle.log() - x).detach() + x).softmax(1)
    theirs = 2 * tilted - 0.5 * x.softmax(1)
    upstream = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert_close(torch.autograd.grad(hard, x, upstream), torch.autograd.grad(theirs, x, upstream))


def test_the_noise_of_rao_is_conditional_on_the_sample():
    """Among fresh noise, that which gives the hard sample has the moments of the conditional noise."""
    draws, tau = 400_000, 1.0
    x = LOGITS.expand(draws, 3)
    noisy = (
        x
        + torch.empty(draws, 3, dtype=torch.float64)
        .exponential_(generator=torch.Generator().manual_seed(4))
        .log_()
        .neg_()
    )
    for winner in range(3):
        one_hot = torch.zeros(3, dtype=torch.float64)
        one_hot[winner] = 1
        soft = reference._rao(x[:100_000], one_hot.expand(100_000, 3), Dims(2, (1,)), tau, 1, seed(6))
        kept = (noisy[noisy.argmax(1) == winner] / tau).softmax(1)
        assert (soft.argmax(1) == winner).all()
        error = (soft.var(0) / len(soft) + kept.var(0) / len(kept)).sqrt()
        assert ((soft.mean(0) - kept.mean(0)).abs() < 5 * error).all()
        assert_close(soft.T.cov(), kept.T.cov(), rtol=0.03, atol=3e-4)


@pytest.mark.parametrize("options", [{}, REINMAX, RAO], ids=["straight-through", "reinmax", "rao"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_value_is_exactly_one_hot_and_that_of_the_same_seed_without_an_estimator(options, dtype):
    x = (3 * torch.randn(300, 20, generator=torch.Generator().manual_seed(1))).to(dtype)
    x[0, 1:], x[1, :3] = -INFINITY, torch.finfo(dtype).max
    x.requires_grad_()
    mask = torch.rand(300, 20, generator=torch.Generator().manual_seed(2)) > 0.3
    mask[0, 0], mask[5] = True, False
    for backend in ("cpu", "reference"):
        for tau in (1.0, 3.0, torch.tensor(2.0)):
            with use_backend(backend):
                sample = anymax.gumbel_softmax(x, tau, True, dim=1, mask=mask, generator=seed(4), **options)
            assert sample.dtype == dtype
            assert ((sample == 0) | (sample == 1)).all()
            assert torch.equal(sample.sum(1) == 1, mask.any(1))
            assert torch.equal(sample, anymax.gumbel_softmax(x, 1.0, True, dim=1, mask=mask, generator=seed(4)))
            (gradient,) = torch.autograd.grad(sample, x, torch.linspace(-1, 1, 20).to(dtype).expand(300, 20))
            assert gradient.isfinite().all()
            assert (gradient[~mask] == 0).all()
            assert (gradient[0] == 0).all(), "one class takes part"
            assert gradient[6:].any(1).sum() > 250


@pytest.mark.parametrize("options", [REINMAX, RAO], ids=["reinmax", "rao"])
def test_what_is_masked_is_never_read_and_a_bad_row_spoils_itself_alone(options):
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    x[1, 0], x[2, 1] = float("nan"), INFINITY
    mask = torch.tensor([[True, False, True]] * 3 + [[False] * 3])
    x.requires_grad_()
    for backend in ("cpu", "reference"):
        with use_backend(backend):
            sample = anymax.gumbel_softmax(x, 1.0, True, dim=1, mask=mask, generator=seed(1), **options)
            assert sample[1, [0, 2]].isnan().all()
            upstream = torch.tensor([[1.0, float("nan"), 2.0]]).expand(4, 3)
            (gradient,) = torch.autograd.grad(sample, x, upstream)
        assert gradient[[0, 2, 3]].isfinite().all()
        assert gradient[0].any()
        assert (gradient[:, 1] == 0).all()
        assert gradient[1, [0, 2]].isnan().all()


@pytest.mark.parametrize("options", [REINMAX, RAO], ids=["reinmax", "rao"])
def test_shapes_without_entries_or_axes(options):
    for backend in ("cpu", "reference"):
        with use_backend(backend):
            for shape in ((0, 3), (3, 0), (2, 0, 3)):
                x = torch.zeros(shape, requires_grad=True)
                sample = anymax.gumbel_softmax(x, hard=True, dim=1, **options)
                assert sample.shape == torch.autograd.grad(sample.sum(), x)[0].shape == shape
            x = torch.tensor(3.0, requires_grad=True)
            sample = anymax.gumbel_softmax(x, hard=True, dim=0, **options)
            assert sample == 1
            assert torch.autograd.grad(sample, x)[0] == 0


def test_rao_uses_the_words_it_says():
    """Sample k of row i uses those that row i of a k-th copy of the scores has."""
    x = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    upstream = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(4, 6)
    noise = anymax._core.random.gumbel(anymax._core.random.words(seed(9), (3, 4, 6), x.device), x.dtype)
    leaf = x.clone().requires_grad_()
    hard = anymax.gumbel_softmax(leaf, 0.6, True, dim=1, generator=seed(9), **RAO, num_samples=2)
    (found,) = torch.autograd.grad(hard, leaf, upstream)
    assert torch.equal(hard.argmax(1), (x + noise[0]).argmax(1))
    log_z = x.logsumexp(1, keepdim=True)
    total = torch.zeros_like(x)
    for drawn in noise[1:]:
        top = log_z + (hard * drawn).sum(1, keepdim=True).detach()
        perturbed = torch.where(hard == 1, top, -torch.logaddexp(-(x + drawn), -top))
        soft = (perturbed / 0.6).softmax(1).detach()
        total += soft * (upstream - (soft * upstream).sum(1, keepdim=True)) / 0.6 / 2
    assert_close(found, total)


def test_a_tau_that_learns():
    """For Rao minus the mean of <s, J(y) g> / tau over the soft samples; for ReinMax none."""
    tau = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    upstream = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(4, 6)
    found = []
    for backend in ("cpu", "reference"):
        with use_backend(backend):
            hard = anymax.gumbel_softmax(x, tau, True, dim=1, generator=seed(9), **RAO)
            found.append(torch.autograd.grad(hard, [x, tau], upstream))
    for mine, theirs in zip(*found, strict=True):
        assert_close(mine, theirs)

    def objective(tau):
        return (reference._rao(x.detach(), hard.detach(), Dims(2, (1,)), tau, 10, seed(9)) * upstream).sum()

    difference = (objective(0.7 + 1e-6) - objective(0.7 - 1e-6)) / 2e-6
    assert found[0][1].item() == pytest.approx(difference.item(), rel=1e-6)
    warm = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    for backend in ("cpu", "reference"):
        with use_backend(backend):
            hard = anymax.gumbel_softmax(x, warm, True, dim=1, generator=seed(9), **REINMAX)
            of_x, of_tau = torch.autograd.grad(hard, [x, warm], upstream, allow_unused=True)
        assert of_tau is None
        assert of_x.any()


@pytest.mark.parametrize("options", [REINMAX, RAO], ids=["reinmax", "rao"])
def test_transforms_and_second_derivatives(options):
    x = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = torch.linspace(0.5, 1.5, 5, dtype=torch.float64)

    def objective(row, number):
        return (anymax.gumbel_softmax(row, 1.3, True, dim=0, generator=number, **options) * weight).sum() ** 2

    numbers = torch.tensor([3, 4, 5])
    together = torch.vmap(torch.func.grad(objective))(x, numbers)
    seconds = []
    for backend in ("cpu", "reference"):
        for row, number, gradient in zip(x, numbers, together, strict=True):
            leaf = row.clone().requires_grad_()
            with use_backend(backend):
                (first,) = torch.autograd.grad(objective(leaf, number), leaf, create_graph=True)
                seconds.append(torch.autograd.grad(first.square().sum(), leaf)[0])
            assert_close(first, gradient)
    assert_close(seconds[:3], seconds[3:])
    compiled = torch.compile(torch.func.grad(objective), fullgraph=True, backend="aot_eager")
    assert_close(compiled(x[0], numbers[0]), together[0])
    # the Jacobians are symmetric
    direction = torch.linspace(-1, 1, 5, dtype=torch.float64)
    tangent = torch.func.jvp(lambda row: objective(row, numbers[0]), (x[0],), (direction,))[1]
    assert_close(tangent, together[0] @ direction)


@pytest.mark.parametrize("options", [REINMAX, RAO], ids=["reinmax", "rao"])
def test_compiled_training_code_has_the_gradients_of_eager_code(options):
    def objective(x, tau):
        sample = anymax.gumbel_softmax(x, tau, True, dim=1, generator=torch.tensor(4), **options)
        return (sample * torch.arange(6.0)).sum()

    compiled = torch.compile(objective, fullgraph=True, backend="aot_eager")
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(7, 6, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
        tau = torch.tensor(1.5)
        mine, theirs = (torch.autograd.grad(function(x, tau), x)[0] for function in (compiled, objective))
        assert_close(mine, theirs)
        assert theirs.any()


def test_a_tau_that_does_not_fit_reinmax_spoils_its_row_where_it_cannot_be_read():
    x = torch.zeros(3, 4)
    tau = torch.tensor([1.0, 0.5, 2.0])
    spoilt = torch.vmap(lambda row, one: anymax.gumbel_softmax(row, one, True, dim=0, generator=seed(1), **REINMAX))(
        x, tau
    )
    assert spoilt.isnan().any(1).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda x: anymax.gumbel_softmax(x, dim=1, estimator="reinmax"),
            ValueError,
            "estimator is for hard samples, got estimator='reinmax' with hard=False.*; write hard=True",
        ),
        (
            lambda x: anymax.gumbel_softmax(x, hard=True, dim=1, estimator="st"),
            ValueError,
            "estimator must be one of 'straight-through', 'reinmax', 'rao', got 'st'",
        ),
        (
            lambda x: anymax.gumbel_softmax(x, hard=True, dim=1, num_samples=3),
            ValueError,
            "num_samples is for estimator='rao', got 3 for 'straight-through'",
        ),
        (
            lambda x: anymax.gumbel_softmax(x, hard=True, dim=1, **RAO, num_samples=0),
            ValueError,
            "num_samples must be at least 1, got 0",
        ),
        (
            lambda x: anymax.gumbel_softmax(x, 0.5, True, dim=1, **REINMAX),
            ValueError,
            "tau must be at least 1 for estimator='reinmax', got 0.5",
        ),
        (
            lambda x: anymax.gumbel_softmax(x, torch.tensor([[1.0], [0.75]]), True, dim=1, **REINMAX),
            ValueError,
            "tau must be at least 1 for estimator='reinmax', got 0.75",
        ),
        (lambda x: anymax.gumbel_topk(x, 4, 1), ValueError, "k must be at most the size of axis 1, which is 3, got 4"),
        (lambda x: anymax.gumbel_topk(x, 0, 1), ValueError, "gumbel_topk: k must be at least 1, got 0"),
        (lambda x: anymax.gumbel_topk(x, 1.0, 1), TypeError, "k must be an int, got 1.0"),
        (lambda x: anymax.gumbel_topk(x, 1, (0, 1)), ValueError, r"dim must name exactly one axis, got \(0, 1\)"),
        (lambda x: anymax.gumbel_topk(x, 1, 2), IndexError, "gumbel_topk: dim must be in"),
        (lambda x: anymax.gumbel_topk(x.long(), 1, 1), TypeError, "logits must be a floating-point tensor"),
        (lambda x: anymax.gumbel_topk(x[:, :0], 1, 1), ValueError, "size of axis 1, which is 0, got 1"),
        (lambda x: anymax.gumbel_topk(x, 1, 1, mask=x), TypeError, "mask must be a boolean tensor"),
    ],
)
def test_bad_arguments_are_told_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.zeros(2, 3))


# ---- gumbel_topk ----

FOUR = torch.tensor([1.0, 0.0, -0.5, 0.5], dtype=torch.float64)


def test_ordered_samples_without_replacement_have_their_probabilities():
    draws = 400_000
    drawn = anymax.gumbel_topk(FOUR.expand(draws, 4), 2, 1, generator=seed(3))
    pairs = list(itertools.permutations(range(4), 2))
    p = FOUR.softmax(0)
    law = [(p[i] * p[j] / (1 - p[i])).item() for i, j in pairs]
    assert law[pairs.index((0, 3))] == pytest.approx(0.2304760463, abs=1e-9)
    assert law[pairs.index((3, 0))] == pytest.approx(0.1734774853, abs=1e-9)
    assert law[pairs.index((1, 0))] == pytest.approx(0.0914951533, abs=1e-9)
    assert law[pairs.index((2, 1))] == pytest.approx(0.0189186259, abs=1e-9)
    code = drawn.indices[:, 0] * 4 + drawn.indices[:, 1]
    counts = torch.bincount(code, minlength=16)[[4 * i + j for i, j in pairs]]
    # the rarest pair is 1.3 % of the draws, so that 5 % of it is more than 3 standard errors
    assert chisquare(counts.numpy(), torch.tensor(law).numpy() * draws).pvalue > 0.01
    # what is said of each sample is its probability
    expected = torch.zeros(16, dtype=torch.float64)
    expected[[4 * i + j for i, j in pairs]] = torch.tensor(law, dtype=torch.float64)
    assert_close(drawn.log_probs.sum(1).exp(), expected[code])


def test_the_log_probability_of_an_ordered_sample():
    for number in range(200):
        drawn = anymax.gumbel_topk(FOUR, 3, 0, generator=seed(number))
        if drawn.indices.tolist() == [0, 3, 1]:
            break
    assert drawn.log_probs.sum().item() == pytest.approx(-1.941685326520, abs=1e-11)


def test_inclusion_weights_make_unbiased_estimates():
    draws = 400_000
    drawn = anymax.gumbel_topk(FOUR.expand(draws, 4), 2, 1, generator=seed(8))
    assert drawn.threshold.shape == (draws, 1)
    included = torch.zeros(draws, 4, dtype=torch.float64).scatter(1, drawn.indices, 1.0)
    expected = torch.tensor([0.7714530297, 0.3899333120, 0.2454471105, 0.5931665478], dtype=torch.float64)
    assert_mean(included, expected)
    weight = -torch.expm1(-(FOUR[drawn.indices] - drawn.threshold).exp())
    ratio = FOUR.softmax(0)[drawn.indices] / weight
    assert_mean(ratio.sum(1, keepdim=True), [1.0])
    values = torch.tensor([3.0, -1.0, 10.0, 0.5], dtype=torch.float64)
    assert_mean((ratio * values[drawn.indices]).sum(1, keepdim=True), [(FOUR.softmax(0) @ values).item()])
    # weights times the probabilities of being drawn, whose mean is that of the classes
    each = torch.zeros(draws, 4, dtype=torch.float64).scatter(1, drawn.indices, ratio)
    assert_mean(each, FOUR.softmax(0))


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_the_first_is_the_hard_sample_and_all_are_in_the_order_of_the_perturbed_scores(backend):
    x = torch.randn(6, 9, 5, generator=torch.Generator().manual_seed(0))
    noisy = reference.perturbed(x - x.amax(1, keepdim=True), seed(5)) + x.amax(1, keepdim=True)
    with use_backend(backend):
        drawn = anymax.gumbel_topk(x, 4, "b [class] w", generator=seed(5))
    values, order = noisy.topk(5, 1)
    assert torch.equal(drawn.indices, order[:, :4])
    assert torch.equal(drawn.indices[:, 0], anymax.sample(x, 1, generator=seed(5)))
    assert_close(drawn.threshold, values[:, 4:])
    steps = [
        (x.gather(1, order[:, j : j + 1]) - x.scatter(1, order[:, :j], -INFINITY).logsumexp(1, keepdim=True))
        for j in range(4)
    ]
    assert_close(drawn.log_probs, torch.cat(steps, 1))


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_all_of_a_row(backend):
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.tensor([True, False, True, True])
    first_is_masked = torch.tensor([[float("nan"), 0.0], [-INFINITY, 0.0]])
    with use_backend(backend):
        drawn = anymax.gumbel_topk(x, 3, 1, mask=mask, generator=seed(2))
        whole = anymax.gumbel_topk(x, 4, 1, generator=seed(2))
        one = anymax.gumbel_topk(torch.tensor(2.0), 1, 0)
        last = anymax.gumbel_topk(first_is_masked, 1, 1, mask=torch.tensor([False, True]))
    assert drawn.indices.sort(1).values.tolist() == [[0, 2, 3]] * 5
    assert (drawn.threshold == -INFINITY).all()
    assert (whole.threshold == -INFINITY).all()
    assert (drawn.log_probs[:, -1] == 0).all(), "one is left"
    for result in (drawn, whole):
        loss = result.log_probs.sum() + result.threshold.clamp(min=0).sum()
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        assert gradient.isfinite().all()
        assert gradient.any()
        assert torch.autograd.grad(gradient.square().sum(), x)[0].isfinite().all()
        assert gradient.sum(1).abs().max() < 1e-5
    assert [part.tolist() for part in one] == [0, 0.0, -INFINITY]
    assert [part.flatten().tolist() for part in last] == [[1, 1], [0.0, 0.0], [-INFINITY, -INFINITY]]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_nothing_cancels_or_vanishes_among_far_scores(backend):
    x = torch.tensor([[0.0, -200.0, -300.0, -301.0, -INFINITY], [2.0**30, 2.0**30, 2.0**30, -(2.0**30), 0.0]])
    with use_backend(backend):
        drawn = anymax.gumbel_topk(x, 3, 1, generator=seed(1))
    assert drawn.indices[0].tolist()[:2] == [0, 1]
    second = math.log1p(math.exp(-1.0))
    assert drawn.log_probs[0, :2].tolist() == [0.0, 0.0]
    assert drawn.log_probs[0, 2].item() == pytest.approx(-second - (0.0 if drawn.indices[0, 2] == 2 else 1.0), abs=1e-4)
    assert sorted(drawn.indices[1].tolist()) == [0, 1, 2]
    assert_close(drawn.log_probs[1], -torch.tensor([3.0, 2.0, 1.0]).log())


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_ties_go_to_the_lowest_index(backend):
    variates = anymax._core.random.exponential(
        anymax._core.random.words(seed(22), (30_000,), torch.device("cpu")), torch.float32
    )
    values, counts = variates.unique(return_counts=True)
    seen = 0
    for value in values[counts == 2][:10]:
        pair = (variates == value).nonzero().flatten()
        x = torch.full((30_000,), -INFINITY)
        x[pair] = 1.0
        with use_backend(backend):
            # the kernels' variates may be neighbours where those of the reference are equal
            if anymax.gumbel_softmax(x, 0.7, dim=0, generator=seed(22))[pair].unique().numel() == 1:
                assert anymax.gumbel_topk(x, 2, 0, generator=seed(22)).indices.tolist() == pair.tolist()
                seen += 1
    assert seen > 5


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_rows_with_fewer_than_k_classes_are_an_error_or_minus_one(backend):
    x = torch.zeros(6, 4)
    x[1, 0], x[2, 1], x[3, 1:] = float("nan"), INFINITY, -INFINITY
    mask = torch.ones(6, 4, dtype=torch.bool)
    mask[4, 2:], mask[5] = False, False
    with use_backend(backend):
        with pytest.raises(ValueError, match="gumbel_topk: 5 of 6 rows have fewer than k = 3 classes to draw"):
            anymax.gumbel_topk(x, 3, 1, mask=mask)
        x = x.requires_grad_()
        compiled = torch.compile(
            lambda x: anymax.gumbel_topk(x, 3, 1, mask=mask, generator=seed(1)), backend="aot_eager"
        )
        drawn = compiled(x)
        (gradient,) = torch.autograd.grad(drawn.log_probs.sum(), x)
    assert (drawn.indices[0] >= 0).all()
    assert (drawn.indices[1:] == -1).all()
    assert drawn.log_probs[1:].isnan().all()
    assert drawn.threshold[1:].isnan().all()
    assert gradient[0].isfinite().all()
    assert gradient[1:5].isnan().any(1).all()


def test_the_threshold_has_the_derivative_of_its_score():
    for backend in ("cpu", "reference"):
        x = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        with use_backend(backend):
            drawn = anymax.gumbel_topk(x, 3, 1, generator=seed(2))
            following = anymax.gumbel_topk(x, 4, 1, generator=seed(2)).indices[:, 3]
        (gradient,) = torch.autograd.grad(drawn.threshold.sum(), x)
        assert torch.equal(gradient, torch.nn.functional.one_hot(following, 7).double())
        lost = torch.tensor([1.0, -INFINITY], requires_grad=True)
        with use_backend(backend):
            threshold = anymax.gumbel_topk(lost, 1, 0).threshold
        assert threshold == -INFINITY
        assert torch.autograd.grad(threshold.sum(), lost)[0].tolist() == [0, 0]


def test_it_survives_what_torch_does_to_tuples():
    from torch.utils import _pytree

    drawn = anymax.gumbel_topk(torch.zeros(2, 4), 2, 1)
    mapped = _pytree.tree_map(lambda part: part + 0, drawn)
    assert type(mapped) is anymax.GumbelTopK
    assert torch.equal(mapped.indices, drawn.indices)

    class Other(torch.Tensor):
        pass

    assert type(anymax.gumbel_topk(torch.zeros(2, 4).as_subclass(Other), 2, 1)) is anymax.GumbelTopK
    compiled = torch.compile(lambda x: anymax.gumbel_topk(x, 2, 1), backend="aot_eager", fullgraph=True)
    assert type(compiled(torch.zeros(2, 4))) is anymax.GumbelTopK
    assert (
        type(torch.vmap(lambda x: anymax.gumbel_topk(x, 2, 0, generator=seed(1)))(torch.zeros(2, 4)))
        is anymax.GumbelTopK
    )
    assert anymax.gumbel_topk(torch.zeros(0, 4), 2, 1).indices.shape == (0, 2)


def test_autocast_leaves_what_is_drawn_as_precise_as_a_loss():
    x = torch.zeros(2, 4, dtype=torch.bfloat16)
    assert anymax.gumbel_topk(x, 2, 1).log_probs.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        drawn = anymax.gumbel_topk(x, 2, 1)
    assert drawn.log_probs.dtype == drawn.threshold.dtype == torch.float32
