"""A column that is the answer in other words is named; a strong but honest one is not."""

import numpy as np
import pandas as pd
import pytest

from anymax.lab import leaks


def planted(rows=1500, rarest=0.5):
    generator = np.random.default_rng(0)
    classes = (generator.random(rows) < rarest).astype(np.int64)
    columns = pd.DataFrame(
        {
            "strong": generator.normal(size=rows) + 3 * classes,  # right for 93 % of balanced rows at best
            "noise": generator.normal(size=rows),
            "colour": np.where(generator.random(rows) < 0.9, classes, 1 - classes).astype(str),
            "leaking number": classes * 10 + generator.normal(size=rows),
            "leaking level": [f"{c}-{i}" for c, i in zip(classes, generator.integers(0, 50, size=rows), strict=True)],
        }
    )
    return columns, classes


@pytest.mark.parametrize("rarest", [0.5, 0.05])
def test_leaking_columns_are_named_and_strong_ones_are_not(rarest):
    found = dict(leaks.leaking(*planted(rarest=rarest)))
    assert "leaking number" in found
    assert not set(found) & {"strong", "noise", "colour"}
    if rarest == 0.5:
        assert "leaking level" in found
        assert found["leaking number"] > 0.99


def test_the_sentence_says_what_to_do():
    (number, level) = leaks.notes(*planted())
    assert number.startswith("Column 'leaking number' alone tells the class of ")
    assert "--drop" in level
