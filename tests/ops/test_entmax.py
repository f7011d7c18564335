"""sparsemax, entmax and their losses: exact numbers, an independent solution, identities, edges.

The numbers are mpmath's with 60 digits.
"""

from contextlib import nullcontext

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

import anymax
from anymax.testing.inputs import scores

INFINITY = float("inf")
NAN = float("nan")
C = [0.5, 0.0, -0.5, -2.0]
E = [1.2, 1.0, 0.3, 0.0, -3.0]


@pytest.fixture(autouse=True, params=["automatic", "reference"])
def _backend(request):
    """On a machine that has kernels the reference would meet none of these numbers."""
    with anymax.use_backend("reference") if request.param == "reference" else nullcontext():
        yield


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def solved(x, alpha):
    """The definition in float64, its threshold by bisection."""
    if alpha == 1:
        return torch.softmax(x, -1)
    z, a = x - x.amax(-1, keepdim=True), alpha - 1
    # from p = 1 for every entry to p = 1 / a for the first
    low, high = torch.full_like(z[..., :1], -1.0), torch.zeros_like(z[..., :1])
    for _ in range(200):
        middle = (low + high) / 2
        enough = ((a * z - middle).clamp(min=0) ** (1 / a)).sum(-1, keepdim=True) >= 1
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    probs = (a * z - low).clamp(min=0) ** (1 / a)
    return probs / probs.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    ("alpha", "x", "expected"),
    [
        (2, [1, 2, 3], [0, 0, 1]),
        (2, [0.1, 0.2, 0.3, 0.4, 0.5], [0, 0.1, 0.2, 0.3, 0.4]),
        (2, C, [0.75, 0.25, 0, 0]),
        (2, E, [0.6, 0.4, 0, 0, 0]),
        (3, E, [0.7, 0.3, 0, 0, 0]),
        (1.5, [1, 2, 3], [0, 0.1692810861169, 0.8307189138831]),
        (
            1.5,
            [0.1, 0.2, 0.3, 0.4, 0.5],
            [0.1166823913367, 0.1533411956684, 0.195, 0.2416588043316, 0.2933176086633],
        ),
        (1.5, C, [0.6241975291003, 0.2916666666667, 0.08413580423301, 0]),
        (1.5, E, [0.5225148247795, 0.3879444509431, 0.07444814251595, 0.01509258176144, 0]),
        (1.25, [1, 2, 3], [0.03445018540326, 0.2148495115435, 0.7507003030533]),
        (1.25, C, [0.556810939464, 0.2979694958, 0.1419661750406, 0.003253389695494]),
        (1.25, E, [0.4512689445929, 0.3508243108436, 0.1250079778559, 0.07289876670768, 0]),
        (1.75, C, [0.7052759244181, 0.2894368264156, 0.005287249166325, 0]),
        (1.1, [1, 2, 3], [0.06836201525176, 0.2336520803408, 0.6979859044074]),
    ],
)
def test_probabilities(alpha, x, expected):
    x, expected = double(x), double(expected)
    for given in (float(alpha), double(alpha)):
        assert_close(anymax.entmax(x, 0, alpha=given), expected, rtol=1e-12, atol=1e-14)
        single = anymax.entmax(x.float(), 0, alpha=given)
        assert_close(single.double(), expected, rtol=1e-6, atol=1e-7)
        assert torch.equal(single == 0, expected == 0)
    if alpha == 2:
        assert_close(anymax.sparsemax(x, 0), expected, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("alpha", [1.0, 1.00001, 1.25, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("spread", [0.05, 0.5, 4.0])
@pytest.mark.parametrize("size", [2, 17, 3000])
def test_it_solves_the_definition(alpha, spread, size):
    x = scores(8, size) * spread
    expected = solved(x, alpha)
    largest = expected.amax(-1, keepdim=True)
    for given in (alpha, double(alpha)):
        found = anymax.entmax(x, 1, alpha=given)
        # the threshold of the usual form has the error eps / a, and for alpha > 2 the map amplifies it
        tolerance = 1e-12 if 1.001 < alpha <= 2 or alpha == 1 else 1e-8
        assert ((found - expected).abs() <= tolerance * largest).all()
        assert torch.equal(found > 0, expected > 0)
        if alpha <= 2:
            single = anymax.entmax(x.float(), 1, alpha=given)
            exact = solved(x.float().double(), alpha)
            assert ((single - exact).abs() <= 5e-6 * largest).all()
            assert_close(single.sum(1), torch.ones(8), rtol=0, atol=5e-7)


@pytest.mark.parametrize("alpha", [1.25, 1.5, 1.75, 2.0])
def test_rows_in_which_newtons_method_is_slowest(alpha):
    power = torch.arange(1.0, 3001, dtype=torch.float64)
    rows = [-power.log() * k for k in (0.01, 0.1, 1.0)] + [
        -(torch.linspace(0, 1, 3000).double() ** k) for k in (8, 0.1)
    ]
    rows = torch.stack([*rows, -(power / 3000) * 1e-6, torch.where(power == 1, 0.0, -1 / (alpha - 1) + 1e-9)])
    assert_close(anymax.entmax(rows, 1, alpha=alpha), solved(rows, alpha), rtol=1e-9, atol=1e-14)


def test_long_rows_sum_to_one():
    for alpha in (1.0, 1.1, 1.5, 1.9, 2.0):
        row = torch.zeros(100_000)
        assert_close(anymax.entmax(row, 0, alpha=alpha), torch.full_like(row, 1e-5), rtol=1e-5, atol=0)
        assert anymax.entmax(row, 0, alpha=alpha).sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (1.25, [0.323194763435, -0.201086060952, -0.115316585186, -0.006792117297]),
        (1.5, [0.404798645754, -0.263353908289, -0.141444737465, 0]),
        (2.0, [0.5, -0.5, 0, 0]),
    ],
)
def test_first_derivatives(alpha, expected):
    for given in (alpha, double(alpha)):
        jacobian = torch.func.jacrev(lambda x, given=given: anymax.entmax(x, 0, alpha=given))(double(C))
        assert_close(jacobian[0], double(expected), rtol=0, atol=2e-12)
        assert_close(jacobian, jacobian.T)
        assert_close(jacobian.sum(0), double([0, 0, 0, 0]), atol=1e-15, rtol=0)
        forward = torch.func.jacfwd(lambda x, given=given: anymax.entmax(x, 0, alpha=given))(double(C))
        assert_close(forward, jacobian)


SLOPES = [
    (1.0, [0.251097976283, -0.055642384424, -0.195455591860]),
    (1.00001, [0.251100155614, -0.055642776404, -0.195457379210]),
    (1.25, [0.307012424824, -0.063999344771, -0.243013080053]),
    (1.5, [0.322854477562, -0.089274073336, -0.233580404226]),
    (1.75, [0.217825555528, -0.217825555528, 0]),
    (1.9, [0.250945095568, -0.250945095568, 0]),
    (2.5, [0, 0, 0]),
]


@pytest.mark.parametrize(("alpha", "expected"), SLOPES)
def test_slope_in_alpha(alpha, expected):
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 3e-7)):
        x = torch.tensor([1, 0.3, -0.5], dtype=dtype)
        slope = torch.func.jacrev(lambda given, x=x: anymax.entmax(x, 0, alpha=given))(torch.tensor(alpha, dtype=dtype))
        assert_close(slope.double(), double(expected), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("alpha", [1.0001, 1.25, 1.5, 1.75, 2.0, 2.5])
def test_second_derivatives_on_rows_with_zeros(alpha):
    x = double([[0.5, 0.1, -0.4, -9], [0.3, 0.1, -5, -9.5]]).requires_grad_()
    learnt = double([[alpha], [alpha]]).requires_grad_()
    assert gradcheck(lambda x, a: anymax.entmax(x, 1, alpha=a), (x, learnt), check_forward_ad=True)
    assert gradgradcheck(lambda x, a: anymax.entmax(x, 1, alpha=a), (x, learnt), check_fwd_over_rev=True)
    assert gradgradcheck(lambda x: anymax.entmax(x, 1, alpha=alpha), (x,), check_fwd_over_rev=True)


def test_third_derivatives():
    # entmax at alpha = 1 is softmax, at alpha = 1.5 the closed form on the support
    def closed_form(x):
        half = x[:3] / 2
        mean = half.mean()
        threshold = mean - ((1 - (half - mean).square().sum()) / 3).sqrt()
        return (half - threshold).square()

    x = double(C)
    third = lambda f: torch.func.jacfwd(torch.func.jacrev(torch.func.jacrev(f)))  # noqa: E731
    found = third(lambda x: anymax.entmax(x, 0, alpha=1.5)[:3])(x)
    assert found.abs().max() > 1e-2
    assert_close(found, third(closed_form)(x))
    found = third(lambda x: anymax.entmax(x, 0, alpha=1.0))(x)
    assert_close(found, third(lambda x: torch.softmax(x, 0))(x))


@pytest.mark.parametrize("alpha", [1.0, 1.3, 1.5, 2.0])
@pytest.mark.parametrize("dim", [0, -1, (0, 2), "a [b c]"])
def test_dims_shifts_and_temperature(alpha, dim):
    x = scores(3, 4, 5) / 4
    axes = (1, 2) if isinstance(dim, str) else dim
    probs = anymax.entmax(x, dim, alpha=alpha)
    assert_close(probs.sum(axes), torch.ones_like(probs.sum(axes)))
    assert_close(anymax.entmax(x + 300, dim, alpha=alpha), probs)
    assert_close(anymax.entmax(x, dim, alpha=alpha, temperature=0.3), anymax.entmax(x / 0.3, dim, alpha=alpha))
    if isinstance(axes, tuple):
        rest = [axis for axis in range(3) if axis not in axes]
        flat = anymax.entmax(x.permute(*rest, *axes).flatten(1), 1, alpha=alpha)
        assert_close(probs.permute(*rest, *axes).flatten(1), flat)
    if alpha == 2:
        assert torch.equal(anymax.sparsemax(x, dim), probs)
        assert_close(anymax.sparsemax(x, dim, temperature=0.3), anymax.sparsemax(x / 0.3, dim))
    if alpha == 1:
        assert_close(probs, anymax.softmax(x, dim))


def test_alpha_per_head_mixes_all_ways():
    x = scores(3, 4, 5) / 2
    alpha = double([1.0, 1.5, 2.0, 3.0])[:, None]
    together = anymax.entmax(x, -1, alpha=alpha)
    for head, one in enumerate((1.0, 1.5, 2.0, 3.0)):
        assert_close(together[:, head], anymax.entmax(x[:, head], -1, alpha=one), rtol=1e-9, atol=1e-12)
    assert_close(torch.func.vmap(lambda row, a: anymax.entmax(row, -1, alpha=a), (1, 0), 1)(x, alpha[:, 0]), together)


@pytest.mark.parametrize("scale", [1e20, 3e38])
def test_huge_scores_and_temperatures(scale):
    for alpha in (1.0, 1.000001, 1.5, 2.0, 3.0):
        x = torch.tensor([scale, -scale, 0.0], requires_grad=True)
        probs = anymax.entmax(x, 0, alpha=alpha)
        assert probs.tolist() == [1, 0, 0]
        assert (torch.autograd.grad(probs[0], x)[0] == 0).all()
        for temperature in (1e-30, 1e30):
            row = torch.tensor([3.0, 3.0, 0.0]) * (temperature if temperature > 1 else 1.0)
            expected = [0.5, 0.5, 0] if temperature < 1 else solved(double([[3, 3, 0]]), alpha)[0].tolist()
            assert_close(anymax.entmax(row, 0, alpha=alpha, temperature=temperature), torch.tensor(expected))
    assert_close(anymax.entmax(torch.tensor([1e6, 1e6 - 1, 1e6 - 2]), 0)[0].item(), 0.8307189, rtol=1e-6, atol=0)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0, 3.0])
