"""Modules over the losses: each stores its arguments and calls the function of the same name."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anymax._core.dims import Dim
from anymax._core.random import Generator
from anymax.nn._arguments import describe, store
from anymax.noise import Noise
from anymax.ops.binary.api import asymmetric_loss, binary_cross_entropy_with_logits, sigmoid_focal_loss
from anymax.ops.contrast.api import info_nce
from anymax.ops.cross_entropy.api import cross_entropy
from anymax.ops.entmax.api import entmax_loss, sparsemax_loss
from anymax.ops.imbalance.api import ldam_loss
from anymax.ops.linear.api import linear_cross_entropy
from anymax.ops.nce.api import nce_loss, negative_sampling_loss, sampled_softmax_loss


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


class _NoiseLoss(nn.Module):
    """What NCE, negative sampling and sampled softmax share: a noise law and how to draw from it."""

    def __init__(
        self, noise: Noise, *, num_noise: int, shared: bool, sparse: bool, ignore_index: int, reduction: str
    ) -> None:
        super().__init__()
        if not isinstance(noise, Noise):
            raise TypeError(
                f"{type(self).__name__}: noise must be a law of anymax.noise (counts or probabilities per class make "
                f"the law noise.Unigram(counts)), got a value of type {type(noise).__name__}; the class table goes "
                "into forward: loss(features, linear.weight, target)"
            )
        self.noise = noise
        self.num_noise = num_noise
        self.shared = shared
        self.sparse = sparse
        self.ignore_index = ignore_index
        self.reduction = reduction


class NCELoss(_NoiseLoss):
    """:func:`anymax.nce_loss` as a module that holds the noise law; features, class table and target go in.

    Args:
        noise: a law of `anymax.noise`.
        num_noise, log_partition, shared, sparse, ignore_index, reduction: as in the function.

    Example:
        >>> loss = anymax.nn.NCELoss(anymax.noise.Uniform(10), num_noise=4)
        >>> table = torch.zeros(10, 3)
        >>> bool(loss(torch.zeros(2, 3), table, torch.tensor([1, 7])) > 0)
        True
    """

    log_partition: float | Tensor

    def __init__(
        self,
        noise: Noise,
        *,
        num_noise: int = 64,
        log_partition: float | Tensor = 0.0,
        shared: bool = True,
        sparse: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            noise, num_noise=num_noise, shared=shared, sparse=sparse, ignore_index=ignore_index, reduction=reduction
        )
        store(self, "log_partition", log_partition)

    def forward(
        self,
        input: Tensor,
        linear_weight: Tensor,
        target: Tensor,
        linear_bias: Tensor | None = None,
        generator: Generator = None,
    ) -> Tensor:
        return nce_loss(
            input,
            linear_weight,
            target,
            self.noise,
            num_noise=self.num_noise,
            linear_bias=linear_bias,
            log_partition=self.log_partition,
            shared=self.shared,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )

    def extra_repr(self) -> str:
        return describe(self, "num_noise", "log_partition", "shared", "sparse", "ignore_index", "reduction")


class NegativeSamplingLoss(_NoiseLoss):
    """:func:`anymax.negative_sampling_loss` as a module that holds the noise law.

    Args:
        noise: a law of `anymax.noise`.
        num_noise, shared, sparse, ignore_index, reduction: as in the function.

    Example:
        >>> loss = anymax.nn.NegativeSamplingLoss(anymax.noise.Uniform(10))
        >>> loss(torch.zeros(2, 3), torch.zeros(10, 3), torch.tensor([1, 7]))
        tensor(4.1589)
    """

    def __init__(
        self,
        noise: Noise,
        *,
        num_noise: int = 5,
        shared: bool = True,
        sparse: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            noise, num_noise=num_noise, shared=shared, sparse=sparse, ignore_index=ignore_index, reduction=reduction
        )

    def forward(
        self,
        input: Tensor,
        linear_weight: Tensor,
        target: Tensor,
        linear_bias: Tensor | None = None,
        generator: Generator = None,
    ) -> Tensor:
        return negative_sampling_loss(
            input,
            linear_weight,
            target,
            self.noise,
            num_noise=self.num_noise,
            linear_bias=linear_bias,
            shared=self.shared,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )

    def extra_repr(self) -> str:
        return describe(self, "num_noise", "shared", "sparse", "ignore_index", "reduction")


class SampledSoftmaxLoss(_NoiseLoss):
    """:func:`anymax.sampled_softmax_loss` as a module that holds the noise law.

    Args:
        noise: a law of `anymax.noise`.
        num_noise, correction, unique, shared, sparse, ignore_index, reduction: as in the function.

    Example:
        >>> loss = anymax.nn.SampledSoftmaxLoss(anymax.noise.All(10))
        >>> loss(torch.zeros(2, 3), torch.zeros(10, 3), torch.tensor([1, 7]))
        tensor(2.3026)
    """

    def __init__(
        self,
        noise: Noise,
        *,
        num_noise: int = 64,
        correction: str = "ranking",
        unique: bool = True,
        shared: bool = True,
        sparse: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            noise, num_noise=num_noise, shared=shared, sparse=sparse, ignore_index=ignore_index, reduction=reduction
        )
        self.correction = correction
        self.unique = unique

    def forward(
        self,
        input: Tensor,
        linear_weight: Tensor,
        target: Tensor,
        linear_bias: Tensor | None = None,
        generator: Generator = None,
    ) -> Tensor:
        return sampled_softmax_loss(
            input,
            linear_weight,
            target,
            self.noise,
            num_noise=self.num_noise,
            correction=self.correction,
            unique=self.unique,
            linear_bias=linear_bias,
            shared=self.shared,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )

    def extra_repr(self) -> str:
        return describe(self, "num_noise", "correction", "unique", "shared", "sparse", "ignore_index", "reduction")


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
