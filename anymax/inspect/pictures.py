"""The pictures of explain, in plain text: the axes, the entries that share a distribution, the probabilities."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
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


def shared_entries(facts: Facts) -> str:
    """Which entries share a distribution: letters for small shapes, index patterns for the others."""
    shape, axes, distributions = facts.shape, facts.axes, facts.distributions
    if not shape or math.prod(shape) == 0:
        return ""
    title = f"Entries that share one distribution, {index_pattern(shape, axes)}"
    small = all(size <= 8 for size in shape[:-1]) and shape[-1] <= 12
    if len(shape) <= 3 and distributions <= 26 and small:
        return f"{title}: the same letter\n{_letters(shape, axes)}"
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    groups = [_group(kept, index, len(shape)) for index in _first_indices([shape[axis] for axis in kept], 3)]
    if distributions > 3:
        groups += ["..."] if distributions > 4 else []
        groups.append(_group(kept, [shape[axis] - 1 for axis in kept], len(shape)))
    return "\n".join([title, *(f"  {group}" for group in groups)])


def index_pattern(shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    """The entries that share a distribution, as an index: `[i, :]`."""
    letters = "ijklmnopqrstuvw" if len(shape) <= 15 else [f"i{axis}" for axis in range(len(shape))]
    return f"[{', '.join(':' if axis in axes else letters[axis] for axis in range(len(shape)))}]"


def probability_table(probs: Tensor) -> list[str]:
    """The probabilities of a small matrix, with their sums on the rim."""
    columns = [f"[:, {column}]" for column in range(probs.shape[1])] + ["sum"]
    lines = ["  " + " " * 8 + "".join(f"{column:>9}" for column in columns)]
    for index, row in enumerate(probs.tolist()):
        lines.append(f"  [{index}, :]  " + "".join(f"{entry:9.3f}" for entry in [*row, sum(row)]))
    lines.append("  sum     " + "".join(f"{entry:9.3f}" for entry in probs.sum(0).tolist()))
    return lines


def _letters(shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    sizes = [1 if axis in axes else size for axis, size in enumerate(shape)]
    letter = torch.arange(math.prod(sizes)).reshape(sizes).expand(shape)
    if len(shape) == 1:
        return _row("[:]", letter.tolist())
    if len(shape) == 2:
        return "\n".join(_row(f"[{index}, :]", row) for index, row in enumerate(letter.tolist()))
    blocks = []
    for outer, table in enumerate(letter.tolist()):
        blocks.append([_row(f"[{outer}, {inner}, :]", row) for inner, row in enumerate(table)])
    per_line = max(1, WIDTH // (len(blocks[0][0]) + 2))
    lines = []
    for start in range(0, len(blocks), per_line):
        lines += ["  ".join(parts) for parts in zip(*blocks[start : start + per_line], strict=True)]
        lines.append("")
    return "\n".join(lines[:-1])


def _row(label: str, letters: list[int]) -> str:
    return f"  {label}  " + " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[at] for at in letters)


def _first_indices(sizes: list[int], count: int) -> list[tuple[int, ...]]:
    """The first few indices into `sizes`, in order."""
    # a loop over all of them would not end for huge sizes
    return list(itertools.islice(itertools.product(*(range(min(size, count)) for size in sizes)), count))


def _group(kept: Sequence[int], index: Sequence[int], ndim: int) -> str:
    fixed = dict(zip(kept, index, strict=True))
    return f"[{', '.join(str(fixed.get(axis, ':')) for axis in range(ndim))}]"
