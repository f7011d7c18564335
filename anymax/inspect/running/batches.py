"""A batch as samples: which tensors hold one row per sample, and the batch with one sample changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from anymax._core.errors import CALLER


def named_tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested tuples, lists, dicts and dataclasses, under names such as `output["boxes"][0]`."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from named_tensors(entry, f"{name}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        fields = getattr(value, "_fields", None)
        for at, entry in enumerate(value):
            yield from named_tensors(entry, f"{name}.{fields[at]}" if fields else f"{name}[{at}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from named_tensors(getattr(value, field.name), f"{name}.{field.name}")


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same value with every tensor of it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        entries = {key: mapped(entry, change) for key, entry in value.items()}
        return entries if type(value) is dict else type(value)(entries)  # type: ignore[call-arg]
    if isinstance(value, (tuple, list)):
        parts = [mapped(entry, change) for entry in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: mapped(getattr(value, field.name), change) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


def differ(one: Tensor, other: Tensor) -> float:
    """The largest difference; where one is NaN or infinite and the other is not the same, infinite."""
    if one.shape != other.shape:
        return float("inf")
    if one.numel() == 0:
        return 0.0
    if one.dtype == torch.bool:
        return float((one != other).any())
    wide = torch.complex128 if one.is_complex() else torch.float64
    same = (one == other) | (one.isnan() & other.isnan())
    if bool(same.all()):
        return 0.0
    gaps = (one.to(wide) - other.to(wide)).abs().masked_fill(same, 0.0)
    return gaps.nan_to_num(nan=float("inf"), posinf=float("inf")).max().item()


def rounding(tensor: Tensor) -> float:
    """Eight units in the last place of the largest entry; 0 for whole numbers, which have to be equal."""
    return 8 * torch.finfo(tensor.dtype).eps * largest(tensor) if tensor.dtype.is_floating_point else 0.0


def largest(tensor: Tensor) -> float:
    """The largest of the finite entries, without its sign; 0 where there is none."""
    finite = tensor[tensor.isfinite()].abs() if tensor.dtype != torch.bool else tensor[:0]
    return finite.max().item() if finite.numel() else 0.0


@dataclass(frozen=True)
class Batch:
    """The arguments of a model, as samples."""

    value: Any
    dim: int
    count: int

    @classmethod
    def of(cls, value: Any, dim: int) -> Batch:
        tensors = dict(named_tensors(value, "batch"))
        if not tensors:
            raise TypeError(
                f"{CALLER}: batch must be a tensor, a tuple of arguments or a dict of keyword arguments, with a tensor "
                f"in it, got {type(value).__name__}"
            )
        name, first = next(iter(tensors.items()))
        if not -first.ndim <= dim < first.ndim:
            raise ValueError(f"{CALLER}: batch_dim={dim} is no axis of {name}, of shape {tuple(first.shape)}")
        count = first.shape[dim]
        if count < 2:
            raise ValueError(
                f"{CALLER}: a batch of {count} cannot show whether samples mix; give one of two samples or more, along "
                f"axis {dim} (batch_dim) of {name}, got shape {tuple(first.shape)}"
            )
        return cls(value, dim, count)

    def has_axis(self, tensor: Tensor) -> bool:
        return -tensor.ndim <= self.dim < tensor.ndim and tensor.shape[self.dim] == self.count

    def row(self, tensor: Tensor, sample: int) -> Tensor:
        return tensor.select(self.dim, sample)

    def without_numbers(self, tensor: Tensor) -> list[int]:
        """The samples whose rows have entries, and none that is finite."""
        rows = ((sample, self.row(tensor, sample)) for sample in range(self.count))
        return [sample for sample, row in rows if row.numel() and not bool(row.isfinite().any())]

    def changed(self, most: int) -> list[int]:
        """Which samples are changed in turn: all of them, or `most`, from the first to the last."""
        if self.count <= most:
            return list(range(self.count))
        return sorted({round(at * (self.count - 1) / (most - 1)) for at in range(most)})

    def replaced(self, sample: int) -> Any:
        """The batch with this sample changed into its neighbour."""
        generator = torch.Generator().manual_seed(sample)
        moved = False

        def change(tensor: Tensor) -> Tensor:
            nonlocal moved
            if not self.has_axis(tensor):
                return tensor
            result = tensor.detach().clone()
            mine, other = self.row(result, sample), self.row(tensor.detach(), (sample + 1) % self.count)
            if torch.equal(mine, other):
                other = _another(mine, generator)
            moved = moved or not torch.equal(mine, other)
            mine.copy_(other)
            return result

        value = mapped(self.value, change)
        if not moved:
            raise ValueError(
                f"{CALLER}: sample {sample} is equal to its neighbour, and of whole numbers that are all equal no "
                "others are known that the model takes; give a batch whose samples differ"
            )
        return value


def _another(row: Tensor, generator: torch.Generator) -> Tensor:
    """Other numbers of the same kind: noise as large as the numbers are, or the same ids in another order."""
    if row.is_floating_point():
        size = row.float().abs().mean().item() or 1.0
        noise = torch.randn(row.shape, generator=generator).to(row.device, row.dtype)
        return row + size * noise
    return row.flip(tuple(range(row.ndim)))
