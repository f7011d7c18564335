"""The ops that torch knows under `torch.ops.anymax`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

LIBRARY = torch.library.Library("anymax", "DEF")


def define(schema: str, fake: Callable[..., Any]) -> Callable[..., Any]:
    """Define an op of tensors by its schema; `fake` gives results without values, for tracing. The op, to be called."""
    name = schema.partition("(")[0]
    LIBRARY.define(schema)
    # An op is called where no derivative is asked for, or inside an autograd.Function. torch's own fallback, which
    # prepares a warning in the backward pass, takes longer than a small kernel.
    LIBRARY.impl(name, torch.library.fallthrough_kernel, "Autograd")
    # as a kernel for meta tensors, which serves every tracer too: torch.library.register_fake reads our sources on the
    # way, which takes a millisecond an op at import
    LIBRARY.impl(name, fake, "Meta")
    return getattr(torch.ops.anymax, name).default
