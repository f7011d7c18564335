"""The CPU kernel of linear_cross_entropy beyond the laws: every option and dtype, what it holds and what it refuses."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import linear
from torch.testing import assert_close

import anymax
from anymax._core.native import native
from anymax.ops.cross_entropy.cpu import per_class
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.linear import cpu

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

NUM_ROWS, IN_FEATURES, NUM_CLASSES = 50, 8, 37
INFINITY = float("inf")
NAN = float("nan")
TOLERANCES = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 2e-2, torch.float16: 3e-3}
WEIGHT = torch.linspace(0, 2, NUM_CLASSES)
# powers of 2, which every dtype holds, and a class that never occurs
PRIOR = (2.0 ** (torch.arange(NUM_CLASSES) % 7)).index_fill(0, torch.tensor([11]), 0)
VECTORS = ("weight", "class_prior")
OPTIONS = (
    {},
    {"weight": WEIGHT},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0, "weight": WEIGHT},
    {"z_loss": 0.1},
    {"z_loss": 0.1, "class_prior": PRIOR},
    {"label_smoothing": 0.1, "weight": WEIGHT, "class_prior": PRIOR + 1},
    {"z_loss": 0.1, "label_smoothing": 0.1, "weight": WEIGHT, "ignore_index": 2},
)


@pytest.fixture(autouse=True)
def _kernels():
    with anymax.use_backend("cpu"):
        yield


def draw(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def problem(dtype=torch.float64, rows=NUM_ROWS):
    features, table, bias = draw(rows, IN_FEATURES), draw(NUM_CLASSES, IN_FEATURES, seed=1), draw(NUM_CLASSES, seed=2)
    return tuple(part.detach().to(dtype).requires_grad_() for part in (features, table, bias))


def ids(rows=NUM_ROWS, ignored=-100):
    target = torch.randint(NUM_CLASSES, (rows,), generator=torch.Generator().manual_seed(1))
    target[target == 11] = 12
    target[::7] = ignored
    return target


def reference(features, table, bias, target, **options):
    with anymax.use_backend("reference"):
        return anymax.cross_entropy(linear(features, table, bias), target, **options)


def agree(inputs, target, tolerance, upstream=1.0, **options):
    """With the reference in float64 on the same numbers."""
    options = {name: value.to(inputs[0].dtype) if name in VECTORS else value for name, value in options.items()}
    chunks = options.pop("chunks", None)
    loss = anymax.linear_cross_entropy(*inputs[:2], target, linear_bias=inputs[2], chunks=chunks, **options)
    found = (loss, *torch.autograd.grad(loss * upstream, [part for part in inputs if part is not None]))
    doubles = tuple(None if part is None else part.detach().double().requires_grad_() for part in inputs)
    options = {name: value.double() if name in VECTORS else value for name, value in options.items()}
    exact = reference(*doubles, target, **options)
    expected = (exact, *torch.autograd.grad(exact * upstream, [part for part in doubles if part is not None]))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == inputs[0].dtype
        assert mine.shape == theirs.shape
        scale = max(1.0, theirs.abs().max().item()) * tolerance
        assert_close(mine.double(), theirs, rtol=tolerance, atol=scale)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_in_every_dtype(options, dtype):
    inputs = problem(dtype)
    target = ids(ignored=options.get("ignore_index", -100))
    for reduction, chunks in itertools.product(("mean", "sum"), (1, 3, NUM_ROWS, None)):
        agree(inputs, target, TOLERANCES[dtype], upstream=0.75, reduction=reduction, chunks=chunks, **options)
    agree((*inputs[:2], None), target, TOLERANCES[dtype], chunks=3, **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_without_a_derivative_rows_may_keep_their_own_losses(options):
    inputs = [part.detach() for part in problem()]
    target = ids(ignored=options.get("ignore_index", -100))
    options = {name: value.double() if name in VECTORS else value for name, value in options.items()}
    for reduction in ("none", "mean", "sum"):
        loss = anymax.linear_cross_entropy(
            *inputs[:2], target, linear_bias=inputs[2], reduction=reduction, chunks=3, **options
        )
        assert_close(loss, reference(*inputs, target, reduction=reduction, **options))


def test_weights_that_sum_to_nothing_leave_the_penalty():
    inputs = problem()
    weight = torch.ones(NUM_CLASSES, dtype=torch.float64)
    weight[3] = 0
    target = torch.full((NUM_ROWS,), 3)
    for options in ({}, {"z_loss": 0.1}, {"z_loss": 0.1, "label_smoothing": 0.1}):
        agree(inputs, target, 1e-13, chunks=3, weight=weight, **options)


def test_rows_with_an_extreme_score_stay_alone():
    inputs = [part.detach() for part in problem()]
    for value in (NAN, INFINITY, -INFINITY):
        inputs[0] = problem()[0].detach()
        inputs[0][4, 0] = value
        loss = anymax.linear_cross_entropy(*inputs[:2], ids(), linear_bias=inputs[2], reduction="none", chunks=3)
        expected = reference(*inputs, ids(), reduction="none")
        assert loss[4].isnan()
        assert_close(loss, expected, equal_nan=True)


def test_a_bad_id_is_an_error_and_its_row_nan():
    inputs, target = problem(), ids()
    target[5] = NUM_CLASSES
    with pytest.raises(ValueError, match="target ids must be in"):
        anymax.linear_cross_entropy(*inputs[:2], target, linear_bias=inputs[2])
    scores = draw(NUM_ROWS, NUM_CLASSES).detach()
    rows = cpu.IN_PLACE(scores, target, target, target, scores.new_ones(2), -100, 0.0, 0.0, cpu.WANTS_GRADIENT)
    assert torch.equal(rows[0].isnan(), target == NUM_CLASSES)
    assert torch.equal(scores.isnan().all(1), target == NUM_CLASSES)
    assert torch.equal(scores.isnan().any(1), target == NUM_CLASSES)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("options", OPTIONS[:-1], ids=str)
def test_the_gradient_takes_the_place_of_the_scores(options, dtype):
    """At every length, with what lies behind each row left alone."""
    for length in (*range(1, 35), 63, 64, 65, 200):
        whole = draw(7, length + 5, dtype=dtype).detach()
        behind = whole[:, length:].clone()
        scores = whole[:, :length]
        target = torch.arange(7) * 5 % length
        target[2] = -100
        vectors = {
            "weight": torch.linspace(0.5, 2, length, dtype=torch.float64),
            "class_prior": torch.linspace(0, 2, length, dtype=torch.float64).flip(0) if length > 1 else torch.ones(1),
        }
        chosen = {name: vectors.get(name, value) for name, value in options.items()}
        leaf = scores.double().requires_grad_()
        with anymax.use_backend("reference"):
            expected = anymax.cross_entropy(leaf, target, reduction="none", **chosen)
        (gradient,) = torch.autograd.grad(expected.sum(), leaf)
        wide = torch.promote_types(dtype, torch.float32)
        weight, log_prior, flags = per_class(Options(**chosen), wide, absent=target)
        rows = cpu.IN_PLACE(
            scores,
            target,
            weight,
            log_prior,
            torch.ones(2, dtype=wide),
            -100,
            chosen.get("label_smoothing", 0.0),
            chosen.get("z_loss", 0.0),
            cpu.WANTS_GRADIENT | flags,
        )
        tolerance = min(TOLERANCES[dtype], 1e-5 if wide == torch.float32 else 1)
        assert_close(rows.sum(0).double(), expected.detach(), rtol=tolerance, atol=tolerance)
        tolerance = TOLERANCES[dtype]
        assert_close(scores.double(), gradient, rtol=tolerance, atol=tolerance)
        assert torch.equal(whole[:, length:], behind)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_gradients_of_halves_are_rounded_behind_a_loss_scale(dtype):
    """In float16 much of the gradient of a mean over 4096 rows would vanish before it."""
    rows, classes, targets = 4096, 2000, 10
    features, table = draw(rows, 16), draw(classes, 16, seed=1)
    target = torch.arange(rows) % targets
    exact = tuple((part.detach() / 4).to(dtype).double().requires_grad_() for part in (features, table))
    (reference(*exact, None, target) * 65536).backward()
    mine = tuple(part.detach().to(dtype).requires_grad_() for part in exact)
    with torch.autocast("cpu", dtype):
        loss = anymax.linear_cross_entropy(*mine, target, chunks=8)
    assert loss.dtype == torch.float32
    (loss * 65536).backward()
    # of classes that are no row's target, each term is a small probability
    for found, right in ((part.grad[targets:] for part in pair) for pair in zip(mine, exact, strict=True)):
        assert (found.double() - right).norm() < 4 * torch.finfo(dtype).eps * right.norm()


def test_a_second_backward_pass_gives_the_same_bits_and_leaves_the_first_result_alone():
    inputs = problem()
    for upstream in (1.0, 3.0):
        loss = anymax.linear_cross_entropy(*inputs[:2], ids(), linear_bias=inputs[2], chunks=3)
        grad = torch.tensor(upstream, dtype=torch.float64)
        first = torch.autograd.grad(loss, inputs, grad, retain_graph=True)
        kept = [part.clone() for part in first]
        for part in torch.autograd.grad(loss, inputs, grad, retain_graph=True):
            part.zero_()
        third = torch.autograd.grad(loss, inputs, grad)
        for one, copy, other in zip(first, kept, third, strict=True):
            assert torch.equal(one, copy)
            assert torch.equal(other, copy)


def test_gradients_accumulate_over_losses():
    inputs = problem()
    for _ in range(3):
        anymax.linear_cross_entropy(*inputs[:2], ids(), linear_bias=inputs[2], chunks=3).backward()
    thrice = torch.autograd.grad(3 * reference(*inputs, ids()), inputs)
    for part, expected in zip(inputs, thrice, strict=True):
        assert_close(part.grad, expected)


def test_double_and_batched_backward():
    inputs = tuple(part.detach()[:5].contiguous().requires_grad_() for part in problem())

    def call(features, table, bias):
        target = torch.tensor([0, 4, -100, 2, 1])
        return anymax.linear_cross_entropy(features, table, target, linear_bias=bias, z_loss=0.1, chunks=2)

    assert torch.autograd.gradcheck(call, inputs, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(call, inputs)
    factors = torch.tensor([1.0, 3.0], dtype=torch.float64)
    batched = torch.autograd.grad(call(*inputs), inputs, factors, is_grads_batched=True)
    for found, one in zip(batched, torch.autograd.grad(call(*inputs), inputs), strict=True):
        assert_close(found, torch.stack([one, 3 * one]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_chunk_has_the_rows_that_a_budget_leaves(dtype, monkeypatch):
    """Scores of half types count as float32, which is what the gradient is computed in."""
    seen = []
    kernel = cpu.IN_PLACE
    monkeypatch.setattr(cpu, "IN_PLACE", lambda scores, *rest: seen.append(len(scores)) or kernel(scores, *rest))
    row = NUM_CLASSES * (8 if dtype == torch.float64 else 4)
    for given, rows in (
        ({}, [50]),
        ({"memory_budget": 1}, [1] * 50),
        ({"memory_budget": row * 17}, [16, 17, 17]),
        ({"chunks": 4}, [12, 13, 12, 13]),
    ):
        seen.clear()
        anymax.linear_cross_entropy(*problem(dtype)[:2], ids(), **given)
        assert seen == rows
    # of a large table no more than what makes the products efficient
    table = torch.empty(2**14, 2048, dtype=dtype, device="meta")
    assert cpu._number_of_chunks(4480, table, None, None) == 10
    narrow = torch.empty(2**20, 64, dtype=dtype, device="meta")
    assert cpu._number_of_chunks(640, narrow, None, None) == 10


def test_a_step_holds_one_block_of_scores_beside_the_gradients():
    script = Path(__file__).with_name("peak_memory.py")
    run = subprocess.run([sys.executable, str(script), "eager"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    gradients, block = (4096 + 32768) * 256 * 4, 256 * 32768 * 4
    assert json.loads(run.stdout)["peak_bytes"] < gradients + block + 2**20


def test_what_it_does_not_serve_it_refuses():
    features, table, _ = problem()
    for options in (
        {"target": torch.full((NUM_ROWS, NUM_CLASSES), 1 / NUM_CLASSES)},
        {"weight": WEIGHT.clone().requires_grad_()},
        {"class_prior": PRIOR.clone().requires_grad_()},
        {"mask": torch.ones(NUM_CLASSES, dtype=torch.bool)},
        {"temperature": 2.0},
        {"softcap": 30.0},
        {"reduction": "none"},
    ):
        with pytest.raises(NotImplementedError, match="cannot serve this call"):
            anymax.linear_cross_entropy(features, table, **{"target": ids(), **options})
