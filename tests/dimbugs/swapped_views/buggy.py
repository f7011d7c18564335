import torch
import torch.nn.functional as F
from torch import nn


class MultiHeadNet(nn.Module):
    def __init__(self, num_labeled, num_unlabeled, width=16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head_lab = nn.Linear(width, num_labeled, bias=False)
        self.head_unlab = nn.Linear(width, num_unlabeled, bias=False)

    def forward(self, x):
        feats = F.normalize(self.encoder(x), dim=-1)
        return torch.cat([self.head_lab(feats), self.head_unlab(feats)], dim=-1)


class Discoverer:
    """Finds new classes: each view of an image is to predict what the other view was assigned."""

    def __init__(self, num_labeled=3, num_unlabeled=2, temperature=0.1, lr=0.1):
        self.num_labeled = num_labeled
        self.num_classes = num_labeled + num_unlabeled
        self.temperature = temperature
        self.model = MultiHeadNet(num_labeled, num_unlabeled)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr, momentum=0.9)

    def cross_entropy_loss(self, preds, targets):
        preds = F.log_softmax(preds / self.temperature, dim=1)
        return -torch.mean(torch.sum(targets * preds, dim=-1))

    @torch.no_grad()
    def assign(self, logits, labels):
        """One-hot for images with a label; the others get their own sharpened prediction over the new classes."""
        targets = torch.zeros_like(logits)
        unknown = labels < 0
        new = logits[:, unknown, self.num_labeled :]
        targets[:, unknown, self.num_labeled :] = F.softmax(new / 0.05, dim=-1)
        targets[:, ~unknown] = F.one_hot(labels[~unknown], self.num_classes).type_as(logits)
        return targets

    def training_step(self, batch, batch_idx=0):
        views, labels = batch
        logits = torch.stack([self.model(view) for view in views])  # [num_views, batch, num_classes]
        targets = self.assign(logits, labels)
        return self.cross_entropy_loss(logits, targets.flip(0))

    def fit(self, loader):
        for i, batch in enumerate(loader):
            loss = self.training_step(batch, i)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return loss
