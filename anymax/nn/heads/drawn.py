"""Heads that are trained against a few classes drawn from a noise law, at a cost independent of their number."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from typing_extensions import Unpack

from anymax._core import checks
from anymax._core.errors import CALLER, named_after_class
from anymax._core.random import Generator
from anymax.nn._distributed import check_sparse
from anymax.nn.heads.dense import DenseHead, DenseOptions, checked_counts, smoothed
from anymax.noise import Noise, Unigram
from anymax.ops.nce.api import nce_loss, negative_sampling_loss, sampled_softmax_loss
from anymax.ops.softmax.api import log_softmax


class NoiseOptions(DenseOptions, total=False):
    """What every head takes that is trained against draws."""

    noise: Noise | None
    num_noise: int
    sparse: bool


class _NoiseHead(DenseHead):
    """A head that is trained against draws from a noise law: given, or from the smoothed class counts."""

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        noise: Noise | None = None,
        num_noise: int = 64,
        sparse: bool = False,
        **options: Unpack[DenseOptions],
    ) -> None:
        checks.count("num_noise", num_noise)
        if noise is None:
            class_counts = options.get("class_counts")
            if class_counts is None:
                raise ValueError(
                    f"{CALLER}: give noise= (a law of anymax.noise) or class_counts= (which makes a Unigram law); no "
                    "law fits by default"
                )
            noise = Unigram(smoothed(checked_counts(class_counts, num_classes)))
            if not options.get("bias", True):
                # the law was all that they were for
                options["class_counts"] = None
        super().__init__(in_features, num_classes, **options)
        if noise.num_classes != num_classes:
            raise ValueError(
                f"{CALLER}: the noise law must cover the {num_classes} classes of the head, got {noise.num_classes}"
            )
        # a head on the meta device has no values yet; those of the law would be lost there
        self.noise = noise if self.weight.is_meta else noise.to(self.weight.device)
        self.num_noise = num_noise
        self.sparse = sparse


class NCEHead(_NoiseHead):
    """Noise-contrastive estimation: each target against `num_noise` draws, at a cost independent of num_classes.

    `log_prob` is normalised exactly, over all classes. `scores` minus `log_partition` are close to log-probabilities
    once trained, to the degree that the features can represent the normaliser. Without counts the bias starts at
    log_partition - log C, so that training starts near normalised probabilities.

    Args:
        noise: a law of `anymax.noise`; or
        class_counts: (C,), which makes the law `Unigram(class_counts + 1)` and sets where the bias starts.
        num_noise, log_partition, sparse: as in :func:`anymax.nce_loss`.
        in_features, num_classes, bias, reduction, ignore_index, device, dtype: as :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.NCEHead(3, 10, class_counts=torch.arange(10))
        >>> head.log_prob(torch.zeros(3)).argmax()
        tensor(9)

    Source: Gutmann and Hyvarinen 2010; Mnih and Teh 2012, arXiv 1206.6426.
    """

    log_partition: float = 0.0

    @named_after_class
    def __init__(
        self, in_features: int, num_classes: int, *, log_partition: float = 0.0, **options: Unpack[NoiseOptions]
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        checks.number("log_partition", log_partition)
        self.log_partition = log_partition
        self._reset_bias()

    def _bias_start(self) -> float | Tensor:
        if self.class_counts is None:
            return self.log_partition - math.log(self.num_classes)
        return super()._bias_start() + self.log_partition

    @named_after_class
    def forward(self, input: Tensor, target: Tensor | None = None, generator: Generator = None) -> Tensor:
        if target is None:
            return self.scores(input)
        if self.sparse:
            check_sparse(self)
        return nce_loss(
            input,
            self.weight,
            target,
            self.noise,
            num_noise=self.num_noise,
            linear_bias=self.bias,
            log_partition=self.log_partition,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )


class NegativeSamplingHead(_NoiseHead):
    r"""Negative sampling as in word2vec: yes to each target, no to `num_noise` draws.

    The scores end at :math:`s = \log p - \log(k q)`, for k draws from the law q, so they rank the classes by how much
    more frequent they are than in the noise. `log_prob` brings probabilities back, as log_softmax(s + log q), with the
    law as it is at the time; `predict` and `sample` follow from it. The bias starts where `log_prob` at features of 0
    is the smoothed class frequency, uniform without counts.

    Args:
        noise: a law of `anymax.noise`; or
        class_counts: (C,), which makes the law `Unigram(class_counts + 1)` and sets where the bias starts.
        num_noise, sparse: as in :func:`anymax.negative_sampling_loss`, whose default of 5 draws holds here too.
        in_features, num_classes, bias, reduction, ignore_index, device, dtype: as :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.NegativeSamplingHead(3, 10, class_counts=torch.arange(10))
        >>> head.log_prob(torch.zeros(3)).argmax()
        tensor(9)

    Source: Mikolov et al. 2013, arXiv 1310.4546.
    """

    @named_after_class
    def __init__(self, in_features: int, num_classes: int, **options: Unpack[NoiseOptions]) -> None:
        options.setdefault("num_noise", 5)
        super().__init__(in_features, num_classes, **options)
        self._reset_bias()

    def _bias_start(self) -> float | Tensor:
        if self.weight.is_meta or not hasattr(self, "noise"):
            return 0.0
        frequency = 1 / self.num_classes if self.class_counts is None else smoothed(self.class_counts)
        log_noise = self._log_noise() + math.log(self.num_noise)
        # a class that is never drawn has probability 0 whatever its score
        drawn = log_noise.isfinite()
        return torch.where(drawn, torch.as_tensor(frequency).to(log_noise).log() - log_noise, 0.0)

    def _log_noise(self) -> Tensor:
        return self.noise.log_q(torch.arange(self.num_classes, device=self.noise.device))

    def log_prob(self, input: Tensor) -> Tensor:
        """Exactly normalised log-probabilities (nats) of all classes, (..., C): log_softmax(scores + log q)."""
        scores = self(input)
        return log_softmax(scores + self._log_noise().to(scores.dtype), -1)

    @named_after_class
    def forward(self, input: Tensor, target: Tensor | None = None, generator: Generator = None) -> Tensor:
        if target is None:
            return self.scores(input)
        if self.sparse:
            check_sparse(self)
        return negative_sampling_loss(
            input,
            self.weight,
            target,
            self.noise,
            num_noise=self.num_noise,
            linear_bias=self.bias,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )


class SampledSoftmaxHead(_NoiseHead):
    """Softmax over the target and `num_noise` draws, corrected for how they were drawn.

    `log_prob` is normalised exactly, over all classes.

    Args:
        noise: a law of `anymax.noise`; or
        class_counts: (C,), which makes the law `Unigram(class_counts + 1)` and sets where the bias starts.
        num_noise, correction, unique, sparse: as in :func:`anymax.sampled_softmax_loss`.
        in_features, num_classes, bias, reduction, ignore_index, device, dtype: as :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.SampledSoftmaxHead(3, 10, noise=anymax.noise.All(10))
        >>> head.log_prob(torch.zeros(2, 3)).shape
        torch.Size([2, 10])

    Source: Bengio and Senecal 2008; Jean et al. 2015, arXiv 1412.2007.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        correction: str = "ranking",
        unique: bool = True,
        **options: Unpack[NoiseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        self.correction = correction
        self.unique = unique

    @named_after_class
    def forward(self, input: Tensor, target: Tensor | None = None, generator: Generator = None) -> Tensor:
        if target is None:
            return self.scores(input)
        if self.sparse:
            check_sparse(self)
        return sampled_softmax_loss(
            input,
            self.weight,
            target,
            self.noise,
            num_noise=self.num_noise,
            correction=self.correction,
            unique=self.unique,
            linear_bias=self.bias,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )
