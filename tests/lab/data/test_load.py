"""Data: what is read, what is refused, and that nothing is fitted on the test part."""

import gzip

import numpy as np
import pandas as pd
import pytest
import torch

from anymax.lab.data.columns import read_column
from anymax.lab.data.dataset import IGNORED
from anymax.lab.data.text import BLOCKS, TextDataset, words_of
from anymax.lab.errors import DataError
from tests.lab.calls import load, read_table


def table(**columns):
    """Sixty rows, two classes, one informative number, and what else is given."""
    generator = np.random.default_rng(0)
    return pd.DataFrame({"size": generator.normal(size=60).round(3), "kind": ["a", "b"] * 30, **columns})


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.csv"):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return str(path)

    return write


def kinds(dataset):
    return {column.name: column.kind for column in dataset.columns}


# ---------------------------------------------------------------- built in


@pytest.mark.parametrize(("name", "num_classes"), [("digits", 10), ("wine", 3), ("breast-cancer", 2)])
def test_built_in_tables_split_60_20_20_with_every_class_in_every_part(name, num_classes):
    dataset = load(name)
    info, parts = dataset.info(), dataset.parts(0)
    assert info.num_classes == num_classes == len(info.class_names)
    total = info.train_items + info.validation_items + info.test_items
    assert sum(info.class_counts) == total
    assert info.test_items / total == pytest.approx(0.2, abs=0.01)
    assert info.validation_items / total == pytest.approx(0.2, abs=0.01)
    for part in (parts.train, parts.validation, parts.test):
        assert set(part.targets.tolist()) == set(range(num_classes))
        assert torch.isfinite(part.inputs).all()
    assert parts.class_counts.tolist() == torch.bincount(parts.train.targets).tolist()


def test_pydoc_takes_each_line_once_and_cuts_windows_within_blocks():
    dataset = load("pydoc")
    assert isinstance(dataset, TextDataset)
    info, parts = dataset.info(), dataset.parts(0)
    assert not info.splits_redrawn
    assert dataset.parts(0) is dataset.parts(1)
    assert info.num_classes == len(parts.class_counts) > 1500
    # every word of a block but its first is predicted once
    words = sum(info.class_counts)
    assert info.train_items + info.validation_items + info.test_items == words - BLOCKS
    assert sum("<unk>" in note for note in info.notes) == 1


# ---------------------------------------------------------------- text


def test_words_of_takes_a_line_once():
    assert words_of(["a b, c", "  a b, c ", "d"]) == ["a", "b", ",", "c", "d"]


def test_no_window_crosses_a_cut():
    words = [f"w{i}" for i in range(200)] * 2
    dataset = TextDataset("numbers", words)
    parts = dataset.parts(0)
    for part, blocks in zip((parts.train, parts.validation, parts.test), dataset.blocks, strict=True):
        ids = [[dataset.vocabulary.get(word, 0) for word in block] for block in blocks]
        kept = part.targets != IGNORED
        assert part.targets[kept].tolist() == [i for block in ids for i in block[1:]]
        assert part.inputs[kept].tolist() == [i for block in ids for i in block[:-1]]


def test_a_word_of_the_test_blocks_alone_changes_nothing_fitted():
    generator = np.random.default_rng(0)
    words = [f"w{i}" for i in generator.zipf(1.5, size=2000) % 50]
    planted = list(words)
    for i in range(800, 900):  # the ninth of twenty blocks is a test block
        planted[i] = "planted"
    without, with_it = TextDataset("text", words), TextDataset("text", planted)
    assert with_it.blocks[2][0] == ["planted"] * 100
    assert with_it.vocabulary == without.vocabulary
    assert torch.equal(with_it.parts(0).class_counts, without.parts(0).class_counts)
    assert torch.equal(with_it.parts(0).train.inputs, without.parts(0).train.inputs)
    # and the planted word itself counts as unknown
    assert set(with_it.parts(0).test.targets[0].tolist()) == {0}


