"""linear_cross_entropy and linear_log_prob: laws of chunked code."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import anymax

IN_FEATURES, NUM_CLASSES, NUM_ROWS = 4, 9, 7
TARGET = torch.tensor([0, 3, -100, 8, 2, -100, 1])

# torch's own jvp decompositions are scripted when the first dual is made
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def draw(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def problem(*lead: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    lead = lead or (NUM_ROWS,)
    return (
        draw(*lead, IN_FEATURES, dtype=dtype),
        draw(NUM_CLASSES, IN_FEATURES, dtype=dtype, seed=1),
        draw(NUM_CLASSES, dtype=dtype, seed=2),
    )


def gradients(loss: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # uneven weights, so that a row's gradient cannot be another's
    weights = torch.linspace(0.5, 1.5, max(loss.numel(), 1), dtype=loss.dtype)[: loss.numel()].reshape(loss.shape)
    return torch.autograd.grad(loss, inputs, weights)


def mask_with_targets() -> Tensor:
    mask = torch.rand(NUM_ROWS, NUM_CLASSES, generator=torch.Generator().manual_seed(3)) > 0.3
    mask[torch.arange(NUM_ROWS), TARGET.clamp(min=0)] = True
    assert not mask.all()
    return mask


OPTIONS = {
    "plain": {},
    "weights and smoothing": {"weight": torch.linspace(0.0, 2.0, NUM_CLASSES), "label_smoothing": 0.1},
    "z-loss, softcap, temperature": {"z_loss": 0.1, "softcap": 3.0, "temperature": 0.7},
    "temperature per row": {"temperature": torch.linspace(0.5, 2.0, NUM_ROWS)[:, None]},
    "mask": {"mask": mask_with_targets(), "label_smoothing": 0.1, "z_loss": 0.1},
    "mask for all rows": {"mask": torch.arange(NUM_CLASSES) != 4},
    "prior": {"class_prior": torch.linspace(5.0, 0.1, NUM_CLASSES), "softcap": 3.0, "temperature": 0.7, "z_loss": 0.1},
    "counts": {"class_prior": torch.arange(NUM_CLASSES).flip(0) + 1, "mask": mask_with_targets()},
}


@pytest.mark.parametrize("chunks", [1, 2, 3, NUM_ROWS, 50])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_equals_cross_entropy_of_linear(options: dict, reduction: str, chunks: int) -> None:
    inputs = features, table, bias = problem()
    loss = anymax.linear_cross_entropy(
        features, table, TARGET, linear_bias=bias, reduction=reduction, chunks=chunks, **options
    )
    expected = anymax.cross_entropy(linear(features, table, bias), TARGET, reduction=reduction, **options)
    assert_close(loss, expected)
    assert_close(gradients(loss, inputs), gradients(expected, inputs))


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("lead", [(), (1,), (5,), (2, 3), (2, 0, 3), (2, 1, 3)])
def test_leading_axes(lead: tuple[int, ...], chunks: int) -> None:
    inputs = features, table, bias = draw(*lead, IN_FEATURES), *problem()[1:]
    probabilities = torch.softmax(draw(*lead, NUM_CLASSES, seed=5), -1).detach()
    # the mask varies along the first and the last axis, the temperature along the last but one
    mask = torch.ones(*lead[:1], *[1] * (len(lead) - 1), NUM_CLASSES, dtype=torch.bool)
    mask[..., 4] = False
    mask.view(-1, NUM_CLASSES)[0, 5] = False
    temperature = torch.linspace(0.5, 2.0, lead[-1])[:, None] if lead else 0.5
    for target, options in (
        (torch.full(lead, 3, dtype=torch.int32), {"mask": mask, "temperature": temperature}),
        (probabilities, {"temperature": temperature, "z_loss": 0.1}),
    ):
        options = {"reduction": "none", **options}
        loss = anymax.linear_cross_entropy(features, table, target, linear_bias=bias, chunks=chunks, **options)
        expected = anymax.cross_entropy(linear(*inputs), target, dim=-1, **options)
        assert loss.shape == lead
        assert_close(loss, expected)
        assert_close(gradients(loss, inputs), gradients(expected, inputs))


@pytest.mark.parametrize("chunks", [1, 3])
def test_log_prob_equals_log_prob_of_linear(chunks: int) -> None:
    inputs = features, table, bias = problem()
    options = {**OPTIONS["counts"], "softcap": 3.0, "temperature": 0.7}
    result = anymax.linear_log_prob(features, table, TARGET, linear_bias=bias, chunks=chunks, **options)
    expected = anymax.log_prob(linear(*inputs), TARGET, **options)
    for part, wanted in zip(result, expected, strict=True):
        assert_close(part, wanted)
        assert_close(
            torch.autograd.grad(part.square().sum(), inputs, retain_graph=True),
            torch.autograd.grad(wanted.square().sum(), inputs, retain_graph=True),
        )


def every_option(features: Tensor, table: Tensor, bias: Tensor, prior: Tensor) -> Tensor:
    options = {"label_smoothing": 0.1, "z_loss": 0.1, "softcap": 5.0, "class_prior": prior.exp(), "chunks": 2}
    return anymax.linear_cross_entropy(features, table, TARGET[: len(features)], linear_bias=bias, **options)


def every_log_prob(features: Tensor, table: Tensor, bias: Tensor, prior: Tensor) -> tuple[Tensor, ...]:
    options = {"linear_bias": bias, "class_prior": prior.exp(), "chunks": 2}
    return tuple(anymax.linear_log_prob(features, table, TARGET[: len(features)], **options))


@pytest.mark.parametrize("function", [every_option, every_log_prob])
def test_first_second_and_forward_derivatives(function) -> None:
    inputs = draw(3, 2), draw(5, 2, seed=1), draw(5, seed=2), draw(5, seed=3)
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_the_gradient_of_a_half_prior_is_summed_over_chunks_in_float32() -> None:
    features, table, bias = (part.detach().float() for part in problem())
    found = []
    for chunks in (1, NUM_ROWS):
        prior = torch.linspace(0.5, 4, NUM_CLASSES, dtype=torch.bfloat16).requires_grad_()
        loss = anymax.linear_cross_entropy(features, table, TARGET, linear_bias=bias, class_prior=prior, chunks=chunks)
        found += torch.autograd.grad(loss, prior)
    assert_close(found[0], found[1], rtol=2**-8, atol=1e-6)


def test_temperature_learns_through_chunks() -> None:
    features, table, _ = problem()

    def function(temperature: Tensor, weight: Tensor) -> Tensor:
        return anymax.linear_cross_entropy(features, table, TARGET, weight=weight, temperature=temperature, chunks=3)

    temperature = torch.linspace(0.5, 2.0, NUM_ROWS, dtype=torch.float64)[:, None].requires_grad_()
    weight = torch.linspace(0.5, 2.0, NUM_CLASSES, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(function, (temperature, weight))


def test_torch_func_transforms() -> None:
    inputs = tuple(tensor.detach() for tensor in (*problem(), draw(NUM_CLASSES, seed=3)))

    def composed(features: Tensor, table: Tensor, bias: Tensor, prior: Tensor) -> Tensor:
        options = {"label_smoothing": 0.1, "z_loss": 0.1, "softcap": 5.0, "class_prior": prior.exp()}
        return anymax.cross_entropy(linear(features, table, bias), TARGET, **options)

    func = torch.func
    assert_close(func.grad(every_option)(*inputs), func.grad(composed)(*inputs))
    assert_close(func.hessian(every_option)(*inputs), func.hessian(composed)(*inputs))
    assert_close(func.jvp(every_option, inputs, inputs), func.jvp(composed, inputs, inputs))
    features, *others = inputs
    many = torch.stack([features, features + 1])
    batched = func.vmap(every_option, in_dims=(0, None, None, None))(many, *others)
    assert_close(batched, torch.stack([composed(one, *others) for one in many]))


def test_mean_over_nothing_is_zero_with_zero_gradient() -> None:
    for rows, target in ((0, TARGET[:0]), (3, torch.full((3,), -100))):
        features, table, bias = draw(rows, IN_FEATURES), *problem()[1:]
        loss = anymax.linear_cross_entropy(features, table, target, linear_bias=bias, z_loss=0.1, chunks=3)
        assert loss.item() == 0
        for gradient in torch.autograd.grad(loss, (features, table, bias)):
            assert_close(gradient, torch.zeros_like(gradient))


def test_extreme_rows_stay_alone() -> None:
    features, table, bias = problem()
    spoiled = features.detach().clone()
    spoiled[0, 0] = float("nan")
    for chunks in (1, 3):
        loss = anymax.linear_cross_entropy(spoiled, table, TARGET, linear_bias=bias, chunks=chunks, reduction="none")
        assert loss[0].isnan()
        assert loss[1:].isfinite().all()


@pytest.mark.parametrize("trains", ["features", "table", "bias"])
def test_frozen_parts(trains: str) -> None:
    parts = dict(zip(("features", "table", "bias"), problem(), strict=True))
    only = parts[trains]
    frozen = {name: part if name == trains else part.detach() for name, part in parts.items()}
    loss = anymax.linear_cross_entropy(
        frozen["features"], frozen["table"], TARGET, linear_bias=frozen["bias"], chunks=3
    )
    expected = anymax.cross_entropy(linear(*parts.values()), TARGET)
    assert_close(torch.autograd.grad(loss, only), torch.autograd.grad(expected, only))


def test_table_tied_to_the_features() -> None:
    table = problem()[1]
    ids = torch.tensor([1, 4, 4, 8, 0])
    loss = anymax.linear_cross_entropy(table[ids], table, ids, chunks=2)
    expected = anymax.cross_entropy(linear(table[ids], table), ids)
    assert_close(torch.autograd.grad(loss, table), torch.autograd.grad(expected, table))


def test_strides_do_not_matter() -> None:
    features, table, bias = problem()
    loss = anymax.linear_cross_entropy(
        features.t().contiguous().t(),
        table.repeat_interleave(2, 0)[::2],
        torch.stack([TARGET, TARGET], 1)[:, 0],
        linear_bias=bias[:1].expand(NUM_CLASSES),
        chunks=3,
    )
    assert_close(loss, anymax.cross_entropy(linear(features, table, bias[:1].expand(NUM_CLASSES)), TARGET))


def test_backward_refuses_a_table_that_changed() -> None:
    features, table, bias = problem()
    loss = anymax.linear_cross_entropy(features, table, TARGET, linear_bias=bias, chunks=3)
    with torch.no_grad():
        table.add_(1)
    with pytest.raises(RuntimeError, match="modified in place between the forward and the backward pass"):
        loss.backward()


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_gradients_do_not_lose_with_the_number_of_chunks(dtype: torch.dtype, autocast: bool) -> None:
    """64 chunks: the error against float64 is that of one product, not of 64 roundings on top of each other."""
    rows = 256
    features, table, bias = draw(rows, 32), draw(64, 32, seed=1), draw(64, seed=2)
    target = torch.randint(64, (rows,), generator=torch.Generator().manual_seed(0))

    def run(dtype: torch.dtype, chunks: int) -> tuple[Tensor, ...]:
        inputs = tuple(tensor.detach().to(dtype).requires_grad_() for tensor in (features, table, bias))
        loss = anymax.linear_cross_entropy(
            inputs[0], inputs[1], target, linear_bias=inputs[2], chunks=chunks, reduction="sum"
        )
        assert loss.dtype == (torch.float32 if autocast and dtype != torch.float64 else dtype)
        return tuple(gradient.double() for gradient in torch.autograd.grad(loss, inputs))

    exact = run(torch.float64, 1)
    with torch.autocast("cpu", dtype, enabled=autocast):
        stored = torch.float32 if autocast else dtype
        whole, chunked = run(stored, 1), run(stored, 64)
    for right, one, many in zip(exact, whole, chunked, strict=True):
        assert (many - right).norm() <= 1.1 * (one - right).norm()


class LargestResult(TorchDispatchMode):
    """The most bytes that one operation returned."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.bytes = max(self.bytes, result.numel() * result.element_size())
        return result


