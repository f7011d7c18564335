"""Numbers as people write them: what each column of cells means, and what must not be read as numbers in silence."""

import numpy as np
import pandas as pd
import pytest

from anymax.lab.data import numbers
from anymax.lab.data.columns import read_column
from anymax.lab.data.numbers import PLAIN, NumberFormat
from anymax.lab.errors import DataError

NBSP, MINUS = "\u00a0", "\u2212"


def proposed(cells, decimal_comma=False):
    proposal = numbers.propose(pd.Series(cells), decimal_comma)
    assert proposal is not None
    return proposal


@pytest.mark.parametrize(
    ("cells", "form", "values"),
    [
        (["$1,234.50", "$5"], NumberFormat(",", ".", "$"), [1234.5, 5]),
        (["€ 12", "€ 1.234,50"], NumberFormat(".", ",", "€"), [12, 1234.5]),
        (["12,50 €", "3 €"], NumberFormat("", ",", "€"), [12.5, 3]),
        (["USD 5", "USD 7.5"], NumberFormat(unit="USD"), [5, 7.5]),
        (["12 %", "0.8%", "130%"], NumberFormat(unit="%"), [12, 0.8, 130]),
        (["51,257", "1,234,567"], NumberFormat(",", "."), [51257, 1234567]),
        (["1 234 567", f"12{NBSP}000", "7"], NumberFormat(" ", "."), [1234567, 12000, 7]),
        (["1'234", "1’234.5"], NumberFormat("'", "."), [1234, 1234.5]),
        (["1.234,50", "3,1"], NumberFormat(".", ","), [1234.5, 3.1]),
        (["1 234,5", "0,25"], NumberFormat(" ", ","), [1234.5, 0.25]),
        (["12,34,567", "1,00,000"], NumberFormat(",", "."), [1234567, 100000]),
        (["3 kg", "12.5kg"], NumberFormat(unit="kg"), [3, 12.5]),
        (["1 star", "4 stars", "5 Stars"], NumberFormat(unit="star"), [1, 4, 5]),
        (["2 m²", "7 m²"], NumberFormat(unit="m²"), [2, 7]),
        (["(12.50)", f"{MINUS}3", "-4", "5-", "+6"], PLAIN, [-12.5, -3, -4, -5, 6]),
        (["-$5", "$-6", "($7)", "$8", "+$9"], NumberFormat(unit="$"), [-5, -6, -7, 8, 9]),
        (["1e5", "2E-3", ".5", "5."], PLAIN, [1e5, 2e-3, 0.5, 5]),
        (["11:30", "26:15:30"], NumberFormat(is_clock=True), [11.5, 26 + 15.5 / 60]),
        (["1:15 PM", "11:30 am", "12:00 AM", "12 pm"], NumberFormat(is_clock=True), [13.25, 11.5, 0, 12]),
    ],
)
def test_numbers_are_read_as_people_write_them(cells, form, values):
    proposal = proposed(cells)
    assert proposal.form == form
    assert proposal.values.tolist() == pytest.approx(values)
    column = read_column("x", pd.Series([*cells, None] * 10))
    assert column.info.kind == "number"
    assert column.values.tolist() == pytest.approx([*values, np.nan] * 10, nan_ok=True)


@pytest.mark.parametrize(
    "cells",
    [
        ["1-2", "3-4", "5-6"],
        ["0x1F", "0x2A"],
        ["12.34.56", "1.2.3"],
        ["1,2,3", "2,3", "1"],
        ["192.168.1.1", "10.0.0.1"],
        ["A1", "B2"],
        ["12a", "12b"],
        ["--5", "5"],
        ["(5", "5"],
        ["$5 kg", "5"],
        ["12 34", "5"],
        ["1e", "5", "7"],
        ["12a", "14", "16"],
        ["NaN", "5"],
        ["١٢", "5"],
        ["25:99", "11:30"],
        ["13:00 PM", "1:00 PM"],
    ],
)
def test_what_only_looks_like_numbers_is_none(cells):
    assert read_column("x", pd.Series(cells * 10)).info.kind in ("category", "text")
    with pytest.raises(DataError, match="Column 'x' "):
        read_column("x", pd.Series(cells * 10), kind="number")


