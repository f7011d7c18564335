"""The binary losses: against torch and others' formulas where they are exact, and where they are not."""

import itertools
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

import anymax
from anymax.ops.binary.api import one_vs_rest_loss

INFINITY = float("inf")


@pytest.fixture(autouse=True, params=["automatic", "reference"])
def _backend(request):
    """On a machine that has kernels the reference would meet none of these numbers."""
    with anymax.use_backend("reference") if request.param == "reference" else nullcontext():
        yield


def loss(x, target, **options):
    return anymax.binary_cross_entropy_with_logits(x, target, **options)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_equals_torch(reduction):
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(4, 5, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    target = torch.rand(4, 5, generator=generator, dtype=torch.float64)
    weight, pos_weight = target[:, :1] + 0.5, target[0] * 3
    for w, p in itertools.product((None, weight), (None, pos_weight)):
        mine = loss(x, target, weight=w, pos_weight=p, reduction=reduction)
        theirs = F.binary_cross_entropy_with_logits(x, target, w, pos_weight=p, reduction=reduction)
        assert_close(mine, theirs)
        upstream = torch.ones_like(mine)
        assert_close(torch.autograd.grad(mine, x, upstream), torch.autograd.grad(theirs, x, upstream))


def test_small_losses_and_gradients_keep_their_digits():
    x = torch.tensor([-20.0, 20.0, -60.0], requires_grad=True)
    target = torch.tensor([0.0, 1.0, 0.0])
    rows = loss(x, target, pos_weight=torch.tensor(3.0), reduction="none")
    expected = torch.tensor([2.0611536e-9, 6.1834608e-9, 8.7565107e-27])
    assert_close(rows, expected, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(rows.sum(), x)
    assert_close(gradient, expected * torch.tensor([1.0, -1.0, 1.0]), rtol=1e-6, atol=0)


def test_infinite_scores_cost_nothing_where_the_target_agrees():
    x = torch.tensor([INFINITY, -INFINITY, INFINITY, -INFINITY], requires_grad=True)
    target = torch.tensor([1.0, 0.0, 0.0, 1.0])
    rows = loss(x, target, reduction="none")
    assert rows.tolist() == [0, 0, INFINITY, INFINITY]
    (gradient,) = torch.autograd.grad(rows[:2].sum(), x)
    assert (gradient == 0).all()


def test_targets_of_any_real_dtype():
    x = torch.tensor([0.3, -2.0])
    unsigned = (torch.uint8, torch.uint16, torch.uint32, torch.uint64)
    for dtype in (torch.bool, *unsigned, torch.int64, torch.float16, torch.float64):
        assert_close(loss(x, torch.tensor([1, 0]).to(dtype)), loss(x, torch.tensor([1.0, 0.0])))


def test_mean_over_nothing_and_half_types():
    assert loss(torch.zeros(0, 3), torch.zeros(0, 3)) == 0
    x = torch.randn(3, generator=torch.Generator().manual_seed(1)).bfloat16()
    target = torch.tensor([1.0, 0.0, 1.0])
    assert loss(x, target).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(x, target).dtype == torch.float32


def test_a_bad_target_is_nan_where_it_cannot_be_read():
    rows = torch.vmap(lambda x, y: loss(x, y, reduction="none"))(torch.zeros(2), torch.tensor([0.5, 3.0]))
    assert rows[0].isfinite()
    assert rows[1].isnan()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: loss(torch.zeros(4, 1), torch.zeros(4)),
            ValueError,
            r"the input's shape \(4, 1\), got \(4,\); write target.reshape\(input.shape\)",
        ),
        (lambda: loss(torch.zeros(4), torch.zeros(3)), ValueError, r"shape \(4,\), got \(3,\)$"),
        (
            lambda: loss(torch.zeros(2, 4), torch.zeros(2)),
            ValueError,
            r"got \(2,\); for one class per row write cross_entropy\(input, target, dim=-1\)$",
        ),
        (
            lambda: loss(torch.zeros(2), torch.tensor([-1.0, 1.0])),
            ValueError,
            r"target must be in \[0, 1\], got entries from -1.0 to 1.0",
        ),
        (
            lambda: loss(torch.zeros(2), torch.tensor([0, 2]).to(torch.uint16)),
            ValueError,
            r"target must be in \[0, 1\], got entries from 0.0 to 2.0$",
        ),
        (lambda: loss(torch.zeros(2), torch.zeros(2) + 0j), TypeError, r"in \[0, 1\], got torch.complex64$"),
        (
            lambda: loss(torch.zeros(2), torch.zeros(2).to(torch.float8_e4m3fn)),
            TypeError,
            r"target must be a floating-point tensor, got torch.float8_e4m3fn; write target.float\(\)$",
        ),
        (lambda: loss(torch.zeros(2).long(), torch.zeros(2)), TypeError, "input must be a floating-point tensor"),
        (
            lambda: loss(torch.zeros(2), torch.zeros(2), pos_weight=torch.ones(3)),
            ValueError,
            "pos_weight must broadcast",
        ),
        (lambda: loss(torch.zeros(2), torch.zeros(2), pos_weight=3.0), TypeError, "pos_weight must be a tensor"),
        (lambda: loss(torch.zeros(2), torch.zeros(2), reduction="avg"), ValueError, "reduction must be one of"),
    ],
)
def test_bad_arguments_are_told_what_to_write(call, error, words):
    with pytest.raises(error, match=words):
        call()


