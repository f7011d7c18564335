"""What can be said of many differences at once, at planned looks: better, worse, equivalent, or still open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from anymax.lab.statistics.twoway import Estimate, Spread

LEVEL = (
    0.05  # of a false "better" or "worse" among all methods and looks together; of a false "equivalent" at each look
)
LOOKS = (5, 10, 20, 40)  # repeats

Answer = Literal["better", "worse", "equivalent", "open"]


@dataclass(frozen=True)
class Decision:
    """What is known of one method against the reference.

    Args:
        answer: "better" and "worse" where the interval excludes 0, "equivalent" where the difference is known to lie
            inside the margin, else "open".
        low, high: the interval that decides, at this look's share of the error and for all methods together.
        nominal: the interval at `LEVEL`, of this method and look alone.
        p_value: of no difference; `p_adjusted` for all methods together, to be compared with the look's share.
    """

    answer: Answer
    estimate: Estimate
    low: float
    high: float
    nominal: tuple[float, float]
    p_value: float
    p_adjusted: float


def spent(repeats: int) -> float:
    r"""How much of the error may be spent up to a look: Pocock's spending in the share of all repeats.

    .. math:: 0.05 \log(1 + (e - 1) J / 40)

    Source: K. K. G. Lan and D. L. DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70, 1983.
    """
    return LEVEL * math.log1p((math.e - 1) * min(1.0, repeats / LOOKS[-1]))


def share(repeats: int) -> float:
    """How much of the error a look after so many repeats has: what earlier planned looks left of `spent`."""
    return spent(repeats) - max((spent(look) for look in LOOKS if look < repeats), default=0.0)


def decide(
    estimates: Mapping[str, Estimate], *, margin: float, higher_is_better: bool, level: float = LEVEL
) -> dict[str, Decision]:
    """Decide about m differences together, so that a false "better" or "worse" comes up with at most `level`.

    With p values p_(1) <= ... <= p_(m), the adjusted ones are max over k <= i of (m - k + 1) p_(k), capped at 1. The
    intervals are Bonferroni's, at level / m; the bound next to 0 of one that only Holm's later steps decide is that of
    its step, so that an interval excludes 0 exactly where the difference is decided. "Equivalent" is two one-sided
    tests at `LEVEL`, which is the interval at twice that inside the margin.

    Args:
        estimates: of each method against the reference.
        margin: how large a difference may be without mattering, in the unit of the estimates.
        higher_is_better: of the measure.
        level: the share of the error that this look has.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6,
    1979; D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987.
    """
    total, adjusted, found = len(estimates), 0.0, {}
    for step, name in enumerate(sorted(estimates, key=lambda name: estimates[name].p_value())):
        e = estimates[name]
        p_value = e.p_value()
        adjusted = max(adjusted, min(1.0, (total - step) * p_value))
        differs = adjusted < level
        half = next_to_zero = e.half_width(level / total)
        if differs and p_value >= level / total:
            next_to_zero = e.half_width(level / (total - step))
        if differs:
            answer: Answer = "better" if (e.mean > 0) == higher_is_better else "worse"
        else:
            answer = "equivalent" if _is_equivalent(e, margin) else "open"
        found[name] = Decision(
            answer=answer,
            estimate=e,
            low=e.mean - (next_to_zero if e.mean > 0 else half),
            high=e.mean + (next_to_zero if e.mean < 0 else half),
            nominal=(e.mean - e.half_width(LEVEL), e.mean + e.half_width(LEVEL)),
            p_value=p_value,
            p_adjusted=adjusted,
        )
    return {name: found[name] for name in estimates}


def further_repeats(
    spread: Spread, *, margin: float, methods: int = 1, levels: Mapping[int, float] | None = None
) -> int | None:
    """How many more repeats would decide an open difference, if its mean stays and its error shrinks as expected.

    The answer is the way to the first later look with a difference, in Holm's first step, or with equivalence. It is a
    forecast: the mean moves too. After one round of folds, where it is not known what repeats can reduce, it is the
    fewest, and None where not even all of it would be enough (`Spread.of_rows`).

    Args:
        spread: of the method against the reference.
        margin: as in `decide`.
        methods: how many share the level: all that are not yet better or worse.
        levels: of the later looks, by repeats; the planned ones with their `share` where it is None.

    Returns:
        The number of repeats, or None: none of these looks would decide. More rows would.
    """
    levels = {look: share(look) for look in LOOKS} if levels is None else levels
    for look in sorted(look for look in levels if look > spread.repeats):
        later = spread.after(look).estimate()
        if later.p_value() < levels[look] / methods or _is_equivalent(later, margin):
            return look - spread.repeats
    return None


def _is_equivalent(estimate: Estimate, margin: float) -> bool:
    return abs(estimate.mean) + estimate.half_width(2 * LEVEL) < margin
