from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def make_model(num_inputs: int, num_classes: int, hidden: int = 16) -> nn.Module:
    return nn.Sequential(nn.Linear(num_inputs, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))


class EntropyDetector(nn.Module):
    """Scores how far an input is from the training data by the entropy of its predicted classes."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.threshold: Optional[float] = None

    @staticmethod
    def score(logits: Tensor) -> Tensor:
        log_p = logits.log_softmax(dim=1)
        return -(log_p.exp() * log_p).sum(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.model(x))

    @torch.no_grad()
    def fit(self, x: Tensor, quantile: float = 0.95) -> "EntropyDetector":
        self.threshold = float(torch.quantile(self(x), quantile))
        return self

    def is_outlier(self, x: Tensor) -> Tensor:
        if self.threshold is None:
            raise ValueError("call fit first")
        return self(x) > self.threshold


def outlier_exposure_step(detector, optimizer, x, y, weight=0.5):
    """Labels below 0 mark outliers, on which the model shall be undecided."""
    known = y >= 0
    logits = detector.model(x)
    loss = F.cross_entropy(logits[known], y[known])
    if not known.all():
        loss = loss - weight * detector.score(logits[~known]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
