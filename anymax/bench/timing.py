"""Times that can be compared: contenders take turns within one process, and each round gives a ratio."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LEAST = 2e-3  # seconds; a shorter call is repeated within one reading of the clock
FEWEST, MOST = 5, 300  # rounds
FEWEST_OF_SLOW = 3  # rounds, where even the fewest would take several times the time that there is
PATIENCE = 3


@dataclass(frozen=True)
class Times:
    """Medians over the rounds: seconds of a call, and how much longer anymax takes than each of the others."""

    rounds: int
    seconds: dict[str, float]
    ratios: dict[str, float]


def alternate(
    calls: Mapping[str, Callable[[], object]], first: str, seconds: float, clock: Callable[[], float]
) -> Times:
    """Call one after the other, round by round, for about so many seconds.

    Args:
        calls: by name; each has been called before, so that nothing is compiled or loaded any more.
        first: the one whose time the ratios are made of.
        seconds: for all rounds together.
        clock: the time in seconds.
    """
    repeats = {name: _repeats(call) for name, call in calls.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffled = list(calls), random.Random(0)
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        began = time.monotonic()
        for done in range(MOST):
            spent = time.monotonic() - began
            if spent > seconds and (done >= FEWEST or (done >= FEWEST_OF_SLOW and spent > PATIENCE * seconds)):
                break
            for name in order:
                call, count = calls[name], repeats[name]
                start = clock()
                for _ in range(count):
                    call()
                taken[name].append((clock() - start) / count)
            # who comes after whom changes, since each finds caches and allocator as the one before left them
            shuffled.shuffle(order)
    finally:
        if was_enabled:
            gc.enable()
    return Times(
        len(taken[first]),
        {name: statistics.median(times) for name, times in taken.items()},
        {
            name: statistics.median(ours / other for ours, other in zip(taken[first], times, strict=True))
            for name, times in taken.items()
            if name != first
        },
    )


def _repeats(call: Callable[[], object]) -> int:
    """How often to call within one reading of the clock; a short call is tried twice, as the first is slow."""
    if _taken(call) > 10 * LEAST:
        return 1
    return max(1, math.ceil(LEAST / max(_taken(call), 1e-7)))


def _taken(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
