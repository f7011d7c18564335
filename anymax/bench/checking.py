"""Whether an answer is right: it is compared with the exact one, computed in float64, before anything is timed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from anymax.bench.cases import Case
from anymax.bench.contenders import TORCH, as_tensors, worked
from anymax.bench.problems import Problem

# Of a result's own size and of the largest of its kind. Float32 sums of some thousand terms come to a tenth of it, and
# halves are rounded by more.
TOLERANCE = 1e-5
# The share of rows in which a choice may differ, because two scores differ by less than a rounding.
TIES = 1e-3
# About so many entries are compared, where a part of the batch stands for all of it.
ENTRIES = 2**21


def part_of(problem: Problem, tensor: Tensor) -> Tensor:
    """The first indices of the batch; everything where a result needs the whole batch."""
    axis = problem.batch_axis
    if axis is None or tensor.ndim <= axis:
        return tensor
    each = max(1, problem.inputs[0].numel() // problem.inputs[0].shape[axis])
    return tensor.narrow(axis, 0, min(tensor.shape[axis], max(1, ENTRIES // each)))


def exact_answer(problem: Problem, case: Case) -> tuple[Tensor, ...]:
    inputs = tuple(
        part_of(problem, tensor.detach()).double().requires_grad_(tensor.requires_grad) for tensor in problem.inputs
    )
    return as_tensors(worked(problem.exact or problem.theirs[TORCH], inputs, case)())


def tolerance(dtype: torch.dtype) -> float:
    return max(TOLERANCE, torch.finfo(dtype).eps)


def difference(problem: Problem, got: Sequence[Tensor], exact: Sequence[Tensor]) -> str | None:
    """How an answer differs from the exact one, in words; None where it does not."""
    for number, (whole, right) in enumerate(zip(got, exact, strict=True)):
        mine = _part_like(problem, whole, right)
        what = "the result" if number == 0 else f"result {number + 1}"
        if mine.shape != right.shape:
            return f"{what} has shape {tuple(mine.shape)}, not {tuple(right.shape)}"
        if problem.is_choice and number == 0:
            rows = (mine.double() != right.double()).reshape(len(right), -1).any(1)
            if rows.double().mean() > TIES:
                return f"{what} chooses otherwise in {int(rows.sum())} of {len(rows)} rows"
            continue
        mine, right = (tensor.to_dense() if tensor.is_sparse else tensor for tensor in (mine, right))
        error = (mine.double() - right).abs()
        allowed = tolerance(mine.dtype) * (right.abs() + right.abs().max()) if right.numel() else error
        if not bool((error <= allowed).all()):
            worst = error.max().item()
            size = f"by up to {worst:.2g}" if math.isfinite(worst) else "by NaN or infinity"
            return f"{what} differs from the exact one {size}"
    return None


def _part_like(problem: Problem, whole: Tensor, right: Tensor) -> Tensor:
    axis = problem.batch_axis
    if axis is None or axis >= min(whole.ndim, right.ndim) or whole.shape[axis] < right.shape[axis]:
        return whole
    return whole.narrow(axis, 0, right.shape[axis])
