"""The axes of a tensor, as far as reading tells: which they are, what they mean, and how the ops move them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

# The kinds of axes along which scores are those of classes
CLASSES = ("feature", "channel")


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis. Two tensors that hold the same object have an axis in common, whatever stands between them.

    Attributes:
        kind: batch, feature, channel, height, width, depth, position; None where unknown.
        size: where it is a literal. name: what the code calls it: a letter of an einsum, the variable of its size.
        sure: False where the kind is a convention (axis 0 goes first into a model) and nothing else says so, or where
            the axis itself is: both sides of a product are taken to be matrices.
        part_of: the axis that was unflattened into this one and others.
    """

    kind: str | None = None
    size: int | None = None
    name: str | None = None
    sure: bool = True
    part_of: Axis | None = None

    def __str__(self) -> str:
        kind = {"feature": "features", "channel": "channels"}.get(self.kind or "", self.kind)
        return kind or (f"{self.name!r}" if self.name else "unnamed")


@dataclass(frozen=True, eq=False)
class Shape:
    """Axes known from the front and from the back; where `open`, any number of unknown ones lie between.

    `kin` are an object and a number: two shapes with the same object have equally many axes, however many those are,
    but for the difference of their numbers.
    """

    front: tuple[Axis, ...] = ()
    back: tuple[Axis, ...] = ()
    open: bool = True
    kin: tuple[object, int] | None = None

    @property
    def rank(self) -> int | None:
        return None if self.open else len(self.front)

    @property
    def least_rank(self) -> int:
        return len(self.front) + len(self.back)

    @property
    def known(self) -> tuple[Axis, ...]:
        return self.front + self.back

    def grown(self, dim: int) -> Shape:
        """With an axis at `dim`, where that is no guess about how many axes lie between front and back."""
        if not self.open:
            return self
        # an axis may be known from the other end already: only what lies beyond those is new for certain
        missing = (dim + 1 if dim >= 0 else -dim) - self.least_rank
        if missing <= 0:
            return self
        new = tuple(Axis() for _ in range(missing))
        return replace(self, front=self.front + new) if dim >= 0 else replace(self, back=new + self.back)

    def axis(self, dim: int) -> Axis | None:
        """The axis at `dim`, or None where that cannot be told."""
        axes = self.front if dim >= 0 or not self.open else self.back
        return axes[dim] if -len(axes) <= dim < len(axes) else None

    def dim_of(self, axis: Axis) -> int | None:
        if axis in self.front:
            return self.front.index(axis)
        if axis in self.back:
            return self.back.index(axis) - len(self.back)
        return None

    def with_axis(self, dim: int, axis: Axis) -> Shape:
        """`axis` in the place of the one at `dim`."""
        if dim == -1 and self.open and not self.back:
            return replace(self, back=(axis,))
        shape = self.grown(dim)
        old = shape.axis(dim)
        if old is None:
            return shape.blurred(dim)
        return shape.mapped(lambda one: axis if one is old else one)

    def without(self, dim: int) -> Shape:
        shape = self.grown(dim)
        old = shape.axis(dim)
        if old is None:
            return shape.blurred(dim)
        return replace(
            shape,
            front=tuple(one for one in shape.front if one is not old),
            back=tuple(one for one in shape.back if one is not old),
            kin=shape.grown_kin(-1),
        )

    def with_parts(self, whole: Axis, parts: tuple[Axis, ...]) -> Shape:
        """`parts` in the place of one axis."""
        front, back = (
            tuple(each for one in axes for each in (parts if one is whole else (one,)))
            for axes in (self.front, self.back)
        )
        return replace(self, front=front, back=back, kin=self.grown_kin(len(parts) - 1))

    def inserted(self, dim: int, axis: Axis) -> Shape:
        """With one more axis, which is then at `dim`."""
        if not self.open:
            place = dim if dim >= 0 else len(self.front) + 1 + dim
            return closed((*self.front[:place], axis, *self.front[place:]))
        if dim >= 0:
            shape = self.grown(dim - 1) if dim else self
            if len(shape.front) >= dim:
                return replace(shape, front=(*shape.front[:dim], axis, *shape.front[dim:]), kin=self.grown_kin(1))
            return replace(shape, back=(), kin=self.grown_kin(1))
        shape = self.grown(dim + 1) if dim < -1 else self
        place = len(shape.back) + 1 + dim
        if place >= 0:
            return replace(shape, back=(*shape.back[:place], axis, *shape.back[place:]), kin=self.grown_kin(1))
        return replace(shape, front=(), kin=self.grown_kin(1))

    def grown_kin(self, by: int) -> tuple[object, int] | None:
        return None if self.kin is None else (self.kin[0], self.kin[1] + by)

    def blurred(self, dim: int) -> Shape:
        """What is left to know when something happened at a `dim` that cannot be placed."""
        if dim >= 0:
            return Shape(self.front[:dim], (), True)
        return Shape((), self.back[len(self.back) + dim + 1 :] if dim < -1 else (), True)

    def permuted(self, dims: Sequence[int]) -> Shape:
        """The axes in the order of `dims`, which also says how many there are."""
        axes = self.with_rank(len(dims)).front
        if len(axes) != len(dims) or any(not -len(axes) <= dim < len(axes) for dim in dims):
            return Shape()
        return closed(axes[dim] for dim in dims)

    def swapped(self, first: int, second: int) -> Shape:
        if {first, second} == {1, 2} and self.open and len(self.front) <= 2 and self._ends_on_two_parts():
            # heads that are split off the last axis go in front of the positions; of three axes this would exchange
            # the two that were made just now
            return self.with_rank(4).swapped(first, second)
        shape = self.grown(max(first, second)) if first >= 0 and second >= 0 else self.grown(min(first, second))
        one, other = shape.axis(first), shape.axis(second)
        if one is None or other is None:
            return Shape()
        exchange = {id(one): other, id(other): one}
        return shape.mapped(lambda axis: exchange.get(id(axis), axis))

    def _ends_on_two_parts(self) -> bool:
        return len(self.back) == 2 and self.back[0].part_of is not None and self.back[0].part_of is self.back[1].part_of

    def with_rank(self, rank: int) -> Shape:
        """The same axes, now that their number is known; fewer than are known already is a contradiction: open."""
        if not self.open:
            return self if len(self.front) == rank else Shape()
        missing = rank - self.least_rank
        if missing < 0:
            return Shape()
        return closed(self.front + tuple(Axis() for _ in range(missing)) + self.back)

    def mapped(self, change: Callable[[Axis], Axis]) -> Shape:
        return Shape(tuple(map(change, self.front)), tuple(map(change, self.back)), self.open, self.kin)


