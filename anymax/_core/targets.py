"""Targets: their dtype and shape, ids that can be looked up, bad values as NaN, and the reductions of a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from anymax._core import checks
from anymax._core.context import values_are_readable
from anymax._core.dims import Dim, Dims, resolve_one
from anymax._core.errors import CALLER
from anymax._core.scores import mean_of

# Sums of float16 or bfloat16 probabilities and of mixed-up batches stay inside; counts and scores do not.
SIMPLEX_TOLERANCE = 1e-2

REDUCTIONS = ("none", "mean", "sum")


class Ids(NamedTuple):
    """Target ids, ready to be looked up."""

    safe: Tensor  # in range, whatever the target holds
    counted: Tensor  # False for rows that are ignored
    valid: Tensor  # False for counted rows whose id is out of range


def is_integral(ids: Tensor) -> bool:
    return not (ids.dtype == torch.bool or ids.is_floating_point() or ids.is_complex())


def without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """`shape` without one axis."""
    return (*shape[:axis], *shape[axis + 1 :])


def as_int64(ids: Tensor) -> Tensor:
    """Ids of any integer dtype as int64. Compared in their own, a narrow -100 would wrap: uint8 makes 156 of it."""
    if ids.dtype is torch.int64:
        return ids
    wide = ids.long()
    # beyond int64 there is no class, and no ignored row either
    return torch.where(wide < 0, torch.iinfo(torch.int64).max, wide) if ids.dtype is torch.uint64 else wide


def look_up(target: Tensor, num_classes: int, ignore_index: int, stand_in: Tensor | int = 0) -> Ids:
    """The ids of int64 targets; `stand_in` takes the place of what is ignored or out of range."""
    counted = target != ignore_index
    inside = (target >= 0) & (target < num_classes)
    return Ids(torch.where(counted & inside, target, stand_in), counted, ~counted | inside)


def first_of_each(ids: Tensor) -> Tensor:
    """For each entry the position of the first entry with the same id."""
    ordered, order = ids.sort(stable=True)
    starts = pad(ordered[1:] != ordered[:-1], (1, 0), value=True)
    start = torch.where(starts, torch.arange(ids.numel(), device=ids.device), 0).cummax(0).values
    return torch.empty_like(order).scatter(0, order, order[start])


def spoilt_unless(valid: Tensor, rows: Tensor) -> Tensor:
    """The rows, with NaN where they are not valid: by a factor, not a choice, so that the gradient is NaN too."""
    return rows * torch.where(valid, 1.0, float("nan")).to(rows.dtype)


def simplex_rows(target: Tensor, axis: int) -> Tensor:
    """Which rows of probability targets are probabilities; keeps the axis, with size 1."""
    total = target.sum(axis, keepdim=True)
    return ((total - 1).abs() <= SIMPLEX_TOLERANCE) & (target >= 0).all(axis, keepdim=True)


def reduce(rows: Tensor, reduction: str, weight: Tensor) -> Tensor:
    """The rows themselves, their sum, or their sum over that of `weight`: 0 where there is nothing to average."""
    if reduction == "none":
        return rows
    total = rows.sum()
    return mean_of(total, weight.sum()) if reduction == "mean" else total


def class_axis(dim: Dim | None, ndim: int) -> Dims:
    """The class axis of a loss: as torch, axis 1 where none is given, or 0 of a single axis."""
    if ndim == 0:
        raise ValueError(f"{CALLER}: input must have a class axis, got a tensor without axes")
    return resolve_one(min(1, ndim - 1) if dim is None else dim, ndim)


def as_ids(argument: str, ids: Tensor) -> Tensor:
    """Class ids as int64; anything else is an error."""
    checks.tensor(argument, ids)
    if not is_integral(ids):
        raise TypeError(f"{CALLER}: {argument} must hold class ids (integers), got {ids.dtype}")
    return as_int64(ids)


def as_target(target: Tensor, ignore_index: int) -> Tensor:
    """Class ids as int64, or probabilities; anything else is an error."""
    checks.tensor("target", target)
    if target.dtype == torch.bool or target.is_complex():
        raise TypeError(
            f"{CALLER}: target must hold class ids (integers) or probabilities (floating point), got {target.dtype}; "
            "write target.long() for the classes 0 and 1"
        )
    if target.is_floating_point() and ignore_index >= 0:
        raise ValueError(
            f"{CALLER}: ignore_index must be negative with probability targets, which hold no index, got {ignore_index}"
        )
    return target if target.is_floating_point() else as_int64(target)


def check_shape(target: Tensor, shape: torch.Size, dims: Dims, dim: Dim | None) -> None:
    """Check the target's shape against scores of `shape`, whose class axis `dims` names."""
    (axis,) = dims.axes
    if target.is_floating_point():
        if target.shape != shape:
            hint = ""
            if target.shape == without(shape, axis):
                hint = "; if these are class ids, write target.long()"
            raise ValueError(
                f"{CALLER}: a floating-point target holds probabilities and must have the input's shape "
                f"{tuple(shape)}, got {tuple(target.shape)}{hint}"
            )
        return
    if target.shape == without(shape, axis):
        return
    if target.shape == shape:
        hint = f"; a one-hot target is target.float(), or target.argmax({axis}) as ids"
    elif target.shape == (*shape[:axis], 1, *shape[axis + 1 :]):
        hint = f"; write target.squeeze({axis})"
    else:
        fitting = [at for at in range(len(shape)) if target.shape == without(shape, at)]
        hint = "".join(f"; it fits with axis {at} as the classes: {CALLER}(..., dim={at})" for at in fitting)
    chosen = "" if dim is not None else ", the default class axis"
    raise ValueError(
        f"{CALLER}: target must have the input's shape {tuple(shape)} without axis {dims.label(axis)}{chosen}, "
        f"so {tuple(without(shape, axis))}, got {tuple(target.shape)}{hint}"
    )


