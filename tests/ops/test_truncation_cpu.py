"""The CPU kernel of keep_mask beyond the laws: every length, layout and instruction set, ties, any threads."""

import pytest
import torch

import anymax
from anymax._core.native import native

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

INFINITY = float("inf")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
# up to 32 entries are sorted, more are cut down digit by digit first
LENGTHS = (*range(1, 35), 63, 64, 65, 100, 1000, 5000)
RULES = (
    {"top_k": 1},
    {"top_k": 7},
    {"top_k": 40},
    {"top_p": 1e-9},
    {"top_p": 0.5},
    {"top_p": 0.95},
    {"min_p": 0.05},
    {"min_p": 0.0},
    {"min_p": 1.0},
    {"top_k": 20, "top_p": 0.9},
    {"top_k": 50, "top_p": 0.8, "min_p": 0.02},
)


def scores(*shape, dtype=torch.float32, spread=4.0):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * spread).to(dtype)


def kept(backend, x, dim, **rules):
    with anymax.use_backend(backend):
        return anymax.keep_mask(x, dim, **rules)


def agree(x, dim):
    for rules in RULES:
        assert torch.equal(kept("cpu", x, dim, **rules), kept("reference", x, dim, **rules)), (rules, x.shape, x.dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_length_along_rows_and_columns(dtype):
    for length in LENGTHS:
        agree(scores(3, length, dtype=dtype), 1)
        agree(scores(length, 3, dtype=dtype), 0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equal_scores_stay_in_the_order_of_their_indices(dtype):
    for length in (5, 33, 300):
        few = scores(8, length, spread=1.0).round()
        few[few == 0] = torch.where(torch.arange(length) % 2 == 0, 0.0, -0.0).expand(8, length)[few == 0]
        agree(few.to(dtype), 1)
        for k in range(1, length, 7):
            ones = torch.ones(length, dtype=dtype)
            for rules in ({"top_k": k}, {"top_p": k / length}, {"top_k": k, "top_p": 1.0}):
                assert kept("cpu", ones, 0, **rules).nonzero().flatten().tolist() == list(range(k)), (rules, length)


def test_scores_at_the_ends_of_their_range():
    # the last entries do not fill a vector
    x = scores(10, 203)
    x[0] *= 1e37
    x[1] *= 1e-40
    x[2, ::2] = -INFINITY
    x[3] = -INFINITY
    x[4, 7] = x[5, 202] = INFINITY
    x[6, 7] = x[7, 202] = float("nan")
    # all but the last digits of the scores' bits are the same
    x[8] = 1 + torch.arange(203) % 50 * 2.0**-23
    x[9, torch.arange(203) % 90 > 0] = -INFINITY
    agree(x, 1)
    agree(x.double(), 1)
    far = torch.where(torch.arange(203) == 150, 0.0, -2000.0)
    agree(far, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_layout(dtype):
    whole = scores(4, 6, 9, 10, dtype=dtype)
    for x in (whole, whole.permute(2, 0, 3, 1), whole[:, ::2, ::3, 1::2], whole[:, :1].expand(4, 6, 9, 10)):
        for dim in range(4):
            agree(x, dim)


def test_the_same_for_any_threads_and_any_part_of_the_batch():
    x = scores(300, 700)
    before = torch.get_num_threads()
    try:
        for rules in RULES:
            torch.set_num_threads(1)
            one = kept("cpu", x, 1, **rules)
            torch.set_num_threads(4)
            assert torch.equal(kept("cpu", x, 1, **rules), one)
            assert torch.equal(kept("cpu", x[17:40], 1, **rules), one[17:40])
    finally:
        torch.set_num_threads(before)


def test_scores_that_require_a_gradient_give_a_plain_mask():
    mask = kept("cpu", scores(3, 5).requires_grad_(), 1, top_k=2)
    assert mask.dtype == torch.bool
    assert not mask.requires_grad


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_few_lengths(dtype):
    """Every instruction set runs it."""
    for length in (5, 33, 100, 1000):
        agree(scores(3, length, dtype=dtype), 1)
