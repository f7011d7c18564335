"""What a noise law is: a distribution over class ids that can be drawn from; and those in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from anymax._core import checks, random
from anymax._core.context import values_are_readable
from anymax._core.errors import CALLER, named_after_class
from anymax._core.random import Generator
from anymax._core.start import moved_alone
from anymax._core.targets import as_ids
from anymax.noise import cpu, draws
from anymax.noise.draws import Candidates

# the high half of a product of a 32-bit word and a number of classes must fit int64
MOST_CLASSES = 2**31
# Float64 probabilities that went through bfloat16 sum to 1 within this; unfilled memory does not.
SUM_TOLERANCE = 1e-2


class Noise(nn.Module):
    """A distribution over class ids that can be drawn from.

    Its tensors are buffers: `.to()` moves them, casts leave them alone.

    A noise law defines `log_q`, and `ids_of`, which turns a pair of random words into an id.

    Attributes:
        num_classes: ids are 0 to num_classes - 1.
        support: how many of them can be drawn.
    """

    _anchor: Tensor

    @named_after_class
    def __init__(self, num_classes: int, support: int | None = None) -> None:
        super().__init__()
        checks.count("num_classes", num_classes)
        if num_classes > MOST_CLASSES:
            raise ValueError(f"{CALLER}: num_classes must be at most 2**31, got {num_classes}")
        self.num_classes = num_classes
        self._support = num_classes if support is None else support
        # says where a law without a tensor of its own lives
        self.register_buffer("_anchor", torch.empty(0, dtype=torch.uint8, device=device_of_values()), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where draws are made."""
        return self._anchor.device

    @property
    def support(self) -> int:
        return self._support

    def reset_parameters(self) -> None:
        """Give the law back what it was made from, for loaders that leave its memory unfilled."""

    def log_q(self, ids: Tensor) -> Tensor:
        """The log-probability of ids that are in range, in float64."""
        raise NotImplementedError(f"{type(self).__name__}: a noise law must define log_q")

    def ids_of(self, words: Tensor) -> Tensor:
        """One id per pair of 32-bit words along the last axis."""
        raise NotImplementedError(f"{type(self).__name__}: a noise law must define ids_of")

    def form(self) -> cpu.Form | None:
        """What this law is to a kernel; None for one that no kernel knows, such as a class derived from a law here."""
        return None

    @named_after_class
    def log_prob(self, ids: Tensor) -> Tensor:
        """The log-probability (nats) that one draw gives each of `ids`.

        Args:
            ids: class ids, any integer dtype, any shape.

        Returns:
            float64, the shape of `ids`; -inf for a class that is never drawn.

        Raises:
            ValueError: an id out of range (NaN where values cannot be read). TypeError: ids that are not integers.
        """
        ids = as_ids("ids", ids)
        inside = (ids >= 0) & (ids < self.num_classes)
        if values_are_readable(ids) and not bool(inside.all()):
            bad = ids[~inside].flatten()[0].item()
            raise ValueError(f"{CALLER}: ids must be in [0, {self.num_classes - 1}], got {bad}")
        return torch.where(inside, self.log_q(torch.where(inside, ids, 0)), float("nan"))

    @named_after_class
    def sample(self, size: int | Sequence[int], *, unique: bool = False, generator: Generator = None) -> Candidates:
        """Draw class ids, on the law's device, together with what a loss needs to know about how they were drawn.

        Unique draws are the first arrivals of a race in which class j arrives at an exponential time of rate q_j, as
        if one drew one after the other and left out what was drawn already. Up to 8 (k + 2) classes all of them
        run. For more the cost does not depend on their number where 4 (k + 2) tries, draws with replacement, hold
        k + 2 different ids; a row where they do not takes a pass over all classes. Transforms, and compiled code with
        a draw per row, cannot ask and always take that pass. The draws are the same either way.

        Args:
            size: the number of draws k, or a shape whose last entry is k: one draw per row.
            unique: without replacement, within each row.
            generator: as in :func:`anymax.gumbel_softmax`. Draw i (row-major) with replacement uses the random words
                2i and 2i + 1; try i of unique draws those from 4i to 4i + 3, with 4 (k + 2) tries per row; class j of
                a pass over all classes 2j and 2j + 1 under a seed of the row's own.

        Raises:
            ValueError: unique draws of as many classes as there are to draw: that is `All`. TypeError: wrong types.

        Example:
            >>> law = anymax.noise.Uniform(1000)
            >>> law.sample(5, generator=torch.tensor(0)).ids.shape
            torch.Size([5])
            >>> law.sample((2, 5), unique=True)
            Candidates(5 draws, unique, ids of shape (2, 5))
        """
        return self.draw(size, unique, generator)

    def draw(self, size: int | Sequence[int], unique: bool, generator: Generator) -> Candidates:
        """As `sample`, for callers whose name is the one that errors are to give."""
        shape = _shape(size)
        checks.flag("unique", unique)
        random.check_generator(generator)
        if unique and shape[-1] >= self.support:
            raise ValueError(
                f"{CALLER}: {shape[-1]} unique draws are not fewer than the {self.support} classes that "
                f"{type(self).__name__} can draw; draw fewer, or write noise.All({self.num_classes}) for all classes"
            )
        seed = random.seed_from(generator)
        return draws.unique(self, shape, seed) if unique else draws.with_replacement(self, shape, seed)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # probabilities in float16 would be another law
        kept = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, buffer in kept.items():
            if buffer is not None:
                self._buffers[name] = moved_alone(buffer, self._buffers[name])
        return self

    def extra_repr(self) -> str:
        return f"num_classes={self.num_classes}"


