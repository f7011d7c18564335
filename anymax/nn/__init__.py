"""Modules of the standard names over the functions of anymax, and output heads with one interface."""

from anymax.nn.calibration import TemperatureScaling
from anymax.nn.heads.binary import FocalHead, SigmoidHead
from anymax.nn.heads.drawn import NCEHead, NegativeSamplingHead, SampledSoftmaxHead
from anymax.nn.heads.gumbel import GumbelSoftmaxHead
from anymax.nn.heads.softmax import SoftmaxHead
from anymax.nn.heads.sparse import EntmaxHead, SparsemaxHead
from anymax.nn.heads.trees import AdaptiveSoftmaxHead, HierarchicalSoftmaxHead
from anymax.nn.losses.binary import AsymmetricLoss, BCEWithLogitsLoss, SigmoidFocalLoss
from anymax.nn.losses.contrast import InfoNCELoss
from anymax.nn.losses.cross_entropy import CrossEntropyLoss, LinearCrossEntropyLoss
from anymax.nn.losses.drawn import NCELoss, NegativeSamplingLoss, SampledSoftmaxLoss
from anymax.nn.losses.imbalance import LDAMLoss
from anymax.nn.losses.sparse import EntmaxLoss, SparsemaxLoss
from anymax.nn.maps import (
    Entmax,
    Entropy,
    GumbelSoftmax,
    LogSoftmax,
    LogSumExp,
    Relumax,
    Softmax,
    Softmax2d,
    Softmin,
    Softpick,
    Sparsemax,
    TaylorSoftmax,
)

__all__ = [
    "AdaptiveSoftmaxHead",
    "AsymmetricLoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Entmax",
    "EntmaxHead",
    "EntmaxLoss",
    "Entropy",
    "FocalHead",
    "GumbelSoftmax",
    "GumbelSoftmaxHead",
    "HierarchicalSoftmaxHead",
    "InfoNCELoss",
    "LDAMLoss",
    "LinearCrossEntropyLoss",
    "LogSoftmax",
    "LogSumExp",
    "NCEHead",
    "NCELoss",
    "NegativeSamplingHead",
    "NegativeSamplingLoss",
    "Relumax",
    "SampledSoftmaxHead",
    "SampledSoftmaxLoss",
    "SigmoidFocalLoss",
    "SigmoidHead",
    "Softmax",
    "Softmax2d",
    "SoftmaxHead",
    "Softmin",
    "Softpick",
    "Sparsemax",
    "SparsemaxHead",
    "SparsemaxLoss",
    "TaylorSoftmax",
    "TemperatureScaling",
]