def has_nan(loss: Tensor) -> bool:
    """Whether a loss is NaN, or one of a row: a number is read in a fifth of the time that two small ops take."""
    return math.isnan(loss.item()) if loss.ndim == 0 else bool(loss.isnan().any())


def check_values(target: Tensor, num_classes: int, axis: int, ignore_index: int, loss: Tensor) -> None:
    """Say which target is bad, where values can be read and the loss is NaN, as a bad target makes it.

    Looking at the targets first would cost more than a small loss itself.
    """
    if not values_are_readable(target, loss) or not has_nan(loss):
        return
    if target.is_floating_point():
        if bool(simplex_rows(target.to(torch.promote_types(target.dtype, torch.float32)), axis).all()):
            return
        total = target.sum(axis, dtype=torch.promote_types(target.dtype, torch.float32))
        raise ValueError(
            f"{CALLER}: a floating-point target holds probabilities along axis {axis}, at least 0 and "
            f"summing to 1, got sums from {total.min().item():.4g} to {total.max().item():.4g} and a "
            f"smallest entry of {target.min().item():.4g}; write target / target.sum({axis}, keepdim=True) "
            "for counts"
        )
    check_ids(target, num_classes, ignore_index)


def check_ids(target: Tensor, num_classes: int, ignore_index: int) -> None:
    """Say which of the ids, whose values can be read, is no class."""
    bad = (target != ignore_index) & ((target < 0) | (target >= num_classes))
    if bool(bad.any()):
        from_one = bool((target[target != ignore_index] >= 1).all() & (target[bad] == num_classes).all())
        hint = "; ids count from 0: write target - 1" if from_one else ""
        raise ValueError(
            f"{CALLER}: target ids must be in [0, {num_classes - 1}] or ignore_index ({ignore_index}), "
            f"got {target[bad].flatten()[0].item()}{hint}"
        )
