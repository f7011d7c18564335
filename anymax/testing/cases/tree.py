"""The losses and log-probabilities of tree heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anymax.ops.tree.api import (
    adaptive_log_prob,
    adaptive_softmax_loss,
    hierarchical_log_prob,
    hierarchical_softmax_loss,
)
from anymax.ops.tree.reference import Tail
from anymax.ops.tree.structure import Tree, huffman, nested, tree_of
from anymax.testing.cases.case import Case, randn, targets

# nodes of two and of three children, at depths from 1 to 3
TREE = tree_of(nested([[0, 1, 5], 6, [2, [3, [4, 7, 8]]]], 9), 9)
HUFFMAN = tree_of(huffman(torch.tensor([20, 1, 7, 7, 3, 1, 30, 2, 5])), 9)
RANK = torch.tensor([3, 0, 8, 1, 5, 2, 4, 7, 6])


def _nodes(generator: torch.Generator, rows: int) -> list[Tensor]:
    return [randn(generator, rows, 6), randn(generator, 8, 6) / 2, randn(generator, 8)]


def _tables(tree: Tree) -> list[Tensor]:
    return [field for field in tree if isinstance(field, Tensor)]


def _like(tree: Tree, tables: tuple[Tensor, ...]) -> Tree:
    """The tree with these tables, so that a case is made of its tensors alone."""
    numbers = [field for field in tree if not isinstance(field, Tensor)]
    return Tree(*numbers, *tables)  # type: ignore[arg-type]


def _clusters(generator: torch.Generator, rows: int) -> list[Tensor]:
    """Three frequent classes, and clusters of two and of four classes behind layers of three and of two features."""
    shapes = ((5, 6), (5,), (3, 6), (2, 3), (2,), (2, 6), (4, 2))
    return [randn(generator, rows, 6), *(randn(generator, *shape) / 2 for shape in shapes)]


def _adaptive(function: Any) -> Any:
    def call(x: Tensor, weight: Tensor, bias: Tensor, *rest: Tensor) -> Tensor:
        tails = (Tail(*rest[:3]), Tail(rest[3], rest[4], None))
        return function(x, weight, tails, *rest[6:], head_bias=bias, rank=rest[5])

    return call


CASES: tuple[Case, ...] = (
    Case(
        "hierarchical_softmax_loss",
        "binary",
        lambda x, weight, target, *tables: hierarchical_softmax_loss(
            x, weight, target, _like(HUFFMAN, tables), reduction="none"
        ),
        lambda g, rows: _nodes(g, rows)[:2],
        lambda g, rows: [torch.randint(9, (rows,), generator=g), *_tables(HUFFMAN)],
        roundings=8.0,
    ),
    Case(
        "hierarchical_softmax_loss",
        "everything",
        lambda x, weight, bias, target, *tables: hierarchical_softmax_loss(
            x, weight, target, _like(TREE, tables), linear_bias=bias
        ),
        _nodes,
        lambda g, rows: [targets(g, 9, rows), *_tables(TREE)],
        roundings=8.0,
    ),
    Case(
        "hierarchical_log_prob",
        "everything",
        lambda x, weight, bias, *tables: hierarchical_log_prob(x, weight, _like(TREE, tables), linear_bias=bias),
        _nodes,
        lambda g, rows: _tables(TREE),
        roundings=8.0,
    ),
    Case(
        "adaptive_softmax_loss",
        "everything",
        _adaptive(adaptive_softmax_loss),
        _clusters,
        lambda g, rows: [RANK, targets(g, 9, rows)],
        roundings=8.0,
    ),
    Case(
        "adaptive_log_prob",
        "everything",
        _adaptive(adaptive_log_prob),
        _clusters,
        lambda g, rows: [RANK],
        roundings=8.0,
    ),
)
