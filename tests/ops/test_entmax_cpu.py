"""The CPU kernels of sparsemax, entmax and their losses beyond the laws: every length, layout, option and extreme."""

import itertools
from fractions import Fraction

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax._core.native import native

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

INFINITY = float("inf")
NAN = float("nan")
LENGTHS = (*range(1, 35), 63, 64, 65, 127, 128, 129, 1000)
# 2 and 1.5 have kernels of their own
ALPHAS = (2.0, 1.5, 1.25, 1.9, 1.0001)
# roundings of a probability of 1, which is the error of float32 and float64
TOLERANCES = {torch.float32: 1.2e-7, torch.float64: 2e-15, torch.bfloat16: 4e-3, torch.float16: 5e-4}


@pytest.fixture(autouse=True)
def _kernels():
    with anymax.use_backend("cpu"):
        yield


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(*shape, dtype=torch.float32, spread=2.0):
    return (torch.randn(shape, generator=generator(sum(shape))) * spread).to(dtype)


def bisected(x, alpha, dim):
    """In float64: the level A at which the sum of (1 + a (x - top - A)) ** (1 / a) is 1 is halved towards."""
    a = alpha - 1
    z = x.double() - x.double().amax(dim, keepdim=True)
    low = torch.zeros_like(z.narrow(dim, 0, 1))
    high = low + (1 - z.shape[dim] ** -a) / a
    for _ in range(100):
        level = (low + high) / 2
        rest = (a * (z - level)).clamp(min=-1)
        probs = torch.where(rest > -1, (torch.log1p(rest) / a).exp(), 0.0)
        too_low = probs.sum(dim, keepdim=True) > 1
        low, high = torch.where(too_low, level, low), torch.where(too_low, high, level)
    return probs


def is_exact(x, alpha, dim):
    found = anymax.entmax(x, dim, alpha=alpha)
    assert found.dtype == x.dtype
    tolerance = TOLERANCES[x.dtype]
    assert_close(found.double(), bisected(x, alpha, dim), rtol=tolerance, atol=tolerance / 2)
    if alpha == 2:
        assert torch.equal(anymax.sparsemax(x, dim), found)


def answers(backend, x, dim, upstream, alpha, options):
    with anymax.use_backend(backend):
        leaf = x.detach().requires_grad_()
        result = anymax.entmax(leaf, dim, alpha=alpha, **options)
        return result.detach(), *torch.autograd.grad(result, leaf, upstream.to(result.dtype))


