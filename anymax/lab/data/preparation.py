"""What is fitted on the training rows of a table and turns columns, as they were read, into the inputs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.pipeline import Pipeline
from torch import Tensor

FARTHEST = 10.0  # standard deviations at which a feature is cut off


class CutOff(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Numbers no farther from 0 than `FARTHEST`: one wild value must not turn a whole measure into infinity.

    A class of its own, and not a function in a transformer of scikit-learn's, as no function may be named in a file of
    a model that is kept.
    """

    def fit(self, values: np.ndarray, classes: object = None) -> CutOff:
        """There is nothing to fit."""
        del classes
        self.n_features_in_ = values.shape[1]
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The numbers, as float32."""
        return np.clip(values, -FARTHEST, FARTHEST).astype(np.float32)


@dataclass(frozen=True)
class Preparation:
    """Turns columns into inputs by what the training rows say.

    Args:
        columns: makes the plain inputs; None where every column is embedded.
        levels: by category that a model embeds, the levels that have a vector of their own.
    """

    columns: Pipeline | None
    levels: Mapping[str, Sequence[str]]

    @property
    def embedded_levels(self) -> tuple[int, ...]:
        """How many ids each embedded category has: 0, for all levels that are rare or unknown, and its own."""
        return tuple(len(levels) + 1 for levels in self.levels.values())

    @property
    def numbers(self) -> int:
        """How many of the first inputs are numbers, and no indicators, levels or terms: those that vary."""
        if self.columns is None:
            return 0
        (_, of_kinds), (_, varies) = self.columns.steps
        (names,) = (names for kind, _, names in of_kinds.transformers_ if kind == "numbers")
        return int(varies.get_support()[: len(names)].sum())

    def transform(self, columns: pd.DataFrame) -> Tensor:
        """Plain inputs, then level ids: (rows, inputs)."""
        inputs = [] if self.columns is None else [self.columns.transform(columns)]
        for name, levels in self.levels.items():
            ids = pd.Index(levels).get_indexer(columns[name]) + 1
            inputs.append(ids[:, None].astype(np.float32))
        return torch.from_numpy(np.concatenate(inputs, axis=1, dtype=np.float32))
