import math

import torch
from torch import nn


class LastLayerLaplace(nn.Module):
    """A Gaussian over the scores of a trained network; its forward is the predictive distribution."""

    def __init__(self, net, prior_precision=1.0):
        super().__init__()
        self.net = net
        self.prior_precision = prior_precision
        self.register_buffer("variance", torch.full((net[-1].out_features,), 1 / prior_precision))

    @torch.no_grad()
    def fit(self, loader):
        precision = torch.full_like(self.variance, self.prior_precision)
        for x, _ in loader:
            p = self.net(x).softmax(dim=-1)
            precision += (p * (1 - p)).sum(dim=0)
        self.variance.copy_(1 / precision)

    def forward(self, x):
        f_mu = self.net(x)
        kappa = 1 / torch.sqrt(1 + math.pi / 8 * self.variance)
        return torch.softmax(kappa * f_mu, dim=-1)
