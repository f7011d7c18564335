"""The accuracy table: what counts as an error, and exact answers that agree with mpmath's fifty digits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

from anymax.bench import accuracy, api

SCORES = [[0.5, -1.25, 3.0, 0.0], [60.0, -30.0, 59.0, 1.0], [1e-3, -2e-3, 0.0, 3e-3]]
TARGET = [0, 0, 2]


def row(name, scores, target):
    """The result for one row in fifty digits."""
    x = [mpmath.mpf(score) for score in scores]
    total = sum(mpmath.exp(score) for score in x)
    p = [mpmath.exp(score) / total for score in x]
    entropy = -sum(one * mpmath.log(one) for one in p)
    signs = [(-1) ** (i + 1) for i in range(len(x))]  # softplus(x) for the label 0, softplus(-x) for 1
    return {
        "softmax": p,
        "log_softmax": [mpmath.log(one) for one in p],
        "logsumexp": [mpmath.log(total)],
        "entropy": [entropy],
        "cross_entropy": [-mpmath.log(p[target])],
        "binary_cross_entropy_with_logits": [
            mpmath.log1p(mpmath.exp(-sign * score)) for sign, score in zip(signs, x, strict=True)
        ],
        "softmax, gradient": [p[0] * ((i == 0) - one) for i, one in enumerate(p)],
        "log_softmax, gradient": [(i == 0) - one for i, one in enumerate(p)],
        "logsumexp, gradient": p,
        "cross_entropy, gradient": [one - (i == target) for i, one in enumerate(p)],
    }[name]


@pytest.mark.parametrize("name", accuracy.OPS)
def test_the_exact_answers_are_those_of_fifty_digits(name):
    if not accuracy.can_judge(torch.float64):
        pytest.skip("numpy's longdouble is float64 here")
    exact = accuracy.OPS[name].exact(np.array(SCORES, np.longdouble), np.array(TARGET)).reshape(len(SCORES), -1)
    with mpmath.workdps(50):
        for got, scores, target in zip(exact, SCORES, TARGET, strict=True):
            for mine, right in zip(got, row(name, scores, target), strict=True):
                high = float(mine)
                mine = mpmath.mpf(high) + mpmath.mpf(float(mine - np.longdouble(high)))
                assert abs(mine - right) <= 2e-18 * abs(right)


def test_an_error_is_counted_in_steps_of_the_dtype():
    for dtype in accuracy.DTYPES:
        x = torch.tensor([1.0, 1.5, 4.0, -3.0], dtype=dtype)
        exact = x.double().numpy().astype(np.longdouble)
        up = x + torch.tensor([1, 1, 4, -2], dtype=dtype) * torch.finfo(dtype).eps
        assert accuracy.errors(x, exact).largest == 0
        assert accuracy.errors(up, exact) == accuracy.Error(1.0, 1.0)
    half = torch.tensor([2.0**-24, 3 * 2.0**-24], dtype=torch.float16)  # subnormal, the smallest steps that there are
    assert accuracy.errors(half.flip(0), half.double().numpy().astype(np.longdouble)).largest == 2


def test_what_does_not_count_and_what_does():
    tiny = np.array([1e-40, 1.0], np.longdouble)
    assert accuracy.errors(torch.tensor([0.0, 1.0]), tiny).largest == 0
    assert accuracy.errors(torch.tensor([0.0, math.nan]), tiny).largest == math.inf
    beyond = np.array([1e6, 1.0], np.longdouble)
    assert accuracy.errors(torch.tensor([math.inf, 1.0], dtype=torch.float16), beyond).largest == 0
    assert accuracy.errors(torch.tensor([math.inf, math.inf], dtype=torch.float16), beyond).largest == math.inf


def test_a_thousandth_of_the_entries_stands_above_the_percentile():
    exact = np.ones(10_000, np.longdouble)
    got = torch.ones(10_000)
    got[:5] += 1e-3
    found = accuracy.errors(got, exact)
    assert found.largest > 1000
    assert found.percentile == 0


def test_the_page_has_a_line_per_dtype_and_range(monkeypatch, tmp_path):
    monkeypatch.setattr(accuracy, "OPS", {name: accuracy.OPS[name] for name in ("softmax", "softmax, gradient")})
    monkeypatch.setattr(accuracy.measured, "__defaults__", (accuracy.OPS, (10, 50), 200))
    path = api.write_accuracy(tmp_path / "docs", ["softmax"])
    lines = path.read_text().splitlines()
    assert path.name == "accuracy.md"
    assert [line for line in lines if line.startswith("## ")] == ["## softmax", "## softmax, gradient"]
    rows = [line for line in lines if line.startswith("| ") and "dtype" not in line]
    dtypes = sum(accuracy.can_judge(dtype) for dtype in accuracy.DTYPES)
    assert len(rows) == 2 * dtypes * len(accuracy.RANGES)
    assert all(line.count("|") == 5 and "nan" not in line and "inf" not in line for line in rows)


def test_an_op_without_errors_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"The errors of 'sample' are not measured: expected softmax, log_softmax"):
        api.write_accuracy(tmp_path, ["sample"])
    assert not list(tmp_path.iterdir())
