"""Laws of relumax, softpick and taylor_softmax: values from elsewhere, identities, edges."""

import math
from fractions import Fraction

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax._core.dispatch import backend_names
from anymax.testing.inputs import randn, scores

INFINITY = float("inf")
NAN = float("nan")
MAPS = {
    "relumax": anymax.relumax,
    "softpick": anymax.softpick,
    "taylor 2": anymax.taylor_softmax,
    "taylor 4": lambda x, dim, **options: anymax.taylor_softmax(x, dim, order=4, **options),
    "taylor 10": lambda x, dim, **options: anymax.taylor_softmax(x, dim, order=10, **options),
}
# what is not there is not there with a bias either
WITH_BIAS = {**MAPS, "biased": lambda x, dim, **options: anymax.relumax(x, dim, bias=0.5, **options)}
POLYNOMIALS = [name for name in MAPS if name.startswith("taylor")]


@pytest.fixture(autouse=True, params=backend_names())
def _backend(request):
    with anymax.use_backend(request.param):
        yield


def gradient(result, leaf, *upstream):
    return torch.autograd.grad(result, leaf, *upstream)[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relumax", [1 / 3, 2 / 3, 0]),
        # (e - 1) / (e - 1 + e^2 - 1 + 1 - 1/e), in 12 digits of mpmath
        ("softpick", [0.196611933241, 0.731058578630, 0]),
        # f = 2.5, 5, 0.5
        ("taylor 2", [0.3125, 0.625, 0.0625]),
        # f = 65/24, 7, 3/8
        ("taylor 4", [65 / 242, 168 / 242, 9 / 242]),
    ],
)
def test_values(name, expected):
    x = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    assert MAPS[name](x, 0).tolist() == pytest.approx(expected, rel=1e-11)
    assert MAPS[name](x.float(), 0).tolist() == pytest.approx(expected, rel=3e-7)
    assert MAPS[name](x.bfloat16(), 0).tolist() == pytest.approx(expected, rel=2**-8)


@pytest.mark.parametrize("name", MAPS)
def test_gradients_are_those_of_the_formula(name):
    x, upstream = scores(4, 9).requires_grad_(), randn(4, 9, at=1)
    numerator, denominator = {
        "relumax": lambda: (x.relu(), x.relu()),
        "softpick": lambda: ((x.exp() - 1).relu(), (x.exp() - 1).abs()),
    }.get(name, lambda: 2 * (sum(x**k / math.factorial(k) for k in range(int(name.split()[-1]) + 1)),))()
    plain = numerator / denominator.sum(1, keepdim=True)
    assert_close(MAPS[name](x, 1), plain)
    assert_close(gradient(MAPS[name](x, 1), x, upstream), gradient(plain, x, upstream))


@pytest.mark.parametrize("name", MAPS)
def test_what_sums_to_one(name):
    x = scores(50, 30, dtype=torch.float32)
    total = MAPS[name](x, 1).sum(1)
    if name == "softpick":
        assert (total < 1).all(), "negative scores have a share of the denominator"
        assert_close(MAPS[name](x.abs(), 1).sum(1), torch.ones(50))
    else:
        assert_close(total, torch.ones(50))


@pytest.mark.parametrize("name", MAPS)
def test_a_constant_is_not_free_and_relumax_has_no_scale(name):
    x = scores(6, 5)
    assert (MAPS[name](x + 1, 1) - MAPS[name](x, 1)).abs().max() > 0.02
    if name == "relumax":
        assert_close(anymax.relumax(1e5 * x, 1), anymax.relumax(x, 1))
        assert_close(anymax.relumax(x, 1, bias=0.7), anymax.relumax(x + 0.7, 1))


@pytest.mark.parametrize("order", [2, 4, 6])
def test_below_its_minimum_the_polynomial_ranks_backwards(order):
    """Where the docstring says."""
    lowest = {2: -1.0, 4: -1.60, 6: -2.18}[order]
    x = torch.tensor([lowest - 1, lowest - 0.5, lowest - 0.02, lowest + 0.02, lowest + 1], dtype=torch.float64)
    share = anymax.taylor_softmax(x, 0, order=order)
    assert share[0] > share[1] > share[2]
    assert share[3] < share[4]


def test_softpick_of_scores_near_zero():
    """e^(x - max) - e^-max, as published, is all zeros here in float32."""
    x = torch.tensor([1e-9, 2e-9, -1e-9])
    assert anymax.softpick(x, 0).tolist() == pytest.approx([0.25, 0.5, 0], rel=1e-6)
    for tiny in (1e-30, 1e-42):
        assert anymax.softpick(x / 1e-9 * tiny, 0).tolist() == pytest.approx([0.25, 0.5, 0], rel=1e-2)
    for width in (1e-4, 0.1, 1.0, 5.0):
        x = width * randn(100, 30, dtype=torch.float32)
        expected = anymax.softpick(x.double(), 1)
        assert (anymax.softpick(x, 1).double() - expected).abs().div(expected.clamp(min=1e-30)).max() < 1e-6


@pytest.mark.parametrize(("dtype", "top"), [(torch.float32, 88.0), (torch.float64, 709.0)])
def test_softpick_far_below_a_large_score_is_not_lost(dtype, top):
    """Where e^-top is below the smallest normal number."""
    x = [top - below for below in (0.0, 20.0, 24.0, 30.0, 60.0, 80.0)] + [2.0, -1.0]
    terms = [math.expm1(score) for score in x]
    expected = [max(term, 0.0) / sum(map(abs, terms)) for term in terms]
    assert anymax.softpick(torch.tensor(x, dtype=dtype), 0).tolist() == pytest.approx(expected, rel=1e-5, abs=0)


def test_softpick_of_low_scores_has_a_gradient():
    """As published it is NaN: e^100 overflows."""
    x = torch.tensor([-100.0, -101.0, -99.5], requires_grad=True)
    result = anymax.softpick(x, 0)
    assert result.tolist() == [0, 0, 0]
    assert gradient(result, x, torch.ones(3)).tolist() == [0, 0, 0]
    x = torch.tensor([-100.0, -3.0, 0.5], requires_grad=True)
    # -d/dx log of the denominator, by share
    share = math.expm1(0.5) / (math.expm1(0.5) + 2 - math.exp(-3.0))
    found = gradient(anymax.softpick(x, 0)[2], x)
    assert found[1].item() == pytest.approx(math.exp(-3.0) * share**2 / math.expm1(0.5), rel=1e-6)
    assert found[0].item() == pytest.approx(math.exp(-100.0) * share**2 / math.expm1(0.5), abs=1e-40)


def exactly(name, x):
    """In rational numbers; of softpick what is left of it in double precision."""
    if name == "softpick":
        top = max(*x, 0.0)
        terms = [math.exp(one - top) - math.exp(-top) for one in x]
    elif name == "relumax":
        terms = [Fraction(max(one, 0.0)) for one in x]
    else:
        order = int(name.split()[-1])
        terms = [sum(Fraction(one) ** k / math.factorial(k) for k in range(order + 1)) for one in x]
    total = sum(abs(term) for term in terms)
    return [float(max(term, 0) / total) for term in terms]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", MAPS)
def test_scores_of_any_size(name, dtype):
    """To the largest number that there is, and its negative."""
    largest = torch.finfo(dtype).max
    for size in (1.0, 60.0, 80.0, 200.0, 3e4, 1e10, 1e25, 1e100, largest / 2, largest):
        if size > largest:
            continue
        x = (torch.tensor([1.0, 0.5, -1.0, 0.0, 1.0], dtype=torch.float64) * size).to(dtype).requires_grad_()
        result = MAPS[name](x, 0)
        tolerance = 4 * torch.finfo(dtype).eps
        assert result.tolist() == pytest.approx(exactly(name, x.tolist()), rel=tolerance, abs=tolerance)
        assert gradient(result, x, torch.arange(5).to(dtype)).isfinite().all()
    # of the smallest ones e^x is 1, whatever the order
    assert_close(anymax.taylor_softmax(torch.zeros(4, dtype=dtype), 0, order=16), torch.full((4,), 0.25, dtype=dtype))