def closed(axes: Iterable[Axis]) -> Shape:
    return Shape(distinct(axes), (), False)


def distinct(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """The same axes, each once: in `q @ k.T` of one sequence the keys are another axis than the queries."""
    found: list[Axis] = []
    for axis in axes:
        found.append(replace(axis) if any(axis is other for other in found) else axis)
    return tuple(found)


def same_rank(left: Shape, right: Shape) -> bool:
    """Whether two tensors have equally many axes for certain."""
    if left.rank is not None or right.rank is not None:
        return left.rank == right.rank
    return left.kin is not None and left.kin == right.kin


def legacy_dim(rank: int) -> int:
    """The axis that torch takes where a softmax has no dim: `_get_softmax_dim` in torch/nn/functional.py."""
    return 0 if rank in (0, 1, 3) else 1


def broadcast(left: Shape, right: Shape) -> Shape:
    """The shape of `left + right`: axes are matched from the back, and one of size 1 gives way."""
    if left.rank == 0:
        return right
    if right.rank == 0:
        return left
    left_back = left.back if left.open else left.front
    right_back = right.back if right.open else right.front
    count = min(len(left_back), len(right_back))
    matched = (
        tuple(_richer(*pair) for pair in zip(left_back[-count:], right_back[-count:], strict=True)) if count else ()
    )
    if not left.open and not right.open:
        longer = left_back if len(left_back) >= len(right_back) else right_back
        return closed(longer[: len(longer) - count] + matched)
    if left.open and not right.open:
        return _open_with_closed(left, right, matched)
    if right.open and not left.open:
        return _open_with_closed(right, left, matched)
    # the fronts only agree where both have the same rank, which nothing says; the longer known one is the usual case
    front = left.front if len(left.front) >= len(right.front) else right.front
    longer = left_back if len(left_back) >= len(right_back) else right_back
    # the other side has axes there, too, of which nothing is known
    unmatched = _giving_way(longer[: len(longer) - count])
    return Shape(_giving_way(front), unmatched + matched, True, left.kin if left.kin == right.kin else None)


def _giving_way(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The axes as they are next to others of which nothing is known: one of size 1 gives way to those."""
    return tuple(Axis() if axis.size == 1 else axis for axis in axes)


def _open_with_closed(unknown: Shape, known: Shape, matched: tuple[Axis, ...]) -> Shape:
    # an axis that has as many behind it as the other side has altogether meets none of those
    alone = max(0, unknown.least_rank - len(known.front))
    unknown = replace(unknown, front=unknown.front[:alone] + _giving_way(unknown.front[alone:]))
    last = known.front[-1] if known.front else None
    if not unknown.back and last is not None and last.size not in (None, 1):
        # whatever the other side has there, the result has as many
        return Shape(unknown.front, (last,), True)
    return Shape(unknown.front, unknown.back[: len(unknown.back) - len(matched)] + matched, True)


def _richer(one: Axis, other: Axis) -> Axis:
    if one.size == 1 and other.size != 1:
        return other
    if other.size == 1 and one.size != 1:
        return one
    if one.kind is None and other.kind is None and one.size is None:
        return other if other.size is not None else one
    return one if one.kind or not other.kind else other


def product(left: Shape, right: Shape) -> tuple[Shape, Axis | None, Axis | None]:
    """The shape of `left @ right`, and the axis that is summed, as each side knows it."""
    if left.rank == 1 or right.rank == 1:
        return _with_a_vector(left, right)
    left, right = left.grown(-2), right.grown(-2)
    rows, summed_left = left.axis(-2), left.axis(-1)
    summed_right, columns = right.axis(-2), right.axis(-1)
    rows, columns = distinct((rows or Axis(), columns or Axis()))
    if left.open and right.rank == 2:
        # the columns take the place of the axis that is summed, whatever stands before it
        return left.with_axis(-1, columns), summed_left, summed_right
    several = broadcast(_stacked(left, right), _stacked(right, left))
    if not several.open:
        return closed((*several.front, rows, columns)), summed_left, summed_right
    return Shape(several.front, (*several.back, rows, columns), True), summed_left, summed_right


def _stacked(factor: Shape, other: Shape) -> Shape:
    """The axes along which the matrices of a factor are stacked."""
    if not factor.open:
        return closed(factor.front[:-2])
    # where fewer than two are known from the back, the last of the front may be those of the matrix; the first is none
    # of them unless this is one matrix alone, which is laid against another such
    least = 0 if other.rank == 2 else 1
    kept = max(least, len(factor.front) - max(0, 2 - len(factor.back)))
    return Shape(factor.front[:kept], factor.back[:-2], True)


def _with_a_vector(left: Shape, right: Shape) -> tuple[Shape, Axis | None, Axis | None]:
    if right.rank == 1:
        return left.without(-1), left.grown(-1).axis(-1), right.front[0]
    right = right.grown(-2)
    return right.without(-2), left.front[0], right.axis(-2)