@pytest.mark.parametrize("budget", [1, 8 * NUM_CLASSES * 64, 8 * NUM_CLASSES * 64 * 3 + 1])
def test_memory_budget_is_kept(budget: int) -> None:
    features, table, bias = draw(1000, IN_FEATURES), *problem()[1:]
    target = torch.zeros(1000, dtype=torch.long)
    with LargestResult() as largest:
        anymax.linear_cross_entropy(features, table, target, linear_bias=bias, memory_budget=budget).backward()
    # besides the scores there are the features and one number per row
    assert largest.bytes <= max(budget, 1000 * IN_FEATURES * 8)
    with LargestResult() as whole:
        anymax.linear_cross_entropy(features, table, target, linear_bias=bias).backward()
    assert whole.bytes == 1000 * NUM_CLASSES * 8


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_memory_budget_counts_scores_of_half_types_in_float32(dtype: torch.dtype) -> None:
    budget = 4 * NUM_CLASSES * 600
    features, table = draw(1000, IN_FEATURES, dtype=dtype), problem(dtype=dtype)[1]
    # a kernel holds them in the half type, in as many chunks
    with anymax.use_backend("reference"), LargestResult() as largest:
        anymax.linear_cross_entropy(features, table, torch.zeros(1000).long(), memory_budget=budget).backward()
    # 500 rows are a chunk; counted in the half type, all 1000 would be one
    assert largest.bytes == 4 * NUM_CLASSES * 500


