"""The accuracy table: what counts as an error, and exact answers that agree with mpmath's fifty digits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

from anymax.bench import accuracy, api
from anymax.bench.exact import OPS

SCORES = [
    [0.5, -1.25, 3.0, 0.25],
    [60.0, -30.0, 59.25, 1.0],
    [1e-3, -2e-3, 5e-4, 3e-3],
    [0.5, 0.1, -0.5, -2.0],
    [-4.0, 40.0, -5.0, 0.5],
    [-6.5, -1.5, -7.0, -2.5],
]
TARGET = [0, 0, 2, 1, 0, 3]
MAPS = "softmax", "log_softmax", "sparsemax", "entmax", "entmax, alpha = 1.25", "relumax", "softpick", "taylor_softmax"


def entmax(x, alpha):
    """By bisection for the score from which on a class has a probability."""
    a = mpmath.mpf(alpha) - 1
    low, high, p = max(x) - 1 / a, max(x), []
    for _ in range(300):
        middle = (low + high) / 2
        p = [max(a * (score - middle), 0) ** (1 / a) for score in x]
        low, high = (middle, high) if sum(p) > 1 else (low, middle)
    return p


def fenchel_young(x, target, alpha):
    """As it is defined."""
    p = entmax(x, alpha)
    entropy = (1 - sum(one**alpha for one in p)) / (alpha * (mpmath.mpf(alpha) - 1))
    return [sum(one * score for one, score in zip(p, x, strict=True)) - x[target] + entropy]


def shares(terms):
    total = sum(abs(term) for term in terms)
    return [max(term, 0) / total if total else total for term in terms]


def logistic(x):
    return 1 / (1 + mpmath.exp(-x))


def focal(x, is_positive):
    p = logistic(x) if is_positive else logistic(-x)
    return (0.25 if is_positive else 0.75) * (1 - p) ** 2 * -mpmath.log(p)


def asymmetric(x, is_positive):
    p = logistic(x)
    less = max(p - 0.05, 0)
    return (1 - p) * -mpmath.log(p) if is_positive else less**4 * -mpmath.log(1 - less)


def row(name, x, target):
    """The result for one row."""
    if name.endswith(", gradient"):
        return gradient(name.removesuffix(", gradient"), x, target)
    p = shares([mpmath.exp(score) for score in x])
    return {
        "softmax": lambda: p,
        "log_softmax": lambda: [mpmath.log(one) for one in p],
        "logsumexp": lambda: [mpmath.log(sum(mpmath.exp(score) for score in x))],
        "entropy": lambda: [-sum(one * mpmath.log(one) for one in p)],
        "cross_entropy": lambda: [-mpmath.log(p[target])],
        "sparsemax": lambda: entmax(x, 2),
        "entmax": lambda: entmax(x, 1.5),
        "entmax, alpha = 1.25": lambda: entmax(x, 1.25),
        "sparsemax_loss": lambda: fenchel_young(x, target, 2),
        "entmax_loss": lambda: fenchel_young(x, target, 1.5),
        "relumax": lambda: shares([max(score, 0) for score in x]),
        "softpick": lambda: shares([mpmath.exp(score) - 1 for score in x]),
        "taylor_softmax": lambda: shares([1 + score + score**2 / 2 for score in x]),
        "binary_cross_entropy_with_logits": lambda: [
            -mpmath.log(logistic(score if i % 2 else -score)) for i, score in enumerate(x)
        ],
        "sigmoid_focal_loss": lambda: [focal(score, i % 2) for i, score in enumerate(x)],
        "asymmetric_loss": lambda: [asymmetric(score, i % 2) for i, score in enumerate(x)],
    }[name]()


def gradient(name, x, target):
    """Of the first entry of a map, or of the sum of losses, as a quotient of differences."""
    step = mpmath.mpf("1e-40")

    def value(i, change):
        results = row(name, [score + change * (at == i) for at, score in enumerate(x)], target)
        return results[0] if name in MAPS else sum(results)

    return [(value(i, step) - value(i, -step)) / (2 * step) for i in range(len(x))]


needs_more_digits = pytest.mark.skipif(
    not accuracy.can_judge(torch.float64), reason="numpy's longdouble is float64 here"
)


@needs_more_digits
@pytest.mark.parametrize("name", OPS)
def test_the_exact_answers_are_those_of_many_digits(name):
    exact = OPS[name].exact(np.array(SCORES, np.longdouble), np.array(TARGET)).reshape(len(SCORES), -1)
    with mpmath.workdps(150):
        for got, scores, target in zip(exact, SCORES, TARGET, strict=True):
            expected = row(name, [mpmath.mpf(score) for score in scores], target)
            for mine, right in zip(got, expected, strict=True):
                assert abs(with_all_digits(mine) - right) <= 2e-18 * abs(right)


def with_all_digits(number):
    high = float(number)
    return mpmath.mpf(high) + mpmath.mpf(float(number - np.longdouble(high)))


@needs_more_digits
@pytest.mark.parametrize(("name", "alpha"), [("sparsemax_loss", 2), ("entmax_loss", 1.5)])
def test_the_exact_loss_of_a_class_that_is_nearly_certain_keeps_its_digits(name, alpha):
    x = [0.0, 1 / (alpha - 1) - 2**-10, 0.0]
    (exact,) = OPS[name].exact(np.array([x], np.longdouble), np.array([1]))
    with mpmath.workdps(50):
        (right,) = fenchel_young([mpmath.mpf(score) for score in x], 1, alpha)
        assert right < 1e-6
        assert abs(with_all_digits(exact) - right) <= 1e-14 * right


def test_the_package_of_entmax_is_beside_its_maps():
    pytest.importorskip("entmax")
    for name, op in OPS.items():
        assert op.theirs is not None
        assert ("package entmax" in op.rival) == ("sparsemax" in name or "entmax" in name)


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
    assert math.isnan(accuracy.errors(torch.tensor([0.0, math.nan]), tiny).largest)
    assert math.isnan(accuracy.errors(torch.tensor([math.nan, 1.0]), tiny).largest)
    beyond = np.array([1e6, 1.0], np.longdouble)
    assert accuracy.errors(torch.tensor([math.inf, 1.0], dtype=torch.float16), beyond).largest == 0
    assert accuracy.errors(torch.tensor([math.inf, math.inf], dtype=torch.float16), beyond).largest == math.inf


def test_a_zero_is_right_or_wrong_in_all_its_digits():
    exact = np.zeros(10_000, np.longdouble)
    exact[0] = 1
    got = torch.zeros(10_000)
    got[0] = 1 + torch.finfo(torch.float32).eps
    # the zeros that are right are not among a thousand that hide one
    assert accuracy.errors(got, exact) == accuracy.Error(1.0, 1.0)
    for wrong in (1e-30, 1e-3, -1.0):
        got[1] = wrong
        assert 2**23 <= accuracy.errors(got, exact).largest <= 2**24


def test_a_thousandth_of_the_entries_stands_above_the_percentile():
    exact = np.ones(10_000, np.longdouble)
    got = torch.ones(10_000)
    got[:5] += 1e-3
    found = accuracy.errors(got, exact)
    assert found.largest > 1000
    assert found.percentile == 0
    got[:5] = math.nan
    assert math.isnan(accuracy.errors(got, exact).largest)
    assert accuracy.errors(got, exact).percentile == 0


def test_the_page_has_a_line_per_dtype_and_range(monkeypatch, tmp_path):
    names = ["softmax", "softmax, gradient", "relumax"]
    monkeypatch.setattr(accuracy, "OPS", {name: OPS[name] for name in names})
    monkeypatch.setattr(accuracy.measured, "__defaults__", (OPS, (10, 50), 20_000))
    path = api.write_accuracy(tmp_path / "docs", ["softmax", "relumax"])
    lines = path.read_text().splitlines()
    assert path.name == "accuracy.md"
    assert [line for line in lines if line.startswith("## ")] == [f"## {name}" for name in names]
    rows = [line for line in lines if line.startswith("| ") and "dtype" not in line]
    each = sum(accuracy.can_judge(dtype) for dtype in accuracy.DTYPES) * len(accuracy.RANGES)
    assert len(rows) == len(names) * each
    assert all(line.count("|") == 5 and "nan" not in line and "inf" not in line for line in rows)
    # a row without a positive score, as published
    assert ["NaN" in line for line in rows] == 2 * each * [False] + each * [True]
    assert all("NaN" not in cell.partition("(")[0] for line in rows for cell in line.split("|"))


def test_the_page_says_who_is_in_brackets_and_who_is_nearer():
    def line(op, rival, ours, theirs):
        beside = None if theirs is None else accuracy.Error(theirs, theirs)
        return accuracy.Line(op, rival, torch.float32, "N(0, 1)", 10, accuracy.Error(ours, ours), beside)

    def section(*lines):
        return accuracy.as_page(list(lines)).partition("## ")[2].splitlines()[2:]

    assert section(line("f", "somebody", 1.0, 2.0))[0] == "In brackets: somebody."
    # an error of NaN is no smaller one, and what the table does not show is none
    assert section(line("f", "somebody", 1.0, math.nan))[0] == "In brackets: somebody."
    assert section(line("f", "somebody", 2.1e7, 1.9e7))[0] == "In brackets: somebody."
    lines = [line("f", "somebody", 4.0, 1.0), line("f", "somebody", 4e5, 3e4), line("f", "somebody", 1.0, 2.0)]
    words = "Its largest error is the smaller one in 2 of 3 cells, by at most 4e5 ULP."
    assert accuracy.as_page(lines).count(words) == 1
    alone = section(line("f", "somebody", 4.0, None))
    assert alone[0].startswith("| dtype")
    assert alone[-1] == "| float32 | N(0, 1) | 4.00 / 4.00 |"


def test_an_op_without_errors_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"The errors of 'sample' are not measured: expected softmax, log_softmax"):
        api.write_accuracy(tmp_path, ["sample"])
    assert not list(tmp_path.iterdir())
