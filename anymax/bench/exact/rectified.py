"""relumax, softpick and taylor_softmax: positive terms over the sum of their sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import anymax
from anymax.bench.exact.op import Exact, ExactFunction, Ids, Op, without
from anymax.bench.problems import rectified

# terms s of scores, whose share is max(s, 0) over the sum of |s|, and their derivatives
_Terms = Callable[[Exact], tuple[Exact, Exact]]


def _relumax(x: Exact) -> tuple[Exact, Exact]:
    return np.maximum(x, 0), (x > 0).astype(np.longdouble)


def _softpick(x: Exact) -> tuple[Exact, Exact]:
    # nothing overflows: longdouble has e^11000
    return np.expm1(x), np.exp(x)


def _taylor_softmax(x: Exact) -> tuple[Exact, Exact]:
    return ((1 + x) ** 2 + 1) / 2, 1 + x


def _total(terms: Exact) -> Exact:
    """1 where all terms are 0, and so all shares."""
    total = np.abs(terms).sum(1, keepdims=True)
    return np.where(total > 0, total, np.longdouble(1))


def _map(terms_of: _Terms) -> ExactFunction:
    def exact(x: Exact, target: Ids) -> Exact:
        terms, _ = terms_of(x)
        return np.maximum(terms, 0) / _total(terms)

    return exact


def _gradient(terms_of: _Terms) -> ExactFunction:
    def exact(x: Exact, target: Ids) -> Exact:
        terms, slopes = terms_of(x)
        first, total = np.maximum(terms[:, :1], 0), _total(terms)
        found = -np.sign(terms) * slopes * first / total**2
        others = np.abs(without(terms, np.zeros_like(target))).sum(1)
        found[:, 0] = np.where(terms[:, 0] > 0, slopes[:, 0] * others / total[:, 0] ** 2, 0)
        return found

    return exact


def _ops(name: str, terms_of: _Terms) -> dict[str, Op]:
    ours, published = getattr(anymax, name), getattr(rectified, name)
    op = Op(lambda x, _: ours(x, 1), lambda x, _: published(x), _map(terms_of), "the published formula, in torch")
    return {name: op, f"{name}, gradient": op.gradient(_gradient(terms_of), of_first=True)}


OPS = {
    **_ops("relumax", _relumax),
    **_ops("softpick", _softpick),
    **_ops("taylor_softmax", _taylor_softmax),
}
