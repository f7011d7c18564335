import torch
from torch import nn

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    model = half.ChurnModel(4)
    trainer = half.Trainer(model)
    x = torch.randn(6, 4)
    y = (x[:, 0] > 0).float()
    return Drive(model, x, nn.MSELoss(), y, step=lambda: trainer.step(x, y))


def symptom(half):
    run = drive(half)
    return stays_above(run.step, 0.1)
