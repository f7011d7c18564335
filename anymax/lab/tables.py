"""Rows of features with a class each: how columns are read, parts drawn, features prepared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from pandas.util import hash_pandas_object
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from anymax.lab.errors import DataError
from anymax.lab.parts import Part, Parts, Task
from anymax.lab.results import ColumnInfo, DataInfo

SMALLEST_SPLIT_CLASS = 5  # a fifth of fewer rows is less than one: such a class cannot stand in every part
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.25  # of what the test part leaves: a fifth of the whole
MOST_LEVELS = 64  # one-hot columns per category; rarer levels share one
RAREST_LEVEL = 3  # training rows below which a level is pooled
LARGEST_NUMBER = float(np.finfo(np.float32).max)
FARTHEST = 10.0  # standard deviations at which a feature is cut off
MISSING = "(missing)"


@dataclass(frozen=True)
class Column:
    """One feature column as it was read; `values` is None where it was dropped."""

    info: ColumnInfo
    values: pd.Series | None
    note: str | None = None


@dataclass
class TableDataset:
    """A table ready to be split: columns read, classes numbered, nothing fitted."""

    name: str
    numbers: pd.DataFrame
    categories: pd.DataFrame
    classes: np.ndarray  # (rows,), class ids
    class_names: list[str]
    columns: list[ColumnInfo]
    notes: list[str] = field(default_factory=list)

    @property
    def task(self) -> Task:
        """Rows of features to be classified."""
        return "classification"

    @property
    def unknown_class(self) -> None:
        """Every class is known by its name."""
        return None

    @property
    def class_counts(self) -> np.ndarray:
        """Rows per class, over all parts."""
        return np.bincount(self.classes, minlength=len(self.class_names))

    @property
    def measured_classes(self) -> list[int]:
        """The classes with enough rows to stand in every part."""
        return np.flatnonzero(self.class_counts >= SMALLEST_SPLIT_CLASS).tolist()

    def rows(self, repeat: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row numbers of the training, validation and test part; classes too rare to be split go into training."""
        splittable = self.class_counts[self.classes] >= SMALLEST_SPLIT_CLASS
        ids = np.flatnonzero(splittable)
        rest, test = train_test_split(ids, test_size=TEST_SHARE, stratify=self.classes[ids], random_state=repeat)
        train, validation = train_test_split(
            rest, test_size=VALIDATION_SHARE, stratify=self.classes[rest], random_state=repeat
        )
        train = np.concatenate([train, np.flatnonzero(~splittable)])
        return train, np.asarray(validation), np.asarray(test)

    def fit_preparation(self, train: np.ndarray) -> Pipeline:
        """Imputer, scaler and categories, fitted on the given rows and no others.

        What does not vary in these rows is left out: a weight that nothing trained would meet its first values in
        the test part.
        """
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
            # one wild value in the test part must not turn a whole measure into infinity
            FunctionTransformer(np.clip, kw_args={"a_min": -FARTHEST, "a_max": FARTHEST}),
        )
        categories = OneHotEncoder(
            min_frequency=RAREST_LEVEL,
            max_categories=MOST_LEVELS,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
        )
        preparation = ColumnTransformer(
            [
                ("numbers", numbers, list(self.numbers.columns)),
                ("categories", categories, list(self.categories.columns)),
            ]
        )
        try:
            return make_pipeline(preparation, VarianceThreshold()).fit(self._features(train))
        except ValueError as error:
            if "variance threshold" not in str(error):
                raise
            raise DataError(f"No feature column of '{self.name}' varies within the training part.") from None

    def parts(self, repeat: int) -> Parts:
        """The parts of one repeat, drawn anew from its number, prepared by what the training part says."""
        train, validation, test = self.rows(repeat)
        preparation = self.fit_preparation(train)

        def part(rows: np.ndarray) -> Part:
            features = np.asarray(preparation.transform(self._features(rows)), dtype=np.float32)
            return Part(torch.from_numpy(features), torch.from_numpy(self.classes[rows]))

        counts = np.bincount(self.classes[train], minlength=len(self.class_names))
        return Parts(part(train), part(validation), part(test), torch.from_numpy(counts))

    def info(self) -> DataInfo:
        """What was read, and what a reader of the results must know about it."""
        train, validation, test = self.rows(0)
        return DataInfo(
            name=self.name,
            task=self.task,
            train_items=len(train),
            validation_items=len(validation),
            test_items=len(test),
            num_classes=len(self.class_names),
            class_names=self.class_names,
            class_counts=self.class_counts.tolist(),
            columns=self.columns,
            notes=[*self.notes, *self._rare_class_notes(), *self._duplicate_notes(train, test)],
            splits_redrawn=True,
            measured_classes=len(self.measured_classes),
            fingerprint=self._fingerprint(),
        )

    def _fingerprint(self) -> str:
        digest = hashlib.sha256("\0".join([*self.class_names, *self.numbers, *self.categories]).encode())
        for frame in (self.numbers, self.categories):
            hashed = hash_pandas_object(frame, index=False)  # pyright: ignore[reportCallIssue]: pandas exports it lazily
            digest.update(np.asarray(hashed).tobytes())
        digest.update(self.classes.tobytes())
        return digest.hexdigest()

    def _features(self, rows: np.ndarray) -> pd.DataFrame:
        return pd.concat([self.numbers.iloc[rows], self.categories.iloc[rows]], axis=1)

    def _rare_class_notes(self) -> list[str]:
        counts = self.class_counts
        rare = np.flatnonzero(counts < SMALLEST_SPLIT_CLASS)
        if not len(rare):
            return []
        listed = ", ".join(f"{self.class_names[i]} ({counts[i]})" for i in rare[:20])
        more = f" and {len(rare) - 20} more" if len(rare) > 20 else ""
        return [
            f"Classes with fewer than {SMALLEST_SPLIT_CLASS} rows cannot be split and are in the training part "
            f"alone: {listed}{more}; measures are taken over the other {len(counts) - len(rare)} classes."
        ]

    def _duplicate_notes(self, train: np.ndarray, test: np.ndarray) -> list[str]:
        table = pd.concat([self.numbers, self.categories], axis=1).assign(**{"\0class": self.classes})
        rows = table.groupby(list(table.columns), dropna=False, sort=False).ngroup()
        repeated = int(rows.duplicated().sum())
        if not repeated:
            return []
        shared = int(rows.iloc[test].isin(rows.iloc[train]).sum())
        return [
            f"{repeated} of {len(rows)} rows repeat another row exactly; in the first repeat {shared} of "
            f"{len(test)} test rows have an equal row in the training part."
        ]


