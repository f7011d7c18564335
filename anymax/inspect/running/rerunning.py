"""The same pass of a model again and again: random state, buffers and modes as before each, and afterwards."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from anymax.inspect.running.batches import Batch, mapped, named_tensors


class Rerun:
    """Within the block, a call is a pass of the model over the batch, or over another in its place."""

    def __init__(self, model: Callable[..., Any], batch: Batch) -> None:
        self.model = model
        self._batch = batch
        self._random = _RandomState(_devices(model, batch.value))
        self._buffers = _Buffers(model)

    def __enter__(self) -> Rerun:
        self._random.take()
        self._buffers.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._random.put_back()
        self._buffers.put_back()

    def __call__(self, value: Any = None) -> Any:
        """The model's outputs, in memory of their own; from the states that the first pass had."""
        self._random.put_back()
        self._buffers.put_back()
        # a model may write into its input
        arguments = mapped(self._batch.value if value is None else value, lambda tensor: tensor.detach().clone())
        with torch.no_grad():
            if isinstance(arguments, dict):
                outputs = self.model(**arguments)
            elif isinstance(arguments, tuple):
                outputs = self.model(*arguments)
            else:
                outputs = self.model(arguments)
        return outputs


def _devices(model: Callable[..., Any], value: Any) -> list[torch.device]:
    """Accelerators whose generators the model may draw from."""
    tensors = [tensor for _, tensor in named_tensors(value, "")]
    if isinstance(model, nn.Module):
        tensors += [*model.parameters(), *model.buffers()]
    return list({tensor.device for tensor in tensors if tensor.device.type not in ("cpu", "meta")})


class _RandomState:
    """torch's generators, and Python's and NumPy's, from which some models draw the layers that they drop."""

    def __init__(self, devices: list[torch.device]) -> None:
        self._devices = devices

    def take(self) -> None:
        self._torch = torch.get_rng_state()
        self._accelerators = [
            (device, torch.get_device_module(device).get_rng_state(device)) for device in self._devices
        ]
        self._python = random.getstate()
        self._numpy = sys.modules["numpy"].random.get_state() if "numpy" in sys.modules else None

    def put_back(self) -> None:
        torch.set_rng_state(self._torch)
        for device, state in self._accelerators:
            torch.get_device_module(device).set_rng_state(state, device)
        random.setstate(self._python)
        if self._numpy is not None:
            sys.modules["numpy"].random.set_state(self._numpy)


class _Buffers:
    """The buffers of a module: which tensors they are, and what stands in them."""

    def __init__(self, model: Callable[..., Any]) -> None:
        self._modules = list(model.modules()) if isinstance(model, nn.Module) else []

    def take(self) -> None:
        self._saved: list[tuple[nn.Module, dict[str, Tensor | None], dict[str, Tensor]]] = [
            (
                module,
                dict(module._buffers),
                {name: one.clone() for name, one in module._buffers.items() if one is not None},
            )
            for module in self._modules
            if module._buffers
        ]

    def put_back(self) -> None:
        with torch.no_grad():
            for module, tensors, values in self._saved:
                module._buffers.update(tensors)
                for name, value in values.items():
                    kept = tensors[name]
                    # a write that changes nothing would still count as one
                    if kept is not None and not torch.equal(kept, value):
                        kept.copy_(value)