SCORES = [-100.0, -5.0, 0.0, 5.0, 20.0, 100.0]
GAMMAS = (0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 5.0)
# (loss, derivative) of a positive by the score, and of a negative by the score's negative; mpmath, 60 digits
FOCAL = {
    2.0: (
        [100, 4.93992122167008, 0.173286795139986, 3.0080902252681e-7, 8.7565107175753e-27, 5.1482002224120e-131],
        [-1, -1.04617984282, -0.29828679514, -8.97392766069e-7, None, -1.54446006672e-130],
    ),
    0.5: (
        [100, None, 0.490129071734274, 5.49381626623391e-4, None, 7.17509597316441e-66],
        [-1, -1.00667597782, -0.476085658527, -8.20393452954e-4, None, -1.07626439597e-65],
    ),
}


def with_gradient(function, x, target, **options):
    x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    rows = function(x, torch.full_like(x, target), reduction="none", **options)
    return rows.detach(), torch.autograd.grad(rows.sum(), x)[0]


def compare(found, expected, rtol):
    for mine, theirs in zip(found.tolist(), expected, strict=True):
        assert theirs is None or mine == pytest.approx(theirs, rel=rtol, abs=0)


@pytest.mark.parametrize("gamma", FOCAL)
def test_focal_loss_has_the_digits_of_more_of_them(gamma):
    losses, slopes = FOCAL[gamma]
    for sign, target in ((1, 1.0), (-1, 0.0)):
        found, gradient = with_gradient(
            anymax.sigmoid_focal_loss, [sign * s for s in SCORES], target, alpha=None, gamma=gamma
        )
        compare(found, losses, 1e-13)
        compare(sign * gradient, slopes, 1e-10)


def test_asymmetric_loss_has_the_digits_of_more_of_them():
    found, gradient = with_gradient(anymax.asymmetric_loss, [-100.0, -2.0, 0.0, 5.0, 100.0], 0.0)
    compare(found, [0, 1.644756445e-6, 0.02451505351, 2.272535184, 2.44004266], 1e-9)
    compare(gradient, [0, None, 0.0731171, 0.156913087057, 9.88200566818e-43], 1e-6)
    # 1 - p of what p has left would have two digits
    sure = torch.tensor([20.0])
    found = anymax.asymmetric_loss(sure, torch.zeros(1), gamma_neg=1.0, clip=1e-6)
    assert_close(found.item(), 13.81343768, rtol=1e-6, atol=0)
    found, gradient = with_gradient(anymax.asymmetric_loss, [-100.0, -2.0, 0.0, 5.0, 100.0], 1.0)
    compare(found, [100, 1.873391977, 0.3465735903, 4.494482634e-5, 1.383896527e-87], 1e-9)
    compare(gradient, [-1, None, None, None, None], 1e-12)


def torchvision_focal_loss(x, target, alpha, gamma):
    """As torchvision's documentation has it: cross-entropy times (1 - p_t)^gamma."""
    p = x.sigmoid()
    missed = 1 - (p * target + (1 - p) * (1 - target))
    loss = F.binary_cross_entropy_with_logits(x, target, reduction="none") * missed**gamma
    return loss if alpha < 0 else (alpha * target + (1 - alpha) * (1 - target)) * loss


