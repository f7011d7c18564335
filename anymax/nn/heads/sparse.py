"""SparsemaxHead and EntmaxHead: probabilities with exact zeros."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from typing_extensions import Unpack

from anymax._core.errors import named_after_class
from anymax._core.scores import INFINITY, compute_dtype
from anymax._core.start import restore
from anymax.nn._arguments import describe, store
from anymax.nn.heads.dense import DenseHead, DenseOptions, smoothed
from anymax.ops.entmax.api import entmax, entmax_loss, sparsemax, sparsemax_loss


class _SparseHead(DenseHead):
    """The bias starts where the map of it is the smoothed class frequency."""

    @property
    @abstractmethod
    def _map_alpha(self) -> float | Tensor:
        """What entmax the map is."""

    def _bias_start(self) -> float | Tensor:
        if self.class_counts is None or self.weight.is_meta:
            return 0.0
        frequency = smoothed(self.class_counts)
        # one number, also of an alpha that differs between rows
        power = torch.as_tensor(self._map_alpha).detach().to(frequency).mean() - 1
        # any shift would do; the limit of this one at 0 is the logarithm
        return torch.where(power == 0, frequency.log(), (frequency**power - 1) / power)

    @abstractmethod
    def _probs(self, scores: Tensor) -> Tensor:
        """The map of the head."""

    def log_prob(self, input: Tensor) -> Tensor:
        """The logs (nats) of the map's probabilities, (..., C): -inf, without a gradient, for those that are 0."""
        return self._log_probs(self(input))

    def predict(self, input: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """The k largest log-probabilities and their class ids, (..., k) each; by the scores where several are -inf."""
        scores = self(input)
        indices = scores.topk(k, -1).indices
        return self._log_probs(scores).gather(-1, indices), indices

    def _log_probs(self, scores: Tensor) -> Tensor:
        # not rounded before the logarithm, which would make more of them 0
        probs = self._probs(scores.to(compute_dtype(scores.dtype)))
        absent = probs == 0
        return torch.where(absent, -INFINITY, torch.where(absent, 1.0, probs).log()).to(scores.dtype)


class SparsemaxHead(_SparseHead):
    r"""Sparsemax over all classes, trained by its own loss: a class whose score is 1 below the best has probability 0.

    .. math:: \ell = \tfrac12 \lVert y - s \rVert^2 - \tfrac12 \lVert p - s \rVert^2, \quad p = \mathrm{sparsemax}(s)

    `log_prob` is the log of the map's probabilities, exactly: -inf for every class outside the support. So held-out
    log-likelihood is -inf as soon as one target has no chance; compare by the Brier score, or by accuracy. `sample`
    draws from these probabilities, to the power 1 / temperature, and never a class outside the support. With class
    counts the bias starts where the map gives the smoothed class frequencies.

    Args:
        in_features, num_classes, bias, class_counts, reduction, ignore_index, device, dtype: as
            :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.SparsemaxHead(3, 10)
        >>> head(torch.zeros(2, 3), torch.tensor([1, 7])).shape
        torch.Size([])

    Source: Martins & Astudillo 2016, arXiv 1602.02068.
    """

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        scores = self.scores(input)
        if target is None:
            return scores
        return sparsemax_loss(scores, target, dim=-1, ignore_index=self.ignore_index, reduction=self.reduction)

    @property
    def _map_alpha(self) -> float:
        return 2.0

    def _probs(self, scores: Tensor) -> Tensor:
        return sparsemax(scores, -1)


class EntmaxHead(_SparseHead):
    """Entmax over all classes, trained by its own loss: between softmax (alpha = 1) and sparsemax (alpha = 2).

    `log_prob`, `sample`, what they mean for held-out data and the start of the bias are as in :class:`SparsemaxHead`.

    Args:
        alpha: as in :func:`anymax.entmax`; a Parameter learns, a tensor becomes a buffer. The loss is the smaller the
            larger alpha is, so one that learns from it alone only grows.
        in_features, num_classes, bias, class_counts, reduction, ignore_index, device, dtype: as
            :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.EntmaxHead(3, 10, alpha=1.25)
        >>> head(torch.zeros(2, 3), torch.tensor([1, 7])).shape
        torch.Size([])

    Source: Peters et al. 2019, arXiv 1905.05702.
    """

    alpha: float | Tensor

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        alpha: float | Tensor = 1.5,
        **options: Unpack[DenseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        store(self, "alpha", alpha)
        self._alpha_start = alpha.detach().clone() if isinstance(alpha, Tensor) else alpha
        self._reset_bias()

    @named_after_class
    def reset_parameters(self) -> None:
        # nn.Linear's constructor comes here before there is an alpha, on which the start of the bias depends
        alpha = getattr(self, "alpha", None)
        if isinstance(alpha, Tensor):
            restore(alpha, self._alpha_start, "alpha")
        super().reset_parameters()

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        scores = self.scores(input)
        if target is None:
            return scores
        return entmax_loss(
            scores, target, dim=-1, ignore_index=self.ignore_index, reduction=self.reduction, alpha=self.alpha
        )

    @property
    def _map_alpha(self) -> float | Tensor:
        return getattr(self, "alpha", 1.0)

    def _probs(self, scores: Tensor) -> Tensor:
        return entmax(scores, -1, alpha=self.alpha)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {describe(self, 'alpha')}"
