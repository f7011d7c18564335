"""Axes keep their identity through views, and lose it where a view cuts across them."""

from __future__ import annotations

import pytest
import sympy
import torch

from anymax.inspect.exported.axes import atoms, broadcast, moved, new, swapped, viewed, without

BATCH = sympy.Symbol("batch", positive=True, integer=True)


def sizes(*values):
    return tuple(sympy.sympify(value) for value in values)


def test_merged_axes_come_apart_again():
    batch, heads, query = axes = new(3)
    before = sizes(BATCH, 2, 7)
    (merged, same) = viewed(axes, before, sizes(2 * BATCH, 7), example=4)
    assert same is query
    assert merged.atoms() == {batch, heads}
    assert viewed((merged, same), sizes(2 * BATCH, 7), before, example=4) == axes
    flat = viewed(axes, before, sizes(14 * BATCH), example=4)
    assert atoms(flat) == set(axes)
    assert viewed(flat, sizes(14 * BATCH), before, example=4) == axes


def test_axes_of_size_one_come_and_go():
    axes = new(2)
    longer = viewed(axes, sizes(BATCH, 5), sizes(BATCH, 1, 5, 1), example=4)
    assert (longer[0], longer[2]) == axes
    assert viewed(longer, sizes(BATCH, 1, 5, 1), sizes(BATCH, 5), example=4) == axes


def test_split_axis_is_new_and_of_the_same_origin():
    features = new(1, "weight")
    first, second = viewed(features, sizes(6), sizes(2, 3), example=4)
    assert first is not second
    assert not {first, second} & set(features)
    assert (first.origin, second.origin) == ("weight", "weight")
    assert [axis.origin for axis in viewed(new(1, "product"), sizes(6), sizes(2, 3), example=4)] == ["other", "other"]


def test_view_across_axes_leaves_nothing_known_but_the_axes_outside_of_it():
    axes = new(4)
    result = viewed(axes, sizes(BATCH, 6, 4, 5), sizes(BATCH, 8, 3, 5), example=4)
    assert (result[0], result[3]) == (axes[0], axes[3])
    assert not set(result[1:3]) & atoms(axes)


def test_size_that_is_the_batchs_in_the_example_alone_is_not_the_batch():
    axes = new(2)
    result = viewed(axes, sizes(BATCH, 6), sizes(6, BATCH), example=6)
    assert not set(result) & set(axes)


@pytest.mark.parametrize(("source", "destination"), [([0], [2]), ([0, 1], [-1, 0]), ([2], [0])])
def test_moves_are_those_of_torch(source, destination):
    tensor = torch.zeros(2, 3, 4)
    axes = new(3)
    sizes_of = dict(zip(axes, tensor.shape, strict=True))
    assert [sizes_of[axis] for axis in moved(axes, source, destination)] == list(
        tensor.movedim(source, destination).shape
    )
    assert [sizes_of[axis] for axis in swapped(axes, 0, -1)] == list(tensor.swapaxes(0, -1).shape)
    assert [sizes_of[axis] for axis in without(axes, [-2], keep=False)] == list(tensor.sum(-2).shape)
    kept = without(axes, [1], keep=True)
    assert (kept[0], kept[2]) == (axes[0], axes[2])
    assert kept[1] not in axes


def test_elementwise_result_takes_each_axis_from_where_it_is_wide():
    one, other = new(2), new(3)
    result = broadcast([(one, sizes(1, 5)), (other, sizes(BATCH, 7, 1))], 3)
    assert result == (other[0], other[1], one[1])
