"""explain: what a `dim` does to a tensor of some shape, in words, in a small picture and in numbers."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anymax._core import checks
from anymax._core.dims import Dim, Dims, count_distributions, resolve
from anymax._core.errors import CALLER, named_after_function
from anymax.inspect.layouts import BATCH_NAMES, LAYOUTS
from anymax.ops.softmax.api import softmax

WIDTH = 79
# The sums of larger ones are stated, not computed; a shape above its limit is never allocated.
MOST_OF_A_SHAPE = 1 << 20
MOST_OF_A_TENSOR = 1 << 26


@dataclass(frozen=True, repr=False)
class Explanation:
    """What `explain` found; `str()` is the text.

    Attributes:
        shape: of the scores.
        axes: those that compete, ascending. names: of all axes, where `dim` was a pattern.
        distributions: how many separate ones come out. entries: how many entries share one.
        pattern: the entries that share one, as an index: `[i, :]`.
        summary: the first line of the text.
        sums: per axis, and for several competing axes also jointly: the smallest and the largest sum of the
            probabilities over it. Empty where there is nothing to sum, and for shapes above a million entries.
    """

    shape: tuple[int, ...]
    dim: Dim
    axes: tuple[int, ...]
    names: tuple[str, ...] | None
    distributions: int
    entries: int
    pattern: str
    summary: str
    sums: dict[tuple[int, ...], tuple[float, float]]
    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


@named_after_function
def explain(shape_or_tensor: Sequence[int] | Tensor, dim: Dim) -> Explanation:
    """Say what `softmax(x, dim)` does to an x of this shape: which entries compete, and what sums to 1.

    Args:
        shape_or_tensor: a shape, which is never allocated; or scores, floating point, on any device, whose sums
            are then the real ones.
        dim: as in :func:`anymax.softmax`: an int, a tuple, or a pattern such as `"batch [class] w"`.

    Returns:
        An `Explanation`: `str()` is the text, and its attributes hold the facts.

    Raises:
        IndexError: an int `dim` out of range. ValueError: a pattern or a size that does not fit. TypeError: a wrong
            type.

    Example:
        >>> found = anymax.explain((2, 3), dim=0)
        >>> print(found.summary)
        3 distributions over 2 entries; a sample's own scores do not sum to 1; if axis 0 is the batch, `dim=1` is meant
        >>> found.pattern, found.distributions, found.entries
        ('[:, j]', 3, 2)
    """
    scores, shape = _scores_and_shape(shape_or_tensor)
    dims = resolve(dim, len(shape))
    axes = dims.axes if shape else ()
    entries = math.prod(shape[axis] for axis in axes)
    distributions = count_distributions(shape, dims)
    summary = _summary(shape, dims, axes, distributions, entries)
    source = "for the given tensor"
    if scores is None and math.prod(shape) <= MOST_OF_A_SHAPE:
        scores, source = _fixed_scores(shape)
    probs = None if scores is None or scores.numel() == 0 else _probabilities(scores, dims)
    sums = {} if probs is None else _sums(probs, axes)
    sections = [
        summary,
        _axis_table(shape, dims, axes),
        _picture(shape, axes, distributions),
        _meaning(shape, dims, axes) if entries > 1 and distributions else "",
        _sums_text(shape, dims, axes, probs, sums, source),
    ]
    return Explanation(
        shape=shape,
        dim=dim,
        axes=axes,
        names=dims.names,
        distributions=distributions,
        entries=entries,
        pattern=_pattern(shape, axes),
        summary=summary,
        sums=sums,
        text="\n\n".join(section for section in sections if section),
    )


def _scores_and_shape(value: Sequence[int] | Tensor) -> tuple[Tensor | None, tuple[int, ...]]:
    if isinstance(value, Tensor):
        checks.floating("shape_or_tensor", value)
        readable = not value.is_meta and value.numel() <= MOST_OF_A_TENSOR
        return (value.detach() if readable else None), tuple(value.shape)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(
            f"{CALLER}: shape_or_tensor must be a shape such as (2, 3) or a tensor of scores, "
            f"got {value!r} of type {type(value).__name__}"
        )
    for size in value:
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{CALLER}: a shape must hold ints, got {size!r} of type {type(size).__name__}")
        if size < 0:
            raise ValueError(f"{CALLER}: a size must be at least 0, got {size} in the shape {tuple(value)}")
    return None, tuple(value)


def _summary(shape: tuple[int, ...], dims: Dims, axes: tuple[int, ...], distributions: int, entries: int) -> str:
    """The first line: how many distributions over how many entries, and the one thing to know about them."""
    counts = f"{_count(distributions, 'distribution')} over {_count(entries, 'entry', 'entries')}"
    if 0 in (distributions, entries):
        return f"{counts}: the input is empty, and so is the result"
    meant = _meant_instead(shape, dims, axes)
    if entries == 1:
        if not shape:
            return f"{counts}: a tensor without axes is one score, and its softmax is always 1"
        question = "did you mean a sigmoid" + (f", or {meant}?" if meant else "?")
        return f"{counts}; a softmax over one entry always returns 1: {question}"
    if meant:
        problem = "a sample's own scores do not sum to 1"
        if shape[0] == 1:
            problem = "axis 0 has size 1 here, but the samples of a larger batch would compete"
        advice = (
            f"'{dims.names[0]}' competes: {meant} is usual"
            if dims.names
            else (f"if axis 0 is the batch, {meant} is meant")
        )
        return f"{counts}; {problem}; {advice}"
    line = f"{counts}: {_axis_list(dims, axes)} {'competes' if len(axes) == 1 else 'compete'}"
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    each = f", one for each index of {_axis_list(dims, kept)}" if kept else ""
    # the table of axes says it anyway
    return line + each if len(line + each) <= 100 else line


def _meant_instead(shape: tuple[int, ...], dims: Dims, axes: tuple[int, ...]) -> str:
    """What to write where the batch competes, or may: nothing where it does not, or where names say otherwise."""
    if 0 not in axes or len(shape) < 2 or (dims.names and dims.names[0].lower() not in BATCH_NAMES):
        return ""
    rest = axes[1:]
    if dims.names:
        names = ["..." if name.startswith("...") else name for name in dims.names]
        named = [axis for axis in range(1, len(names)) if names[axis] != "..."]
        bracketed = rest or tuple(named[:1])
        words = [f"[{name}]" if axis in bracketed else name for axis, name in enumerate(names)]
        # one "..." may hide several axes
        pattern = " ".join(word for word, _ in itertools.groupby(words))
        return f'"{pattern}"' if bracketed else "another axis"
    if rest:
        return f"`dim={rest[0] if len(rest) == 1 else rest}`"
    return "`dim=1`" if len(shape) == 2 else f"`dim=1` or `dim={len(shape) - 1}`"


def _axis_table(shape: tuple[int, ...], dims: Dims, axes: tuple[int, ...]) -> str:
    if not shape:
        return ""
    names = dims.names or ("",) * len(shape)
    width = max(len(name) for name in names)
    digits = max(len(str(size)) for size in shape)
    lines = ["Axes"]
    for axis, (name, size) in enumerate(zip(names, shape, strict=True)):
        role = "competes" if axis in axes else "separate: each index has distributions of its own"
        label = f"{axis}  {name:{width}}  " if dims.names else f"{axis}  "
        lines.append(f"  {label}size {size:>{digits}}  {role}")
    return "\n".join(lines)


def _picture(shape: tuple[int, ...], axes: tuple[int, ...], distributions: int) -> str:
    """Which entries share a distribution: letters for small shapes, index patterns for the others."""
    if not shape or math.prod(shape) == 0:
        return ""
    title = f"Entries that share one distribution, {_pattern(shape, axes)}"
    small = all(size <= 8 for size in shape[:-1]) and all(size <= 12 for size in shape[-1:])
    if len(shape) <= 3 and distributions <= 26 and small:
        return f"{title}: the same letter\n{_letters(shape, axes)}"
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    groups = [_group(kept, index, len(shape)) for index in _first_indices([shape[axis] for axis in kept], 3)]
    lines = groups[:3]
    if distributions > 3:
        lines += [*(["..."] if distributions > 4 else []), _group(kept, [shape[axis] - 1 for axis in kept], len(shape))]
    return "\n".join([title, *(f"  {line}" for line in lines)])


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
    per_line = max(1, WIDTH // (len(blocks[0][0]) + 2)) if blocks[0] else 1
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


def _pattern(shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    if not shape:
        return "[]"
    letters = "ijklmnopqrstuvw" if len(shape) <= 15 else [f"i{axis}" for axis in range(len(shape))]
    return f"[{', '.join(':' if axis in axes else letters[axis] for axis in range(len(shape)))}]"


def _meaning(shape: tuple[int, ...], dims: Dims, axes: tuple[int, ...]) -> str:
    if not shape:
        return ""
    if dims.names:
        return _paragraph("With these names", _reading(dims.names, axes) + ".")
    if len(shape) not in LAYOUTS:
        return _paragraph(
            f"With {len(shape)} axes",
            "no layout is common. A pattern says what is meant and is checked, such as "
            f'"{" ".join(f"[a{axis}]" if axis in axes else f"a{axis}" for axis in range(len(shape)))}".',
        )
    lines = ["In the common layouts"]
    for layout in LAYOUTS[len(shape)]:
        if axes in layout.usual:
            text = f"usual: {layout.usual[axes]}"
        else:
            text = _reading(layout.names, axes)
            text += f"; rarely meant, usual is {layout.advice}" if layout.advice else ""
        lines += [f"  ({', '.join(layout.names)})", *_wrapped(f"{text}.", "      ")]
    return "\n".join(lines)


def _reading(names: Sequence[str], axes: tuple[int, ...]) -> str:
    """Which axes compete for each of which others, in names."""
    competing = _join([names[axis] for axis in axes])
    kept = [names[axis] for axis in range(len(names)) if axis not in axes]
    each = f", separately for each index of {_join(kept)}" if kept else ""
    batch = ": samples compete with each other" if names[0].lower() in BATCH_NAMES and 0 in axes else ""
    return f"a distribution over {competing}{' jointly' if len(axes) > 1 else ''}{each}{batch}"


def _fixed_scores(shape: tuple[int, ...]) -> tuple[Tensor, str]:
    """The same scores every time, and the line that makes them."""
    count = math.prod(shape)
    source = f"for x = torch.arange({count}.).sin().reshape({list(shape)})"
    return torch.arange(count, dtype=torch.float64, device="cpu").sin().reshape(shape), source


def _probabilities(scores: Tensor, dims: Dims) -> Tensor:
    # sums of half-precision probabilities are off by more than what is shown
    wide = scores if scores.dtype == torch.float64 else scores.float()
    return softmax(wide, dims.axes)


def _sums(probs: Tensor, axes: tuple[int, ...]) -> dict[tuple[int, ...], tuple[float, float]]:
    keys: list[tuple[int, ...]] = [(axis,) for axis in range(probs.ndim)]
    if len(axes) > 1:
        keys.append(axes)
    sums = {}
    for key in keys:
        total = probs.sum(key)
        sums[key] = (total.min().item(), total.max().item())
    return sums


def _sums_text(
    shape: tuple[int, ...],
    dims: Dims,
    axes: tuple[int, ...],
    probs: Tensor | None,
    sums: dict[tuple[int, ...], tuple[float, float]],
    source: str,
) -> str:
    if not shape or math.prod(shape) == 0:
        return ""
    title = "Sums of the probabilities"
    if probs is None:
        return _paragraph(title, f"1 over {_axis_list(dims, axes)}; over other axes whatever the scores make of it.")
    space = " " if len(title) + 1 + len(source) <= WIDTH else "\n  "
    lines = [f"{title}{space}{source}"]
    if len(shape) == 2 and shape[0] <= 8 and shape[1] <= 6:
        lines += _table(probs)
    labels = {key: f"over {_axis_list(dims, key)}{' jointly' if len(key) > 1 else ''}" for key in sums}
    width = max(len(label) for label in labels.values())
    lines += [f"  {labels[key]:{width}}  {_range(*sums[key])}" for key in sums]
    return "\n".join(lines)


def _table(probs: Tensor) -> list[str]:
    """The probabilities of a small matrix, with their sums on the rim."""
    columns = [f"[:, {column}]" for column in range(probs.shape[1])] + ["sum"]
    lines = ["  " + " " * 8 + "".join(f"{column:>9}" for column in columns)]
    for index, row in enumerate(probs.tolist()):
        lines.append(f"  [{index}, :]  " + "".join(f"{entry:9.3f}" for entry in [*row, sum(row)]))
    lines.append("  sum     " + "".join(f"{entry:9.3f}" for entry in probs.sum(0).tolist()))
    return lines


def _range(low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return "NaN somewhere: a row of -inf, a +inf or a NaN among the scores"
    if abs(low - 1) < 5e-4 and abs(high - 1) < 5e-4:
        return "1 everywhere"
    if f"{low:.3f}" == f"{high:.3f}":
        return f"{low:.3f}"
    return f"{low:.3f} to {high:.3f}"


def _axis_list(dims: Dims, axes: Sequence[int]) -> str:
    return f"{'axis' if len(axes) == 1 else 'axes'} {_join([dims.label(axis) for axis in axes])}"


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def _paragraph(title: str, text: str) -> str:
    return "\n".join([title, *_wrapped(text, "  ")])


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
