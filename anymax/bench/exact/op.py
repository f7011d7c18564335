"""What an op is whose errors are measured: anymax's call, what one would call otherwise, and the exact answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# 64 bits of mantissa or more on Linux; elsewhere it may be float64, which cannot judge float64.
Exact = NDArray[np.longdouble]
Ids = NDArray[np.int64]
Function = Callable[[Tensor, Tensor], Tensor]
ExactFunction = Callable[[Exact, Ids], Exact]


@dataclass(frozen=True)
class Op:
    """One op in three ways, of scores (rows, length) and a target id per row.

    Args:
        theirs: None where it is not installed.
        rival: whose it is, for the page.
    """

    ours: Function
    theirs: Function | None
    exact: ExactFunction
    rival: str = "torch"

    def gradient(self, exact: ExactFunction, of_first: bool = False) -> Op:
        """Of the sum of all results, or of the first of each row."""
        theirs = None if self.theirs is None else _gradient(self.theirs, of_first)
        return Op(_gradient(self.ours, of_first), theirs, exact, self.rival)


def _gradient(function: Function, of_first: bool) -> Function:
    def call(x: Tensor, target: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        result = function(x, target)
        upstream = torch.zeros_like(result) if of_first else torch.ones_like(result)
        if of_first:
            upstream[:, 0] = 1
        (found,) = torch.autograd.grad(result, x, upstream)
        return found

    return call


def without(values: Exact, ids: Ids) -> Exact:
    """A copy with 0 where the id of the row is."""
    rest = values.copy()
    np.put_along_axis(rest, ids[:, None], np.longdouble(0), 1)
    return rest


def less_one(p: Exact, ids: Ids) -> Exact:
    """p, and where the id of the row is, minus the sum of the others: p - 1 with all its digits."""
    found = p.copy()
    np.put_along_axis(found, ids[:, None], -without(p, ids).sum(1, keepdims=True), 1)
    return found
