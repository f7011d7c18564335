"""Columns that alone predict the class almost perfectly: often a trace of the answer, not a feature."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from anymax._core.sentences import first_of, quoted

LOOKED_AT = 2000  # rows
FOLDS = 3
ACCURACY = 0.98  # from which a column alone is almost perfect,
FEWER_ERRORS = 0.1  # with at most this share of the errors that naming the most frequent class makes
MOST_CHANGES = 0.3  # of class between neighbours in the column's order, as a share of those in no order at all
TERMS = 1000  # of a text, among which those that predict the class are searched for
NAMED_TERMS = 5


def leaking(columns: pd.DataFrame, classes: np.ndarray) -> list[tuple[str, float]]:
    """The columns whose value alone predicts the class, with the cross-validated accuracy of a tree that sees no other.

    Args:
        columns: numbers, and categories as the names of their levels.
        classes: (rows,), the class ids.
    """
    chosen, here, shares = _looked_at(classes)
    if len(shares) < 2:
        return []
    by_chance = 1 - float((shares**2).sum())
    found = []
    for name in columns.columns:
        cells = columns[name].iloc[chosen]
        if pd.api.types.is_numeric_dtype(cells):
            values, slack = cells.fillna(cells.min() - 1).to_numpy(), 0.0
        else:
            values, names = pd.factorize(cells)
            slack = len(names) / len(here)  # each level may bring a change of class
        # quick, so that ten thousand columns do not need ten thousand trees
        ordered = here[np.argsort(values, kind="stable")]
        if np.mean(ordered[1:] != ordered[:-1]) > MOST_CHANGES * by_chance + slack:
            continue
        tree = DecisionTreeClassifier(random_state=0)
        accuracy = float(np.mean(cross_val_score(tree, values[:, None], here, cv=FOLDS)))
        if _is_almost_perfect(accuracy, shares):
            found.append((str(name).split("\0")[0], accuracy))
    return found


def leaking_texts(texts: pd.DataFrame, classes: np.ndarray) -> list[tuple[str, float, list[str]]]:
    """The columns of free text in which a word or two predict the class: name, accuracy as of `leaking`, and the words.

    The tree sees whether a word is there, and has as many leaves as there are classes: one word for two classes, and
    at most one more for each further class. Text that is about the class needs more words than that.

    Args:
        texts: free text, a column each.
        classes: (rows,), the class ids.
    """
    chosen, here, shares = _looked_at(classes)
    if len(shares) < 2:
        return []
    found = []
    for name in texts.columns:
        cells = texts[name].iloc[chosen]
        if not cells.str.contains(r"\w").any():
            continue
        as_terms = CountVectorizer(binary=True, token_pattern=r"\w+")
        there = as_terms.fit_transform(cells)
        # few, so that many classes cost little
        most_predictive = SelectKBest(chi2, k=min(TERMS, len(as_terms.vocabulary_)))
        tree = DecisionTreeClassifier(max_leaf_nodes=len(shares), random_state=0)
        of_words = make_pipeline(most_predictive, tree)
        accuracy = float(np.mean(cross_val_score(of_words, there, here, cv=FOLDS)))
        if _is_almost_perfect(accuracy, shares):
            of_words.fit(there, here)
            asked = tree.tree_.feature
            words = most_predictive.get_feature_names_out(as_terms.get_feature_names_out())[asked[asked >= 0]]
            found.append((str(name), accuracy, [str(word) for word in words]))
    return found


def _looked_at(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some rows by chance, without those of classes too rare for every fold; their classes, and the share of each."""
    chosen = np.random.default_rng(0).permutation(len(classes))[:LOOKED_AT]
    chosen = chosen[np.bincount(classes[chosen])[classes[chosen]] >= FOLDS]
    here = classes[chosen]
    counts = np.bincount(here)
    return chosen, here, counts[counts > 0] / len(here)


def _is_almost_perfect(accuracy: float, shares: np.ndarray) -> bool:
    return 1 - accuracy <= min(1 - ACCURACY, FEWER_ERRORS * (1 - shares.max()))


def notes(columns: pd.DataFrame, texts: pd.DataFrame, classes: np.ndarray, what: str = "the class") -> list[str]:
    """A sentence per leaking column, for the reader of the results.

    Args:
        columns: numbers, and categories as the names of their levels.
        texts: free text, a column each, "" where it is missing.
        classes: (rows,), the class ids.
        what: what they are, in words.
    """
    is_there = (texts != "").astype(np.float64)  # a comment that only one class has
    alone = dict([*leaking(columns, classes), *leaking(is_there, classes)])
    found = [(name, accuracy, "") for name, accuracy in alone.items()]
    for name, accuracy, words in leaking_texts(texts.drop(columns=list(alone), errors="ignore"), classes):
        by_words = first_of([quoted(word) for word in words], NAMED_TERMS)
        found.append((name, accuracy, f" by the word{'s' * (len(words) > 1)} {by_words}"))
    return [
        f"Column {quoted(name)} alone predicts {what} of {accuracy:.1%} of the rows it was not fitted on"
        f"{by}: if it is known only after the answer, leave it out with --drop."
        for name, accuracy, by in found
    ]
