"""Where tensors come from: what was last done to one and which of its axes is which, known without holding the tensor.

An axis is an object. A view that moves axes moves the objects; a product takes the rows of one operand and the columns
of the other; what is not understood gets None. So "the axis that competed is the axis that is summed" compares two
objects, however many views lie between, and where one of them is unknown nothing is said.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from anymax.inspect.running.places import Place


class Axis:
    """One axis of a tensor; two are the same if they are one object."""

    __slots__ = ("is_features", "is_samples", "is_space")

    def __init__(self, is_features: bool = False, is_space: bool = False, is_samples: bool = False) -> None:
        # made by the weights of a Linear or a convolution, not by the data's own layout
        self.is_features = is_features
        # what a convolution slides along
        self.is_space = is_space
        # what a convolution or a recurrent layer takes for the batch
        self.is_samples = is_samples


Axes = tuple[Axis | None, ...]
Reach = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Competition:
    """A softmax that some call made: the axes whose entries sum to 1, and the line."""

    axes: Axes
    place: Place
    # of queries times keys
    of_product: bool = False


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a tensor was joined of: the axis, and the size and the origin of each piece."""

    along: Axis
    sizes: tuple[int, ...]
    origins: tuple[Origin, ...]

    def part(self, start: int, end: int) -> Pieces:
        """What these entries were joined of."""
        sizes, origins, at = [], [], 0
        for size, origin in zip(self.sizes, self.origins, strict=True):
            taken = min(at + size, end) - max(at, start)
            if taken > 0:
                sizes.append(taken)
                # of a part of a distribution nothing is left to say
                whole = taken == size or origin.made_by is None or self.along not in origin.made_by.axes
                origins.append(origin if whole else Origin(origin.axes, mixed=origin.mixed))
            at += size
        return Pieces(self.along, tuple(sizes), tuple(origins))


@dataclass(slots=True)
class Origin:
    """What is known of a tensor.

    Attributes:
        axes: its axes, None where one is not known.
        kind: what its entries are, None for anything else: "softmax", "log_softmax", "sigmoid", "logsigmoid"; "scores"
            (straight from a layer), "product" (scores of queries and keys), "raw" (sums of such); "exp", "sum of exp",
            "logsumexp"; "weighted" (log-probabilities times something); "index" (of a maximum), "elsewhere" (of a
            maximum over an axis along which nothing competed), "choice" (a flat argmax); "fill" (numbers that are to
            hide scores).
        made_by: the competition of a softmax or log_softmax; for other kinds None.
        place: where it became what `kind` says.
        mixed: every competition that this tensor's entries went through.
        filled: what its masked entries were filled with.
        of: of an "exp", a "logsumexp" or a sum of "exp", the tensor that it was taken of.
        averaged: they are a mean of such values, as an ensemble's are.
        is_shifted: something was taken off, as a maximum is before exp, or large ones were cut.
        peak: of a maximum, and of what it was taken off, the axes over which it is one.
        risk: of "exp" and "sum of exp", how the sum may fail: "overflow", "underflow" (of negative numbers without a
            bound), "elsewhere" (the maximum that was taken off is not that of what is summed), "masked" (it may be one
            that a mask hides).
        unit: the axis along which it is of length 1 at most, or a product of two such.
        reach: the least and the largest number that it may hold, where that is known.
        pieces: of a tensor that was joined of several, along which axis, and what is known of each.
    """

    axes: Axes
    kind: str | None = None
    made_by: Competition | None = None
    place: Place | None = None
    mixed: tuple[Competition, ...] = ()
    filled: float | None = None
    of: weakref.ref[Tensor] | None = None
    averaged: bool = False
    pieces: Pieces | None = None
    is_shifted: bool = False
    peak: Axes | None = None
    risk: str | None = None
    unit: Axis | None = None
    reach: Reach | None = None

    def moved(self, axes: Axes) -> Origin:
        """The same entries, other axes."""
        pieces = self.pieces if self.pieces and self.pieces.along in axes else None
        return Origin(
            axes,
            self.kind,
            self.made_by,
            self.place,
            self.mixed,
            self.filled,
            self.of,
            self.averaged,
            pieces,
            self.is_shifted,
            self.peak,
            self.risk,
            self.unit,
            self.reach,
        )

    def renamed(self, axis: Axis | None, name: Axis) -> Origin:
        """The same, where one of its axes has become that of a joined tensor."""
        made = self.made_by
        if made is not None and axis in made.axes:
            made = replace(made, axes=tuple([name if one is axis else one for one in made.axes]))
        return replace(self, made_by=made)

    def is_of(self, tensor: Any) -> bool:
        """True where this is what `of` says, of this tensor."""
        return self.of is not None and self.of() is tensor

    def competed_elsewhere(self, *axes: Axis | None) -> int | None:
        """The first axis along which the entries competed, if they competed along none of `axes` and each is known."""
        made = self.made_by
        if made is None or any(axis is None or axis in made.axes for axis in axes):
            return None
        return next((at for at, axis in enumerate(self.axes) if axis in made.axes), None)


# entries of tensors that are gone are dropped when there are so many, or twice as many as tensors are alive
MOST_ENTRIES = 1 << 12


class Origins:
    """The origins of the tensors that are alive. It keeps none of them alive."""

    def __init__(self) -> None:
        # by `id`; torch's count of writes says whether the tensor is still what it was. No callback of the reference
        # forgets the entry, since a call for every tensor that goes would take longer than all the rest
        self._entries: dict[int, tuple[weakref.ref[Tensor], Origin, int]] = {}
        self._most = MOST_ENTRIES

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, tensor: Any, writes: int = 0) -> Origin | None:
        """The tensor's origin, unless it is unknown or the tensor was written to since, but for `writes` times."""
        entry = self._entries.get(id(tensor))
        # another tensor may have the number by now
        if entry is None or entry[0]() is not tensor:
            return None
        return entry[1] if entry[2] + writes == _version(tensor) else None

    def get_or_start(self, tensor: Tensor) -> Origin:
        """The tensor's origin; for one that was never seen, axes that are its own."""
        origin = self.get(tensor)
        if origin is None or len(origin.axes) != tensor.ndim:
            origin = Origin(tuple([Axis() for _ in range(tensor.ndim)]))
            self.put(tensor, origin)
        return origin

    def put(self, tensor: Tensor, origin: Origin) -> None:
        self._entries[id(tensor)] = weakref.ref(tensor), origin, _version(tensor)
        if len(self._entries) > self._most:
            self._entries = {number: entry for number, entry in self._entries.items() if entry[0]() is not None}
            self._most = max(MOST_ENTRIES, 2 * len(self._entries))

    def clear(self) -> None:
        self._entries.clear()


def _version(tensor: Tensor) -> int:
    """How often the memory behind the tensor was written to, through whatever view."""
    try:
        return tensor._version
    except RuntimeError:
        return 0  # inference tensors do not count
