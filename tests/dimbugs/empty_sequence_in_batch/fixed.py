import math

import torch
import torch.nn as nn


class SelfAttentionPool(nn.Module):
    """Attends from one learned query to the tokens that are there."""

    def __init__(self, dim):
        super().__init__()
        self.query = nn.Parameter(torch.randn(dim) / math.sqrt(dim))
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def forward(self, x, key_padding_mask):
        scores = self.key(x) @ self.query / math.sqrt(x.size(-1))
        empty = key_padding_mask.all(dim=-1, keepdim=True)
        scores = scores.masked_fill(key_padding_mask & ~empty, float("-inf"))
        weights = torch.softmax(scores, dim=-1)
        return torch.einsum("bt,btd->bd", weights, self.value(x))


class SessionModel(nn.Module):
    def __init__(self, events=15, dim=8, classes=3):
        super().__init__()
        self.embed = nn.Embedding(events, dim, padding_idx=0)
        self.pool = SelfAttentionPool(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, events):
        padding = events == 0
        return self.head(self.pool(self.embed(events), padding))


def train_step(model, optimizer, events, labels):
    loss = nn.functional.cross_entropy(model(events), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
