"""Noise laws of any probabilities: those in proportion to counts that are given, and to counts that are learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from anymax._core import checks
from anymax._core.context import can_branch, values_are_readable
from anymax._core.derived import Derived
from anymax._core.errors import CALLER, named_after_class
from anymax._core.scores import INFINITY
from anymax._core.start import restore
from anymax._core.targets import as_ids
from anymax.noise import cpu, draws
from anymax.noise.laws import Noise, device_of_values, normalised, unfilled

# terms of a long sum that are summed on their own
SUM_BLOCK = 4096
# whole numbers in float64 up to here
MOST_COUNTS = 2.0**53


class Tabled(Derived["_Tables"], Noise):
    """A law whose state is one float64 buffer, from which the tables that draws need are derived."""

    def _probabilities(self) -> Tensor:
        """What the state says, in float64; NaN everywhere where nobody filled it."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        return self._held.device

    @property
    def support(self) -> int:
        return self._current().support

    def log_q(self, ids: Tensor) -> Tensor:
        # not [ids]: Dynamo would read a 0-d index as a number
        log_probs = self._current().log_probs
        if ids.ndim == 1:
            return log_probs.index_select(0, ids)
        return log_probs.index_select(0, ids.flatten()).reshape(ids.shape)

    def ids_of(self, words: Tensor) -> Tensor:
        tables = self._current()
        # right: the first entry above, so that an entry which adds nothing is never the one
        point = draws.uniform(words) * tables.cumulative[-1]
        return torch.minimum(torch.searchsorted(tables.cumulative, point, right=True), tables.last)

    def form(self) -> cpu.Form | None:
        return self._current().form if type(self) in (Unigram, LearnedUnigram) else None

    def _make(self) -> _Tables | None:
        probabilities = self._probabilities()
        if bool(probabilities[0].isnan()):
            return None
        tables = _derived(probabilities, int((probabilities > 0).sum()))
        guide = cpu.guide_of(tables.cumulative)
        if guide is None:
            return tables
        return tables._replace(form=cpu.Form(2, 0.0, tables.cumulative, tables.log_probs, guide, tables.last))

    def _make_without_values(self) -> _Tables | None:
        # plain tensor arithmetic, in place
        return None if self._held.is_meta else _derived(self._probabilities(), self.num_classes)

    def _unfilled(self) -> ValueError:
        return unfilled(self, self._source)


class Unigram(Tabled):
    r"""Probabilities in proportion to class counts, flattened or sharpened by a power.

    .. math:: q_j = n_j^a / \sum_i n_i^a

    Args:
        counts: n >= 0, one per class: a tensor of any dtype, or a sequence of numbers; probabilities work too. A
            class of count 0 is never drawn, so it must not be a target: smooth the counts where it may be.
        power: a >= 0; 0.75 is word2vec's choice.

    The probabilities are the law's state: `state_dict` holds them in float64, and loading one takes them over. Counts
    on the meta device hold no values, so such a law can only be loaded; a sequence of numbers is kept even where
    modules are built on the meta device.

    Raises:
        ValueError: counts that are negative, infinite, NaN, all 0, or not along one axis; an infinite power; a draw
            from a law that was made without values and never loaded.

    Example:
        >>> anymax.noise.Unigram([3, 1, 0]).log_prob(torch.tensor([0, 1, 2])).exp()
        tensor([0.7500, 0.2500, 0.0000], dtype=torch.float64)
    """

    probabilities: Tensor
    _source = "probabilities"

    @named_after_class
    def __init__(self, counts: Tensor | Sequence[float], power: float = 1.0) -> None:
        checks.at_least_zero("power", power)
        if math.isinf(power):
            raise ValueError(f"{CALLER}: power must be finite, got {power}")
        if not isinstance(counts, Tensor):
            counts = torch.as_tensor(counts, dtype=torch.float64, device=device_of_values())
        counts = counts.detach().double()
        if counts.ndim != 1 or counts.numel() == 0:
            raise ValueError(f"{CALLER}: counts must have one entry per class, got shape {tuple(counts.shape)}")
        if can_branch(counts) and not bool((counts.isfinite() & (counts >= 0)).all() & (counts > 0).any()):
            raise ValueError(
                f"{CALLER}: counts must be at least 0, finite, and not all 0, "
                f"got values from {counts.min().item():g} to {counts.max().item():g}"
            )
        super().__init__(counts.numel())
        self.power = power
        # the largest is divided out before the power, which no finite power can then turn into infinity
        log_weights = torch.where(counts > 0, power * torch.log(counts / counts.max()), -INFINITY)
        probabilities = torch.softmax(log_weights, 0)
        self._start = probabilities.clone()
        self.register_buffer("probabilities", probabilities)
        self._renew()

    @named_after_class
    def reset_parameters(self) -> None:
        restore(self.probabilities, self._start, "counts")
        self._renew()

    def _probabilities(self) -> Tensor:
        return normalised(self.probabilities)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, power={self.power}"


