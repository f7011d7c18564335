"""GumbelSoftmaxHead: trained on relaxed samples."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from anymax._core.errors import named_after_class
from anymax._core.random import Generator
from anymax._core.start import restore
from anymax.nn._arguments import store
from anymax.nn.heads.dense import DenseHead, DenseOptions
from anymax.ops.gumbel.api import gumbel_softmax_loss


class GumbelSoftmaxHead(DenseHead):
    r"""Trained on -log of the relaxed Gumbel-softmax sample at the target, taken in log space.

    .. math:: \ell = -\log \mathrm{softmax}\big((s + G) / \tau\big)_y

    `log_prob` is the log softmax of the scores, the log-probabilities of the hard samples. The loss does not estimate
    these consistently: at tau = 1 a true (.7, .2, .1) is learnt as (.82, .13, .05), at tau = .1 right to 1e-5.

    Args:
        tau: temperature > 0; a number becomes a buffer that a schedule can move.
        in_features, num_classes, bias, class_counts, reduction, ignore_index, device, dtype: as
            :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.GumbelSoftmaxHead(3, 10, tau=0.5)
        >>> head(torch.zeros(2, 3), torch.tensor([1, 2])).shape
        torch.Size([])

    Source: Jang et al. 2016, arXiv 1611.01144.
    """

    tau: Tensor

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        tau: float | Tensor = 1.0,
        **options: Unpack[DenseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        store(self, "tau", tau if isinstance(tau, Tensor) else torch.tensor(float(tau), device=self.weight.device))
        self._tau_start = tau.detach().clone() if isinstance(tau, Tensor) else float(tau)

    @named_after_class
    def reset_parameters(self) -> None:
        super().reset_parameters()
        # nn.Linear's constructor comes here before there is a tau
        if hasattr(self, "tau"):
            restore(self.tau, self._tau_start, "tau")

    def forward(self, input: Tensor, target: Tensor | None = None, generator: Generator = None) -> Tensor:
        scores = self.scores(input)
        if target is None:
            return scores
        return gumbel_softmax_loss(
            scores,
            target,
            dim=-1,
            tau=self.tau,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )
