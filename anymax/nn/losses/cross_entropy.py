"""Modules over the exact cross-entropies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anymax._core.dims import Dim
from anymax.nn._arguments import describe, store
from anymax.ops.cross_entropy.api import cross_entropy
from anymax.ops.linear.api import linear_cross_entropy


class CrossEntropyLoss(nn.Module):
    """:func:`anymax.cross_entropy` as a module; arguments as in the function.

    Example:
        >>> anymax.nn.CrossEntropyLoss()(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor(1.3863)
    """

    weight: Tensor | None
    temperature: float | Tensor
    class_prior: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        dim: Dim | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        softcap: float | None = None,
        temperature: float | Tensor = 1.0,
        class_prior: Tensor | None = None,
    ) -> None:
        super().__init__()
        store(self, "weight", weight)
        self.dim = dim
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss
        self.softcap = softcap
        store(self, "temperature", temperature)
        store(self, "class_prior", class_prior)

    def forward(self, input: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return cross_entropy(
            input,
            target,
            self.weight,
            dim=self.dim,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            softcap=self.softcap,
            temperature=self.temperature,
            class_prior=self.class_prior,
            mask=mask,
        )

    def extra_repr(self) -> str:
        names = "dim", "ignore_index", "reduction", "label_smoothing", "z_loss", "softcap", "temperature", "class_prior"
        return describe(self, *names)


class LinearCrossEntropyLoss(nn.Module):
    """:func:`anymax.linear_cross_entropy` as a module that owns the class table, as torch's module of this name.

    Its state dict is torch's, with the class prior where there is one. :class:`anymax.nn.SoftmaxHead` has the same loss
    with `log_prob`, `predict` and `sample`.

    Args:
        in_features, num_classes, bias, device, dtype: of the `torch.nn.Linear` in `linear`.
        weight, reduction, ignore_index, label_smoothing, z_loss, softcap, temperature, class_prior, chunks,
            memory_budget: as in the function.

    Shape:
        input (..., in_features), target (...) of class ids or (..., num_classes) of probabilities.

    Example:
        >>> loss = anymax.nn.LinearCrossEntropyLoss(3, 10)
        >>> loss(torch.zeros(2, 3), torch.tensor([1, 7])).detach()
        tensor(2.3026)
    """

    weight: Tensor | None
    temperature: float | Tensor
    class_prior: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        softcap: float | None = None,
        temperature: float | Tensor = 1.0,
        class_prior: Tensor | None = None,
        chunks: int | None = None,
        memory_budget: int | None = None,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, num_classes, bias=bias, device=device, dtype=dtype)
        store(self, "weight", weight)
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss
        self.softcap = softcap
        store(self, "temperature", temperature)
        store(self, "class_prior", class_prior)
        self.chunks = chunks
        self.memory_budget = memory_budget

    def forward(self, input: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return linear_cross_entropy(
            input,
            self.linear.weight,
            target,
            linear_bias=self.linear.bias,
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            softcap=self.softcap,
            temperature=self.temperature,
            class_prior=self.class_prior,
            mask=mask,
            chunks=self.chunks,
            memory_budget=self.memory_budget,
        )

    def extra_repr(self) -> str:
        names = "reduction", "label_smoothing", "z_loss", "softcap", "temperature", "class_prior", "chunks"
        return describe(self, *names)
