"""SigmoidHead and FocalHead: one yes/no decision per class."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from typing_extensions import Unpack

from anymax._core.errors import named_after_class
from anymax.nn._arguments import describe
from anymax.nn.heads.dense import DenseHead, DenseOptions
from anymax.ops.binary.api import (
    binary_cross_entropy_with_logits,
    check_alpha,
    check_gamma,
    one_vs_rest_loss,
    sigmoid_focal_loss,
)


class SigmoidHead(DenseHead):
    """One yes/no decision per class (one-vs-rest): binary cross-entropy summed over the classes of a row.

    It has no probabilities over the classes: `log_prob` and `sample` are errors, `predict` ranks by each class's own
    log-probability. With class counts the bias starts at the log-odds of the smoothed class frequency.

    Args:
        in_features, num_classes, bias, class_counts, reduction, ignore_index, device, dtype: as
            :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids, or (..., C) of 0 and 1, floating point or bool, where a row may have
        any number of classes, or none; without a target the scores, (..., C). A row's loss is the sum over the classes
        either way, "mean" is over rows, and `ignore_index` is for ids.

    Example:
        >>> head = anymax.nn.SigmoidHead(3, 10)
        >>> head.predict(torch.zeros(2, 3), k=5)[1].shape
        torch.Size([2, 5])
        >>> labels = torch.eye(10)[[1, 7]]  # of each row one, so that the loss is that of the ids
        >>> bool(head(torch.zeros(2, 3), labels) == head(torch.zeros(2, 3), torch.tensor([1, 7])))
        True
    """

    def _bias_start(self) -> float | Tensor:
        if self.class_counts is None:
            return 0.0
        mine = self.class_counts + 1
        # the other classes, counted as smoothed; one if there is none, so that the odds of an only class are finite
        return (mine / (mine.sum() - mine).clamp(min=1)).log()

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        scores = self.scores(input)
        if target is None:
            return scores
        if target.is_floating_point() or target.dtype == torch.bool:
            return self._of_labels(scores, target)
        return one_vs_rest_loss(
            scores, target, dim=-1, ignore_index=self.ignore_index, reduction=self.reduction, **self._focus()
        )

    def _of_labels(self, scores: Tensor, target: Tensor) -> Tensor:
        if self.reduction == "none":
            return self._of_entries(scores, target, "none").sum(-1)
        loss = self._of_entries(scores, target, self.reduction)
        # the mean over all entries, of which a row has as many as there are classes
        return loss * self.num_classes if self.reduction == "mean" else loss

    def _of_entries(self, scores: Tensor, target: Tensor, reduction: str) -> Tensor:
        return binary_cross_entropy_with_logits(scores, target, reduction=reduction)

    def _focus(self) -> dict[str, Any]:
        """What makes the loss another than the cross-entropy."""
        return {}

    def log_prob(self, input: Tensor) -> Tensor:
        raise NotImplementedError(
            f"{type(self).__name__}: independent yes/no decisions give no probabilities over the classes, so there is "
            "no log_prob and no sample; predict ranks the classes, and SoftmaxHead has probabilities"
        )

    def predict(self, input: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """The k largest log-probabilities of a class's own decision, and their ids, (..., k) each."""
        values, indices = logsigmoid(self(input)).topk(k, -1)
        return values, indices


class FocalHead(SigmoidHead):
    """One yes/no decision per class (one-vs-rest), as :class:`SigmoidHead`, trained by the focal loss.

    With class counts the bias starts at the log-odds of the smoothed class frequency, without them at those of 1 / C,
    as if every class were as frequent: else the many easy negatives would be all that the first steps learn from. To
    start at another frequency, as RetinaNet does at 0.01, write
    ``torch.nn.init.constant_(head.bias, -math.log(99))``.

    Args:
        alpha, gamma: as in :func:`anymax.sigmoid_focal_loss`.
        in_features, num_classes, bias, class_counts, reduction, ignore_index, device, dtype: as
            :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids, or (..., C) of 0 and 1, floating point or bool, where a row may have
        any number of classes, or none; without a target the scores, (..., C). A row's loss is the sum over the classes
        either way, "mean" is over rows, and `ignore_index` is for ids.

    Example:
        >>> head = anymax.nn.FocalHead(3, 10)
        >>> head(torch.zeros(2, 3), torch.eye(10)[[1, 7]]).isclose(head(torch.zeros(2, 3), torch.tensor([1, 7])))
        tensor(True)

    Source: Lin et al. 2017, arXiv 1708.02002.
    """

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        alpha: float | None = 0.25,
        gamma: float = 2.0,
        **options: Unpack[DenseOptions],
    ) -> None:
        check_alpha(alpha)
        check_gamma("gamma", gamma)
        super().__init__(in_features, num_classes, **options)
        self.alpha = alpha
        self.gamma = gamma

    def _bias_start(self) -> float | Tensor:
        if self.class_counts is None:
            return -math.log(max(self.num_classes - 1, 1))
        return super()._bias_start()

    def _of_entries(self, scores: Tensor, target: Tensor, reduction: str) -> Tensor:
        return sigmoid_focal_loss(scores, target, reduction=reduction, **self._focus())

    def _focus(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "gamma": self.gamma}

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {describe(self, 'alpha', 'gamma')}"
