"""Laws of entropy: values from elsewhere, identities, edges."""

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax.testing.inputs import scores

INFINITY = float("inf")
NAN = float("nan")


@pytest.mark.parametrize(
    ("temperature", "value", "slope"),
    [
        (0.5, 0.195739707973440525, 1.20857324285982576),
        (1.0, 0.787253072014921148, 0.880692718313175003),
        (3.0, 1.308923789607782, 0.0527465675838800132),
    ],
)
def test_value_and_slope_in_the_temperature(temperature, value, slope):
    # mpmath with 40 digits; the slope is Var(x) / T^3
    x = torch.tensor([0.75, -0.5, 0.125, 2.5], dtype=torch.float64)
    leaf = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    result = anymax.entropy(x, 0, temperature=leaf)
    assert result.item() == pytest.approx(value, rel=1e-14)
    assert torch.autograd.grad(result, leaf)[0].item() == pytest.approx(slope, rel=1e-14)
    assert anymax.entropy(x.float(), 0, temperature=temperature).item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_equal_scores_have_the_log_of_their_number(n):
    assert anymax.entropy(torch.full((n,), 1e4), 0).item() == pytest.approx(math.log(n), rel=1e-6)
    assert anymax.entropy(torch.zeros(n, dtype=torch.bfloat16), 0).item() == pytest.approx(math.log(n), rel=2**-8)


@pytest.mark.parametrize("dim", [0, -1, (0, 2), (2, 0), (0, 1, 2), "a [b c]", "[a] b [c]"])
def test_it_is_log_z_less_the_mean_score(dim):
    x = scores(3, 4, 5)
    axes = {"a [b c]": (1, 2), "[a] b [c]": (0, 2)}.get(dim, dim)
    probs = anymax.softmax(x, dim)
    assert_close(anymax.entropy(x, dim), anymax.logsumexp(x, dim) - (probs * x).sum(axes))
    assert_close(anymax.entropy(x, dim), torch.special.entr(probs).sum(axes))
    assert_close(anymax.entropy(x + 300, dim), anymax.entropy(x, dim))
    assert_close(anymax.entropy(x, dim, temperature=0.3), anymax.entropy(x / 0.3, dim))


def test_a_tuple_is_the_axes_flattened():
    x = scores(2, 3, 4, 5)
    mask = scores(2, 3, 4, 5, at=1) > -1
    for count in (2, 3, 4):
        for axes in itertools.permutations(range(4), count):
            rest = [axis for axis in range(4) if axis not in axes]
            flat, flat_mask = (part.permute(*rest, *sorted(axes)).flatten(len(rest)) for part in (x, mask))
            assert_close(anymax.entropy(x, axes, mask=mask), anymax.entropy(flat, -1, mask=flat_mask))


def test_it_is_the_entropy_of_log_prob():
    x, target = scores(3, 5, 4), torch.zeros(3, 4, dtype=torch.int64)
    mask, temperature = scores(3, 5, 4, at=1) > 0, scores(3, 1, 1, at=2).exp()
    for options in ({}, {"mask": mask}, {"temperature": temperature, "mask": mask[:1]}):
        assert torch.equal(anymax.entropy(x, 1, **options), anymax.log_prob(x, target, **options).entropy)
    half = x.bfloat16()
    assert anymax.entropy(half, 1).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert anymax.entropy(half, 1).dtype == anymax.log_prob(half, target).entropy.dtype == torch.float32


@pytest.mark.parametrize("hidden", [NAN, INFINITY, -INFINITY, 1e38])
def test_what_does_not_compete_adds_nothing_to_any_derivative(hidden):
    mask = torch.tensor([[True, True, False, True], [False] * 4])
    clean = scores(2, 4)
    answers = []
    for fill in (hidden, 0.0):
        x = clean.masked_fill(~mask, fill).requires_grad_()
        temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        result = anymax.entropy(x, 1, temperature=temperature, mask=mask)
        first = torch.autograd.grad(result.sum(), [x, temperature], create_graph=True)
        second = torch.autograd.grad(first[0].square().sum() + first[1], [x, temperature])
        answers.append([result, *first, *second])
    for mine, theirs in zip(*answers, strict=True):
        assert mine.isfinite().all()
        assert_close(mine, theirs)
    assert answers[0][0][1] == 0, "a row in which nothing takes part"
    assert (answers[0][1][~mask] == 0).all()
    assert_close(answers[0][0][0], anymax.entropy(clean[0, [0, 1, 3]], 0, temperature=0.7))


