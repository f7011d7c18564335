"""Heads whose truth is known: softmax whose answers are bent in a known way after training."""

import torch
from torch import nn

from anymax.lab.training.methods import Method
from anymax.nn import SoftmaxHead


class Bent(nn.Module):
    """A softmax head that trains as every other does, and whose log-probabilities are bent before they are read."""

    def __init__(self, in_features, class_counts, bend):
        super().__init__()
        self.inner = SoftmaxHead(in_features, len(class_counts), class_counts=class_counts)
        self.bend = bend

    @property
    def weight(self):
        return self.inner.weight

    def forward(self, input, target):
        return self.inner(input, target)

    def log_prob(self, input):
        return self.bend(input, self.inner.log_prob(input))

    scores = log_prob

    def predict(self, input, k=1):
        return self.log_prob(input).topk(k, -1)


class OwnStart(Bent):
    """A head that draws a start of its own, where `compare` gives all heads the same."""

    weight = None

    def __init__(self, in_features, class_counts, skipped, bend):
        torch.rand(skipped)  # two that skip other counts start elsewhere
        super().__init__(in_features, class_counts, bend)


def straight(features, log_probs):
    return log_probs


def some(features, share):
    """This share of the items, the same ones whenever they are looked at: a hash of their features says which."""
    return (features.double().sum(-1) * 1e5) % 1 < share


def next_class(share):
    """For a known share of the items, each class has the probability that the one before it ought to have."""
    return lambda features, log_probs: torch.where(some(features, share)[:, None], log_probs.roll(1, -1), log_probs)


def times_eight(features, log_probs):
    """Eight times as far apart: the same order, and far too sure."""
    return torch.log_softmax(8 * log_probs, -1)


def planted(name, head, *arguments):
    """A method of `compare` whose head is `head(in_features, class_counts, *arguments)`."""
    return Method(name, name, lambda d, counts: head(d, counts, *arguments), defines_law=True)