@pytest.mark.parametrize("name", ["relumax", "softpick"])
def test_a_row_without_anything_positive_is_zero(name):
    x = torch.tensor([[-1.0, -2, -3], [0, 0, 0], [-1, 0, -INFINITY], [-INFINITY] * 3, [1, 2, -1]], requires_grad=True)
    result = MAPS[name](x, 1)
    assert (result[:4] == 0).all()
    slope = gradient(result, x, torch.ones(5, 3))
    assert (slope[:4] == 0).all()
    assert (result[4] > 0).any()
    if name == "relumax":
        assert (slope[4, 2] == 0).all()
    else:
        assert slope[4, 2] > 0, "a lower score takes less from the others"


@pytest.mark.parametrize("name", WITH_BIAS)
def test_a_score_of_minus_infinity_takes_no_part(name):
    x = scores(3, 6)
    x[0, [1, 4]] = x[1, 0] = -INFINITY
    x[2, 1:] = -INFINITY
    x[2, 0] = 1.0
    out = x == -INFINITY
    leaf, other = x.clone().requires_grad_(), x.masked_fill(out, 3.0).requires_grad_()
    upstream = randn(3, 6, at=2)
    mine, masked = WITH_BIAS[name](leaf, 1), WITH_BIAS[name](other, 1, mask=~out)
    assert (mine[out] == 0).all()
    assert_close(mine, masked)
    first, second = (gradient(result, at, upstream) for result, at in ((mine, leaf), (masked, other)))
    assert (first[out] == 0).all()
    assert_close(first, second)


@pytest.mark.parametrize("hidden", [NAN, INFINITY, -INFINITY, 1e38])
@pytest.mark.parametrize("name", WITH_BIAS)
def test_what_is_masked_is_never_read(name, hidden):
    mask = torch.tensor([[True, True, False, True], [False] * 4])
    clean = scores(2, 4).abs()
    answers = []
    for fill in (hidden, 0.0):
        x = clean.masked_fill(~mask, fill).requires_grad_()
        result = WITH_BIAS[name](x, 1, mask=mask)
        (first,) = torch.autograd.grad(result, x, randn(2, 4, at=1), create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x)
        answers.append([result, first, second])
    for mine, theirs in zip(*answers, strict=True):
        assert mine.isfinite().all()
        assert torch.equal(mine, theirs)
        assert (mine[~mask] == 0).all()
    assert_close(answers[0][0][0, [0, 1, 3]], WITH_BIAS[name](clean[0, [0, 1, 3]], 0))


@pytest.mark.parametrize("name", MAPS)
def test_one_bad_row_spoils_no_other(name):
    good = scores(2, 3)
    bad = torch.tensor([[NAN, 1, -1], [INFINITY, 1, -1]], dtype=torch.float64)
    x = torch.cat([good[:1], bad, good[1:]]).requires_grad_()
    result = MAPS[name](x, 1)
    assert result[1:3].isnan().all()
    assert torch.equal(result[[0, 3]], MAPS[name](good, 1))
    assert gradient(result[[0, 3]].sum(), x)[[0, 3]].isfinite().all()
    # a masked entry of a spoilt row stays 0
    mask = torch.tensor([True, True, False])
    assert (MAPS[name](x, 1, mask=mask)[:, 2] == 0).all()
    assert MAPS[name](x, 1, mask=mask)[1:3, :2].isnan().all()


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_a_polynomial_over_nothing_is_softmax_s_answer(name):
    nothing = torch.full((2, 3), -INFINITY)
    assert MAPS[name](nothing, 1).isnan().all()
    assert MAPS[name](nothing, 1, mask=torch.tensor([[True], [False]]).expand(2, 3))[0].isnan().all()
    assert (MAPS[name](nothing, 1, mask=torch.tensor([[True], [False]]))[1] == 0).all()


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (0, 3), (2, 0, 3), (1,), (3, 1)])
@pytest.mark.parametrize("name", MAPS)
def test_empty_and_single_axes(name, shape):
    x = (torch.rand(shape) + 0.5).requires_grad_()
    for dim in range(max(len(shape), 1)):
        for options in ({}, {"mask": torch.ones(shape, dtype=torch.bool)}):
            result = MAPS[name](x, dim, **options)
            assert result.shape == shape
            if not shape or shape[dim] == 1:
                assert (result == 1).all()
                assert gradient(result.sum(), x).abs().max() < 1e-6
            elif x.numel() == 0:
                assert gradient(result.sum(), x).shape == shape


