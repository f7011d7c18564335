"""What the tree heads are trained by: adaptive and hierarchical softmax, on classes whose frequencies are Zipf's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from anymax.bench.cases import Case
from anymax.bench.problems.problem import Maker, Problem
from anymax.ops.tree.api import adaptive_softmax_loss, hierarchical_softmax_loss
from anymax.ops.tree.reference import Tail
from anymax.ops.tree.structure import huffman, tree_of, usual_cutoffs


def _drawn(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Features, targets and the frequencies of the classes, which fall."""
    rows, width, classes = case.shape
    frequencies = 1 / torch.arange(1, classes + 1, dtype=torch.float64)
    frequencies /= frequencies.sum()
    target = torch.multinomial(frequencies, rows, replacement=True)
    # one of the rarest, so that each weight has a gradient
    target[0] = classes - 1
    return torch.randn(rows, width), target, frequencies


def _adaptive(case: Case) -> Problem:
    features, target, frequencies = _drawn(case)
    _, width, classes = case.shape
    cutoffs = usual_cutoffs(classes, width, 4.0, frequencies)
    module = nn.AdaptiveLogSoftmaxWithLoss(width, classes, list(cutoffs))
    names, weights = zip(*((name, weight.detach()) for name, weight in module.named_parameters()), strict=True)

    def ours(x: Tensor, head: Tensor, *rest: Tensor) -> Tensor:
        tails = tuple(Tail(narrow, wide, None) for narrow, wide in zip(rest[::2], rest[1::2], strict=True))
        return adaptive_softmax_loss(x, head, tails, target)

    def theirs(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (x, target)).loss

    return Problem((features, *weights), ours, {"torch": theirs})


def _hierarchical(case: Case) -> Problem:
    features, target, frequencies = _drawn(case)
    _, width, classes = case.shape
    tree = tree_of(huffman(frequencies), classes)
    # as one writes it in torch: the nodes and turns of each class's path, made once
    node, steps = torch.arange(classes), []
    for _ in range(tree.depth):
        upper = tree.parents[node]
        steps.append((tree.first_row[upper], torch.where(node == upper, 0.0, 1.0 - 2.0 * tree.place[node])))
        node = upper
    nodes, turns = (torch.stack(column, 1) for column in zip(*steps, strict=True))

    def composed(x: Tensor, table: Tensor) -> Tensor:
        scores = (functional.embedding(nodes[target], table, sparse=True) * x[:, None]).sum(-1)
        turn = turns[target]
        return (turn.abs() * functional.softplus(-turn * scores)).sum(1).mean()

    return Problem(
        (features, torch.randn(classes - 1, width) / width**0.5),
        lambda x, table: hierarchical_softmax_loss(x, table, target, tree, sparse=True),
        {"torch": composed},
    )


MAKERS: dict[str, Maker] = {
    "adaptive_softmax_loss": _adaptive,
    "hierarchical_softmax_loss": _hierarchical,
}
