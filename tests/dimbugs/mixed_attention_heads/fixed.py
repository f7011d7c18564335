import torch
from torch import nn


class Projection(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.bottleneck = nn.Conv1d(depth, depth, kernel_size=1)
        self.norm = nn.LayerNorm(depth)

    def forward(self, x):
        return self.norm(self.bottleneck(x.transpose(1, 2)).transpose(1, 2))


class ClassAttention(nn.Module):
    """One summary of all the regions of a frame."""

    def __init__(self, depth):
        super().__init__()
        self.depth = depth
        self.key, self.value = Projection(depth), Projection(depth)
        self.wanted = nn.Parameter(torch.randn(depth))
        self.soft = nn.Softmax(dim=1)

    def forward(self, regions):
        scores = self.key(regions) @ self.wanted  # (batch, regions)
        share = self.soft(scores / self.depth**0.5)
        return torch.einsum("br,brd->bd", share, self.value(regions))


class MixedAttention(ClassAttention):
    """Tools, verbs and targets of a frame look at its regions with several heads."""

    def __init__(self, depth, heads=4):
        super().__init__(depth)
        self.heads = heads
        self.query = Projection(depth)
        self.soft = nn.Softmax(dim=-1)

    def split(self, x):
        return x.reshape(x.size(0), x.size(1), self.heads, -1).permute(0, 2, 1, 3)

    def forward(self, triplet, regions):
        query, key, value = (self.split(t) for t in (self.query(triplet), self.key(regions), self.value(regions)))
        scores = torch.matmul(query, key.transpose(-2, -1))  # (batch, heads, triplet, regions)
        share = self.soft(scores / query.size(-1) ** 0.5)
        mixed = torch.matmul(share, value)
        return mixed.permute(0, 2, 1, 3).reshape(triplet.shape)


class TripletNet(nn.Module):
    def __init__(self, depth=8, labels=5):
        super().__init__()
        self.summary = ClassAttention(depth)
        self.mixed = MixedAttention(depth)
        self.logits = nn.Linear(depth, labels)

    def forward(self, triplet, regions):
        x = triplet + self.mixed(triplet, regions)
        return self.logits(x.mean(dim=1) + self.summary(regions))


def step(net, optimizer, triplet, regions, present):
    loss = nn.functional.binary_cross_entropy_with_logits(net(triplet, regions), present)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
