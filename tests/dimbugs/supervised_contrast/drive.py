import math

import torch

from tests.dimbugs.driving import Drive


def drive(half, length=1.0):
    torch.manual_seed(0)
    encoder, criterion = half.build_encoder(), half.SupConLoss()
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.01)
    first, labels = length * torch.randn(4, 6), torch.tensor([0, 1, 0, 1])
    second = first + 0.5 * length * torch.randn(4, 6)
    return Drive(encoder, first, step=lambda: half.train(encoder, criterion, optimizer, first, second, labels))


def symptom(half):
    """Whether the loss of long vectors is no number; the encoder does not normalise them."""
    return not math.isfinite(drive(half, length=30.0).step())
