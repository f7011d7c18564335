"""The CPU kernel of info_nce beyond the laws: every number of keys, chunks, extremes, threads and memory."""

import itertools

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax._core.memory import peak_of_step
from anymax._core.native import native
from anymax.ops.contrast import cpu
from anymax.testing.inputs import randn

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

TOLERANCES = {torch.float32: 4e-6, torch.float64: 1e-13, torch.bfloat16: 2e-2, torch.float16: 3e-3}
EACH_WAY = pytest.mark.parametrize("symmetric", [False, True])


def options_of(rows, keys):
    generator = torch.Generator().manual_seed(rows * 1000 + keys)
    target = torch.randperm(keys, generator=generator)[:rows]
    mask = torch.rand(rows, keys, generator=generator) > 0.3
    mask[torch.arange(rows), target] = True
    everything = {
        "log_q": randn(keys, at=2, dtype=torch.float32),
        "key_ids": torch.randint(4, (keys,), generator=generator),
        "mask": mask,
        "temperature": 0.4,
        "target": target,
    }
    return {}, {"log_q": everything["log_q"]}, {"key_ids": everything["key_ids"]}, {"mask": mask}, everything


def answer(backend, query, key, **options):
    inputs = [tensor.detach().requires_grad_() for tensor in (query, key)]
    with anymax.use_backend(backend):
        loss = anymax.info_nce(*inputs, **options)
        with torch.no_grad():
            assert_close(anymax.info_nce(*inputs, **options), loss.detach(), equal_nan=True)
    return [loss.detach(), *torch.autograd.grad(loss, inputs)]


@EACH_WAY
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_every_number_of_keys_and_every_option(symmetric, dtype):
    for rows, extra in itertools.product((1, 2, 8, 17, 33), (0,) if symmetric else (0, 1, 30)):
        query, key = randn(rows, 5, dtype=dtype), randn(rows + extra, 5, at=1, dtype=dtype)
        for options in options_of(rows, rows + extra):
            for reduction in ("mean", "sum"):
                options = {**options, "symmetric": symmetric, "reduction": reduction}
                found = answer("cpu", query, key, **options)
                exact = answer("reference", query.double(), key.double(), **options)
                for mine, right in zip(found, exact, strict=True):
                    assert mine.dtype == dtype
                    assert_close(mine.double(), right, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def test_chunks_of_rows_give_what_all_rows_at_once_give(monkeypatch):
    query, key = randn(50, 3), randn(70, 3, at=1)
    called = []
    compute = cpu.compute

    def in_chunks(*arguments):
        *rest, wanted, exclude = arguments
        called.append(wanted)
        rest[-2] = 7
        return compute(*rest, wanted, exclude)

    for options in options_of(50, 70):
        for reduction in ("mean", "sum"):
            whole = answer("cpu", query, key, reduction=reduction, **options)
            monkeypatch.setattr(cpu, "SMALLEST_BUDGET", 0)
            monkeypatch.setattr(cpu, "compute", in_chunks)
            chunked = answer("cpu", query, key, reduction=reduction, **options)
            with torch.no_grad(), anymax.use_backend("cpu"):
                rows = anymax.info_nce(query, key, reduction="none", **options)
            monkeypatch.undo()
            for mine, theirs in zip(chunked, whole, strict=True):
                assert_close(mine, theirs)
            with torch.no_grad(), anymax.use_backend("cpu"):
                assert_close(rows, anymax.info_nce(query, key, reduction="none", **options))
    assert len(called) == 30


@EACH_WAY
def test_one_of_the_two_gradients(symmetric):
    query, key = randn(9, 3), randn(9, 3, at=1)
    expected = answer("reference", query, key, symmetric=symmetric)
    for at in range(2):
        inputs = [query.clone(), key.clone()]
        inputs[at].requires_grad_()
        with anymax.use_backend("cpu"):
            loss = anymax.info_nce(*inputs, symmetric=symmetric)
        (gradient,) = torch.autograd.grad(loss, inputs[at])
        assert_close(gradient, expected[1 + at])


@EACH_WAY
def test_second_derivatives_are_the_reference_s(symmetric):
    found = []
    for backend in ("cpu", "reference"):
        query, key = (tensor.requires_grad_() for tensor in (randn(6, 3), randn(6, 3, at=1)))
        temperature = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        with anymax.use_backend(backend):
            loss = anymax.info_nce(query, key, temperature=temperature, symmetric=symmetric)
            first = torch.autograd.grad(loss, (query, temperature), create_graph=True)
            total = sum(part.square().sum() for part in first)
            found.append(
                [part.detach() for part in first] + list(torch.autograd.grad(total, (query, key, temperature)))
            )
    for mine, theirs in zip(*found, strict=True):
        assert_close(mine, theirs)


@EACH_WAY
@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e3])
def test_small_and_large_scores(symmetric, scale):
    query, key = scale * randn(20, 4), randn(20, 4, at=1)
    found, exact = (answer(backend, query, key, symmetric=symmetric) for backend in ("cpu", "reference"))
    for mine, right in zip(found, exact, strict=True):
        assert_close(mine, right, rtol=1e-12, atol=1e-12)


@EACH_WAY
def test_threads_change_nothing_but_roundings_of_products(symmetric):
    query, key = randn(300, 8), randn(300, 8, at=1)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(answer("cpu", query, key, symmetric=symmetric))
    finally:
        torch.set_num_threads(threads)
    for mine, theirs in zip(*found, strict=True):
        assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


@EACH_WAY
def test_memory_stays_below_what_plain_torch_takes(symmetric):
    rows, width = 2304, 16
    query, key = torch.randn(rows, width, requires_grad=True), torch.randn(rows, width, requires_grad=True)
    target, block = torch.arange(rows), rows * rows * 4

    def plain():
        scores = query @ key.T / 0.07
        loss = torch.nn.functional.cross_entropy(scores, target)
        return (loss + torch.nn.functional.cross_entropy(scores.T, target)) / 2 if symmetric else loss

    def ours():
        with anymax.use_backend("cpu"):
            return anymax.info_nce(query, key, temperature=0.07, symmetric=symmetric)

    peaks = [peak_of_step(lambda loss=loss: loss().backward(), torch.device("cpu")) for loss in (ours, plain)]
    # one block of scores and one of a gradient; chunks of rows where columns are not needed
    assert peaks[0] < (2.2 if symmetric else 1.1) * block
    assert peaks[1] > (4 if symmetric else 2) * block


def test_what_it_refuses_is_the_reference_s():
    query, key = randn(4, 3).requires_grad_(), randn(4, 3, at=1)
    for options, words in (
        ({}, "cpu: taken"),
        ({"log_q": randn(4).requires_grad_()}, "cpu: not taken, it has no derivative in log_q"),
        ({"reduction": "none"}, "cpu: not taken, it has the derivative of a sum or a mean"),
    ):
        assert words in anymax.explain_backend(anymax.info_nce, query, key, **options)
    words = anymax.explain_backend(anymax.info_nce, query.unsqueeze(0), key.unsqueeze(0))
    assert "cpu: not taken, it is for one matrix of queries, got shape (1, 4, 3)" in words
