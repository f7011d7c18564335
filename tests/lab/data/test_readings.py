"""Readings: what was decided for a column is kept as plain data, and applied to later cells without looking at them."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from anymax.lab.data import dates, numbers
from anymax.lab.data.columns import read_column
from anymax.lab.data.load import read_features
from anymax.lab.data.readings import Reading, TableReading, apply
from anymax.lab.errors import DataError
from tests.lab.calls import load, read_table
from tests.lab.data.tables import frame

GENERATOR = np.random.default_rng(0)
COLUMNS = {
    "plain": GENERATOR.normal(size=40).round(3).astype(str),
    "whole": GENERATOR.integers(0, 9, 40),
    "price": ["$1,234.50", "$7", "($3.20)", None] * 10,
    "euro": ["1.234,50", "0,5"] * 20,
    "rate": ["12 %", "0.8%"] * 20,
    "weight": ["3 kg", "12.5kg"] * 20,
    "clock": ["1:15 PM", "11:30 AM"] * 20,
    "day": ["13/01/2024", "01/02/2024", None, "05/06/2024"] * 10,
    "week": ["2024-W03", "2024-W10"] * 20,
    "digits": [20240112, 20231231] * 20,
    "stamp": pd.date_range("2024-01-01", periods=40),
    "colour": ["red", "blue", None, "green"] * 10,
    "mixed": [1, "two", 3.5, None] * 10,
    "title": [f"{a} {b} {i}" for i, (a, b) in enumerate([("Red", "chair"), ("Blue", "chair")] * 20)],
    "same": ["x"] * 40,
}


def as_json(reading, kind):
    return TypeAdapter(kind).validate_json(json.dumps(json.loads(TypeAdapter(kind).dump_json(reading))))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_kept_reading_reads_the_column_as_it_was_read(name):
    cells = pd.Series(COLUMNS[name])
    column = read_column(name, cells)
    kept = as_json(column.reading, Reading)
    assert kept == column.reading
    again = apply(kept, cells)
    assert not again.unfit.any()
    if column.values is None:
        assert again.values is None
    elif isinstance(column.values, pd.DataFrame):
        pd.testing.assert_frame_equal(again.values, column.values)
    else:
        pd.testing.assert_series_equal(again.values, column.values, check_names=False)


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "same"])
def test_each_row_is_read_as_it_is_read_alone(name):
    cells = pd.Series(COLUMNS[name])
    column = read_column(name, cells)
    for row in range(4):
        alone = apply(column.reading, cells.iloc[[row]]).values
        expected = column.values.iloc[[row]].reset_index(drop=True)
        np.testing.assert_array_equal(alone.to_numpy(), expected.to_numpy())


def test_applying_never_infers(monkeypatch):
    readings = {name: read_column(name, pd.Series(cells)).reading for name, cells in COLUMNS.items()}

    def inferred(*_):
        raise AssertionError("inferred")

    monkeypatch.setattr(numbers, "propose", inferred)
    monkeypatch.setattr(dates, "propose", inferred)
    for reading in readings.values():
        apply(reading, pd.Series(["1,234", "01/02/2024", "soon", None]))


@pytest.mark.parametrize(
    ("name", "cells", "values", "unfit"),
    [
        # these cells alone would be read otherwise: the decimal sign, the day, the unit are those of the training cells
        ("euro", ["51.257", "1,250"], [51257, 1.25], 0),
        ("price", ["$51,257", "12"], [51257, 12], 0),
        ("price", ["51,2", "€ 5", "n/a", None], [np.nan] * 4, 3),
        ("rate", ["5 kg", "7"], [np.nan, 7], 1),
        ("plain", ["1e39", "inf", "1,5", "2"], [np.nan, np.nan, np.nan, 2], 3),
        ("clock", ["13:15", "8", "1 pm"], [13.25, np.nan, 13], 1),
    ],
)
def test_later_cells_are_read_by_what_was_decided_and_those_that_do_not_fit_are_counted(name, cells, values, unfit):
    found = apply(read_column(name, pd.Series(COLUMNS[name])).reading, pd.Series(cells))
    assert found.values.tolist() == pytest.approx(values, nan_ok=True)
    assert found.unfit.sum() == unfit


def test_later_days_are_read_by_what_was_decided():
    found = apply(read_column("day", pd.Series(COLUMNS["day"])).reading, pd.Series(["01/02/2024", "12/31/2024", None]))
    assert found.values["day\0month"].tolist()[0] == 2
    assert found.unfit.tolist() == [False, True, False]
    assert found.values.iloc[1].isna().all()


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "frame"])
def test_a_new_file_is_read_as_the_first_one_was(tmp_path, ending):
    shown = {name: list(cells) * 2 for name, cells in COLUMNS.items() if name != "mixed"}
    table = pd.DataFrame(shown).assign(kind=["a", "b"] * 40)
    table.to_csv(tmp_path / "first.csv", index=False)
    dataset = load(tmp_path / "first.csv", target="kind")
    reading = as_json(dataset.reading, TableReading)
    assert reading == dataset.reading
    assert "same" not in [column.name for column in reading.columns]
    new = table.iloc[:8].drop(columns=["kind", "same"]).assign(more=[[1, 2]] * 8)[::-1]
    path = tmp_path / f"new.{ending}"
    if ending == "parquet":
        new.to_parquet(path)
    elif ending == "jsonl":
        new.assign(stamp=new["stamp"].astype(str)).to_json(path, orient="records", lines=True)
    elif ending != "frame":
        new.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    found = read_features(new if ending == "frame" else path, reading)
    assert found.unfit == {}
    for ours, theirs in (
        (found.numbers, dataset.numbers),
        (found.categories, dataset.categories),
        (found.texts, dataset.texts),
    ):
        expected = theirs.iloc[:8][::-1].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, expected)


def test_cells_that_do_not_fit_are_counted_by_column_and_a_missing_column_is_named():
    dataset = read_table("table", frame(price=["$1,234.50", "$7"] * 150), "kind", missing=["?"])
    new = pd.DataFrame({"price": ["$5", "soon", "?", "€ 3"], "size": ["1", "2", "3", "4"]})
    found = read_features(new, dataset.reading)
    assert found.unfit == {"price": 2}
    assert found.numbers["price"].tolist() == pytest.approx([5, np.nan, np.nan, np.nan], nan_ok=True)
    assert list(found.numbers) == list(dataset.numbers)
    with pytest.raises(DataError, match=r"'frame' has no column 'price', which the model was trained with."):
        read_features(new.drop(columns="price"), dataset.reading)
    with pytest.raises(DataError, match=r"There is no .csv, .tsv, .parquet or .jsonl file 'nowhere.csv'."):
        read_features("nowhere.csv", dataset.reading)
