import torch
from torch import nn

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    critic = half.Critic()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
    images, is_real, labels = torch.randn(3, 1, 8, 8), torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0, 4, 2])
    loss = half.CriticLoss()
    run = Drive(critic, images, lambda opinion, target: loss(opinion, *target), (is_real, labels))
    run.step = lambda: half.improve(critic, optimizer, images, is_real, labels)
    return run


def symptom(half):
    run = drive(half)
    _, shown = run.model(run.example_input)
    return float(nn.NLLLoss()(shown, run.target[1])) < 0
