"""What is going on around a call: transforms, forward mode, tracing, fake tensors. Nobody else asks torch for it."""

from __future__ import annotations

import os

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad


def transforms_active() -> bool:
    """True under `torch.func` transforms (vmap, grad, jvp, ...), also while Dynamo traces one."""
    return torch._C._are_functorch_transforms_active()


def may_be_forward_mode() -> bool:
    """False where no tensor can be a dual of `torch.autograd.forward_ad` (tracing knows none)."""
    return forward_ad._current_level >= 0 and not torch.compiler.is_compiling()


def forward_mode(*tensors: Tensor) -> bool:
    """True where one of the tensors is a dual."""
    return may_be_forward_mode() and any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)


def is_exporting() -> bool:
    """True while torch.export traces. Dynamo of torch 2.10 answers torch's own function with True for any tracing."""
    return torch.compiler._is_exporting_flag


def is_eager() -> bool:
    """True where torch just computes: nothing is traced, and no transform or dispatch mode is active."""
    return not (torch.compiler.is_compiling() or transforms_active() or torch._C._len_torch_dispatch_stack())


def is_kept() -> bool:
    """Inside a backward pass: whether another may come, which needs what is saved as it is."""
    return torch._C._autograd._get_current_graph_task_keep_graph()  # type: ignore[attr-defined]


def is_batched(tensor: Tensor) -> bool:
    """True for what `is_grads_batched` hands to a backward pass, which is no transform to `transforms_active`."""
    return torch._C._functorch.is_legacy_batchedtensor(tensor)  # type: ignore[attr-defined]


def values_are_readable(*tensors: Tensor) -> bool:
    """True where a check may look at the numbers inside: eager mode on CPU, or `ANYMAX_CHECK=1`.

    Everywhere else (tracing, transforms, fake tensors, accelerators) reading would break or stall, and bad values
    turn into NaN instead.
    """
    if not is_eager() or any(isinstance(tensor, FakeTensor) or tensor.is_meta for tensor in tensors):
        return False
    # the environment last: reading it takes as long as a small op
    return all(tensor.is_cpu for tensor in tensors) or os.environ.get("ANYMAX_CHECK") == "1"


def can_branch(tensor: Tensor) -> bool:
    """Whether Python may depend on a value, on an accelerator too: one flag read costs less than a pass over all."""
    return values_are_readable() and not tensor.is_meta and not isinstance(tensor, FakeTensor)
