"""Trees over the classes: how they are built, and the tables by which they are walked.

A tree is one tensor, `parents`: nodes 0 to C - 1 are the classes, the others have at least two children, and the root
is its own parent. Whatever its shape, it has C - 1 scores: a node with k children has k - 1, and its last child's is 0.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from anymax._core.errors import CALLER

SHARES = (0.8, 0.95)  # of the data that come before a cluster


class Tree(NamedTuple):
    """The tables of a tree. Its edges, one for each node but the root, are sorted by depth, siblings side by side."""

    num_classes: int
    widest: int  # the most children of a node
    ends: tuple[int, ...]  # where the edges of each depth end
    parents: Tensor  # (nodes,)
    children: Tensor  # (nodes,) how many a node has
    first_row: Tensor  # (nodes,) the first score of an inner node
    place: Tensor  # (nodes,) which of its siblings a node is
    lower: Tensor  # (edges,) the node at the lower end of an edge
    edge_row: Tensor  # (edges,) its score, C - 1 for that of a last child
    edge_parent: Tensor  # (edges,) the node at its upper end
    edge_above: Tensor  # (edges,) the edge above it, counted from the first of that depth
    class_edge: Tensor  # (C,) the edge that ends in a class

    @property
    def depth(self) -> int:
        """The most edges between a class and the root."""
        return len(self.ends)


def tree_of(parents: Tensor, num_classes: int) -> Tree:
    """The tables of `parents`.

    Raises:
        ValueError: `parents` is no tree, such as memory that nobody filled.
    """
    inside = (parents >= num_classes) & (parents < len(parents))
    if num_classes > 1 and not bool(inside.all()):
        raise ValueError(f"{CALLER}: parents must be inner nodes, from {num_classes} to {len(parents) - 1}")
    node = torch.arange(len(parents), device=parents.device)
    depth, at = torch.zeros_like(node), node
    while bool((below := parents[at] != at).any()):
        if len(depth) <= int(depth.max()):
            raise ValueError(f"{CALLER}: parents is no tree, since some nodes never reach the root")
        depth, at = depth + below, parents[at]
    # nodes by depth, then by parent, then by number; the root comes first
    by_parent = parents.argsort(stable=True)
    order = by_parent[depth[by_parent].argsort(stable=True)]
    edge = torch.empty_like(node)
    edge[order] = node - 1
    lower = order[1:]
    upper = parents[lower]
    ends = depth[lower].bincount(minlength=1)[1:].cumsum(0)
    _, family, sizes = upper.unique_consecutive(return_inverse=True, return_counts=True)
    siblings_before = node[:-1] - (sizes.cumsum(0) - sizes)[family]
    place = torch.zeros_like(node)
    place[lower] = siblings_before
    children = upper.bincount(minlength=len(parents))
    rows = (children - 1).clamp(min=0)
    first_row = rows.cumsum(0) - rows
    is_last = siblings_before == rows[upper]
    first_above = pad(ends, (3, 0))[depth[lower]]
    return Tree(
        num_classes=num_classes,
        widest=int(children.max()),
        ends=tuple(ends.tolist()),
        parents=parents,
        children=children,
        first_row=first_row,
        place=place,
        lower=lower,
        edge_row=torch.where(is_last, num_classes - 1, first_row[upper] + siblings_before),
        edge_parent=upper,
        edge_above=(edge[upper] - first_above).clamp(min=0),
        class_edge=edge[:num_classes],
    )


def starting_scores(tree: Tree, frequencies: Tensor) -> Tensor:
    """The scores (C - 1,) under which the classes have these frequencies, all of them positive."""
    mass = pad(frequencies, (0, len(tree.parents) - tree.num_classes))
    for begin, end in reversed(tuple(pairwise((0, *tree.ends)))):
        lower = tree.lower[begin:end]
        mass.index_add_(0, tree.parents[lower], mass[lower])
    log_mass = mass.log()
    is_last = tree.edge_row == tree.num_classes - 1
    of_last = torch.zeros_like(mass)
    of_last[tree.edge_parent[is_last]] = log_mass[tree.lower[is_last]]
    scores = torch.zeros_like(frequencies[1:])
    scores[tree.edge_row[~is_last]] = (log_mass[tree.lower] - of_last[tree.edge_parent])[~is_last]
    return scores


def balanced(num_classes: int) -> Tensor:
    """The parents in a binary tree of the least depth, with the classes in order."""
    # a heap: node i has the children 2 i + 1 and 2 i + 2, and its leaves on the deepest level are the leftmost ones
    heap = torch.arange(2 * num_classes - 1, device="cpu")
    deepest = 2 ** (num_classes - 1).bit_length() - 1
    leaves = torch.cat([heap[deepest:], heap[num_classes - 1 : deepest]])
    parents = num_classes + (torch.cat([leaves, heap[: num_classes - 1]]) - 1).div(2, rounding_mode="floor")
    parents[min(num_classes, len(parents) - 1)] = min(num_classes, len(parents) - 1)
    return parents


def huffman(counts: Tensor) -> Tensor:
    """The parents in the binary tree of the least mean depth under `counts` (Huffman 1952).

    Classes and joined nodes wait in one queue each, in the order of their counts; of two that are equal a class goes
    first, which keeps the tree flat.
    """
    ordered, order = (column.tolist() for column in counts.double().sort(stable=True))
    joined: list[float] = []
    num_classes = len(order)
    parents = list(range(2 * num_classes - 1))
    leaf = inner = 0
    for node in range(num_classes, 2 * num_classes - 1):
        total = 0.0
        for _ in range(2):
            if leaf < num_classes and (inner == len(joined) or ordered[leaf] <= joined[inner]):
                lower, count = order[leaf], ordered[leaf]
                leaf += 1
            else:
                lower, count = num_classes + inner, joined[inner]
                inner += 1
            parents[lower] = node
            total += count
        joined.append(total)
    return torch.tensor(parents, device="cpu")


def nested(tree: Any, num_classes: int) -> Tensor:
    """The parents in a tree that is written as lists of class ids and lists."""
    parents = [-1] * num_classes
    waiting: list[tuple[Any, int]] = [(tree, -1)]
    while waiting:
        entry, parent = waiting.pop()
        # a node with one child decides nothing
        while isinstance(entry, (list, tuple)) and len(entry) == 1:
            entry = entry[0]
        if isinstance(entry, (list, tuple)):
            if not entry:
                raise ValueError(f"{CALLER}: tree must not hold an empty list: each node has children or is a class")
            node = len(parents)
            parents.append(node if parent < 0 else parent)
            waiting += [(child, node) for child in reversed(entry)]
            continue
        if not isinstance(entry, int) or isinstance(entry, bool):
            raise TypeError(f"{CALLER}: tree must be made of lists and class ids, got {entry!r}")
        if not 0 <= entry < num_classes:
            raise ValueError(f"{CALLER}: tree must hold the class ids 0 to {num_classes - 1}, got {entry}")
        if parents[entry] >= 0:
            raise ValueError(f"{CALLER}: tree must hold each class once, and class {entry} stands there twice")
        parents[entry] = entry if parent < 0 else parent
    missing = [node for node in range(num_classes) if parents[node] < 0]
    if missing:
        raise ValueError(
            f"{CALLER}: tree must hold each of the {num_classes} classes, and {len(missing)} are missing, "
            f"class {missing[0]} first"
        )
    return torch.tensor(parents, device="cpu")


def usual_cutoffs(num_classes: int, in_features: int, div_value: float, frequencies: Tensor | None) -> tuple[int, ...]:
    """Where an adaptive softmax is cut unless told: only as often as leaves each cluster's layer a feature.

    At 80 and 95 % of the data where the frequencies (falling, summing to 1) are known, else at a 25th and a fifth of
    the classes.
    """
    if frequencies is None:
        places = [num_classes // 25, num_classes // 5]
    else:
        places = torch.searchsorted(frequencies.cumsum(0), frequencies.new_tensor(SHARES)).add(1).tolist()
    inside = sorted({place for place in places if 0 < place < num_classes})
    return tuple(inside[: sum(in_features // div_value**at >= 1 for at in range(1, len(inside) + 1))])
