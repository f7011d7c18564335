"""SoftmaxHead: the exact softmax over all classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack  # torch depends on it; typing has it from Python 3.11 on

from anymax._core import checks
from anymax._core.errors import CALLER, named_after_class
from anymax._core.scores import compute_dtype
from anymax._core.start import moved_alone, restore
from anymax.nn.heads.dense import DenseHead, DenseOptions
from anymax.ops.linear.api import linear_cross_entropy


class SoftmaxHead(DenseHead):
    """The exact softmax over all classes, trained by cross-entropy in row chunks.

    Args:
        in_features: d, the size of a feature vector.
        num_classes: C.
        bias: whether each class has one.
        class_counts: (C,), how often each class occurs in training; sets where the bias starts. A list keeps its values
            where a model is built on the meta device, a tensor made there has none.
        label_smoothing, z_loss, reduction, ignore_index: as in :func:`anymax.cross_entropy`.
        class_prior: (C,), a tensor or list of weights as there, for classes that are rare in training: it is added to
            the scores in the loss alone, so that they become those of data in which all classes are equally frequent
            (balanced softmax; with prior**tau the logit adjustment). `forward` without a target, `log_prob`, `predict`
            and `sample` leave it out; the log-probabilities of data like the training data take it back in:
            `anymax.log_prob(head(features), target, dim=-1, class_prior=head.class_prior)`. A buffer, which casts
            leave in float32 or wider. Leave `class_counts` away beside it: the bias would start at what the prior adds.
        chunks, memory_budget: as in :func:`anymax.linear_cross_entropy`.
        device, dtype: of the parameters.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.SoftmaxHead(3, 10)
        >>> head(torch.zeros(2, 3)).shape, head(torch.zeros(2, 3), torch.tensor([1, 7])).shape
        (torch.Size([2, 10]), torch.Size([]))
        >>> head.log_prob(torch.zeros(2, 3)).exp().sum(-1)
        tensor([1.0000, 1.0000], grad_fn=<SumBackward1>)

    Source: Ren et al. 2020, arXiv 2007.10740 (balanced softmax); Menon et al. 2021, arXiv 2007.07314 (logit
    adjustment).
    """

    class_prior: Tensor | None
    _prior_start: Tensor | None

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        class_prior: Tensor | Sequence[float] | None = None,
        chunks: int | None = None,
        memory_budget: int | None = None,
        **options: Unpack[DenseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss
        self.chunks = chunks
        self.memory_budget = memory_budget
        self._prior_start = None
        self.register_buffer("class_prior", None)
        if class_prior is not None:
            self._prior_start = _checked_prior(class_prior, num_classes)
            self.class_prior = self.weight.new_empty(num_classes, dtype=compute_dtype(self.weight.dtype))
            self._reset_prior()

    @named_after_class
    def reset_parameters(self) -> None:
        super().reset_parameters()
        # nn.Linear's constructor comes here before there is a prior
        if hasattr(self, "class_prior"):
            self._reset_prior()

    def _reset_prior(self) -> None:
        if self.class_prior is not None and self._prior_start is not None:
            restore(self.class_prior, self._prior_start, "class_prior")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # counts overflow in float16
        kept = self.class_prior
        super()._apply(fn, recurse)
        if kept is not None:
            self.class_prior = moved_alone(kept, self.class_prior)
        return self

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        if target is None:
            return self.scores(input)
        return linear_cross_entropy(
            input,
            self.weight,
            target,
            linear_bias=self.bias,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            class_prior=self.class_prior,
            chunks=self.chunks,
            memory_budget=self.memory_budget,
        )


def _checked_prior(class_prior: Tensor | Sequence[float], num_classes: int) -> Tensor:
    """A prior's own copy: a sequence on the CPU, so that it keeps its values where modules are built on meta."""
    if isinstance(class_prior, (list, tuple)):
        class_prior = torch.tensor(class_prior, dtype=torch.float64, device="cpu")
    assert not isinstance(class_prior, Sequence)
    checks.class_prior(class_prior, num_classes)
    if class_prior.requires_grad:
        raise ValueError(
            f"{CALLER}: class_prior is not trained by a head; write class_prior.detach(), or train it with "
            "anymax.linear_cross_entropy(..., class_prior=)"
        )
    return class_prior.clone()
