import math

import torch
import torch.nn.functional as F
from torch import nn


def power_law(n_prototypes, exponent):
    k = torch.arange(1, n_prototypes + 1)
    weights = k.float().pow(-exponent)
    return weights / weights.sum()


class PMSNLoss(nn.Module):
    """Views of a picture shall choose the same prototypes, and all views together as many as the power law says."""

    def __init__(self, temperature=0.1, sharpen=0.25, weight=1.0, exponent=0.25):
        super().__init__()
        self.temperature = temperature
        self.sharpen = sharpen
        self.weight = weight
        self.exponent = exponent

    def regularization(self, logits):
        prior = power_law(logits.shape[1], self.exponent).to(logits)
        log_mean = F.log_softmax(logits, dim=1).logsumexp(dim=0) - math.log(len(logits))
        return F.kl_div(log_mean, prior, reduction="sum")

    def forward(self, anchors, targets, prototypes):
        prototypes = F.normalize(prototypes, dim=1)
        logits = F.normalize(anchors, dim=1) @ prototypes.T / self.temperature
        with torch.no_grad():
            chosen = F.normalize(targets, dim=1) @ prototypes.T / (self.temperature * self.sharpen)
            chosen = F.softmax(chosen, dim=1)
        loss = torch.mean(torch.sum(-chosen * F.log_softmax(logits, dim=1), dim=1))
        return loss + self.weight * self.regularization(logits)


class MSN(nn.Module):
    def __init__(self, in_dim, out_dim=6, n_prototypes=5):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(in_dim, 16), nn.GELU(), nn.Linear(16, out_dim))
        self.prototypes = nn.Parameter(torch.randn(n_prototypes, out_dim))

    def forward(self, x):
        return self.backbone(x)


def training_step(model, criterion, optimizer, views, anchor_views):
    loss = criterion(model(anchor_views), model(views), model.prototypes)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