def test_one_bad_row_spoils_no_other(alpha):
    good = scores(2, 3)
    bad = double([[NAN, 0, 0], [INFINITY, 0, 0], [-INFINITY] * 3, [NAN, -INFINITY, 0]])
    x = torch.cat([good[:1], bad, good[1:]]).requires_grad_()
    leaf = good.clone().requires_grad_()
    for function in (
        lambda x: anymax.entmax(x, 1, alpha=alpha),
        lambda x: anymax.entmax_loss(x, torch.zeros(len(x), dtype=torch.int64), alpha=alpha, reduction="none"),
        lambda x: anymax.entmax_loss(x, torch.full_like(x, 1 / 3), alpha=alpha, reduction="none"),
    ):
        result, alone = function(x), function(leaf)
        assert result[1:5].isnan().all()
        assert torch.equal(result[[0, 5]], alone)
        (gradient,) = torch.autograd.grad((result[[0, 5]] * 3).square().sum(), x)
        (expected,) = torch.autograd.grad((alone * 3).square().sum(), leaf)
        assert torch.equal(gradient[[0, 5]], expected)


@pytest.mark.parametrize("hidden", [NAN, INFINITY, -INFINITY, 1e38])
@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_what_does_not_compete_adds_nothing_to_any_derivative(hidden, alpha):
    mask = torch.tensor([[True, True, False, True], [False] * 4])
    clean = scores(2, 4) / 4
    answers = []
    for fill in (hidden, 0.0):
        x = clean.masked_fill(~mask, fill).requires_grad_()
        learnt = [double(0.7).requires_grad_(), double(alpha).requires_grad_()]
        result = anymax.entmax(x, 1, temperature=learnt[0], alpha=learnt[1], mask=mask)
        first = torch.autograd.grad(result[:, 0].sum(), [x, *learnt], create_graph=True)
        second = torch.autograd.grad(sum(part.square().sum() for part in first), [x, *learnt])
        answers.append([result, *first, *second])
    for mine, theirs in zip(*answers, strict=True):
        assert mine.isfinite().all()
        assert_close(mine, theirs)
    assert (answers[0][0][~mask] == 0).all()
    assert (answers[0][1][~mask] == 0).all()


