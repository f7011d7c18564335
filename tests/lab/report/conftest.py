"""Here plots are looked at."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def plots_stay_undrawn() -> None:
    """They are drawn."""
