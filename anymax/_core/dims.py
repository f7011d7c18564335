"""dim -> axes: the only code that knows what a dim is.

A dim is an int, a tuple of ints that compete jointly, a pattern that names every axis and brackets those that
compete (`"batch [class] h w"`), or None for torch's legacy rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor

from anymax._core.errors import CALLER, warn

Dim = int | Sequence[int] | str


class ImplicitDimWarning(UserWarning):
    """No `dim` was given, so an axis was picked by a rule that few people know."""


class Dims(NamedTuple):
    """The axes of a tensor that compete, resolved: non-negative, ascending; names if a pattern gave them."""

    ndim: int
    axes: tuple[int, ...]
    names: tuple[str, ...] | None = None

    def label(self, axis: int) -> str:
        """How messages call an axis: `1`, or `1 ('class')` if a pattern named it."""
        return f"{axis} ('{self.names[axis]}')" if self.names else str(axis)


def resolve(dim: Dim, ndim: int) -> Dims:
    """The axes that `dim` means for a tensor of `ndim` axes."""
    if isinstance(dim, str):
        return _from_pattern(dim, ndim)
    if isinstance(dim, (tuple, list)):
        if len(dim) == 0:
            raise ValueError(f"{CALLER}: dim must name at least one axis, got {dim!r}")
        axes = [_axis(entry, ndim) for entry in dim]
        if len(set(axes)) != len(axes):
            raise ValueError(f"{CALLER}: dim names an axis twice: got {dim!r} for a tensor of {ndim} axes")
        return Dims(ndim, tuple(sorted(axes)))
    return Dims(ndim, (_axis(dim, ndim),))


def resolve_or_implicit(function: str, dim: Dim | None, shape: torch.Size) -> Dims:
    """As `resolve`; None follows torch's legacy rule, `implicit`, which a warning says."""
    ndim = len(shape)
    if dim is not None:
        return resolve(dim, ndim)
    dims = implicit(ndim)
    if ndim > 1:
        _warn_implicit(function, dims.axes[0], shape)
    return dims


def implicit(ndim: int) -> Dims:
    """What torch's legacy rule takes where no `dim` is given: axis 0 of 0, 1 or 3 axes, else axis 1."""
    return Dims(ndim, (0 if ndim in (0, 1, 3) else 1,))


def resolve_or_last(function: str, dim: Dim | None, shape: torch.Size) -> Dims:
    """As `resolve`; None means the last axis, and says so from rank 3 on."""
    ndim = len(shape)
    if dim is not None:
        return resolve(dim, ndim)
    axis = max(ndim - 1, 0)
    if ndim > 2:
        _warn_implicit(function, axis, shape)
    return Dims(ndim, (axis,))


def resolve_one(dim: Dim, ndim: int) -> Dims:
    """As `resolve`, for functions that take exactly one axis."""
    dims = resolve(dim, ndim)
    if len(dims.axes) != 1:
        raise ValueError(f"{CALLER}: dim must name exactly one axis, got {dim!r}")
    return dims


def join(tensor: Tensor, dims: Dims) -> tuple[Tensor, int]:
    """`tensor` with the competing axes made one, and the index of that one."""
    if dims.ndim == 0:
        return tensor.reshape(1), 0
    first, count = dims.axes[0], len(dims.axes)
    if count == 1:
        return tensor, first
    return tensor.movedim(dims.axes, tuple(range(first, first + count))).flatten(first, first + count - 1), first


def split(joined: Tensor, dims: Dims, shape: Sequence[int]) -> Tensor:
    """Undo `join`: a tensor of `shape`, in torch's usual (contiguous) order where axes had to be moved."""
    if dims.ndim == 0:
        return joined.reshape(())
    first, count = dims.axes[0], len(dims.axes)
    if count == 1:
        return joined
    sizes = [shape[axis] for axis in dims.axes]
    spread = joined.unflatten(first, sizes)
    moved = tuple(range(first, first + count))
    return spread if moved == dims.axes else spread.movedim(moved, dims.axes).contiguous()


def reduced_shape(shape: Sequence[int], dims: Dims) -> list[int]:
    """`shape` with size 1 on every competing axis."""
    return [1 if axis in dims.axes else size for axis, size in enumerate(shape)]


def count_distributions(shape: Sequence[int], dims: Dims) -> int:
    """How many separate distributions a map over `dims` returns for `shape`."""
    return math.prod(reduced_shape(shape, dims))