def test_scores_without_a_chance_and_boundary_ties():
    for alpha in (1.0, 1.5, 2.0):
        x = torch.tensor([1.0, -INFINITY, 1.5], requires_grad=True)
        probs = anymax.entmax(x, 0, alpha=alpha)
        assert probs[1] == 0
        assert_close(probs[[0, 2]], anymax.entmax(x[[0, 2]], 0, alpha=alpha))
        (first,) = torch.autograd.grad(probs[0], x, create_graph=True)
        assert first[1] == 0
        assert first.isfinite().all()
        assert torch.autograd.grad(first.square().sum(), x)[0].isfinite().all()
    # exactly where the second would enter it is outside
    x = double([1.0, 0.0]).requires_grad_()
    assert torch.autograd.grad(anymax.sparsemax(x, 0)[0], x)[0].tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3), (2, 0, 3), (1,), (3, 1)])
def test_empty_and_single_axes(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for dim in range(len(shape)):
        for function in (anymax.sparsemax, anymax.entmax):
            result = function(x, dim)
            assert result.shape == shape
            if shape[dim] == 1:
                assert (result == 1).all()
                assert (torch.autograd.grad(result.sum(), x)[0] == 0).all()
    assert anymax.entmax(torch.tensor(3.0), 0) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_rounded_once(dtype):
    for size in (10, 300, 5000):
        x = scores(6, size, dtype=torch.float32).to(dtype)
        for alpha in (1.1, 1.5, 2.0):
            found = anymax.entmax(x, 1, alpha=alpha)
            assert found.dtype == dtype
            assert_close(found, anymax.entmax(x.float(), 1, alpha=alpha).to(dtype), rtol=0, atol=0)
            # each entry is off by half a unit in its last place at most
            assert_close(found.double().sum(1), torch.ones(6).double(), rtol=0, atol=torch.finfo(dtype).eps / 2)


# The losses


LOSSES = {
    1.0: [0.72100312575721, 1.2210031257572, 3.2210031257572, 0.84114889992355],
    1.25: [0.37593566758983, 0.87593566758983, 2.8759356675898, 0.91230471197007],
    1.5: [0.20326132098812, 0.70326132098812, 2.7032613209881, 0.98774728867705],
    1.75: [0.11124899807755, 0.61124899807755, 2.6112489980775, 1.0544064137203],
    2.0: [0.0625, 0.5625, 2.5625, 1.1125],
}


@pytest.mark.parametrize("alpha", LOSSES)
def test_losses(alpha):
    # a few roundings of the loss, and of its terms, which are at most 1 apart from it
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-6)):
        x = torch.tensor(C, dtype=dtype)
        target = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=dtype)
        for shift in (0.0, 1024.0):
            found = [anymax.entmax_loss(x + shift, torch.tensor(at), alpha=alpha) for at in (0, 1, 3)]
            found.append(anymax.entmax_loss(x + shift, target, alpha=alpha))
            assert_close(torch.stack(found).double(), double(LOSSES[alpha]), rtol=tolerance, atol=tolerance / 10)
        if alpha == 2:
            assert_close(anymax.sparsemax_loss(x, target).item(), 1.1125, rtol=tolerance, atol=0)
    rows = double([[0.5, 0.25, 0.25, 0]])
    expected = {1.5: 0.049665841779156, 2.0: 0.125}.get(alpha)
    if expected is not None:
        assert_close(anymax.entmax_loss(double([C]), rows, alpha=alpha).item(), expected, rtol=1e-12, atol=0)


