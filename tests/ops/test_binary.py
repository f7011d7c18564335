"""binary_cross_entropy_with_logits: against torch, where torch is exact, and where it is not."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

import anymax

INFINITY = float("inf")


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
