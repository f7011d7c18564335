import math

import torch

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    net, criterion = half.GSCNN(num_classes=3), half.JointEdgeSegLoss()
    optim = torch.optim.Adam(net.parameters(), lr=1e-2)
    images = torch.randn(2, 3, 8, 8)
    targets = torch.randint(0, 3, (2, 8, 8)), torch.zeros(2, 1, 8, 8)
    targets[1][:, :, 3] = 1.0
    return Drive(net, images, criterion, targets, step=lambda: half.train(net, criterion, optim, images, targets))


def symptom(half):
    """Whether a picture without an edge keeps an edge loss above that of the score 0."""
    run = drive(half)
    optim = torch.optim.Adam(run.model.parameters(), lr=1e-2)
    no_edges = torch.zeros(2, 1, 8, 8)

    def step():
        loss = run.loss.bce2d(run.model(run.example_input)[1], no_edges)
        optim.zero_grad()
        loss.backward()
        optim.step()
        return loss

    return stays_above(step, math.log(2) - 1e-3)