def test_the_loss_near_its_zero():
    target = torch.tensor(0)
    # the scores have the rounding 1e-7, and the loss depends on 2 - t
    for t, expected, slope, tolerance in (
        (1.999, 1.665418e-10, 2.4975031203e-7, 3e-4),
        (1.9999, 1.6665417e-13, 2.4997500312e-9, 3e-3),
    ):
        x = torch.tensor([t, 0, 0], requires_grad=True)
        loss = anymax.entmax_loss(x, target)
        assert loss.item() == pytest.approx(expected, rel=tolerance)
        (gradient,) = torch.autograd.grad(loss, x)
        assert gradient[0] == -gradient[1:].sum()
        assert gradient[1].item() == pytest.approx(slope, rel=tolerance)
    for t in (2.0, 100.0, 1e30):
        assert anymax.entmax_loss(torch.tensor([t, 0, 0]), target) == 0
    assert anymax.sparsemax_loss(torch.tensor([1.0, 0, 0]), target) == 0
    for value, loss, alpha in ((-100.0, 100.39052429175, 1.5), (-100.0, 100.25, 2.0), (1.0, 0.09957821107983, 1.5)):
        assert_close(anymax.entmax_loss(double([value, 0, 0]), target, alpha=alpha).item(), loss, rtol=1e-11, atol=0)


