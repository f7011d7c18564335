import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce


class Focal(nn.Module):
    """Binary cross-entropy that looks away from what is easy."""

    def __init__(self, focus=2.0, positive_weight=None):
        super().__init__()
        self.focus = focus
        self.positive_weight = positive_weight

    def forward(self, scores, labels):
        labels = labels.type_as(scores)
        chance = scores.sigmoid()
        surprise = bce(scores, labels, reduction="none")
        missed = torch.where(labels > 0.5, 1 - chance, chance)
        loss = missed.pow(self.focus) * surprise
        if self.positive_weight is not None:
            loss = loss * torch.where(labels > 0.5, self.positive_weight, 1 - self.positive_weight)
        return loss.mean()


def train_tagger(tagger, optimizer, documents, tags):
    criterion = Focal(positive_weight=0.25)
    loss = criterion(tagger(documents), tags)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def make_tagger(words=6, tags=4):
    return nn.Sequential(nn.Linear(words, 12), nn.ReLU(), nn.Linear(12, tags))
