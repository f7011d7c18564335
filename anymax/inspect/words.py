"""The sentences of explain: what competes, what that means where the axes have a usual order, and what sums to 1."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anymax.inspect.layouts import BATCH_NAMES, LAYOUTS
from anymax.inspect.pictures import WIDTH, value_table

if TYPE_CHECKING:
    from anymax._core.dims import Dims
    from anymax.inspect.calls import Call
    from anymax.inspect.facts import Facts


def summary(facts: Facts) -> str:
    """The first line: how many distributions over how many entries, and the one thing to know about them."""
    shape, dims, axes = facts.shape, facts.dims, facts.axes
    counts = f"{_count(facts.distributions, facts.noun)} over {_count(facts.entries, 'entry', 'entries')}"
    if 0 in (facts.distributions, facts.entries):
        return f"{counts}: the input is empty, and so is the result"
    meant = _meant_instead(facts)
    if facts.entries == 1:
        if not shape:
            return f"{counts}: a tensor without axes is one score, and its {_always(facts.function)}"
        sigmoid = "" if facts.function == "argmax" else "a sigmoid"
        question = " or ".join(part for part in (sigmoid, meant) if part)
        ask = f": did you mean {question.replace(' or ', ', or ')}?" if question else ""
        return f"{counts}; {_over_one(facts.function)}{ask}"
    if meant:
        problem = "a sample's own scores do not sum to 1"
        if facts.function == "argmax":
            problem = "a sample's own scores are not all that is compared"
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


def default(dims: Dims, function: str) -> str:
    """What torch takes where no `dim` is given, why, and what to write."""
    axis = dims.axes[0]
    if function == "gumbel_softmax":
        text = (
            f"gumbel_softmax takes the last axis, here axis {axis}, where softmax and log_softmax take axis 0 of a "
            "tensor with 0, 1 or 3 axes, otherwise axis 1. "
        )
        return _paragraph("Without dim", text + _keep(dims))
    if function == "argmax":
        text = "argmax takes all axes at once and returns one index into the flattened tensor. Write the dim you mean."
        return _paragraph("Without dim", text)
    if function == "cross_entropy":
        text = f"cross_entropy reads the classes from axis 1 (axis 0 of a single vector), here axis {axis}."
        return _paragraph("Without dim", text)
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
    return "\n".join([_paragraph("Without dim", what), *_wrapped(why, "  "), *_wrapped(_keep(dims), "  ")])


def result(call: Call, facts: Facts) -> str:
    """What a function other than softmax makes of the probabilities."""
    function = call.function
    kept = tuple(size for axis, size in enumerate(facts.shape) if axis not in facts.axes)
    if function == "softmin":
        text = "softmin is the softmax of the negated scores: the smallest score gets the largest probability."
    elif function == "log_softmax":
        text = "log_softmax returns the logarithms of the probabilities: their exponentials sum to 1."
    elif function == "gumbel_softmax":
        text = (
            "gumbel_softmax draws: in each distribution one entry is the largest, with hard=True a 1 among zeros. The "
            "chance of an entry to be it is its softmax, whatever tau is; the draw sums to 1 over the same axes."
        )
    elif function == "argmax":
        text = f"argmax returns the index of the largest entry of each choice, a tensor of shape {kept}."
    elif function == "cross_entropy":
        text = (
            f"cross_entropy takes -log of the probability of the target's class, for a target of shape {kept}."
            if call.target == kept
            else f"cross_entropy reads the target {call.target} as probabilities over the same axis."
        )
        if others := [axis for axis in call.class_axes() if axis not in facts.axes]:
            text += (
                f" The same target fits with {_axis_list(facts.dims, others)} as the classes, so the shapes cannot "
                "show a mistake."
            )
    else:
        return ""
    return _paragraph("What comes out", text)


def meaning(facts: Facts) -> str:
    """What the competing axes mean under the names of a pattern, or else in the common layouts."""
    axes, names, ndim = facts.axes, facts.dims.names, len(facts.shape)
    if facts.entries < 2 or not facts.distributions:
        return ""
    if names:
        return _paragraph("With these names", _reading(names, axes, facts.noun) + ".")
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
            text = _reading(layout.names, axes, facts.noun)
            # argmax takes one axis
            advice = layout.advice.partition(" or ")[0] if facts.function == "argmax" else layout.advice
            text += f"; rarely meant, {advice} is usual" if advice else ""
        lines += [f"  ({', '.join(layout.names)})", *_wrapped(f"{text}.", "      ")]
    return "\n".join(lines)


def scores(facts: Facts, colour: bool) -> str:
    """The scores of a small vector or matrix."""
    if facts.scores is None or facts.scores.numel() == 0 or not _has_table(facts.shape):
        return ""
    return "\n".join(["Scores", *value_table(facts.scores, facts.axes, with_sums=False, colour=colour)])


def sums(facts: Facts, colour: bool) -> str:
    """What the probabilities sum to over each axis; for a small matrix with the probabilities themselves."""
    shape, dims = facts.shape, facts.dims
    if not shape or math.prod(shape) == 0:
        return ""
    title = "Sums of the probabilities"
    if facts.probs is None:
        return _paragraph(title, f"1 over {_axis_list(dims, facts.axes)}; over other axes it depends on the scores.")
    space = " " if len(title) + 1 + len(facts.source) <= WIDTH else "\n  "
    lines = [f"{title}{space}{facts.source}"]
    if _has_table(shape):
        lines += value_table(facts.probs, facts.axes, with_sums=True, colour=colour)
    labels = {key: f"over {_axis_list(dims, key)}{' jointly' if len(key) > 1 else ''}" for key in facts.sums}
    width = max(len(label) for label in labels.values())
    lines += [f"  {labels[key]:{width}}  {_range(*facts.sums[key])}" for key in facts.sums]
    return "\n".join(lines)


def _has_table(shape: tuple[int, ...]) -> bool:
    """Whether the values fit on a line and a page."""
    return len(shape) in (1, 2) and shape[-1] <= 6 and shape[0] <= 8


def _always(function: str) -> str:
    return f"{function} is always {0 if function in ('log_softmax', 'argmax') else 1}"


def _over_one(function: str) -> str:
    if function == "cross_entropy":
        return "the loss of one class is always 0"
    article = "an" if function == "argmax" else "a"
    return f"{article} {function} over one entry always returns {0 if function in ('log_softmax', 'argmax') else 1}"


def _keep(dims: Dims) -> str:
    """What to write to keep the axis that was taken."""
    write = f"Write dim={dims.axes[0]} to keep this axis, or the dim that you mean."
    if dims.ndim in LAYOUTS:
        layout = LAYOUTS[dims.ndim][0]
        pattern = _bracketed(layout.names, next(iter(layout.usual)))
        write += f' anymax also takes a pattern, such as "{pattern}", and checks it.'
    return write


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
    if rest and facts.function != "argmax":
        return f"`dim={rest[0] if len(rest) == 1 else rest}`"
    return "`dim=1`" if len(shape) == 2 else f"`dim=1` or `dim={len(shape) - 1}`"


def _bracketed(names: Sequence[str], axes: Sequence[int]) -> str:
    """The pattern in which these axes compete."""
    words = [f"[{name}]" if axis in axes else name for axis, name in enumerate(names)]
    # one "..." may hide several axes
    return " ".join(word for word, _ in itertools.groupby(words))


def _reading(names: Sequence[str], axes: tuple[int, ...], noun: str) -> str:
    """Which axes compete for each of which others, in names."""
    competing = _join([names[axis] for axis in axes])
    kept = [names[axis] for axis in range(len(names)) if axis not in axes]
    each = f", separately for each index of {_join(kept)}" if kept else ""
    batch = ": samples compete with each other" if names[0].lower() in BATCH_NAMES and 0 in axes else ""
    return f"a {noun} over {competing}{' jointly' if len(axes) > 1 else ''}{each}{batch}"


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
