"""softmax and what is made of it: log_softmax, logsumexp, entropy and cross_entropy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import anymax
from anymax.bench.exact.op import Exact, Ids, Op, less_one, without


def _terms(x: Exact) -> Exact:
    return np.exp(x - x.max(1, keepdims=True))


def _softmax(x: Exact, target: Ids) -> Exact:
    terms = _terms(x)
    return terms / terms.sum(1, keepdims=True)


def _log_sum_of_others(x: Exact) -> Exact:
    """log of the sum of exp(x - max) as log1p of all but the largest term, which keeps the digits of a small one."""
    return np.log1p(without(_terms(x), x.argmax(1)).sum(1, keepdims=True))


def _log_softmax(x: Exact, target: Ids) -> Exact:
    return (x - x.max(1, keepdims=True)) - _log_sum_of_others(x)


def _logsumexp(x: Exact, target: Ids) -> Exact:
    return (x.max(1, keepdims=True) + _log_sum_of_others(x))[:, 0]


def _entropy(x: Exact, target: Ids) -> Exact:
    return -(_softmax(x, target) * _log_softmax(x, target)).sum(1)


def _cross_entropy(x: Exact, target: Ids) -> Exact:
    return -np.take_along_axis(_log_softmax(x, target), target[:, None], 1)[:, 0]


def _softmax_gradient(x: Exact, target: Ids) -> Exact:
    p = _softmax(x, target)
    return -p[:, :1] * less_one(p, np.zeros_like(target))


def _log_softmax_gradient(x: Exact, target: Ids) -> Exact:
    return -less_one(_softmax(x, target), np.zeros_like(target))


def _cross_entropy_gradient(x: Exact, target: Ids) -> Exact:
    return less_one(_softmax(x, target), target)


def _composed_entropy(x: Tensor, target: Tensor) -> Tensor:
    log_probs = torch.log_softmax(x, 1)
    return -(log_probs.exp() * log_probs).sum(1)


_OF_SOFTMAX = Op(lambda x, _: anymax.softmax(x, 1), lambda x, _: torch.softmax(x, 1), _softmax)
_OF_LOG_SOFTMAX = Op(lambda x, _: anymax.log_softmax(x, 1), lambda x, _: torch.log_softmax(x, 1), _log_softmax)
_OF_LOGSUMEXP = Op(lambda x, _: anymax.logsumexp(x, 1), lambda x, _: torch.logsumexp(x, 1), _logsumexp)
_OF_CROSS_ENTROPY = Op(
    lambda x, target: anymax.cross_entropy(x, target, reduction="none"),
    lambda x, target: functional.cross_entropy(x, target, reduction="none"),
    _cross_entropy,
)

OPS = {
    "softmax": _OF_SOFTMAX,
    "log_softmax": _OF_LOG_SOFTMAX,
    "logsumexp": _OF_LOGSUMEXP,
    "entropy": Op(
        lambda x, _: anymax.entropy(x, 1), _composed_entropy, _entropy, "its formula, of torch's `log_softmax`"
    ),
    "cross_entropy": _OF_CROSS_ENTROPY,
    "softmax, gradient": _OF_SOFTMAX.gradient(_softmax_gradient, of_first=True),
    "log_softmax, gradient": _OF_LOG_SOFTMAX.gradient(_log_softmax_gradient, of_first=True),
    "logsumexp, gradient": _OF_LOGSUMEXP.gradient(_softmax),
    "cross_entropy, gradient": _OF_CROSS_ENTROPY.gradient(_cross_entropy_gradient),
}
