"""Modules of the standard names over the functions of anymax, and output heads with one interface."""

from anymax.nn.calibration import TemperatureScaling
from anymax.nn.heads.binary import SigmoidHead
from anymax.nn.heads.drawn import NCEHead, SampledSoftmaxHead
from anymax.nn.heads.gumbel import GumbelSoftmaxHead
from anymax.nn.heads.softmax import SoftmaxHead
from anymax.nn.heads.sparse import EntmaxHead, SparsemaxHead
from anymax.nn.heads.trees import AdaptiveSoftmaxHead, HierarchicalSoftmaxHead
from anymax.nn.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    EntmaxLoss,
    LinearCrossEntropyLoss,
    NCELoss,
    SampledSoftmaxLoss,
    SparsemaxLoss,
)
from anymax.nn.maps import Entmax, Entropy, GumbelSoftmax, LogSoftmax, LogSumExp, Softmax, Softmax2d, Softmin, Sparsemax

__all__ = [
    "AdaptiveSoftmaxHead",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Entmax",
    "EntmaxHead",
    "EntmaxLoss",
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
    "Sparsemax",
    "SparsemaxHead",
    "SparsemaxLoss",
    "TemperatureScaling",
]
