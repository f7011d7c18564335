"""The CPU kernels of the Gumbel family against the reference, at every edge of a vector and of a block."""

import functools

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax._core import random
from anymax._core.dims import Dims
from anymax._core.dispatch import implementation
from anymax._core.native import native
from anymax.testing.inputs import seed

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

INFINITY = float("inf")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
# Relative errors of a sample: of exponents that reach 87 in float32, rounded a few times. What both sides round to
# halves may become neighbours.
TOLERANCES = {torch.float32: 2**-16, torch.float64: 4e-14, torch.bfloat16: 2**-7, torch.float16: 2**-10}
# up to several vectors of any instruction set, and around a block of 1024 words
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 1000, 1023, 1024, 1025, 2100)


def scores(*shape, dtype=torch.float32, spread=3.0):
    return (spread * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).to(dtype)


def run(backend, function, *args, **options):
    with anymax.use_backend(backend):
        return function(*args, **{"generator": seed(7), **options})


def agree(x, dim, **options):
    """The kernel draws what the reference draws in float64, soft and hard."""
    soft, hard = (run("cpu", anymax.gumbel_softmax, x, dim=dim, hard=hard, **options) for hard in (False, True))
    wide = [
        run("reference", anymax.gumbel_softmax, x.double(), dim=dim, hard=hard, **options) for hard in (False, True)
    ]
    assert soft.dtype == hard.dtype == x.dtype
    smallest = torch.finfo(x.dtype).smallest_normal
    assert_close(soft, wide[0].to(x.dtype), rtol=TOLERANCES[x.dtype], atol=smallest, equal_nan=True)
    assert_close(hard, wide[1].to(x.dtype), rtol=0, atol=0, equal_nan=True)


def agree_on_ids(x, dim, **options):
    for number in (None, 3):
        mine = run("cpu", anymax.sample, x, dim, num_samples=number, **options)
        assert torch.equal(mine, run("reference", anymax.sample, x, dim, num_samples=number, **options))


def agree_on_estimates(x, dim, **options):
    """The gradients of hard samples by ReinMax and Gumbel-Rao are those of the reference in float64."""
    upstream = scores(*x.shape, spread=1.0).to(x.dtype)
    for estimator in ({"estimator": "reinmax"}, {"estimator": "rao", "num_samples": 2}):
        for tau in (1.0, 1.7):
            mine, theirs = (
                gradients(backend, leaf, upstream.to(leaf.dtype), dim, tau, hard=True, **estimator, **options)[0]
                for backend, leaf in (("cpu", x), ("reference", x.double()))
            )
            tolerance = 2 * TOLERANCES[x.dtype]
            assert_close(mine, theirs.to(x.dtype), rtol=tolerance, atol=tolerance)


