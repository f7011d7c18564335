"""What each axis of a traced tensor is, and where it goes when axes move.

An axis has an identity, not a number: transposing keeps it, a product of two activations makes new ones, merging two by
`view` makes one that still knows its parts. What an op does that is not listed here gives new axes, of which nothing is
known, so that nothing is said of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import sympy
from torch.fx import Node

# input: of the model's inputs; weight: made by a parameter, as classes and channels are; space: positions of a
# convolution; product: rows or columns of a product of two activations, as queries and keys are; unsqueezed: of size 1
Origin = Literal["input", "weight", "space", "product", "unsqueezed", "other"]


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis; equal to itself alone."""

    origin: Origin
    made_by: Node | None = None
    parts: tuple[tuple[Axis, sympy.Expr], ...] = ()

    def atoms(self) -> frozenset[Axis]:
        """The axis, or those that were merged into it."""
        return frozenset().union(*(part.atoms() for part, _ in self.parts)) if self.parts else frozenset({self})


Axes = tuple[Axis, ...]
Sizes = tuple[sympy.Expr, ...]


def new(count: int, origin: Origin = "other", made_by: Node | None = None) -> Axes:
    return tuple(Axis(origin, made_by) for _ in range(count))


def atoms(axes: Iterable[Axis]) -> frozenset[Axis]:
    return frozenset().union(*(axis.atoms() for axis in axes))


def moved(axes: Axes, source: Sequence[int], destination: Sequence[int]) -> Axes:
    """As torch.movedim."""
    ndim = len(axes)
    takes = {to % ndim: axes[at % ndim] for at, to in zip(source, destination, strict=True)}
    rest = iter([axis for at, axis in enumerate(axes) if at not in {at % ndim for at in source}])
    return tuple(takes[at] if at in takes else next(rest) for at in range(ndim))


def swapped(axes: Axes, one: int, other: int) -> Axes:
    result = list(axes)
    result[one], result[other] = result[other], result[one]
    return tuple(result)


def without(axes: Axes, dims: Iterable[int], *, keep: bool) -> Axes:
    """What a reduction over `dims` leaves; `keep` is its `keepdim`."""
    gone = {dim % len(axes) for dim in dims} if axes else set()
    if keep:
        return tuple(Axis("other") if at in gone else axis for at, axis in enumerate(axes))
    return tuple(axis for at, axis in enumerate(axes) if at not in gone)


def broadcast(operands: Sequence[tuple[Axes, Sizes]], ndim: int) -> Axes:
    """The axes of an elementwise result: each from the first operand that has it, and not with size 1."""
    result: list[Axis] = []
    for back in range(ndim, 0, -1):
        there = [(axes[-back], sizes[-back]) for axes, sizes in operands if len(axes) >= back]
        wide = [axis for axis, size in there if size != 1]
        result.append(wide[0] if wide else there[0][0] if there else Axis("other"))
    return tuple(result)


def viewed(axes: Axes, sizes: Sizes, wanted: Sizes, example: int) -> Axes:
    """The axes after a `view`: those whose sizes multiply to the same are the same, merged or split.

    `example` stands for every symbol where it has to be known which of two products is the larger one.
    """
    # the parts of merged axes, so that a view may take them apart again; axes of size 1 come and go
    before: list[tuple[Axis, sympy.Expr]] = []
    for axis, size in zip(axes, sizes, strict=True):
        before += axis.parts or [(axis, size)]
    before = [(axis, size) for axis, size in before if size != 1]
    after = [at for at, size in enumerate(wanted) if size != 1]
    placed: dict[int, Axis] = {}
    left = 0
    right = 0
    while right < len(after) and left < len(before):
        taken, made = [before[left]], [after[right]]
        left, right = left + 1, right + 1
        while not _equal([size for _, size in taken], [wanted[at] for at in made]):
            smaller = _number([size for _, size in taken], example) <= _number([wanted[at] for at in made], example)
            if smaller and left < len(before):
                taken.append(before[left])
                left += 1
            elif right < len(after):
                made.append(after[right])
                right += 1
            elif left < len(before):
                taken.append(before[left])
                left += 1
            else:
                break
        if len(made) == 1:
            placed[made[0]] = taken[0][0] if len(taken) == 1 else Axis(_shared_origin(taken), parts=tuple(taken))
        elif len(taken) == 1:
            origin = taken[0][0].origin
            placed.update({at: Axis("other" if origin == "product" else origin) for at in made})
    return tuple(placed.get(at) or Axis("other") for at in range(len(wanted)))


def _shared_origin(parts: Sequence[tuple[Axis, sympy.Expr]]) -> Origin:
    first = parts[0][0].origin
    return first if first != "product" and all(axis.origin == first for axis, _ in parts) else "other"


def _equal(one: Sequence[sympy.Expr], other: Sequence[sympy.Expr]) -> bool:
    return sympy.expand(math.prod(one) - math.prod(other)) == 0


def _number(factors: Sequence[sympy.Expr], example: int) -> int:
    product = sympy.sympify(math.prod(factors))
    return int(product.subs(dict.fromkeys(product.free_symbols, example)))
