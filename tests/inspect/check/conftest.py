from __future__ import annotations

import pytest

from anymax.inspect.check import output
from anymax.inspect.check.rules import all_rules
from tests.inspect.check import planted


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, and one more rule, which has a fix."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(all_rules(), "AMX999", planted.RULE)
    output._source.cache_clear()
    return tmp_path
