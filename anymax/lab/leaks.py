"""Columns that alone tell the class almost perfectly: often a trace of the answer, not a feature."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

LOOKED_AT = 2000  # rows
FOLDS = 3
ACCURACY = 0.98  # from which a column alone is almost perfect,
FEWER_ERRORS = 0.1  # with at most this share of the errors that naming the most frequent class makes
MOST_CHANGES = 0.3  # of class between neighbours in the column's order, as a share of those in no order at all


def leaking(columns: pd.DataFrame, classes: np.ndarray) -> list[tuple[str, float]]:
    """The columns whose value alone tells the class, with the cross-validated accuracy of a tree that sees no other.

    Args:
        columns: numbers, and categories as the names of their levels.
        classes: (rows,), the class ids.
    """
    chosen = np.random.default_rng(0).permutation(len(classes))[:LOOKED_AT]
    frequent = np.bincount(classes[chosen])[classes[chosen]] >= FOLDS
    chosen = chosen[frequent]
    here = classes[chosen]
    shares = np.bincount(here) / len(here)
    if np.count_nonzero(shares) < 2:
        return []
    at_most_wrong = min(1 - ACCURACY, FEWER_ERRORS * (1 - shares.max()))
    by_chance = 1 - float((shares**2).sum())
    found = []
    for name in columns.columns:
        cells = columns[name].iloc[chosen]
        if pd.api.types.is_numeric_dtype(cells):
            values, slack = cells.fillna(cells.min() - 1).to_numpy(), 0.0
        else:
            values, names = pd.factorize(cells)
            slack = len(names) / len(here)  # each level may bring a change of class
        # quick, so that ten thousand columns need no ten thousand trees
        ordered = here[np.argsort(values, kind="stable")]
        if np.mean(ordered[1:] != ordered[:-1]) > MOST_CHANGES * by_chance + slack:
            continue
        tree = DecisionTreeClassifier(random_state=0)
        accuracy = float(np.mean(cross_val_score(tree, values[:, None], here, cv=FOLDS)))
        if 1 - accuracy <= at_most_wrong:
            found.append((str(name).split("\0")[0], accuracy))
    return found


def notes(columns: pd.DataFrame, classes: np.ndarray) -> list[str]:
    """A sentence per leaking column, for the reader of the results."""
    return [
        f"Column '{' '.join(name.split())}' alone tells the class of {accuracy:.1%} of the rows it was not fitted on: "
        "if it is known only after the answer, leave it out with --drop."
        for name, accuracy in dict(leaking(columns, classes)).items()
    ]
