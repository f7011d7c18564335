"""The CPU kernels of entropy and log_prob beyond the laws: every length, layout, option and instruction set."""

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax._core.native import native
from anymax.ops.entropy import cpu

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

INFINITY = float("inf")
NAN = float("nan")
LENGTHS = (*range(1, 35), 63, 64, 65, 127, 128, 129, 1000)
TOLERANCES = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 1e-2, torch.float16: 2e-3}


@pytest.fixture(autouse=True)
def _kernels():
    with anymax.use_backend("cpu"):
        yield


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(*shape, dtype=torch.float32):
    return (torch.randn(shape, generator=generator(sum(shape))) * 4).to(dtype)


def ids(x, dim, ignored=-100):
    """A class per row, the first row ignored."""
    shape = [size for axis, size in enumerate(x.shape) if axis != dim % x.ndim]
    target = torch.randint(x.shape[dim], shape, generator=generator(1))
    if target.numel() > 1:
        target.view(-1)[0] = ignored
    return target


def answers(backend, x, dim, target=None, used=(0, 1, 2), **options):
    """The results, and the gradient of those that are used: of the entropy, or of log p, log Z and entropy."""
    with anymax.use_backend(backend):
        leaf = x.detach().requires_grad_()
        if target is None:
            results = (anymax.entropy(leaf, dim, **options),)
        else:
            results = tuple(anymax.log_prob(leaf, target, dim=dim, **options))
        mixed = [results[at] for at in used if at < len(results)]
        upstream = [
            torch.linspace(-1, 1 + at, result.numel(), dtype=torch.float64).reshape(result.shape).to(x.dtype)
            for at, result in enumerate(mixed)
        ]
        return (*(result.detach() for result in results), *torch.autograd.grad(mixed, leaf, upstream))


def gradient_of_sum(x, dim, target=None):
    leaf = x.detach().requires_grad_()
    results = (anymax.entropy(leaf, dim),) if target is None else anymax.log_prob(leaf, target, dim=dim)
    return torch.autograd.grad(sum(result.sum() for result in results), leaf)[0]


