"""Losses and log-probabilities of trees in pure torch. Formulas: api.py. Precision policy: _core/scores.py."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear, logsigmoid, pad

from anymax._core.context import can_branch
from anymax._core.dims import Dims
from anymax._core.dispatch import implementation
from anymax._core.scores import INFINITY, compute_dtype, mean_of
from anymax._core.targets import look_up, reduce, spoilt_unless
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.tree.structure import Tree

IGNORED = -100


def hierarchical_softmax_loss(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    tree: Tree,
    sparse: bool,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    ids = look_up(target, tree.num_classes, ignore_index)
    rows = _path_losses(input, linear_weight, linear_bias, ids.safe, tree, sparse)
    return reduce(torch.where(ids.counted, spoilt_unless(ids.valid, rows), 0.0), reduction, ids.counted)


def _path_losses(
    input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None, target: Tensor, tree: Tree, sparse: bool
) -> Tensor:
    """-log p of each step from a target to the root, summed; only the scores of these nodes are computed."""
    features = input.to(compute_dtype(input.dtype))[..., None, None, :]
    path = [target]
    for _ in range(tree.depth):
        path.append(tree.parents[path[-1]])
    node = torch.stack(path, -1)
    lower, upper = node[..., :-1], node[..., 1:]
    # above the root there is none but itself
    climbs = lower != upper
    place = torch.where(climbs, tree.place[lower], 0)

    def scores_at(rows: Tensor) -> Tensor:
        # not a product of matrices, whose gradient of the rows would lie the other way round
        scores = (embedding(rows, linear_weight, sparse=sparse).to(features) * features).sum(-1)
        if linear_bias is None:
            return scores
        return scores + linear_bias.gather(0, rows.flatten(), sparse_grad=sparse).reshape(rows.shape)

    rows = tree.first_row[upper].unsqueeze(-1)
    if tree.widest == 2:
        # yes or no, and no row of scores: a third less time for the loss
        score = scores_at(rows).squeeze(-1)
        return torch.where(climbs, -logsigmoid(torch.where(place == 0, score, -score)), 0.0).sum(-1)
    slots = torch.arange(tree.widest, device=input.device)
    last = torch.where(climbs, tree.children[upper] - 1, 0).unsqueeze(-1)
    scores = pad(scores_at(rows + torch.where(slots[:-1] < last, slots[:-1], 0)), (0, 1))
    scores = torch.where(slots < last, scores, torch.where(slots == last, 0.0, -INFINITY))
    taken = scores.gather(-1, place.unsqueeze(-1)).squeeze(-1)
    return (torch.logsumexp(scores, -1) - taken).sum(-1)


def hierarchical_log_prob(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None, tree: Tree) -> Tensor:
    scores = linear(input, linear_weight, linear_bias)
    scores = pad(scores.to(compute_dtype(scores.dtype)), (0, 1))
    if not tree.ends:
        return scores
    # log-softmax among siblings
    edges = scores.index_select(-1, tree.edge_row)
    shape = (*scores.shape[:-1], len(tree.parents))
    family = tree.edge_parent.expand(edges.shape)
    top = edges.new_full(shape, -INFINITY).scatter_reduce(-1, family, edges.detach(), "amax")
    shifted = edges - top.index_select(-1, tree.edge_parent)
    total = edges.new_zeros(shape).index_add(-1, tree.edge_parent, shifted.exp())
    steps = shifted - total.index_select(-1, tree.edge_parent).log()
    # from the root down, each edge takes in the one above
    levels = [steps[..., : tree.ends[0]]]
    for begin, end in pairwise(tree.ends):
        levels.append(steps[..., begin:end] + levels[-1].index_select(-1, tree.edge_above[begin:end]))
    return torch.cat(levels, -1).index_select(-1, tree.class_edge)


class Tail(NamedTuple):
    """A cluster of rarer classes: features go through a narrow layer to its scores."""

    projection: Tensor  # (narrow, in_features)
    weight: Tensor  # (classes of the cluster, narrow)
    bias: Tensor | None


def adaptive_softmax_loss(
    input: Tensor,
    head_weight: Tensor,
    head_bias: Tensor | None,
    tails: tuple[Tail, ...],
    target: Tensor,
    rank: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    ends = _ends(head_weight, tails)
    ids = look_up(target, ends[-1], ignore_index)
    features, place, counted = input.reshape(-1, input.shape[-1]), ids.safe.flatten(), ids.counted.flatten()
    if rank is not None:
        place = rank.index_select(0, place)
    # in the head a cluster stands behind the shortlist, as one class more
    of_head = torch.where(place < ends[0], place, ends[0])
    for end in ends[1:-1]:
        of_head = of_head + (place >= end)
    # sums where they will do, since their gradient is made in the forward pass
    each = "none" if reduction == "none" else "sum"
    loss = _linear_loss(features, head_weight, head_bias, torch.where(counted, of_head, IGNORED), each)
    for tail, (begin, end) in zip(tails, pairwise(ends), strict=True):
        inside = counted & (place >= begin) & (place < end)
        if can_branch(inside):
            chosen = inside.nonzero().squeeze(-1)
            hidden = linear(features.index_select(0, chosen), tail.projection)
            part = _linear_loss(hidden, tail.weight, tail.bias, place.index_select(0, chosen) - begin, each)
            loss = loss.index_add(0, chosen, part) if each == "none" else loss + part
        else:
            # how many rows there are cannot be asked: all go through the cluster
            hidden = linear(features, tail.projection)
            of_tail = torch.where(inside, place - begin, IGNORED)
            loss = loss + _linear_loss(hidden, tail.weight, tail.bias, of_tail, each)
    if reduction == "none":
        return spoilt_unless(ids.valid, loss.reshape(target.shape))
    loss = spoilt_unless(ids.valid.all(), loss)
    return mean_of(loss, counted.sum()) if reduction == "mean" else loss


def adaptive_log_prob(
    input: Tensor, head_weight: Tensor, head_bias: Tensor | None, tails: tuple[Tail, ...], rank: Tensor | None
) -> Tensor:
    shortlist = _ends(head_weight, tails)[0]
    of_head = _log_softmax(linear(input, head_weight, head_bias))
    parts = [of_head[..., :shortlist]]
    for at, tail in enumerate(tails, shortlist):
        within = _log_softmax(linear(linear(input, tail.projection), tail.weight, tail.bias))
        parts.append(of_head[..., at : at + 1] + within)
    log_probs = torch.cat(parts, -1)
    return log_probs if rank is None else log_probs.index_select(-1, rank)


def _ends(head_weight: Tensor, tails: tuple[Tail, ...]) -> tuple[int, ...]:
    """Where shortlist and clusters end."""
    return tuple(accumulate([len(head_weight) - len(tails), *(len(tail.weight) for tail in tails)]))


def _linear_loss(
    input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None, target: Tensor, reduction: str
) -> Tensor:
    options = Options(ignore_index=IGNORED)
    loss = implementation("linear_cross_entropy")
    return loss(input, linear_weight, linear_bias, target, options, reduction, None, None)


def _log_softmax(scores: Tensor) -> Tensor:
    return implementation("log_softmax")(scores, Dims(scores.ndim, (scores.ndim - 1,)), 1.0, None, None)
