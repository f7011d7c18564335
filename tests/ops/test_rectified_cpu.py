"""The CPU kernels of relumax, softpick and taylor_softmax beyond the laws: every length, layout and instruction set."""

import itertools
import math

import numpy as np
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
# of the result, in units of its rounding, and of a gradient, which is a difference
ROUNDINGS = {torch.float32: 4.0, torch.float64: 6.0, torch.bfloat16: 0.51, torch.float16: 0.51}
TOLERANCES = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 1e-2, torch.float16: 2e-3}
MAPS = {
    "relumax": anymax.relumax,
    "biased": lambda x, dim, **options: anymax.relumax(x, dim, bias=-0.5, **options),
    "softpick": anymax.softpick,
    "taylor 2": anymax.taylor_softmax,
    "taylor 4": lambda x, dim, **options: anymax.taylor_softmax(x, dim, order=4, **options),
    "taylor 6": lambda x, dim, **options: anymax.taylor_softmax(x, dim, order=6, **options),
}


@pytest.fixture(autouse=True)
def _kernels():
    with anymax.use_backend("cpu"):
        yield


def scores(*shape, dtype=torch.float32):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * 4).to(dtype)


def answers(backend, name, x, dim, **options):
    """The result, and the gradient of its entries with different weights."""
    with anymax.use_backend(backend):
        leaf = x.detach().requires_grad_()
        result = MAPS[name](leaf, dim, **options)
        # numbers of every dtype
        upstream = (torch.arange(result.numel()) % 7 - 3).reshape(result.shape).to(x.dtype)
        return result.detach(), torch.autograd.grad(result, leaf, upstream)[0]


def agree(name, x, dim, **options):
    """The kernel and the reference, the latter on the same numbers in float64."""
    found = answers("cpu", name, x, dim, **options)
    expected = answers("reference", name, x.double(), dim, **options)
    tolerance = TOLERANCES[x.dtype]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == x.dtype
        # a gradient is as large as the scores are small
        scale = max(1.0, theirs.nan_to_num(0, 0, 0).abs().max().item()) if theirs.numel() else 1.0
        assert_close(mine.double(), theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", MAPS)
def test_every_length_along_rows_and_columns(name, dtype):
    for length in LENGTHS:
        agree(name, scores(3, length, dtype=dtype), 1)
        agree(name, scores(length, 19, dtype=dtype), 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MAPS)
def test_every_layout_and_option(name, dtype):
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
        for options in ({}, {"mask": some}, {"mask": some[:1, :, :1]}):
            agree(name, x, dim, **options)


@pytest.mark.parametrize("name", MAPS)
def test_axes_that_compete_jointly(name):
    x = scores(3, 4, 5, 6)
    for count in (2, 3, 4):
        for axes in itertools.combinations(range(4), count):
            agree(name, x, axes)
            agree(name, x.permute(3, 1, 0, 2), axes, mask=scores(6, 4, 3, 5) > 0)


@pytest.mark.parametrize("name", MAPS)
def test_columns_that_do_not_fit_into_the_cache_are_read_in_blocks(name):
    x = scores(5000, 33)
    # a block of nothing but -inf, before and behind the rest
    x[:2000, 0] = x[3000:, 1] = -INFINITY
    for options in ({}, {"mask": scores(5000, 33) > 0}):
        agree(name, x, 0, **options)


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
            scores(40) * 1e10,
            scores(40) * 20,
            -scores(40).abs() - 1,
            torch.zeros(40),
        ]
    ).repeat(3, 1)


def extreme_masks():
    masks = torch.ones(36, 40, dtype=torch.bool)
    masks[:12] = False
    masks[12:24, 3] = masks[12:24, 39] = masks[24:, 17] = False
    return masks


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", MAPS)
def test_rows_with_an_extreme_score_are_the_reference_s_and_leave_the_others_alone(name, dim, masked):
    rows, masks = extreme_rows(), extreme_masks()
    x, mask = (rows, masks) if dim == 1 else (rows.T.contiguous(), masks.T.contiguous())
    found = answers("cpu", name, x, dim, **({"mask": mask} if masked else {}))
    expected = answers("reference", name, x, dim, **({"mask": mask} if masked else {}))
    assert_close(found[0], expected[0], equal_nan=True)
    # of scores of 1e-40 the gradient is as good as infinite
    tiny = torch.arange(7, 36, 12)
    mine, theirs = (values.index_fill(1 - dim, tiny, 0) for values in (found[1], expected[1]))
    assert_close(mine, theirs, equal_nan=True, rtol=1e-5, atol=2e-6)


