"""Modules of the standard names over the functions of anymax."""

from anymax.nn.maps import GumbelSoftmax, LogSoftmax, LogSumExp, Softmax, Softmax2d, Softmin

__all__ = [
    "GumbelSoftmax",
    "LogSoftmax",
    "LogSumExp",
    "Softmax",
    "Softmax2d",
    "Softmin",
]
