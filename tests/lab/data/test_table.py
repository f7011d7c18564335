"""Tables: roles of columns, features fitted on training rows alone, and what is left out on request."""

import numpy as np
import pandas as pd
import pytest
import torch

from anymax.lab.errors import DataError
from anymax.lab.training import backbones
from tests.lab.calls import read_table
from tests.lab.data.tables import frame, kinds


def refused(table, target="kind", **options):
    with pytest.raises(DataError) as error:
        read_table("table", table, target, **options)
    assert str(error.value).endswith(".")
    return str(error.value)


# ---------------------------------------------------------------- groups


def test_a_class_of_few_groups_is_noted_and_not_measured():
    table = frame(group=np.arange(300) // 6)
    table.loc[:5, "kind"] = "one group"
    dataset = read_table("rare", table, "kind", group="group")
    assert [dataset.class_names[i] for i in dataset.measured_ids] == ["a", "b"]
    info = dataset.info()
    assert info.measured_classes == 2
    assert any("one group (6)" in note and "the other 2 classes" in note for note in info.notes)


def test_groups_that_cannot_be_split_are_refused():
    table = frame(group=np.arange(300) % 3)
    assert refused(table, group="group") == "Group column 'group' holds 3 different values: expected 5 or more."
    assert "is empty in 1 row" in refused(frame(group=[None, *range(299)]), group="group")
    by_class = frame(group=np.arange(300) // 6).sort_values("kind").reset_index(drop=True)
    assert "cannot be group= and drop=" in refused(by_class, group="group", drop=["group"])


# ---------------------------------------------------------------- time


def test_classes_that_came_later_are_noted():
    table = frame(t=range(300))
    table.loc[290:, "kind"] = "new"
    info = read_table("drift", table, "kind", time="t").info()
    assert (info.measured_classes, info.num_classes) == (2, 3)
    assert any("new (10)" in note and "as the parts follow each other in time" in note for note in info.notes)


def test_times_that_cannot_be_read_are_refused():
    assert "cannot be put in order" in refused(frame(when=["soon"] * 300), time="when")
    assert "is empty in 1 row, first in row 3" in refused(frame(when=[1, 2, None, *range(297)]), time="when")
    assert "too few different times" in refused(frame(when=[1] * 150 + [2] * 150), time="when")
    assert "the day may come first" in refused(frame(when=["01/02/2024", "02/03/2024"] * 150), time="when")
    ordered = frame(when=range(300)).assign(kind=["a"] * 150 + ["b"] * 150)
    assert "fewer than two classes are in every part" in refused(ordered, time="when")
    assert "give one of them" in refused(frame(when=range(300)), time="when", group="when")


# ---------------------------------------------------------------- left out, or read as asked


def test_columns_are_left_out_and_read_as_asked():
    table = frame(code=np.arange(300) % 7, other=range(300))
    dataset = read_table("asked", table, "kind", drop=["size"], kinds={"code": "category", "other": "number"})
    assert kinds(dataset) == {"kind": "target", "size": "dropped", "code": "category", "other": "number"}
    assert dataset.parts(0).train.inputs.shape[1] == 8


def test_what_is_asked_and_cannot_be_is_refused():
    table = frame(word=["x", "2"] * 150)
    assert "There is no column 'no' to be used by drop=" in refused(table, drop=["no"])
    assert "There is no column 'no' to be used by kinds=" in refused(table, kinds={"no": "text"})
    assert "names no kind: expected one of number, category, date, text." in refused(table, kinds={"word": "image"})
    assert "cannot be read as number: row 1 holds 'x'" in refused(table, kinds={"word": "number"})
    assert "cannot be read as date: row 1 holds 'x'" in refused(table, kinds={"word": "date"})
    assert "cannot be the target and drop=" in refused(table, drop=["kind"])


# ---------------------------------------------------------------- many levels, free text, dates


def levels(rows=900):
    return [f"city {i % 100:02}" for i in range(rows)]


def test_many_frequent_levels_are_embedded_and_rare_ones_share_level_0():
    city = levels()
    city[0] = "rare"
    dataset = read_table("cities", frame(900, city=city), "kind")
    parts = dataset.parts(0)
    train = dataset.rows(0)[0]
    counts = pd.Series(city).iloc[train].value_counts()
    assert parts.embedded_levels == (int((counts >= 3).sum()) + 1,)
    ids = parts.train.inputs[:, -1]
    assert ids.max() == parts.embedded_levels[0] - 1
    for row, level in zip(train, ids.tolist(), strict=True):
        assert (level == 0) == (counts[city[row]] < 3)


def test_embedded_levels_reach_the_features_and_are_trained():
    parts = read_table("cities", frame(900, city=levels()), "kind").parts(0)
    backbone = backbones.build("classification", parts)
    backbone(parts.train.inputs).sum().backward()
    assert backbone.embed is not None
    (embedding,) = backbone.embed.embeddings
    assert not embedding.weight[0].any()
    assert (embedding.weight.grad.abs().sum(1) > 0).any()
    row = parts.train.inputs[:1].repeat(2, 1)
    row[:, -1] = torch.tensor([1.0, 2.0])
    assert not torch.equal(*backbone(row).detach())


def test_numbers_come_first_and_are_counted_without_indicators_levels_and_terms():
    random = np.random.default_rng(0)
    gaps = np.where(random.random(300) < 0.2, np.nan, random.normal(size=300))
    text = [f"word{i % 7} and more of it {i}" for i in range(300)]
    table = frame(300, gaps=gaps, text=text, letter=list("abc") * 100)
    table["hardly ever"] = [0.25] * 299 + [7.5]
    dataset = read_table("mixed", table, "kind")
    repeat = next(i for i in range(9) if 299 not in dataset.rows(i)[0])  # so that the training part holds one value
    parts = dataset.parts(repeat)
    assert list(dataset.numbers.columns) == ["size", "gaps", "hardly ever"]
    assert parts.numbers == 2
    rows = dataset.rows(repeat)[0]
    filled = dataset.numbers[["size", "gaps"]].iloc[rows]
    filled = filled.fillna(filled.median())
    expected = ((filled - filled.mean()) / filled.std(ddof=0)).to_numpy()
    np.testing.assert_allclose(parts.train.inputs[:, :2], expected, rtol=1e-4, atol=1e-5)
    assert set(parts.train.inputs[:, 2].sign().tolist()) == {-1.0, 1.0}  # the indicator
    assert read_table("words", table[["text", "kind"]], "kind").parts(0).numbers == 0


def test_cells_of_the_test_part_alone_change_nothing_fitted():
    generator = np.random.default_rng(4)
    words = np.array(["the", "cat", "sat", "on", "a", "mat", "while", "dogs", "ran", "far", "away", "home"])
    text = [" ".join(generator.choice(words, size=6)) for _ in range(900)]
    when = [f"20{generator.integers(10, 20)}-0{generator.integers(1, 9)}-11" for _ in range(900)]
    table = frame(900, city=levels(), text=text, when=when)
    plain = read_table("plain", table, "kind")
    assert kinds(plain) == {"kind": "target", "size": "number", "city": "category", "text": "text", "when": "date"}
    test = plain.rows(0)[2]
    planted = table.copy()
    planted.loc[test[:5], "city"] = "planted"
    planted.loc[test[:5], "text"] = "words that never stood here before now"
    planted.loc[test[:5], "when"] = "2099-12-31"
    planted.loc[test[:5], "size"] = 1e6
    ours, theirs = plain.parts(0), read_table("planted", planted, "kind").parts(0)
    assert ours.embedded_levels == theirs.embedded_levels
    assert torch.equal(ours.train.inputs, theirs.train.inputs)
    assert torch.equal(ours.validation.inputs, theirs.validation.inputs)
    assert torch.equal(ours.test.inputs[5:], theirs.test.inputs[5:])
    assert not torch.equal(ours.test.inputs[:5], theirs.test.inputs[:5])
    assert set(theirs.test.inputs[:5, -1].tolist()) == {0.0}
    assert ours.train.inputs.dtype == torch.float32
    fitted = [backbones.build("classification", parts).network.embed for parts in (ours, theirs)]
    assert torch.equal(fitted[0].starts, fitted[1].starts)
    assert torch.equal(fitted[0].slopes, fitted[1].slopes)


def test_classes_named_nan_stand_behind_the_numbers():
    names = ["-inf", *(str(i) for i in range(20)), "NAN", "NaN", "nan"]
    frame = pd.DataFrame({"size": range(0, 240, 2), "kind": names[::-1] * 5})
    assert read_table("grades", frame, "kind").class_names == names


ALIKE = "differ only in capitals, in spaces or in how a number is written: each stays a class of its own."


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["yes", "Yes", "no"], f"Classes 'Yes' and 'yes' {ALIKE}"),
        (["1", "1.0", "2"], f"Classes '1' and '1.0' {ALIKE}"),
        (["1", " 1", "2\xa0"], f"Classes ' 1' and '1' {ALIKE}"),
        (["a b", "a\tB", "A B"], rf"Classes 'A B' and 'a\tB', 'A B' and 'a b' {ALIKE}"),
        (["10", "1_0", "nan", "1e"], None),
        (["10000000000000001", "10000000000000000"], None),
        (["nan", "NaN", "Infinity", "inf"], f"Classes 'Infinity' and 'inf', 'NaN' and 'nan' {ALIKE}"),
        (["q" * 5000, "Q" * 5000], f"Classes '{'Q' * 40}…' and '{'q' * 40}…' {ALIKE}"),
        (
            [form for letter in "abcdefg" for form in (letter, letter.upper())],
            f"Classes 'A' and 'a', 'B' and 'b', 'C' and 'c', 'D' and 'd', 'E' and 'e' and 2 more pairs {ALIKE}",
        ),
        (
            [form for letter in "abcdef" for form in (letter, letter.upper())],
            f"Classes 'A' and 'a', 'B' and 'b', 'C' and 'c', 'D' and 'd', 'E' and 'e' and 1 more pair {ALIKE}",
        ),
    ],
)
def test_classes_that_are_hardly_told_apart_are_named_and_kept_apart(names, note):
    table = frame()
    table["kind"] = np.resize(names, 300)
    dataset = read_table("table", table, "kind")
    assert set(dataset.class_names) == set(names)
    assert [found for found in dataset.notes if "class of its own" in found] == ([note] if note else [])


