"""Modules over losses for rare classes."""

from __future__ import annotations

from torch import Tensor, nn

from anymax._core.dims import Dim
from anymax.nn._arguments import describe, store
from anymax.ops.imbalance.api import ldam_loss


class LDAMLoss(nn.Module):
    """:func:`anymax.ldam_loss` as a module; arguments as in the function.

    Example:
        >>> anymax.nn.LDAMLoss(torch.tensor([1000, 10]))(torch.tensor([[0.8, 0.2]]), torch.tensor([1]))
        tensor(33.)
    """

    class_counts: Tensor
    weight: Tensor | None

    def __init__(
        self,
        class_counts: Tensor,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        weight: Tensor | None = None,
        dim: Dim | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        store(self, "class_counts", class_counts)
        self.max_margin = max_margin
        self.scale = scale
        store(self, "weight", weight)
        self.dim = dim
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ldam_loss(
            input,
            target,
            self.class_counts,
            max_margin=self.max_margin,
            scale=self.scale,
            weight=self.weight,
            dim=self.dim,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return describe(self, "max_margin", "scale", "dim", "ignore_index", "reduction")
