"""ldam_loss and effective_number_weights: published values, their identities, counts of 0."""

from contextlib import nullcontext
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

import anymax

COUNTS = torch.tensor([1000, 100, 10, 1])
INFINITY = float("inf")


@pytest.fixture(autouse=True, params=["automatic", "reference"])
def _backend(request):
    """On a machine that has kernels the reference would meet none of these numbers."""
    with anymax.use_backend("reference") if request.param == "reference" else nullcontext():
        yield


def ldam(*arguments, **options):
    return anymax.ldam_loss(*arguments, **options)


def scores(*shape, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1


def test_ldam_has_the_published_margins():
    """Each margin is what a score has to be ahead by to cost as much as without one. Digits by mpmath."""
    z = torch.tensor([[0.2, -0.1, 0.5, 0.0]], dtype=torch.float64).expand(4, 4)
    rows = ldam(z, torch.arange(4), COUNTS, reduction="none")
    expected = [11.667428004641, 22.743540198439, 0.451016653996, 30.000123417418]
    assert_close(rows, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    margins = torch.tensor([0.08891397050195, 0.15811388300842, 0.28117066259467, 0.5], dtype=torch.float64)
    theirs = F.cross_entropy(30 * (z - margins.diag()), torch.arange(4), reduction="none")
    assert_close(rows, theirs, rtol=1e-10, atol=0)
    assert_close(ldam(z, torch.arange(4), COUNTS), rows.mean())


def test_ldam_without_a_margin_is_cross_entropy_of_scaled_scores():
    z, target, weight = scores(6, 4, 3), torch.tensor([[0, 1, -100]] * 6), torch.rand(4, dtype=torch.float64)
    for reduction in ("none", "mean", "sum"):
        options = {"weight": weight, "reduction": reduction}
        mine = ldam(z, target, COUNTS, max_margin=0, scale=7, **options)
        assert_close(mine, anymax.cross_entropy(7 * z, target, **options))
        with_margin = ldam(z, target, COUNTS, scale=7, **options)
        assert (with_margin >= mine).all()
        assert with_margin.sum() > mine.sum()
    assert_close(ldam(z.movedim(1, -1), target, COUNTS, dim=-1), ldam(z, target, COUNTS))


def test_a_class_of_count_0_has_the_largest_margin_and_spoils_no_other():
    """0 to the power -1/4 would be infinite, and after rescaling every margin NaN."""
    z = scores(5, 5).requires_grad_()
    counts = torch.tensor([1000, 100, 10, 1, 0])
    rows = ldam(z, torch.arange(5), counts, reduction="none")
    assert_close(rows[:4], ldam(z, torch.arange(5), counts.clamp(min=1), reduction="none")[:4])
    as_rare = ldam(z, torch.arange(5), counts.clamp(min=1), reduction="none")[4]
    assert_close(rows[4], as_rare)
    assert torch.autograd.grad(rows.sum(), z)[0].isfinite().all()
    learnt = counts.double().requires_grad_()
    gradient = torch.autograd.grad(ldam(z, torch.arange(5), learnt), learnt)[0]
    assert gradient.isfinite().all()
    assert gradient[4] == 0


def test_ldam_extremes_and_dtypes():
    z = torch.tensor([[-INFINITY, 0.0, 0.0, 0.0], [0.0, float("nan"), 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    rows = ldam(z, torch.tensor([1, 1, 1]), COUNTS, reduction="none")
    assert rows.isfinite().tolist() == [True, False, True]
    assert ldam(z, torch.tensor([0, 1, 1]), COUNTS, reduction="none")[0] == INFINITY
    assert ldam(torch.zeros(0, 4), torch.zeros(0).long(), COUNTS) == 0
    assert ldam(torch.zeros(2, 4), torch.tensor([-100, -100]), COUNTS) == 0
    assert ldam(torch.zeros(2, 4).bfloat16(), torch.tensor([0, 1]), COUNTS).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert ldam(torch.zeros(2, 4).bfloat16(), torch.tensor([0, 1]), COUNTS).dtype == torch.float32
    # beyond what float16 holds
    counts = torch.tensor([10**6, 10, 10, 10])
    assert_close(
        ldam(torch.zeros(1, 4).half(), torch.tensor([0]), counts).float(),
        ldam(torch.zeros(1, 4), torch.tensor([0]), counts),
        rtol=1e-3,
        atol=0,
    )
    bad = torch.vmap(lambda z, t: ldam(z, t, COUNTS, reduction="none"))(torch.zeros(2, 4), torch.tensor([0, 7]))
    assert bad.isnan().tolist() == [False, True]


def numbers(beta):
    """Effective numbers, up to their sum, from weights."""
    inverse = 1 / anymax.effective_number_weights(COUNTS, beta).double()
    return inverse / inverse[3]


def test_effective_numbers_are_the_published_ones():
    for beta, expected in (
        (0.99, [99.99568288, 63.39676587, 9.561792499, 1]),
        (0.9999, [951.6710644, 99.50661309, 9.9955012, 1]),
        (0.0, [1, 1, 1, 1]),
        (1.0, [1000, 100, 10, 1]),
        # where 1 - beta^n would have no digit in float32
        (1 - 1e-8, [999.995005, 99.9999505, 9.99999955, 1]),
    ):
        assert_close(numbers(beta), torch.tensor(expected, dtype=torch.float64), rtol=3e-7, atol=0)


def test_effective_numbers_have_the_digits_of_the_default_dtype():
    counts = [1, 2, 10]
    for beta in (0.5, 1 - 1e-8):
        torch.set_default_dtype(torch.float64)
        try:
            weights = anymax.effective_number_weights(torch.tensor(counts), beta)
        finally:
            torch.set_default_dtype(torch.float32)
        exact = [float((1 - Fraction(beta) ** count) / (1 - Fraction(beta))) for count in counts]
        assert_close(weights[0] / weights, torch.tensor(exact, dtype=torch.float64), rtol=1e-14, atol=0)


def test_effective_number_weights_sum_to_the_number_of_classes():
    counts = torch.tensor([1000, 0, 10, 1])
    for beta in (0.0, 0.9, 0.999, 1.0):
        weights = anymax.effective_number_weights(counts, beta)
        assert weights.dtype == torch.float32
        assert weights[1] == 0
        assert_close(weights.sum(), torch.tensor(4.0))
        seen = anymax.effective_number_weights(counts[[0, 2, 3]], beta)
        assert_close(weights[[0, 2, 3]] / weights[3], seen / seen[2])
    z, target = scores(4, 4, dtype=torch.float32), torch.tensor([0, 2, 3, 0])
    assert_close(anymax.cross_entropy(z, target, weights), F.cross_entropy(z, target, weights))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: ldam(torch.zeros(2, 4), torch.tensor([0, 1]), COUNTS[:3]),
            ValueError,
            r"^ldam_loss: class_counts must have one entry per class, shape \(4,\), got \(3,\)$",
        ),
        (
            lambda: ldam(torch.zeros(2, 4), torch.tensor([0, 1]), 0 * COUNTS),
            ValueError,
            "class_counts must hold finite weights of at least 0 that are not all 0, got entries from 0 to 0$",
        ),
        (
            lambda: ldam(torch.zeros(2, 4), torch.tensor([0, 1]), -COUNTS),
            ValueError,
            "of at least 0 that are not all 0, got entries from -1000 to -1$",
        ),
        (lambda: ldam(torch.zeros(2, 4), torch.tensor([0, 4]), COUNTS), ValueError, r"target ids must be in \[0, 3\]"),
        (
            lambda: ldam(torch.zeros(2, 4), torch.tensor([0, -100]), COUNTS, ignore_index=255),
            ValueError,
            r"ignore_index \(255\), got -100$",
        ),
        (
            lambda: ldam(torch.zeros(2, 4), torch.zeros(3).long(), COUNTS),
            ValueError,
            "target must have the input's shape",
        ),
        (
            lambda: ldam(torch.zeros(2, 4).long(), torch.zeros(2).long(), COUNTS),
            TypeError,
            "input must be a floating-p",
        ),
        (
            lambda: ldam(torch.zeros(2, 4), torch.zeros(2).long(), COUNTS, weight=torch.ones(3)),
            ValueError,
            "weight must have one entry per class",
        ),
        (
            lambda: ldam(torch.zeros(2, 4), torch.zeros(2).long(), COUNTS, reduction="avg"),
            ValueError,
            "reduction must be one of",
        ),
        (
            lambda: ldam(torch.zeros(2, 4), torch.zeros(2).long(), COUNTS, scale="30"),
            TypeError,
            "scale must be a number, got '30'",
        ),
        (lambda: anymax.effective_number_weights([1, 2], 0.9), TypeError, "class_counts must be a tensor"),
        (lambda: anymax.effective_number_weights(COUNTS, "0.9"), TypeError, "beta must be a number, got '0.9'"),
        (
            lambda: ldam(torch.zeros(2, 4), torch.zeros(2, 4), COUNTS),
            TypeError,
            r"target must hold class ids \(integers\), got torch.float32$",
        ),
        (lambda: ldam(torch.zeros(2, 4), torch.zeros(2).long(), [1, 2]), TypeError, "class_counts must be a tensor"),
        (
            lambda: ldam(torch.zeros(2, 4), torch.zeros(2).long(), COUNTS, max_margin=-0.5),
            ValueError,
            "max_margin must be at least 0, got -0.5$",
        ),
        (
            lambda: ldam(torch.zeros(2, 4), torch.zeros(2).long(), COUNTS, scale=0),
            ValueError,
            "scale must be greater than 0, got 0$",
        ),
        (
            lambda: anymax.effective_number_weights(COUNTS, 1.1),
            ValueError,
            r"^effective_number_weights: beta must be in \[0, 1\], got 1.1$",
        ),
        (
            lambda: anymax.effective_number_weights(COUNTS[None], 0.9),
            ValueError,
            r"class_counts must have shape \(C,\), got \(1, 4\)$",
        ),
        (lambda: anymax.effective_number_weights(COUNTS > 5, 0.9), TypeError, "must hold weights .*got torch.bool"),
    ],
)
def test_bad_arguments_are_told_what_to_write(call, error, words):
    with pytest.raises(error, match=words):
        call()
