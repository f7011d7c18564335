"""Tables whose rows have any number of labels: how likely each is, is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

NAMES = ("news", "sports", "science")


def labelled(rows: int = 300, seed: int = 0, offsets: tuple[float, ...] = (0.0, -1.0, -2.0)) -> tuple[np.ndarray, ...]:
    """Features (rows, 4), and for each row which of the labels it has: each by a logistic law of the features."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((rows, 4)).round(4)
    weights = 2.5 * np.eye(4, len(offsets)) - 1.0 * np.eye(4, len(offsets), k=1)
    return features, random.random((rows, len(offsets))) < 1 / (1 + np.exp(-(features @ weights + np.array(offsets))))


def label_frame(rows: int = 300, **arguments) -> pd.DataFrame:
    """The same as a frame, a column of yes and no for each label."""
    features, labels = labelled(rows, **arguments)
    frame = pd.DataFrame(features, columns=["a", "b", "c", "d"])
    return frame.assign(**{name: np.where(has, "yes", "no") for name, has in zip(NAMES, labels.T, strict=False)})


def list_frame(rows: int = 300, **arguments) -> pd.DataFrame:
    """The same with one column of lists."""
    features, labels = labelled(rows, **arguments)
    frame = pd.DataFrame(features, columns=["a", "b", "c", "d"])
    return frame.assign(tags=[[name for name, has in zip(NAMES, row, strict=False) if has] for row in labels])
