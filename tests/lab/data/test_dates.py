"""Dates as people write them, and numbers and words that are none."""

import numpy as np
import pandas as pd
import pytest

from anymax.lab.data import dates
from anymax.lab.data.columns import read_column, read_times

DAY = "2024-01-12"


def read(cells):
    return dates.propose(pd.Series(cells))


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (["12-Jan-2024", "31-Dec-2023"], [DAY, "2023-12-31"]),
        (["12-JAN-24", "31-dec-23"], [DAY, "2023-12-31"]),
        (["12 January 2024", "1 May 2023"], [DAY, "2023-05-01"]),
        (["Jan 12, 2024", "May 1, 2023"], [DAY, "2023-05-01"]),
        (["20240112", "20231231"], [DAY, "2023-12-31"]),
        ([20240112, 20231231], [DAY, "2023-12-31"]),
        ([20240112.0, None], [DAY, None]),
        (["2024-W02-5", "2023-W52-7"], [DAY, "2023-12-31"]),
        (["2024W025", "2023W527"], [DAY, "2023-12-31"]),
        (["2024-W02", "2023-W52"], ["2024-01-08", "2023-12-25"]),
        (["12.01.24", "31.12.23"], [DAY, "2023-12-31"]),
        (["1/12/24", "12/31/23"], [DAY, "2023-12-31"]),
        (["Jan 2024", "May 2023"], ["2024-01-01", "2023-05-01"]),
        (["01/2024", "05/2023"], ["2024-01-01", "2023-05-01"]),
    ],
)
def test_dates_are_read_as_people_write_them(cells, days):
    found = read(cells)
    assert [None if pd.isna(day) else f"{day:%Y-%m-%d}" for day in found.values] == days
    assert read_column("when", pd.Series(cells * 10)).info.kind == "date"


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["13/01/2024 1:15 PM"], "2024-01-13 13:15"),
        (["2024-01-13 11:30"], "2024-01-13 11:30"),
        (["13-Jan-2024 11:30:15"], "2024-01-13 11:30"),
    ],
)
def test_days_with_times(cells, first):
    assert read(cells).values.dt.strftime("%Y-%m-%d %H:%M")[0] == first


@pytest.mark.parametrize(("late", "why"), [("13/01/2024", "the day first"), ("01/13/2024", "the month first")])
def test_one_late_cell_decides_whether_day_or_month_comes_first(late, why):
    column = read_column("when", pd.Series(["01/02/2024", "03/04/2024"] * 1500 + [late]))
    assert column.info.why.startswith(f"every cell is a date, {why} as '{late}' shows: year, month,")


@pytest.mark.parametrize(
    "cells",
    [
        ["12340506", "20240112"],
        ["99999999", "10000000"],
        ["2024001", "2024002"],
        ["1.2.10", "1.2.11"],
        ["2024-W54", "2024-W01"],
        ["31/02/2024", "13/01/2024"],
        ["now", "today"],
        ["1-2", "3-4"],
        ["2024", "1999"],
    ],
)
def test_what_only_looks_like_dates_is_none(cells):
    assert read_column("when", pd.Series(cells * 10)).info.kind != "date"


def test_small_floats_are_no_days():
    assert read(np.array([1, 2, np.nan], dtype=np.float16)).form is None


def test_a_few_cells_that_are_no_dates_are_named():
    column = read_column("when", pd.Series(["2024-01-02", "2024-01-03"] * 10 + ["n.d."]))
    assert column.info.kind == "category"
    assert column.notes == (
        "Column 'when' is read as a category because 1 row hold no date ('n.d.'): if that means missing, make those "
        "cells empty or name them with --missing.",
    )


def test_rows_are_put_in_order_by_weeks_and_times_of_day():
    assert read_times("when", pd.Series(["2024-W10", "2023-W52", "2024-W03"])).argsort().tolist() == [1, 2, 0]
    assert read_times("when", pd.Series(["1:15 PM", "11:30 AM", "12:05 PM"])).argsort().tolist() == [1, 2, 0]
    assert read_times("amount", pd.Series(["$1,200", "$900.5", "$1,000"])).argsort().tolist() == [1, 2, 0]
