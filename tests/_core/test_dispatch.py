"""The registry, forced backends, tensor subclasses, and what importing costs."""

import os
import subprocess
import sys

import pytest
import torch

import anymax
from anymax._core.dispatch import OPS


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_every_op_is_public_under_its_own_name():
    for name, op in OPS.items():
        assert getattr(anymax, name) is op.function
        assert name in anymax.__all__
        assert "reference" in op.implementations
        assert op.function.__doc__


def test_a_forced_backend_serves_and_an_unknown_one_is_named():
    x = torch.randn(3)
    with anymax.use_backend("reference"):
        assert torch.equal(anymax.softmax(x, 0), torch.softmax(x, 0))
        assert "taken, asked for" in anymax.explain_backend(anymax.softmax, x, 0)
    assert "taken, the only backend" in anymax.explain_backend(anymax.softmax, x, 0)
    with (
        pytest.raises(ValueError, match="unknown backend 'cuda'; this build has: reference"),
        anymax.use_backend("cuda"),
    ):
        pass
    with pytest.raises(ValueError, match="expected a public function of anymax"):
        anymax.explain_backend(torch.softmax, x, 0)


def test_a_backend_without_the_function_is_an_error_not_a_fallback(monkeypatch):
    monkeypatch.setattr("anymax._core.dispatch.BACKENDS", ("reference", "other"))
    with anymax.use_backend("other"):
        with pytest.raises(NotImplementedError, match="softmax: the backend 'other' was asked for"):
            anymax.softmax(torch.zeros(3), 0)
        assert "other: not taken, it does not have this function" in anymax.explain_backend(anymax.softmax)
    assert anymax.softmax(torch.zeros(2), 0).tolist() == [0.5, 0.5]


def test_the_environment_forces_a_backend_for_a_whole_run():
    code = "import torch, anymax; print(anymax.softmax(torch.zeros(2), 0).tolist())"
    assert run(code, ANYMAX_BACKEND="reference").stdout == "[0.5, 0.5]\n"
    assert "unknown backend 'nonsense'" in run(code, ANYMAX_BACKEND="nonsense").stderr


def test_compiled_code_follows_the_forced_backend(monkeypatch):
    monkeypatch.setattr("anymax._core.dispatch.BACKENDS", ("reference", "doubled"))
    monkeypatch.setitem(OPS["softmax"].implementations, "doubled", lambda x, *rest: 2 * torch.softmax(x, 0))
    compiled = torch.compile(lambda x: anymax.softmax(x, 0), fullgraph=True, backend="aot_eager")
    assert compiled(torch.zeros(2)).tolist() == [0.5, 0.5]
    with anymax.use_backend("doubled"):
        assert compiled(torch.zeros(2)).tolist() == [1.0, 1.0]
    assert compiled(torch.zeros(2)).tolist() == [0.5, 0.5]


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
    assert finished.stdout == expected, finished.stderr


def test_the_core_needs_torch_alone():
    code = """
import sys
for name in "numpy pandas sklearn scipy lightning torchmetrics matplotlib typer rich jinja2".split():
    sys.modules[name] = None
import anymax, anymax.nn, anymax.noise, torch
print(anymax.softmax(torch.zeros(2), 0).tolist(), "torch._dynamo" in sys.modules)
"""
    finished = run(code)
    assert finished.stdout == "[0.5, 0.5] False\n", finished.stderr


def test_types_are_shipped():
    assert os.path.exists(os.path.join(os.path.dirname(anymax.__file__), "py.typed"))