LATER = "if the model is to be used on later rows than it was trained on"


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["sent"], f"Column 'sent' holds dates: {LATER}, --time 'sent' tests it on the latest ones."),
        (
            ["sent", "paid"],
            f"Columns 'sent', 'paid' hold dates: {LATER}, --time with one tests it on the latest ones.",
        ),
        (
            list("abcdefg"),
            f"Columns 'a', 'b', 'c', 'd', 'e' and 2 more hold dates: {LATER}, --time with one tests it on the "
            "latest ones.",
        ),
    ],
)
def test_one_note_names_all_columns_of_dates(names, note):
    generator = np.random.default_rng(0)
    days = {name: pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 99, 300), "D") for name in names}
    table = frame(**days)
    dataset = read_table("table", table, "kind")
    assert [kind for kind in kinds(dataset).values() if kind == "date"] == ["date"] * len(names)
    assert dataset.notes == [note]
    assert read_table("table", table, "kind", time=names[0]).notes == []


def test_tested_rows_are_numbered_as_they_stand_in_the_source():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"x": random.normal(size=200), "kind": random.choice(["a", "b"], 200)})
    table.loc[random.choice(200, 60, replace=False), "kind"] = None
    dataset = read_table("gaps", table, "kind")
    tested = np.concatenate([dataset.parts(repeat).tested.row for repeat in range(5)])
    assert sorted(tested) == np.flatnonzero(table["kind"].notna()).tolist()
    for repeat in range(5):
        items = dataset.parts(repeat).tested
        assert [dataset.class_names[target] for target in items.target] == table["kind"].iloc[items.row].tolist()
