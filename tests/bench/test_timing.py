"""Rounds in which the contenders take turns, on a clock that only the calls move."""

from __future__ import annotations

import pytest

from anymax.bench import timing


class Clock:
    def __init__(self, monkeypatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        monkeypatch.setattr(timing.time, "monotonic", self)
        monkeypatch.setattr(timing.time, "perf_counter", self)

    def __call__(self) -> float:
        return self.now

    def call(self, name, seconds, growth=1.0):
        def work():
            self.calls.append(name)
            self.now += seconds * growth ** self.calls.count(name)

        return work


def test_seconds_ratios_and_rounds(monkeypatch):
    clock = Clock(monkeypatch)
    times = timing.alternate({"ours": clock.call("ours", 0.01), "copy": clock.call("copy", 0.02)}, "ours", 0.31, clock)
    assert times.rounds == 11  # the eleventh begins at 0.30 seconds
    assert times.seconds == pytest.approx({"ours": 0.01, "copy": 0.02})
    assert times.ratios == pytest.approx({"copy": 0.5})


def test_a_machine_that_slows_down_changes_no_ratio(monkeypatch):
    clock = Clock(monkeypatch)
    calls = {"ours": clock.call("ours", 0.1, 1.5), "copy": clock.call("copy", 0.2, 1.5)}
    assert timing.alternate(calls, "ours", 1, clock).ratios == pytest.approx({"copy": 0.5})


def test_short_calls_are_repeated_within_one_reading(monkeypatch):
    clock = Clock(monkeypatch)
    times = timing.alternate({"ours": clock.call("ours", 1e-5)}, "ours", 0.02, clock)
    assert times.seconds == pytest.approx({"ours": 1e-5})
    assert clock.calls.count("ours") >= 200 * times.rounds


@pytest.mark.parametrize(("seconds", "rounds"), [(0.1, timing.FEWEST), (10, timing.FEWEST_OF_SLOW)])
def test_the_fewest_rounds(monkeypatch, seconds, rounds):
    clock = Clock(monkeypatch)
    assert timing.alternate({"ours": clock.call("ours", seconds)}, "ours", 0.2, clock).rounds == rounds


def test_nobody_always_follows_the_same(monkeypatch):
    clock = Clock(monkeypatch)
    timing.alternate({name: clock.call(name, 0.01) for name in "abc"}, "a", 1, clock)
    pairs = set(zip(clock.calls, clock.calls[1:], strict=False))
    assert {("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")} <= pairs