@pytest.mark.parametrize("alpha", [1.0, 1.0001, 1.3, 1.5, 1.8, 2.0, 2.5])
def test_the_loss_is_at_least_0_convex_and_has_the_gradient_p_less_y(alpha):
    x, y = scores(40, 6), scores(40, 6, at=1).softmax(1)
    ids = torch.arange(40) % 6
    for target, given in ((y, y), (torch.nn.functional.one_hot(ids, 6).double(), ids)):
        leaf = x.clone().requires_grad_()
        loss = anymax.entmax_loss(leaf, given, alpha=alpha, reduction="none")
        assert (loss >= 0).all()
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        assert_close(gradient, anymax.entmax(x, 1, alpha=alpha) - target, rtol=1e-9, atol=1e-12)
        other = x.flip(0)
        ends = loss + anymax.entmax_loss(other, given, alpha=alpha, reduction="none")
        middle = anymax.entmax_loss((x + other) / 2, given, alpha=alpha, reduction="none")
        assert (2 * middle <= ends + 1e-12).all()
        # the definition, where nothing is small
        probs, a = anymax.entmax(x, 1, alpha=alpha), alpha - 1
        if alpha > 1.1:
            entropy = ((target**alpha).sum(1) - (probs**alpha).sum(1)) / (alpha * a)
            assert_close(loss, ((probs - target) * x).sum(1) + entropy, rtol=1e-10, atol=1e-12)
    own = anymax.entmax(x, 1, alpha=alpha)
    assert (anymax.entmax_loss(x, own, alpha=alpha, reduction="none") < 1e-14).all()


