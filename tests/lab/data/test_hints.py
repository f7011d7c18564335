"""Notes: no column vanishes without one, and what a column may mean beside its reading is said with the option."""

import re

import numpy as np
import pandas as pd
import pytest

from anymax.lab.data.columns import read_column
from tests.lab.calls import load, read_table
from tests.lab.data.tables import frame, kinds

GENERATOR = np.random.default_rng(0)
ROWS = 300
ADJECTIVES, NOUNS = ["Red", "Blue", "Old", "Big"], ["chair", "table", "lamp", "sofa", "desk"]


def notes(cells, **options):
    found = load(frame(ROWS, x=cells), target="kind", **options).info().notes
    return [note for note in found if "repeat another row" not in note]


def drawn(*choices):
    return [" ".join(GENERATOR.choice(choice) for choice in choices) for _ in range(ROWS)]


def letters(length):
    return ["".join(row) for row in GENERATOR.choice(list("abcdefghijklmnopqrstuvwxyz"), (ROWS, length))]


def hexadecimal(*digits):
    return ["-".join(f"{GENERATOR.integers(16**count):0{count}x}" for count in digits) for _ in range(ROWS)]


# ---------------------------------------------------------------- dropped


def test_dropped_columns_are_named_once_for_each_reason():
    table = frame(ROWS, a="same", b=1, row=range(ROWS), code=[f"id-{i}" for i in range(ROWS)])
    assert read_table("table", table, "kind").info().notes == [
        "Columns 'a', 'b' are dropped: the same value in every row.",
        "Column 'row' is dropped, as row numbers are: to keep one, --as 'row=number'.",
        "Column 'code' is dropped: text that is different in every row and shares no words; to keep it, "
        "--as 'code=text'.",
    ]


@pytest.mark.parametrize("name", ["row", "code"])
def test_the_option_that_a_note_names_keeps_the_column(name):
    table = frame(ROWS, row=range(ROWS), code=[f"id {i}" for i in range(ROWS)])
    (kind,) = re.findall(rf"--as '{name}=(\w+)'", " ".join(read_table("t", table, "kind").notes))
    assert kinds(read_table("t", table, "kind", kinds={name: kind}))[name] == kind


# ---------------------------------------------------------------- text or identifier


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([f"{word} {title}" for word, title in zip(letters(8), drawn(ADJECTIVES, NOUNS), strict=True)], "text"),
        ([f"{title} {i}" for i, title in enumerate(drawn(ADJECTIVES, NOUNS))], "text"),
        ([f"{name}@{host}.com" for name, host in zip(letters(8), drawn(["gmail", "gmx"]), strict=True)], "text"),
        (letters(8), "dropped"),
        ([f"id-{i}" for i in range(ROWS)], "dropped"),
        ([f"order number {i}" for i in range(ROWS)], "dropped"),
        (hexadecimal(8, 4, 4, 4, 12), "dropped"),
        ([f"+49 30 {i:04} {i * 7:05}" for i in range(ROWS)], "dropped"),
    ],
    ids=["titles", "numbered titles", "mail", "words", "ids", "orders", "uuids", "telephones"],
)
def test_text_that_shares_words_is_free_text_and_what_shares_none_an_identifier(cells, kind):
    assert len(set(cells)) == ROWS
    assert read_column("x", pd.Series(cells)).info.kind == kind


def test_text_that_was_asked_for_and_shares_no_words_says_so():
    column = read_column("x", pd.Series(letters(8)), kind="text")
    assert column.notes == ("Column 'x' contributes little: hardly a word of it stands in several rows.",)
    assert read_column("x", pd.Series(drawn(ADJECTIVES, NOUNS)), kind="text").notes == ()


# ---------------------------------------------------------------- rare levels


