"""Dates and free text: what is recognised, and what is left to the user."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from anymax.lab.data.columns import read_column, read_times


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d %b %Y"])
def test_unambiguous_dates_are_read(form):
    days = pd.Series(pd.date_range("2023-12-20", periods=50))
    column = read_column("when", days.dt.strftime(form))
    assert column.info.kind == "date"
    assert isinstance(column.values, pd.DataFrame)
    year, month, weekday, age = (column.values[name] for name in column.values)
    assert year.tolist() == days.dt.year.tolist()
    assert month.tolist() == days.dt.month.tolist()
    assert weekday.tolist() == days.dt.day_of_week.tolist()
    assert (age - age.iloc[-1]).tolist() == list(range(49, -1, -1))
    assert column.notes == ()


def test_an_ambiguous_date_is_none_and_says_so():
    column = read_column("when", pd.Series(["01/02/2024", "03/04/2024"] * 20))
    assert column.info.kind == "category"
    assert "the day may come first" in str(column.notes)


def test_a_date_among_words_is_none():
    assert read_column("when", pd.Series(["2024-01-01", "soon"] * 20)).info.kind == "category"


def test_words_that_pandas_takes_for_the_time_of_day_are_none():
    assert read_column("when", pd.Series(["now", "today"] * 20)).info.kind == "category"


@pytest.mark.parametrize("far", ["9999-12-31", "0001-01-01"])
def test_days_that_stand_for_ever_are_dates(far):
    cells = pd.Series([far, "2024-01-01", "2024-01-02"] * 20)
    column = read_column("until", cells)
    assert isinstance(column.values, pd.DataFrame)
    year, _, _, age = (column.values[name] for name in column.values)
    assert year.tolist()[:3] == [int(far[:4]), 2024, 2024]
    assert (age[1] - age[0]) == (date.fromisoformat(far) - date(2024, 1, 1)).days
    times = read_times("until", cells)
    assert np.argsort(times[:3]).tolist() == ([1, 2, 0] if far > "2024" else [0, 1, 2])


def test_times_a_microsecond_apart_are_in_order():
    cells = pd.Series([f"2024-01-01T12:00:00.{i:06}" for i in (3, 1, 2)])
    assert np.argsort(read_times("when", cells)).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("cells", "why"),
    [(["1", "low"], "some of them not numbers ('low')"), (["IE", "low"], "which are not numbers ('IE')")],
)
def test_a_category_says_how_many_of_its_values_are_no_numbers(cells, why):
    assert read_column("level", pd.Series(cells * 20)).info.why == f"2 different values, {why}"