def agree(x, dim, target=None, **options):
    """The kernel and the reference, the latter on the same numbers in float64."""
    found = answers("cpu", x, dim, target, **options)
    expected = answers("reference", x.double(), dim, target, **options)
    tolerance = TOLERANCES[x.dtype]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == x.dtype
        assert mine.shape == theirs.shape
        # what a half is rounded to, and the size of log Z
        scale = max(1.0, theirs.nan_to_num(0, 0, 0).abs().max().item()) if theirs.numel() else 1.0
        assert_close(mine.double(), theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_every_length_along_rows_and_columns(dtype):
    for length in LENGTHS:
        for x, dim in ((scores(3, length, dtype=dtype), 1), (scores(length, 19, dtype=dtype), 0)):
            agree(x, dim)
            agree(x, dim, ids(x, dim))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_layout_and_option(dtype):
    whole = scores(4, 6, 9, 20, dtype=dtype)
    layouts = (
        whole,
        whole.permute(2, 0, 3, 1),
        whole[:, ::2, ::3, 1::2],
        whole[..., :7],
        whole[:, :1].expand(4, 6, 9, 20),
        whole.flip(0).transpose(0, 3),
    )
    for x, dim in itertools.product(layouts, range(4)):
        some = scores(*x.shape) > -2
        target = ids(x, dim)
        for options in (
            {},
            {"temperature": 0.3},
            {"temperature": INFINITY},
            {"mask": some},
            {"mask": some[:1, :, :1]},
            {"mask": some, "temperature": 3.0},
        ):
            agree(x, dim, **options)
            agree(x, dim, target, **options)
        # ids that are not contiguous
        agree(x, dim, ids(x, dim, 1).transpose(0, 2).contiguous().transpose(0, 2), ignore_index=1)


def test_axes_that_compete_jointly():
    x = scores(3, 4, 5, 6)
    for count in (0, 2, 3, 4):
        for axes in itertools.combinations(range(4), count):
            if axes:
                agree(x, axes)
                agree(x.permute(3, 1, 0, 2), axes, mask=scores(6, 4, 3, 5) > 0)


def test_columns_that_do_not_fit_into_the_cache_are_read_in_blocks():
    x = scores(5000, 33)
    # a block of nothing but -inf, before and behind the rest; tops that rise from block to block
    x[:2000, 0] = x[3000:, 1] = -INFINITY
    x[:, 2] = torch.arange(5000) * 0.01
    x[:, 3] = torch.arange(5000).flip(0) * 0.01
    target = ids(x, 0)
    target[:4] = 2500
    for options in ({}, {"temperature": 0.3}, {"mask": scores(5000, 33) > 0}):
        agree(x, 0, **options)
        agree(x, 0, target, **options)


def extreme_rows():
    return torch.stack(
        [
            scores(40),
            torch.full((40,), -INFINITY),
            scores(40).index_fill(0, torch.tensor([3]), INFINITY),
            scores(40).index_fill(0, torch.tensor([39]), NAN),
            scores(40).index_fill(0, torch.tensor([0, 17, 39]), -INFINITY),
            torch.full((40,), 3e38),
            torch.full((40,), -3e38).index_fill(0, torch.tensor([7]), 3e38),
            scores(40) * 1e-40,
            scores(40)
            .index_fill(0, torch.tensor([3, 5]), torch.tensor(INFINITY))
            .index_fill(0, torch.tensor([9]), NAN),
        ]
    ).repeat(3, 1)


def extreme_masks():
    masks = torch.ones(27, 40, dtype=torch.bool)
    masks[:9] = False
    masks[9:18, 3] = masks[9:18, 39] = masks[18:, 17] = False
    return masks


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_rows_with_an_extreme_score_are_the_reference_s_and_leave_the_others_alone(dim, masked, temperature):
    rows, masks = extreme_rows(), extreme_masks()
    x, mask = (rows, masks) if dim == 1 else (rows.T.contiguous(), masks.T.contiguous())
    options = {"temperature": temperature, **({"mask": mask} if masked else {})}
    for of_entropy in (None, 3, 17):
        target = None if of_entropy is None else torch.full((27,), of_entropy)
        for used in ((0,), (1,), (2,), (0, 1, 2)) if target is not None else ((0,),):
            found = answers("cpu", x, dim, target, used=used, **options)
            expected = answers("reference", x, dim, target, used=used, **options)
            for mine, theirs in zip(found, expected, strict=True):
                if mine.ndim == 2 and target is not None and 1 in used:
                    # 3e38 + log 40 is 3e38, from which the reference makes the gradient of log Z
                    equal = torch.tensor([5, 14, 23])
                    mine, theirs = (value.index_fill(1 - dim, equal, 0) for value in (mine, theirs))
                assert_close(mine, theirs, equal_nan=True)


@pytest.mark.parametrize("dim", [0, 1])
def test_a_bad_id_spoils_its_own_log_prob_and_its_gradient(dim):
    x, target = scores(24, 24), torch.arange(24)
    target[[3, 7]] = torch.tensor([24, -1])
    bad = torch.zeros(24, dtype=torch.bool).index_fill(0, torch.tensor([3, 7]), True)
    log_prob, log_z, entropy, state = cpu.LOG_PROB(x, target, x, 1 << dim, -100, 1.0, cpu.WANTS_STATE)
    assert torch.equal(log_prob.isnan(), bad)
    assert not (log_z.isnan() | entropy.isnan()).any()
    ones = torch.ones(24)
    for used, spoilt in ((4, bad), (4 + 8 + 16, bad), (8 + 16, torch.zeros_like(bad))):
        gradient = cpu.BACKWARD(x, state, target, x, ones, ones, ones, 1 << dim, -100, 1.0, used)
        gradient = gradient if dim == 1 else gradient.T
        assert gradient[spoilt].isnan().all()
        assert not gradient[~spoilt].isnan().any()
    with pytest.raises(ValueError, match="target ids must be in"):
        anymax.log_prob(x, target, dim=dim)


def test_nothing_to_do():
    for shape, dim in (((0, 5), 1), ((5, 0), 1), ((5, 0), 0), ((0,), 0), ((0, 50), 0)):
        agree(scores(*shape), dim)
    agree(torch.tensor(3.0), 0)
    agree(scores(5, 0), 0, torch.zeros(0).long())
    agree(scores(0, 5), 1, torch.zeros(0).long())
    assert anymax.entropy(scores(2, 3, 0), 2).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e6])
def test_far_scores_keep_their_digits(shift):
    """Against the same scores in float64: log p and the entropy follow from differences."""
    x = (scores(6, 1000) * 256).round() / 256 + shift
    target = x.argmax(1)
    target[3:] = 5
    found, exact = (answers("cpu", y, 1, target) for y in (x, x.double()))
    for mine, theirs in zip(found, exact, strict=True):
        assert_close(mine.double(), theirs, rtol=3e-6, atol=3e-6)