@pytest.mark.parametrize(
    ("alpha", "slope"), [(1.25, -0.9273024869405), (1.5, -0.5060651448558), (1.75, -0.24492666898)]
)
def test_slope_of_the_loss_in_alpha(alpha, slope):
    learnt = double(alpha).requires_grad_()
    loss = anymax.entmax_loss(double(C), torch.tensor(0), alpha=learnt)
    assert_close(torch.autograd.grad(loss, learnt)[0].item(), slope, rtol=1e-11, atol=0)
    single = torch.tensor(1.00001, requires_grad=True)
    found = torch.autograd.grad(anymax.entmax_loss(torch.tensor(C), torch.tensor(0), alpha=single), single)[0]
    exact = double(single.item()).requires_grad_()
    expected = torch.autograd.grad(anymax.entmax_loss(double(C), torch.tensor(0), alpha=exact), exact)[0]
    difference = anymax.entmax_loss(double(C), torch.tensor(0), alpha=1.001)
    difference = (difference - anymax.entmax_loss(double(C), torch.tensor(0), alpha=1.0)) / 0.001
    assert_close(expected.item(), difference.item(), rtol=2e-3, atol=0)
    assert_close(found.item(), expected.item(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("alpha", [1.0001, 1.25, 1.5, 2.0])
def test_the_losses_second_derivatives_on_rows_with_zeros(alpha):
    x = double([[0.5, 0.1, -0.4, -9], [0.3, 0.1, -5, -9.5]]).requires_grad_()
    learnt = double([[alpha], [alpha]]).requires_grad_()
    y = double([[0.1, 0.2, 0.3, 0.4], [0.6, 0.2, 0.1, 0.1]]).requires_grad_()

    def of_ids(x, a):
        return anymax.entmax_loss(x, torch.tensor([2, 3]), alpha=a, reduction="none")

    def of_probabilities(x, y, a):
        return anymax.entmax_loss(x, y / y.sum(1, keepdim=True), alpha=a, reduction="none")

    for function, inputs in ((of_ids, (x, learnt)), (of_probabilities, (x, y, learnt))):
        assert gradcheck(function, inputs, check_forward_ad=True)
        assert gradgradcheck(function, inputs, check_fwd_over_rev=True)
    hessian = torch.func.hessian(lambda x: anymax.entmax_loss(x, torch.tensor(2), alpha=alpha))(x[0].detach())
    jacobian = torch.func.jacrev(lambda x: anymax.entmax(x, 0, alpha=alpha))(x[0].detach())
    assert_close(hessian, jacobian, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_a_target_close_to_the_probabilities_has_a_loss_with_digits(alpha):
    x = torch.tensor([[0.3, 0.1, -0.2]])
    y = anymax.entmax(x, 1, alpha=alpha) + torch.tensor([[1.0, -1.0, 0.0]]) / 1024
    exact = anymax.entmax_loss(x.double(), y.double(), alpha=alpha)
    # about 2e-6; its terms are near 1, and their rounding 1e-7
    assert_close(anymax.entmax_loss(x, y, alpha=alpha).double(), exact, rtol=2e-3, atol=0)


def test_the_derivative_in_a_target_of_0_is_that_from_the_right():
    x, step = double([[0.3, 0.1, -0.2]]), 1e-6 * double([[-1, 1, 0]])
    y = double([[1, 0, 0]]).requires_grad_()
    loss = anymax.entmax_loss(x, y, alpha=2.0)
    (gradient,) = torch.autograd.grad(loss, y)
    assert_close(
        (gradient * step).sum(), anymax.entmax_loss(x, y.detach() + step, alpha=2.0) - loss.detach(), rtol=1e-4, atol=0
    )


def test_targets_without_a_chance_and_ignored_rows():
    x = torch.tensor([[1, -INFINITY, 0.0], [1, 2, 3], [NAN, 0, 0], [-1e30, 0, 0]], requires_grad=True)
    target = torch.tensor([1, 2, -100, 0])
    for alpha in (1.0, 1.5, 2.0):
        loss = anymax.entmax_loss(x, target, alpha=alpha, reduction="none")
        assert loss[0] == INFINITY
        assert loss[2] == 0
        assert loss[3].item() == pytest.approx(1e30, rel=1e-6)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        assert (gradient[2] == 0).all()
        assert gradient[[0, 1, 3]].isfinite().all()
        assert_close(gradient[3], torch.tensor([-1, 0.5, 0.5]))
        assert gradient[0, 1] == 0
    y = torch.tensor([[0.5, 0, 0.5]])
    assert anymax.entmax_loss(x[:1], y).isfinite()
    assert anymax.entmax_loss(x[:1], y[:, [1, 0, 2]]) == INFINITY
    mask = torch.tensor([[True, False, True], [False] * 3])
    masked = anymax.entmax_loss(scores(2, 3), torch.tensor([1, 0]), mask=mask, reduction="none")
    assert masked.tolist() == [INFINITY] * 2


def test_reductions_weights_and_means_over_nothing():
    x, target, weight = scores(6, 5), torch.tensor([0, 1, 2, -100, 4, 4]), double([1, 2, 0.5, 3, 1])
    rows = anymax.entmax_loss(x, target, reduction="none")
    weighted = anymax.entmax_loss(x, target, weight=weight, reduction="none")
    counted = target >= 0
    assert_close(weighted[counted], rows[counted] * weight[target[counted]])
    assert_close(anymax.entmax_loss(x, target), rows.sum() / 5)
    expected = weighted.sum() / weight[target[counted]].sum()
    assert_close(anymax.entmax_loss(x, target, weight=weight), expected)
    assert_close(anymax.entmax_loss(x, target, reduction="sum"), rows.sum())
    y = x.flip(0).softmax(1)
    soft = anymax.entmax_loss(x, y, reduction="none")
    assert_close(anymax.entmax_loss(x, y, weight=weight), (soft * (y @ weight)).mean())
    leaf = x.clone().requires_grad_()
    nothing = anymax.entmax_loss(leaf, torch.full((6,), -100))
    assert nothing == 0
    assert (torch.autograd.grad(nothing, leaf)[0] == 0).all()
    assert anymax.sparsemax_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 0
    assert_close(anymax.entmax_loss(x, target.to(torch.int8)), anymax.entmax_loss(x, target))


def test_alpha_1_is_cross_entropy_and_class_axes_are_any():
    x, target = scores(3, 5, 4), torch.randint(5, (3, 4), generator=torch.Generator().manual_seed(0))
    assert_close(anymax.entmax_loss(x, target, alpha=1.0), anymax.cross_entropy(x, target))
    temperature = scores(3, 1, 1).exp()
    assert_close(
        anymax.entmax_loss(x, target, alpha=1.0, temperature=temperature),
        anymax.cross_entropy(x, target, temperature=temperature),
    )
    moved = anymax.entmax_loss(x.movedim(1, 2), target, dim="n l [class]", reduction="none")
    assert_close(moved, anymax.entmax_loss(x, target, reduction="none"))
    rows = torch.stack([anymax.entmax_loss(x[0, :, at], target[0, at]) for at in range(4)])
    assert_close(rows, moved[0])


def test_bad_targets_where_they_cannot_be_read():
    rows = torch.func.vmap(lambda x, y: anymax.entmax_loss(x, y, reduction="none"))(
        torch.zeros(3, 1, 4), torch.tensor([[1], [4], [-1]])
    )
    assert rows.isnan().flatten().tolist() == [False, True, True]
    below = torch.func.vmap(lambda x, a: anymax.entmax(x, 0, alpha=a))(torch.zeros(2, 3), torch.tensor([1.5, 0.5]))
    assert below[0].isfinite().all()
    assert below[1].isnan().all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: anymax.entmax(x), TypeError, r"missing 1 .* 'dim'; the call is entmax\(input, dim, \*, alpha"),
        (lambda x: anymax.sparsemax(x, 2), IndexError, r"sparsemax: dim must be in \[-2, 1\]"),
        (lambda x: anymax.sparsemax(x.long(), 1), TypeError, r"sparsemax: input must be a floating-point tensor"),
        (lambda x: anymax.entmax(x, 1, alpha=0.9), ValueError, "entmax: alpha must be at least 1 and finite, got 0.9;"),
        (lambda x: anymax.entmax(x, 1, alpha=INFINITY), ValueError, "finite, got inf"),
        (lambda x: anymax.entmax(x, 1, alpha=NAN), ValueError, "finite, got nan"),
        (lambda x: anymax.entmax(x, 1, alpha=torch.tensor(0.5)), ValueError, r"got 0.5; hold one .*clamp_\(min=1\)"),
        (lambda x: anymax.entmax(x, 1, alpha=torch.ones(2, 3)), ValueError, "alpha must have size 1 on axis 1"),
        (lambda x: anymax.entmax(x, 1, temperature=0.0), ValueError, "temperature must be greater than 0"),
        (lambda x: anymax.entmax(x, 1, mask=torch.ones(2, 3)), TypeError, "mask must be a boolean tensor"),
        (
            lambda x: anymax.entmax_loss(x, torch.tensor([0, 3])),
            ValueError,
            r"target ids must be in \[0, 2",
        ),
        (lambda x: anymax.entmax_loss(x, x), ValueError, "a floating-point target holds probabilities"),
        (lambda x: anymax.entmax_loss(x, torch.tensor([0, 1, 2])), ValueError, "target must have the input's shape"),
        (
            lambda x: anymax.sparsemax_loss(x, torch.tensor([0, 1]), reduction="all"),
            ValueError,
            "reduction must be one",
        ),
        (lambda x: anymax.sparsemax_loss(x, torch.tensor([0, 1]), weight=x), ValueError, "one entry per class"),
        (lambda x: anymax.entmax_loss(x, torch.tensor([0, 1]), alpha=0.0), ValueError, "entmax_loss: alpha must be"),
        (lambda x: anymax.entmax_loss(x[:, :0], torch.tensor([0, 1])), ValueError, "the class axis 1 has size 0"),
    ],
)
def test_bad_arguments_are_told_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.zeros(2, 3))


@pytest.mark.parametrize("name", ["sparsemax", "entmax"])
def test_onnx_runtime_gives_what_torch_gives(name, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")

    class Module(torch.nn.Module):
        def forward(self, x):
            return getattr(anymax, name)(x, "rows [class]")

    x = scores(4, 7, dtype=torch.float32)
    with pytest.warns():  # from inside torch.onnx
        program = torch.onnx.export(
            Module().eval(), (x,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("rows")},), verbose=False
        )
    assert program is not None
    program.save(tmp_path / "map.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "map.onnx")
    for rows in (x, scores(9, 7, dtype=torch.float32)):
        (found,) = session.run(None, {session.get_inputs()[0].name: rows.numpy()})
        assert_close(torch.from_numpy(found), Module()(rows), rtol=1e-6, atol=1e-7)
