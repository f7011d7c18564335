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
        (b'{"a": {"b": 2}}\n', "holds several values in one cell (row 1)"),
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


# ---------------------------------------------------------------- columns that are dropped


def test_a_dropped_column_may_hold_anything(tmp_path):
    frame = table().assign(tags=[[1, 2], [3]] * 30, more=[{"a": 1}] * 60)
    frame.to_parquet(tmp_path / "d.parquet")
    frame.to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    expected = load(table(), target="kind").parts(0).train.inputs
    for source in (tmp_path / "d.parquet", tmp_path / "d.jsonl", frame):
        assert "Column 'tags' of " in refused(source, target="kind", drop=["more"])
        dataset = load(source, target="kind", drop=["tags", "more"])
        assert dataset.parts(0).train.inputs.tolist() == expected.tolist()
        assert [column.kind for column in dataset.columns if column.name in ("tags", "more")] == ["dropped"] * 2
    drop = ["tags", "more", "no"]
    assert "There is no column 'no' to be used by drop=" in refused(frame, target="kind", drop=drop)


def test_rows_that_differ_in_a_dropped_column_alone_are_no_duplicates(tmp_path):
    twice = pd.concat([table(), table()]).assign(tags=[[i] for i in range(120)])
    path = tmp_path / "d.jsonl"
    for frame, repeated in ((twice, False), (twice.assign(tags=[[1]] * 120), True)):
        frame.to_json(path, orient="records", lines=True)
        notes = load(path, target="kind", drop=["tags"]).info().notes
        assert any("60 of 120 rows repeat another row exactly" in note for note in notes) == repeated


def test_two_columns_of_one_name_can_be_dropped(tmp_path):
    text = "size,no,kind,no\n" + "".join(f"{i * 7 % 31},{i},{'ab'[i % 2]},x\n" for i in range(60))
    (tmp_path / "d.csv").write_text(text)
    assert "has 2 columns named 'no'" in refused(tmp_path / "d.csv", target="kind")
    dataset = load(tmp_path / "d.csv", target="kind", drop=["no"])
    assert [column.name for column in dataset.columns] == ["kind", "no", "size"]


def test_half_a_character_in_a_dropped_column_is_nothing(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text(
        "".join(rf'{{"size": {i * 7 % 31}, "no": "\ud800", "kind": "{"ab"[i % 2]}"}}' + "\n" for i in range(60))
    )
    assert "holds half a character" in refused(path, target="kind")
    assert load(path, target="kind", drop=["no"]).info().class_counts == [30, 30]


def test_cells_of_a_frame_that_nothing_can_be_made_of_are_named():
    half = table().assign(odd=pd.Series(["\ud800"] * 60, dtype=object))
    assert "Column 'odd' of 'frame' holds half a character" in refused(half, target="kind")
    parts = table().assign(odd=np.arange(60) * 1j)
    assert "Column 'odd' of 'frame' holds complex numbers" in refused(parts, target="kind")
    for frame in (half, parts):
        assert load(frame, target="kind", drop=["odd"]).info().class_counts == [30, 30]


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", ["cp1250", "cp1251", "shift_jis", "utf-16-le", "utf-8"])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_an_encoding_that_is_named_is_taken(tmp_path, encoding, ending):
    words = {"cp1250": "Łódź", "cp1251": "Москва", "shift_jis": "東京"}.get(encoding, "Köln")
    frame = table().replace({"kind": {"a": words}})
    path = tmp_path / f"d.{ending}"
    text = (
        frame.to_csv(index=False) if ending == "csv" else frame.to_json(orient="records", lines=True, force_ascii=False)
    )
    path.write_bytes(text.encode(encoding))
    info = load(path, target="kind", encoding=encoding).info()
    assert sorted(info.class_names) == sorted(["b", words])
    assert info.notes == []


def test_a_guessed_encoding_is_noted_beside_what_a_library_would_guess(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(table().replace({"kind": {"a": "Москва"}}).to_csv(index=False).encode("koi8_r"))
    (note,) = load(path, target="kind").info().notes
    assert note == (
        "'d.csv' is not valid UTF-8 and was read as cp1252 ('íÏÓË×Á'); charset-normalizer would guess koi8_r "
        "('Москва'): if that is wrong, name its encoding with --encoding."
    )
    path.write_bytes(table().replace({"kind": {"a": "データ"}}).to_csv(index=False).encode("shift_jis"))
    assert refused(path, target="kind") == (
        f"'{path}' is neither UTF-8 nor cp1252 (line 2 holds the byte 0x81): name its encoding, which may be cp932, "
        "with encoding=."
    )


def test_an_encoding_that_does_not_fit_is_named(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(table().replace({"kind": {"a": "Köln"}}).to_csv(index=False).encode("cp1252"))
    assert refused(path, target="kind", encoding="utf-8") == (
        f"Line 2 of '{path}' cannot be read in the encoding of encoding='utf-8'."
    )
    for unknown in ("klingon", "hex", "rot13"):
        assert refused(path, target="kind", encoding=unknown).startswith(f"encoding='{unknown}' names no encoding")
    table().to_parquet(tmp_path / "d.parquet")
    for source, target in ((tmp_path / "d.parquet", "kind"), (table(), "kind"), ("wine", None), ("pydoc", None)):
        assert "encoding= does not fit " in refused(source, target=target, encoding="utf-8")


# ---------------------------------------------------------------- separators and comments


def test_other_separators_and_comments_are_the_cause_that_is_named(tmp_path):
    path = tmp_path / "d.csv"
    text = table().to_csv(index=False)
    path.write_text(text.replace(",", "|"))
    assert load(path, target="kind").info().class_counts == [30, 30]
    path.write_text(text.replace(",", " "))
    assert refused(path, target="kind") == (
        f"'{path}' has one column only ('size weight kind'), and its cells seem to be set apart by spaces: "
        "write commas between them."
    )
    path.write_text("# made by hand\n" + text)
    assert refused(path, target="kind").endswith(
        "its rows have more cells than its header; line 1 looks like a comment ('# made by hand'): take such lines out."
    )
    path.write_text(text + "# the end\n")
    assert any(
        "1 row ends before the last column" in note
        and note.endswith("1 of them begin like a comment: take comments out.")
        for note in load(path, target="kind").info().notes
    )
    (tmp_path / "d.tsv").write_text(text)
    assert load(tmp_path / "d.tsv", target="kind").info().class_counts == [30, 30]