def test_an_entropy_keeps_terms_that_are_no_normal_numbers():
    """Such as 89 e^-89, where e^-89 is below 1.2e-38."""
    d = torch.linspace(-89, -88, 40)
    x = torch.stack((torch.zeros(40), d), 1)
    for found in (anymax.entropy(x, 1), anymax.entropy(x.T.contiguous(), 0)):
        # but for log(1 + e^d), of which nothing is left
        assert_close(found.double(), -d.double() * d.double().exp(), rtol=1e-5, atol=0)


def test_an_entropy_is_never_below_zero():
    x = torch.cat([scores(200, 50) * 30, torch.zeros(1, 1).expand(1, 50)])
    x[:, 0] = 100
    assert (anymax.entropy(x, 1) >= 0).all()
    assert anymax.entropy(x[:, :1], 1).abs().max() == 0
    assert anymax.entropy(torch.zeros(1, 10**6), 1).item() == pytest.approx(math.log(10**6), rel=1e-6)


@pytest.mark.parametrize("dim", [0, 1])
def test_the_bits_follow_from_the_row_alone(dim):
    """Not from the number of threads, nor from what other rows are in the batch or where the row lies in memory."""
    before = torch.get_num_threads()
    for length in (7, 90, 3000):
        x = scores(512, length) if dim == 1 else scores(length, 512)
        target = ids(x, dim)
        found = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append((*answers("cpu", x, dim, target), *answers("cpu", x, dim, temperature=0.7)))
        torch.set_num_threads(before)
        for other in found[1:]:
            for mine, theirs in zip(found[0], other, strict=True):
                assert torch.equal(mine, theirs)
        rows = torch.tensor([5, 100, 101, 102, 333, *range(480, 512)])
        part = x.index_select(1 - dim, rows)
        for mine, whole in zip(answers("cpu", part, dim, target[rows])[:3], found[0], strict=False):
            assert torch.equal(mine, whole[rows])
        for of_entropy in (None, target):
            whole, mine = (
                gradient_of_sum(values, dim, None if of_entropy is None else of_entropy[chosen])
                for values, chosen in ((x, slice(None)), (part, rows))
            )
            assert torch.equal(mine, whole.index_select(1 - dim, rows))


def test_both_functions_have_the_same_entropy_to_the_bit():
    for x, dim in ((scores(20, 77), 1), (scores(77, 20), 0), (scores(3, 50, 40), 1)):
        for options in ({}, {"temperature": 0.7}, {"mask": scores(*x.shape) > -1}):
            assert torch.equal(
                anymax.entropy(x, dim, **options), anymax.log_prob(x, ids(x, dim), dim=dim, **options)[2]
            )


def test_double_backward_is_the_reference_s():
    x = scores(5, 9, dtype=torch.float64).requires_grad_()
    target, mask = ids(x, 1), scores(5, 9) > -3
    for options in ({}, {"temperature": 0.7, "mask": mask}):

        def entropy(x, options=options):
            return anymax.entropy(x, 1, **options)

        def log_prob(x, options=options):
            # a masked target has an infinite cost, which has no differences
            return tuple(part.clamp(min=-1e3) for part in anymax.log_prob(x, target, **options))

        for call in (entropy, log_prob):
            assert torch.autograd.gradcheck(call, (x,))
            assert torch.autograd.gradgradcheck(call, (x,))


def test_compiled_code_keeps_the_kernels():
    x, mask = scores(30, 40).requires_grad_(), scores(30, 40) > -3
    target = ids(x, 1)

    def both(x):
        return anymax.entropy(x, 1, mask=mask, temperature=0.7).sum() + sum(
            part.sum() for part in anymax.log_prob(x, target)
        )

    compiled = torch.compile(both, fullgraph=True)
    assert_close(compiled(x), both(x))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        (found,) = torch.autograd.grad(compiled(x), x)
    assert_close(found, torch.autograd.grad(both(x), x)[0])
    names = {event.name for event in profiler.events()}
    assert {"anymax::entropy", "anymax::log_prob", "anymax::log_prob_backward"} <= names


def test_what_they_do_not_serve_they_refuse():
    x, target = scores(3, 5), torch.tensor([0, 1, 2])
    for options in ({"target": x.softmax(1)}, {"temperature": torch.tensor(2.0)}, {"softcap": 30.0}):
        with pytest.raises(NotImplementedError, match="cannot serve this call"):
            anymax.log_prob(**{"input": x, "target": target, **options})
    with pytest.raises(NotImplementedError, match="cannot serve this call"):
        anymax.entropy(x, 1, temperature=torch.tensor(2.0))
