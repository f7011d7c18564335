"""Where tensors come from: what was last done to one and which of its axes is which, known without holding the tensor.

An axis is an object. A view that moves axes moves the objects; a product takes the rows of one operand and the columns
of the other; what is not understood gets None. So "the axis that competed is the axis that is summed" compares two
objects, however many views lie between, and where one of them is unknown nothing is said.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from anymax.inspect.running.places import Place


class Axis:
    """One axis of a tensor; two are the same if they are one object."""

    __slots__ = ("is_features", "is_space")

    def __init__(self, is_features: bool = False, is_space: bool = False) -> None:
        # made by the weights of a Linear or a convolution, not by the data's own layout
        self.is_features = is_features
        # what a convolution slides along
        self.is_space = is_space


Axes = tuple[Axis | None, ...]


@dataclass(frozen=True, slots=True)
class Competition:
    """A softmax that some call made: the axes whose entries sum to 1, and the line."""

    axes: Axes
    place: Place
    # of queries times keys
    of_product: bool = False


@dataclass(slots=True)
class Origin:
    """What is known of a tensor.

    Attributes:
        axes: its axes, None where one is not known.
        kind: what its entries are, None for anything else: "softmax", "log_softmax", "sigmoid", "logsigmoid"; "scores"
            (straight from a layer), "product" (scores of queries and keys); "exp", "sum of exp", "logsumexp"; "choice"
            (a flat argmax), "elsewhere" (indices of a maximum over an axis along which nothing competed).
        made_by: the competition of a softmax or log_softmax; for other kinds None.
        place: where it became what `kind` says.
        mixed: every competition that this tensor's entries went through.
        filled: what its masked entries were filled with.
        of: of a "logsumexp" or a sum of "exp", the `id` of the tensor that was summed.
    """

    axes: Axes
    kind: str | None = None
    made_by: Competition | None = None
    place: Place | None = None
    mixed: tuple[Competition, ...] = ()
    filled: float | None = None
    of: int = 0

    def moved(self, axes: Axes) -> Origin:
        """The same entries, other axes."""
        return Origin(axes, self.kind, self.made_by, self.place, self.mixed, self.filled, self.of)


class _Entry(weakref.ref):
    """A weak reference that knows under which number it is kept."""

    __slots__ = ("number", "origin", "version")
    number: int
    origin: Origin
    version: int


class Origins:
    """The origins of the tensors that are alive. It keeps none of them alive."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        entries = self._entries

        def forget(entry: Any) -> None:
            # a newer tensor may have the number by now
            if entries.get(entry.number) is entry:
                del entries[entry.number]

        self._forget: Callable[[Any], None] = forget

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, tensor: Any, writes: int = 0) -> Origin | None:
        """The tensor's origin, unless it is unknown or the tensor was written to since, but for `writes` times."""
        entry = self._entries.get(id(tensor))
        if entry is None or entry() is not tensor:
            return None
        return entry.origin if entry.version + writes == _version(tensor) else None

    def get_or_start(self, tensor: Tensor) -> Origin:
        """The tensor's origin; for one that was never seen, axes that are its own."""
        origin = self.get(tensor)
        if origin is None or len(origin.axes) != tensor.ndim:
            origin = Origin(tuple([Axis() for _ in range(tensor.ndim)]))
            self.put(tensor, origin)
        return origin

    def put(self, tensor: Tensor, origin: Origin) -> None:
        entry = _Entry(tensor, self._forget)
        entry.number, entry.origin, entry.version = id(tensor), origin, _version(tensor)
        self._entries[entry.number] = entry

    def drop(self, tensor: Tensor) -> None:
        self._entries.pop(id(tensor), None)

    def clear(self) -> None:
        self._entries.clear()


def _version(tensor: Tensor) -> int:
    """How often the memory behind the tensor was written to, through whatever view."""
    try:
        return tensor._version
    except RuntimeError:
        return 0  # inference tensors do not count