def _axis(dim: object, ndim: int) -> int:
    # an isinstance of Integral takes longer than all else here
    if type(dim) is not int and (isinstance(dim, bool) or not isinstance(dim, (Integral, torch.SymInt))):
        raise TypeError(
            f"{CALLER}: dim must be an int, a tuple of ints or a pattern such as 'batch [class]', "
            f"got {dim!r} of type {type(dim).__name__}"
        )
    # torch treats a 0-d tensor as one entry along one axis
    rank = max(ndim, 1)
    axis = int(dim)
    if not -rank <= axis < rank:
        raise IndexError(
            f"{CALLER}: dim must be in [{-rank}, {rank - 1}] for a tensor of {ndim} axes, got {dim}; "
            "dim=-1 is the last axis"
        )
    return axis % rank


def _from_pattern(pattern: str, ndim: int) -> Dims:
    names: list[str] = []
    competing: list[bool] = []
    inside = False
    bracket_is_empty = False
    # brackets become words of their own, so that "[h w]" and "[h] [w]" read alike
    for word in pattern.replace("[", " [ ").replace("]", " ] ").split():
        if word == "[":
            if inside:
                raise ValueError(f"{CALLER}: a bracket stands inside a bracket in the pattern {pattern!r}")
            inside, bracket_is_empty = True, True
        elif word == "]":
            if not inside:
                raise ValueError(f"{CALLER}: ']' without '[' in the pattern {pattern!r}")
            if bracket_is_empty:
                raise ValueError(f"{CALLER}: a bracket in the pattern {pattern!r} holds no axis")
            inside = False
        else:
            if word == "..." and inside:
                raise ValueError(
                    f"{CALLER}: '...' in the pattern {pattern!r} stands for axes that do not compete; "
                    "name the axes inside the bracket"
                )
            if word != "..." and not word.isidentifier():
                raise ValueError(
                    f"{CALLER}: the pattern {pattern!r} must be axis names separated by spaces, with those "
                    f"that compete in brackets, such as 'batch [class] h w'; got {word!r}"
                )
            if word in names:
                raise ValueError(f"{CALLER}: the pattern {pattern!r} names {word!r} twice")
            names.append(word)
            competing.append(inside)
            bracket_is_empty = False
    if inside:
        raise ValueError(f"{CALLER}: '[' without ']' in the pattern {pattern!r}")
    if True not in competing:
        example = " ".join([*names[:-1], f"[{names[-1]}]"]) if names and names[-1] != "..." else "batch [class]"
        hint = f", or '... [{names[-1]}]' for the last of {ndim} axes" if len(names) == 1 < ndim else ""
        raise ValueError(
            f"{CALLER}: the pattern {pattern!r} brackets no axis; bracket those that compete, such as {example!r}{hint}"
        )
    if "..." in names:
        hidden = ndim - (len(names) - 1)
        if hidden >= 0:
            at = names.index("...")
            names[at : at + 1] = [f"...{index}" for index in range(hidden)]
            competing[at : at + 1] = [False] * hidden
    if len(names) != ndim or "..." in names:
        at_least = "at least " if "..." in names else ""
        expected = len(names) - (1 if "..." in names else 0)
        raise ValueError(f"{CALLER}: the pattern {pattern!r} names {at_least}{expected} axes, got a tensor of {ndim}")
    return Dims(ndim, tuple(axis for axis in range(ndim) if competing[axis]), tuple(names))


def _warn_implicit(function: str, axis: int, shape: torch.Size) -> None:
    if torch.compiler.is_compiling():
        _warn_implicit_once(function, axis, len(shape))
        return
    separate = count_distributions(shape, Dims(len(shape), (axis,)))
    warn(
        f"{function}: no dim was given for an input of shape {tuple(shape)}, so axis {axis} (size {shape[axis]}) "
        f"was normalised: {separate} separate distributions over {shape[axis]} entries. "
        f"Write {function}(..., dim={axis}) to keep this, or name the axis that is meant.",
        ImplicitDimWarning,
    )


def _warn_implicit_once(function: str, axis: int, ndim: int) -> None:
    warn(
        f"{function}: no dim was given for an input of {ndim} axes, so axis {axis} is normalised. "
        f"Write {function}(..., dim={axis}) to keep this, or name the axis that is meant.",
        ImplicitDimWarning,
    )


# A plain warning would break fullgraph compilation; a constant is computed once, while tracing. This is
# torch.compiler.assume_constant_result without its import of all of Dynamo, which doubles the time of our own import.
_warn_implicit_once._dynamo_marked_constant = True  # type: ignore[attr-defined]
