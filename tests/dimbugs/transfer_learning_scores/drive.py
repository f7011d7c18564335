import torch
from torch import nn

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.TransferLearningModel(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2)), 16, lr=0.05)
    (optimizer,), _ = model.configure_optimizers()
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 1, 0])

    def step():
        optimizer.zero_grad()
        loss = model.training_step((x, y), 0)
        loss.backward()
        optimizer.step()
        return loss

    loss = lambda scores, target: model.loss(target, scores)  # noqa: E731
    return Drive(model, x, loss, y.view(-1, 1).float(), step=step)


def symptom(half):
    """Whether scores as far off as can be for label 0 still cost as much as the sigmoid of 0."""
    run = drive(half)
    nn.init.constant_(run.model.fc[-1].bias, -50.0)
    images = run.example_input
    return float(run.model.training_step((images, torch.zeros(4)), 0)) > 0.6