# ---------------------------------------------------------------- nothing is fitted on the test part


def test_values_of_the_test_part_alone_change_nothing_fitted():
    generator = np.random.default_rng(1)
    frame = table(colour=generator.choice(["red", "green", "blue"], size=60), weight=generator.normal(size=60))
    dataset = read_table("plain", frame, "kind")
    train, _, test = dataset.rows(0)
    planted_frame = frame.copy()
    planted_frame.loc[test[0], "colour"] = "planted"
    planted_frame.loc[test[1], "weight"] = 1e6
    planted_frame.loc[test[2], "weight"] = np.nan
    planted_frame.loc[test[3], "colour"] = np.nan
    planted = read_table("planted", planted_frame, "kind")
    assert np.array_equal(planted.rows(0)[0], train)

    def fitted(dataset):
        preparation, varying = dataset.fit_preparation(train)
        imputer, scaler, _ = (step for _, step in preparation.named_transformers_["numbers"].steps)
        encoder = preparation.named_transformers_["categories"]
        return {
            "imputed": imputer.statistics_,
            "indicators": imputer.indicator_.features_,
            "mean": scaler.mean_,
            "scale": scaler.scale_,
            "categories": encoder.categories_[0].astype(str),
            "columns": encoder.get_feature_names_out(),
            "varying": varying.get_support(),
        }

    before, after = fitted(dataset), fitted(planted)
    for key, value in before.items():
        assert np.array_equal(value, after[key]), key
    plain_parts, planted_parts = dataset.parts(0), planted.parts(0)
    assert torch.equal(plain_parts.train.inputs, planted_parts.train.inputs)
    assert torch.equal(plain_parts.validation.inputs, planted_parts.validation.inputs)
    assert torch.equal(plain_parts.class_counts, planted_parts.class_counts)
    assert not torch.equal(plain_parts.test.inputs, planted_parts.test.inputs)
    assert torch.isfinite(planted_parts.test.inputs).all()


@pytest.mark.parametrize("values", [["planted", None], [7.5, None], [1.0, 0.0]])
def test_a_column_with_values_in_the_test_part_alone_changes_nothing(values):
    """Text or numbers that training rows lack, or a number that is the same in all of them."""
    dataset = read_table("plain", table(), "kind")
    test = dataset.rows(0)[2]
    column = pd.Series([values[1]] * 60, dtype=object)
    column[test[:3]] = values[0]
    planted = read_table("planted", table(column=column), "kind")
    ours, theirs = dataset.parts(0), planted.parts(0)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(ours, part).inputs, getattr(theirs, part).inputs)


def test_features_that_do_not_vary_in_training_are_refused():
    frame = pd.DataFrame({"x": [0.0] * 60, "y": ["a", "b"] * 30})
    frame.loc[read_table("varying", frame.assign(x=range(0, 120, 2)), "y").rows(0)[2], "x"] = 1.0
    with pytest.raises(DataError, match="No feature column of 'constant' varies within the training part"):
        read_table("constant", frame, "y").parts(0)


# ---------------------------------------------------------------- columns


def test_columns_are_read_as_what_they_hold(write):
    generator = np.random.default_rng(2)
    frame = table(
        row=range(1, 61),
        code=[f"id-{i}" for i in range(60)],
        constant="same",
        colour=generator.choice(["red", "green"], size=60),
        count=generator.integers(0, 5, size=60),
        missing=[None, 1.5, 2.5] * 20,
        country=generator.choice(["NA", "DE", "FR"], size=60),
    )
    dataset = load(write(frame), target="kind")
    assert kinds(dataset) == {
        "kind": "target",
        "size": "number",
        "row": "dropped",
        "code": "dropped",
        "constant": "dropped",
        "colour": "category",
        "count": "number",
        "missing": "number",
        "country": "category",
    }
    infos = {column.name: column for column in dataset.columns}
    assert infos["missing"].missing == 20
    assert infos["country"].missing == 0
    assert infos["code"].why == "holds text that is different in every row"
    assert infos["constant"].why == "holds 'same' in every row"
    assert "counts the rows" in infos["row"].why
    # size, count, missing with its indicator, two colours, three countries
    assert dataset.parts(0).train.inputs.shape[1] == 3 + 1 + 2 + 3


