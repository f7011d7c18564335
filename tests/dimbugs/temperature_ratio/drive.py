import math

import torch

from tests.dimbugs.driving import Drive


def drive(half, temperature=0.5):
    torch.manual_seed(0)
    model = half.SimCLR(loss_temperature=temperature)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    sounds = torch.randn(5, 8, 10)
    batch = (sounds, sounds.roll(1, dims=-1))
    return Drive(model, sounds, step=lambda: half.fit_one(model, optimizer, batch))


def symptom(half):
    """Whether the loss is no number at a temperature of one hundredth."""
    return not math.isfinite(drive(half, temperature=0.01).step())
