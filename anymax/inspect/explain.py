"""explain: what a `dim` does to a tensor of some shape, in words, in a small picture and in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from anymax._core import checks
from anymax._core.dims import Dim, implicit, resolve
from anymax._core.errors import CALLER, named_after_function
from anymax.inspect import pictures, words
from anymax.inspect.facts import MOST_OF_A_TENSOR, find


@dataclass(frozen=True, repr=False)
class Explanation:
    """What `explain` found; `str()` is the text.

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

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


@named_after_function
def explain(shape_or_tensor: Sequence[int] | Tensor, dim: Dim | None = None) -> Explanation:
    """Say what `softmax(x, dim)` does to an x of this shape: which entries compete, and what sums to 1.

    Args:
        shape_or_tensor: a shape, which is never allocated; or scores, floating point, on any device, whose own
            sums are then shown.
        dim: as in :func:`anymax.softmax`: an int, a tuple, or a pattern such as `"batch [class] w"`. Without it the
            text says which axis torch takes by default, and why. It is not warned about: the text is the warning.

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
    dims = implicit(len(shape)) if dim is None else resolve(dim, len(shape))
    facts = find(scores, shape, dims)
    summary = words.summary(facts)
    if dim is None:
        summary = f"no dim, so axis {dims.axes[0]} by default; {summary}"
    sections = [
        summary,
        words.default(dims) if dim is None else "",
        pictures.axis_table(facts),
        pictures.shared_entries(facts),
        words.meaning(facts),
        words.sums(facts),
    ]
    return Explanation(
        shape=shape,
        dim=dim,
        axes=facts.axes,
        names=dims.names,
        distributions=facts.distributions,
        entries=facts.entries,
        pattern=pictures.index_pattern(shape, facts.axes),
        summary=summary,
        sums=facts.sums,
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
