"""How a module puts its tensors back to where they started, and keeps their values when it is cast."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anymax._core.errors import CALLER

NAN = float("nan")


def restore(tensor: Tensor, start: float | Tensor, source: str) -> None:
    """Set `tensor` to its start, except where a loader has filled it.

    Loaders that initialise what a checkpoint lacks (transformers) guard the functions of `torch.nn.init`, so that
    these do nothing to a tensor that was loaded. A start that is a tensor is written only where such a function could
    write as well. `source` names the argument that a start without values came from.
    """
    if not isinstance(start, Tensor):
        nn.init.constant_(tensor, start)
        return
    if tensor.is_meta:
        return
    with torch.no_grad():
        # no tensor that starts from numbers holds these
        mark = NAN if tensor.is_floating_point() else -1
        nn.init.constant_(tensor, mark)
        unset = tensor.isnan() if tensor.is_floating_point() else tensor == mark
        if start.is_meta:
            if bool(unset.any()):
                raise ValueError(
                    f"{CALLER}: there are no values in {source}, made on the meta device, to start from; give a list "
                    "of numbers, which keeps them, or a tensor on the CPU"
                )
            return
        start = start.to(device=tensor.device, dtype=tensor.dtype)
        if type(tensor).__name__ == "DTensor":
            start = _sharded_as(start, tensor)
        tensor.copy_(torch.where(unset, start, tensor))


def moved_alone(before: Tensor, after: Tensor | None) -> Tensor | None:
    """A buffer from before and after `nn.Module._apply`: follows to the device, and keeps its dtype and values.

    `to_empty` leaves a buffer without values; one that had none, on the meta device, is what `_apply` made of it.
    """
    return after if after is None or before.is_meta else before.to(after.device)


def _sharded_as(start: Tensor, tensor: Tensor) -> Tensor:
    # whoever has such a tensor has imported this, which takes a second
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(tensor, DTensor)
    return distribute_tensor(start, tensor.device_mesh, tensor.placements)
