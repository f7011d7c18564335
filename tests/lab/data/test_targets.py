"""Targets of several labels: however they are written they are read alike, and what is none is one sentence."""

import numpy as np
import pandas as pd
import pytest

from anymax.lab.data import targets
from anymax.lab.errors import DataError
from tests.lab.calls import load
from tests.lab.data.labelled import NAMES, label_frame, labelled, list_frame

SEVERAL = {"target": NAMES}


def refused(source, **options) -> str:
    with pytest.raises(DataError) as raised:
        load(source, **options)
    return str(raised.value)


@pytest.mark.parametrize(
    "kind", ["yes", "0", "false", "arrays", "npz", "csv", "separated", "lists", "parquet", "jsonl"]
)
def test_all_ways_to_write_labels_are_read_alike(kind, tmp_path):
    features, has = labelled()
    frame, lists = label_frame(), list_frame()
    options = SEVERAL
    if kind == "yes":
        source = frame
    elif kind in ("0", "false"):
        source = frame.assign(**dict(zip(NAMES, has.T.astype(int if kind == "0" else bool), strict=True)))
    elif kind == "arrays":
        source, options = (features, has.astype(np.float32)), {}
    elif kind == "npz":
        source, options = tmp_path / "d.npz", {}
        np.savez(source, X=features, y=has.astype(int))
    elif kind == "csv":
        source, options = tmp_path / "d.csv", {"target": "news, sports,science"}
        frame.to_csv(source, index=False)
    else:
        source, options = tmp_path / f"d.{kind}", {"target": "tags"}
        if kind == "separated":
            cells = lists.tags.map(lambda row: " ; ".join([*row, ""]))
            source, options = lists.assign(tags=cells), options | {"target_separator": ";"}
        elif kind == "lists":
            source = lists
        elif kind == "parquet":
            lists.to_parquet(source)
        else:
            lists.to_json(source, orient="records", lines=True)
    dataset = load(source, **options)
    info = dataset.info()
    names = [f"y{i}" for i in range(3)] if kind in ("arrays", "npz") else NAMES
    assert dataset.task == "multilabel"
    assert sorted(info.class_names) == sorted(names)
    assert np.array_equal(dataset.classes[:, [info.class_names.index(name) for name in names]], has)
    assert info.class_counts == dataset.classes.sum(0).tolist()
    assert "57 of 300 rows have no label." in info.notes
    assert [column.name for column in info.columns if column.kind != "target"] == (
        [f"x{i}" for i in range(4)] if kind in ("arrays", "npz") else list("abcd")
    )


def test_parts_hold_the_labels_of_their_rows():
    dataset = load(label_frame(), **SEVERAL)
    parts = dataset.parts(0)
    train, _, test = dataset.rows(0)
    assert np.array_equal(parts.train.targets.numpy(), dataset.classes[train].astype(np.float32))
    assert np.array_equal(parts.tested.target, dataset.classes[test])
    assert parts.class_counts.tolist() == dataset.classes[train].sum(0).tolist()


def test_other_labels_of_the_same_rows_are_other_data():
    frame = label_frame()
    # as many rows with each
    other = frame.assign(news=frame.news.to_numpy()[::-1])
    assert load(frame, **SEVERAL).info().fingerprint != load(other, **SEVERAL).info().fingerprint


def test_a_column_with_commas_in_its_name_is_one_column():
    frame = label_frame().assign(**{"news,sports": np.resize(["x", "y"], 300)})
    assert load(frame, target="news,sports").info().class_names == ["x", "y"]


def test_rows_without_a_value_are_left_out_and_those_without_a_label_stay():
    frame = label_frame()
    frame.loc[:6, "sports"] = None
    dataset = load(frame, **SEVERAL)
    assert len(dataset.classes) == 293
    assert "7 rows without a value in 'news', 'sports', 'science' left out." in dataset.info().notes
    lists = list_frame()
    lists.at[0, "tags"] = None
    assert len(load(lists, target="tags").classes) == 299
    separated = lists.assign(tags=list_frame().tags.map(";".join).replace("", None))
    assert len(load(separated, target="tags", target_separator=";").classes) == 300


def test_labels_that_exclude_each_other_may_be_classes():
    frame = label_frame().assign(news=np.resize([1, 0], 300), sports=np.resize([0, 1], 300)).drop(columns="science")
    (note,) = [note for note in load(frame, target=("news", "sports")).info().notes if "exactly one" in note]
    assert note.startswith("Every row has exactly one label: ")


