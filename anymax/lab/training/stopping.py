"""When a run looks at what its repeats decide, and when it ends: plain numbers in, plain answers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anymax.lab.data.splits import FOLDS
from anymax.lab.measure import Task
from anymax.lab.statistics.decisions import LEVEL, LOOKS, share

WITHIN = 180.0  # seconds for all repeats of a table, where nobody asked for a number of them
TEXT_REPEATS = 3

Ending = Literal["all is decided", "the number of repeats asked for", "the most repeats", "the time"]


@dataclass(frozen=True)
class Stopping:
    """How many repeats a run makes.

    A table has planned looks: what is decided at one ends the run, unless so many repeats were asked for. A text, whose
    repeats take minutes and share one split, has a single look at its end.

    Args:
        task: what the data are.
        seeds: the number of repeats that was asked for.
        within: the seconds that were asked for.
    """

    task: Task
    seeds: int | None = None
    within: float | None = None

    @property
    def most(self) -> int:
        """How many repeats there are at most."""
        return self.seeds or (TEXT_REPEATS if self.task == "text" and self.within is None else LOOKS[-1])

    @property
    def first_round(self) -> int:
        """How many repeats are made whatever they take."""
        return min(self.most, TEXT_REPEATS if self.task == "text" else FOLDS)

    @property
    def tuning_repeats(self) -> int:
        """In how many repeats every learning rate is tried."""
        return 1 if self.task == "text" else FOLDS

    @property
    def limit(self) -> float | None:
        """The seconds after which no further repeat begins; None where the number of repeats alone ends the run."""
        if self.within is None and self.seeds is None and self.task != "text":
            return WITHIN
        return self.within

    def next_look(self, repeats: int) -> int:
        """After how many repeats, more than so many, the next look is planned."""
        planned = () if self.task == "text" else LOOKS
        return min((look for look in planned if repeats < look < self.most), default=self.most)

    def level(self, look: int) -> float:
        """The share of the error that a look has."""
        return LEVEL if self.task == "text" else share(look)

    def later_levels(self, repeats: int) -> dict[int, float]:
        """The planned looks after so many repeats, whatever was asked for, and the share of the error of each."""
        return {look: self.level(look) for look in LOOKS if look > repeats}

    def ending(self, repeats: int, *, spent: float, each: float, decided: bool) -> Ending | None:
        """Why no further repeat is made; None where one is.

        Args:
            repeats: how many there are.
            spent: seconds since the run began, those of earlier runs in the same folder included.
            each: seconds that one more repeat takes.
            decided: whether the last look decided all.
        """
        if repeats >= self.most:
            return "the most repeats" if self.seeds is None else "the number of repeats asked for"
        if repeats < self.first_round:
            return None
        if decided and self.seeds is None:
            return "all is decided"
        # repeats short of a look would decide nothing
        to_come = 1 if self.task == "text" else self.next_look(repeats) - repeats
        if self.limit is not None and spent + to_come * each > self.limit:
            return "the time"
        return None
