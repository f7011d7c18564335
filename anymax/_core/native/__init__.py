"""The library of CPU kernels: loading it, and why it is not there."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter

from anymax._core.context import is_batched, is_eager, is_kept
from anymax._core.dims import Dims
from anymax._core.dispatch import Kernel
from anymax._core.errors import warn

LIBRARY = Path(__file__).with_name("kernels.so")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
WHAT_TO_DO = "install g++ or clang (or ziglang) and reinstall anymax from its sources"


class MissingKernelsWarning(UserWarning):
    """anymax runs without its CPU kernels: everything is right, and much of it slower."""


class Native:
    """What was loaded: `level` is the instruction set, or None with the reason in `missing`."""

    level: str | None = None
    compiler: str | None = None
    levels: tuple[str, ...] = ()
    missing: str | None = None
    # said once in a process
    unsaid = False


native = Native()


def _load() -> None:
    if not LIBRARY.exists():
        native.missing = f"this installation was built without a compiler; {WHAT_TO_DO}"
        return
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        native.missing = f"the library of kernels cannot be loaded ({error}); {WHAT_TO_DO}"
        return
    for name in ("anymax_compiler", "anymax_levels", "anymax_register"):
        getattr(library, name).restype = ctypes.c_char_p
    native.compiler = library.anymax_compiler().decode()
    native.levels = tuple(library.anymax_levels().decode().split())
    wanted = os.environ.get("ANYMAX_INSTRUCTION_SET", "").removeprefix("x86-64-")
    level = library.anymax_register(wanted.encode())
    if level is None:
        native.missing = (
            f"ANYMAX_INSTRUCTION_SET asks for {wanted!r}; library and processor have {', '.join(native.levels)}"
            if wanted
            else "this processor has none of the library's instruction sets"
        )
        return
    native.level = level.decode()


_load()
native.unsaid = native.missing is not None


def say_what_is_missing() -> None:
    """Warn, once in a process and never while tracing, that everything runs on the reference."""
    if native.unsaid and not torch.compiler.is_compiling():
        native.unsaid = False
        warn(f"anymax runs without its CPU kernels: {native.missing}", MissingKernelsWarning)


# Entries of softmax and cross_entropy below which forward and backward together are faster in torch's own op: calling a
# Python function in autograd takes 10 microseconds or more. Of torch's time ours is 1.1 to 1.4 with 32000 entries, 0.95
# to 1.04 with 40000, 0.9 to 1.0 with 51200 (Intel Xeon, AVX-512, one thread).
FEWEST_WITH_GRADIENT = 40_000


def torch_is_faster(input: Tensor) -> bool:
    """Whether torch's own op serves a plain call: without the kernels, and for the derivatives of small tensors."""
    if native.level is None:
        say_what_is_missing()
        return True
    needs_grad = input.requires_grad and torch.is_grad_enabled()
    return needs_grad and not torch.compiler.is_compiling() and input.numel() < FEWEST_WITH_GRADIENT


class CpuKernel(Kernel):
    """A kernel of the library; `cannot` of each says what else it needs."""

    backend = "cpu"

    def refuses(self, *tensors: Tensor | float | None) -> str | None:
        """Why no kernel of this library serves a call with these tensors, if they are some."""
        if native.missing is not None:
            say_what_is_missing()
            return native.missing
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            if type(tensor) not in (Tensor, Parameter):
                return f"it is for plain tensors, got a {type(tensor).__name__}"
            if not tensor.is_cpu:
                return f"it is for tensors on the CPU, got one on {tensor.device}"
        return None

    def refuses_scores(self, scores: Tensor, *others: Tensor | float | None) -> str | None:
        """The same where the first tensor holds scores, which a kernel reads as one of DTYPES."""
        if reason := self.refuses(scores, *others):
            return reason
        if scores.dtype not in DTYPES:
            return f"it is for float32, float64, bfloat16 and float16, got {scores.dtype}"
        return None


def axes_of(dims: Dims) -> int:
    """The axes that compete as bits, which is how a kernel takes them."""
    return sum(1 << axis for axis in dims.axes)


def chained(gradient: Tensor, grad: Tensor, reduction: str) -> Tensor:
    """What was saved, times the upstream gradient: the same tensor where nobody needs it any more and that is 1."""
    if reduction != "none" and is_eager() and not is_batched(grad) and not is_kept() and grad == 1:
        return gradient
    return gradient * grad


def result_like(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """What Call::result_like (call.h) makes, without values: the strides of a dense tensor, else contiguous."""
    if tensor.is_contiguous() or _is_dense(tensor):
        return torch.empty_like(tensor, dtype=dtype)
    return torch.empty_like(tensor, dtype=dtype, memory_format=torch.contiguous_format)


def _is_dense(tensor: Tensor) -> bool:
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True