def read_table(name: str, frame: pd.DataFrame, target: str, *, decimal_comma: bool = False) -> TableDataset:
    """Read every column of `frame` as number or category and `target` as classes.

    Args:
        name: what the data are called in the results.
        frame: cells as text with missing ones NA, or columns of numbers.
        target: the column that holds the classes.
        decimal_comma: whether "1,5" is a number, as in files whose separator is a semicolon.

    Raises:
        DataError: the table cannot be compared on; the sentence says what to change.
    """
    if target not in frame.columns:
        raise _unknown_column(target, [str(column) for column in frame.columns])
    notes: list[str] = []
    without_target = int(frame[target].isna().sum())
    if without_target:
        frame = frame.dropna(subset=[target])
        notes.append(f"{_rows(without_target)} without a value in {_quoted(target)} left out.")
    if frame.empty:
        raise DataError(f"Target column {_quoted(target)} has no value at all.")
    classes, class_names = _read_classes(frame[target], target)
    read = [read_column(str(column), frame[column], decimal_comma) for column in frame.columns if column != target]
    kept = [column for column in read if column.values is not None]
    if not kept:
        dropped = "; ".join(f"{_quoted(column.info.name)} {column.info.why}" for column in read) or "there is no other"
        raise DataError(f"No feature column is left beside the target {_quoted(target)}: {dropped}.")
    target_info = ColumnInfo(target, "target", f"holds {len(class_names)} classes", without_target)
    by_kind = {
        kind: pd.DataFrame({c.info.name: c.values for c in kept if c.info.kind == kind}, index=range(len(frame)))
        for kind in ("number", "category")
    }
    return TableDataset(
        name=name,
        numbers=by_kind["number"],
        categories=by_kind["category"],
        classes=classes,
        class_names=class_names,
        columns=[target_info, *(column.info for column in read)],
        notes=notes + [column.note for column in read if column.note],
    )


