"""The CPU kernels of the sampled losses beyond the laws: every number of draws, all ways to draw, extremes, threads."""

import itertools

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax import noise
from anymax._core.native import native
from anymax.ops.nce import cpu
from anymax.testing.inputs import seed

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

CLASSES, INFINITY = 200, float("inf")
LAW = noise.Unigram(torch.arange(1, CLASSES + 1).double() ** -1.0)
LOSSES = {
    "nce": (anymax.nce_loss, {}),
    "nce, shifted": (anymax.nce_loss, {"log_partition": 2.5}),
    "negative": (anymax.negative_sampling_loss, {}),
    "ranking": (anymax.sampled_softmax_loss, {}),
    "importance": (anymax.sampled_softmax_loss, {"correction": "importance"}),
}
TOLERANCES = {torch.float32: 4e-6, torch.float64: 1e-13, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def reference(function, *args, **options):
    with anymax.use_backend("reference"):
        return function(*args, **options)


def problem(rows=7, width=5, dtype=torch.float32, scale=1.0):
    generator = torch.Generator().manual_seed(rows)
    features, table, bias = (
        scale * torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((rows, width), (CLASSES, width), (CLASSES,))
    )
    # the head of the law, so that draws hit targets
    target = torch.randint(6, (rows,), generator=generator)
    return [tensor.to(dtype).requires_grad_() for tensor in (features, table, bias)], target


def answer(loss, tensors, target, candidates, **options):
    features, table, bias = tensors
    with anymax.use_backend("cpu"):
        found = loss(features, table, target, candidates, linear_bias=bias, **options)
    return [found.detach(), *torch.autograd.grad(found.sum(), tensors)]


def expected(loss, tensors, target, candidates, **options):
    features, table, bias = (tensor.detach().double().requires_grad_() for tensor in tensors)
    found = reference(loss, features, table, target, candidates, linear_bias=bias, **options)
    return [found.detach(), *torch.autograd.grad(found.sum(), (features, table, bias))]


def agree(mine, theirs, dtype):
    tolerance = TOLERANCES[dtype]
    for one, other in zip(mine, theirs, strict=True):
        assert one.dtype == dtype
        assert_close(one.double(), other, rtol=tolerance, atol=tolerance, equal_nan=True)


def draws(count, unique, shared, rows=7):
    return LAW.sample(count if shared else (rows, count), unique=unique, generator=seed(count))


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_every_way_to_draw_and_every_number_of_draws(name, shared, unique, dtype):
    loss, options = LOSSES[name]
    tensors, target = problem(dtype=dtype)
    for count, reduction in itertools.product((1, 8, 9, 17, 130), ("none", "mean", "sum")):
        candidates = draws(count, unique, shared)
        found = answer(loss, tensors, target, candidates, reduction=reduction, **options)
        agree(found, expected(loss, tensors, target, candidates, reduction=reduction, **options), dtype)


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_no_rows_and_single_rows(name, unique):
    loss, options = LOSSES[name]
    (features, table, bias), target = problem()
    candidates = draws(9, unique, True)
    with torch.no_grad(), anymax.use_backend("cpu"):
        rows = loss(features, table, target, candidates, linear_bias=bias, reduction="none", **options)
        for row in range(7):
            alone = loss(features[row], table, target[row], candidates, linear_bias=bias, **options)
            assert alone.shape == ()
            assert_close(alone, rows[row])
        for reduction, shape in (("none", (0,)), ("mean", ()), ("sum", ())):
            nothing = loss(features[:0], table, target[:0], candidates, reduction=reduction, **options)
            assert nothing.shape == shape
            assert nothing.sum() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_a_few_rows_without_a_gradient_have_the_same_loss(name, shared, dtype, monkeypatch):
    """Their scores come from the table itself, of every width up to two vectors and some more."""
    loss, options = LOSSES[name]
    called = []
    scores = cpu.SCORES
    monkeypatch.setattr(cpu, "SCORES", lambda *arguments: called.append(arguments) or scores(*arguments))
    for width, count in itertools.product((1, 4, 15, 16, 33, 50), (1, 16, 21)):
        (features, table, bias), target = problem(6, width, dtype, width**-0.5)
        features, table, bias, target = features.view(2, 3, width), table.detach(), bias.detach(), target.view(2, 3)
        target[0, 1] = -100
        features = torch.where(target.unsqueeze(-1) == -100, float("nan"), features.detach())
        candidates = LAW.sample(count if shared else (2, 3, count), generator=seed(width))
        for given in (bias, None):
            arguments = features, table, target, candidates
            with anymax.use_backend("cpu"):
                found = loss(*arguments, linear_bias=given, reduction="none", **options)
            wide = [tensor.double() for tensor in arguments[:2]]
            exact = reference(
                loss,
                *wide,
                *arguments[2:],
                linear_bias=None if given is None else given.double(),
                reduction="none",
                **options,
            )
            agree([found], [exact], dtype)
    assert len(called) == 36
    # a gradient, many products and a table in pieces go another way
    here = loss(*arguments, linear_bias=bias, reduction="none", **options)
    for other in (table.clone().requires_grad_(), table.T.contiguous().T):
        there = loss(features, other, target, candidates, linear_bias=bias, reduction="none", **options)
        assert_close(there.detach(), here, rtol=1e-5, atol=1e-5)
    assert len(called) == 37
    monkeypatch.setattr(cpu, "FEW_PRODUCTS", 6 * 50 * 21 - 1)
    loss(*arguments, linear_bias=bias, **options)
    assert len(called) == 37


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_ignored_rows_cost_nothing_whatever_they_hold(name, reduction):
    loss, options = LOSSES[name]
    tensors, target = problem()
    target[2] = target[5] = -100
    with torch.no_grad():
        tensors[0][2] = float("nan")
    candidates = draws(20, False, True)
    found = answer(loss, tensors, target, candidates, reduction=reduction, **options)
    agree(found, expected(loss, tensors, target, candidates, reduction=reduction, **options), torch.float32)
    assert not found[1][2].any()
    assert answer(loss, tensors, torch.full_like(target, -100), candidates, **options)[0] == 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e3])
