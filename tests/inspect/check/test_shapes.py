"""What reading says of the shape of a product or a sum is true of the tensor that torch gives."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
import torch

from anymax.inspect.check.shapes import Axis, Shape, broadcast, closed, product


@dataclass
class Known:
    """Tensors of which reading knows a part: all axes, or some from the front and some from the back."""

    draw: random.Random

    def axis(self, size: int) -> Axis:
        # an axis whose size is not written is named after it, and is none of those that give way
        return Axis(size=size) if size == 1 or self.draw.random() < 0.5 else Axis(name=str(size))

    def shape(self, sizes: list[int], all_known: bool) -> Shape:
        axes = tuple(map(self.axis, sizes))
        if all_known:
            return closed(axes)
        front = self.draw.randint(0, len(axes) - 1)
        back = self.draw.randint(0, len(axes) - front)
        return Shape(axes[:front], axes[len(axes) - back :], True)


def is_true_of(shape: Shape, real: torch.Size) -> bool:
    if not shape.open and len(shape.front) != len(real):
        return False
    places = [*enumerate(shape.front), *((at - len(shape.back), axis) for at, axis in enumerate(shape.back))]
    return all(
        -len(real) <= at < len(real) and str(real[at]) == (axis.name or str(axis.size))
        for at, axis in places
        if axis.name or axis.size is not None
    )


def stacked(draw: random.Random, ranks: list[int]) -> list[list[int]]:
    """Axes that can be laid against each other from the back; some are of size 1."""
    full = [draw.choice((2, 3, 5, 7)) for _ in range(max(ranks))]
    return [[1 if draw.random() < 0.3 else size for size in full[len(full) - rank :]] for rank in ranks]


def ranks_of(draw: random.Random, known: tuple[bool, bool]) -> list[int]:
    """How many axes two tensors have in front of their matrices: nothing says that an open one has fewer."""
    first, second = sorted((draw.randint(0, 3), draw.randint(0, 3)))
    if known == (False, False):
        return [max(1, second)] * 2
    return [first, second] if known[0] else [second, first]


@pytest.mark.parametrize("known", [(True, True), (True, False), (False, True), (False, False)])
def test_what_is_said_of_a_product_is_true(known):
    draw = random.Random(0)
    for _ in range(1500):
        tensors = Known(draw)
        first, second = stacked(draw, ranks_of(draw, known))
        first, second = [*first, 11, 13], [*second, 13, 17]
        if known == (True, True) and draw.random() < 0.3:
            first, second = ([13], second) if draw.random() < 0.5 else (first, [13])
        left, right = (tensors.shape(sizes, all_known) for sizes, all_known in zip((first, second), known, strict=True))
        told, summed_left, summed_right = product(left, right)
        real = (torch.empty(first) @ torch.empty(second)).shape
        assert is_true_of(told, real), (first, second, left, right, told)
        assert {axis.name or axis.size for axis in (summed_left, summed_right) if axis} <= {13, "13", None}


@pytest.mark.parametrize("known", [(True, True), (True, False), (False, True), (False, False)])
def test_what_is_said_of_a_sum_is_true(known):
    draw = random.Random(0)
    for _ in range(1500):
        tensors = Known(draw)
        first, second = ([*sizes, 11] for sizes in stacked(draw, ranks_of(draw, known)))
        left, right = (tensors.shape(sizes, all_known) for sizes, all_known in zip((first, second), known, strict=True))
        told = broadcast(left, right)
        real = torch.broadcast_shapes(first, second)
        assert told.rank in (None, len(real))
        assert is_true_of(told, real), (first, second, left, right, told)