def test_categories_whose_levels_are_too_rare_say_so():
    pairs = [f"{word}" for word in letters(6)[: ROWS // 2] for _ in range(2)]
    (note,) = notes(pairs)
    assert note.startswith("Column 'x' contributes nothing: 0 of 1")
    assert note.endswith(" levels stand in 3 training rows or more; --as 'x=text' reads its words.")
    some = ["often"] * 30 + pairs[30:]
    (note,) = notes(some)
    assert note.startswith("Column 'x' contributes little: 1 of 1")
    assert notes(["often"] * 200 + pairs[200:]) == []
    assert notes(["often", "too"] * 100 + [None] * 100) == []
    assert notes(pairs[:100] + [None] * 200)[0].startswith("Column 'x' contributes nothing: 0 of ")


# ---------------------------------------------------------------- sentinels, codes, scores


def test_a_sentinel_is_named_with_the_option_that_makes_it_missing():
    ages = GENERATOR.integers(1, 80, ROWS)
    (note,) = notes(np.where(np.arange(ROWS) % 20 == 0, -999, ages))
    assert note == (
        "Column 'x' holds -999 in some rows, far from all other numbers: if that means missing, --missing '-999'."
    )
    assert notes(np.where(np.arange(ROWS) % 20 == 0, -999, ages), missing=["-999"]) == []
    assert "holds 9999 in some rows" in notes(np.where(np.arange(ROWS) % 20 == 0, 9999, ages))[0]
    assert "holds -9 in some rows" in notes(np.where(np.arange(ROWS) % 20 == 0, -9, ages * 50))[0]
    assert notes(np.where(np.arange(ROWS) == 0, -999, ages)) == []
    assert notes(np.where(np.arange(ROWS) % 20 == 0, 99, ages)) == []
    assert notes(np.where(np.arange(ROWS) % 20 == 0, -999, GENERATOR.normal(0, 900, ROWS).round())) == []


def test_codes_and_scores_in_halves_are_named_with_the_option_that_makes_them_categories():
    table = frame(ROWS, plan=GENERATOR.integers(1, 4, ROWS), site=GENERATOR.integers(0, 5, ROWS) * 10)
    table["score"] = GENERATOR.integers(2, 11, ROWS) / 2
    assert read_table("table", table, "kind").notes == [
        "Columns 'plan' (1, 2, 3), 'site' (0, 10, 20, 30, 40) hold few different whole numbers and are read as "
        "numbers: if such numbers are codes, --as 'plan=category'.",
        "Column 'score' (1 to 5) holds numbers in steps of a half and is read as a number: if they are codes, "
        "--as 'score=category'.",
    ]
    assert notes(GENERATOR.integers(0, 2, ROWS)) == []
    assert notes(GENERATOR.integers(0, 40, ROWS)) == []
    assert notes([0] * (ROWS - 4) + [1, 2, 2, 3]) == []


@pytest.mark.parametrize("different", [30, ROWS])
def test_numbers_that_begin_with_a_zero_are_codes(different):
    zips = np.resize([f"{501 + 331 * i:05}" for i in range(different)], ROWS)
    column = read_column("zip", pd.Series(zips))
    if different < ROWS / 2:
        assert column.info.kind == "category"
        assert column.notes == (
            "Column 'zip' is read as a category, since some of its numbers begin with a zero ('00501'): if they are "
            "quantities, --as 'zip=number'.",
        )
    else:
        assert column.info.kind == "number"
        assert "some begin with a zero ('00501'): if they are codes, --as 'zip=category'." in column.notes[0]
    assert read_column("zip", pd.Series(zips), kind="number").values.iloc[0] == 501
    assert read_column("zip", pd.Series([0, 5, 10] * 10)).notes == ()
    assert read_column("zip", pd.Series(["0", "0.5", "10"] * 10)).notes == ()


# ---------------------------------------------------------------- duplicates


def test_duplicates_are_counted_as_the_rows_were_given():
    table = frame(ROWS, when=GENERATOR.integers(0, 9, ROWS).astype(str)).round({"size": 0})
    assert any("repeat another row" in note for note in read_table("t", table, "kind").info().notes)
    table["row"] = [f"r{i}" for i in range(ROWS)]
    for options in ({}, {"drop": ["row"]}):
        assert not any("repeat another row" in note for note in read_table("t", table, "kind", **options).info().notes)