def agree_on_the_largest(x, dim, **options):
    size = x.shape[dim]
    for k in {1, min(3, size), (size + 1) // 2, size}:
        mine = run("cpu", anymax.gumbel_topk, x, k, dim, **options)
        theirs = run("reference", anymax.gumbel_topk, x.double(), k, dim, **options)
        # neighbours that differ by a rounding may have changed places, and nothing else
        assert (mine.indices == theirs.indices).double().mean() > 0.99
        assert_close(mine.indices.sort(dim).values, theirs.indices.sort(dim).values)
        assert_close(mine.threshold, theirs.threshold.to(x.dtype), rtol=TOLERANCES[x.dtype], atol=2e-6)
        same = mine.indices == theirs.indices
        assert_close(mine.log_probs[same], theirs.log_probs[same].to(x.dtype), rtol=2 * TOLERANCES[x.dtype], atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_length_of_estimators_and_of_the_largest(dtype):
    for length in LENGTHS:
        for rows in (1, 5):
            x = scores(rows, length, dtype=dtype)
            agree_on_estimates(x, 1)
            agree_on_the_largest(x, 1)
        # few rows side by side, and enough for blocks of them
        for x in (scores(length, 5, dtype=dtype), scores(length, 40, dtype=dtype)):
            agree_on_estimates(x, 0)
            agree_on_the_largest(x, 0)


def test_layouts_of_estimators_and_of_the_largest():
    whole = scores(4, 6, 9, 40)
    mask = torch.rand(whole.shape, generator=torch.Generator().manual_seed(1)) > 0.1
    for x, takes_part in (
        (whole, mask),
        (whole.permute(2, 0, 3, 1), mask.permute(2, 0, 3, 1)),
        (whole[:, ::2, ::3, 1::2], mask[:, ::2, ::3, 1::2]),
        (whole[:, :1].expand(4, 6, 9, 40), mask),
        (whole.contiguous(memory_format=torch.channels_last), mask),
    ):
        for dim in (0, 1, 2, 3, (0, 1), (0, 3), (1, 2, 3)):
            agree_on_estimates(x, dim)
            agree_on_estimates(x, dim, mask=takes_part)
        for dim in range(4):
            agree_on_the_largest(x, dim)
            some = takes_part.clone()
            some.narrow(dim, 0, 1).fill_(True)
            mine, theirs = (run(backend, anymax.gumbel_topk, x, 1, dim, mask=some) for backend in ("cpu", "reference"))
            for one, other in zip(mine, theirs, strict=True):
                assert_close(one, other)


def test_estimates_and_the_largest_have_the_same_bits_for_any_threads_and_any_number_of_rows():
    before = torch.get_num_threads()
    x, inner = scores(300, 70), scores(20, 30, 400)

    def answers(x, backward):
        found = list(run("cpu", anymax.gumbel_topk, x, 5, 1))
        for estimator in ("reinmax", "rao") if backward else ():
            upstream = torch.linspace(-1, 1, x.shape[1]).reshape(1, -1, *[1] * (x.ndim - 2)).expand(x.shape)
            found += gradients("cpu", x, upstream, 1, 1.5, hard=True, estimator=estimator)
        return found

    try:
        for whole, few in ((x, 41), (inner, 3)):
            torch.set_num_threads(1)
            one = answers(whole, True)
            torch.set_num_threads(2)
            for mine, theirs in zip(answers(whole, True), one, strict=True):
                assert torch.equal(mine, theirs)
            # the words of further samples begin behind those of all rows
            for mine, theirs in zip(answers(whole[:few], False), one, strict=False):
                assert torch.equal(mine, theirs[:few])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_length(dtype):
    for length in LENGTHS:
        for rows in (1, 5):
            x = scores(rows, length, dtype=dtype)
            for tau in (1.0, 0.7):
                agree(x, 1, tau=tau)
            agree_on_ids(x, 1)
            # side by side: few rows, and enough for blocks of them
            agree(x, 0)
            agree_on_ids(x, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(3, 40, 33), (2, 7, 300), (2, 300, 70), (3, 1, 64), (1, 130, 1500)], ids=str)
def test_inner_axes(shape, dtype):
    x = scores(*shape, dtype=dtype)
    for tau in (1.0, 0.7):
        agree(x, 1, tau=tau)
    agree_on_ids(x, 1)
    agree_on_ids(x, 1, temperature=2.0)


def test_rows_side_by_side_that_are_longer_than_a_tile():
    agree(scores(5000, 40), 0)
    agree(scores(5000, 40), 0, tau=0.7)
    agree_on_ids(scores(5000, 40), 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_layout(dtype):
    whole = scores(4, 6, 9, 40, dtype=dtype)
    for x in (
        whole,
        whole.permute(2, 0, 3, 1),
        whole[:, ::2, ::3, 1::2],
        whole[:, :1].expand(4, 6, 9, 40),
        whole.contiguous(memory_format=torch.channels_last),
    ):
        for dim in (0, 1, 2, 3, (0, 1), (2, 3), (0, 3), (1, 3), (1, 2, 3), (0, 1, 2, 3)):
            agree(x, dim)
            assert run("cpu", anymax.gumbel_softmax, x, dim=dim).stride() == torch.empty_like(x).stride()
        for dim in range(4):
            agree_on_ids(x, dim)


def test_masks_and_temperatures():
    x = scores(6, 5, 40)
    masks = (
        torch.rand(6, 5, 40, generator=torch.Generator().manual_seed(1)) > 0.1,
        torch.arange(40) % 3 > 0,
        (torch.arange(6) % 2 > 0).reshape(6, 1, 1),
    )
    for mask in (None, *masks):
        for tau in (1.0, 0.5, 3, INFINITY, 1e-38, torch.tensor(1.0), torch.tensor(0.5), 0.25 + torch.rand(6, 1, 1)):
            for dim in (1, 2, (1, 2)):
                agree(x, dim, mask=mask, tau=tau)
        for temperature in (1.0, 0.5, torch.tensor(0.5), 0.25 + torch.rand(6, 1, 1)):
            for dim in (1, 2):
                if mask is None or mask.expand(x.shape).any(dim).all():
                    agree_on_ids(x, dim, mask=mask, temperature=temperature)


@pytest.mark.parametrize("columns", [False, True])
def test_rows_that_are_spoilt_masked_or_extreme(columns):
    x = scores(70, 50)
    x[0, 3], x[1, 4], x[2, 5:], x[3] = float("nan"), INFINITY, -INFINITY, -INFINITY
    x[4] *= 1e30
    x[5] *= 1e-40
    x[6, 0], x[7, 49] = float("nan"), torch.finfo(x.dtype).max
    x[8] = -torch.finfo(x.dtype).max
    x[9, 1:] = -300.0
    mask = torch.rand(70, 50, generator=torch.Generator().manual_seed(1)) > 0.2
    mask[0, 3], mask[10], mask[6, 0] = False, False, True
    values, dim = (x.t().contiguous(), 0) if columns else (x, 1)
    for tau in (1.0, 0.7, 1e-30):
        agree(values, dim, tau=tau)
        agree(values, dim, tau=tau, mask=mask.t() if columns else mask)
    with anymax.use_backend("cpu"), pytest.raises(ValueError, match="sample: 4 of 70 rows define no probabilities"):
        anymax.sample(values, dim)


def test_a_temperature_that_is_not_positive_spoils_its_row():
    for x, dim in ((scores(4, 40), 1), (scores(40, 64), 0)):
        tau = torch.ones(x.shape[1 - dim]).unsqueeze(dim)
        tau.view(-1)[1:3] = torch.tensor([0.0, -1.0])
        for hard in (False, True):
            for one in (tau, torch.tensor(-1.0)):
                choice = implementation("gumbel_softmax")
                mine, theirs = (
                    compute(x, Dims(2, (dim,)), one, hard, None, seed(3))
                    for compute in (choice.kernels[0], choice.reference)
                )
                assert torch.equal(mine.isnan(), theirs.isnan())


def test_shapes_without_entries_or_axes():
    for shape in ((0, 3), (3, 0), (0, 0), (2, 0, 3)):
        for hard in (False, True):
            found = run("cpu", anymax.gumbel_softmax, torch.zeros(shape), hard=hard, dim=1)
            assert found.shape == shape
    assert run("cpu", anymax.sample, torch.zeros(0, 3), 1, num_samples=4).shape == (4, 0)
    for hard in (False, True):
        assert run("cpu", anymax.gumbel_softmax, torch.tensor(3.0), hard=hard, dim=0) == 1
    assert run("cpu", anymax.sample, torch.tensor(3.0), 0) == 0


def test_no_sample_is_0_before_its_dtype_makes_it_so():
    """A score far below the top has its sample from noise that is far above, as float64 has it."""
    x = torch.full((1, 200_000), -95.0)
    x[:, 0] = 0.0
    mine = run("cpu", anymax.gumbel_softmax, x, dim=1)
    theirs = run("reference", anymax.gumbel_softmax, x.double(), dim=1)
    assert (theirs > 1.2e-38).sum() > 5
    assert mine[theirs > 1.2e-38].min() > 0
    assert_close(mine.double(), theirs, rtol=2e-6, atol=1.2e-38)


def test_the_noise_is_right_to_the_last_digits_for_every_word():
    words = random.words(seed(5), (200_000,), torch.device("cpu"))
    noise = random.gumbel(words, torch.float64)
    # log y at tau = 1 is the noise less a constant of the row
    mine = run("cpu", anymax.gumbel_softmax, torch.zeros(200_000), dim=0, generator=seed(5)).double().log()
    error = mine - noise
    error -= error.median()
    assert error.abs().max() < 1e-6


def test_the_same_bits_for_any_threads_and_any_number_of_rows():
    x, before = scores(300, 700), torch.get_num_threads()
    inner = scores(20, 30, 400)
    masked = {"mask": torch.tensor(True), "tau": torch.tensor(1.0)}
    calls = [(anymax.gumbel_softmax, options) for options in ({}, {"tau": 0.7}, {"hard": True}, masked)]
    try:
        for function, options in (*calls, (anymax.sample, {})):
            call = functools.partial(run, "cpu", function, **options)
            torch.set_num_threads(1)
            one, inner_one = call(x, dim=1), call(inner, dim=1)
            for threads in (2, 4):
                torch.set_num_threads(threads)
                assert torch.equal(call(x, dim=1), one)
                assert torch.equal(call(inner, dim=1), inner_one)
            assert torch.equal(call(x[:41], dim=1), one[:41])
            assert torch.equal(call(inner[:3], dim=1), inner_one[:3])
            # starting anywhere in a vector
            memory = torch.empty(x.numel() + 3)
            moved = memory[3:].view(x.shape).copy_(x)
            assert torch.equal(call(moved, dim=1), one)
            assert torch.equal(call(x.t().contiguous().t(), dim=1), one)
    finally:
        torch.set_num_threads(before)


def test_module_and_function_and_samples_agree_bit_for_bit():
    x = scores(50, 130)
    for tau in (1.0, 0.7):
        module = anymax.nn.GumbelSoftmax(tau, dim=1)
        mine = anymax.gumbel_softmax(x, tau, dim=1, generator=seed(3))
        assert torch.equal(module(x, generator=seed(3)), mine)
        hard = anymax.gumbel_softmax(x, tau, True, dim=1, generator=seed(3)).argmax(1)
        assert torch.equal(hard, mine.argmax(1))
    ids = anymax.sample(x, 1, generator=seed(3))
    assert torch.equal(ids, anymax.gumbel_softmax(x, hard=True, dim=1, generator=seed(3)).argmax(1))
    assert torch.equal(ids, anymax.sample(x, 1, num_samples=5, generator=seed(3))[0])


def gradients(backend, x, upstream, dim, tau, **options):
    leaf = x.clone().requires_grad_()
    learnt = tau.clone().requires_grad_() if isinstance(tau, torch.Tensor) else tau
    sample = run(backend, anymax.gumbel_softmax, leaf, learnt, dim=dim, **options)
    with anymax.use_backend(backend):
        return torch.autograd.grad(sample, [leaf, learnt] if learnt is not tau else [leaf], upstream)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("hard", [False, True])
def test_gradients(dtype, hard):
    rtol, atol = TOLERANCES[dtype] * 4, TOLERANCES[dtype] * 2
    x = scores(6, 40, 33, dtype=dtype)
    upstream = scores(6, 40, 33, spread=1.0, dtype=dtype)
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) > 0.3
    mask[2] = False
    wide = torch.promote_types(dtype, torch.float32)
    for dim in (1, 2, (1, 2)):
        shape = [1 if axis in ((dim,) if isinstance(dim, int) else dim) else size for axis, size in enumerate(x.shape)]
        taus = (1.0, 0.7, torch.tensor(0.7, dtype=wide), 0.5 + torch.linspace(0, 1, 6, dtype=wide).reshape(6, 1, 1))
        for tau in taus:
            for options in ({}, {"mask": mask}):
                mine, theirs = (
                    gradients(backend, x, upstream, dim, tau, hard=hard, **options) for backend in ("cpu", "reference")
                )
                assert mine[0].dtype == dtype, shape
                for one, other in zip(mine, theirs, strict=True):
                    assert_close(one, other, rtol=rtol, atol=atol)


def test_gradients_of_gradients_are_the_reference_s():
    x = scores(3, 5, dtype=torch.float64).requires_grad_()
    tau = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    for hard in (False, True):
        found = []
        for backend in ("cpu", "reference"):
            with anymax.use_backend(backend):
                sample = anymax.gumbel_softmax(x, tau, hard, dim=1, generator=seed(2))
                first = torch.autograd.grad(sample[:, 0].sum(), [x, tau], create_graph=True)
                found.append(torch.autograd.grad(first[0].square().sum() + first[1] ** 2, [x, tau]))
        for mine, theirs in zip(*found, strict=True):
            assert_close(mine, theirs, rtol=1e-11, atol=1e-13)
    assert torch.autograd.gradcheck(
        lambda x, tau: anymax.gumbel_softmax(x, tau, dim=1, generator=seed(2)), [x, tau], fast_mode=True
    )


@pytest.mark.parametrize("hard", [False, True])
def test_compiled_code_keeps_the_kernels(hard):
    def draw(x):
        return anymax.gumbel_softmax(x, 0.7, hard, dim=1, generator=seed(4)), anymax.sample(x, 1, generator=seed(4))

    graphs = []

    def keep(graph, inputs):
        graphs.append(str(graph.graph))
        return graph

    x = scores(5, 40)
    mine = torch.compile(draw, fullgraph=True, backend=keep)(x)
    for one, other in zip(mine, draw(x), strict=True):
        assert torch.equal(one, other)
    assert "anymax.gumbel_softmax" in graphs[0]
    assert "anymax.gumbel_sample" in graphs[0]

    def objective(x):
        return (anymax.gumbel_softmax(x, 0.7, hard, dim=1, generator=seed(4)) * upstream).sum()

    upstream = scores(5, 40, spread=1.0)
    leaf = x.clone().requires_grad_()
    compiled = torch.compile(objective, fullgraph=True, backend="aot_eager")
    (mine,) = torch.autograd.grad(compiled(leaf), leaf)
    (theirs,) = torch.autograd.grad(objective(leaf), leaf)
    assert_close(mine, theirs)


def test_who_draws_can_be_asked():
    x = scores(3, 5)
    assert "  cpu: taken" in anymax.explain_backend(anymax.gumbel_softmax, x, dim=1)
    assert anymax.explain_backend(anymax.sample, x, 1) == "sample:\n  cpu: taken"
    with anymax.use_backend("cpu"), pytest.raises(NotImplementedError, match="plain tensors"):
        anymax.gumbel_softmax(torch.nn.Buffer(x).as_subclass(Other), dim=1)


class Other(torch.Tensor):
    pass


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_few_lengths(dtype):
    """Every instruction set runs it."""
    for length in (5, 33, 1025):
        for tau in (1.0, 0.7):
            agree(scores(3, length, dtype=dtype), 1, tau=tau)
            agree(scores(length, 70, dtype=dtype), 0, tau=tau)
        for x, dim in ((scores(3, length, dtype=dtype), 1), (scores(length, 70, dtype=dtype), 0)):
            agree_on_ids(x, dim)
            agree_on_estimates(x, dim)
            agree_on_the_largest(x, dim)