def test_default_keeps_scores_of_a_chunk_within_the_table() -> None:
    table = torch.zeros(2**20, 8)
    with torch.no_grad(), LargestResult() as largest:
        anymax.linear_cross_entropy(torch.zeros(21, 8), table, torch.zeros(21, dtype=torch.long))
    assert largest.bytes <= 2**20 * 8 * 4


def test_compiled_graphs_do_not_follow_the_number_of_rows() -> None:
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    chunked = partial(anymax.linear_cross_entropy, chunks=16)
    compiled = torch.compile(chunked, backend=backend, fullgraph=True, dynamic=True)
    table = problem()[1]
    for rows in (100, 64, 33, 999, 32):
        features, target = draw(rows, IN_FEATURES), torch.arange(rows) % NUM_CLASSES
        assert_close(compiled(features, table, target), anymax.linear_cross_entropy(features, table, target))
    assert len(graphs) == 1
    # chunks of less than two rows are not worth a graph each: all small batches share one without chunks
    for rows in (31, 17, 16, 5, 2):
        features, target = draw(rows, IN_FEATURES), torch.arange(rows) % NUM_CLASSES
        assert_close(compiled(features, table, target), anymax.linear_cross_entropy(features, table, target))
    assert len(graphs) == 2


def test_compiled_code_has_one_chunk_where_the_scores_are_small() -> None:
    def products(num_classes: int) -> int:
        counts = []

        def backend(graph, example_inputs):
            nodes = [node for module in graph.modules() for node in getattr(module, "graph", torch.fx.Graph()).nodes]
            counts.append(sum(node.target is torch._C._nn.linear for node in nodes))
            return graph.forward

        torch._dynamo.reset()
        compiled = torch.compile(anymax.linear_cross_entropy, backend=backend, fullgraph=True)
        with torch.no_grad():
            compiled(draw(64, 3), draw(num_classes, 3), torch.zeros(64, dtype=torch.long))
        return counts[0]

    assert products(5000) == 1
    assert products(2**14) == 16


