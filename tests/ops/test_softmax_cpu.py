"""The CPU kernels of the softmax family beyond the laws: every length, layout and instruction set, any threads."""

import itertools

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax._core import dispatch
from anymax._core import native as native_module
from anymax._core.native import native
from anymax.ops.softmax import cpu

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

MAPS = (anymax.softmax, anymax.log_softmax, anymax.logsumexp)
INFINITY = float("inf")
# the largest vector has 16 numbers; rows of up to 8 vectors are worked in registers, longer ones through memory
LENGTHS = (*range(1, 35), 63, 64, 65, 127, 128, 129, 1000)
TOLERANCES = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 1e-2, torch.float16: 2e-3}


@pytest.fixture(autouse=True)
def _kernels():
    with anymax.use_backend("cpu"):
        yield


def reference(function, *args, **options):
    with anymax.use_backend("reference"):
        return function(*args, **options)


def scores(*shape, dtype=torch.float32):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * 4).to(dtype)


def agree(function, x, dim, **options):
    """Value and gradient of kernel and reference, the latter on the same numbers in float64."""
    found, expected = [], []
    for call, dtype, answers in ((function, x.dtype, found), (None, torch.float64, expected)):
        leaf = x.detach().to(dtype).requires_grad_()
        result = call(leaf, dim, **options) if call else reference(function, leaf, dim, **options)
        weights = torch.linspace(-1, 1, result.numel(), dtype=torch.float64).reshape(result.shape)
        if function is not anymax.logsumexp:
            # a gradient is a difference of sums over a row, so their terms are kept small
            weights = weights / torch.logsumexp(torch.zeros(x.shape), dim).exp().max().double()
        weights = weights.to(x.dtype)
        finite = torch.where(result.isinf(), 0.0, result)
        answers += [result.detach(), torch.autograd.grad((finite * weights.to(dtype)).sum(), leaf)[0]]
    tolerance = TOLERANCES[x.dtype]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == x.dtype
        assert_close(mine.double(), theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("function", MAPS, ids=lambda function: function.__name__)
def test_every_length_along_rows_and_columns(function, dtype):
    for length in LENGTHS:
        agree(function, scores(3, length, dtype=dtype), 1)
        # one or two strips of columns and some behind them
        agree(function, scores(length, 45, dtype=dtype), 0)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_a_plain_call_goes_straight_to_the_kernel_and_gives_torch_s_answer(name, monkeypatch):
    monkeypatch.setattr(dispatch.state, "forced", None)
    ours, theirs, seen = getattr(anymax, name), getattr(torch, name), []
    kernel = cpu.FORWARD[name]
    monkeypatch.setitem(cpu.FORWARD, name, lambda *args: seen.append(name) or kernel(*args))
    for shape in ((7,), (3, 5), (2, 3, 4), (0, 3), (3, 0, 2)):
        x = scores(*shape)
        for dim in range(-len(shape), len(shape)):
            if name == "logsumexp" or x.shape[dim]:
                assert_close(ours(x, dim), theirs(x, dim))
        with pytest.raises(IndexError, match=f"{name}: dim must be in"):
            ours(x, len(shape))
    assert len(seen) > 10
    seen.clear()
    # derivatives of small tensors are torch's own
    ours(scores(3, 5).requires_grad_(), 1)
    assert not seen


@pytest.mark.parametrize("function", MAPS, ids=lambda function: function.__name__)
def test_a_column_that_does_not_fit_into_the_cache_is_read_in_blocks(function):
    x = scores(5000, 33)
    # a block of nothing but -inf, before and behind the rest
    x[:2000, 0] = x[3000:, 1] = -INFINITY
    agree(function, x, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("function", MAPS, ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    "options", [(), ("mask",), ("sink",), ("mask", "sink"), ("temperature", "mask", "sink")], ids=str
)
def test_every_layout_and_option(function, options, dtype):
    whole = scores(4, 6, 9, 10, dtype=dtype)
    layouts = {
        "contiguous": whole,
        "permuted": whole.permute(2, 0, 3, 1),
        "every second": whole[:, ::2, ::3, 1::2],
        "cut": whole[..., :7],
        "expanded": whole[:, :1].expand(4, 6, 9, 10),
        "reversed in memory": whole.flip(0).transpose(0, 3),
    }
    for x in layouts.values():
        for dims in itertools.chain(range(4), itertools.combinations(range(4), 2), [(0, 1, 2, 3)]):
            axes = (dims,) if isinstance(dims, int) else dims
            per_row = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
            given = {
                "mask": torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) > 0.3,
                "sink": scores(*per_row),
                "temperature": scores(*per_row).abs() + 0.5,
            }
            if function is anymax.logsumexp:
                given.pop("temperature")
            agree(function, x, dims, **{name: value for name, value in given.items() if name in options})


@pytest.mark.parametrize("function", MAPS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("dim", [0, 1])
def test_rows_with_an_extreme_score_are_the_reference_s_and_leave_the_others_alone(function, dim):
    rows = torch.stack(
        [
            scores(40),
            torch.full((40,), -INFINITY),
            scores(40).index_fill(0, torch.tensor([3]), INFINITY),
            scores(40).index_fill(0, torch.tensor([39]), float("nan")),
            scores(40).index_fill(0, torch.tensor([0, 17, 39]), -INFINITY),
            torch.full((40,), 3e38),
            torch.full((40,), -3e38).index_fill(0, torch.tensor([7]), 3e38),
            scores(40) * 1e-40,
        ]
    ).repeat(3, 1)
    x = rows if dim == 1 else rows.T.contiguous()
    mask = torch.ones_like(x, dtype=torch.bool)
    mask.select(1 - dim, 8)[...] = False
    for options in ({}, {"mask": mask}, {"sink": 0.5}, {"sink": 3e38}, {"mask": mask, "sink": -INFINITY}):
        expected = reference(function, x, dim, **options)
        assert_close(function(x, dim, **options), expected, equal_nan=True)


@pytest.mark.parametrize("function", [anymax.softmax, anymax.log_softmax], ids=lambda function: function.__name__)
@pytest.mark.parametrize("length", [40, 5000])
@pytest.mark.parametrize("dim", [0, 1])
def test_gradients_of_halves_in_extreme_rows_are_those_of_float32(function, length, dim):
    """They are made from the scores, where those of float32 are made from the result."""
    rows = torch.stack(
        [
            scores(length),
            torch.full((length,), -INFINITY),
            scores(length).index_fill(0, torch.tensor([3]), INFINITY),
            scores(length).index_fill(0, torch.tensor([length - 1]), float("nan")),
            scores(length).index_fill(0, torch.tensor([0, 17, 39]), -INFINITY),
        ]
    ).bfloat16()
    rows = rows.repeat(4, 1)
    x = rows if dim == 1 else rows.T.contiguous()
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) > 0.3
    mask.select(1 - dim, 7)[...] = False
    weights = torch.linspace(-1, 1, x.numel()).reshape(x.shape).bfloat16()
    for options in ({}, {"mask": mask}, {"sink": 0.5}, {"mask": mask, "sink": 0.5}, {"mask": mask, "temperature": 0.5}):
        found, expected = (
            torch.autograd.grad(function(leaf, dim, **options), leaf, weights.to(leaf.dtype))[0]
            for leaf in (x.clone().requires_grad_(), x.float().requires_grad_())
        )
        assert_close(found.float(), expected, rtol=1e-2, atol=1e-2, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("function", MAPS, ids=lambda function: function.__name__)
def test_a_nan_stays_one_whatever_its_payload(function, dtype):
    bits, quiet = (torch.int32, 0x7FC00000) if dtype == torch.float32 else (torch.int64, 0x7FF8 << 48)
    for payload in (0, 1, 2, 255, 256, 1023, 0x1234):
        for length in (5, 40, 3000):
            x = scores(3, length, dtype=dtype)
            x.view(bits)[1, length // 2] = quiet + payload
            for rows in (function(x, 1), function(x.T.contiguous(), 0)):
                per_row = rows if rows.ndim == 1 or rows.shape[0] == 3 else rows.T
                assert per_row[1].isnan().all()
                assert not per_row[::2].isnan().any()


def test_scores_behind_a_mask_are_not_read():
    x = scores(4, 50)
    mask = torch.rand(4, 50, generator=torch.Generator().manual_seed(0)) > 0.5
    spoilt = torch.where(mask, x, float("nan")).requires_grad_()
    for function in MAPS:
        assert_close(function(spoilt, 1, mask=mask), function(x, 1, mask=mask), rtol=0, atol=0)
        (gradient,) = torch.autograd.grad(
            function(spoilt, 1, mask=mask)[mask[:, :1].expand(4, -1)[:, 0]].nansum(), spoilt
        )
        assert (gradient[~mask] == 0).all()


@pytest.mark.parametrize("function", MAPS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("dim", [0, 1])
def test_the_bits_follow_from_the_row_alone(function, dim):
    """Not from the number of threads, nor from what other rows are in the batch or where the row lies in memory."""
    for length in (7, 90, 3000):
        x = scores(512, length) if dim == 1 else scores(length, 512)
        leaf = x.requires_grad_()
        answers = []
        before = torch.get_num_threads()
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            result = function(leaf, dim)
            answers.append((result.detach(), *torch.autograd.grad(result.square().sum(), leaf)))
        torch.set_num_threads(before)
        for other in answers[1:]:
            for mine, theirs in zip(answers[0], other, strict=True):
                assert torch.equal(mine, theirs)
        rows = torch.tensor([5, 100, 101, 102, 333, *range(480, 512)])
        part = x.detach().index_select(1 - dim, rows).requires_grad_()
        result = function(part, dim)
        for mine, whole in zip((result, *torch.autograd.grad(result.square().sum(), part)), answers[0], strict=True):
            assert torch.equal(mine, whole[rows] if whole.ndim == 1 else whole.index_select(1 - dim, rows))


@pytest.mark.parametrize("function", MAPS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("columns", [16400, 16401])
def test_a_result_that_is_written_past_the_cache_is_that_of_its_parts(function, columns):
    """In whole vectors, and where no line but the first starts with one."""
    x = scores(129, columns)
    x[3, 10], x[:, 50], x[128, -1] = float("nan"), -INFINITY, INFINITY
    for given, dim in ((x, 0), (x.T.contiguous(), 1)):
        answers = []
        for part in (given, given.narrow(1 - dim, 0, 90).contiguous()):
            leaf = part.requires_grad_()
            result = function(leaf, dim)
            answers.append((result.detach(), *torch.autograd.grad(result, leaf, result.detach() + 1)))
        for whole, part in zip(*answers, strict=True):
            of_part = whole[:90] if whole.ndim == 1 else whole.narrow(1 - dim, 0, 90)
            assert_close(of_part, part, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("function", [*MAPS, anymax.softmin], ids=lambda function: function.__name__)
def test_a_plain_call_with_a_gradient_is_the_same_function(function, monkeypatch):
    """Above the size from which it is not torch's."""
    monkeypatch.setattr(dispatch.state, "forced", None)
    monkeypatch.setattr(native_module, "FEWEST_WITH_GRADIENT", 0)
    x = scores(3, 4, 5, dtype=torch.float64).requires_grad_()
    for dim in (0, 1, -1):
        result = function(x, dim)
        assert "Plain" in str(result.grad_fn) or "Plain" in str(result.grad_fn.next_functions)
        assert torch.autograd.gradcheck(lambda leaf, dim=dim: function(leaf, dim), x)
        assert torch.autograd.gradgradcheck(lambda leaf, dim=dim: function(leaf, dim), x)
        ups = torch.randn(2, *result.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
        (batched,) = torch.autograd.grad(result, x, ups, is_grads_batched=True, retain_graph=True)
        for up, found in zip(ups, batched, strict=True):
            assert_close(found, torch.autograd.grad(result, x, up, retain_graph=True)[0])


def test_double_backward_and_learning_options_are_the_reference_s():
    x = scores(3, 9, dtype=torch.float64).requires_grad_()
    temperature, sink = (scores(3, 1, dtype=torch.float64).abs().add(0.5).requires_grad_() for _ in range(2))
    mask = torch.rand(3, 9, generator=torch.Generator().manual_seed(1)) > 0.3
    for function in MAPS:
        names = ("temperature", "sink") if function is not anymax.logsumexp else ("sink",)
        leaves = [x, *({"temperature": temperature, "sink": sink}[name] for name in names)]

        def call(x, *numbers, function=function, names=names):
            return torch.where(
                mask, function(x, 1, mask=mask, **dict(zip(names, numbers, strict=True))).reshape(3, -1), 0.0
            )

        assert torch.autograd.gradcheck(call, leaves)
        assert torch.autograd.gradgradcheck(call, leaves)
        assert torch.autograd.gradgradcheck(lambda x, function=function: function(x, 1), (x,))


def test_a_row_of_more_than_two_billion_entries_is_counted_in_64_bits():
    """Expanded, so that it needs no memory of its own."""
    x = torch.zeros(1, dtype=torch.bfloat16).expand(2**31 + 8)
    assert_close(anymax.logsumexp(x, 0).float(), torch.tensor(21.5))


@pytest.mark.slow
@pytest.mark.parametrize("dim", [0, 1])
def test_more_than_two_billion_entries_forward_and_backward(dim):
    """2^31 + 8 numbers of bfloat16 in each of four tensors, 18 GB; compared in slices at both ends and around 2^31."""
    shape = (136, 15790321) if dim == 0 else (15790321, 136)
    others = 1 - dim
    x = torch.empty(shape, dtype=torch.bfloat16).normal_(0, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.empty_like(x).uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
    assert x.numel() == 2**31 + 8
    slices = [slice(0, 300), slice(7_895_000, 7_895_300), slice(15_790_000, 15_790_321)]
    for function in (anymax.softmax, anymax.log_softmax):
        x.requires_grad_()
        result = function(x, dim)
        (gradient,) = torch.autograd.grad(result, x, weights)
        x.requires_grad_(False)
        for part in slices:
            cut = (slice(None), part) if others == 1 else (part,)
            leaf = x[cut].double().requires_grad_()
            expected = reference(function, leaf, dim)
            (of_leaf,) = torch.autograd.grad(expected, leaf, weights[cut].double())
            assert_close(result.detach()[cut].double(), expected.detach(), rtol=1e-2, atol=1e-2)
            assert_close(gradient[cut].double(), of_leaf, rtol=1e-2, atol=1e-2)
        del result, gradient
    log_z = anymax.logsumexp(x, dim)
    for part in slices:
        cut = (slice(None), part) if others == 1 else (part,)
        assert_close(log_z[part].double(), torch.logsumexp(x[cut].double(), dim), rtol=1e-2, atol=1e-2)
