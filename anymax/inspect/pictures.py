"""The pictures of explain, in plain text: the axes, the entries that share a distribution, the probabilities."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anymax.inspect.grid import MOST_AXES, Grid, index_pattern, mark, subscript
from anymax.inspect.palette import on_terminal
from anymax.inspect.svg import number

if TYPE_CHECKING:
    from torch import Tensor

    from anymax.inspect.facts import Facts

WIDTH = 79


def axis_table(facts: Facts) -> str:
    """One line per axis: its name, if it has one, its size and its role."""
    shape, names = facts.shape, facts.dims.names
    if not shape:
        return ""
    width = max(len(name) for name in names) if names else 0
    digits = max(len(str(size)) for size in shape)
    lines = ["Axes"]
    for axis, size in enumerate(shape):
        role = "competes" if axis in facts.axes else "separate: each index has its own distributions"
        label = f"{axis}  {names[axis]:{width}}  " if names else f"{axis}  "
        lines.append(f"  {label}size {size:>{digits}}  {role}")
    return "\n".join(lines)


def shared_entries(facts: Facts, colour: bool) -> str:
    """Which entries share a distribution: a grid of letters, or a list of indices where there are too many axes."""
    shape, axes, distributions = facts.shape, facts.axes, facts.distributions
    if not shape or math.prod(shape) == 0:
        return ""
    title = f"Entries that share one {facts.noun}, {index_pattern(shape, axes)}"
    if len(shape) <= MOST_AXES:
        return "\n".join([f"{title}: the same letter", *_letters(Grid(shape, axes), colour)])
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    groups = [_group(kept, index, len(shape)) for index in _first_indices([shape[axis] for axis in kept], 3)]
    if distributions > 3:
        groups += ["..."] if distributions > 4 else []
        groups.append(_group(kept, [shape[axis] - 1 for axis in kept], len(shape)))
    return "\n".join([title, *(f"  {group}" for group in groups)])


def value_table(values: Tensor, axes: tuple[int, ...], *, with_sums: bool, colour: bool) -> list[str]:
    """The values of a small vector or matrix, with their sums on the rim."""
    grid = Grid(tuple(values.shape), axes)
    rows = values.tolist() if values.ndim == 2 else [values.tolist()]
    labels = [f"[{row}, :]" for row in range(len(rows))] if values.ndim == 2 else ["[:]"]
    columns = [f"[:, {column}]" if values.ndim == 2 else f"[{column}]" for column in range(values.shape[-1])]
    lines = ["".join(f"{column:>9}" for column in [*columns, *(["sum"] if with_sums else [])])]
    for at, row in enumerate(rows):
        cells = [f"{number(entry, 3):>9}" for entry in row]
        if colour:
            groups = [grid.group((at, column) if values.ndim == 2 else (column,)) for column in range(len(row))]
            cells = [on_terminal(cell, group) for cell, group in zip(cells, groups, strict=True)]
        lines.append("".join(cells) + (f"{number(sum(row), 3):>9}" if with_sums else ""))
    if with_sums and values.ndim == 2:
        labels.append("sum")
        lines.append("".join(f"{number(entry, 3):>9}" for entry in values.sum(0).tolist()))
    return [f"  {label:6}  {line}" for label, line in zip(["", *labels], lines, strict=True)]


def _letters(grid: Grid, colour: bool) -> list[str]:
    """A letter for each entry; blocks side by side while they fit, in a new line for each index further out."""
    inner = min(len(grid.shape), 2)
    lines: list[str] = []
    for outer in _with_gaps(grid, len(grid.shape) - inner - 1):
        if outer is None:
            lines += ["  ...", ""]
            continue
        blocks = [_block(grid, prefix) for prefix in _with_gaps(grid, len(grid.shape) - inner, outer)]
        while blocks:
            widths = itertools.accumulate(max(map(len, block)) + 2 for block in blocks)
            fitting = max(1, sum(width <= WIDTH + 2 for width in widths))
            lines += [*_side_by_side(blocks[:fitting]), ""]
            blocks = blocks[fitting:]
    if not colour:
        return lines[:-1]
    groups = {mark(group): group for group in range(grid.groups)}
    # nothing but the letters of distributions is upper case here
    return [re.sub("[A-Z]+", lambda found: on_terminal(found[0], groups[found[0]]), line) for line in lines[:-1]]


def _with_gaps(grid: Grid, axes: int, start: tuple[int, ...] = ()) -> list[tuple[int, ...] | None]:
    """The drawn indices into the first so many axes that begin with these, and None where some are left out."""
    found: list[tuple[int, ...] | None] = [start]
    for indices in grid.shown[len(start) : max(axes, 0)]:
        found = [
            None if index is None else (*prefix, index) for prefix in found if prefix is not None for index in indices
        ]
    return found


def _block(grid: Grid, prefix: tuple[int, ...] | None) -> list[str]:
    """The rows of one block; where blocks are left out, dots."""
    if prefix is None:
        return ["  ..."]
    rows = _with_gaps(grid, len(grid.shape) - 1, prefix)
    cells = ["..." if row is None else _row(grid, row) for row in rows]
    # from four axes on the labels of rows would take more room than the rows
    if len(grid.shape) > 3:
        return [f"  {subscript((*prefix, ':', ':'))}", *(f"  {text}" for text in cells)]
    labels = ["" if row is None else subscript((*row, ":")) for row in rows]
    wide = max(map(len, labels))
    return [f"  {label:{wide}}  {text}" if label else f"  {text}" for label, text in zip(labels, cells, strict=True)]


def _row(grid: Grid, row: tuple[int, ...]) -> str:
    width = len(mark(grid.groups - 1))
    letters = [".." if column is None else mark(grid.group((*row, column))).ljust(width) for column in grid.shown[-1]]
    return " ".join(letters).rstrip()


def _side_by_side(blocks: list[list[str]]) -> list[str]:
    widths = [max(map(len, block)) for block in blocks]
    rows = itertools.zip_longest(*blocks, fillvalue="")
    return ["  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _first_indices(sizes: list[int], count: int) -> list[tuple[int, ...]]:
    """The first few indices into `sizes`, in order."""
    # a loop over all of them would not end for huge sizes
    return list(itertools.islice(itertools.product(*(range(min(size, count)) for size in sizes)), count))


def _group(kept: Sequence[int], index: Sequence[int], ndim: int) -> str:
    fixed = dict(zip(kept, index, strict=True))
    return subscript([fixed.get(axis, ":") for axis in range(ndim)])
