"""Where too little is counted, and what is said of it."""

from __future__ import annotations

import pytest

from anymax.lab.statistics.counts import ANY_ROWS, RAREST_ROWS, WRONG_ANSWERS, TooFew, too_few

PLENTY = 10_000


@pytest.mark.parametrize("measure", ["top1", "nll", "macro_f1", "average_precision"])
def test_enough_is_enough_to_the_last_row(measure):
    needed = RAREST_ROWS.get(measure, ANY_ROWS)
    assert too_few(measure, rarest=needed, wrong=WRONG_ANSWERS) is None
    assert too_few(measure, rarest=needed - 1, wrong=PLENTY) == TooFew("rows of the rarest class", needed - 1, needed)
    fewer = WRONG_ANSWERS - 1
    assert too_few(measure, rarest=PLENTY, wrong=fewer) == TooFew("wrong answers", fewer, WRONG_ANSWERS)


def test_names_what_is_further_from_enough():
    found = too_few("macro_f1", rarest=RAREST_ROWS["macro_f1"] // 2, wrong=WRONG_ANSWERS // 5)
    assert found is not None
    assert found.counted == "wrong answers"
    found = too_few("macro_f1", rarest=RAREST_ROWS["macro_f1"] // 5, wrong=WRONG_ANSWERS // 2)
    assert found is not None
    assert found.counted == "rows of the rarest class"
