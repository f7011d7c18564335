"""explain: what a `dim` does to a tensor of some shape, in words, in pictures and in numbers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from torch import Tensor

from anymax._core import checks
from anymax._core.dims import Dim, Dims, implicit, resolve
from anymax._core.errors import CALLER, named_after_function
from anymax._core.targets import class_axis, without
from anymax.inspect import calls, page, pictures, svg, words
from anymax.inspect.calls import Call
from anymax.inspect.facts import MOST_OF_A_TENSOR, Facts, find
from anymax.inspect.grid import Grid, index_pattern, refusal
from anymax.inspect.svg import Scene


@dataclass(frozen=True, repr=False)
class Explanation:
    """What `explain` found; `str()` is the text, and a notebook shows the picture above it.

    Attributes:
        shape: of the scores. dim: as given; None where torch's default was explained.
        axes: those that compete, ascending. names: of all axes, where `dim` was a pattern.
        distributions: how many separate ones come out. entries: how many entries share one.
        pattern: the entries that share one, as an index: `[i, :]`.
        summary: the first line of the text.
        sums: per axis, and for several competing axes also jointly: the smallest and the largest sum of the
            probabilities over it. Empty where there is nothing to sum, and for shapes above a million entries.
    """

    shape: tuple[int, ...]
    dim: Dim | None
    axes: tuple[int, ...]
    names: tuple[str, ...] | None
    distributions: int
    entries: int
    pattern: str
    summary: str
    sums: dict[tuple[int, ...], tuple[float, float]]
    text: str
    _coloured: str = field(compare=False)
    _scene: Scene = field(compare=False)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def coloured(self) -> str:
        """The text with its letters in the colours of the picture, for a terminal."""
        return self._coloured

    def svg(self) -> str:
        """The tensor as a grid of cells, before and after, as the text of an SVG file.

        Entries that share a distribution have one colour and one letter. Up to 6 axes are drawn, long ones cut; values
        stand in the cells where all entries are drawn. Dark where the reader's system is.

        Raises:
            ValueError: nothing can be drawn of a tensor with no axes, more than 6 or none of the entries.

        Example:
            >>> anymax.explain((2, 3), dim=1).svg()[:4]
            '<svg'
        """
        return svg.draw(self._scene)

    def html(self) -> str:
        """The picture with sliders for shape, `dim` and temperature, as a page that needs nothing else.

        Raises:
            ValueError: as `svg`, and for a size above 2**53, which JavaScript cannot count.

        Example:
            >>> anymax.explain((2, 3), dim=1).html()[:15]
            '<!DOCTYPE html>'
        """
        return page.write(self._scene, self.text)

    def _repr_html_(self) -> str:
        text = f'<pre style="white-space:pre-wrap;font-family:monospace">{escape(self.text)}</pre>'
        if refusal(self.shape):
            return text
        # An image and a frame bring their own styles, ids and scripts, which nothing else in the notebook meets. Of a
        # notebook that is not trusted the frame is taken out, and the image stays.
        picture = base64.b64encode(svg.draw(self._scene).encode()).decode()
        image = f'<img alt="{escape(self.summary)}" src="data:image/svg+xml;base64,{picture}" style="max-width:100%"/>'
        return f"{image}{self._sliders()}{_folded(self.summary, text)}"

    def _sliders(self) -> str:
        if not page.can_count(self.shape):
            return ""
        style = "width:100%;height:40rem;border:0"
        source = escape(page.write(self._scene, self.text))
        return _folded(
            "Sliders, where the notebook is trusted",
            f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{source}"></iframe>',
        )


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


@named_after_function
def explain(shape_or_tensor: Sequence[int] | Tensor | str, dim: Dim | None = None) -> Explanation:
    """Say what `softmax(x, dim)` does to an x of this shape: which entries compete, and what sums to 1.

    It knows shapes, names and common layouts. What an axis means in your program it cannot know.

    Args:
        shape_or_tensor: a shape, which is never allocated; or scores, floating point, on any device, whose own
            sums are then shown; or a call as text, such as `"F.softmax(x: (2, 3), 1)"`, which is parsed and never
            evaluated. Of functions it knows softmax, softmin, log_softmax, gumbel_softmax, argmax and cross_entropy,
            with a shape behind the name of each tensor.
        dim: as in :func:`anymax.softmax`: an int, a tuple, or a pattern such as `"batch [class] w"`. Without it the
            text says which axis torch takes by default, and why. It is not warned about: the text is the warning.

    Returns:
        An `Explanation`: `str()` is the text, its attributes hold the facts, `svg()` and `html()` are its pictures, and
        a notebook shows it.

    Raises:
        IndexError: an int `dim` out of range. ValueError: a pattern, a size or a target that does not fit, or a call
        that is not understood. TypeError: a wrong type.

    Example:
        >>> found = anymax.explain((2, 3), dim=0)
        >>> print(found.summary)
        3 distributions over 2 entries; a sample's own scores do not sum to 1; if axis 0 is the batch, `dim=1` is meant
        >>> found.pattern, found.distributions, found.entries
        ('[:, j]', 3, 2)
        >>> anymax.explain("cross_entropy(logits, words) logits: 8,5,32 words: 8,32").pattern
        '[i, :, k]'
    """
    if isinstance(shape_or_tensor, str) and "(" in shape_or_tensor:
        if dim is not None:
            raise ValueError(f"{CALLER}: the dim of a call stands in the call, got dim={dim!r} beside it")
        call = calls.parse(shape_or_tensor)
        scores, shape = _scores_and_shape(call.shape)
    else:
        scores, shape = _scores_and_shape(shape_or_tensor)
        call = Call("softmax", "softmax", ("x",), shape, dim)
    dims = _dims(call)
    facts = find(scores, shape, dims, call.function, call.temperature, call.tensors[0])
    is_implicit = call.dim is None and call.function != "cross_entropy"
    summary = words.summary(facts)
    if is_implicit:
        taken = "all axes are taken" if call.function == "argmax" else f"axis {dims.axes[0]} by default"
        summary = f"no dim, so {taken}; {summary}"

    def text(colour: bool) -> str:
        sections = [
            summary,
            words.default(dims, call.function) if call.dim is None else "",
            words.result(call, facts),
            pictures.axis_table(facts),
            pictures.shared_entries(facts, colour),
            words.meaning(facts),
            words.scores(facts, colour),
            words.sums(facts, colour),
        ]
        return "\n\n".join(section for section in sections if section)

    return Explanation(
        shape=shape,
        dim=call.dim,
        axes=facts.axes,
        names=dims.names,
        distributions=facts.distributions,
        entries=facts.entries,
        pattern=index_pattern(shape, facts.axes),
        summary=summary,
        sums=facts.sums,
        text=text(colour=False),
        _coloured=text(colour=True),
        _scene=_scene(call, facts, is_example=scores is None),
    )


def _dims(call: Call) -> Dims:
    """The axes that compete, by the rules of the function that is called."""
    ndim = len(call.shape)
    if call.function == "cross_entropy":
        dims = class_axis(call.dim, ndim)
        _check_target(call, dims)
        return dims
    if call.dim is not None:
        return resolve(call.dim, ndim)
    if call.function == "gumbel_softmax":
        return resolve(-1, ndim)
    if call.function == "argmax":
        return Dims(ndim, tuple(range(max(ndim, 1))))
    return implicit(ndim)


def _check_target(call: Call, dims: Dims) -> None:
    """The target of a cross-entropy fits: classes of all other axes, or probabilities of all entries."""
    (axis,) = dims.axes
    expected = without(call.shape, axis)
    if call.target in (expected, call.shape):
        return
    fitting = call.class_axes()
    hints = [f"; it fits with axis {at} as the classes: anymax.cross_entropy(..., dim={at})" for at in fitting]
    raise ValueError(
        f"{CALLER}: the target of cross_entropy must have the input's shape {call.shape} without its class axis "
        f"{axis}, so {expected}, or with it for probabilities, got {call.target}"
        f"{''.join(hints[:1])}"
    )


def _scene(call: Call, facts: Facts, *, is_example: bool) -> Scene:
    before = after = None
    if not refusal(facts.shape) and Grid(facts.shape, facts.axes).is_whole and facts.scores is not None:
        result = facts.result()
        before = facts.scores.double().flatten().tolist()
        after = None if result is None else result.double().flatten().tolist()
    return Scene(
        function=call.function,
        written=call.written,
        tensor=call.tensors[0],
        arguments=", ".join(call.tensors),
        shape=facts.shape,
        axes=facts.axes,
        noun=facts.noun,
        names=facts.dims.names,
        is_torch=call.is_torch,
        is_implicit=call.dim is None,
        is_example=is_example,
        temperature=call.temperature,
        before=before,
        after=after,
    )


def _scores_and_shape(value: Sequence[int] | Tensor | str) -> tuple[Tensor | None, tuple[int, ...]]:
    if isinstance(value, Tensor):
        checks.floating("shape_or_tensor", value)
        readable = not value.is_meta and value.numel() <= MOST_OF_A_TENSOR
        return (value.detach() if readable else None), tuple(value.shape)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(
            f"{CALLER}: shape_or_tensor must be a shape such as (2, 3) or a tensor of scores, or a call such as "
            f"{calls.EXAMPLE}, got {value!r} of type {type(value).__name__}"
        )
    for size in value:
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{CALLER}: a shape must hold ints, got {size!r} of type {type(size).__name__}")
        if size < 0:
            raise ValueError(f"{CALLER}: a size must be at least 0, got {size} in the shape {tuple(value)}")
    return None, tuple(value)
