"""A noise law that draws nothing of its own: the targets of a batch are the noise for one another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from anymax._core import checks
from anymax._core.errors import CALLER, named_after_class
from anymax._core.random import Generator
from anymax._core.scores import INFINITY
from anymax._core.targets import as_ids, first_of_each
from anymax.noise.draws import Candidates, Terms
from anymax.noise.laws import All, Noise


class InBatch(Noise):
    r"""The other targets of the batch: noise that costs no draw and follows the frequencies of the classes.

    A row is compared with the targets of all other rows, n of them. They are draws with replacement from the
    popularity f of the classes, so that

    .. math:: e_j = n f_j, \quad e_j = 1 - (1 - f_j)^n

    is how often j is expected among them: the first with replacement; the second, never above 1, for unique draws. A
    row's own position is no draw; another row of the same target is, and is kept or left out as any other draw. Rows
    that are ignored are not drawn, and where there are no other rows there is nothing to compare with.

    With :func:`anymax.info_nce`, whose keys are the draws, `log_q=law.log_prob(ids_of_keys)` is all that is needed.

    Args:
        popularity: f, a law over the classes, such as `Unigram(counts)` of the training data, or a `LearnedUnigram`
            whose `update(target)` follows each loss. It is a submodule.

    Example:
        >>> law = anymax.noise.InBatch(anymax.noise.Unigram([4, 3, 2, 1]))
        >>> table, target = torch.zeros(4, 3), torch.tensor([0, 1, 0])
        >>> anymax.sampled_softmax_loss(torch.zeros(3, 3), table, target, law, unique=False)
        tensor(1.1081)

    Source: Yi et al. 2019 (sampling bias of in-batch negatives), doi 10.1145/3298689.3346996.
    """

    popularity: Noise

    @named_after_class
    def __init__(self, popularity: Noise) -> None:
        if not isinstance(popularity, Noise) or isinstance(popularity, (All, InBatch)):
            raise TypeError(
                f"{CALLER}: popularity must be a law of anymax.noise that says how frequent the classes are, such as "
                f"Unigram(counts), got a value of type {type(popularity).__name__}"
            )
        super().__init__(popularity.num_classes)
        self.popularity = popularity

    @property
    def device(self) -> torch.device:
        return self.popularity.device

    @property
    def support(self) -> int:
        return self.popularity.support

    def log_q(self, ids: Tensor) -> Tensor:
        return self.popularity.log_q(ids)

    def draw(self, size: int | Sequence[int], unique: bool, generator: Generator) -> Candidates:
        raise ValueError(
            f"{CALLER}: InBatch draws the targets of a batch: give the law to a loss, or write law.of(target)"
        )

    @named_after_class
    def of(self, target: Tensor, *, unique: bool = False, ignore_index: int = -100) -> Candidates:
        """The draws of a batch, for a loss of that batch; losses that are given the law make them themselves.

        Args:
            target: class ids, any integer dtype, any shape.
            unique: each class once, however many rows have it.
            ignore_index: rows with this target are no draws.

        Raises:
            TypeError: a target that does not hold integers.
        """
        checks.flag("unique", unique)
        checks.integer("ignore_index", ignore_index)
        return Others(self.popularity, as_ids("target", target), unique, ignore_index)


class Others(Candidates):
    """The targets of a batch as draws for one another; what is no draw is expected infinitely often, so it counts 0."""

    def __init__(self, law: Noise, target: Tensor, unique: bool, ignore_index: int) -> None:
        flat = target.flatten()
        drawn = (flat != ignore_index) & (flat >= 0) & (flat < law.num_classes)
        # in place of what is no draw one that is, so that no other row of a sparse gradient is touched
        stand_in = torch.where(drawn, flat, 0).amax() if flat.numel() else 0
        self.ids = torch.where(drawn, flat, stand_in)
        self.unique = unique
        self._law = law
        # of the other rows
        self._number = (drawn.sum() - 1).clamp(min=1).double()
        if unique:
            drawn = drawn & (first_of_each(flat) == torch.arange(flat.numel(), device=flat.device))
        self.log_expected_count = torch.where(drawn, self._of_target(self.ids), INFINITY)
        self.target_log_expected_count = self._of_target

    def _of_target(self, classes: Tensor) -> Tensor:
        log_q = self._law.log_q(classes)
        if not self.unique:
            return log_q + self._number.log()
        return torch.log(-torch.expm1(self._number * torch.log1p(-log_q.exp())))

    def for_nce(self, target: Tensor) -> Terms:
        return self.for_softmax(target, remove_hits=False)

    def for_softmax(self, target: Tensor, remove_hits: bool) -> Terms:
        terms = super().for_softmax(target, remove_hits)
        if remove_hits:
            return terms
        own = torch.eye(self.ids.shape[0], dtype=torch.bool, device=self.ids.device)
        log_count = torch.where(own, INFINITY, self.log_expected_count)
        return terms._replace(log_count=log_count.reshape(*target.shape, self.ids.shape[0]))
