"""The library of CPU kernels: how it is built, loaded and chosen, and what is said where it is not there."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import anymax
from anymax._core.native import LIBRARY, native, result_like

ROOT = Path(__file__).parents[2]
needs_kernels = pytest.mark.skipif(native.level is None, reason=f"no kernels: {native.missing}")


def run(code, folder=ROOT, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        check=False,
    )


def hook():
    """hatch_build.py, which no package holds."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_kernels
def test_backends_says_what_runs():
    reference, cpu = anymax.backends()
    assert (reference.name, reference.missing, str(reference)) == (
        "reference",
        None,
        "reference: pure torch, serves every call",
    )
    assert cpu.name == "cpu"
    assert cpu.missing is None
    assert cpu.threads == torch.get_num_threads()
    assert str(cpu) == f"cpu: {cpu.instruction_set}, {cpu.threads} threads, built by {cpu.compiler}"


@needs_kernels
def test_the_best_instruction_set_is_taken_unless_another_is_asked_for():
    assert native.level == native.levels[-1] or os.environ.get("ANYMAX_INSTRUCTION_SET")
    shown = [f"x86-64-{level}" if level.startswith("v") else level for level in native.levels]
    expected = [
        (asked, level, name) for level, name in zip(native.levels, shown, strict=True) for asked in (level, name)
    ]
    # each in a process of its own, which has torch already
    done = run(f"""
import os
import torch
for asked in {[asked for asked, _, _ in expected]}:
    if os.fork() == 0:
        os.environ["ANYMAX_INSTRUCTION_SET"] = asked
        import anymax
        print(asked, anymax._core.native.native.level, anymax.backends()[1].instruction_set, flush=True)
        os._exit(0)
    os.wait()
""")
    assert [tuple(line.split()) for line in done.stdout.splitlines()] == expected, done.stderr


@needs_kernels
def test_an_instruction_set_that_is_not_there_is_named():
    done = run("import anymax; print(anymax.backends()[1])", ANYMAX_INSTRUCTION_SET="v9")
    assert "ANYMAX_INSTRUCTION_SET asks for 'v9'" in done.stdout
    assert native.levels[0] in done.stdout


HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@needs_kernels
@pytest.mark.skipif(not HUGE.exists() or "[never]" in HUGE.read_text(), reason="this system has no huge pages to give")
def test_a_large_result_lies_in_huge_pages():
    code = """
import re, torch, anymax
result = anymax.softmax(torch.zeros(2**12, 2**11), 1)
middle, found = result.data_ptr() + result.nbytes // 2, False
for line in open("/proc/self/smaps"):
    if place := re.match("([0-9a-f]+)-([0-9a-f]+) ", line):
        found = int(place[1], 16) <= middle < int(place[2], 16)
    elif found and line.startswith("VmFlags:"):
        print("hg" in line.split())
"""
    done = run(code)
    assert done.stdout.split() == ["True"], done.stderr


WITHOUT = """
import sys, warnings
from pathlib import Path
exists = Path.exists
Path.exists = lambda self: self.name != "kernels.so" and exists(self)
import anymax, torch
"""


def test_without_the_library_the_reference_serves_and_it_is_said_once():
    code = f"""{WITHOUT}
x = torch.randn(3, 5)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    compiled = torch.compile(lambda x: anymax.softmax(x, 1, temperature=2.0), backend="eager")(x)
    caught_while_tracing = [str(w.message) for w in caught if w.category is anymax.MissingKernelsWarning]
    for _ in range(2):
        anymax.softmax(x, 1)
        anymax.softmax(x, 1, temperature=2.0)
assert not caught_while_tracing, caught_while_tracing
said = [w for w in caught if w.category is anymax.MissingKernelsWarning]
assert len(said) == 1, said
assert said[0].filename == "<string>"
print(said[0].message)
print(anymax.backends()[1])
print(anymax.explain_backend(anymax.softmax, x, 1, temperature=2.0))
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    why = "this installation was built without a compiler; install g++ or clang (or ziglang) and reinstall anymax"
    first, second, *explained = done.stdout.splitlines()
    assert first.startswith(f"anymax runs without its CPU kernels: {why}")
    assert second.startswith(f"cpu: missing, {why}")
    assert f"  cpu: not taken, {why} from its sources" in explained


def test_without_the_library_a_forced_cpu_backend_is_refused_with_the_reason():
    done = run(f"{WITHOUT}\nwith anymax.use_backend('cpu'): anymax.softmax(torch.zeros(2), 0)")
    assert "NotImplementedError: softmax: the backend 'cpu' was asked for and cannot serve this call: " in done.stderr
    assert "was built without a compiler" in done.stderr


def test_a_library_that_cannot_be_loaded_is_told(tmp_path):
    package = tmp_path / "anymax"
    shutil.copytree(ROOT / "anymax", package, ignore=shutil.ignore_patterns("__pycache__", "lab"))
    (package / "_core/native" / LIBRARY.name).write_bytes(b"no library")
    done = run("import anymax; print(anymax.backends()[1])", tmp_path)
    assert "cpu: missing, the library of kernels cannot be loaded" in done.stdout, done.stderr


def test_the_build_takes_the_compiler_that_is_there(monkeypatch, tmp_path):
    build = hook()
    for name in ("clang++", "g++", "c++"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CXX", raising=False)
        assert build.compiler() == [str(tmp_path / name)]
    monkeypatch.setenv("CXX", "ccache g++-12")
    assert build.compiler() == ["ccache", "g++-12"]


def test_without_a_compiler_the_build_asks_for_ziglang_unless_no_kernels_are_wanted(monkeypatch, tmp_path):
    build = hook()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.delenv("ANYMAX_NO_KERNELS", raising=False)
    hatch = build.KernelsHook.__new__(build.KernelsHook)
    monkeypatch.setattr(build.KernelsHook, "target_name", "wheel", raising=False)
    assert build.compiler() is None
    assert hatch.dependencies() == ([build.ZIGLANG] if build.supported() else [])
    monkeypatch.setenv("ANYMAX_NO_KERNELS", "1")
    assert hatch.dependencies() == []


def test_every_source_is_built():
    families = hook().sources()
    assert set(families.values()) == {
        path for path in (ROOT / "anymax").rglob("*.cpp") if path.parent != ROOT / "anymax/_core/native"
    }
    assert len(families) == len(set(families))


@needs_kernels
@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(2, 3, 4),
        torch.zeros(2, 3, 4).permute(2, 0, 1),
        torch.zeros(2, 3, 4)[:, ::2],
        torch.zeros(2, 1, 4).expand(2, 3, 4),
        torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.zeros(0, 3),
        torch.zeros(1, 3)[:, :2],
        torch.zeros(()),
    ],
    ids=lambda tensor: f"{tuple(tensor.shape)} {tensor.stride()}",
)
def test_results_have_the_strides_that_tracing_is_told(tensor):
    with anymax.use_backend("cpu"):
        result = anymax.softmax(tensor, -1)
    assert result.stride() == result_like(tensor, tensor.dtype).stride()
