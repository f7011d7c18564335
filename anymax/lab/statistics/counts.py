"""Where too little is counted for an interval to be trusted, so that the answer stays open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# how many are needed by measure, found by simulation (docs/how-sure-a-verdict-is.md): with fewer, intervals that should
# cover 95 % cover less than 94 %
RAREST_ROWS: Mapping[str, int] = {"macro_f1": 150, "average_precision": 50}
ANY_ROWS = 20  # of the rarest class, where a measure is not named above
WRONG_ANSWERS = 25

Counted = Literal["rows of the rarest class", "wrong answers"]


@dataclass(frozen=True)
class TooFew:
    """What was counted, how many there were, and how many are needed."""

    counted: Counted
    number: int
    needed: int


def too_few(measure: str, *, rarest: int, wrong: int) -> TooFew | None:
    """What there is too little of, the one that is further from enough first; None where there is enough of both.

    Args:
        measure: a key of `anymax.lab.measure.MEASURES`.
        rarest: rows of the rarest class that is measured, in all parts together.
        wrong: rows that the method or the reference answered wrongly in some repeat.
    """
    counts = [
        TooFew("rows of the rarest class", rarest, RAREST_ROWS.get(measure, ANY_ROWS)),
        TooFew("wrong answers", wrong, WRONG_ANSWERS),
    ]
    fewest = min(counts, key=lambda count: count.number / count.needed)
    return fewest if fewest.number < fewest.needed else None