def test_classes_that_look_like_lists_are_named():
    joined = list_frame().assign(tags=list_frame().tags.map(";".join).replace("", "none"))
    (note,) = [note for note in load(joined, target="tags").info().notes if "look like lists" in note]
    assert note.startswith("Classes such as 'news;science' look like lists: --target-separator ';' makes each part")
    names = joined.assign(tags=np.resize(["Smith; John", "Doe; Jane", "Roe; Richard", "x"], 300))
    assert not [note for note in load(names, target="tags").info().notes if "look like lists" in note]


@pytest.mark.parametrize("rows", [3, 297])
def test_a_label_that_few_rows_have_or_lack_is_named_and_not_measured(rows):
    frame = label_frame().assign(odd=np.arange(300) < rows)
    dataset = load(frame, target=(*NAMES, "odd"))
    assert dataset.measured_ids == [0, 1, 2]
    (note,) = [note for note in dataset.info().notes if f"odd ({rows})" in note]
    assert note.endswith(f"odd ({rows}); measures per label are taken over the other 3 labels.")


def test_labels_are_in_the_order_of_their_numbers_and_those_alike_are_named():
    tags = list_frame().tags.map(lambda row: [{"news": "10", "sports": "9", "science": "9.0"}[name] for name in row])
    info = load(list_frame().assign(tags=tags), target="tags").info()
    assert info.class_names == ["9", "9.0", "10"]
    assert [note for note in info.notes if note.startswith("Labels '9' and '9.0' differ only in ")]


def test_a_column_that_gives_a_label_away_is_named():
    frame = label_frame()
    dataset = load(frame.assign(trace=(frame.sports == "yes") * 2.5 + np.linspace(0, 1, 300)), **SEVERAL)
    (note,) = [note for note in dataset.info().notes if "trace" in note]
    assert note.startswith("Column 'trace' alone predicts the label 'sports' of 100.0% of the rows")


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (
            {"sports": "maybe"},
            SEVERAL,
            "Target column 'sports' holds 'maybe': of several target columns each is a label, with cells of 0 and 1, "
            "true and false, or yes and no.",
        ),
        (
            {"sports": 0},
            SEVERAL,
            "Target column 'sports' says no in every row, so there is nothing to learn: leave it out of target=.",
        ),
        ({"sports": 1}, SEVERAL, "Target column 'sports' says yes in every row"),
        ({}, {"target": ("news", "sport")}, "There is no column 'sport' to be the target: the columns are "),
        ({}, {"target": "news,sport"}, "There is no column 'sport' to be the target: the columns are "),
        ({}, {**SEVERAL, "drop": ["news"]}, "Column 'news' cannot be the target and drop=: name it for one of them."),
        (
            {},
            {**SEVERAL, "target_separator": ";"},
            "target_separator= cuts the cells of one target column: name one, or leave it out.",
        ),
        (
            {"news": np.arange(300) < 3, "sports": np.arange(300) > 2},
            {"target": ("news", "sports")},
            "Of the 2 labels none has the 5 rows with it, and as many without, ",
        ),
    ],
)
def test_columns_that_are_no_labels_are_one_sentence(change, options, said):
    assert refused(label_frame().assign(**change), **options).startswith(said)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ([["news"], "sports"], "holds a list within a list (row 2): expected a list of labels in each cell."),
        (["news", None], "holds a list with an empty label (row 2)"),
        (["news", " "], "holds a list with an empty label (row 2)"),
        ("news", "holds lists, and 'news' (row 2)"),
    ],
)
def test_lists_that_hold_no_labels_are_one_sentence(cell, said):
    frame = list_frame()
    frame.at[1, "tags"] = cell
    assert refused(frame, target="tags").startswith(f"Target column 'tags' {said}")


def test_other_lists_are_one_sentence(monkeypatch):
    frame = list_frame()
    only = frame.assign(tags=pd.Series([["news"]] * 150 + [[]] * 150))
    assert refused(only, target="tags").startswith("Target column 'tags' holds the label 'news' only: ")
    assert refused(frame, target="tags", target_separator=";") == (
        "Target column 'tags' holds lists already: leave target_separator= out."
    )
    long = frame.assign(tags=frame.tags.map(lambda row: [name * 3000 for name in row]))
    assert "expected the names of labels, of " in refused(long, target="tags")
    monkeypatch.setattr(targets, "MOST_CELLS", 3 * 300 - 1)
    assert "holds 3 different labels in 300 rows: that is more than 899 decisions" in refused(frame, target="tags")
    assert "holds several values in one cell" in refused(frame.assign(kind="a"), target="kind")
    assert "has 3 dims" in refused((np.zeros((9, 2)), np.zeros((9, 2, 2))))
    assert refused(frame, target="tags", target_separator="").startswith("target_separator= is empty")
