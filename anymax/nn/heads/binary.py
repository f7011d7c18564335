"""SigmoidHead: one yes/no decision per class."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from anymax.nn.heads.dense import DenseHead
from anymax.ops.binary.api import one_vs_rest_loss


class SigmoidHead(DenseHead):
    """One yes/no decision per class (one-vs-rest): binary cross-entropy summed over the classes of a row.

    It has no probabilities over the classes: `log_prob` and `sample` are errors, `predict` ranks by each class's own
    log-probability. With class counts the bias starts at the log-odds of the smoothed class frequency.

    Args:
        in_features, num_classes, bias, class_counts, reduction, ignore_index, device, dtype: as
            :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.SigmoidHead(3, 10)
        >>> head.predict(torch.zeros(2, 3), k=5)[1].shape
        torch.Size([2, 5])
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
        return one_vs_rest_loss(scores, target, dim=-1, ignore_index=self.ignore_index, reduction=self.reduction)

    def log_prob(self, input: Tensor) -> Tensor:
        raise NotImplementedError(
            "SigmoidHead: independent yes/no decisions give no probabilities over the classes, so there is no log_prob "
            "and no sample; predict ranks the classes, and SoftmaxHead has probabilities"
        )

    def predict(self, input: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """The k largest log-probabilities of a class's own decision, and their ids, (..., k) each."""
        values, indices = logsigmoid(self(input)).topk(k, -1)
        return values, indices
