"""What a run leaves on disk: results as JSON, the answers to every tested item as CSV."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pyarrow as pa
import pydantic
from pyarrow import csv

from anymax._core.files import write_whole
from anymax._core.sentences import LONGEST_PATH, of_path, quoted, shown
from anymax.lab.errors import DataError
from anymax.lab.measure import MEASURES
from anymax.lab.results import ByClass, Comparison

FORMAT = 3  # of results.json; raised when old files no longer read as what they were


def save(comparison: Comparison, path: Path) -> None:
    """Write `comparison` as JSON."""
    stored = dataclasses.asdict(dataclasses.replace(comparison, outcomes=None))
    del stored["outcomes"]
    text = json.dumps({"format": FORMAT, **stored}, indent=1, allow_nan=False)
    write_whole(path, text.encode())


def save_predictions(comparison: Comparison, path: Path) -> None:
    """Write what every method answered to every tested item as CSV, a row per item and repeat."""
    table = pa.Table.from_pandas(comparison.predictions_frame(), preserve_index=False)
    # names, not the codes of categories
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    content = io.BytesIO()
    csv.write_csv(pa.table(columns, table.column_names), content)
    write_whole(path, content.getvalue())


def load(path: Path) -> Comparison:
    """Read what `save` wrote.

    Raises:
        DataError: the file is not there, is not JSON, or does not hold a comparison of this format.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{of_path(path)} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise DataError(f"{of_path(path)} holds no results of a comparison: it is not JSON.") from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise DataError(
            f"{of_path(path)} holds no results of a comparison in format {FORMAT}, which this version reads."
        )
    try:
        comparison = pydantic.TypeAdapter(Comparison).validate_python(stored)
    except pydantic.ValidationError as error:
        place = ".".join(str(key) for key in error.errors()[0]["loc"])
        raise DataError(
            f"{of_path(path)} holds damaged results: {shown(place, LONGEST_PATH)}: {error.errors()[0]['msg']}."
        ) from None
    if contradiction := _contradiction(comparison):
        raise DataError(f"{of_path(path)} holds damaged results: {contradiction}.")
    return comparison


def _contradiction(comparison: Comparison) -> str | None:
    """What right types cannot rule out and a reader of the results would fall over."""
    if comparison.decide_by not in MEASURES:
        return f"no measure is called {quoted(comparison.decide_by)}"
    methods = {method.name for method in comparison.methods}
    if methods != {trial.method for trial in comparison.trials}:
        return "methods and trials name different methods"
    if any(len(trial.curve.seconds) != len(trial.curve.validation) for trial in comparison.trials):
        return "a curve has more times than values, or fewer"
    if len(comparison.data.class_names) != len(comparison.data.class_counts):
        return "there are more names than counts of classes, or fewer"
    if comparison.by_class is not None and not _fits(comparison.by_class, comparison, methods):
        return "what is said of single classes does not fit the classes and methods"
    return None


def _fits(by_class: ByClass, comparison: Comparison, methods: set[str]) -> bool:
    """Whether all ids are those of classes, all names those of methods, and all lists as long as they should be."""
    figures, confusions, missed = by_class.figures, by_class.confusions, by_class.missed
    by_label = figures.average_precision
    columns = [figures.tested, *figures.recall.values(), *figures.precision.values(), *by_label.values()]
    ids, named = list(figures.ids), {*figures.recall, *figures.precision, *by_label}
    if figures.recall.keys() != figures.precision.keys() or any(len(each) != len(figures.ids) for each in columns):
        return False
    if confusions is not None:
        side = len(confusions.ids) + bool(confusions.rest)
        ids, named = ids + confusions.ids, named | {confusions.method}
        if [len(row) for row in confusions.items] != [side] * side:
            return False
    for row in missed.worst if missed is not None else ():
        ids += [row.target, *(answer for given in row.answers.values() for answer in given)]
        named |= row.answers.keys()
    return named <= methods and all(0 <= i < len(comparison.data.class_names) for i in ids)
