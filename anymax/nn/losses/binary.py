"""Modules over losses of independent yes/no decisions."""

from __future__ import annotations

from torch import Tensor, nn

from anymax.nn._arguments import describe, store
from anymax.ops.binary.api import asymmetric_loss, binary_cross_entropy_with_logits, sigmoid_focal_loss


class BCEWithLogitsLoss(nn.Module):
    """:func:`anymax.binary_cross_entropy_with_logits` as a module; arguments as in the function.

    Example:
        >>> anymax.nn.BCEWithLogitsLoss()(torch.zeros(2), torch.tensor([0.0, 1.0]))
        tensor(0.6931)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__()
        store(self, "weight", weight)
        self.reduction = reduction
        store(self, "pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )

    def extra_repr(self) -> str:
        return describe(self, "reduction")


class SigmoidFocalLoss(nn.Module):
    """:func:`anymax.sigmoid_focal_loss` as a module; arguments as in the function.

    Example:
        >>> anymax.nn.SigmoidFocalLoss(reduction="sum")(torch.zeros(2), torch.tensor([0.0, 1.0]))
        tensor(0.1733)
    """

    def __init__(self, *, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "none") -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.reduction = reduction

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return sigmoid_focal_loss(inputs, targets, alpha=self.alpha, gamma=self.gamma, reduction=self.reduction)

    def extra_repr(self) -> str:
        return describe(self, "alpha", "gamma", "reduction")


class AsymmetricLoss(nn.Module):
    """:func:`anymax.asymmetric_loss` as a module; arguments as in the function.

    Example:
        >>> anymax.nn.AsymmetricLoss()(torch.zeros(2), torch.tensor([0.0, 1.0]))
        tensor(0.1855)
    """

    def __init__(
        self, *, gamma_neg: float = 4.0, gamma_pos: float = 1.0, clip: float = 0.05, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return asymmetric_loss(
            input,
            target,
            gamma_neg=self.gamma_neg,
            gamma_pos=self.gamma_pos,
            clip=self.clip,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return describe(self, "gamma_neg", "gamma_pos", "clip", "reduction")
