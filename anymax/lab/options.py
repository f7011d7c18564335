"""The options of a comparison: their names, their defaults, and the values that no data could make right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from anymax._core.sentences import quoted
from anymax.lab.errors import DataError, Option, OptionError

Precision = Literal["32-true", "bf16-mixed", "16-mixed", "64-true"]
PRECISIONS: tuple[str, ...] = get_args(Precision)

# Of `ReadOptions`, those that only a table has and those that only a text has.
OF_TABLES = ("target", "target_separator", "group", "time", "drop", "kinds", "missing")
OF_TEXTS = ("vocab_size", "min_count", "context")
# ... and those of every file of text, be it a table or not.
OF_FILES = ("encoding",)
# How `anymax.lab.compare`, the command line and `results.json` call what has another name inside.
PUBLIC_NAMES = {"repeats": "seeds", "learning_rate": "lr"}
MARGIN = 0.01  # a point of a share, 1 % of a perplexity or a log-likelihood


@dataclass(frozen=True)
class ReadOptions:
    """How data are read; what each option means is said once, at `anymax.lab.compare`."""

    target: str | tuple[str, ...] | None = None
    target_separator: str | None = None
    group: str | None = None
    time: str | None = None
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    encoding: str | None = None
    vocab_size: int | None = None
    min_count: int | None = None
    context: int | None = None

    def __post_init__(self) -> None:
        if self.group is not None and self.time is not None:
            raise DataError(
                Option("group"), " and ", Option("time"), " both say which rows are tested: give one of them."
            )
        if self.target_separator == "":
            raise DataError(Option("target_separator"), " is empty: expected what stands between labels, such as ;.")
        for name in OF_TEXTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(Option(name, value), " is too small: expected 1 or more.")

    def given(self, names: tuple[str, ...]) -> str | None:
        """The first of the named options that is not at its default."""
        return next((name for name in names if getattr(self, name) not in (None, (), {})), None)


@dataclass(frozen=True)
class TrainOptions:
    """How methods are trained and compared; what each option means is said once, at `anymax.lab.compare`."""

    methods: tuple[str, ...] | None = None
    repeats: int | None = None
    within: float | None = None
    margin: float = MARGIN
    epochs: int | None = None
    budget: float | None = None
    learning_rate: float | None = None
    decide_by: str | None = None
    device: str = "auto"
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        if self.repeats is not None and self.repeats < 1:
            raise OptionError(f"The number of repeats must be 1 or more, got {self.repeats}.")
        if self.within is not None and not (math.isfinite(self.within) and self.within > 0):
            raise OptionError(f"The time for the run must be a positive number of seconds, got {self.within}.")
        if not 0 < self.margin < 1:
            raise OptionError(f"The margin must be a share between 0 and 1, such as 0.01, got {self.margin}.")
        if self.epochs is not None and self.epochs < 1:
            raise OptionError(f"The number of epochs must be 1 or more, got {self.epochs}.")
        if self.budget is not None and not (math.isfinite(self.budget) and self.budget > 0):
            raise OptionError(f"The budget must be a positive number of seconds, got {self.budget}.")
        if self.budget is not None and self.epochs is not None:
            raise OptionError("A budget and a number of epochs exclude each other: give one of them.")
        if self.learning_rate is not None and not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise OptionError(f"The learning rate must be a positive number, got {self.learning_rate}.")
        if self.precision not in PRECISIONS:
            raise OptionError(
                f"There is no precision {quoted(self.precision)}: expected one of {', '.join(PRECISIONS)}."
            )


def asked(options: ReadOptions | TrainOptions) -> dict[str, Any]:
    """The options under their public names, as JSON holds them."""
    found = {PUBLIC_NAMES.get(each.name, each.name): getattr(options, each.name) for each in fields(options)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
