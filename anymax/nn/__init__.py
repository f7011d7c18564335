"""Modules of the standard names over the functions of anymax, and output heads with one interface."""

from anymax.nn.calibration import TemperatureScaling
from anymax.nn.heads.binary import SigmoidHead
from anymax.nn.heads.drawn import NCEHead, SampledSoftmaxHead
from anymax.nn.heads.gumbel import GumbelSoftmaxHead
from anymax.nn.heads.softmax import SoftmaxHead
from anymax.nn.heads.trees import AdaptiveSoftmaxHead, HierarchicalSoftmaxHead
from anymax.nn.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    LinearCrossEntropyLoss,
    NCELoss,
    SampledSoftmaxLoss,
)
from anymax.nn.maps import Entropy, GumbelSoftmax, LogSoftmax, LogSumExp, Softmax, Softmax2d, Softmin

__all__ = [
    "AdaptiveSoftmaxHead",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Entropy",
    "GumbelSoftmax",
    "GumbelSoftmaxHead",
    "HierarchicalSoftmaxHead",
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
    "TemperatureScaling",
]