@pytest.mark.parametrize(
    ("cells", "decimal_comma", "values", "taken"),
    [
        (["51,257", "1,000"], False, [51257, 1000], "the comma of '51,257' is taken to set thousands apart"),
        (["51,257", "1,000"], True, [51.257, 1], "the comma of '51,257' is taken as the decimal sign"),
        (["1.234", "2.345"], True, [1.234, 2.345], "the point of '1.234' is taken as the decimal sign"),
        (["51,257", "0,500"], False, [51.257, 0.5], None),
        (["51,257", "1,5"], False, [51.257, 1.5], None),
        (["51,257", "1,000,000"], True, [51257, 1e6], None),
        (["1.234", "0.5"], True, [1.234, 0.5], None),
        (["1.234", "2.345"], False, [1.234, 2.345], None),
    ],
)
def test_a_comma_that_may_mean_two_things_is_decided_by_the_column_and_noted(cells, decimal_comma, values, taken):
    column = read_column("x", pd.Series(cells * 10), decimal_comma)
    assert column.values.tolist()[:2] == values
    assert [note for note in column.notes if "no cell says otherwise" in note] == list(column.notes)
    assert bool(column.notes) == (taken is not None)
    assert taken is None or taken in column.notes[0]


def test_one_late_cell_decides_for_the_whole_column():
    cells = pd.Series(["51,257", "1,000"] * 2000 + ["0,5"])
    assert proposed(cells).values.tolist()[-2:] == [1, 0.5]
    assert read_column("x", pd.Series(["51,257", "1,000"] * 2000)).notes != ()
    assert read_column("x", pd.Series(["51,257", "1,000"] * 2000 + ["1,000,000"])).notes == ()


@pytest.mark.parametrize("rows", [20, 3000])
def test_units_are_one_or_the_column_is_no_number(rows):
    mixed = read_column("weight", pd.Series((["3 kg", "500 g"] * rows)[:rows]))
    assert mixed.info.kind == "category"
    assert mixed.notes == (
        f"Column 'weight' is not read as numbers, since they stand in 2 different units ('kg' in {rows // 2}, 'g' in "
        f"{rows // 2}): write all of them in one.",
    )
    with pytest.raises(DataError, match="they stand in 2 different units"):
        read_column("weight", pd.Series(["3 kg", "500 g"] * rows), kind="number")
    partly = read_column("weight", pd.Series((["3 kg", "5"] * rows)[:rows]))
    assert partly.info.kind == "number"
    assert partly.notes == (f"Column 'weight': {rows // 2} of {rows} numbers have no unit and are read as if in 'kg'.",)
    alike = read_column("power", pd.Series((["5 mW", "7 MW"] * rows)[:rows]))
    assert alike.notes == ("Column 'power': the units 'mW' and 'MW' are taken for one.",)


def test_letters_behind_a_few_numbers_are_no_units():
    column = read_column("house", pd.Series(["12", "14", "3", "7"] * 10 + ["14a", "16b"]))
    assert column.info.kind == "category"
    assert "2 rows hold no number ('14a')" in column.notes[0]


def test_how_numbers_are_written_is_said():
    def why(*cells):
        return read_column("x", pd.Series(cells * 10)).info.why

    assert why("$1,234.50", "$5") == "every cell is a number (thousands set apart by a comma, unit '$')"
    assert why("1'234", "5") == "every cell is a number (thousands set apart by an apostrophe)"
    assert why("1,5", "2") == "every cell is a number (a decimal comma)"
    assert why("11:30", "1:15") == "every cell is a time, read in hours"
    assert why("1.5", "2") == "every cell is a number"


@pytest.mark.parametrize("cell", ["$1e39", "1e400 kg", "inf"])
def test_numbers_beyond_what_can_be_computed_with_are_refused(cell):
    unit = cell.strip("1e3940inf")
    cells = pd.Series(["$5" if "$" in unit else f"5{unit}"] * 20 + [f"{'$' if '$' in unit else ''}6", cell])
    with pytest.raises(DataError, match=r"holds an infinite number \('.*', row 22\)"):
        read_column("x", cells)


def test_plain_patterns_are_read_as_they_are_taken_apart(monkeypatch):
    generator = np.random.default_rng(0)
    amounts = generator.gamma(1, 9000, 200).round(2)
    for pattern in ("${:,.2f}", "{:.1f} %", "{:,.0f}", "{:.2f}kg", "{}", "{:_.2f}"):
        cells = pd.Series([pattern.format(amount) for amount in amounts])
        if "_" in pattern:
            cells = cells.str.replace(".", ",").str.replace("_", ".")
        form = proposed(cells).form
        quick = numbers.parse(cells, form)
        with monkeypatch.context() as patch:
            patch.setattr(numbers._Quick, "_pattern", staticmethod(lambda form: "never"))
            apart = numbers.parse(cells, form)
        assert quick.tolist() == apart.tolist(), pattern
        assert quick.notna().all()
