"""What stands before every head: the same network, from inputs to the features that a head scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anymax.lab.parts import Parts, Task

HIDDEN = 128
FEATURES = 64
TEXT_FEATURES = 96
TEXT_DROPOUT = 0.2
MOST_LEVEL_FEATURES = 32


class LevelEmbedding(nn.Module):
    """Plain features from rows whose last columns are level ids: (rows, columns) -> (rows, `out_features`).

    Level 0 of each category, which stands for rare and unknown levels, starts at zero.
    """

    def __init__(self, in_features: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.plain = in_features - len(levels)
        sizes = [min(MOST_LEVEL_FEATURES, round(count**0.5)) for count in levels]
        embeddings = [nn.Embedding(*shape) for shape in zip(levels, sizes, strict=True)]
        for embedding in embeddings:
            nn.init.zeros_(embedding.weight[0].detach())
        self.embeddings = nn.ModuleList(embeddings)
        self.out_features = self.plain + sum(sizes)

    def forward(self, input: Tensor) -> Tensor:
        ids = input[:, self.plain :].long().unbind(1)
        embedded = [embedding(column) for embedding, column in zip(self.embeddings, ids, strict=True)]
        return torch.cat([input[:, : self.plain], *embedded], dim=1)


class FeatureBackbone(nn.Module):
    """A multilayer perceptron over standardised features: (rows, columns) -> (rows, `out_features`)."""

    out_features = FEATURES

    def __init__(self, in_features: int, embedded_levels: Sequence[int] = ()) -> None:
        super().__init__()
        self.embed = LevelEmbedding(in_features, embedded_levels) if embedded_levels else None
        plain = self.embed.out_features if self.embed else in_features
        self.layers = nn.Sequential(nn.Linear(plain, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, FEATURES), nn.ReLU())

    def forward(self, input: Tensor) -> Tensor:
        return self.layers(self.embed(input) if self.embed else input)


class TextBackbone(nn.Module):
    """An embedding and a causal GRU: word ids (windows, length) -> (windows, length, `out_features`)."""

    out_features = TEXT_FEATURES

    def __init__(self, num_words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_words, TEXT_FEATURES)
        self.recurrent = nn.GRU(TEXT_FEATURES, TEXT_FEATURES, batch_first=True)
        self.dropout = nn.Dropout(TEXT_DROPOUT)

    def forward(self, input: Tensor) -> Tensor:
        states, _ = self.recurrent(self.dropout(self.embedding(input)))
        return self.dropout(states)


def build(task: Task, parts: Parts) -> FeatureBackbone | TextBackbone:
    """The backbone that suits the data, its weights drawn from torch's default generator."""
    if task == "text":
        return TextBackbone(len(parts.class_counts))
    return FeatureBackbone(parts.train.inputs.shape[1], parts.embedded_levels)