def test_small_and_large_scores(name, scale):
    loss, options = LOSSES[name]
    tensors, target = problem(scale=scale, dtype=torch.float64)
    for unique in (False, True):
        candidates = draws(20, unique, True)
        found = answer(loss, tensors, target, candidates, **options)
        for mine, theirs in zip(found, expected(loss, tensors, target, candidates, **options), strict=True):
            assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [INFINITY, -INFINITY, float("nan")])
def test_infinite_and_missing_scores_are_the_reference_s(name, value):
    loss, options = LOSSES[name]
    features, target = torch.ones(3, 1), torch.tensor([0, 1, 2])
    candidates = noise.Candidates(
        torch.tensor([1, 5, 5, 9]),
        torch.zeros(4),
        target_log_expected_count=lambda ids: torch.zeros(ids.shape),
        unique=False,
    )
    for place in (0, 5):
        table = torch.linspace(-1, 1, CLASSES).unsqueeze(1).clone()
        table[place] = value
        answers = []
        for backend in ("cpu", "reference"):
            with anymax.use_backend(backend):
                try:
                    answers.append(loss(features, table, target, candidates, reduction="none", **options))
                except ValueError as error:
                    answers.append(str(error))
        if isinstance(answers[1], str):
            assert answers[0] == answers[1]
        else:
            assert_close(*answers, equal_nan=True)


@pytest.mark.parametrize("name", LOSSES)
def test_bad_ids_are_errors_as_of_the_reference(name):
    loss, options = LOSSES[name]
    (features, table, _), target = problem()
    target[3] = CLASSES
    with anymax.use_backend("cpu"), pytest.raises(ValueError, match=r"target ids must be in \[0, 199\] .* got 200"):
        loss(features, table, target, draws(5, False, True), **options)
    target[3] = 0
    bad = noise.Candidates(
        torch.tensor([CLASSES, 1]), torch.zeros(2), target_log_expected_count=lambda ids: ids.double() * 0, unique=False
    )
    with anymax.use_backend("cpu"), pytest.raises(ValueError, match=r"noise must hold ids in \[0, 199\], got 200"):
        loss(features, table, target, bad, **options)


@pytest.mark.parametrize("name", LOSSES)
def test_second_derivatives_are_the_reference_s(name):
    loss, options = LOSSES[name]
    for unique in (False, True):
        candidates = draws(9, unique, True)
        found = []
        for backend in ("cpu", "reference"):
            (features, table, bias), target = problem(dtype=torch.float64)
            with anymax.use_backend(backend):
                value = loss(features, table, target, candidates, linear_bias=bias, **options)
                (first,) = torch.autograd.grad(value, features, create_graph=True)
                found.append([first.detach(), *torch.autograd.grad(first.square().sum(), (features, table, bias))])
        for mine, theirs in zip(*found, strict=True):
            assert_close(mine, theirs)


@pytest.mark.parametrize("name", LOSSES)
def test_threads_change_no_bit(name):
    loss, options = LOSSES[name]
    tensors, target = problem(rows=600, dtype=torch.float64)
    for unique, shared in itertools.product((False, True), repeat=2):
        candidates = draws(64, unique, shared, 600)
        # products are torch's
        scores = [tensor.detach() for tensor in tensors]
        scores[0] = torch.zeros_like(scores[0])
        threads, found = torch.get_num_threads(), []
        try:
            for count in (1, 2, 4):
                torch.set_num_threads(count)
                with anymax.use_backend("cpu"):
                    found.append(loss(scores[0], scores[1], target, candidates, linear_bias=scores[2], **options))
        finally:
            torch.set_num_threads(threads)
        assert found[0] == found[1] == found[2]


def test_a_learned_log_partition_and_compiled_code_are_the_reference_s():
    (features, table, _), target = problem()
    said = anymax.explain_backend(
        anymax.nce_loss, features, table, target, draws(4, False, True), log_partition=torch.tensor(1.0)
    )
    assert said.startswith("nce_loss:\n  cpu: not taken, it takes log_partition as a number, got a tensor")
    assert "cpu: taken" in anymax.explain_backend(anymax.nce_loss, features, table, target, draws(4, False, True))
