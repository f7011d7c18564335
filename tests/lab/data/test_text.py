"""Text from files: one text whatever its files, its vocabulary, its windows."""

import pytest

from anymax.lab.data.text import TextDataset
from anymax.lab.errors import DataError
from tests.lab.calls import load

LINES = [f"w{i % 7} w{i % 11} line{i} w{i % 5}" for i in range(200)]


def read(source, **options):
    dataset = load(source, **options)
    assert isinstance(dataset, TextDataset)
    return dataset


def test_a_folder_is_its_files_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b.txt").write_text("\n".join(LINES[100:]))
    (tmp_path / "a.txt").write_bytes("\n".join(LINES[:100]).encode("utf-8-sig"))
    dataset = read(tmp_path)
    assert list(dataset.words) == " ".join(LINES).split()
    assert dataset.info().name == tmp_path.name


def test_vocabulary_and_context_are_as_asked(tmp_path):
    path = tmp_path / "d.txt"
    path.write_text("\n".join(LINES))
    dataset = read(path, vocab_size=4, context=8)
    assert len(dataset.vocabulary) == 5
    assert dataset.parts(0).train.inputs.shape[1] == 8
    # every word of a block but its first is predicted once
    assert dataset.info().train_items + dataset.info().validation_items + dataset.info().test_items == 800 - 20
    assert len(read(path, min_count=1).vocabulary) > len(read(path).vocabulary)


def test_the_guess_of_an_encoding_is_noted(tmp_path):
    (tmp_path / "d.txt").write_bytes("\n".join([*LINES, "Köln"]).encode("latin-1"))
    assert any("read as cp1252 ('Köln')" in note for note in read(tmp_path / "d.txt").info().notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "holds 0 words"), (b"a b c", "holds 3 words"), (b"\0\1\2", "binary file"), (b"\x1f\x8b", "gzip")],
)
def test_what_is_no_text(tmp_path, content, message):
    (tmp_path / "d.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "d.txt")


@pytest.mark.parametrize("option", ["vocab_size", "min_count", "context"])
def test_an_option_of_a_text_is_at_least_one(option):
    with pytest.raises(DataError, match=f"{option}=0 is too small: expected 1 or more"):
        load("pydoc", **{option: 0})


def test_built_in_text_takes_the_options_of_a_text():
    dataset = load("pydoc", vocab_size=500, context=8)
    assert dataset.info().num_classes == 501  # with <unk>
    assert dataset.parts(0).train.inputs.shape[1] == 8
