"""What can be wrong with a request to compare: each message is one sentence, printed as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anymax._core.sentences import LONGEST_PATH, shown


@dataclass(frozen=True)
class Option:
    """An argument of `anymax.lab.compare` in a message, with its value where the message is about that.

    As text it is what a caller of the function writes; the command line makes the flag of it.
    """

    name: str
    value: Any = None

    def __str__(self) -> str:
        return f"{self.name}={'' if self.value is None else shown(repr(self.value), LONGEST_PATH)}"


ANOTHER_FOLDER: tuple[str | Option, ...] = ("name another folder with ", Option("output"), ", or remove this one.")


class LabError(ValueError):
    """A request that cannot be carried out; nothing was trained and nothing written.

    Args:
        sentence: the message, in pieces where it names options.
    """

    def __init__(self, *sentence: str | Option) -> None:
        super().__init__(*sentence)

    def __str__(self) -> str:
        return self.told(str)

    def told(self, option: Callable[[Option], str]) -> str:
        """The message, with every option in the words of whoever made the request."""
        return "".join(option(piece) if isinstance(piece, Option) else piece for piece in self.args)


class DataError(LabError):
    """The data cannot be read, or cannot be compared on."""


class MethodError(LabError):
    """A method that does not exist, or none that fits the data."""


class OptionError(LabError):
    """An option whose value is out of range."""
