"""One row per way of calling an op. An op without a row fails the suite; a new row meets every law."""

from anymax.testing.cases import (
    binary,
    contrast,
    cross_entropy,
    entmax,
    entropy,
    gumbel,
    imbalance,
    linear,
    nce,
    rectified,
    softmax,
    tree,
    truncation,
)
from anymax.testing.cases.case import Case

CASES: tuple[Case, ...] = (
    *softmax.CASES,
    *entropy.CASES,
    *entmax.CASES,
    *rectified.CASES,
    *gumbel.CASES,
    *truncation.CASES,
    *cross_entropy.CASES,
    *binary.CASES,
    *imbalance.CASES,
    *linear.CASES,
    *nce.CASES,
    *contrast.CASES,
    *tree.CASES,
)

__all__ = ["CASES", "Case"]
