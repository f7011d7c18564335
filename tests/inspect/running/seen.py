"""What a watch says of one call, and the small tensors that it is tried on."""

from __future__ import annotations

import warnings

import torch
from torch import nn

import anymax

FIVE, OTHER_FIVE, CONV = nn.Linear(6, 5), nn.Linear(6, 5), nn.Conv2d(3, 5, 3, padding=1)
X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(1))
IDS, SHARES = torch.tensor([0, 3, 1, 4]), torch.rand(4, 5)


def codes(function):
    """The codes that a step which runs `function` gives, but those that are only for information."""
    with anymax.watch(steps=1) as seen, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function()
        except (RuntimeError, ValueError):
            assert seen.findings, "torch refuses the call, and watch has nothing to say of it"
        torch.zeros(1, requires_grad=True).sum().backward()
    return sorted({finding.code for finding in seen.findings if finding.level != "info"})
