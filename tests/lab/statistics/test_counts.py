"""Where too little is counted, and what is said of it."""

from __future__ import annotations

import math

import pytest

from anymax.lab.statistics.counts import RAREST_ROWS, RAREST_ROWS_OF_F1, WRONG_ANSWERS, TooFew, too_few


def test_enough_is_enough_to_the_last_wrong_answer():
    assert too_few("top1", rarest=500, even=500, wrong=WRONG_ANSWERS) is None
    fewer = WRONG_ANSWERS - 1
    assert too_few("top1", rarest=500, even=500, wrong=fewer) == TooFew("wrong answers", fewer, WRONG_ANSWERS)


@pytest.mark.parametrize("even", [30, 48.5, 200, 1667])
@pytest.mark.parametrize(
    ("measure", "rows"),
    [("top1", RAREST_ROWS), ("nll", RAREST_ROWS), ("average_precision", RAREST_ROWS), ("macro_f1", RAREST_ROWS_OF_F1)],
)
def test_enough_is_enough_to_the_last_row_of_the_rarest_class(measure, rows, even):
    found = too_few(measure, rarest=1, even=even, wrong=1000)
    assert found is not None
    needed = found.needed
    assert too_few(measure, rarest=needed, even=even, wrong=1000) is None
    expected = TooFew("rows of the rarest class", needed - 1, needed)
    assert too_few(measure, rarest=needed - 1, even=even, wrong=1000) == expected
    # so many of them, each counted as the share of an even class's rows that the class has
    assert needed * needed / even >= rows > (needed - 1) ** 2 / even


def test_names_what_is_further_from_enough():
    needed = math.ceil(math.sqrt(RAREST_ROWS * 1000))
    found = too_few("nll", rarest=needed // 2, even=1000, wrong=WRONG_ANSWERS // 5)
    assert found is not None
    assert found.counted == "wrong answers"
    found = too_few("nll", rarest=needed // 5, even=1000, wrong=WRONG_ANSWERS // 2)
    assert found is not None
    assert found.counted == "rows of the rarest class"
