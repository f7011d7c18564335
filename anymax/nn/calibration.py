"""TemperatureScaling: one number, fitted on held-out rows, that all scores are divided by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from anymax._core import checks
from anymax._core.dims import Dim
from anymax._core.errors import CALLER, named_after_class
from anymax._core.start import moved_alone
from anymax._core.targets import as_ids, check_ids, check_shape, class_axis
from anymax.nn._arguments import describe
from anymax.ops.calibration.temperature import fit_temperature

COLDEST = 0.01
HOTTEST = 100.0


class NotFinite(ValueError):
    """There is no temperature to be found, since the loss is no number at any."""


class TemperatureScaling(nn.Module):
    r"""Divide scores by the temperature under which held-out targets are most probable (temperature scaling).

    .. math:: T = \arg\min_T \; \frac{1}{N} \sum_n -\log \mathrm{softmax}(z_n / T)_{y_n}

    The loss is convex in 1 / T, so the fit has no learning rate and no start to choose: its slope is followed to 0
    inside a bracket. Answers do not change, confidences do: T > 1 flattens them, T < 1 sharpens them. Scores may be
    log-probabilities, such as a head's `log_prob`; the temperature is the same. With `alpha` above 1 the map is entmax
    and the loss its own, :func:`anymax.entmax_loss`, which is convex in 1 / T too; then only scores will do.

    Args:
        dim: the class axis of the scores. None: axis 1, or 0 for a single axis, as in :func:`anymax.cross_entropy`.
        ignore_index: rows with this target take no part in the fit.
        coldest, hottest: the ends of the temperatures that are searched.
        alpha: of the map that makes probabilities of the scores, at least 1, as in :func:`anymax.entmax`: 1 is softmax,
            2 sparsemax.

    Attributes:
        temperature: T, a float64 scalar in the state dict, which casts leave as it is; 1 before a fit.
        at_bound: whether no temperature inside the range is best, a boolean in the state dict. Then `temperature` is
            the end of the range: `coldest` where every row is right, so that colder is always better; `hottest` where
            the scores point away from the targets, or say nothing. Fit on more rows, or leave T at 1.

    Shape:
        input of any shape, output the same.

    Raises:
        ValueError: from a fit, where a target is out of range, no row is left to fit on, or the loss is finite at no
            temperature: a target's score is -inf, or a row holds NaN.

    Example:
        >>> scores, target = torch.tensor([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [0.0, 4.0]]), torch.tensor([0, 0, 1, 0])
        >>> scaling = anymax.nn.TemperatureScaling().fit(scores, target)
        >>> anymax.softmax(scaling(scores), dim=1)[0]  # three of four are right
        tensor([0.7500, 0.2500])

    Source: Guo et al. 2017, arXiv 1706.04599.
    """

    temperature: Tensor
    at_bound: Tensor

    @named_after_class
    def __init__(
        self,
        dim: Dim | None = None,
        *,
        ignore_index: int = -100,
        coldest: float = COLDEST,
        hottest: float = HOTTEST,
        alpha: float = 1.0,
    ) -> None:
        super().__init__()
        checks.integer("ignore_index", ignore_index)
        checks.number("coldest", coldest)
        checks.number("hottest", hottest)
        if not 0 < coldest < hottest < math.inf:
            raise ValueError(f"{CALLER}: expected 0 < coldest < hottest < inf, got {coldest} and {hottest}")
        checks.number("alpha", alpha)
        if not 1 <= alpha < math.inf:
            raise ValueError(f"{CALLER}: alpha must be at least 1 and finite, got {alpha}; 1 is softmax, 2 sparsemax")
        self.dim = dim
        self.ignore_index = ignore_index
        self.coldest = coldest
        self.hottest = hottest
        self.alpha = alpha
        self.register_buffer("temperature", torch.ones((), dtype=torch.float64))
        self.register_buffer("at_bound", torch.zeros((), dtype=torch.bool))

    @named_after_class
    def fit(self, input: Tensor, target: Tensor) -> TemperatureScaling:
        """Fit the temperature to held-out scores, any shape with a class axis, and their class ids; gives `self`."""
        return self._fit([self._rows(input, target)])

    @named_after_class
    def fit_batches(self, batches: Iterable[tuple[Tensor, Tensor]]) -> TemperatureScaling:
        """Fit to pairs of scores and class ids, for scores that do not fit into memory at once; gives `self`.

        They are gone through some ten times, so an iterator will not do: a list, a DataLoader, or any object whose
        `__iter__` begins anew.
        """
        if iter(batches) is batches:
            raise TypeError(
                f"{CALLER}: batches must be something that can be gone through again, such as a list or a "
                f"DataLoader, got {type(batches).__name__}, which ends"
            )
        return self._fit(_Rows(self._rows, batches))

    @torch.no_grad()
    def _fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> TemperatureScaling:
        found = fit_temperature(batches, self.coldest, self.hottest, self.alpha)
        if found is None:
            raise NotFinite(
                f"{CALLER}: expected rows whose loss is finite at some temperature, and no row is left, or a target's "
                "score is -inf, or a row holds NaN, +inf or nothing but -inf"
            )
        self.temperature.fill_(found.temperature)
        self.at_bound.fill_(found.at_bound)
        return self

    def _rows(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Scores as (rows, C) and class ids as (rows,), without those that are ignored."""
        checks.floating("input", input)
        dims = class_axis(self.dim, input.ndim)
        target = as_ids("target", target)
        check_shape(target, input.shape, dims, self.dim)
        check_ids(target, input.shape[dims.axes[0]], self.ignore_index)
        counted = target != self.ignore_index
        return input.detach().movedim(dims.axes[0], -1)[counted], target[counted]

    def forward(self, input: Tensor) -> Tensor:
        checks.floating("input", input)
        return input / self.temperature.to(input.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        kept = self.temperature
        super()._apply(fn, recurse)
        self.temperature = moved_alone(kept, self.temperature)  # type: ignore[assignment]
        return self

    def extra_repr(self) -> str:
        fitted = f"temperature={self.temperature.item():.4g}, at_bound={bool(self.at_bound)}"
        options = describe(self, "dim", "ignore_index", "coldest", "hottest", "alpha")
        return f"{fitted}, {options}"


class _Rows:
    """Batches as the fit takes them, made anew each time they are gone through."""

    def __init__(
        self, rows: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], batches: Iterable[tuple[Tensor, Tensor]]
    ) -> None:
        self.rows, self.batches = rows, batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self.rows(input, target) for input, target in self.batches)
