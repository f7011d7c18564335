"""Predictions that somebody has already: what is read, and what is refused in one sentence."""

import numpy as np
import pandas as pd
import pytest

from anymax.lab.data.predictions import columns_of, read_predictions
from anymax.lab.errors import DataError

CLASSES = ["a", "b", "c"]
ROWS = np.array([0, 1, 3])  # the row between has no target


def read(text, tmp_path, rows=ROWS):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return read_predictions(path, rows, CLASSES)


def test_classes_by_row_in_any_order(tmp_path):
    found = read("row,prediction\n3,c\n2,a\n0,b\n1,a\n9,a\n", tmp_path)
    assert found.name == "mine.csv"
    assert list(found.prediction) == [1, 0, 2]
    assert found.probabilities is None
    assert list(found.of(np.array([3, 0]))[0]) == [2, 1]


def test_a_column_for_each_class_in_any_order(tmp_path):
    found = read("row,c,a,b\n0,.1,.7,.2\n1,.5,.3,.2\n3,0,1,0\n", tmp_path)
    assert list(found.prediction) == [0, 2, 0]
    ids, log_probs = found.of(np.array([1, 0]))
    assert list(ids) == [2, 0]
    np.testing.assert_allclose(np.exp(log_probs), [[0.3, 0.2, 0.5], [0.7, 0.2, 0.1]])


def test_no_probability_is_zero_and_all_sum_to_one(tmp_path):
    """A class that was ruled out and is right costs much, but no measure is infinite for it; figures were rounded."""
    found = read("row,a,b,c\n0,1,0,0\n1,.33,.33,.33\n3,0,1,0\n", tmp_path)
    assert np.isfinite(found.of(ROWS)[1]).all()
    np.testing.assert_allclose(found.probabilities.sum(1), 1)


def test_a_prediction_beside_probabilities_is_the_answer(tmp_path):
    """As `anymax predict` writes both."""
    found = read("row,prediction,a,b,c\n0,b,.6,.4,0\n1,a,.6,.4,0\n3,c,.6,.4,0\n", tmp_path)
    assert list(found.prediction) == [1, 0, 2]
    assert found.probabilities is not None


def test_classes_that_are_called_as_the_columns_beside_them_have_columns_of_their_own(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("row,prediction,probability of row,probability of prediction\n0,row,.6,.4\n1,row,.3,.7\n")
    found = read_predictions(path, np.arange(2), ["row", "prediction"])
    assert list(found.prediction) == [0, 0]
    np.testing.assert_allclose(found.probabilities, [[0.6, 0.4], [0.3, 0.7]])
    assert len(set(columns_of(["probability of row", "row", "a"])) | {"row", "prediction"}) == 5


def test_a_frame_with_numbers_as_classes():
    frame = pd.DataFrame({"row": [0, 1], "prediction": [1, 0]})
    assert list(read_predictions(frame, np.arange(2), ["0", "1"]).prediction) == [1, 0]


def test_the_fingerprint_follows_the_predictions(tmp_path):
    one, same, other = (
        read(f"row,prediction\n{lines}", tmp_path)
        for lines in ("0,a\n1,a\n3,b\n", "3,b\n1,a\n0,a\n", "0,a\n1,b\n3,b\n")
    )
    assert one.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("row,prediction\n0,a\n1,b\n", "lacks 1 of 3 rows, counted from 0: 3."),
        ("row,prediction\n1,a\n2,b\n3,b\n4,b\n", "lacks 1 of 3 rows, counted from 0: 0."),
        ("row,prediction\n0,a\n1,b\n3,a\n1,b\n", "has row 1 more than once."),
        ("row,prediction\n0,a\n1,b\n3,d\n", "has the prediction 'd', which is no class of the data, for row 3."),
        ("row,prediction\n0,a\n1,\n3,a\n", "has no prediction for row 1."),
        ("row,prediction\n0,a\n1.5,b\n3,d\n", "has '1.5' in the column 'row', a number from 0."),
        ("row,prediction\n0,a\n-1,b\n3,d\n", "has '-1' in the column 'row', a number from 0."),
        ("row,prediction\n0,a\nx,b\n3,d\n", "has 'x' in the column 'row', a number from 0."),
        ("row,prediction\n0,a\n,b\n3,d\n", "has '' in the column 'row', a number from 0."),
        ("id,prediction\n0,a\n1,b\n3,a\n", "has no column 'row' that numbers the rows of the data from 0."),
        ("row\n0\n1\n3\n", "has neither a column 'prediction' nor one for each class."),
        ("row,score\n0,1\n1,1\n3,1\n", "has the column 'score', which is none of 'row', 'prediction', 'a', 'b', 'c'."),
        ("row,a,b\n0,.5,.5\n1,.5,.5\n3,.5,.5\n", "has columns for some classes and no 'c'."),
        ("row,a,b,c\n0,.5,.5,0\n1,.5,.1,.1\n3,1,0,0\n", "has no probabilities for row 1: they sum to 0.7."),
        ("row,a,b,c\n0,.5,.5,0\n1,.6,.6,-.2\n3,1,0,0\n", "for row 1: one is no number from 0 to 1."),
        ("row,a,b,c\n0,.5,.5,0\n1,1.5,0,0\n3,1,0,0\n", "for row 1: one is no number from 0 to 1."),
        ("row,a,b,c\n0,.5,.5,0\n1,.5,.5,\n3,1,0,0\n", "for row 1: one is no number from 0 to 1."),
        ("row,a,b,c\n0,.5,.5,0\n1,.5,.5,x\n3,1,0,0\n", "for row 1: one is no number from 0 to 1."),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(DataError) as refused:
        read(text, tmp_path)
    assert str(refused.value).startswith("baseline= cannot be used: 'mine.csv' ")
    assert str(refused.value).endswith(sentence)


@pytest.mark.parametrize("name", ["nothing.csv", "mine.txt", ""])
def test_what_is_no_table_is_one_sentence(tmp_path, name):
    (tmp_path / "mine.txt").write_text("row,prediction\n0,a\n")
    with pytest.raises(DataError, match=r"needs a \.csv, \.tsv, \.parquet, \.jsonl file"):
        read_predictions(tmp_path / name, ROWS, CLASSES)
