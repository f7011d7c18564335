"""What is kept of every tested item, so that a difference can be judged by rows and by repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anymax.lab.data.dataset import Items
from anymax.lab.measure import MEASURES
from anymax.lab.statistics.twoway import Gains

# Smaller relative differences are rounding, not chance: a hundred steps of float32, in which heads are trained.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Answers:
    """What a trained method answered to each item of a test part.

    Args:
        prediction: (items,) class ids, or (items, labels), whether each is said.
        adds: measure -> what each item adds to it: numbers whose mean over the items is the measure. Of one that is no
            mean over items it is the measure plus the influence of each.
    """

    prediction: np.ndarray
    adds: Mapping[str, np.ndarray]

    @property
    def diverged(self) -> bool:
        """Whether they are those of a start: a training that diverged adds to no measure."""
        return not self.adds


@dataclass(frozen=True)
class Outcomes:
    """The items of each repeat, and by method the answers to them."""

    items: Sequence[Items]
    answers: Mapping[str, Sequence[Answers]]

    @property
    def of_labels(self) -> bool:
        """Whether a row may have several labels."""
        return self.items[0].target.ndim == 2

    def has(self, method: str, key: str) -> bool:
        """Whether a method has this measure, by item, in every repeat."""
        return all(of_items(key) in each.adds for each in self.answers[method])

    def gains(self, method: str, reference: str, key: str) -> Gains:
        """What each item adds to the difference between a method and the reference in a measure that both have."""
        pairs = [
            (theirs.adds[of_items(key)].astype(float), ours.adds[of_items(key)].astype(float))
            for theirs, ours in zip(self.answers[method], self.answers[reference], strict=True)
        ]
        gain = np.concatenate([theirs - ours for theirs, ours in pairs])
        return Gains(
            gain=np.zeros(len(gain)) if all(_is_rounding(*each) for each in pairs) else gain,
            repeat=np.repeat(np.arange(len(self.items)), [len(items.row) for items in self.items]),
            cluster=np.concatenate([items.cluster for items in self.items]),
        )

    def mean(self, method: str, key: str) -> float:
        """The mean over the repeats of a measure that a method has; of a perplexity its logarithm's."""
        return float(np.mean([each.adds[of_items(key)].mean(dtype=float) for each in self.answers[method]]))

    def wrong(self, *methods: str) -> int:
        """How many rows one of these methods answered wrongly in some repeat."""
        wrong = np.zeros(1 + max(int(items.row.max(initial=-1)) for items in self.items), dtype=bool)
        for name in methods:
            for items, answers in zip(self.items, self.answers[name], strict=True):
                differs = answers.prediction != items.target
                wrong[items.row[differs if differs.ndim == 1 else differs.any(axis=1)]] = True
        return int(wrong.sum())

    def rows_of(self, classes: Sequence[int] | None) -> tuple[int, float]:
        """How many rows of the rarest of these classes or labels were tested, and how many of each on average.

        None stands for all classes as if they were one.
        """
        _, once = np.unique(np.concatenate([items.row for items in self.items]), return_index=True)
        targets = np.concatenate([items.target for items in self.items])[once]
        if classes is None:
            return len(targets), float(len(targets))
        rows = np.bincount(targets, minlength=max(classes) + 1) if targets.ndim == 1 else targets.sum(axis=0)
        rows = rows[list(classes)]
        return int(rows.min()), float(rows.mean())


def _is_rounding(theirs: np.ndarray, ours: np.ndarray) -> bool:
    """Whether two methods gave every item the same in a repeat, as one head does that sums in another order."""
    return bool(np.abs(theirs - ours).mean() <= ROUNDING * np.abs(ours).mean())


def of_items(key: str) -> str:
    """The measure that is a mean over the items where this one is not: a perplexity's logarithm is the mean nll."""
    return "nll" if MEASURES[key].by_ratio else key
