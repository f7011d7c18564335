"""Where too little is counted for an interval to be trusted, so that the answer stays open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

# found by simulation (docs/how-sure-a-verdict-is.md): with fewer, intervals that should cover 95 % cover less than 94 %
WRONG_ANSWERS = 20
# of the rarest class, each counted as the share that the class has of an even one's rows
RAREST_ROWS = 15
RAREST_ROWS_OF_F1 = 100

Counted = Literal["rows of the rarest class", "rows of the rarest label", "wrong answers"]


@dataclass(frozen=True)
class TooFew:
    """What was counted, how many there were, and how many are needed."""

    counted: Counted
    number: int
    needed: int


def too_few(measure: str, *, rarest: int, even: float, wrong: int, labels: bool = False) -> TooFew | None:
    """What there is too little of, the one that is further from enough first; None where there is enough of both.

    The rarer a class, the more of its rows are needed: what heads make of all rows then hangs on these few, and since
    every repeat is trained on most of them, repeats do not show how much of that is chance. F1 needs more, since
    whether a rare class is ever predicted moves it at once.

    Args:
        measure: a key of `anymax.lab.measure.MEASURES`.
        rarest: rows of the rarest class that is measured, in all parts together.
        even: rows that each measured class would have if all had as many.
        wrong: rows that the method or the reference answered wrongly in some repeat.
        labels: whether a row may have several, so that what is counted is called a label.
    """
    rows = RAREST_ROWS_OF_F1 if measure == "macro_f1" else RAREST_ROWS
    counts = [
        TooFew(
            "rows of the rarest label" if labels else "rows of the rarest class",
            rarest,
            math.ceil(math.sqrt(rows * even)),
        ),
        TooFew("wrong answers", wrong, WRONG_ANSWERS),
    ]
    fewest = min(counts, key=lambda count: count.number / count.needed)
    return fewest if fewest.number < fewest.needed else None
