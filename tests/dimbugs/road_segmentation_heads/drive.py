import math

import torch

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    model = half.MCnet(half.BLOCKS)
    criterion = half.MultiHeadLoss(lambdas=[0.2, 0.2])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    images, masks = torch.randn(3, 3, 8, 8), torch.zeros(3, 2, 8, 8)
    masks[:, :, 4:] = 1.0
    step = lambda: half.train_batch(model, criterion, optimizer, images, masks)  # noqa: E731
    return Drive(model, images, criterion, masks, step=step)


def symptom(half):
    """Whether empty masks keep the loss of an even chance."""
    run = drive(half)
    optimizer = torch.optim.Adam(run.model.parameters(), lr=2e-2)
    step = lambda: half.train_batch(run.model, run.loss, optimizer, run.example_input, 0 * run.target)  # noqa: E731
    return stays_above(step, 0.4 * math.log(2) - 1e-3)
