"""check_model finds axes and losses that cannot be meant in a model's graph, and nothing in models that are right."""

from __future__ import annotations

import pytest

import anymax
from tests.inspect.models import RIGHT, WRONG, Model


def check(function, inputs, loss=None, target=None, **layers):
    return anymax.check_model(Model(function, **layers), inputs, loss=loss, target=target)


def codes(report):
    return sorted({finding.code for finding in report.findings})


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name):
    function, inputs, layers, loss, target, expected = WRONG[name]
    report = check(function, inputs(), loss, target, **layers)
    assert codes(report) == expected, report
    assert report


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_left_alone(name):
    function, inputs, layers, loss, target = RIGHT[name]
    report = check(function, inputs(), loss, target, **layers)
    assert not report, report
