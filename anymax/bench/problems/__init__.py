"""A case as something that can be computed, by whom it can be computed; a file per family."""

import torch

from anymax.bench.cases import Case
from anymax.bench.problems import (
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
from anymax.bench.problems.problem import COPY, FLOORS, Function, Maker, Problem

_MAKERS: dict[str, Maker] = {
    **softmax.MAKERS,
    **entropy.MAKERS,
    **entmax.MAKERS,
    **rectified.MAKERS,
    **cross_entropy.MAKERS,
    **binary.MAKERS,
    **imbalance.MAKERS,
    **gumbel.MAKERS,
    **truncation.MAKERS,
    **linear.MAKERS,
    **nce.MAKERS,
    **contrast.MAKERS,
    **tree.MAKERS,
}


def problem_of(case: Case) -> Problem:
    """Inputs and functions of one case; the same numbers in every process."""
    torch.manual_seed(0)
    return _MAKERS[case.op](case)


__all__ = ["COPY", "FLOORS", "Function", "Problem", "problem_of"]
