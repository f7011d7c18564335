"""Of real code that has no such mistake, nothing is said; `make check-world` reads more of it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tests.inspect.check.world import found_in


def test_nothing_is_said_of_torchmetrics():
    package = find_spec("torchmetrics")
    assert package is not None
    assert package.origin is not None
    found, unread, _ = found_in(Path(package.origin).parent)
    assert (found, unread) == ([], "")
