"""The kernels under the address and the undefined-behaviour sanitizer."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anymax._core.native import LIBRARY, native
from tests._core.test_native import ROOT, hook

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-O1", "-g1")
GCC = shutil.which("g++")

if GCC is None or native.level is None:
    pytest.skip("it needs g++ and a processor that the kernels are for", allow_module_level=True)


def swept(folder, level, extent):
    """Build a copy of anymax for one instruction set with sanitizers, and run edges.py on it."""
    ignored = shutil.ignore_patterns("__pycache__", "lab", LIBRARY.name)
    shutil.copytree(ROOT / "anymax", folder / "anymax", ignore=ignored)
    builder = hook()
    builder.LEVELS = {platform.machine(): {level: builder.LEVELS[platform.machine()][level]}}
    builder.build(folder / "anymax/_core/native" / LIBRARY.name, [GCC], FLAGS)
    runtime = subprocess.run([GCC, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    environment = {
        "PYTHONPATH": str(folder),
        "ANYMAX_INSTRUCTION_SET": level,
        "LD_PRELOAD": runtime.stdout.strip(),
        # Python keeps what it has until it ends
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("edges.py")), extent],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_no_kernel_leaves_its_memory(tmp_path):
    done = swept(tmp_path, native.levels[-1], "part")
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == [native.levels[-1], "is", "clean"]


@pytest.mark.slow
@pytest.mark.parametrize("level", native.levels)
def test_no_kernel_leaves_its_memory_at_any_edge(tmp_path, level):
    done = swept(tmp_path, level, "whole")
    assert done.returncode == 0, done.stderr[-4000:]
