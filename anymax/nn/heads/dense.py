"""What heads share that have a row of weights for each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from anymax._core import checks
from anymax._core.context import can_branch
from anymax._core.errors import CALLER, named_after_class
from anymax._core.start import restore
from anymax._core.targets import REDUCTIONS
from anymax.nn._arguments import describe
from anymax.nn._distributed import is_sharded
from anymax.nn.heads.head import Head
from anymax.ops.softmax.api import log_softmax


class DenseOptions(TypedDict, total=False):
    """What every head takes beside its own arguments."""

    bias: bool
    class_counts: Tensor | Sequence[float] | None
    reduction: str
    ignore_index: int
    device: torch.device | str | None
    dtype: torch.dtype | None


class DenseHead(Head, nn.Linear):
    """A class table: an nn.Linear, so that its state dict loads and loaders that initialise layers know what it is.

    The weight starts as nn.Linear's; the bias at the log of the smoothed class frequency (n_c + 1) / (N + C), or at 0
    without counts.
    """

    # No buffer: a loader would leave raw memory in it, and an nn.Linear's state dict has none. The class says what
    # nn.Linear's constructor starts from, before the counts are known.
    class_counts: Tensor | None = None

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = True,
        class_counts: Tensor | Sequence[float] | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        checks.count("in_features", in_features)
        checks.count("num_classes", num_classes)
        checks.one_of("reduction", reduction, REDUCTIONS)
        if class_counts is not None:
            class_counts = checked_counts(class_counts, num_classes)
            if not bias:
                raise ValueError(f"{CALLER}: class_counts set where the bias starts, and there is none (bias=False)")
        super().__init__(in_features, num_classes, bias, device=device, dtype=dtype)
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.class_counts = class_counts
        self._reset_bias()

    @property
    def num_classes(self) -> int:
        """The size of the class table, `out_features` of nn.Linear."""
        return self.out_features

    @named_after_class
    def reset_parameters(self) -> None:
        """Put weight and bias (and tau) where they started: the weight drawn anew, the bias as the class counts say.

        A noise law is a module of its own, with its own `reset_parameters`.
        """
        bound = 1 / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        self._reset_bias()

    def _reset_bias(self) -> None:
        if self.bias is not None:
            restore(self.bias, self._bias_start(), "class_counts")

    def _bias_start(self) -> float | Tensor:
        return 0.0 if self.class_counts is None else smoothed(self.class_counts).log()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # the state of an nn.Linear has no tau and no noise law: the head keeps its own
        for name, value in self.state_dict(prefix=prefix).items():
            if name not in (f"{prefix}weight", f"{prefix}bias"):
                state_dict.setdefault(name, value)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @named_after_class
    def scores(self, input: Tensor) -> Tensor:
        """The scores of all classes, (..., C)."""
        checks.floating("input", input)
        if is_sharded(self.weight):
            raise NotImplementedError(
                f"{CALLER}: the class table is sharded outside of a forward pass; shard the head itself "
                "(fully_shard(model.head)), whose call, log_prob, predict and sample then gather it, or call "
                "model.unshard() before"
            )
        if input.ndim == 0 or input.shape[-1] != self.in_features:
            raise ValueError(
                f"{CALLER}: input must end in the {self.in_features} features of the class table, "
                f"got shape {tuple(input.shape)}"
            )
        return linear(input, self.weight, self.bias)

    def log_prob(self, input: Tensor) -> Tensor:
        """Exactly normalised log-probabilities (nats) of all classes, (..., C)."""
        # a call, whose hooks gather the class table where it is sharded
        return log_softmax(self(input), -1)

    def extra_repr(self) -> str:
        parts = [f"in_features={self.in_features}", f"num_classes={self.num_classes}", f"bias={self.bias is not None}"]
        return ", ".join([*parts, describe(self, "reduction", "ignore_index")])


def checked_counts(class_counts: Tensor | Sequence[float], num_classes: int) -> Tensor:
    """The counts in float64: a sequence on the CPU, so that it keeps its values where modules are built on meta."""
    if isinstance(class_counts, (list, tuple)):
        class_counts = torch.tensor(class_counts, dtype=torch.float64, device="cpu")
    checks.tensor("class_counts", class_counts)
    assert isinstance(class_counts, Tensor)
    if class_counts.shape != (num_classes,):
        raise ValueError(
            f"{CALLER}: class_counts must have one entry per class, shape ({num_classes},), "
            f"got {tuple(class_counts.shape)}"
        )
    counts = class_counts.detach().double()
    if can_branch(counts) and not bool(((counts >= 0) & counts.isfinite()).all()):
        raise ValueError(f"{CALLER}: class_counts must be finite and at least 0")
    return counts


def smoothed(counts: Tensor) -> Tensor:
    """Class frequencies with one more count each, so that none is 0."""
    return (counts + 1) / (counts + 1).sum()