def published_asymmetric_loss(x, target, gamma_neg, gamma_pos, clip):
    """The formula as the authors' code computes it, a clamp of 1e-8 in each logarithm included."""
    p = x.sigmoid()
    no = (1 - p + clip).clamp(max=1)
    loss = target * p.clamp(min=1e-8).log() + (1 - target) * no.clamp(min=1e-8).log()
    right = p * target + no * (1 - target)
    return -loss * (1 - right) ** (gamma_pos * target + gamma_neg * (1 - target))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_focal_loss_is_torchvision_s_where_that_is_exact(reduction):
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(4, 5, generator=generator, dtype=torch.float64)
    x[0, :2] = torch.tensor([14.0, -14.0])
    x.requires_grad_()
    soft = torch.rand(4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = (soft.detach() < 0.3).double().requires_grad_()
    for target, alpha, gamma in itertools.product((soft, labels), (0.25, 0.9, -1), (0.0, 0.5, 1.5, 2.0)):
        mine = anymax.sigmoid_focal_loss(x, target, alpha=alpha, gamma=gamma, reduction=reduction)
        theirs = torchvision_focal_loss(x, target, alpha, gamma)
        theirs = {"none": theirs, "mean": theirs.mean(), "sum": theirs.sum()}[reduction]
        assert_close(mine, theirs)
        upstream = torch.ones_like(mine)
        # of labels too, whose 1 - p_t has a derivative where it is as small as it gets
        for leaf in (x, target):
            assert_close(*(torch.autograd.grad(one, leaf, upstream, retain_graph=True) for one in (mine, theirs)))
    assert_close(anymax.sigmoid_focal_loss(x, soft), torchvision_focal_loss(x, soft, 0.25, 2.0))
    plain = anymax.sigmoid_focal_loss(x, soft, alpha=None, gamma=0, reduction=reduction)
    assert_close(plain, loss(x, soft, reduction=reduction))
    assert torch.equal(plain, anymax.sigmoid_focal_loss(x, soft, alpha=-1, gamma=0.0, reduction=reduction))


def test_asymmetric_loss_is_the_published_one_where_that_is_exact():
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(40, 5, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    target = (torch.rand(40, 5, generator=generator) < 0.3).double()
    for gamma_neg, gamma_pos, clip in itertools.product((1.0, 2.5, 4.0), (0.0, 0.5, 1.0), (0.0, 0.05, 0.3)):
        mine = anymax.asymmetric_loss(x, target, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip, reduction="sum")
        theirs = published_asymmetric_loss(x, target, gamma_neg, gamma_pos, clip).sum()
        # they have 1 - p of what p has left
        assert_close(mine, theirs, rtol=1e-9, atol=0)
        assert_close(*(torch.autograd.grad(one, x)[0] for one in (mine, theirs)), rtol=1e-9, atol=1e-12)
    # soft targets mix the losses, as in the paper's formula
    soft = torch.rand(40, 5, generator=generator, dtype=torch.float64)
    yes, no = (anymax.asymmetric_loss(x, torch.full_like(x, label), reduction="none") for label in (1.0, 0.0))
    assert_close(anymax.asymmetric_loss(x, soft, reduction="none"), soft * yes + (1 - soft) * no)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_derivatives_are_finite_for_every_finite_score(dtype):
    """The published formulas are NaN where 1 - p is rounded to 0 and the exponent is below 1, or 2 in second order."""
    largest = torch.finfo(dtype).max
    x = torch.tensor([0.0, 1, 5, 18, 20, 50, 89, 104, 300, 710, 746, 1000, 1e4, largest], dtype=torch.float64)
    x = torch.cat([x, -x]).to(dtype).requires_grad_()
    for target in (0.0, 0.3, 1.0):
        y = torch.full_like(x, target)
        calls = [lambda g=g, y=y: anymax.sigmoid_focal_loss(x, y, gamma=g) for g in GAMMAS]
        calls += [
            lambda g=g, c=clip, y=y: anymax.asymmetric_loss(x, y, gamma_neg=g, gamma_pos=g, clip=c, reduction="none")
            for g in GAMMAS
            for clip in (0.0, 0.05)
        ]
        for call in calls:
            rows = call()
            assert rows.isfinite().all()
            (first,) = torch.autograd.grad(rows.sum(), x, create_graph=True)
            assert first.isfinite().all()
            (second,) = torch.autograd.grad(first.sum(), x)
            assert second.isfinite().all()
    # what the formulas do at 20 and 60 in float32
    z = torch.tensor([20.0, 60.0], requires_grad=True)
    theirs = torchvision_focal_loss(z, torch.ones(2), -1, 0.5)
    assert torch.autograd.grad(theirs.sum(), z)[0].isnan().all()
    clipped = published_asymmetric_loss(-z, torch.zeros(2), 0.5, 1.0, 0.05)
    assert torch.autograd.grad(clipped.sum(), z)[0].isnan().all()


def test_no_logarithm_is_clamped():
    """With log(max(p, 1e-8)) a positive that is missed by far costs 18.4 and has no gradient."""
    x = torch.tensor([-20.0, -100.0], requires_grad=True)
    theirs = published_asymmetric_loss(x, torch.ones(2), 4.0, 1.0, 0.05)
    assert (torch.autograd.grad(theirs.sum(), x)[0].abs() < 1e-7).all()
    mine = anymax.asymmetric_loss(x, torch.ones(2), reduction="none")
    assert_close(mine, torch.tensor([20.0, 100.0]))
    assert_close(torch.autograd.grad(mine.sum(), x)[0], torch.tensor([-1.0, -1.0]))


def test_easy_negatives_and_hopeless_ones_have_no_gradient():
    """Of a probability up to the clip, and again where the score is sure of the opposite."""
    x = torch.tensor([-20.0, -2.95, -2.94, 1.5, 60.0], dtype=torch.float64, requires_grad=True)
    rows = anymax.asymmetric_loss(x, torch.zeros(5), reduction="none")
    (gradient,) = torch.autograd.grad(rows.sum(), x)
    assert (rows[:2] == 0).all()
    assert (gradient[:2] == 0).all()
    assert (rows[2:] > 0).all()
    assert gradient[3] > gradient[2] > 0
    assert 0 < gradient[4] < 1e-20
    assert_close(rows[4], torch.tensor(2.44004266, dtype=torch.float64), rtol=1e-8, atol=0)


def test_infinite_scores_of_focal_and_asymmetric_loss_cost_nothing_where_the_target_agrees():
    x = torch.tensor([INFINITY, -INFINITY, INFINITY, -INFINITY], requires_grad=True)
    target = torch.tensor([1.0, 0.0, 0.0, 1.0])
    calls = [lambda g=g: anymax.sigmoid_focal_loss(x, target, gamma=g) for g in GAMMAS]
    calls += [
        lambda g=g: anymax.asymmetric_loss(x, target, gamma_neg=g, gamma_pos=g, clip=0.0, reduction="none")
        for g in GAMMAS
    ]
    for call in calls:
        rows = call()
        assert rows.tolist() == [0, 0, INFINITY, INFINITY]
        assert torch.autograd.grad(rows[:2].sum(), x)[0].tolist() == [0, 0, 0, 0]
    assert torch.equal(anymax.sigmoid_focal_loss(x, target, alpha=1.0), torch.tensor([0.0, 0.0, 0.0, INFINITY]))


def test_focal_and_asymmetric_loss_take_targets_of_any_real_dtype():
    x = torch.tensor([0.3, -2.0])
    for function in (anymax.sigmoid_focal_loss, anymax.asymmetric_loss):
        expected = function(x, torch.tensor([1.0, 0.0]))
        for dtype in (torch.bool, torch.uint8, torch.uint16, torch.int64, torch.float16, torch.float64):
            assert_close(function(x, torch.tensor([1, 0]).to(dtype)), expected)
        assert function(x.bfloat16(), torch.tensor([1, 0])).dtype == torch.bfloat16
        assert function(torch.zeros(0, 3), torch.zeros(0, 3), reduction="mean") == 0
        rows = torch.vmap(lambda x, y, f=function: f(x, y, reduction="none"))(x, torch.tensor([0.5, 3.0]))
        assert rows.isnan().tolist() == [False, True]


def test_one_vs_rest_of_focal_losses_is_their_sum_over_the_classes():
    generator = torch.Generator().manual_seed(0)
    x, target = 3 * torch.randn(6, 4, 5, generator=generator), torch.randint(4, (6, 5), generator=generator)
    labels = F.one_hot(target, 4).movedim(-1, 1)
    for alpha, gamma in ((0.25, 2.0), (None, 0.5), (0.9, 0.0)):
        rows = anymax.sigmoid_focal_loss(x, labels, alpha=alpha, gamma=gamma).sum(1)
        assert_close(one_vs_rest_loss(x, target, alpha=alpha, gamma=gamma, reduction="none"), rows)
        assert_close(one_vs_rest_loss(x, target, alpha=alpha, gamma=gamma), rows.mean())
    wrong = torch.tensor([[-INFINITY, 0.0]], requires_grad=True)
    loss = one_vs_rest_loss(wrong, torch.tensor([0]), gamma=2.0)
    assert loss == INFINITY
    assert torch.autograd.grad(loss, wrong)[0].isfinite().all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: anymax.sigmoid_focal_loss(torch.zeros(4, 1), torch.zeros(4)),
            ValueError,
            r"^sigmoid_focal_loss: targets must have the input's shape \(4, 1\), got \(4,\); "
            r"write targets.reshape\(inputs.shape\)",
        ),
        (
            lambda: anymax.sigmoid_focal_loss(torch.zeros(2), torch.tensor([-1, 1])),
            ValueError,
            r"targets must be in \[0, 1\], got entries from -1.0 to 1.0; write \(targets \+ 1\) / 2",
        ),
        (
            lambda: anymax.sigmoid_focal_loss(torch.zeros(2).long(), torch.zeros(2)),
            TypeError,
            r"inputs must be a floating-point tensor, got torch.int64; write inputs.float\(\)$",
        ),
        (
            lambda: anymax.sigmoid_focal_loss(torch.zeros(2), torch.zeros(2), alpha=1.5),
            ValueError,
            r"alpha must be in \[0, 1\], or None for no weights, got 1.5$",
        ),
        (
            lambda: anymax.sigmoid_focal_loss(torch.zeros(2), torch.zeros(2), alpha="no"),
            TypeError,
            "alpha must be a number, got 'no'",
        ),
        (
            lambda: anymax.sigmoid_focal_loss(torch.zeros(2), torch.zeros(2), gamma=-1.0),
            ValueError,
            r"gamma must be in \[0, 1000\], got -1.0$",
        ),
        (
            lambda: anymax.asymmetric_loss(torch.zeros(2), torch.zeros(2), gamma_neg=INFINITY),
            ValueError,
            r"^asymmetric_loss: gamma_neg must be in \[0, 1000\], got inf$",
        ),
        (
            lambda: anymax.asymmetric_loss(torch.zeros(2), torch.zeros(2), gamma_pos=True),
            TypeError,
            "gamma_pos must be a number",
        ),
        (
            lambda: anymax.asymmetric_loss(torch.zeros(2), torch.zeros(2), clip=1.0),
            ValueError,
            r"clip must be in \[0, 1\), got 1.0$",
        ),
        (
            lambda: anymax.asymmetric_loss(torch.zeros(2), torch.zeros(2), clip="no"),
            TypeError,
            "clip must be a number, got 'no'",
        ),
        (
            lambda: one_vs_rest_loss(torch.zeros(2, 3), torch.tensor([0, 1]), alpha=1.5),
            ValueError,
            "^one_vs_rest_loss: alpha must be in",
        ),
        (
            lambda: one_vs_rest_loss(torch.zeros(2, 3), torch.tensor([0, 1]), gamma=-1.0),
            ValueError,
            "^one_vs_rest_loss: gamma must be in",
        ),
        (
            lambda: one_vs_rest_loss(torch.zeros(2, 3), torch.tensor([0, 1]), ignore_index=0.5),
            TypeError,
            "ignore_index must be an int",
        ),
        (
            lambda: anymax.asymmetric_loss(torch.zeros(2), torch.tensor([0, 2])),
            ValueError,
            r"target must be in \[0, 1\], got entries from 0.0 to 2.0$",
        ),
    ],
)
def test_bad_arguments_of_focal_and_asymmetric_loss(call, error, words):
    with pytest.raises(error, match=words):
        call()
