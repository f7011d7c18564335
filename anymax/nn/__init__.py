"""Modules of the standard names over the functions of anymax, and output heads with one interface."""

from anymax.nn.heads import GumbelSoftmaxHead, NCEHead, SampledSoftmaxHead, SigmoidHead, SoftmaxHead
from anymax.nn.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    LinearCrossEntropyLoss,
    NCELoss,
    SampledSoftmaxLoss,
)
from anymax.nn.maps import Entropy, GumbelSoftmax, LogSoftmax, LogSumExp, Softmax, Softmax2d, Softmin

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Entropy",
    "GumbelSoftmax",
    "GumbelSoftmaxHead",
    "LinearCrossEntropyLoss",
    "LogSoftmax",
    "LogSumExp",
    "NCEHead",
    "NCELoss",
    "SampledSoftmaxHead",
    "SampledSoftmaxLoss",
    "SigmoidHead",
    "Softmax",
    "Softmax2d",
    "SoftmaxHead",
    "Softmin",
]
