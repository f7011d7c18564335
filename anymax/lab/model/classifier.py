"""A kept model as a classifier of scikit-learn's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from anymax._core.sentences import count_rows, first_of, of_path, quoted
from anymax.lab.data.formats import of_features, read_npz
from anymax.lab.data.load import read_features
from anymax.lab.errors import DataError
from anymax.lab.model import folder
from anymax.lab.model.kept import Kept
from anymax.lab.training import backbones

MOST_NAMED = 5  # columns in one warning
Rows = str | Path | pd.DataFrame | Any  # a file, a frame, or an array where the model was trained on one


class UnfitCellsWarning(UserWarning):
    """Cells of new rows do not fit what their column was read as, and count as missing."""


def load(path: str | Path, *, backbone: str | backbones.Factory | None = None) -> KeptClassifier:
    """The model that a comparison kept, as a classifier of scikit-learn's.

    Nothing that stands in the folder is run, so a folder from somebody else may be loaded.

    Args:
        path: the folder that `compare` wrote, or the folder `model` in it.
        backbone: your own network before the head, named again, where the comparison had one.

    Raises:
        anymax.lab.errors.LabError: there is no model, it is damaged, or another version wrote it; the message is one
            sentence.

    Example:
        >>> import tempfile
        >>> from sklearn.datasets import load_wine
        >>> X, y = load_wine(return_X_y=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     comparison = compare((X, y), methods=["softmax", "sigmoid"], seeds=3, epochs=2, output=folder)
        ...     model = load(folder)
        >>> model.classes_
        array(['0', '1', '2'], dtype='<U1')
        >>> model.predict_proba(X[:2]).shape
        (2, 3)
    """
    return KeptClassifier(folder.read(Path(path), backbone))


class KeptClassifier(ClassifierMixin, BaseEstimator):
    """A model that `compare` kept; `load` makes it.

    It takes rows as `compare` took them: a file, a frame with the columns of that time (others may stand beside them),
    or an array where it was trained on one. How a column is read was decided then, and is not decided anew.

    Attributes:
        classes_: the names of the classes, as text and sorted as such, which scikit-learn's measures rely on; those of
            labels, of which a row may have several, in the order of the comparison.
        feature_names_in_: the columns that it needs.
        n_features_in_: how many these are, or how many columns an array has.
    """

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        facts = kept.facts
        self.classes_ = np.array(facts.class_names)[self._order]
        self.feature_names_in_ = np.array([column.name for column in facts.reading.columns], dtype=object)
        self.n_features_in_ = len(self.feature_names_in_) if facts.width is None else facts.width

    @property
    def _order(self) -> np.ndarray:
        """Of the columns, from those of the comparison."""
        names = self.kept.facts.class_names
        return np.arange(len(names)) if self.kept.facts.task == "multilabel" else np.argsort(names)

    def fit(self, X: object, y: object = None) -> NoReturn:
        """It was trained already: scikit-learn's FrozenEstimator takes it where one is asked for that can be fitted."""
        del X, y
        raise TypeError("A model that compare kept is not fitted again; run compare on the new rows.")

    def predict(self, X: Rows, *, encoding: str | None = None) -> np.ndarray:
        """The class of each row, by name; where rows have labels 1 for each that a row has, else 0: (rows, labels).

        Args:
            X: a file, a frame, or an array where the model was trained on one.
            encoding: of a file of text; None takes the one that `compare` was told, or recognises it.
        """
        answers, _ = self.answer(X, encoding)
        if self.kept.facts.task == "multilabel":
            return answers.astype(np.int64)
        return np.array(self.kept.facts.class_names)[answers]

    @available_if(lambda self: self.kept.defines_law)
    def predict_proba(self, X: Rows, *, encoding: str | None = None) -> np.ndarray:
        """The probability of every class for each row, or of every label: (rows, classes). A method that defines none
        lacks it.

        Args:
            X: as for `predict`.
            encoding: as for `predict`.
        """
        probabilities = self.answer(X, encoding)[1]
        assert probabilities is not None
        return probabilities[:, self._order]

    def answer(self, X: Rows, encoding: str | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Class ids, or whether a row has each label, and the probability of every class or label where there are any,
        in the order of the comparison.

        Raises:
            DataError: the rows cannot be read, or a column is not there.
        """
        facts = self.kept.facts
        source = self._named(X)
        features = read_features(source, facts.reading, encoding or facts.encoding)
        if features.unfit:
            warnings.warn(_unfit(features.unfit), UnfitCellsWarning, stacklevel=3)
        return self.kept.answer(features.side_by_side())

    def _named(self, rows: Rows) -> str | Path | pd.DataFrame:
        """Rows with names of their columns, or a file that has them."""
        is_path = isinstance(rows, str | Path)
        if isinstance(rows, pd.DataFrame) or (is_path and Path(rows).suffix.lower() != ".npz"):
            return rows
        width = self.kept.facts.width
        if width is None:
            names = first_of([quoted(column) for column in self.feature_names_in_], MOST_NAMED)
            raise DataError(f"The model was trained on columns with names: expected a file or a frame with {names}.")
        name = str(rows) if is_path else "array"
        frame, _ = of_features(name, read_npz(Path(rows), "X")[0] if is_path else rows)
        if frame.shape[1] != width:
            raise DataError(f"X of {of_path(name)} has {frame.shape[1]} columns: the model was trained on {width}.")
        return frame

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = self.kept.facts.task == "multilabel"
        return tags


def _unfit(unfit: dict[str, int]) -> str:
    named = first_of([f"{quoted(column)} in {count_rows(count)}" for column, count in unfit.items()], MOST_NAMED)
    return f"Cells that do not fit what their column was read as count as missing: {named}."
