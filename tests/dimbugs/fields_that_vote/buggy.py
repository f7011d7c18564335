import torch
from torch import nn
from torch.nn import functional as F


def vote(fields, temp=2.0):
    """The consensus of several displacement fields, (voters, batch, 2, height, width), in pixels.

    Each voter counts the more, pixel by pixel, the nearer it is to the others.
    """
    apart = (fields.unsqueeze(0) - fields.unsqueeze(1)).pow(2).sum(dim=3).add(1e-6).sqrt()
    costs = apart.sum(dim=0) / max(len(fields) - 1, 1)
    weights = torch.exp(-costs / temp)
    weights = weights / weights.sum(dim=0, keepdim=True)
    return (weights.unsqueeze(2) * fields).sum(dim=0)


def warp(image, field):
    """The image sampled where the field points to."""
    height, width = image.shape[2:]
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    scale = image.new_tensor([2 / width, 2 / height])
    grid = torch.stack([xs, ys], dim=-1) + field.permute(0, 2, 3, 1) * scale
    return F.grid_sample(image, grid, align_corners=True)


class Aligner(nn.Module):
    def __init__(self, voters, width=8):
        super().__init__()
        self.voters = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(2, width, 3, padding=1 + i, dilation=1 + i), nn.ReLU(), nn.Conv2d(width, 2, 3, padding=1)
            )
            for i in range(voters)
        )

    def forward(self, pairs):
        return vote(torch.stack([voter(pairs) for voter in self.voters]))


def fit_pair(aligner, optimizer, src, tgt, smoothness=0.1):
    field = aligner(torch.cat([src, tgt], dim=1))
    loss = F.mse_loss(warp(src, field), tgt)
    loss = loss + smoothness * (field.diff(dim=2).pow(2).mean() + field.diff(dim=3).pow(2).mean())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