class Uniform(Noise):
    r"""Every class with the same probability.

    .. math:: q_j = 1 / C

    Args:
        num_classes: C, at least 1.

    Example:
        >>> anymax.noise.Uniform(4).log_prob(torch.tensor([0, 3])).exp()
        tensor([0.2500, 0.2500], dtype=torch.float64)
    """

    def log_q(self, ids: Tensor) -> Tensor:
        return torch.zeros_like(ids, dtype=torch.float64) - math.log(self.num_classes)

    def ids_of(self, words: Tensor) -> Tensor:
        # the high half of a 64-bit word times C
        return (words[..., 0] * self.num_classes + ((words[..., 1] * self.num_classes) >> 32)) >> 32

    def form(self) -> cpu.Form | None:
        return cpu.Form(0, math.log(self.num_classes)) if type(self) is Uniform else None


class LogUniform(Noise):
    r"""Zipf's law in closed form: ids must be sorted by falling frequency, 0 the most frequent.

    .. math:: q_j = \frac{\log(j + 2) - \log(j + 1)}{\log(C + 1)}

    Args:
        num_classes: C, at least 1. On ids in any other order it is wrong; take `Unigram(counts)` there.

    Example:
        >>> anymax.noise.LogUniform(3).log_prob(torch.tensor([0, 1, 2])).exp()
        tensor([0.5000, 0.2925, 0.2075], dtype=torch.float64)

    Source: TensorFlow's log-uniform candidate sampler.
    """

    def log_q(self, ids: Tensor) -> Tensor:
        return torch.log(torch.log1p(1 / (ids.double() + 1))) - math.log(math.log1p(self.num_classes))

    def ids_of(self, words: Tensor) -> Tensor:
        rank = torch.exp(draws.uniform(words) * math.log1p(self.num_classes))
        # rounding may reach 1 below the first and 1 above the last
        return rank.long().clamp(1, self.num_classes) - 1

    def form(self) -> cpu.Form | None:
        return cpu.Form(1, math.log(math.log1p(self.num_classes))) if type(self) is LogUniform else None


def device_of_values() -> str | None:
    """None for torch's default device; the CPU where that is meta, on which values would be lost."""
    return "cpu" if torch.get_default_device().type == "meta" else None


# Dynamo cannot trace what is no tensor; a constant is computed once, while tracing
device_of_values._dynamo_marked_constant = True  # type: ignore[attr-defined]


class All(Noise):
    """No draw at all: every class once. Turns a sampled loss into the exact one, at its full cost.

    With it `sampled_softmax_loss` is cross-entropy. `sample` takes the number of classes only.

    Args:
        num_classes: at least 1.

    Example:
        >>> anymax.noise.All(3).sample(3).ids
        tensor([0, 1, 2])
    """

    def log_q(self, ids: Tensor) -> Tensor:
        return torch.zeros_like(ids, dtype=torch.float64) - math.log(self.num_classes)

    def draw(self, size: int | Sequence[int], unique: bool, generator: Generator) -> Candidates:
        shape = _shape(size)
        checks.flag("unique", unique)
        if shape[-1] != self.num_classes:
            raise ValueError(f"{CALLER}: All takes all {self.num_classes} classes, got a size of {shape[-1]}")
        if generator is not None:
            raise ValueError(f"{CALLER}: generator has no effect on All, which draws nothing, got {generator!r}")
        ids = torch.arange(self.num_classes, device=self.device).expand(shape)

        def once(classes: Tensor) -> Tensor:
            return torch.zeros_like(classes, dtype=torch.float64)

        return Candidates(ids, once(ids), target_log_expected_count=once, unique=True)


def normalised(probabilities: Tensor) -> Tensor:
    """Probabilities in float64 that sum to 1; NaN everywhere if these are none."""
    wide = probabilities.double()
    total = wide.sum()
    valid = (wide >= 0).all() & ((total - 1).abs() < SUM_TOLERANCE)
    return wide * torch.where(valid, 1 / total, float("nan"))


def unfilled(law: Noise, held: str) -> ValueError:
    """What to say of a law whose buffer `held` has no values."""
    return ValueError(
        f"{CALLER}: {type(law).__name__} holds no {held}: it was made on the meta device, or a loader left its memory "
        "unfilled; load a state dict that has them, or call its reset_parameters()"
    )


def _shape(size: int | Sequence[int]) -> tuple[int, ...]:
    shape = (size,) if isinstance(size, (int, torch.SymInt)) else size
    if not isinstance(shape, (tuple, list)) or not all(
        isinstance(entry, (int, torch.SymInt)) and not isinstance(entry, bool) for entry in shape
    ):
        raise TypeError(f"{CALLER}: size must be an int or a tuple of ints, got {size!r}")
    if not shape or shape[-1] < 1 or min(shape) < 0:
        raise ValueError(f"{CALLER}: size must end in the number of draws, at least 1, got {size!r}")
    return tuple(shape)
