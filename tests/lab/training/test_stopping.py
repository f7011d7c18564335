"""When a run looks at what is decided, and when it ends."""

from __future__ import annotations

import pytest

from anymax.lab.statistics.decisions import LEVEL
from anymax.lab.training.stopping import WITHIN, Stopping


def looks(stopping):
    found = [stopping.next_look(0)]
    while found[-1] < stopping.most:
        found.append(stopping.next_look(found[-1]))
    return found


@pytest.mark.parametrize(
    ("stopping", "expected"),
    [
        (Stopping("classification"), [5, 10, 20, 40]),
        (Stopping("classification", within=7.0), [5, 10, 20, 40]),
        (Stopping("classification", seeds=10), [5, 10]),
        (Stopping("classification", seeds=7), [5, 7]),
        (Stopping("classification", seeds=3), [3]),
        (Stopping("classification", seeds=50), [5, 10, 20, 40, 50]),
        (Stopping("text"), [3]),
        (Stopping("text", seeds=12), [12]),
    ],
)
def test_looks_are_planned(stopping, expected):
    assert looks(stopping) == expected


def test_the_error_is_spent_over_the_looks_of_a_table_and_whole_at_the_one_of_a_text():
    table = Stopping("classification")
    assert sum(map(table.level, looks(table))) == pytest.approx(LEVEL)
    assert Stopping("text").level(3) == LEVEL
    assert table.later_levels(10) == {20: table.level(20), 40: table.level(40)}


def ending(stopping, repeats, *, spent=0.0, each=1.0, decided=False):
    return stopping.ending(repeats, spent=spent, each=each, decided=decided)


def test_a_number_that_was_asked_for_is_made_whatever_is_decided():
    asked = Stopping("classification", seeds=10)
    assert ending(asked, 5, decided=True, spent=1e9) is None
    assert ending(asked, 10) == "the number of repeats asked for"
    assert ending(asked, 12) == "the number of repeats asked for"


def test_the_first_round_is_finished_whatever_it_takes():
    for stopping, first in ((Stopping("classification", within=1.0), 5), (Stopping("text", within=1.0), 3)):
        assert all(ending(stopping, repeats, spent=1e9) is None for repeats in range(first))
        assert ending(stopping, first, spent=1e9) == "the time"


def test_ends_where_all_is_decided_or_at_the_most():
    table = Stopping("classification")
    assert ending(table, 5, decided=True) == "all is decided"
    assert ending(table, 40) == "the most repeats"


def test_time_that_does_not_reach_the_next_look_is_not_spent():
    table = Stopping("classification")
    assert table.limit == WITHIN
    assert ending(table, 10, spent=100.0, each=7.9) is None
    assert ending(table, 10, spent=100.0, each=8.1) == "the time"
    assert ending(table, 15, spent=100.0, each=8.1) is None
    # a text has no look to reach
    assert ending(Stopping("text", within=100.0), 10, spent=90.0, each=8.0) is None
    assert ending(Stopping("text", within=100.0), 10, spent=93.0, each=8.0) == "the time"


def test_only_a_table_without_a_number_has_a_limit_of_its_own():
    assert Stopping("classification", seeds=10).limit is None
    assert Stopping("text").limit is None
    assert Stopping("classification", seeds=10, within=5.0).limit == 5.0
