"""What stands before every head: the same network, from inputs to the features that a head scores."""

from __future__ import annotations

from torch import Tensor, nn

from anymax.lab.parts import Parts, Task

HIDDEN = 128
FEATURES = 64
TEXT_FEATURES = 96
TEXT_DROPOUT = 0.2


class FeatureBackbone(nn.Module):
    """A multilayer perceptron over standardised features: (rows, columns) -> (rows, `out_features`)."""

    out_features = FEATURES

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, FEATURES), nn.ReLU())

    def forward(self, input: Tensor) -> Tensor:
        return self.layers(input)


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
    return FeatureBackbone(parts.train.inputs.shape[1])
