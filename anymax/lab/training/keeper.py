"""What keeps the finished trainings of a run: its folder (`folder.py`), or memory where nothing is to be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from anymax.lab.results import Comparison, Tested, Trial
from anymax.lab.training.trial import Training

Writers = Mapping[str, Callable[[Comparison, Path], None]]


@dataclass
class FinishedRepeat:
    """The trials of all methods in one repeat, and the trivial answer's."""

    trials: list[Trial]
    baseline: Tested


class Keeper(Protocol):
    """What a run asks before it trains, and tells when it has."""

    def repeats(self, settle: Callable[[], int]) -> int:
        """How many repeats the run has: as settled when it first began, since a resumed run is the same run."""
        ...

    def repeat(self, repeat: int) -> FinishedRepeat | None:
        """A repeat that is done."""
        ...

    def keep_repeat(self, repeat: int, finished: FinishedRepeat) -> None:
        """Keep a repeat that is done; its trainings and models are no longer needed."""
        ...

    def kept_trainings(self, repeat: int) -> int:
        """How many trainings are done of a repeat that is not."""
        ...

    def training(self, repeat: int, method: str, learning_rate: float) -> Training | None:
        """A training that is done, of a repeat that is not."""
        ...

    def keep_training(self, repeat: int, method: str, training: Training, state: dict[str, Tensor] | None) -> None:
        """Keep a training that is done; `state` is its model where it is the method's best so far."""
        ...

    def restore(self, model: nn.Module, repeat: int, method: str, learning_rate: float) -> bool:
        """Put a model where it stood after a training that is done; False where a better one took its place."""
        ...

    def finish(self, comparison: Comparison, writers: Writers) -> list[Path]:
        """Let each writer write its file, all of them or none; the files."""
        ...


@dataclass
class Memory:
    """Keeps what the folder keeps until the run ends, and writes nothing."""

    settled: int | None = None
    finished: dict[int, FinishedRepeat] = field(default_factory=dict)
    trainings: dict[int, dict[tuple[str, float], Training]] = field(default_factory=dict)
    best: dict[tuple[int, str], tuple[float, dict[str, Tensor]]] = field(default_factory=dict)

    def repeats(self, settle: Callable[[], int]) -> int:
        if self.settled is None:
            self.settled = settle()
        return self.settled

    def repeat(self, repeat: int) -> FinishedRepeat | None:
        return self.finished.get(repeat)

    def keep_repeat(self, repeat: int, finished: FinishedRepeat) -> None:
        self.finished[repeat] = finished
        for method, _ in self.trainings.pop(repeat, {}):
            self.best.pop((repeat, method), None)

    def kept_trainings(self, repeat: int) -> int:
        return len(self.trainings.get(repeat, {}))

    def training(self, repeat: int, method: str, learning_rate: float) -> Training | None:
        return self.trainings.get(repeat, {}).get((method, learning_rate))

    def keep_training(self, repeat: int, method: str, training: Training, state: dict[str, Tensor] | None) -> None:
        self.trainings.setdefault(repeat, {})[method, training.learning_rate] = training
        if state is not None:
            self.best[repeat, method] = training.learning_rate, state

    def restore(self, model: nn.Module, repeat: int, method: str, learning_rate: float) -> bool:
        rate, state = self.best.get((repeat, method), (None, {}))
        if rate != learning_rate:
            return False
        # assigned, so that a model of float64 stays one
        model.load_state_dict(state, assign=True)
        return True

    def finish(self, comparison: Comparison, writers: Writers) -> list[Path]:
        del comparison, writers
        return []
