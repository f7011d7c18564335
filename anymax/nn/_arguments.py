"""How a module keeps the arguments of its function."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def store(module: nn.Module, name: str, value: Any) -> None:
    """Parameters stay parameters, tensors become buffers, everything else is an attribute."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        module.register_buffer(name, value)
    else:
        setattr(module, name, value)


def describe(module: nn.Module, *names: str) -> str:
    """`name=value` for the representation; tensors by shape, arguments that are None left out."""
    values = {name: getattr(module, name) for name in names}
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items() if value is not None)


def _short(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.item():.4g}" if value.numel() == 1 else f"tensor of shape {tuple(value.shape)}"
    return repr(value)
