"""The registry, kernels of a backend made here, forced backends, tensor subclasses, and what importing costs."""

import contextlib
import os
import subprocess
import sys

import pytest
import torch
from torch.autograd import forward_ad
from torch.testing import assert_close

import anymax
from anymax._core import random
from anymax._core.dispatch import CHOICES, OPS, Kernel
from anymax._core.native import native
from anymax.ops.gumbel.api import gumbel_softmax_loss
from anymax.testing import CASES
from anymax.testing.laws import Refused, holds, matches_float64


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


# Ops, so that nn holds no maths; called through their heads.
OF_HEADS = {
    "adaptive_log_prob",
    "adaptive_softmax_loss",
    "gumbel_softmax_loss",
    "hierarchical_log_prob",
    "hierarchical_softmax_loss",
    "one_vs_rest_loss",
}


def test_every_op_is_public_under_its_own_name():
    assert set(OPS) >= OF_HEADS
    for name, op in OPS.items():
        assert op.function.__name__ == name
        if name in OF_HEADS:
            assert not hasattr(anymax, name)
        else:
            assert getattr(anymax, name) is op.function
            assert name in anymax.__all__
        assert CHOICES[name] is op.choice
        assert op.function.__doc__


class Tripled(Kernel):
    """A backend that has softmax in float32 over one axis and nothing else; its answers are known by their size."""

    backend = "tripled"

    def cannot(self, input, dims, temperature, mask, sink):
        if input.dtype != torch.float32:
            return f"it computes in float32, and the input is {input.dtype}"
        return None if mask is None else "it knows no mask"

    def not_worth(self, input, *rest):
        return "torch is faster below 4 entries" if input.numel() < 4 else None

    def __call__(self, input, dims, *rest):
        return 3 * torch.softmax(input, dims.axes[0])


class Zeros(Kernel):
    """Random words that are all 0, of the same backend."""

    backend = "tripled"

    def cannot(self, seed, shape, device):
        return None

    def __call__(self, seed, shape, device):
        return torch.zeros((*seed.shape, *shape), dtype=torch.int64, device=device)


@pytest.fixture
def tripled(monkeypatch):
    monkeypatch.setattr(OPS["softmax"].choice, "kernels", (Tripled(),))
    monkeypatch.setattr(random.WORDS, "kernels", (Zeros(),))


ONE, THREE = torch.ones(2), torch.full((2,), 3.0)


def mass(x, **options):
    return anymax.softmax(x, 1, **options).sum(1)


def test_the_first_kernel_that_can_and_is_worth_it_is_taken(tripled):
    x = torch.randn(2, 3)
    assert_close(mass(x), THREE)
    assert_close(mass(x.double()), ONE.double())
    assert_close(mass(x, mask=x > -9), ONE)
    assert_close(mass(x[:, :1]), ONE)


def test_a_forced_backend_serves_whatever_is_worth_it(tripled):
    with anymax.use_backend("tripled"):
        assert_close(mass(torch.zeros(2, 1)), THREE)
    with anymax.use_backend("reference"):
        assert_close(mass(torch.zeros(2, 3)), ONE)


def test_a_forced_backend_refuses_with_the_kernel_s_own_reason(tripled):
    with anymax.use_backend("tripled"):
        with pytest.raises(NotImplementedError, match="softmax: the backend 'tripled' was asked for and cannot serve"):
            mass(torch.zeros(2, 3).double())
        with pytest.raises(NotImplementedError, match="it computes in float32, and the input is torch"):
            mass(torch.zeros(2, 3).double())
        with pytest.raises(NotImplementedError, match="it does not have log_softmax"):
            anymax.log_softmax(torch.zeros(2, 3), 1)


def test_a_shared_piece_has_kernels_too(tripled):
    words = random.words(torch.tensor(5), (3,), torch.device("cpu"))
    assert words.tolist() == [0, 0, 0]
    with anymax.use_backend("reference"):
        assert random.words(torch.tensor(5), (3,), torch.device("cpu")).unique().numel() == 3


def test_transforms_and_forward_mode_go_to_the_reference_under_every_backend(tripled):
    x = torch.randn(4, 2, 3)
    for context in (contextlib.nullcontext(), anymax.use_backend("tripled")):
        with context:
            assert_close(torch.vmap(mass)(x), torch.ones(4, 2))
            assert_close(torch.func.jvp(mass, (x[0],), (x[1],))[0], ONE)
            assert_close(torch.func.grad(lambda row: anymax.softmax(row, 1)[0, 0])(x[0]).sum(1), torch.zeros(2))
            with forward_ad.dual_level():
                assert_close(mass(forward_ad.make_dual(x[0], x[1])), ONE)


