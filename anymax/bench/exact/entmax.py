"""sparsemax, entmax and their losses, beside the package of entmax's authors.

With n = 1 / (alpha - 1), a whole number here, the probabilities are r^n, r = max(z / n - tau, 0), of scores z less
their maximum.
"""

from __future__ import annotations

import numpy as np

import anymax
from anymax.bench.exact.op import Exact, ExactFunction, Function, Ids, Op, less_one, without
from anymax.bench.problems.entmax import PACKAGE, of_package

SPARSEMAX, ENTMAX, ENTMAX_125 = 1, 2, 4
# of Newton's method; no row in sight needs 20
_STEPS = 100


def _power(values: Exact, n: int) -> Exact:
    """By multiplications, which take a hundredth of the time of numpy's power."""
    found = np.ones_like(values)
    for _ in range(n):
        found = found * values
    return found


def _roots(x: Exact, n: int) -> tuple[Exact, Exact]:
    """r and tau. The sum of r^n is convex in tau, so that Newton's method from the left never goes too far."""
    z = (x - x.max(1, keepdims=True)) / n
    tau = np.full((len(x), 1), np.longdouble(-1))
    for _ in range(_STEPS):
        r = np.maximum(z - tau, 0)
        slopes = _slopes(r, n)
        step = ((slopes * r).sum(1, keepdims=True) - 1) / (n * slopes.sum(1, keepdims=True))
        tau = tau + step
        if np.abs(step).max() < 4 * np.finfo(np.longdouble).eps:
            break
    return np.maximum(z - tau, 0), tau


def _slopes(r: Exact, n: int) -> Exact:
    """r^(n - 1), which is p^(2 - alpha), on the support."""
    return np.where(r > 0, _power(r, n - 1), np.longdouble(0))


def _map(n: int) -> ExactFunction:
    return lambda x, target: _power(_roots(x, n)[0], n)


def _map_gradient(n: int) -> ExactFunction:
    def exact(x: Exact, target: Ids) -> Exact:
        slopes = _slopes(_roots(x, n)[0], n)
        return -slopes[:, :1] * less_one(slopes / slopes.sum(1, keepdims=True), np.zeros_like(target))

    return exact


def _loss(n: int) -> ExactFunction:
    def exact(x: Exact, target: Ids) -> Exact:
        """As a sum of what is at least 0: of the other classes, of the target, and of how far that is off."""
        r, tau = _roots(x, n)
        others = _power(without(r, target), n + 1).sum(1) * n / (n + 1)
        missing = 1 - np.take_along_axis(r, target[:, None], 1)[:, 0]
        own = missing**2 / 2 if n == SPARSEMAX else missing**2 * (3 - missing) * 2 / 3
        score = np.take_along_axis(x, target[:, None], 1) - x.max(1, keepdims=True)
        return others + own + np.maximum(n * tau - score, 0)[:, 0]

    return exact


def _loss_gradient(n: int) -> ExactFunction:
    return lambda x, target: less_one(_map(n)(x, target), target)


def _op(ours: Function, name: str, exact: ExactFunction, *options: object) -> Op:
    return Op(ours, _theirs(name, *options), exact, f"`{name}` of the package {PACKAGE}")


def _theirs(name: str, *options: object) -> Function | None:
    function = of_package(name)
    if function is None or name.endswith("_loss"):
        return function
    return lambda x, _: function(x, *options, dim=1)


_OF_SPARSEMAX = _op(lambda x, _: anymax.sparsemax(x, 1), "sparsemax", _map(SPARSEMAX))
_OF_ENTMAX = _op(lambda x, _: anymax.entmax(x, 1), "entmax15", _map(ENTMAX))
_OF_ENTMAX_125 = _op(lambda x, _: anymax.entmax(x, 1, alpha=1.25), "entmax_bisect", _map(ENTMAX_125), 1.25)
_OF_SPARSEMAX_LOSS = _op(
    lambda x, target: anymax.sparsemax_loss(x, target, reduction="none"), "sparsemax_loss", _loss(SPARSEMAX)
)
_OF_ENTMAX_LOSS = _op(lambda x, target: anymax.entmax_loss(x, target, reduction="none"), "entmax15_loss", _loss(ENTMAX))

OPS = {
    "sparsemax": _OF_SPARSEMAX,
    "entmax": _OF_ENTMAX,
    "entmax, alpha = 1.25": _OF_ENTMAX_125,
    "sparsemax_loss": _OF_SPARSEMAX_LOSS,
    "entmax_loss": _OF_ENTMAX_LOSS,
    "sparsemax, gradient": _OF_SPARSEMAX.gradient(_map_gradient(SPARSEMAX), of_first=True),
    "entmax, gradient": _OF_ENTMAX.gradient(_map_gradient(ENTMAX), of_first=True),
    "entmax, alpha = 1.25, gradient": _OF_ENTMAX_125.gradient(_map_gradient(ENTMAX_125), of_first=True),
    "sparsemax_loss, gradient": _OF_SPARSEMAX_LOSS.gradient(_loss_gradient(SPARSEMAX)),
    "entmax_loss, gradient": _OF_ENTMAX_LOSS.gradient(_loss_gradient(ENTMAX)),
}
