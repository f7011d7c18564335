"""The losses of yes/no decisions, of each entry by itself: binary_cross_entropy_with_logits, focal and asymmetric."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.exact.op import Exact, Ids, Op
from anymax.bench.problems import binary

CLIP = np.longdouble(0.05)


def _labels(x: Tensor) -> Tensor:
    """0 and 1 in turns."""
    return (torch.arange(x.shape[1]) % 2).to(x.dtype).expand_as(x)


def _is_positive(x: Exact) -> NDArray[np.bool_]:
    return np.arange(x.shape[1]) % 2 == 1


def _signs(x: Exact) -> Exact:
    """Times a score they are large where the label is missed."""
    return np.where(_is_positive(x), np.longdouble(-1), np.longdouble(1))


def _weights(x: Exact) -> Exact:
    return np.where(_is_positive(x), np.longdouble(0.25), np.longdouble(0.75))


def _sigmoid(x: Exact) -> Exact:
    # nothing overflows: longdouble has e^11000
    return np.reciprocal(1 + np.exp(-x))


def _softplus(x: Exact) -> Exact:
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def _slopes(x: Exact, gamma: int) -> Exact:
    """Of sigmoid(x)^gamma softplus(x)."""
    p = _sigmoid(x)
    return p**gamma * (gamma * _sigmoid(-x) * _softplus(x) + p)


def _binary(x: Exact, target: Ids) -> Exact:
    return _softplus(_signs(x) * x)


def _focal(x: Exact, target: Ids) -> Exact:
    missed = _signs(x) * x
    return _weights(x) * _sigmoid(missed) ** 2 * _softplus(missed)


def _focal_gradient(x: Exact, target: Ids) -> Exact:
    return _signs(x) * _weights(x) * _slopes(_signs(x) * x, 2)


def _clipped(x: Exact) -> Exact:
    return np.maximum(_sigmoid(x) - CLIP, 0)


def _asymmetric(x: Exact, target: Ids) -> Exact:
    clipped = _clipped(x)
    negative = clipped**4 * -np.log1p(-clipped)
    return np.where(_is_positive(x), _sigmoid(-x) * _softplus(-x), negative)


def _asymmetric_gradient(x: Exact, target: Ids) -> Exact:
    clipped = _clipped(x)
    negative = clipped**3 * (clipped / (1 - clipped) - 4 * np.log1p(-clipped)) * _sigmoid(x) * _sigmoid(-x)
    return np.where(_is_positive(x), -_slopes(-x, 1), negative)


_OF_FOCAL = Op(
    lambda x, _: anymax.sigmoid_focal_loss(x, _labels(x)),
    lambda x, _: binary.focal(x, _labels(x)),
    _focal,
    "torchvision's formula, in torch",
)
_OF_ASYMMETRIC = Op(
    lambda x, _: anymax.asymmetric_loss(x, _labels(x), reduction="none"),
    lambda x, _: binary.asymmetric(x, _labels(x)),
    _asymmetric,
    "the published formula, in torch",
)

OPS = {
    "binary_cross_entropy_with_logits": Op(
        lambda x, _: anymax.binary_cross_entropy_with_logits(x, _labels(x), reduction="none"),
        lambda x, _: functional.binary_cross_entropy_with_logits(x, _labels(x), reduction="none"),
        _binary,
    ),
    "sigmoid_focal_loss": _OF_FOCAL,
    "asymmetric_loss": _OF_ASYMMETRIC,
    "sigmoid_focal_loss, gradient": _OF_FOCAL.gradient(_focal_gradient),
    "asymmetric_loss, gradient": _OF_ASYMMETRIC.gradient(_asymmetric_gradient),
}
