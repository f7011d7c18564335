"""A kept model is a classifier of scikit-learn's, and reads new rows as the old ones were read."""

import doctest

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.utils import get_tags

from anymax.lab import compare, load
from anymax.lab.errors import DataError
from anymax.lab.model.classifier import UnfitCellsWarning
from tests.lab.model.conftest import a_table


@pytest.fixture(scope="module")
def model(of_table):
    return load(of_table)


def test_it_is_what_scikit_learn_takes_for_a_classifier(model):
    assert is_classifier(model)
    assert get_tags(model).input_tags.allow_nan
    assert list(model.classes_) == ["a", "b, or c", "d"]
    assert list(model.feature_names_in_) == ["price", "colour", "shop", "title", "sold"]
    assert model.n_features_in_ == 5


def test_its_probabilities_are_those_of_its_answers(model):
    table = a_table()
    probabilities = model.predict_proba(table)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert list(model.classes_[probabilities.argmax(1)]) == list(model.predict(table))


def test_it_finds_what_it_was_trained_on(model):
    table = a_table().query("kind != ''")
    assert model.score(table, table["kind"]) > 0.8


def test_the_temperature_divides_the_scores(model):
    """Of the log-probabilities, whose differences it makes smaller or larger."""
    kept, columns = model.kept, a_table()
    inputs = kept.preparation.transform(kept.facts.reading.apply(columns.replace("", None)).side_by_side())
    with torch.no_grad():
        scores = kept.model.head.log_prob(kept.model.backbone(inputs)).double().numpy()
    found = np.log(model.predict_proba(columns))
    ratio = (scores[:, 0] - scores[:, 1]) / (found[:, 0] - found[:, 1])
    np.testing.assert_allclose(ratio, kept.facts.recipe.temperature, rtol=1e-4)
    assert kept.facts.recipe.temperature != 1


def test_a_row_is_read_the_same_alone_and_among_others(model):
    """Nothing is inferred from the rows: one whole number in a column of prices stays a price."""
    table = a_table()
    alone = pd.concat([pd.DataFrame(model.predict_proba(table.iloc[[i]])) for i in range(5)])
    np.testing.assert_allclose(alone, model.predict_proba(table)[:5], atol=1e-6)


def test_columns_in_another_order_and_others_beside_them_change_nothing(model):
    table = a_table()
    shuffled = table[table.columns[::-1]].assign(more=[[1]] * len(table))
    np.testing.assert_allclose(model.predict_proba(shuffled), model.predict_proba(table), atol=1e-7)


def test_a_column_that_is_missing_is_named(model):
    with pytest.raises(DataError, match="has no column 'sold', which the model was trained with"):
        model.predict(a_table().drop(columns="sold"))


def test_cells_that_do_not_fit_are_counted(model):
    table = a_table()
    table.loc[:2, "price"] = "a lot"
    with pytest.warns(UnfitCellsWarning, match="count as missing: 'price' in 3 rows"):
        model.predict(table)


def test_arrays_are_not_taken_for_columns_with_names(model):
    with pytest.raises(DataError, match="trained on columns with names: expected a file or a frame with 'price'"):
        model.predict(np.zeros((3, 5)))


def test_arrays_files_and_frames_are_the_same_rows(of_arrays, arrays, tmp_path):
    model = load(of_arrays)
    np.savez(tmp_path / "rows.npz", X=arrays[0])
    frame = pd.DataFrame(arrays[0], columns=["x0", "x1", "x2", "x3"])
    expected = list(model.predict(arrays[0]))
    assert set(expected) == {"0", "1"}
    assert list(model.predict(tmp_path / "rows.npz")) == list(model.predict(frame)) == expected
    assert model.n_features_in_ == 4


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.zeros((2, 5)), "has 5 columns: the model was trained on 4"),
        (np.zeros(4), "has 1 dims"),
        (np.zeros((0, 4)), "is empty"),
        (np.array([[object()] * 4]), "holds object"),
    ],
)
def test_arrays_of_another_shape_are_one_sentence(of_arrays, rows, sentence):
    with pytest.raises(DataError, match=sentence):
        load(of_arrays).predict(rows)


def test_classes_are_sorted_as_text_which_measures_rely_on(arrays, tmp_path):
    """And not as the numbers that their names are, the order of the comparison."""
    rows, y = arrays
    compare((rows, np.where(y, 10, 9)), methods=["softmax"], seeds=3, epochs=8, lr=0.01, device="cpu", output=tmp_path)
    model = load(tmp_path)
    assert list(model.classes_) == ["10", "9"]
    found = model.predict_proba(rows)
    assert list(model.classes_[found.argmax(1)]) == list(model.predict(rows))
    truth = np.where(y, "10", "9")
    assert model.score(rows, truth) > 0.9
    assert log_loss(truth, found) < 0.3


def test_a_method_without_a_law_gives_no_probabilities(of_arrays):
    assert not hasattr(load(of_arrays), "predict_proba")


def test_it_is_not_fitted_again_but_taken_as_it_is(model):
    table = a_table().query("kind != ''")
    with pytest.raises(TypeError, match="not fitted again"):
        model.fit(table, table["kind"])
    calibrated = CalibratedClassifierCV(FrozenEstimator(model)).fit(table, table["kind"])
    assert calibrated.score(table, table["kind"]) > 0.8


def test_loading_leaves_the_random_numbers_alone(of_table):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load(of_table)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("public", [compare, load])
def test_the_example_runs(public):
    """The same on every machine: shapes and names, no number that was trained."""
    names = {"compare": compare, "load": load}
    example = doctest.DocTestParser().get_doctest(public.__doc__ or "", names, public.__name__, "", 0)
    assert len(example.examples) > 1
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
