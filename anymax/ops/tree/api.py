"""What the tree heads of anymax.nn compute: losses of a few scores each, and log-probabilities of all classes."""

from __future__ import annotations

from torch import Tensor

from anymax._core import checks
from anymax._core.dispatch import implementation, public
from anymax._core.errors import CALLER
from anymax._core.scores import loss_dtype, map_dtype
from anymax._core.targets import REDUCTIONS, as_ids, check_values
from anymax.ops.tree import reference
from anymax.ops.tree.reference import Tail
from anymax.ops.tree.structure import Tree


@public(reference=reference.hierarchical_softmax_loss)
def hierarchical_softmax_loss(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    tree: Tree,
    *,
    linear_bias: Tensor | None = None,
    sparse: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    r"""Compute -log of the target's probability (nats) in a tree of softmaxes, from the scores along its path alone.

    .. math:: \ell = -\sum_{v \in \mathrm{path}(y)} \log \mathrm{softmax}(s_v)_{\mathrm{child}(v, y)}

    where :math:`s_v` are the scores of the children of node v, of which the last is 0: one for a node of two.

    Args:
        input: features, floating point, (..., d).
        linear_weight: the table of the nodes' scores, (C - 1, d).
        target: class ids, any integer dtype, (...).
        tree: see :class:`anymax.nn.HierarchicalSoftmaxHead`.
        linear_bias: (C - 1,).
        sparse: the gradients of table and bias are sparse tensors that hold the rows of the paths only.
        ignore_index: rows with this target cost nothing and are not counted.
        reduction: "none", "mean" (over rows not ignored) or "sum".

    Returns:
        A scalar, or one loss per row, in the input's dtype (at least float32 under autocast); computed in float32,
        float64 for float64. A mean over nothing is 0.

    Raises:
        ValueError: shapes that do not fit, targets out of range (NaN where values cannot be read). TypeError: wrong
            types.

    Example:
        >>> from anymax.ops.tree import api, structure
        >>> tree = structure.tree_of(structure.balanced(4), 4)  # two halvings
        >>> api.hierarchical_softmax_loss(torch.ones(2, 3), torch.zeros(3, 3), torch.tensor([0, 3]), tree)
        tensor(1.3863)

    Source: Morin and Bengio 2005; Mikolov et al. 2013, arXiv 1310.4546 (Huffman trees).
    """
    target = _check(input, linear_weight.shape[1], target, ignore_index, reduction)
    checks.flag("sparse", sparse)
    loss = implementation("hierarchical_softmax_loss")(
        input, linear_weight, linear_bias, target, tree, sparse, ignore_index, reduction
    )
    check_values(target, tree.num_classes, -1, ignore_index, loss)
    return loss.to(loss_dtype(input))


@public(reference=reference.hierarchical_log_prob)
def hierarchical_log_prob(
    input: Tensor, linear_weight: Tensor, tree: Tree, *, linear_bias: Tensor | None = None
) -> Tensor:
    """Compute the log-probabilities (nats) of all classes, (..., C), that :func:`hierarchical_softmax_loss` trains.

    Arguments and errors are those of the loss. Their probabilities sum to 1.

    Example:
        >>> from anymax.ops.tree import api, structure
        >>> tree = structure.tree_of(structure.nested([0, [1, 2]], 3), 3)
        >>> api.hierarchical_log_prob(torch.ones(3), torch.zeros(2, 3), tree).exp()
        tensor([0.5000, 0.2500, 0.2500])
    """
    _check_features(input, linear_weight.shape[1])
    return implementation("hierarchical_log_prob")(input, linear_weight, linear_bias, tree).to(map_dtype(input))


@public(reference=reference.adaptive_softmax_loss)
def adaptive_softmax_loss(
    input: Tensor,
    head_weight: Tensor,
    tails: tuple[Tail, ...],
    target: Tensor,
    *,
    head_bias: Tensor | None = None,
    rank: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    r"""Compute -log of the target's probability (nats) in a softmax of frequent classes and clusters of rare ones.

    .. math::
        \log p_y = \log \mathrm{softmax}(W x + b)_y \text{ (shortlist)}, \quad
        \log p_y = \log \mathrm{softmax}(W x + b)_{k} + \log \mathrm{softmax}(V_k U_k x + c_k)_y \text{ (cluster } k)

    Only the rows whose target lies in a cluster go through it, in eager mode; compiled code and transforms, which
    cannot ask which these are, take all of them through all clusters.

    Args:
        input: features, floating point, (..., d).
        head_weight: W, (shortlist + clusters, d): the most frequent classes, then a row for each cluster.
        tails: for each cluster U (narrow, d), V (classes, narrow) and c (classes,) or None.
        target: class ids, any integer dtype, (...).
        head_bias: b, (shortlist + clusters,).
        rank: (C,) the place of each class by falling frequency; None where ids are sorted so.
        ignore_index, reduction: as in :func:`hierarchical_softmax_loss`.

    Returns, Raises:
        As :func:`hierarchical_softmax_loss`.

    Example:
        >>> from anymax.ops.tree import api, reference
        >>> tails = (reference.Tail(torch.zeros(1, 3), torch.zeros(4, 1), None),)
        >>> target = torch.tensor([0, 2])  # one of two in the shortlist, one of four in the cluster
        >>> api.adaptive_softmax_loss(torch.ones(2, 3), torch.zeros(3, 3), tails, target, reduction="none").exp()
        tensor([ 3.0000, 12.0000])

    Source: Grave et al. 2017, arXiv 1609.04309.
    """
    target = _check(input, head_weight.shape[1], target, ignore_index, reduction)
    loss = implementation("adaptive_softmax_loss")(
        input, head_weight, head_bias, tails, target, rank, ignore_index, reduction
    )
    num_classes = len(head_weight) - len(tails) + sum(len(tail.weight) for tail in tails)
    check_values(target, num_classes, -1, ignore_index, loss)
    return loss.to(loss_dtype(input))


@public(reference=reference.adaptive_log_prob)
def adaptive_log_prob(
    input: Tensor,
    head_weight: Tensor,
    tails: tuple[Tail, ...],
    *,
    head_bias: Tensor | None = None,
    rank: Tensor | None = None,
) -> Tensor:
    """Compute the log-probabilities (nats) of all classes, (..., C), that :func:`adaptive_softmax_loss` trains.

    Arguments and errors are those of the loss. Their probabilities sum to 1.

    Example:
        >>> from anymax.ops.tree import api, reference
        >>> tails = (reference.Tail(torch.zeros(1, 3), torch.zeros(4, 1), None),)
        >>> api.adaptive_log_prob(torch.ones(3), torch.zeros(3, 3), tails).exp()[:3]
        tensor([0.3333, 0.3333, 0.0833])
    """
    _check_features(input, head_weight.shape[1])
    return implementation("adaptive_log_prob")(input, head_weight, head_bias, tails, rank).to(map_dtype(input))


def _check(input: Tensor, in_features: int, target: Tensor, ignore_index: int, reduction: str) -> Tensor:
    _check_features(input, in_features)
    target = as_ids("target", target)
    if target.shape != input.shape[:-1]:
        raise ValueError(
            f"{CALLER}: target must have the input's shape without the features, {tuple(input.shape[:-1])}, "
            f"got {tuple(target.shape)}"
        )
    checks.integer("ignore_index", ignore_index)
    checks.one_of("reduction", reduction, REDUCTIONS)
    return target


def _check_features(input: Tensor, in_features: int) -> None:
    checks.floating("input", input)
    if input.ndim == 0 or input.shape[-1] != in_features:
        raise ValueError(
            f"{CALLER}: input must end in the {in_features} features of the head, got shape {tuple(input.shape)}"
        )