def test_a_number_column_with_a_word_in_it_is_named():
    column = read_column("age", pd.Series([str(i % 30) for i in range(50)] + ["?"]))
    assert column.info.kind == "category"
    assert "Column 'age' is read as a category because 1 row hold no number ('?')" in column.notes[0]


def test_rare_levels_share_one_column_and_unknown_ones_join_them():
    colour = ["red"] * 20 + ["blue"] * 20 + [f"rare-{i // 2}" for i in range(20)]
    dataset = read_table("colours", table(colour=colour), "kind")
    encoder = dataset.fit_preparation(np.arange(60))[0].named_transformers_["categories"]
    assert list(encoder.get_feature_names_out()) == ["colour_blue", "colour_red", "colour_infrequent_sklearn"]
    assert encoder.transform(pd.DataFrame({"colour": ["never seen"]})).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_are_recognised(write, separator):
    text = table(colour=["red", "green", "blue"] * 20).to_csv(index=False, sep=separator)
    assert kinds(load(write(text), target="kind")) == {"size": "number", "kind": "target", "colour": "category"}


def test_decimal_commas_are_numbers_where_a_semicolon_separates(write):
    text = table().to_csv(index=False, sep=";", decimal=",")
    assert kinds(load(write(text), target="kind"))["size"] == "number"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_are_recognised(write, line_end):
    text = table().to_csv(index=False).replace("\n", line_end)
    assert load(write(text.encode()), target="kind").info().class_counts == [30, 30]


def test_a_name_with_a_line_break_stays_in_one_sentence(write):
    frame = table().rename(columns={"size": "the\nsize"})
    assert "the columns are 'the size', 'kind'." in refused(write(frame), "colour")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_encodings_are_recognised(write, encoding):
    text = table(ort=["Köln", "Zürich"] * 30).to_csv(index=False)
    dataset = load(write(text.encode(encoding)), target="ort")
    assert dataset.info().class_names == ["Köln", "Zürich"]
    assert any("was read as cp1252 ('Köln')" in note for note in dataset.info().notes) == (encoding == "latin-1")


def test_a_class_with_one_row_goes_into_training_and_stays_a_class(write):
    frame = table()
    frame.loc[7, "kind"] = "alone"
    dataset = load(write(frame), target="kind")
    for repeat in range(5):
        parts = dataset.parts(repeat)
        alone = dataset.info().class_names.index("alone")
        assert parts.class_counts[alone] == 1
        assert alone not in parts.validation.targets
        assert alone not in parts.test.targets
    assert alone not in dataset.measured_ids
    assert any("alone (1)" in note and "the other 2 classes" in note for note in dataset.info().notes)


def test_missing_values_and_rows_without_target_are_no_bad_input(write):
    frame = table(weight=[None, *range(59)])
    frame.loc[[3, 4], "kind"] = None
    dataset = load(write(frame), target="kind")
    info = dataset.info()
    assert sum(info.class_counts) == 58
    assert "2 rows without a value in 'kind' left out." in info.notes
    assert torch.isfinite(dataset.parts(0).train.inputs).all()


def test_duplicate_rows_are_counted(write):
    frame = pd.concat([table(), table().iloc[:30]])
    note = next(note for note in load(write(frame), target="kind").info().notes if "repeat another row" in note)
    assert note.startswith("30 of 90 rows repeat another row exactly; in the first repeat ")


def test_numeric_classes_are_in_numeric_order(write):
    dataset = load(write(table(grade=[10, 9, 2] * 20)), target="grade")
    assert dataset.info().class_names == ["2", "9", "10"]


# ---------------------------------------------------------------- bad input


def refused(source, target=None):
    with pytest.raises(DataError) as error:
        load(source, target=target)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith((".", "?"))
    return message


