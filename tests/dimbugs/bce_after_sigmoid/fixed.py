import torch
import torch.nn as nn
import torch.nn.functional as F


class ClickModel(nn.Module):
    """Factorisation machine over user, item and context fields."""

    def __init__(self, field_sizes=(10, 12, 5), k=4):
        super().__init__()
        self.linear = nn.ModuleList(nn.Embedding(size, 1) for size in field_sizes)
        self.factors = nn.ModuleList(nn.Embedding(size, k) for size in field_sizes)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, fields):
        columns = fields.unbind(dim=1)
        first = sum(emb(c) for emb, c in zip(self.linear, columns, strict=True)).squeeze(1)
        vectors = torch.stack([emb(c) for emb, c in zip(self.factors, columns, strict=True)], dim=1)
        pairs = (vectors.sum(1).pow(2) - vectors.pow(2).sum(1)).sum(1) / 2
        return self.bias + first + pairs


def click_loss(logits, clicks):
    return F.binary_cross_entropy_with_logits(logits, clicks)


def train_step(model, optimizer, fields, clicks):
    optimizer.zero_grad()
    loss = click_loss(model(fields), clicks)
    loss.backward()
    optimizer.step()
    return loss
