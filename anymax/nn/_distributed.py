"""What wraps a head for training on several processes."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from anymax._core.errors import CALLER


def reducer_of(head: nn.Module) -> str | None:
    """What averages the gradients of the head over processes, by its name in torch; None for nothing of torch's."""
    if torch.compiler.is_compiling() or not (distributed.is_available() and distributed.is_initialized()):
        return None
    replicated = nn.parallel.DistributedDataParallel._get_active_ddp_module()
    if replicated is not None and _holds(replicated, head):
        return "DistributedDataParallel"
    # inside a forward of FSDP2 a parameter looks like any other, and its modules are listed here alone
    from torch.distributed._composable_state import _module_state_mapping

    return "fully_shard" if any(_holds(module, head) for module in _module_state_mapping) else None


def check_sparse(head: nn.Module) -> None:
    """Check that nothing wants to average the sparse gradients of a head over processes."""
    reducer = reducer_of(head)
    if reducer is not None:
        raise NotImplementedError(
            f"{CALLER}: sparse=True gives sparse gradients, which {reducer} cannot average over processes; write "
            "sparse=False, or leave the head out of what is wrapped and average its gradients yourself"
        )


def is_sharded(tensor: Tensor) -> bool:
    # by name: importing the class takes a second, and who has one has imported it
    return type(tensor).__name__ == "DTensor"


def _holds(module: nn.Module, head: nn.Module) -> bool:
    return any(child is head for child in module.modules())
