"""Heads that find a class in steps, so that a loss needs few of the scores; their probabilities sum to 1 exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from anymax._core import checks
from anymax._core.derived import Derived
from anymax._core.errors import CALLER, named_after_class
from anymax._core.start import restore
from anymax._core.targets import REDUCTIONS
from anymax.nn._arguments import describe
from anymax.nn._distributed import check_sparse
from anymax.nn.heads.dense import DenseOptions, checked_counts, smoothed
from anymax.nn.heads.head import Head
from anymax.ops.tree import structure
from anymax.ops.tree.api import (
    adaptive_log_prob,
    adaptive_softmax_loss,
    hierarchical_log_prob,
    hierarchical_softmax_loss,
)
from anymax.ops.tree.reference import Tail
from anymax.ops.tree.structure import Tree


class _TreeHead(Head):
    """The options of every head, for those that have no row of weights for each class."""

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = True,
        class_counts: Tensor | Sequence[float] | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        checks.count("in_features", in_features)
        checks.count("num_classes", num_classes)
        checks.flag("bias", bias)
        checks.one_of("reduction", reduction, REDUCTIONS)
        checks.integer("ignore_index", ignore_index)
        self.in_features = in_features
        self.num_classes = num_classes
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.class_counts = None if class_counts is None else checked_counts(class_counts, num_classes)
        # where parameters are made, and how
        self._made = {"device": device, "dtype": dtype}
        self._has_bias = bias

    def _check_counts(self) -> Tensor | None:
        """The counts, which a tree is built from, and so must be there while the head is."""
        if self.class_counts is not None and self.class_counts.is_meta:
            raise ValueError(
                f"{CALLER}: class_counts on the meta device have no values to build the tree from; give a list of "
                "numbers, which keeps them, or a tensor on the CPU"
            )
        return self.class_counts

    def scores(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, (..., C): a tree has no other scores of classes."""
        return self.log_prob(input)

    def extra_repr(self) -> str:
        return describe(self, "in_features", "num_classes", "reduction", "ignore_index")


