import torch
import torch.nn as nn
import torch.nn.functional as F

MAPS = ("softmax",)


class SentencePool(nn.Module):
    """Weights the words of a sentence; sparse weights name the words that matter."""

    def __init__(self, dim, mapping="softmax"):
        super().__init__()
        if mapping not in MAPS:
            raise ValueError(f"mapping must be one of {MAPS}, got {mapping}")
        self.mapping = mapping
        self.score = nn.Linear(dim, 1)

    def forward(self, words):
        scores = self.score(words).squeeze(-1)
        weights = F.softmax(scores, dim=-1)
        return (weights.unsqueeze(-1) * words).sum(dim=1)


class Classifier(nn.Module):
    def __init__(self, vocab=20, dim=6, classes=3, mapping="softmax"):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.pool = SentencePool(dim, mapping)
        self.out = nn.Linear(dim, classes)

    def forward(self, tokens):
        return self.out(self.pool(self.embed(tokens)))


def train_step(model, optimizer, tokens, labels):
    loss = F.cross_entropy(model(tokens), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