@pytest.mark.parametrize("rows", [37, 64])
def test_compiled_gradients(rows: int) -> None:
    torch._dynamo.reset()
    inputs = draw(rows, IN_FEATURES), *problem()[1:]
    target = torch.arange(rows) % (NUM_CLASSES + 1) - 1
    temperature = torch.linspace(0.5, 2.0, rows)[:, None]
    mask = torch.ones(rows, NUM_CLASSES, dtype=torch.bool)
    mask[target != 4, 4] = False

    def function(features: Tensor, table: Tensor, bias: Tensor) -> Tensor:
        return anymax.linear_cross_entropy(
            features,
            table,
            target,
            linear_bias=bias,
            ignore_index=-1,
            z_loss=0.1,
            temperature=temperature,
            mask=mask,
            chunks=4,
        )

    loss = torch.compile(function, backend="aot_eager", fullgraph=True)(*inputs)
    expected = function(*inputs)
    assert_close(loss, expected)
    assert_close(torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs))


class Loss(torch.nn.Module):
    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(table)

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        return anymax.linear_cross_entropy(features, self.table, target)


def test_exported_program_takes_any_number_of_rows() -> None:
    module = Loss(problem()[1].detach())
    rows = {0: torch.export.Dim("rows")}
    exported = torch.export.export(
        module, (problem()[0].detach(), TARGET), dynamic_shapes=(rows, rows), strict=True
    ).module()
    for count in (2, 40, 100):
        features, target = draw(count, IN_FEATURES), torch.arange(count) % NUM_CLASSES
        assert_close(exported(features, target), module(features, target))


def peak_bytes(which: str) -> int:
    script = Path(__file__).with_name("peak_memory.py")
    run = subprocess.run([sys.executable, str(script), which], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)["peak_bytes"]


def test_eager_peak_is_below_a_quarter_of_the_composed_call() -> None:
    """Measured: 68 MiB, the reference 132 MiB, against 1536 MiB."""
    composed = peak_bytes("composed")
    assert peak_bytes("eager") < composed / 4
    assert peak_bytes("prior") < composed / 4


def test_compiled_peak_is_below_a_quarter_of_the_scores() -> None:
    """Stricter than a quarter of the composed call, which holds the scores and more: 548 MiB compiled, 1536 MiB eager.
    Measured: 100 MiB; 256 MiB with torch 2.10, whose inductor fuses chunks with one another."""
    fuses_chunks = torch.__version__.startswith("2.10.")
    assert peak_bytes("compiled") < 4096 * 32768 * 4 / (1.9 if fuses_chunks else 4)


torch_options = getattr(torch.nn, "LinearCrossEntropyOptions", None)


