import torch
from torch import nn
from torch.nn import functional as F


class Compare(nn.Module):
    """How alike a new sample and each labelled one are."""

    def __init__(self, features, size, scale=20.0):
        super().__init__()
        self.embed = nn.Linear(features, size)
        self.scale = scale

    def forward(self, labelled, new):
        known, unknown = self.embed(labelled), self.embed(new).unsqueeze(1)
        return self.scale * F.cosine_similarity(known, unknown, dim=-1)


class Vote(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, likeness, labels):
        ballots = F.one_hot(labels, self.num_classes).float()
        return torch.einsum("bs,bsc->bc", likeness, ballots)


class FewShot(nn.Module):
    def __init__(self, features=6, size=8, num_classes=3):
        super().__init__()
        self.compare = Compare(features, size)
        self.vote = Vote(num_classes)

    def forward(self, labelled, labels, new):
        return self.vote(self.compare(labelled, new), labels)


def episode(net, optimizer, labelled, labels, new, truth):
    outcome = net(labelled, labels, new)
    loss = F.cross_entropy(outcome, truth)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
