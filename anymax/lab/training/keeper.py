"""What keeps the finished trainings of a run: its folder (`folder.py`), or memory where nothing is to be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from anymax.lab.data.dataset import Items
from anymax.lab.measuring.outcomes import Answers
from anymax.lab.results import Comparison, Tested
from anymax.lab.training.trial import Training
from anymax.lab.training.tuning import Setting

Writers = Mapping[str, Callable[[Comparison, Path], None]]


@dataclass
class FinishedTraining:
    """A training that is done, and what its model reached on the test part."""

    training: Training
    tested: Tested
    answers: Answers

    @property
    def setting(self) -> Setting:
        """What it was trained at."""
        return Setting(self.training.learning_rate, self.training.strength)


@dataclass
class FinishedFit:
    """A classifier that is no head, and what it reached on the test part."""

    seconds: float
    tested: Tested
    answers: Answers


@dataclass
class CommonPart:
    """What all methods of a repeat share: the items tested, and what the trivial answer reached on them."""

    items: Items
    baseline: Tested


class Keeper(Protocol):
    """What a run asks before it trains, and tells when it has."""

    def part(self, repeat: int) -> CommonPart | None:
        """What was tested in a repeat that has begun."""
        ...

    def keep_part(self, repeat: int, part: CommonPart) -> None:
        """Keep what is tested in a repeat."""
        ...

    def training(self, repeat: int, method: str, setting: Setting) -> FinishedTraining | None:
        """A training that is done."""
        ...

    def keep_training(self, repeat: int, method: str, finished: FinishedTraining) -> None:
        """Keep a training that is done."""
        ...

    @property
    def trainings(self) -> int:
        """How many trainings are kept."""
        ...

    def beside(self, repeat: int, name: str) -> FinishedFit | None:
        """The fit of a classifier that is no head."""
        ...

    def keep_beside(self, repeat: int, name: str, finished: FinishedFit) -> None:
        """Keep the fit of a classifier that is no head."""
        ...

    def finish(self, comparison: Comparison, writers: Writers) -> list[Path]:
        """Let each writer write its file, all of them or none; the files."""
        ...


@dataclass
class Memory:
    """Keeps what the folder keeps until the run ends, and writes nothing."""

    parts: dict[int, CommonPart] = field(default_factory=dict)
    finished: dict[tuple[int, str, Setting], FinishedTraining] = field(default_factory=dict)
    fits: dict[tuple[int, str], FinishedFit] = field(default_factory=dict)

    def part(self, repeat: int) -> CommonPart | None:
        return self.parts.get(repeat)

    def keep_part(self, repeat: int, part: CommonPart) -> None:
        self.parts[repeat] = part

    def training(self, repeat: int, method: str, setting: Setting) -> FinishedTraining | None:
        return self.finished.get((repeat, method, setting))

    def keep_training(self, repeat: int, method: str, finished: FinishedTraining) -> None:
        self.finished[repeat, method, finished.setting] = finished

    @property
    def trainings(self) -> int:
        return len(self.finished)

    def beside(self, repeat: int, name: str) -> FinishedFit | None:
        return self.fits.get((repeat, name))

    def keep_beside(self, repeat: int, name: str, finished: FinishedFit) -> None:
        self.fits[repeat, name] = finished

    def finish(self, comparison: Comparison, writers: Writers) -> list[Path]:
        del comparison, writers
        return []
