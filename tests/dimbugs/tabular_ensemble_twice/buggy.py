from typing import List

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_NUM_CLASSES = 10


class TabularClassifier:
    """Fits one small network to a table; the sklearn-like member of an ensemble."""

    def __init__(self, n_features: int, num_classes: int, seed: int, temperature: float = 0.8):
        torch.manual_seed(seed)
        self.num_classes = num_classes
        self.temperature = temperature
        outputs = max(MAX_NUM_CLASSES, num_classes)  # the head keeps a fixed width where it can
        self.model = nn.Sequential(nn.Linear(n_features, 16), nn.GELU(), nn.Linear(16, outputs))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.order = torch.randperm(n_features)

    def partial_fit(self, X: Tensor, y: Tensor) -> Tensor:
        loss = F.cross_entropy(self.model(X[:, self.order]), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    @torch.no_grad()
    def predict_proba(self, X: Tensor, return_logits: bool = False) -> Tensor:
        self.model.eval()
        logits = self.model(X[:, self.order])
        if self.num_classes < MAX_NUM_CLASSES:
            logits = logits[:, : self.num_classes] / self.temperature
            return F.softmax(logits, dim=-1)
        logits = logits / self.temperature
        return logits if return_logits else F.softmax(logits, dim=-1)


class TabularEnsemble:
    def __init__(self, n_features: int, num_classes: int, n_ensembles: int = 4):
        self.members: List[TabularClassifier] = [
            TabularClassifier(n_features, num_classes, seed) for seed in range(n_ensembles)
        ]

    def fit_epoch(self, X: Tensor, y: Tensor) -> Tensor:
        return torch.stack([member.partial_fit(X, y) for member in self.members]).mean()

    def ensemble_predict_proba(self, X: Tensor) -> Tensor:
        """Averages the members' logits, not their probabilities, so that a sure member counts for more."""
        logits = [member.predict_proba(X, return_logits=True) for member in self.members]
        return F.softmax(torch.stack(logits).mean(dim=0), dim=-1)

    def predict(self, X: Tensor) -> Tensor:
        return self.ensemble_predict_proba(X).argmax(dim=-1)
