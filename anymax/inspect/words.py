"""The sentences of explain: what competes, what that means where the axes have a usual order, and what sums to 1."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence

from anymax._core.dims import Dims
from anymax.inspect.facts import Facts
from anymax.inspect.layouts import BATCH_NAMES, LAYOUTS
from anymax.inspect.pictures import WIDTH, probability_table


def summary(facts: Facts) -> str:
    """The first line: how many distributions over how many entries, and the one thing to know about them."""
    shape, dims, axes = facts.shape, facts.dims, facts.axes
    counts = f"{_count(facts.distributions, 'distribution')} over {_count(facts.entries, 'entry', 'entries')}"
    if 0 in (facts.distributions, facts.entries):
        return f"{counts}: the input is empty, and so is the result"
    meant = _meant_instead(facts)
    if facts.entries == 1:
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


def default(dims: Dims) -> str:
    """What torch takes where no `dim` is given, why, and what to write."""
    axis = dims.axes[0]
    what = (
        f"F.softmax and nn.Softmax take axis 0 of a tensor with 0, 1 or 3 axes, otherwise axis 1; here axis {axis}. "
        "log_softmax and softmin do the same, and so does anymax. torch.softmax and Tensor.softmax have no default; "
        "F.gumbel_softmax alone takes the last axis."
    )
    # SpatialSoftMax in doc/transfer.md of torch/nn, and "1D, 2D, 3D or 4D tensor expected" in its generic/SoftMax.c
    why = (
        "Why: before softmax had a dim, it took one vector of scores, a batch of vectors, one image (classes, height, "
        "width) or a batch of images, and nothing else."
    )
    write = f"Write dim={axis} to keep this axis, or the dim that you mean."
    if dims.ndim in LAYOUTS:
        layout = LAYOUTS[dims.ndim][0]
        pattern = _bracketed(layout.names, next(iter(layout.usual)))
        write += f' anymax also takes a pattern, such as "{pattern}", and checks it.'
    return "\n".join([_paragraph("Without dim", what), *_wrapped(why, "  "), *_wrapped(write, "  ")])


def meaning(facts: Facts) -> str:
    """What the competing axes mean under the names of a pattern, or else in the common layouts."""
    axes, names, ndim = facts.axes, facts.dims.names, len(facts.shape)
    if facts.entries < 2 or not facts.distributions:
        return ""
    if names:
        return _paragraph("With these names", _reading(names, axes) + ".")
    if ndim not in LAYOUTS:
        return _paragraph(
            f"With {ndim} axes",
            "there is no common layout. A pattern says what is meant, and is checked: "
            f'"{_bracketed([f"a{axis}" for axis in range(ndim)], axes)}".',
        )
    lines = ["In the common layouts"]
    for layout in LAYOUTS[ndim]:
        if axes in layout.usual:
            text = f"usual: {layout.usual[axes]}"
        else:
            text = _reading(layout.names, axes)
            text += f"; rarely meant, {layout.advice} is usual" if layout.advice else ""
        lines += [f"  ({', '.join(layout.names)})", *_wrapped(f"{text}.", "      ")]
    return "\n".join(lines)


def sums(facts: Facts) -> str:
    """What the probabilities sum to over each axis; for a small matrix with the probabilities themselves."""
    shape, dims = facts.shape, facts.dims
    if not shape or math.prod(shape) == 0:
        return ""
    title = "Sums of the probabilities"
    if facts.probs is None:
        return _paragraph(title, f"1 over {_axis_list(dims, facts.axes)}; over other axes it depends on the scores.")
    space = " " if len(title) + 1 + len(facts.source) <= WIDTH else "\n  "
    lines = [f"{title}{space}{facts.source}"]
    if len(shape) == 2 and shape[0] <= 8 and shape[1] <= 6:
        lines += probability_table(facts.probs)
    labels = {key: f"over {_axis_list(dims, key)}{' jointly' if len(key) > 1 else ''}" for key in facts.sums}
    width = max(len(label) for label in labels.values())
    lines += [f"  {labels[key]:{width}}  {_range(*facts.sums[key])}" for key in facts.sums]
    return "\n".join(lines)


def _meant_instead(facts: Facts) -> str:
    """What to write where the batch competes, or may: nothing where it does not, or where names say otherwise."""
    shape, dims, axes = facts.shape, facts.dims, facts.axes
    if 0 not in axes or len(shape) < 2 or (dims.names and dims.names[0].lower() not in BATCH_NAMES):
        return ""
    rest = axes[1:]
    if dims.names:
        names = ["..." if name.startswith("...") else name for name in dims.names]
        named = [axis for axis in range(1, len(names)) if names[axis] != "..."]
        bracketed = rest or tuple(named[:1])
        return f'"{_bracketed(names, bracketed)}"' if bracketed else "another axis"
    if rest:
        return f"`dim={rest[0] if len(rest) == 1 else rest}`"
    return "`dim=1`" if len(shape) == 2 else f"`dim=1` or `dim={len(shape) - 1}`"


def _bracketed(names: Sequence[str], axes: Sequence[int]) -> str:
    """The pattern in which these axes compete."""
    words = [f"[{name}]" if axis in axes else name for axis, name in enumerate(names)]
    # one "..." may hide several axes
    return " ".join(word for word, _ in itertools.groupby(words))


def _reading(names: Sequence[str], axes: tuple[int, ...]) -> str:
    """Which axes compete for each of which others, in names."""
    competing = _join([names[axis] for axis in axes])
    kept = [names[axis] for axis in range(len(names)) if axis not in axes]
    each = f", separately for each index of {_join(kept)}" if kept else ""
    batch = ": samples compete with each other" if names[0].lower() in BATCH_NAMES and 0 in axes else ""
    return f"a distribution over {competing}{' jointly' if len(axes) > 1 else ''}{each}{batch}"


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
