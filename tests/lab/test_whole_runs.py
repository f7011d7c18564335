"""The longer command that takes heads through the whole of `compare`: a run of it, and what its table counts."""

import pytest

from tests.lab import whole_runs
from tests.lab.statistics.trained import Law
from tests.lab.whole_runs import Answered, Case, table


@pytest.mark.usefixtures("heads_alone")
def test_a_run_finds_the_head_that_is_much_better(monkeypatch):
    monkeypatch.setattr(whole_runs, "LAW", Law(300))
    (answered,) = whole_runs.run(Case("much better", 0.4), 0)
    assert (answered.answer, answered.size) == ("better", "beyond")
    assert answered.repeats in (5, 10)  # the first looks
    assert 0.2 < answered.mean < 0.6


def test_the_table_counts_answers_by_head_and_alarms_by_data_set():
    runs = [
        [Answered("better", "beyond", 0.02, 5), Answered("open", "across", 0.0, 5)],
        [Answered("better", "across", 0.02, 40), Answered("worse", "beyond", -0.02, 40)],
        [Answered("equivalent", "across", 0.0, 20), Answered("open", "across", 0.0, 20)],
        [Answered("open", "across", 0.0, 40), Answered("open", "across", 0.0, 40)],
    ]
    _, _, row = table([(Case("two", 0.0), runs)])
    assert row == "| two | 4 | 25.0 | 12.5 | 12.5 | 50.0 | 25.0 | 50.0 | 30 |"