def agree(x, dim, alpha, **options):
    """The kernel, and the reference on the same numbers in float64."""
    upstream = scores(*x.shape, spread=1.0).to(x.dtype)
    found = answers("cpu", x, dim, upstream, alpha, options)
    wide = {name: value.double() if name == "temperature" else value for name, value in options.items()}
    expected = answers("reference", x.double(), dim, upstream, alpha, wide)
    for mine, theirs, scale in zip(found, expected, (1, 10), strict=True):
        assert mine.dtype == x.dtype
        tolerance = TOLERANCES[x.dtype] * scale
        if x.dtype == torch.float64:
            tolerance *= 100  # the reference's own error
        assert_close(mine.double(), theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
def test_every_length_along_rows_and_columns(alpha, dtype):
    for length in LENGTHS:
        is_exact(scores(3, length, dtype=dtype), alpha, 1)
        # a strip of columns and some behind it
        is_exact(scores(length, 45, dtype=dtype), alpha, 0)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.01, 0.3, 30.0])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_rows_of_many_candidates_are_thinned_out_without_a_loss(alpha, spread):
    """Of long rows whose entries have nearly all a probability, some or one, in any order of the scores."""
    x = scores(6, 9000, spread=spread)
    x[1] = x[1].sort().values
    x[2] = x[2].sort(descending=True).values
    x[3, :4096] -= 100 * spread
    x[4] = x[4].round(decimals=1)
    x[5, 8999] = x[5].max() + 1e-3
    is_exact(x, alpha, 1)
    is_exact(x.double(), alpha, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
def test_every_layout_and_option(alpha, dtype):
    whole = scores(4, 6, 9, 40, dtype=dtype)
    layouts = {
        "contiguous": whole,
        "permuted": whole.permute(2, 0, 3, 1),
        "every second": whole[:, ::2, ::3, 1::2],
        "cut": whole[..., :7],
        "expanded": whole[:, :1].expand(4, 6, 9, 40),
        "reversed in memory": whole.flip(0).transpose(0, 3),
    }
    for x in layouts.values():
        for dims in (*range(4), (0, 2), (1, 3), (2, 3), (0, 1, 2, 3)):
            axes = (dims,) if isinstance(dims, int) else dims
            per_row = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
            given = {
                "mask": torch.rand(x.shape, generator=generator()) > 0.3,
                "temperature": scores(*per_row).abs() + 0.5,
            }
            for names in ((), ("mask",), ("mask", "temperature")):
                agree(x, dims, alpha, **{name: given[name] for name in names})


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("dim", [0, 1])
def test_rows_with_an_extreme_score_are_the_reference_s_and_leave_the_others_alone(alpha, dim):
    rows = torch.stack(
        [
            scores(40),
            torch.full((40,), -INFINITY),
            scores(40).index_fill(0, torch.tensor([3]), INFINITY),
            scores(40).index_fill(0, torch.tensor([39]), NAN),
            scores(40).index_fill(0, torch.tensor([0, 17, 39]), -INFINITY),
            torch.full((40,), -INFINITY).index_fill(0, torch.tensor([17]), -3.0),
            torch.full((40,), 3e38),
            torch.full((40,), -3e38).index_fill(0, torch.tensor([7]), 3e38),
            scores(40) * 1e20,
            scores(40) * 1e-40,
            torch.zeros(40),
            # on the cut itself for alpha = 2
            torch.full((40,), -1.0).index_fill(0, torch.tensor([5]), 0.0),
        ]
    ).repeat(3, 1)
    # columns from one on, so that each is the last of a strip once
    x = rows if dim == 1 else rows.T.contiguous()
    mask = torch.ones_like(x, dtype=torch.bool)
    mask.select(1 - dim, 8)[...] = False
    mask.select(dim, 3)[...] = False
    for options in ({}, {"mask": mask}, {"temperature": 0.25}, {"temperature": INFINITY}, {"temperature": 1e-30}):
        found = anymax.entmax(x, dim, alpha=alpha, **options)
        # a difference of scores beyond the range of float32, over an infinite temperature, is NaN in float32 only
        wide = x if options.get("temperature") == INFINITY else x.double()
        with anymax.use_backend("reference"):
            expected = anymax.entmax(wide, dim, alpha=alpha, **options).double()
        assert_close(found.double(), expected, rtol=2e-7, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
def test_a_nan_anywhere_spoils_its_row(alpha, dtype):
    """Whatever its sign, above and below the cut, at any place of a row, also in the blocks behind the first."""
    for length in (1, 7, 40, 5000):
        x = scores(3, length, dtype=dtype)
        for at in {0, length // 2, length - 1}:
            for nan in (NAN, -NAN, INFINITY):
                spoilt = x.clone()
                spoilt[1, at] = nan
                found = anymax.entmax(spoilt, 1, alpha=alpha)
                assert found[1].isnan().all()
                assert torch.equal(found[::2], anymax.entmax(x, 1, alpha=alpha)[::2])


def on_the_boundary(support, alpha):
    """Scores of which the last three are equal, and lie where a probability becomes 0.

    `support` says how far the others lie above them, up to a factor.
    """
    exponent = 1 / (alpha - 1)
    rests = support / (support**exponent).sum(-1, keepdim=True) ** (alpha - 1)
    return torch.cat([rests * exponent, torch.zeros(*support.shape[:-1], 3, dtype=torch.float64)], -1)


@pytest.mark.parametrize("alpha", [2.0, 1.5])
def test_scores_on_the_boundary_get_nothing_where_arithmetic_is_exact(alpha):
    """Of numbers with few digits the boundary is one too, and ties fall on it."""
    supports = ([1], [1, 1, 1, 1], [3, 2, 1, 1, 1]) if alpha == 1.5 else ([1], [2, 1, 1], [5, 4, 3, 2, 2], [1] * 64)
    for support, dtype, shift in itertools.product(supports, (torch.float32, torch.float64), (0.0, -3.25, 100.0)):
        x = (on_the_boundary(torch.tensor(support, dtype=torch.float64), alpha) + shift).to(dtype)
        assert (anymax.entmax(x, 0, alpha=alpha) > 0).tolist() == [True] * len(support) + [False] * 3
    if alpha == 2:
        # and of these, though none is exact
        x = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
        assert (anymax.sparsemax(x, 0) > 0).tolist() == [False] + [True] * 4


@pytest.mark.parametrize("alpha", [2.0, 1.5])
def test_scores_a_rounding_from_the_boundary_get_nothing(alpha):
    for size in (1, 7, 40, 1000):
        support = torch.rand(300, size, generator=generator(size), dtype=torch.float64) + 0.01
        found = anymax.entmax(on_the_boundary(support, alpha) - 1.7, 1, alpha=alpha)
        assert (found[:, :-3] > 0).all()
        assert (found[:, -3:] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_on_the_boundary_of_sparsemax_get_nothing_where_steps_are_rounded(dtype):
    for size in range(2, 10):
        support = torch.randint(-(2**19), 2**19, (300, size), generator=generator(size))
        support[:, 0] -= (support.sum(1) - 2**22) % size
        boundary = (support.sum(1, keepdim=True) - 2**22) // size
        chosen = (support > boundary).all(1)
        support, boundary = support[chosen], boundary[chosen]
        below = boundary - torch.randint(2**20, (len(support), 5), generator=generator())
        x = torch.cat([support, boundary, below], 1) / 2**22
        found = anymax.sparsemax(x.to(dtype), 1)
        assert (found[:, :size] > 0).all()
        assert (found[:, size:] == 0).all()


@pytest.mark.parametrize("alpha", ALPHAS)
def test_supports_are_those_of_the_reference(alpha):
    """Of random rows, and of rows of few values, where many scores are equal; but for rounding on the boundary."""
    least = (2**-51) ** (1 / (alpha - 1))
    for x in (scores(300, 60), (scores(300, 60) * 2).round() / 4):
        with anymax.use_backend("reference"):
            expected = anymax.entmax(x.double(), 1, alpha=alpha) > least
        for dtype in (torch.float32, torch.float64):
            assert torch.equal(anymax.entmax(x.to(dtype), 1, alpha=alpha) > least, expected)


@pytest.mark.parametrize("length", [10, 1000])
def test_probabilities_of_nearly_equal_scores_keep_their_digits(length):
    scores = torch.randn(length, generator=generator(), dtype=torch.float64) / (10 * length)
    exact = [Fraction(score) for score in scores.tolist()]
    cut = (sum(exact) - 1) / length
    assert min(exact) > cut
    found = anymax.sparsemax(scores, 0)
    worst = max(abs(Fraction(p) - (score - cut)) for p, score in zip(found.tolist(), exact, strict=True))
    assert worst * length < 2 * Fraction(2) ** -52


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_row_with_one_chance_is_exactly_one_hot(alpha):
    for top in (-1e6, -1.0, -0.7, -0.3, -1e-8, 0.0, 0.1, 0.3, 0.9, 3.7, 1e6, 3e38):
        for length in (1, 5, 100):
            x = torch.full((length,), -INFINITY)
            x[length // 2] = top
            expected = torch.zeros(length)
            expected[length // 2] = 1
            assert torch.equal(anymax.entmax(x, 0, alpha=alpha), expected)


def test_scores_behind_a_mask_are_not_read():
    x = scores(4, 50)
    mask = torch.rand(4, 50, generator=generator()) > 0.5
    spoilt = torch.where(mask, x, NAN).requires_grad_()
    for alpha in ALPHAS:
        found = anymax.entmax(spoilt, 1, alpha=alpha, mask=mask)
        assert_close(found, anymax.entmax(x, 1, alpha=alpha, mask=mask), rtol=0, atol=0)
        (gradient,) = torch.autograd.grad(found.square().sum(), spoilt)
        assert gradient.isfinite().all()
        assert (gradient[~mask] == 0).all()


@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
@pytest.mark.parametrize("dim", [0, 1])
def test_the_bits_follow_from_the_row_alone(alpha, dim):
    """Not from the number of threads, nor from what other rows are in the batch or where the row lies in memory."""
    for length in (7, 90, 3000):
        x = scores(512, length) if dim == 1 else scores(length, 512)
        leaf = x.requires_grad_()
        answers = []
        before = torch.get_num_threads()
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            result = anymax.entmax(leaf, dim, alpha=alpha)
            answers.append((result.detach(), *torch.autograd.grad(result.square().sum(), leaf)))
        torch.set_num_threads(before)
        for other in answers[1:]:
            for mine, theirs in zip(answers[0], other, strict=True):
                assert torch.equal(mine, theirs)
        rows = torch.tensor([5, 100, 101, 102, 333, *range(480, 512)])
        # neither as columns nor where a vector starts
        part = torch.cat([torch.zeros(1), x.detach().index_select(1 - dim, rows).movedim(dim, 1).flatten()])[1:]
        part = part.view(len(rows), length).movedim(1, dim).requires_grad_()
        result = anymax.entmax(part, dim, alpha=alpha)
        for mine, whole in zip((result, *torch.autograd.grad(result.square().sum(), part)), answers[0], strict=True):
            assert torch.equal(mine, whole.index_select(1 - dim, rows))


@pytest.mark.parametrize("columns", [16400, 16401])
def test_a_result_that_is_written_past_the_cache_is_that_of_its_parts(columns):
    """In whole vectors, and where no line but the first starts with one."""
    x = scores(129, columns)
    x[3, 10], x[:, 50], x[128, -1] = NAN, -INFINITY, INFINITY
    for alpha, (given, dim) in itertools.product((2.0, 1.25), ((x, 0), (x.T.contiguous(), 1))):
        answers = []
        for part in (given, given.narrow(1 - dim, 0, 90).contiguous()):
            leaf = part.requires_grad_()
            result = anymax.entmax(leaf, dim, alpha=alpha)
            answers.append((result.detach(), *torch.autograd.grad(result, leaf, result.detach() + 1)))
        for whole, part in zip(*answers, strict=True):
            assert_close(whole.narrow(1 - dim, 0, 90), part, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_second_derivatives(alpha):
    x = scores(3, 9, dtype=torch.float64, spread=0.5).requires_grad_()
    mask = torch.rand(3, 9, generator=generator(1)) > 0.3
    mask[1] = False
    assert torch.autograd.gradcheck(lambda x: anymax.entmax(x, 1, alpha=alpha), x)
    assert torch.autograd.gradgradcheck(lambda x: anymax.entmax(x, 1, alpha=alpha), x)
    for options in ({"mask": mask}, {"mask": mask, "temperature": 0.7}):
        assert torch.autograd.gradcheck(lambda x, options=options: anymax.entmax(x, 1, alpha=alpha, **options), x)
        assert torch.autograd.gradgradcheck(lambda x, options=options: anymax.entmax(x, 1, alpha=alpha, **options), x)


def test_what_the_kernel_does_not_serve_is_the_reference_s():
    x = scores(3, 9)
    learnt = torch.tensor(1.5, requires_grad=True)
    for options, reason in (
        ({"alpha": learnt}, "alpha only as a number"),
        ({"alpha": 2.5}, "alpha up to 2"),
        ({"temperature": learnt}, "no derivative in temperature"),
    ):
        with pytest.raises(NotImplementedError, match=reason):
            anymax.entmax(x, 1, **options)
    with torch.no_grad():
        found = anymax.entmax(x, 1, temperature=learnt)
    assert_close(found, anymax.entmax(x, 1, temperature=1.5))


# ---- losses ----


def ids(x, dim, ignored=-100):
    """A class per row, the first row ignored."""
    shape = [size for axis, size in enumerate(x.shape) if axis != dim % x.ndim]
    target = torch.randint(x.shape[dim], shape, generator=generator(1))
    if target.numel() > 1:
        target.view(-1)[0] = ignored
    return target


def loss_and_gradient(backend, x, target, **options):
    with anymax.use_backend(backend):
        leaf = x.detach().requires_grad_()
        loss = anymax.entmax_loss(leaf, target, **options)
        upstream = torch.linspace(0.5, 1.5, loss.numel(), dtype=loss.dtype).reshape(loss.shape)
        without = anymax.entmax_loss(x.detach(), target, **options)
        assert torch.equal(without.nan_to_num(), loss.nan_to_num())
        return loss.detach(), *torch.autograd.grad(loss, leaf, upstream)


def losses_agree(x, target, **options):
    found = loss_and_gradient("cpu", x, target, **options)
    wide = {
        name: value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in options.items()
    }
    expected = loss_and_gradient("reference", x.double(), target, **wide)
    tolerance = 2 * TOLERANCES[x.dtype] if x.dtype != torch.float64 else 1e-12
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == x.dtype
        assert_close(mine.double(), theirs, rtol=4 * tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
def test_losses_of_every_length_along_rows_and_columns(alpha, dtype):
    for length in LENGTHS:
        for x, dim in ((scores(3, length, dtype=dtype), 1), (scores(length, 45, dtype=dtype), 0)):
            losses_agree(x, ids(x, dim), dim=dim, alpha=alpha, reduction="none")


@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
def test_losses_in_every_layout_with_every_option(alpha):
    whole = scores(4, 6, 9, 40)
    layouts = (whole, whole.permute(2, 0, 3, 1), whole[:, ::2, ::3, 1::2], whole[:, :1].expand(4, 6, 9, 40))
    for x, dim in itertools.product(layouts, range(4)):
        target = ids(x, dim, ignored=1)
        weight = torch.rand(x.shape[dim], generator=generator())
        weight[0] = 0
        per_row = [1 if axis == dim else size for axis, size in enumerate(x.shape)]
        mask, temperature = scores(*x.shape) > -2, scores(*per_row).abs() + 0.5
        for options in (
            {},
            {"weight": weight},
            {"mask": mask, "temperature": 0.7},
            {"weight": weight, "mask": mask, "temperature": temperature, "ignore_index": 1},
        ):
            for reduction in ("none", "mean", "sum"):
                losses_agree(x, target, dim=dim, alpha=alpha, reduction=reduction, **options)
        # ids that are not contiguous
        losses_agree(x, target.mT.contiguous().mT, dim=dim, alpha=alpha)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_loss_is_exact_down_to_its_zero(alpha):
    """Of a target whose lead comes near to 1 / (alpha - 1), where what the others have in common vanishes."""
    lead = 1 / (alpha - 1)
    for below in (1, 0.3, 0.1, 0.05, 0.03, 0.01, 1e-3, 1e-5):
        x = torch.zeros(3, dtype=torch.float64)
        x[1] = lead * (1 - below)
        for target in (torch.tensor(1), torch.tensor(2)):
            (loss, gradient), expected = (
                loss_and_gradient(backend, x, target, alpha=alpha) for backend in ("cpu", "reference")
            )
            # relative to itself, of which a level's rounding is a larger part the smaller it is
            assert_close(loss, expected[0], rtol=1e-13 / below**2 + 1e-11, atol=1e-300)
            assert_close(gradient, expected[1], rtol=1e-13 / below**2 + 1e-11, atol=1e-300)
    for x, dtype in itertools.product(([lead, 0.0, 0.0], [1e6, 0.0, 0.0]), (torch.float32, torch.float64)):
        for answer in loss_and_gradient("cpu", torch.tensor(x, dtype=dtype), torch.tensor(0), alpha=alpha):
            # 1 / 0.0001 is not quite the lead
            assert (answer.abs() <= 1e-20).all()
    if alpha == 1.5:
        loss, _ = loss_and_gradient("cpu", torch.tensor([1.999, 0, 0], dtype=torch.float64), torch.tensor(0))
        assert_close(loss.item(), 1.665418e-10, rtol=1e-6, atol=0)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("dim", [0, 1])
def test_losses_of_rows_with_an_extreme_score_are_the_reference_s(alpha, dim):
    rows = torch.stack(
        [
            scores(40),
            torch.full((40,), -INFINITY),
            scores(40).index_fill(0, torch.tensor([3]), INFINITY),
            scores(40).index_fill(0, torch.tensor([39]), NAN),
            scores(40).index_fill(0, torch.tensor([0, 17, 39]), -INFINITY),
            torch.full((40,), -INFINITY).index_fill(0, torch.tensor([17]), -3.0),
            torch.zeros(40),
            scores(40) * 1e-40,
            scores(40),
            scores(40) * 1e4,
        ]
    ).repeat(4, 1)
    x = rows if dim == 1 else rows.T.contiguous()
    mask = torch.ones_like(x, dtype=torch.bool)
    mask.select(1 - dim, 8)[...] = False
    mask.select(dim, 3)[...] = False
    target = torch.tensor([0, 3, 17, 39]).repeat_interleave(10)
    target[30:33] = -100
    for options in ({}, {"mask": mask}, {"weight": torch.arange(40.0)}, {"temperature": 0.25}):
        losses_agree(x, target, dim=dim, alpha=alpha, reduction="none", **options)


def test_ids_out_of_range_and_rows_that_are_not_counted():
    x = scores(3, 5)
    with pytest.raises(ValueError, match="target ids must be in"):
        anymax.entmax_loss(x, torch.tensor([0, 5, 1]))
    ignored = torch.full((3,), -100)
    for reduction in ("mean", "sum"):
        loss, gradient = loss_and_gradient("cpu", torch.full_like(x, NAN), ignored, reduction=reduction)
        assert loss == 0
        assert torch.equal(gradient, torch.zeros(3, 5))
    assert anymax.entmax_loss(x[:0], ignored[:0]) == 0


@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
@pytest.mark.parametrize("dim", [0, 1])
def test_the_bits_of_a_loss_follow_from_the_row_alone(alpha, dim):
    for length in (7, 3000):
        x = scores(512, length) if dim == 1 else scores(length, 512)
        target = ids(x, dim)
        before = torch.get_num_threads()
        answers = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            answers.append(loss_and_gradient("cpu", x, target, dim=dim, alpha=alpha, reduction="none"))
        torch.set_num_threads(before)
        assert all(torch.equal(*pair) for pair in zip(*answers, strict=True))
        rows = torch.tensor([5, 100, 101, 102, 333, *range(480, 512)])
        part = x.index_select(1 - dim, rows).requires_grad_()
        losses = anymax.entmax_loss(part, target[rows], dim=dim, alpha=alpha, reduction="none")
        assert torch.equal(losses, answers[0][0][rows])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_second_derivatives_of_a_loss(alpha):
    x = scores(3, 9, dtype=torch.float64, spread=0.5).requires_grad_()
    weight, target = torch.rand(9, generator=generator()), torch.tensor([4, -100, 2])
    for options in ({}, {"weight": weight, "temperature": torch.tensor(0.7), "reduction": "none"}):
        assert torch.autograd.gradcheck(lambda x, o=options: anymax.entmax_loss(x, target, alpha=alpha, **o), x)
        assert torch.autograd.gradgradcheck(lambda x, o=options: anymax.entmax_loss(x, target, alpha=alpha, **o), x)


def test_losses_that_the_kernel_does_not_serve():
    x, target = scores(3, 9), torch.tensor([4, -100, 2])
    learnt = torch.ones(9, requires_grad=True)
    for given, options, reason in (
        (target, {"weight": learnt}, "no derivative in weight"),
        (target, {"alpha": 1.0}, "alpha above 1"),
        (target, {"alpha": 3.0}, "alpha up to 2"),
        (torch.softmax(x, 1), {}, "class ids"),
    ):
        with pytest.raises(NotImplementedError, match=reason):
            anymax.entmax_loss(x, given, **options)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_a_few_lengths(dtype):
    """Every instruction set runs it."""
    for alpha, length in itertools.product((2.0, 1.5, 1.25), (1, 5, 33, 100, 3000)):
        x = scores(3, length, dtype=dtype)
        is_exact(x, alpha, 1)
        agree(x, 1, alpha, mask=scores(3, length) > -1, temperature=torch.tensor(0.5))
        columns = scores(length, 19, dtype=dtype)
        is_exact(columns, alpha, 0)
        agree(columns, 0, alpha)
        x[1, length // 2] = INFINITY
        assert anymax.entmax(x, 1, alpha=alpha).isnan().any(1).tolist() == [False, True, False]
        if length > 1:
            losses_agree(x, ids(x, 1), alpha=alpha, reduction="none")
        losses_agree(columns, ids(columns, 0), dim=0, alpha=alpha)