def test_compiled_code_keeps_the_kernel_and_never_asks_a_size_whether_it_is_worth_it(tripled):
    compiled = torch.compile(mass, fullgraph=True, backend="aot_eager", dynamic=True)
    for width in (3, 1, 5):
        assert_close(compiled(torch.randn(2, width)), THREE)
    assert_close(compiled(torch.randn(2, 3).double()), ONE.double())
    transformed = torch.compile(torch.vmap(mass), fullgraph=True, backend="aot_eager")
    assert_close(transformed(torch.randn(4, 2, 3)), torch.ones(4, 2))


def test_exported_code_takes_the_reference(tripled):
    class Module(torch.nn.Module):
        def forward(self, x):
            return mass(x)

    assert_close(torch.export.export(Module(), (torch.randn(2, 3),)).module()(torch.randn(2, 3)), ONE)


def test_compiled_code_follows_the_forced_backend(tripled):
    compiled = torch.compile(mass, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 3)
    assert_close(compiled(x), THREE)
    with anymax.use_backend("reference"):
        assert_close(compiled(x), ONE)
    assert_close(compiled(x), THREE)


def test_the_laws_of_a_backend_meet_what_it_serves_and_say_what_it_refuses(tripled):
    case = next(case for case in CASES if str(case) == "softmax-last")
    with pytest.raises(AssertionError):
        holds(matches_float64, case, "tripled")
    masked = next(case for case in CASES if str(case) == "softmax-masked")
    with pytest.raises(Refused, match="it knows no mask"):
        holds(matches_float64, masked, "tripled")


def test_explain_backend_asks_the_objects_that_choose(tripled):
    x = torch.randn(2, 3)
    plain = f"  torch: not taken, it is for {OPS['softmax'].plain.calls}"
    assert anymax.explain_backend(anymax.softmax, x, 1).splitlines() == ["softmax:", plain, "  tripled: taken"]
    lines = anymax.explain_backend(anymax.softmax, x, 1, mask=x > 0).splitlines()
    assert lines[2:] == [
        "  tripled: not taken, it knows no mask",
        "  reference: taken, no kernel serves this call",
    ]
    assert "tripled: not taken, torch is faster below 4 entries" in anymax.explain_backend(anymax.softmax, x[:, :1], 1)
    with anymax.use_backend("tripled"):
        assert "tripled: taken, asked for by use_backend" in anymax.explain_backend(anymax.softmax, x, 1)
        assert "and refused: it knows no mask" in anymax.explain_backend(anymax.softmax, x, 1, mask=x > 0)
    drawn = anymax.explain_backend(gumbel_softmax_loss, x, torch.tensor([0, 1]))
    assert drawn.splitlines() == [
        "gumbel_softmax_loss:",
        "  reference: taken, the only backend that this build has for it",
        "random.words:",
        "  tripled: taken",
    ]


def test_explain_backend_names_torch_s_own_op_and_which_calls_it_is_for():
    x = torch.randn(2, 3, requires_grad=True)
    calls = OPS["softmax"].plain.calls
    assert calls.startswith("float32 or float64, an int dim and no option")
    assert anymax.explain_backend(anymax.softmax, x, 1) == f"softmax:\n  torch: taken, {calls}"
    for call in ({"temperature": 2.0}, {"dim": (0, 1)}, {"input": x.bfloat16()}):
        text = anymax.explain_backend(anymax.softmax, **{"input": x, "dim": 1, **call})
        kernels = ["  cpu: taken"]
        if native.missing:
            kernels = [f"  cpu: not taken, {native.missing}", "  reference: taken, no kernel serves this call"]
        assert text.splitlines()[1:] == [f"  torch: not taken, it is for {calls}", *kernels]
    ids = torch.tensor([0, 2])
    assert "torch: taken" in anymax.explain_backend(anymax.cross_entropy, x, ids)
    ignored = torch.full((2,), -100)
    for targets, options in ((ids.int(), {}), (ids, {"z_loss": 0.1}), (ignored, {})):
        taken = "reference: taken" if native.missing else "cpu: taken"
        assert taken in anymax.explain_backend(anymax.cross_entropy, x, targets, **options)


def test_a_plain_call_says_what_the_general_one_says():
    x, ids = torch.randn(2, 3), torch.tensor([0, 2])
    for function, call, error, words in (
        (anymax.softmax, {}, TypeError, "missing 1 required positional argument: 'input'; the call is softmax"),
        (anymax.softmax, {"dim": 1}, TypeError, "missing 1 required positional argument: 'input'"),
        (anymax.softmax, {"input": x, "dim": 2}, IndexError, "softmax: dim must be in"),
        (anymax.logsumexp, {"input": x}, TypeError, "missing 1 required positional argument: 'dim'"),
        (anymax.cross_entropy, {"target": ids}, TypeError, "missing 1 required positional argument: 'input'"),
        (anymax.cross_entropy, {"input": x, "target": ids + 1}, ValueError, "write target - 1"),
        (anymax.cross_entropy, {"input": x, "target": ids[:1]}, ValueError, "target must have the input's shape"),
        (anymax.cross_entropy, {"input": x[0], "target": torch.tensor([0, 1, 2])}, ValueError, "target must have the"),
    ):
        with pytest.raises(error, match=words):
            function(**call)
    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 3 were given"):
        anymax.softmax(x, 1, 3)
    assert_close(anymax.softmax(dim=1, input=x), torch.softmax(x, 1))
    assert anymax.cross_entropy(x, torch.full((2,), -100)) == 0