class HierarchicalSoftmaxHead(Derived[Tree], _TreeHead):
    r"""A tree of softmaxes: a class is found from the root in steps, each of which decides between a node's children.

    .. math:: p_y = \prod_{v \in \mathrm{path}(y)} \mathrm{softmax}(s_v)_{\mathrm{child}(v, y)}

    where the last child of a node has the score 0, so that every tree over C classes has C - 1 scores. A loss computes
    those along the path of its target alone, :math:`\log_2 C` in a balanced binary tree; `log_prob` and `predict`
    compute all. The probabilities sum to 1 whatever the scores.

    Classes that share much of their path must be told apart by few nodes: a tree that follows meaning helps, one that
    follows frequency is cheaper. Perplexities are usually worse than those of a softmax.

    Args:
        in_features: d.
        num_classes: C.
        tree: "huffman", the binary tree with the fewest steps on average, which needs `class_counts`; "balanced", the
            binary tree of the least depth, ids in order; or your own as lists of class ids and lists, such as
            `[[0, 1, 2], [3, [4, 5]]]`, each class once. None: "huffman" with class counts, else "balanced".
        sparse: the gradients of weight and bias are sparse tensors that hold the rows of the paths only. Optimisers:
            SGD without weight decay, SparseAdam, Adagrad.
        class_counts: (C,), how often each class occurs in training; the bias starts where the classes have these
            frequencies, each count raised by 1. A list keeps its values where a model is built on the meta device.
        bias, reduction, ignore_index, device, dtype: as :class:`SoftmaxHead`.

    Attributes:
        parents: the tree, a buffer, so that a state dict brings it along: the parent of each node, of which the first
            C are the classes; the root is its own.

    Shape:
        input (..., d), target (...) of class ids; without a target the log-probabilities, (..., C).

    Example:
        >>> head = anymax.nn.HierarchicalSoftmaxHead(3, 6, tree=[[0, 1, 2], [3, [4, 5]]])
        >>> head(torch.zeros(2, 3), torch.tensor([1, 5])).shape
        torch.Size([])
        >>> head.log_prob(torch.randn(2, 3)).exp().sum(-1)
        tensor([1.0000, 1.0000], grad_fn=<SumBackward1>)

    Source: Morin and Bengio 2005; Mikolov et al. 2013, arXiv 1310.4546 (Huffman trees).
    """

    parents: Tensor
    _source = "parents"

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        tree: str | Sequence[Any] | None = None,
        sparse: bool = False,
        **options: Unpack[DenseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        checks.flag("sparse", sparse)
        self.sparse = sparse
        self.weight = nn.Parameter(torch.empty(num_classes - 1, in_features, **self._made))
        self.bias = nn.Parameter(self.weight.new_empty(num_classes - 1)) if self._has_bias else None
        self._start = self._built(tree)
        self.register_buffer("parents", self._start.to(self.weight.device, copy=True))
        self.reset_parameters()

    def _built(self, tree: str | Sequence[Any] | None) -> Tensor:
        counts = self._check_counts()
        if tree is None:
            tree = "balanced" if counts is None else "huffman"
        if isinstance(tree, (list, tuple)):
            return structure.nested(tree, self.num_classes)
        checks.one_of("tree", tree, ("balanced", "huffman"))
        if tree == "balanced":
            return structure.balanced(self.num_classes)
        if counts is None:
            raise ValueError(f'{CALLER}: tree="huffman" is built from class_counts, and there are none')
        return structure.huffman(counts + 1)

    @named_after_class
    def reset_parameters(self) -> None:
        """Put weight, bias and tree where they started: the weight drawn anew, the bias as the class counts say."""
        bound = 1 / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        restore(self.parents, self._start, "tree")
        tree = self._renew()
        if self.bias is not None:
            start: float | Tensor = 0.0
            if self.class_counts is not None and tree is not None:
                start = structure.starting_scores(tree, smoothed(self.class_counts).to(self.parents.device))
            restore(self.bias, start, "class_counts")

    def _make(self) -> Tree | None:
        with suppress(ValueError):
            return structure.tree_of(self.parents, self.num_classes)
        return None

    def _make_without_values(self) -> Tree | None:
        # of the values that were there before, such as those that export replaces by fake ones
        return self._kept

    def _unfilled(self) -> ValueError:
        return ValueError(
            f"{CALLER}: parents holds no tree over the classes: the head was made on the meta device, or a loader left "
            "its memory unfilled; load a state dict, or call reset_parameters()"
        )

    @named_after_class
    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        if target is None:
            return self.log_prob(input)
        if self.sparse:
            check_sparse(self)
        return hierarchical_softmax_loss(
            input,
            self.weight,
            target,
            self._current(),
            linear_bias=self.bias,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

    @named_after_class
    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities (nats) of all classes, (..., C), which sum to 1 as probabilities."""
        return hierarchical_log_prob(input, self.weight, self._current(), linear_bias=self.bias)


class AdaptiveSoftmaxHead(_TreeHead):
    r"""A softmax over the frequent classes and clusters of rarer ones, which have narrower layers behind them.

    .. math::
        \log p_y = \log \mathrm{softmax}(W x + b)_y \text{ (shortlist)}, \quad
        \log p_y = \log \mathrm{softmax}(W x + b)_{k} + \log \mathrm{softmax}(V_k U_k x + c_k)_y \text{ (cluster } k)

    A row whose target is frequent needs the shortlist alone, so a step costs far less than with a softmax where few
    classes are most of the data; in memory the rare classes take less. The probabilities sum to 1.

    Args:
        in_features: d.
        num_classes: C.
        cutoffs: how many of the most frequent classes come before each cluster, rising, in [1, C - 1]: `[1000, 5000]`
            of 20,000 classes makes a shortlist of 1,000 and clusters of 4,000 and 15,000. None: with `class_counts`
            those that hold 80 and 95 % of the data before them, else C / 25 and C / 5; fewer where a cluster's layer
            would have no feature.
        div_value: cluster k (from 1) has a layer of :math:`d / \mathrm{div\_value}^k` features.
        class_counts: (C,), how often each class occurs in training. It sorts the classes and sets where the biases
            start: at these frequencies, each count raised by 1. Without it ids must be sorted by falling frequency, 0
            the most frequent. A list keeps its values where a model is built on the meta device.
        bias: whether shortlist and clusters have one. Without it the parameters are those of
            `torch.nn.AdaptiveLogSoftmaxWithLoss` without `head_bias`, whose state dict loads.
        reduction, ignore_index, device, dtype: as :class:`SoftmaxHead`.

    Attributes:
        rank: the place of each class by falling frequency, a buffer, so that a state dict brings it along.

    Shape:
        input (..., d), target (...) of class ids; without a target the log-probabilities, (..., C).

    Raises:
        ValueError: cutoffs that do not rise or lie outside, or a cluster whose layer would have no feature.

    Example:
        >>> head = anymax.nn.AdaptiveSoftmaxHead(16, 100, cutoffs=[10, 40])
        >>> head(torch.zeros(2, 16), torch.tensor([1, 77])).shape
        torch.Size([])
        >>> head.log_prob(torch.randn(2, 16)).exp().sum(-1)
        tensor([1.0000, 1.0000], grad_fn=<SumBackward1>)

    Source: Grave et al. 2017, arXiv 1609.04309.
    """

    rank: Tensor

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        cutoffs: Sequence[int] | None = None,
        div_value: float = 4.0,
        **options: Unpack[DenseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        checks.number("div_value", div_value)
        if not 1 <= div_value < math.inf:
            raise ValueError(f"{CALLER}: div_value must be at least 1 and finite, got {div_value}")
        counts = self._check_counts()
        if cutoffs is None:
            frequencies = None if counts is None else smoothed(counts).sort(descending=True).values
            cutoffs = structure.usual_cutoffs(num_classes, in_features, div_value, frequencies)
        self.cutoffs = _checked_cutoffs(cutoffs, num_classes)
        self.div_value = div_value
        ends, bias = (*self.cutoffs, num_classes), self._has_bias
        self.head = nn.Linear(in_features, ends[0] + len(self.cutoffs), bias, **self._made)
        self.tail = nn.ModuleList()
        for at, (begin, end) in enumerate(pairwise(ends), 1):
            width = int(in_features // div_value**at)
            if width == 0:
                raise ValueError(
                    f"{CALLER}: each cluster needs a layer of at least one feature, and that of the classes from "
                    f"{begin} on would have {in_features} / {div_value:g}**{at}; write fewer cutoffs or a smaller "
                    "div_value"
                )
            narrow = nn.Linear(in_features, width, False, **self._made)
            self.tail.append(nn.Sequential(narrow, nn.Linear(width, end - begin, bias, **self._made)))
        order = (
            torch.arange(num_classes, device="cpu")
            if counts is None
            else counts.cpu().argsort(descending=True, stable=True)
        )
        self._start = order.argsort()
        self.register_buffer("rank", self._start.to(self.head.weight.device, copy=True))
        self._reset_biases()

    @named_after_class
    def reset_parameters(self) -> None:
        """Put all where it started: weights drawn anew, biases and ranks as the class counts say."""
        for layer in (self.head, *(layer for cluster in self.tail for layer in cluster)):  # type: ignore[attr-defined]
            layer.reset_parameters()
        restore(self.rank, self._start, "class_counts")
        self._reset_biases()

    def _reset_biases(self) -> None:
        if self.head.bias is None:
            return
        if self.class_counts is None:
            starts: Sequence[float | Tensor] = [0.0] * (1 + len(self.tail))
        else:
            frequencies = smoothed(self.class_counts).cpu().sort(descending=True).values
            shortlist, *clusters = frequencies.tensor_split(self.cutoffs)
            starts = [torch.cat([shortlist, *(cluster.sum(0, True) for cluster in clusters)]).log()]
            starts += [(cluster / cluster.sum()).log() for cluster in clusters]
        biases = [self.head.bias, *(cluster[1].bias for cluster in self.tail)]  # type: ignore[index]
        for bias, start in zip(biases, starts, strict=True):
            restore(bias, start, "class_counts")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # torch's module has the classes in order
        state_dict.setdefault(f"{prefix}rank", self.rank)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _tails(self) -> tuple[Tail, ...]:
        return tuple(Tail(narrow.weight, wide.weight, wide.bias) for narrow, wide in self.tail)  # type: ignore[misc]

    @named_after_class
    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        if target is None:
            return self.log_prob(input)
        return adaptive_softmax_loss(
            input,
            self.head.weight,
            self._tails(),
            target,
            head_bias=self.head.bias,
            rank=self.rank,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

    @named_after_class
    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities (nats) of all classes, (..., C), which sum to 1 as probabilities."""
        return adaptive_log_prob(input, self.head.weight, self._tails(), head_bias=self.head.bias, rank=self.rank)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {describe(self, 'cutoffs', 'div_value')}"


def _checked_cutoffs(cutoffs: Sequence[int], num_classes: int) -> tuple[int, ...]:
    for cutoff in cutoffs:
        checks.integer("cutoffs", cutoff)
    rising = all(low < high for low, high in zip((0, *cutoffs), (*cutoffs, num_classes), strict=True))
    if not rising:
        raise ValueError(
            f"{CALLER}: cutoffs must rise and lie in [1, {num_classes - 1}], since the last cluster ends at "
            f"num_classes by itself, got {list(cutoffs)}"
        )
    return tuple(cutoffs)
