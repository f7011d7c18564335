import torch
from axes import normalize
from torch import nn


class Relation(nn.Module):
    """Guesses what joins two bodies, if anything does, from how they move."""

    def __init__(self, steps=6, kinds=3, width=8):
        super().__init__()
        self.of_pair = nn.Sequential(nn.Linear(2 * steps, width), nn.ELU(), nn.Linear(width, kinds))

    def forward(self, first, second):
        return normalize(self.of_pair(torch.hstack([first, second])), axis=1)


class Push(nn.Module):
    """How one body moves another, for each kind of relation."""

    def __init__(self, steps=6, kinds=3):
        super().__init__()
        self.by_kind = nn.Linear(steps, kinds)

    def forward(self, first, kinds):
        return (self.by_kind(first) * kinds).sum(dim=1)


def train_step(relation, push, optimizer, first, second, moved):
    loss = nn.functional.mse_loss(push(first, relation(first, second)), moved)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