@pytest.mark.skipif(torch_options is None, reason="this torch has no LinearCrossEntropyOptions")
def test_options_of_torch_set_the_rows_of_a_chunk() -> None:
    # a kernel makes the gradient of the features along with the loss, which would be the largest
    features, table, bias = draw(1000, IN_FEATURES).detach(), *problem()[1:]
    target = torch.zeros(1000, dtype=torch.long)
    expected = anymax.linear_cross_entropy(features, table, target, linear_bias=bias)
    for size, held in ((300, 250), (500, 500), (5000, 1000)):
        options = torch_options(batch_chunk_size=size)
        with LargestResult() as largest:
            loss = anymax.linear_cross_entropy(features, table, target, linear_bias=bias, options=options)
        assert_close(loss, expected)
        assert largest.bytes == held * NUM_CLASSES * 8


def test_errors_say_what_to_write() -> None:
    features, table = (tensor.detach() for tensor in problem()[:2])
    zeros = torch.zeros
    call = anymax.linear_cross_entropy
    for error, message, arguments, options in (
        (
            ValueError,
            r"linear_weight must be a matrix .* got shape \(9, 2, 4\); for a table per position write "
            r"cross_entropy\(torch.einsum\('nf,c...f->nc...', input, linear_weight\), target\)",
            (features, zeros(9, 2, 4), TARGET),
            {},
        ),
        (
            ValueError,
            r"shape \(classes, 4\) .* got \(4, 9\); write linear_weight.t\(\)",
            (features, table.t(), TARGET),
            {},
        ),
        (ValueError, "input must have an axis of features", (zeros(()), table, TARGET), {}),
        (
            TypeError,
            "linear_weight must have the input's dtype torch.float64, got torch.float32",
            (features, table.float(), TARGET),
            {},
        ),
        (TypeError, "linear_bias must have the input's dtype", (features, table, TARGET), {"linear_bias": zeros(9)}),
        (
            ValueError,
            r"linear_bias must have one entry per class, shape \(9,\), got \(4,\)",
            (features, table, TARGET),
            {"linear_bias": zeros(4, dtype=torch.float64)},
        ),
        (
            TypeError,
            "input must be a floating-point tensor, got torch.int64; write input.float()",
            (features.long(), table, TARGET),
            {},
        ),
        (TypeError, "target must hold class ids", (features, table, TARGET > 0), {}),
        (ValueError, "if these are class ids, write target.long()", (features, table, TARGET.double()), {}),
        (ValueError, r"write target.squeeze\(-1\)", (features, table, TARGET[:, None]), {}),
        (ValueError, r"target.argmax\(-1\) as ids", (features, table, zeros(7, 9, dtype=torch.long)), {}),
        (ValueError, r"target ids must be in \[0, 8\]", (features, table, TARGET + 50), {}),
        (ValueError, "reduction must be one of", (features, table, TARGET), {"reduction": "average"}),
        (ValueError, "chunks must be at least 1, got 0", (features, table, TARGET), {"chunks": 0}),
        (TypeError, "chunks must be an int", (features, table, TARGET), {"chunks": 2.0}),
        (
            ValueError,
            "chunks and memory_budget both say",
            (features, table, TARGET),
            {"chunks": 2, "memory_budget": 100},
        ),
        (
            TypeError,
            "options must be a torch.nn.LinearCrossEntropyOptions",
            (features, table, TARGET),
            {"options": {"batch_chunk_size": 2}},
        ),
    ):
        with pytest.raises(error, match=message) as caught:
            call(*arguments, **options)
        assert str(caught.value).startswith("linear_cross_entropy: ")


@pytest.mark.skipif(torch_options is None, reason="this torch has no LinearCrossEntropyOptions")
def test_options_of_torch_that_are_refused() -> None:
    features, table, _ = problem()
    for message, options, more in (
        ("write chunks= or memory_budget=", {"chunking_method": "aspect_ratio:2"}, {}),
        ("acc_dtype must be torch.float64", {"acc_dtype": torch.float32}, {}),
        ("options and chunks or memory_budget all say", {}, {"chunks": 2}),
    ):
        with pytest.raises(ValueError, match=message):
            anymax.linear_cross_entropy(features, table, TARGET, options=torch_options(**options), **more)


def test_memory_budget_is_refused_in_compiled_code() -> None:
    features, table, _ = problem()
    compiled = torch.compile(anymax.linear_cross_entropy, backend="eager", fullgraph=True)
    with pytest.raises(Exception, match="memory_budget cannot be kept in compiled code"):
        compiled(features, table, TARGET, memory_budget=100)
