import torch
from torch import nn

SQUASHES = {"softmax": lambda: nn.Softmax(dim=1), "sigmoid": nn.Sigmoid, "none": nn.Identity}


class PoolOverTime(nn.Module):
    """A weighted mean over time, (batch, time, features) to (batch, features)."""

    def __init__(self, features, squash="softmax"):
        super().__init__()
        self.relevance = nn.Conv1d(features, 1, kernel_size=1)
        self.squash = SQUASHES[squash]()

    def forward(self, frames):
        frames = frames.mT
        weights = self.squash(self.relevance(frames))
        return torch.sum(frames * weights, dim=2)


class Imitator(nn.Module):
    def __init__(self, sensors, joints, width=8):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(sensors, width), nn.Tanh())
        self.pool = PoolOverTime(width)
        self.move = nn.Linear(width, joints)

    def forward(self, past):
        return torch.tanh(self.move(self.pool(self.encode(past))))


def imitate(imitator, optimizer, past, expert):
    loss = nn.functional.mse_loss(imitator(past), expert)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