def exactly(name, x):
    """The formula in 64 bits of mantissa or more."""
    x = x.double().numpy().astype(np.longdouble)
    if name == "softpick":
        terms = np.expm1(x)
    elif name.startswith("taylor"):
        terms = sum(x**k / math.factorial(k) for k in range(int(name.split()[-1]) + 1))
    else:
        terms = np.maximum(x - (0.5 if name == "biased" else 0), 0)
    return np.maximum(terms, 0) / np.abs(terms).sum(1, keepdims=True)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", MAPS)
def test_each_result_is_off_by_a_few_roundings(name, dtype):
    """Of every entry for itself, however small; the polynomials lose digits only where they are smallest."""
    for width in (0.01, 1.0, 15.0):
        x = (scores(400, 100) * width / 4 + (0.5 if name == "biased" else 0)).to(dtype)
        x = x.clamp(min=-0.5) if name.startswith("taylor") else x
        expected = exactly(name, x)
        found = MAPS[name](x, 1).double().numpy()
        normal = expected > torch.finfo(dtype).tiny
        off = np.abs(found - expected)[normal] / (expected[normal] * torch.finfo(dtype).eps)
        assert 0.2 < off.max() < ROUNDINGS[dtype]
        assert (found[expected == 0] == 0).all()


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("name", MAPS)
def test_the_bits_follow_from_the_row_alone(name, dim):
    """Not from the number of threads, nor from what other rows are in the batch or where the row lies in memory."""
    before = torch.get_num_threads()
    for length in (7, 90, 3000):
        x = scores(512, length) if dim == 1 else scores(length, 512)
        found = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(answers("cpu", name, x, dim))
        torch.set_num_threads(before)
        for other in found[1:]:
            for mine, theirs in zip(found[0], other, strict=True):
                assert torch.equal(mine, theirs)
        rows = torch.tensor([5, 100, 101, 102, 333, *range(480, 512)])
        leaf = x.index_select(1 - dim, rows).requires_grad_()
        result = MAPS[name](leaf, dim)
        assert torch.equal(result, found[0][0].index_select(1 - dim, rows))
        upstream = (torch.arange(x.numel()) % 7 - 3).reshape(x.shape).index_select(1 - dim, rows).float()
        (gradient,) = torch.autograd.grad(result, leaf, upstream)
        assert torch.equal(gradient, found[0][1].index_select(1 - dim, rows))


@pytest.mark.parametrize("shape", [(4096, 700), (3, 900, 1000), (50000, 50)])
@pytest.mark.parametrize("name", ["relumax", "softpick", "taylor 2"])
def test_results_that_are_written_past_the_cache(name, shape):
    agree(name, scores(*shape), -1)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("name", MAPS)
def test_a_share_of_one_has_no_gradient(name, dim):
    """To the bit: what is left of a difference would be divided by the sum, which may be small."""
    x = torch.full((30, 30), -INFINITY)
    x.diagonal().copy_(scores(30).abs() + 0.51)
    result, gradient = answers("cpu", name, x, dim)
    assert torch.equal(result, torch.eye(30))
    assert (gradient == 0).all()


def test_double_backward_is_the_reference_s():
    x, mask = scores(5, 9, dtype=torch.float64).requires_grad_(), scores(5, 9) > -3
    for function in MAPS.values():
        for options in ({}, {"mask": mask}):

            def call(x, function=function, options=options):
                return function(x, 1, **options)

            assert torch.autograd.gradcheck(call, (x,))
            assert torch.autograd.gradgradcheck(call, (x,))


def test_compiled_code_keeps_the_kernels():
    x, mask = scores(30, 40).requires_grad_(), scores(30, 40) > -3

    def all_of_them(x):
        return sum((function(x, 1, mask=mask) * x).sum() for function in MAPS.values())

    compiled = torch.compile(all_of_them, fullgraph=True)
    assert_close(compiled(x), all_of_them(x))
    # its backward pass is compiled when it is first asked for, and a compiler calls the ops too
    torch.autograd.grad(compiled(x), x)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        (found,) = torch.autograd.grad(compiled(x), x)
    assert_close(found, torch.autograd.grad(all_of_them(x), x)[0])
    names = [event.name for event in profiler.events()]
    assert names.count("anymax::rectified") == names.count("anymax::rectified_backward") == len(MAPS)


def test_a_meta_tensor_is_refused():
    with pytest.raises(NotImplementedError, match="it is for tensors on the CPU, got one on meta"):
        anymax.softpick(scores(3, 5).to("meta"), 1)
