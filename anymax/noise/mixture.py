"""A noise law that draws from one of several laws, chosen at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from anymax._core.context import can_branch
from anymax._core.errors import CALLER, named_after_class
from anymax._core.start import restore
from anymax.noise import draws
from anymax.noise.in_batch import InBatch
from anymax.noise.laws import All, Noise, device_of_values, normalised, unfilled


class Mixture(Noise):
    r"""One of several laws, chosen at random for each draw.

    .. math:: q_j = \sum_i w_i\, q^{(i)}_j

    A little of `Uniform` beside the counts gives every class a positive probability, also those of count 0, and lets
    rare classes be drawn more often than they occur.

    Args:
        laws: at least one law, all over the same classes. They are submodules; `All` and `InBatch`, which do not draw
            at random, cannot be among them.
        weights: w >= 0, one per law: a sequence of numbers or a tensor. They are divided by their sum. `state_dict`
            holds them in float64.

    Raises:
        ValueError: laws over different classes or on different devices; weights that are negative, infinite, NaN, all
            0, or not one per law. TypeError: laws that are none.

    Example:
        >>> law = anymax.noise.Mixture([anymax.noise.Unigram([3, 1, 0]), anymax.noise.Uniform(3)], [0.7, 0.3])
        >>> law.log_prob(torch.tensor([0, 1, 2])).exp()
        tensor([0.6250, 0.2750, 0.1000], dtype=torch.float64)

    Source: Yang et al. 2020 (mixed negative sampling), doi 10.1145/3366424.3386195.
    """

    weights: Tensor

    @named_after_class
    def __init__(self, laws: Sequence[Noise], weights: Sequence[float] | Tensor) -> None:
        laws = list(laws)
        for law in laws:
            if not isinstance(law, Noise) or isinstance(law, (All, InBatch)):
                raise TypeError(
                    f"{CALLER}: laws must be laws of anymax.noise that draw at random, got one of type "
                    f"{type(law).__name__}"
                )
        if len({(law.num_classes, law.device) for law in laws}) != 1:
            raise ValueError(
                f"{CALLER}: laws must be at least one, over the same number of classes and on one device, got {laws}"
            )
        if not isinstance(weights, Tensor):
            weights = torch.as_tensor(weights, dtype=torch.float64, device=device_of_values())
        weights = weights.detach().double()
        if weights.shape != (len(laws),):
            raise ValueError(
                f"{CALLER}: weights must have one entry per law, shape ({len(laws)},), got {tuple(weights.shape)}"
            )
        if can_branch(weights) and not bool((weights.isfinite() & (weights >= 0)).all() & (weights > 0).any()):
            raise ValueError(f"{CALLER}: weights must be at least 0, finite, and not all 0, got {weights.tolist()}")
        super().__init__(laws[0].num_classes)
        self.laws = nn.ModuleList(laws)
        self._start = weights / weights.sum()
        self.register_buffer("weights", self._start.clone())

    @property
    def device(self) -> torch.device:
        return self.weights.device

    @property
    def support(self) -> int:
        if not can_branch(self.weights):
            # not to be counted while tracing
            return self.num_classes
        parts = zip(self._laws(), self._shares().tolist(), strict=True)
        if any(share > 0 and law.support == self.num_classes for law, share in parts):
            return self.num_classes
        return int(self.log_q(torch.arange(self.num_classes, device=self.device)).isfinite().sum())

    @named_after_class
    def reset_parameters(self) -> None:
        restore(self.weights, self._start, "weights")

    def log_q(self, ids: Tensor) -> Tensor:
        parts = zip(self._laws(), self._shares().log().unbind(), strict=True)
        return torch.stack([log_share + law.log_q(ids) for law, log_share in parts]).logsumexp(0)

    def ids_of(self, words: Tensor) -> Tensor:
        """The place of the uniform among the weights chooses the law, and its place within that weight the class."""
        shares = self._shares()
        ends = shares.cumsum(0)
        point = draws.uniform(words) * ends[-1]
        last = torch.where(shares > 0, torch.arange(shares.shape[0], device=shares.device), 0).amax()
        choice = torch.minimum(torch.searchsorted(ends, point, right=True), last)
        inside = (point - pad(ends, (1, 0))[choice]) / shares[choice]
        again = draws.words_at(inside)
        ids = torch.stack([law.ids_of(again) for law in self._laws()], -1)
        return ids.gather(-1, choice.unsqueeze(-1)).squeeze(-1)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, weights={[round(weight, 4) for weight in self.weights.tolist()]}"

    def _laws(self) -> list[Noise]:
        return [cast(Noise, law) for law in self.laws]

    def _shares(self) -> Tensor:
        shares = normalised(self.weights)
        if shares.is_meta or (can_branch(shares) and bool(shares[0].isnan())):
            raise unfilled(self, "weights")
        return shares
