"""What can be wrong with a request to compare: each message is one sentence, printed as it is."""

from __future__ import annotations


class LabError(ValueError):
    """A request that cannot be carried out; nothing was trained and nothing written."""


class DataError(LabError):
    """The data cannot be read, or cannot be compared on."""


class MethodError(LabError):
    """A method that does not exist, or none that fits the data."""


class OptionError(LabError):
    """An option whose value is out of range."""