def test_explain_backend_leaves_generators_as_they_were_and_raises_what_the_call_raises():
    generator = torch.Generator().manual_seed(3)
    states = torch.get_rng_state(), generator.get_state()
    anymax.explain_backend(anymax.sample, torch.zeros(3), 0)
    anymax.explain_backend(anymax.sample, torch.zeros(3), 0, generator=generator)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert torch.equal(generator.get_state(), states[1])
    with pytest.raises(IndexError, match="softmax: dim must be in"):
        anymax.explain_backend(anymax.softmax, torch.zeros(3), 4)
    with pytest.raises(ValueError, match="expected a public function of anymax"):
        anymax.explain_backend(torch.softmax, torch.zeros(3), 0)


def test_an_unknown_backend_is_named():
    with (
        pytest.raises(ValueError, match="unknown backend 'cuda'; this build has: reference"),
        anymax.use_backend("cuda"),
    ):
        pass


def test_the_environment_forces_a_backend_for_a_whole_run():
    code = "import torch, anymax; print(anymax.softmax(torch.zeros(2), 0).tolist())"
    assert run(code, ANYMAX_BACKEND="reference").stdout == "[0.5, 0.5]\n"
    assert "unknown backend 'nonsense'" in run(code, ANYMAX_BACKEND="nonsense").stderr


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda x: anymax.softmax(x, axis=1),
            r"unexpected keyword argument 'axis'; the call is softmax\(input, dim=None, \*, temperature=1.0, mask=None",
        ),
        (
            lambda x: anymax.sample(x),
            r"missing 1 required positional argument: 'dim'; the call is sample\(input, dim, ",
        ),
        (
            lambda x: anymax.cross_entropy(x, x, size_average=False),
            r"'size_average'; the call is cross_entropy\(input, ",
        ),
        (lambda x: anymax.nce_loss(weights=x, biases=x, labels=x, inputs=x), r"; the call is nce_loss\(input, linear_"),
    ],
)
def test_arguments_that_do_not_fit_are_told_the_call(call, words):
    with pytest.raises(TypeError, match=words):
        call(torch.zeros(2, 3))


def test_other_type_errors_stay_as_they_are():
    with pytest.raises(TypeError) as caught:
        anymax.softmax(torch.zeros(2).long(), 0)
    assert "the call is" not in str(caught.value)


class Tagged(torch.Tensor):
    """A subclass that remembers which functions it met."""

    seen: list = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_tensor_subclass_sees_the_public_function_first():
    tagged = torch.zeros(2, 3).as_subclass(Tagged)
    for call, function in (
        (lambda: anymax.softmax(tagged, 1), anymax.softmax),
        (lambda: anymax.softmax(torch.zeros(2, 3), 1, sink=tagged[:, :1]), anymax.softmax),
        (lambda: anymax.cross_entropy(tagged, torch.zeros(2).long()), anymax.cross_entropy),
    ):
        Tagged.seen.clear()
        result = call()
        assert next(name for name in Tagged.seen if name in {op.function for op in OPS.values()}) is function
        assert isinstance(result, Tagged)


def test_a_dtensor_is_one_clear_error():
    code = """
import torch, anymax
import torch.distributed as dist
from torch.distributed.tensor import DTensor, init_device_mesh
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
x = DTensor.from_local(torch.zeros(2, 3), init_device_mesh("cpu", (1,)))
try:
    anymax.softmax(x, 1)
except NotImplementedError as error:
    print(error)
dist.destroy_process_group()
"""
    expected = "softmax: input is a DTensor, which no backend serves yet; pass input.full_tensor()\n"
    finished = run(code)
    # gloo prints a line of its own in torch 2.10
    assert expected in finished.stdout.splitlines(keepends=True), finished.stderr


def test_the_core_needs_torch_alone():
    code = """
import sys
for name in "numpy pandas sklearn scipy lightning_fabric lightning torchmetrics matplotlib typer rich jinja2".split():
    sys.modules[name] = None
import anymax, anymax.nn, anymax.noise, torch
print(anymax.softmax(torch.zeros(2), 0).tolist(), "torch._dynamo" in sys.modules)
"""
    finished = run(code)
    assert finished.stdout == "[0.5, 0.5] False\n", finished.stderr


def test_types_are_shipped():
    assert os.path.exists(os.path.join(os.path.dirname(anymax.__file__), "py.typed"))