def read_column(name: str, cells: pd.Series, decimal_comma: bool = False) -> Column:
    """Decide what one feature column holds: numbers, categories, or nothing to learn from."""
    cells = cells.reset_index(drop=True)
    present = cells.notna()
    missing = int((~present).sum())
    if not present.any():
        raise DataError(f"Feature column {_quoted(name)} has no value at all: take it out of the file.")
    different = int(cells.nunique())
    if different == 1 and not missing:
        return Column(ColumnInfo(name, "dropped", f"holds {_quoted(cells[0])} in every row"), None)

    numbers = _to_numbers(cells, decimal_comma)
    not_numbers = present & numbers.isna()
    if not not_numbers.any():
        _refuse_infinite(name, cells, numbers)
        if _counts_rows(numbers):
            why = "counts the rows: whole numbers without a gap, each once"
            return Column(ColumnInfo(name, "dropped", why), None)
        why = f"every {'non-empty ' if missing else ''}cell is a number"
        return Column(ColumnInfo(name, "number", why, missing), numbers)

    if different == int(present.sum()):
        why = "holds text that is different in every row"
        return Column(ColumnInfo(name, "dropped", why, missing), None)
    example = _quoted(cells[int(np.flatnonzero(not_numbers)[0])])
    why = f"{different} different values, some no numbers ({example})"
    if different > MOST_LEVELS:
        why += f"; all but the {MOST_LEVELS - 1} most frequent of the training part share one level"
    note = None
    if not_numbers.sum() <= 0.1 * present.sum():
        note = (
            f"Column {_quoted(name)} is read as a category because {_rows(int(not_numbers.sum()))} hold no number "
            f"({example}): if that means missing, make those cells empty."
        )
    values = cells.astype(object).where(present, MISSING)
    return Column(ColumnInfo(name, "category", why, missing), values, note)


def _to_numbers(cells: pd.Series, decimal_comma: bool = False) -> pd.Series:
    """The cells as numbers, NaN where they are none."""
    if pd.api.types.is_numeric_dtype(cells):
        return cells.astype(np.float64)
    text = cells.astype(object)
    numbers = pd.Series(pd.to_numeric(text, errors="coerce"), dtype=np.float64)
    if decimal_comma:
        with_points = text.str.replace(",", ".", n=1)
        numbers = numbers.fillna(pd.Series(pd.to_numeric(with_points, errors="coerce"), dtype=np.float64))
    return numbers


def _refuse_infinite(name: str, cells: pd.Series, numbers: pd.Series) -> None:
    beyond = numbers.abs() > LARGEST_NUMBER
    if beyond.any():
        row = int(np.flatnonzero(beyond)[0])
        raise DataError(
            f"Feature column {_quoted(name)} holds an infinite number ({_quoted(cells[row])}, row {row + 1}): "
            "replace it by a finite one or make the cell empty."
        )


def _counts_rows(numbers: pd.Series) -> bool:
    """Whether the column is a row number: as many different whole numbers as rows, without a gap."""
    ordered = np.sort(numbers.to_numpy())
    return len(ordered) > SMALLEST_SPLIT_CLASS and bool(np.all(np.diff(ordered) == 1))


def _read_classes(cells: pd.Series, target: str) -> tuple[np.ndarray, list[str]]:
    """Class ids and names, in numeric order where the names are numbers."""
    text = cells.astype(str)
    names = sorted(set(text), key=_numbers_first)
    _refuse_continuous(_to_numbers(text), target)
    counts = text.value_counts()
    if len(names) == 1:
        raise DataError(
            f"Target column {_quoted(target)} has one class only ({_quoted(names[0])}, in all {len(text)} rows): "
            "expected two or more."
        )
    splittable = int((counts >= SMALLEST_SPLIT_CLASS).sum())
    if splittable < 2:
        raise DataError(
            f"Target column {_quoted(target)} has {len(names)} classes, of which {splittable} "
            f"{'has' if splittable == 1 else 'have'} the {SMALLEST_SPLIT_CLASS} rows that a split into training, "
            "validation and test part needs: expected two or more such classes."
        )
    return pd.Categorical(text, categories=names).codes.astype(np.int64), names


def _refuse_continuous(numbers: pd.Series, target: str) -> None:
    """A target of many numbers, not whole or hardly ever repeated, is a quantity and no class."""
    different = numbers.nunique()
    if numbers.isna().any() or different <= 20:
        return
    whole = bool((numbers % 1 == 0).all())
    if not whole or different > len(numbers) / 2:
        raise DataError(
            f"Target column {_quoted(target)} looks continuous ({different} different numbers in {len(numbers)} rows): "
            "compare needs classes, so cut it into a few ranges or name another column."
        )


def _numbers_first(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _unknown_column(target: str, names: list[str]) -> DataError:
    listed = ", ".join(_quoted(name) for name in names[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return DataError(f"There is no column {_quoted(target)} to be the target: the columns are {listed}{more}.")


def _quoted(value: object, longest: int = 40) -> str:
    """A name or cell for a sentence: on one line, cut where it is long."""
    text = " ".join(str(value).split())
    return f"'{text[:longest]}…'" if len(text) > longest else f"'{text}'"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
