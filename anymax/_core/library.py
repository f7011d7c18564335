"""The ops that torch knows under `torch.ops.anymax`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

LIBRARY = torch.library.Library("anymax", "DEF")


def define(schema: str, fake: Callable[..., Any], tags: Sequence[torch.Tag] = ()) -> Callable[..., Any]:
    """Define an op by its schema; `fake` gives results without values, for tracing. The op, to be called."""
    name = schema.partition("(")[0]
    LIBRARY.define(schema, tags=tuple(tags))
    # An op is called where no derivative is asked for, or inside an autograd.Function. torch's own fallback, which
    # prepares a warning in the backward pass, takes longer than a small kernel.
    LIBRARY.impl(name, torch.library.fallthrough_kernel, "Autograd")
    torch.library.register_fake(f"anymax::{name}", fake, lib=LIBRARY)
    return getattr(torch.ops.anymax, name).default
