"""What a kept model answers to the rows of a file, as CSV."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from anymax.lab.data.predictions import PREDICTION, PROBABILITY, ROW, columns_of
from anymax.lab.model.classifier import UnfitCellsWarning, load


def predict(folder: Path, rows: Path, *, encoding: str | None, backbone: str | None) -> tuple[bytes, list[str]]:
    """A line per row: its number from 0 as in the file, its class, and the probability of every class where there are
    any; and what must be said about the rows. Of labels a column of 0 and 1 for each, then their probabilities.

    Args:
        folder: the folder of a comparison.
        rows: the file.
        encoding: of a file of text; None takes the one of that time.
        backbone: the user's network, where the comparison had one.

    Raises:
        LabError: no model that can be read, or no rows.
    """
    classifier = load(folder, backbone=backbone)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnfitCellsWarning)
        classes, probabilities = classifier.answer(rows, encoding)
    notes = [str(each.message) for each in caught if each.category is UnfitCellsWarning]
    facts = classifier.kept.facts
    columns = [np.arange(len(classes))]
    if facts.task == "multilabel":
        columns += list(classes.T.astype(np.int64))
        names = [ROW, *_columns_of_labels(facts.class_names)]
    else:
        columns.append(np.array(facts.class_names)[classes])
        names = [ROW, PREDICTION]
    if probabilities is not None:
        columns += list(probabilities.T)
        of_labels = [f"{PROBABILITY} {name}" for name in facts.class_names]
        names += of_labels if facts.task == "multilabel" else columns_of(facts.class_names)
    content = io.BytesIO()
    csv.write_csv(pa.table([pa.array(column) for column in columns], names), content)
    return content.getvalue(), notes


def _columns_of_labels(names: list[str]) -> list[str]:
    """The names of the columns that say which labels a row has: the labels, or `label` and each."""
    clash = ROW in names or any(name.startswith(f"{PROBABILITY} ") for name in names)
    return [f"label {name}" for name in names] if clash else names
