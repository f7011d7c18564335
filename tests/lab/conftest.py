"""What takes most of the time of a small comparison, and what few of these tests look at."""

from collections.abc import Iterator

import pytest

from anymax.lab.report import plots
from anymax.lab.training import beside, trial

DRAW = plots._svg


@pytest.fixture(scope="module", autouse=True)
def short_pace() -> Iterator[None]:
    """A pace is taken over the fewest steps, and not for a quarter of a second for each method."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "PACE_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module", autouse=True)
def plots_stay_undrawn() -> Iterator[None]:
    """Plots are made and not drawn, but where a test asks for `drawn`, and in report/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "_svg", lambda figure: "<svg/>")
        yield


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is whole."""
    monkeypatch.setattr(plots, "_svg", DRAW)


@pytest.fixture
def heads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other classifier is fitted beside the heads."""
    monkeypatch.setattr(beside, "CLASSIFIERS", ())
