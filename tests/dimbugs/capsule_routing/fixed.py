import torch
import torch.nn.functional as F
from torch import nn


def squash(vectors):
    """Keeps the direction, and brings the length between 0 and 1."""
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors * length / (1 + length.square())


class Agreement(nn.Module):
    """Parts vote for wholes, and give their vote to those that other parts agree on."""

    def __init__(self, parts, part_size, wholes=4, whole_size=6, rounds=3):
        super().__init__()
        self.view = nn.Parameter(torch.randn(parts, wholes, part_size, whole_size) / 2)
        self.rounds = rounds

    def forward(self, parts):
        votes = torch.einsum("bps,pwst->bpwt", parts, self.view)
        leaning = votes.new_zeros(*votes.shape[:3], 1)
        for _ in range(self.rounds):
            share = F.softmax(leaning, dim=2)
            wholes = squash((share * votes).sum(dim=1, keepdim=True))
            leaning = leaning + (votes * wholes).sum(dim=-1, keepdim=True).detach()
        return wholes.squeeze(1)


def presence_loss(wholes, labels):
    presence = wholes.norm(dim=-1)
    wanted = F.one_hot(labels, presence.shape[1]).float()
    lacking = wanted * F.relu(0.9 - presence).square()
    surplus = (1 - wanted) * F.relu(presence - 0.1).square()
    return (lacking + surplus / 2).sum(dim=1).mean()
