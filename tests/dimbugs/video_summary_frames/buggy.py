from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Config:
    n_class: int = 2
    feature_dim: int = 6
    width: int = 12
    lr: float = 1e-3
    momentum: float = 0.9


class FCSN(nn.Module):
    """Scores of keeping each frame of a video or not: (batch, classes, frames)."""

    def __init__(self, config):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv1d(config.feature_dim, config.width, 3, padding=1), nn.ReLU())
        self.pool = nn.MaxPool1d(2, stride=2)
        self.conv2 = nn.Sequential(nn.Conv1d(config.width, config.width, 3, padding=1), nn.ReLU())
        self.deconv = nn.ConvTranspose1d(config.width, config.width, 2, stride=2)
        self.classifier = nn.Conv1d(config.width, config.n_class, 1)

    def forward(self, x):
        h = self.conv1(x)
        return self.classifier(h + self.deconv(self.conv2(self.pool(h))))


class Solver:
    def __init__(self, config):
        self.config = config
        self.model = FCSN(config)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=config.lr, momentum=config.momentum)

    def sum_loss(self, pred_score, gt_labels, weight=None):
        n_class = pred_score.shape[1]
        log_p = torch.log_softmax(pred_score, dim=1).reshape(-1, n_class)
        return nn.functional.nll_loss(log_p, gt_labels.reshape(-1), weight)

    def train_batch(self, features, gt_labels):
        """Frames that belong to the summary are few, so they count more."""
        keep = gt_labels.float().mean().clamp(0.05, 0.95)
        weight = torch.stack([keep, 1 - keep])
        loss = self.sum_loss(self.model(features), gt_labels, weight)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