def test_unknown_data_name():
    assert refused("digit") == (
        "There is no data set or file 'digit': expected digits, wine, breast-cancer, pydoc, "
        "or a .csv, .tsv, .parquet, .jsonl, .npz or .txt file. "
        "Did you mean 'digits'?"
    )


def test_a_missing_file():
    assert refused("/nowhere/data.csv", "y") == "There is no file '/nowhere/data.csv'."


def test_another_ending(write):
    assert "is a file ending in '.xlsx': expected a .csv, .tsv," in refused(write("a,b", "data.xlsx"), "y")


def test_a_folder(tmp_path):
    assert "is a folder" in refused(str(tmp_path))
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder" in refused(str(tmp_path / "folder.csv"), "y")


def test_a_target_beside_a_built_in_name():
    assert "'digits' brings its own target" in refused("digits", "class")


def test_no_target(write):
    assert "needs target=, the column that holds the classes: one of 'size', 'kind'." in refused(write(table()))


def test_an_unknown_column(write):
    assert refused(write(table()), "sort") == (
        "There is no column 'sort' to be the target: the columns are 'size', 'kind'."
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "a gzip archive"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"PAR1rest", "a Parquet file"),
        (b"\x80\x04\x95\x00", "a binary file"),
        (b"a,b\n1,\x00\n", "a binary file"),
        (b"%PDF-1.4", "a PDF document"),
        (b"<!DOCTYPE html><html></html>", "HTML or XML"),
        (b'{"a": 1}\n{"a": 2}\n', "JSON"),
        (b'[\n {"a": 1}\n]', "JSON"),
    ],
)
def test_a_file_that_is_not_what_its_ending_says(write, content, what):
    assert f"is named .csv but is {what}" in refused(write(content), "y")


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", "\u2028\n".encode()])
def test_an_empty_file(write, content):
    assert "is empty: expected a header line and rows." in refused(write(content), "y")


def test_a_header_alone(write):
    assert "has a header and no rows below it." in refused(write("a,b\n"), "b")


def test_ragged_rows(write):
    assert "is not a regular table" in refused(write("a,b\n1,2\n1,2,3\n"), "b")
    assert "is not a regular table" in refused(write("a,b\n1,2,3\n1,2,3\n"), "b")


def test_one_class_only(write):
    frame = table().assign(kind="a")
    assert "has one class only ('a', in all 60 rows)" in refused(write(frame), "kind")


def test_fewer_than_two_classes_that_can_be_split(write):
    frame = table().assign(kind=["a"] * 57 + ["b", "b", "c"])
    assert "has 3 classes, of which 1 has the 5 rows that a split" in refused(write(frame), "kind")


def test_a_target_without_any_value(write):
    assert "Target column 'kind' has no value at all." in refused(write(table().assign(kind=None)), "kind")


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999", "1e300"])
def test_infinite_features(write, cell):
    frame = table().astype({"size": str})
    frame.loc[4, "size"] = cell
    assert f"'size' holds an infinite number ('{cell}', row 5)" in refused(write(frame), "kind")


def test_a_feature_column_without_any_value(write):
    assert "Feature column 'empty' has no value at all" in refused(write(table(empty=None)), "kind")


def test_a_continuous_target(write):
    message = refused(write(table()), "size")
    assert "Target column 'size' looks continuous (" in message
    assert "different numbers in 60 rows)" in message


def test_no_feature_left(write):
    message = refused(write(table()[["kind"]].assign(constant=1)), "kind")
    assert message == "No feature column is left beside the target 'kind': 'constant' holds '1' in every row."
    assert "there is no other" in refused(write("kind\n" + "a\nb\n" * 10), "kind")


def test_two_columns_of_one_name(write):
    for header in ("a,a,y", "a,a ,y"):
        text = f"{header}\n" + "1,2,3\n" * 10
        assert "has 2 columns named 'a': rename all but one of them." in refused(write(text), "y")
