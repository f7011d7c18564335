"""Tables from every kind of file: the same cells give the same table, and what is wrong is one sentence."""

import gzip

import numpy as np
import pandas as pd
import pytest

from anymax.lab.errors import DataError
from tests.lab.calls import load

FEATURES = np.random.default_rng(0).normal(size=(60, 2)).round(3)
CLASSES = np.array(["a", "b"] * 30)


def table():
    return pd.DataFrame({"size": FEATURES[:, 0], "weight": FEATURES[:, 1], "kind": CLASSES})


def refused(source, **options):
    with pytest.raises(DataError) as error:
        load(source, **options)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_every_kind_of_file_gives_the_same_parts(tmp_path):
    table().to_csv(tmp_path / "d.tsv", sep="\t", index=False)
    table().to_parquet(tmp_path / "d.parquet")
    table().to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    np.savez(tmp_path / "d.npz", X=FEATURES, y=CLASSES)
    expected = load(table(), target="kind").parts(0)
    for ending in ("tsv", "parquet", "jsonl", "npz"):
        target = None if ending == "npz" else "kind"
        parts = load(tmp_path / f"d.{ending}", target=target).parts(0)
        assert parts.train.inputs.tolist() == expected.train.inputs.tolist(), ending
        assert parts.test.targets.tolist() == expected.test.targets.tolist(), ending
    assert load((FEATURES, CLASSES)).info().class_counts == [30, 30]


def test_more_cells_can_mean_missing(tmp_path):
    frame = table().astype({"size": str})
    frame.loc[3, "size"] = "?"
    frame.to_csv(tmp_path / "d.csv", index=False)
    frame.to_parquet(tmp_path / "d.parquet")
    for source in (tmp_path / "d.csv", tmp_path / "d.parquet", frame):
        column = next(c for c in load(source, target="kind", missing=["?"]).info().columns if c.name == "size")
        assert (column.kind, column.missing) == ("number", 1)
    assert next(c for c in load(frame, target="kind").info().columns if c.name == "size").kind != "number"


def test_an_array_of_images_is_flattened_and_nan_is_missing():
    images = np.random.default_rng(1).normal(size=(60, 2, 3))
    images[0, 0, 0] = np.nan
    info = load((images, np.arange(60) % 2 * 1.0)).info()
    assert info.class_names == ["0", "1"]
    assert "X has the shape (60, 2, 3): each row was flattened." in info.notes
    assert next(column for column in info.columns if column.name == "x0").missing == 1


def test_arrays_that_do_not_fit():
    assert "60 rows and y has 59" in refused((FEATURES, CLASSES[1:]))
    assert "holds object" in refused((FEATURES.astype(object), CLASSES))
    infinite = FEATURES.copy()
    infinite[4, 1] = np.inf
    assert "'x1' holds an infinite number" in refused((infinite, CLASSES))


def test_archives_that_do_not_fit(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, X=FEATURES)
    assert "has no array 'y'" in refused(path)
    np.savez(path, X=FEATURES.astype(object), y=CLASSES)
    assert "without Python objects" in refused(path)
    for content in (b"", b"PK\x03\x04broken", b"text"):
        path.write_bytes(content)
        assert "is not a NumPy archive" in refused(path)


def test_a_truncated_parquet_file(tmp_path):
    path = tmp_path / "d.parquet"
    table().to_parquet(path)
    path.write_bytes(path.read_bytes()[:200])
    assert "cannot be read as a Parquet file" in refused(path, target="kind")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', "Line 2 of"),
        (b'{"a": 1}\n[1]\n', "Line 2 of"),
        (b'{"a": [1, 2]}\n', "holds several values in one cell (row 1)"),
        (b"\n", "is empty"),
        (gzip.compress(b"{}", mtime=0), "a gzip archive"),
    ],
)
def test_json_lines_that_are_none(tmp_path, content, message):
    path = tmp_path / "d.jsonl"
    path.write_bytes(content)
    assert message in refused(path, target="a")


def test_two_columns_of_one_name_in_a_frame():
    frame = table().set_axis(["kind ", "size", "kind"], axis=1)
    assert "has 2 columns named 'kind'" in refused(frame, target="kind")


def test_names_that_are_no_text():
    assert load(table().set_axis([0, 1, 2], axis=1), target="2").info().class_counts == [30, 30]


def test_an_option_that_does_not_fit(tmp_path):
    assert "vocab_size= does not fit 'frame'" in refused(table(), target="kind", vocab_size=5)
    (tmp_path / "d.txt").write_text("a b\n")
    assert "group= does not fit" in refused(tmp_path / "d.txt", group="a")