class LearnedUnigram(Tabled):
    r"""Probabilities in proportion to what was seen so far, where every class counts as seen once before the start.

    .. math:: q_j = (1 + n_j) / \sum_i (1 + n_i)

    The counts n are the law's state: `state_dict` holds them in float64, so that training goes on where it stopped.
    They change by `update(ids)` alone, and the tables that draws need are made again, over all classes, at the first
    draw after it. Call it behind the loss: a loss looks its targets up in the law that it drew from.

    Each process counts what it is given. `DistributedDataParallel` copies the counts of rank 0 to all others at every
    forward pass, as any buffer of the model that it wraps, unless it is told `forward_sync_buffers=False` (before torch
    2.13 `broadcast_buffers=False`). Either way they are of what one process saw; gather the ids of all processes before
    `update` to count them all.

    Args:
        num_classes: C, at least 1.

    Example:
        >>> law = anymax.noise.LearnedUnigram(10)
        >>> law.update(torch.tensor([3] * 10))
        >>> law.log_prob(torch.tensor([3, 0])).exp()
        tensor([0.5500, 0.0500], dtype=torch.float64)

    Source: TensorFlow's learned unigram candidate sampler.
    """

    counts: Tensor
    _source = "counts"
    _learns = True

    @named_after_class
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.float64, device=device_of_values()))
        self._renew()

    @named_after_class
    def update(self, ids: Tensor) -> None:
        """Count each of `ids` once more.

        Args:
            ids: class ids, any integer dtype, any shape.

        Raises:
            ValueError: an id out of range, such as that of an ignored row (where values cannot be read the law holds
                NaN then, and refuses to be drawn from). TypeError: ids that are not integers.
        """
        ids = as_ids("ids", ids)
        inside = (ids >= 0) & (ids < self.num_classes)
        if values_are_readable(ids) and not bool(inside.all()):
            bad = ids[~inside].flatten()[0].item()
            raise ValueError(
                f"{CALLER}: ids must be in [0, {self.num_classes - 1}], got {bad}; write ids[ids >= 0] to leave out "
                "rows that are ignored"
            )
        once = torch.where(inside, 1.0, float("nan")).to(self.counts.dtype)
        with torch.no_grad():
            self.counts.index_add_(0, torch.where(inside, ids, 0).flatten(), once.flatten())

    @named_after_class
    def reset_parameters(self) -> None:
        restore(self.counts, 0.0, "counts")
        self._renew()

    def _probabilities(self) -> Tensor:
        counts = self.counts.double()
        weights = counts + 1
        total = weights.sum()
        valid = ((counts >= 0) & (counts == counts.floor())).all() & (total < MOST_COUNTS)
        return weights * torch.where(valid, 1 / total, float("nan"))


class _Tables(NamedTuple):
    """What draws need, as derived from the probabilities."""

    log_probs: Tensor
    cumulative: Tensor
    last: Tensor  # the last class that can be drawn
    support: int
    form: cpu.Form | None = None  # where a kernel would draw


def _derived(probabilities: Tensor, support: int) -> _Tables:
    classes = torch.arange(probabilities.shape[0], device=probabilities.device)
    last = torch.where(probabilities > 0, classes, 0).amax()
    return _Tables(probabilities.log(), _cumulative(probabilities), last, support)


def _cumulative(terms: Tensor) -> Tensor:
    """The cumulative sums of many terms: of blocks first, since one sum over 10^7 equal terms is off by 2.5e-10.

    They never fall: the last of a block is the same sum of two numbers as where the next one starts.
    """
    blocks = pad(terms, (0, -terms.shape[0] % SUM_BLOCK)).reshape(-1, SUM_BLOCK).cumsum(1)
    before = pad(blocks[:-1, -1].cumsum(0), (1, 0))
    return (blocks + before.unsqueeze(-1)).flatten()[: terms.shape[0]]
