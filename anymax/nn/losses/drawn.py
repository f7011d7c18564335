"""Modules over losses against drawn classes, which hold the noise law."""

from __future__ import annotations

from torch import Tensor, nn

from anymax._core.random import Generator
from anymax.nn._arguments import describe, store
from anymax.noise import Noise
from anymax.ops.nce.api import nce_loss, negative_sampling_loss, sampled_softmax_loss


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
