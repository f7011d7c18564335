"""Modules over the losses of sparse maps."""

from __future__ import annotations

from torch import Tensor, nn

from anymax._core.dims import Dim
from anymax.nn._arguments import describe, store
from anymax.ops.entmax.api import entmax_loss, sparsemax_loss


class SparsemaxLoss(nn.Module):
    """:func:`anymax.sparsemax_loss` as a module; arguments as in the function.

    Example:
        >>> anymax.nn.SparsemaxLoss()(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor(0.3750)
    """

    weight: Tensor | None
    temperature: float | Tensor

    def __init__(
        self,
        *,
        dim: Dim | None = None,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        temperature: float | Tensor = 1.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        store(self, "weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        store(self, "temperature", temperature)

    def forward(self, input: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return sparsemax_loss(
            input,
            target,
            dim=self.dim,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            temperature=self.temperature,
            mask=mask,
        )

    def extra_repr(self) -> str:
        return describe(self, "dim", "ignore_index", "reduction", "temperature")


class EntmaxLoss(nn.Module):
    """:func:`anymax.entmax_loss` as a module; arguments as in the function.

    Example:
        >>> anymax.nn.EntmaxLoss(alpha=1.5)(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor(0.6667)
    """

    weight: Tensor | None
    alpha: float | Tensor
    temperature: float | Tensor

    def __init__(
        self,
        *,
        dim: Dim | None = None,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        alpha: float | Tensor = 1.5,
        temperature: float | Tensor = 1.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        store(self, "weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        store(self, "alpha", alpha)
        store(self, "temperature", temperature)

    def forward(self, input: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return entmax_loss(
            input,
            target,
            dim=self.dim,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            alpha=self.alpha,
            temperature=self.temperature,
            mask=mask,
        )

    def extra_repr(self) -> str:
        return describe(self, "dim", "ignore_index", "reduction", "alpha", "temperature")
