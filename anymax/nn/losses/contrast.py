"""Modules over losses of queries against keys."""

from __future__ import annotations

from torch import Tensor, nn

from anymax.nn._arguments import describe, store
from anymax.ops.contrast.api import info_nce


class InfoNCELoss(nn.Module):
    """:func:`anymax.info_nce` as a module; arguments as in the function.

    Example:
        >>> anymax.nn.InfoNCELoss(temperature=0.07)(torch.zeros(4, 8), torch.zeros(4, 8))
        tensor(1.3863)
    """

    temperature: float | Tensor

    def __init__(self, *, temperature: float | Tensor = 1.0, symmetric: bool = False, reduction: str = "mean") -> None:
        super().__init__()
        store(self, "temperature", temperature)
        self.symmetric = symmetric
        self.reduction = reduction

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        target: Tensor | None = None,
        log_q: Tensor | None = None,
        key_ids: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        return info_nce(
            query,
            key,
            target,
            temperature=self.temperature,
            log_q=log_q,
            key_ids=key_ids,
            mask=mask,
            symmetric=self.symmetric,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return describe(self, "temperature", "symmetric", "reduction")
