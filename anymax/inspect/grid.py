"""What of a tensor is drawn: a grid of cells, of grids from three axes on, with long axes cut."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase

# For each number of axes, where each axis goes and how many of its indices are drawn at most.
PLACES: dict[int, tuple[tuple[str, int], ...]] = {
    1: (("columns", 12),),
    2: (("rows", 8), ("columns", 12)),
    3: (("blocks across", 4), ("rows", 6), ("columns", 8)),
    4: (("blocks down", 3), ("blocks across", 4), ("rows", 4), ("columns", 4)),
    5: (("pages down", 2), ("blocks down", 2), ("blocks across", 3), ("rows", 3), ("columns", 3)),
    6: (
        ("pages down", 2),
        ("pages across", 2),
        ("blocks down", 2),
        ("blocks across", 2),
        ("rows", 2),
        ("columns", 3),
    ),
}
MOST_AXES = max(PLACES)


@dataclass(frozen=True)
class Grid:
    """The cells that are drawn of a tensor of this shape, and which of them share a distribution."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @cached_property
    def shown(self) -> tuple[tuple[int | None, ...], ...]:
        """Per axis the indices that are drawn, and None where some are left out."""
        return tuple(_shown(size, most) for size, (_, most) in zip(self.shape, PLACES[len(self.shape)], strict=True))

    @property
    def is_whole(self) -> bool:
        """Whether every entry is drawn."""
        return not any(None in indices for indices in self.shown)

    @cached_property
    def _drawn(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(index for index in indices if index is not None) for indices in self.shown)

    @property
    def groups(self) -> int:
        """How many distributions are drawn."""
        return math.prod(len(indices) for axis, indices in enumerate(self._drawn) if axis not in self.axes)

    def indices(self, axes: int | None = None) -> Iterator[tuple[int, ...]]:
        """The drawn indices into the first so many axes, or into all."""
        return itertools.product(*self._drawn[:axes])

    def group(self, index: tuple[int, ...]) -> int:
        """The number of the distribution that a drawn entry belongs to, counted among those that are drawn."""
        number = 0
        for axis, indices in enumerate(self._drawn):
            if axis not in self.axes:
                number = number * len(indices) + indices.index(index[axis])
        return number


def refusal(shape: tuple[int, ...]) -> str:
    """Why there is no picture of a tensor of this shape; nothing where there is one."""
    if not shape:
        return "a tensor without axes has no cells to draw"
    if 0 in shape:
        return f"a tensor of shape {shape} is empty, so it has no cells to draw"
    if len(shape) > MOST_AXES:
        return f"a picture shows 1 to {MOST_AXES} axes, got {len(shape)}; the text is for any number"
    return ""


def mark(group: int) -> str:
    """The letter of a distribution: A to Z, then AA, AB and so on."""
    letters = ""
    group += 1
    while group:
        group, at = divmod(group - 1, 26)
        letters = ascii_uppercase[at] + letters
    return letters


def subscript(parts: Sequence[object]) -> str:
    """An index as it is written: `[0, :]`."""
    return f"[{', '.join(map(str, parts))}]"


def index_pattern(shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    """The entries that share a distribution, as an index: `[i, :]`."""
    letters = "ijklmnopqrstuvw" if len(shape) <= 15 else [f"i{axis}" for axis in range(len(shape))]
    return subscript([":" if axis in axes else letters[axis] for axis in range(len(shape))])


def _shown(size: int, most: int) -> tuple[int | None, ...]:
    if size <= most:
        return tuple(range(size))
    return (*range(most - 1), None, size - 1)