def test_scores_without_a_chance():
    lowest = torch.finfo(torch.float32).min
    for hidden in (-INFINITY, lowest):
        x = torch.tensor([[1.0, hidden, 2.0]], requires_grad=True)
        for temperature in (0.5, 1.0, 2.0):
            leaf = torch.tensor(temperature, requires_grad=True)
            result = anymax.entropy(x, 1, temperature=leaf)
            assert_close(result, anymax.entropy(x[:, [0, 2]], 1, temperature=leaf))
            first = torch.autograd.grad(result.sum(), [x, leaf], create_graph=True)
            assert first[0][0, 1] == 0
            for gradient in (*first, *torch.autograd.grad(first[0].square().sum(), x)):
                assert gradient.isfinite().all()
        for tiny in (1e-20, 1e-30, 1e-44):
            leaf = torch.tensor(tiny, requires_grad=True)
            result = anymax.entropy(x, 1, temperature=leaf)
            assert result == 0
            assert all((gradient == 0).all() for gradient in torch.autograd.grad(result, [x, leaf]))
    assert anymax.entropy(torch.tensor([3.0, 3.0, 0.0]), 0, temperature=1e-30).item() == pytest.approx(math.log(2))
    assert anymax.entropy(torch.tensor([3.0, -9.0, 0.0]), 0, temperature=INFINITY).item() == pytest.approx(math.log(3))


def test_one_bad_row_spoils_no_other():
    good = scores(2, 3)
    bad = torch.tensor([[NAN, 0, 0], [INFINITY, 0, 0], [-INFINITY] * 3], dtype=torch.float64)
    x = torch.cat([good[:1], bad, good[1:]]).requires_grad_()
    result = anymax.entropy(x, 1)
    assert result[1:4].isnan().all()
    assert_close(result[[0, 4]], anymax.entropy(good, 1))
    (gradient,) = torch.autograd.grad(result[[0, 4]].sum(), x)
    assert gradient[[0, 4]].isfinite().all()


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3), (2, 0, 3), (1,), (3, 1)])
def test_empty_and_single_axes_have_no_entropy(shape):
    x = torch.randn(shape, requires_grad=True)
    for dim in range(len(shape)):
        if shape[dim] > 1:
            continue
        for options in ({}, {"temperature": 2.0}, {"mask": torch.ones(shape, dtype=torch.bool)}):
            result = anymax.entropy(x, dim, **options)
            assert result.shape == shape[:dim] + shape[dim + 1 :]
            assert (result == 0).all()
            assert (torch.autograd.grad(result.sum(), x)[0] == 0).all()
    assert anymax.entropy(torch.tensor(3.0), 0).shape == ()
    assert anymax.entropy(torch.tensor(3.0), 0, mask=torch.tensor(False), temperature=torch.tensor(2.0)) == 0


def test_half_types_are_summed_in_float32():
    # summed in bfloat16, 3000 small terms would stop growing
    x = scores(3, 3000, dtype=torch.float32).bfloat16()
    assert_close(anymax.entropy(x, 1), anymax.entropy(x.double(), 1).bfloat16())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: anymax.entropy(x), TypeError, r"missing 1 .* 'dim'; the call is entropy\(input, dim, \*, temp"),
        (lambda x: anymax.entropy(x, 2), IndexError, r"entropy: dim must be in \[-2, 1\]"),
        (lambda x: anymax.entropy(x.long(), 1), TypeError, r"entropy: input must be a floating-point tensor"),
        (lambda x: anymax.entropy(x, 1, temperature=0.0), ValueError, "got 0.0; the limit at 0 is the log of how many"),
        (lambda x: anymax.entropy(x, 1, temperature=torch.ones(2, 3)), ValueError, "size 1 on axis 1"),
        (lambda x: anymax.entropy(x, 1, mask=torch.ones(2, 3)), TypeError, "mask must be a boolean tensor"),
        (lambda x: anymax.entropy(x, 1, mask=torch.ones(4, dtype=torch.bool)), ValueError, "mask must broadcast"),
    ],
)
def test_bad_arguments_are_told_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.zeros(2, 3))
