"""The expected/got messages: one sentence each, with function, argument, what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

from anymax._core.context import values_are_readable
from anymax._core.dims import Dims
from anymax._core.errors import CALLER

# float8 types only store: torch promotes them with nothing
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def tensor(argument: str, value: object) -> None:
    if not isinstance(value, Tensor):
        # not the numbers of an array or a long list
        shown = repr(value) if isinstance(value, (int, float, str, type(None))) else "a value"
        hint = "" if value is None or isinstance(value, str) else f"; write torch.as_tensor({argument})"
        raise TypeError(f"{CALLER}: {argument} must be a tensor, got {shown} of type {type(value).__name__}{hint}")
    # by name: importing the class takes a second, and who has one has imported it
    if type(value).__name__ == "DTensor":
        raise NotImplementedError(
            f"{CALLER}: {argument} is a DTensor, which no backend serves yet; pass {argument}.full_tensor()"
        )


def floating(argument: str, value: object, hint: str | None = None) -> None:
    tensor(argument, value)
    if isinstance(value, Tensor) and value.dtype not in FLOATING:
        if hint is None:
            hint = "" if value.is_complex() else f"; write {argument}.float()"
        raise TypeError(f"{CALLER}: {argument} must be a floating-point tensor, got {value.dtype}{hint}")


def mask(value: Tensor | None, shape: Sequence[int]) -> None:
    if value is None:
        return
    tensor("mask", value)
    if value.dtype != torch.bool:
        raise TypeError(
            f"{CALLER}: mask must be a boolean tensor in which True takes part, got {value.dtype}; "
            "write mask.bool() if nonzero means that an entry takes part, mask == 0 for a mask that is added to scores"
        )
    broadcasts("mask", value, shape)


def fits(value: Tensor, shape: Sequence[int]) -> bool:
    """Whether `value` broadcasts against `shape` without enlarging it."""
    return value.ndim <= len(shape) and all(
        mine in (1, theirs) for mine, theirs in zip(reversed(value.shape), reversed(shape), strict=False)
    )


def broadcasts(argument: str, value: Tensor, shape: Sequence[int]) -> None:
    """`value` must broadcast against `shape` without enlarging it."""
    if not fits(value, shape):
        raise ValueError(
            f"{CALLER}: {argument} must broadcast against scores of shape {tuple(shape)} without enlarging it, "
            f"got shape {tuple(value.shape)}"
        )


def per_row(argument: str, value: object, shape: Sequence[int], dims: Dims) -> None:
    """A number, or a floating-point tensor that broadcasts and has size 1 on every competing axis."""
    if isinstance(value, Tensor):
        floating(argument, value)
        broadcasts(argument, value, shape)
        for axis in dims.axes:
            at = axis - len(shape) + value.ndim
            # a tensor without axes competes along axis 0, which has no size
            if 0 <= at < value.ndim and value.shape[at] != 1:
                raise ValueError(
                    f"{CALLER}: {argument} must have size 1 on axis {dims.label(axis)}, which is normalised, "
                    f"got shape {tuple(value.shape)} for scores of shape {tuple(shape)}"
                )
    else:
        number(argument, value)


def number(argument: str, value: object) -> None:
    # an isinstance of Real takes longer than all other checks of a call
    if type(value) is float:
        return
    if isinstance(value, bool) or not isinstance(value, (Real, torch.SymInt, torch.SymFloat)):
        raise TypeError(f"{CALLER}: {argument} must be a number, got {value!r} of type {type(value).__name__}")


# below these a number becomes 0
SMALLEST = {torch.float32: 2.0**-149, torch.float64: 2.0**-1074}


def positive(argument: str, value: float | Tensor, hint: str = "", dtype: torch.dtype = torch.float64) -> None:
    """Greater than 0 in the dtype of the computation: numbers always; tensors where their values can be read."""
    if isinstance(value, Tensor):
        if values_are_readable(value) and not bool((value.to(dtype) > 0).all()):
            smallest = value[~(value.to(dtype) > 0)].flatten()[0].item()
            raise ValueError(f"{CALLER}: {argument} must be greater than 0 everywhere, got {smallest}{hint}")
    elif not value > 0:
        raise ValueError(f"{CALLER}: {argument} must be greater than 0, got {value}{hint}")
    elif value < SMALLEST[dtype]:
        raise ValueError(f"{CALLER}: {argument} must be greater than 0, got {value}, which is 0 in {dtype}{hint}")


def softcap(value: object, dtype: torch.dtype) -> None:
    """None, or a number that is positive and finite in the dtype of the computation."""
    if value is None:
        return
    number("softcap", value)
    positive("softcap", value, dtype=dtype)  # type: ignore[arg-type]
    if value > torch.finfo(dtype).max:  # type: ignore[operator]
        raise ValueError(f"{CALLER}: softcap must be finite in {dtype}, got {value}; leave it away for no cap")


def at_least_zero(argument: str, value: object) -> None:
    number(argument, value)
    if not value >= 0:  # type: ignore[operator]
        raise ValueError(f"{CALLER}: {argument} must be at least 0, got {value}")


def flag(argument: str, value: object, hint: str = "") -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{CALLER}: {argument} must be True or False, got {value!r}{hint}")


def count(argument: str, value: object) -> None:
    """An int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
        raise TypeError(f"{CALLER}: {argument} must be an int, got {value!r} of type {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{CALLER}: {argument} must be at least 1, got {value}")


def integer(argument: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{CALLER}: {argument} must be an int, got {value!r}")


def per_class(argument: str, value: Tensor | None, num_classes: int) -> None:
    """A floating-point vector over the classes, or None."""
    if value is None:
        return
    floating(argument, value)
    _one_per_class(argument, value, num_classes)


def class_prior(value: Tensor | None, num_classes: int) -> None:
    """Weights of the classes, or None."""
    if value is not None:
        class_weights("class_prior", value, num_classes, "; write class_prior.exp() for log-probabilities")


def class_weights(argument: str, value: Tensor, num_classes: int, hint: str = "") -> None:
    """A vector over the classes of weights or counts, also integers; its values only where they can be read.

    The hint is for negative ones.
    """
    tensor(argument, value)
    if value.dtype == torch.bool or (value.is_floating_point() and value.dtype not in FLOATING) or value.is_complex():
        raise TypeError(f"{CALLER}: {argument} must hold weights (floating point or integers), got {value.dtype}")
    _one_per_class(argument, value, num_classes)
    if not values_are_readable(value):
        return
    # some integer types have no comparison
    lowest, highest = (bound.item() for bound in value.to(torch.promote_types(value.dtype, torch.float32)).aminmax())
    if not (lowest >= 0 and 0 < highest < float("inf")):
        raise ValueError(
            f"{CALLER}: {argument} must hold finite weights of at least 0 that are not all 0, "
            f"got entries from {lowest:.4g} to {highest:.4g}{hint if lowest < 0 else ''}"
        )


def _one_per_class(argument: str, value: Tensor, num_classes: int) -> None:
    if value.shape != (num_classes,):
        raise ValueError(
            f"{CALLER}: {argument} must have one entry per class, shape ({num_classes},), got {tuple(value.shape)}"
        )


def one_of(argument: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{CALLER}: {argument} must be one of {choices}, got {value!r}")