@pytest.mark.parametrize("shape", [(), (5, 1), (7,), (4, 1, 7), (4, 5, 7), (1, 1)])
def test_a_bias_broadcasts_and_learns(shape):
    x, bias = scores(4, 5, 7).requires_grad_(), randn(*shape, at=1).requires_grad_()
    upstream = randn(4, 5, 7, at=2)
    found = torch.autograd.grad(anymax.relumax(x, 2, bias=bias), [x, bias], upstream)
    positive = (x + bias).relu()
    expected = torch.autograd.grad(positive / positive.sum(2, keepdim=True), [x, bias], upstream)
    assert_close(found, expected)
    assert found[1].abs().max() > 1e-3


def test_a_bias_is_added_in_float32_and_changes_no_dtype():
    x = torch.tensor([-256.0, 1.0]).bfloat16()
    # 257 is no number of bfloat16, which has 256 and 258 there
    result = anymax.relumax(x, 0, bias=torch.tensor([257.0, 0.0]).double())
    assert torch.equal(result, torch.tensor([0.5, 0.5]).bfloat16())
    mask = torch.tensor([True, False, True])
    bias = torch.tensor([0.0, NAN, 1.0], requires_grad=True)
    result = anymax.relumax(torch.tensor([1.0, -INFINITY, 2.0]), 0, bias=bias, mask=mask)
    assert result.tolist() == [0.25, 0, 0.75]
    assert gradient(result[0], bias)[1] == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: anymax.relumax(x), TypeError, r"missing 1 .* 'dim'; the call is relumax\(input, dim, \*, bias=0"),
        (lambda x: anymax.softpick(x, 2), IndexError, r"softpick: dim must be in \[-2, 1\]"),
        (lambda x: anymax.relumax(x.long(), 1), TypeError, r"relumax: input must be a floating-point tensor"),
        (lambda x: anymax.relumax(x, 1, bias=torch.ones(4)), ValueError, r"relumax: bias must broadcast against"),
        (lambda x: anymax.relumax(x, 1, bias=torch.ones(3).long()), TypeError, r"bias must be a floating-point"),
        (lambda x: anymax.relumax(x, 1, bias="1"), TypeError, r"relumax: bias must be a number, got '1'"),
        (lambda x: anymax.softpick(x, 1, mask=torch.ones(2, 3)), TypeError, "mask must be a boolean tensor"),
        (
            lambda x: anymax.taylor_softmax(x, 1, order=3),
            ValueError,
            "order must be an even number from 2 to 16, got 3; the polynomial of order 3 is negative for low scores",
        ),
        (
            lambda x: anymax.taylor_softmax(x, 1, order=18),
            ValueError,
            "got 18; float32 has no digits left where a greater one is smallest, and anymax.softmax is the limit",
        ),
        (lambda x: anymax.taylor_softmax(x, 1, order=0), ValueError, "order must be at least 1, got 0"),
        (lambda x: anymax.taylor_softmax(x, 1, order=2.0), TypeError, "order must be an int, got 2.0"),
    ],
)
def test_bad_arguments_are_told_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.zeros(2, 3))
