"""Rows of features with a class or labels: the table that is read, its parts drawn and its features prepared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from pandas.util import hash_pandas_object
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from anymax._core.sentences import count_rows, first_of, of_path, quoted, shown
from anymax.lab.data import hints, leaks, splits
from anymax.lab.data.columns import KINDS, MOST_LEVELS, read_column, read_times
from anymax.lab.data.dataset import Items, Part, Parts, Whole
from anymax.lab.data.preparation import CutOff, Preparation
from anymax.lab.data.readings import MISSING, TableReading, joined
from anymax.lab.data.splits import SMALLEST_SPLIT_CLASS
from anymax.lab.data.targets import read_target
from anymax.lab.errors import DataError, Option
from anymax.lab.measure import Task
from anymax.lab.options import ReadOptions
from anymax.lab.results import ColumnInfo, DataInfo

RAREST_LEVEL = 3  # training rows below which a level is pooled
LITTLE = 0.5  # of the training rows, in which a column has a level that is not pooled: below this it contributes little
MOST_TERMS = 1000  # of one free text column
TERM_BYTES = 2**27  # that the terms of one free text column may take in all parts
MOST_NAMED = 20  # classes or columns, where a name is all that is said of each
MOST_LISTED = 5  # columns in one sentence
REPEATS_LOOKED_AT = 5  # groups are drawn anew in each repeat: a class counts as measured if these have it everywhere


@dataclass
class TableDataset:
    """A table ready to be split: columns read, classes numbered, nothing fitted."""

    name: str
    numbers: pd.DataFrame
    categories: pd.DataFrame
    classes: np.ndarray  # (rows,), class ids; where a row may have several labels (rows, labels) of bool
    class_names: list[str]
    columns: list[ColumnInfo]
    notes: list[str] = field(default_factory=list)
    texts: pd.DataFrame = field(default_factory=pd.DataFrame)
    groups: np.ndarray | None = None  # (rows,), group ids that no two parts share
    times: np.ndarray | None = None  # (rows,), by which the parts follow each other
    reading: TableReading = field(default_factory=lambda: TableReading(()))  # by which new rows are read as these were
    given: np.ndarray | None = None  # (rows,), the same for rows that are equal in all columns of the source
    numbered: np.ndarray | None = None  # (rows,), where each stands in the source; None where all of it was taken

    @property
    def task(self) -> Task:
        """Rows of features to be classified, or to be given labels."""
        return "classification" if self.classes.ndim == 1 else "multilabel"

    @property
    def unknown_class(self) -> None:
        """Every class is known by its name."""
        return None

    @property
    def class_counts(self) -> np.ndarray:
        """Rows per class or label, over all parts."""
        return self._counts(np.arange(len(self.classes)))

    def _counts(self, rows: np.ndarray) -> np.ndarray:
        if self.task == "multilabel":
            return self.classes[rows].sum(axis=0)
        return np.bincount(self.classes[rows], minlength=len(self.class_names))

    @property
    def measured_ids(self) -> list[int]:
        """The ids of the classes that stand in every part."""
        return self._measured_ids

    @cached_property
    def _measured_ids(self) -> list[int]:
        if self.task == "classification" and self.groups is None and self.times is None:
            return np.flatnonzero(self.class_counts >= SMALLEST_SPLIT_CLASS).tolist()
        there = set(range(len(self.class_names)))
        for repeat in range(REPEATS_LOOKED_AT if self.times is None else 1):
            for rows in self.rows(repeat):
                counts = self._counts(rows)
                # a label that every row has is as little to be told as one that none has
                there &= set(np.flatnonzero((counts > 0) & (counts < len(rows))).tolist())
        return sorted(there)

    @property
    def row_numbers(self) -> np.ndarray:
        """Where each row stands in the source, counted from 0."""
        return np.arange(len(self.classes)) if self.numbered is None else self.numbered

    @cached_property
    def _strata(self) -> np.ndarray:
        """(rows,), of which each is to stand in every part."""
        return self.classes if self.task == "classification" else splits.strata(self.classes)

    def rows(self, repeat: int) -> splits.Rows:
        """Row numbers of the training, validation and test part."""
        if self.times is not None:
            return splits.by_time(self.times)
        if self.groups is not None:
            return splits.grouped(self._strata, self.groups, repeat)
        return splits.stratified(self._strata, repeat)

    def levels(self, train: np.ndarray) -> dict[str, pd.Index]:
        """The categories to embed: those with too many frequent levels in the given rows for a column each."""
        frequent = {}
        for name in self.categories.columns:
            counts = self.categories[name].iloc[train].value_counts()
            kept = counts.index[counts >= RAREST_LEVEL]
            if len(kept) > MOST_LEVELS:
                frequent[name] = kept.sort_values()
        return frequent

    def fit_preparation(self, train: np.ndarray) -> Pipeline:
        """Imputer, scaler, categories and terms, fitted on the given rows and no others.

        What does not vary in these rows is left out: a weight that nothing trained would meet its first values in
        the test part.
        """
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
            CutOff(),
        )
        categories = OneHotEncoder(
            min_frequency=RAREST_LEVEL,
            max_categories=MOST_LEVELS,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
            dtype=np.float32,  # pyright: ignore[reportArgumentType]: inferred from the default
        )
        embedded = self.levels(train)
        most_terms = max(1, min(MOST_TERMS, TERM_BYTES // (4 * len(self.classes))))
        as_terms = TfidfVectorizer(
            max_features=most_terms,
            token_pattern=r"\w+",
            dtype=np.float32,  # pyright: ignore[reportArgumentType]: inferred from the default
        )
        preparation = ColumnTransformer(
            [
                ("numbers", numbers, list(self.numbers.columns)),
                ("categories", categories, [name for name in self.categories.columns if name not in embedded]),
                *((f"text {name}", as_terms, name) for name in self.texts.columns),
            ],
            sparse_threshold=0,
        )
        try:
            return make_pipeline(preparation, VarianceThreshold()).fit(self.columns_of(train))
        except ValueError as error:
            if "empty vocabulary" in str(error):
                raise DataError(
                    f"A text column of {of_path(self.name)} holds no word within the training part."
                ) from None
            if "variance threshold" not in str(error):
                raise
            raise DataError(f"No feature column of {of_path(self.name)} varies within the training part.") from None

    def preparation(self, train: np.ndarray) -> Preparation:
        """What the given rows say of how columns become inputs."""
        levels = {name: frequent.tolist() for name, frequent in self.levels(train).items()}
        only_embedded = len(levels) == self.numbers.shape[1] + self.categories.shape[1] + self.texts.shape[1]
        return Preparation(None if only_embedded else self.fit_preparation(train), levels)

    def parts(self, repeat: int) -> Parts:
        """The parts of one repeat, drawn anew from its number, prepared by what the training part says."""
        train, validation, test = self.rows(repeat)
        preparation = self.preparation(train)

        def part(rows: np.ndarray) -> Part:
            return Part(preparation.transform(self.columns_of(rows)), self._targets(rows))

        clusters = splits.in_blocks(len(test)) if self.times is not None else self._clusters[test]
        return Parts(
            part(train),
            part(validation),
            part(test),
            Items(self.row_numbers[test], clusters, self.classes[test]),
            torch.from_numpy(self._counts(train)),
            preparation.embedded_levels,
            preparation.numbers,
        )

    def whole(self) -> tuple[Whole, Preparation]:
        """All rows as one training part, and what they say of how columns become inputs."""
        rows = np.arange(len(self.classes))
        preparation = self.preparation(rows)
        part = Part(preparation.transform(self.columns_of(rows)), self._targets(rows))
        counts = torch.from_numpy(self.class_counts)
        return Whole(part, counts, preparation.embedded_levels, preparation.numbers), preparation

    def _targets(self, rows: np.ndarray) -> torch.Tensor:
        """Class ids, or 1 for each label that a row has and else 0."""
        targets = torch.from_numpy(self.classes[rows])
        return targets if self.task == "classification" else targets.float()

    def info(self) -> DataInfo:
        """What was read, and what a reader of the results must know about it."""
        return self._info

    @cached_property
    def _info(self) -> DataInfo:
        train, validation, test = self.rows(0)
        hashed = self._hashed
        plain = pd.concat([self.numbers.iloc[train], self.categories.iloc[train]], axis=1)
        leaking = [
            note
            for what, classes in self._questions(train)
            for note in leaks.notes(plain, self.texts.iloc[train], classes, what)
        ]
        notes = [*self.notes, *self._rare_level_notes(train), *self._missing_class_notes(), *leaking]
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
            notes=[*notes, *_duplicate_notes(hashed if self.given is None else pd.Series(self.given), train, test)],
            splits_redrawn=self.times is None,
            measured_classes=len(self.measured_ids),
            fingerprint=self._fingerprint(hashed),
        )

    def _questions(self, rows: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """What a column may give away, in words, and the answers: the class, or each of the first labels."""
        if self.task == "classification":
            return [("the class", self.classes[rows])]
        return [
            (f"the label {quoted(self.class_names[i])}", self.classes[rows, i].astype(np.int64))
            for i in self.measured_ids[:MOST_NAMED]
        ]

    @cached_property
    def _clusters(self) -> np.ndarray:
        """(rows,), a number for each group, or else for each row that it shares with its duplicates."""
        return self.groups if self.groups is not None else pd.factorize(self._hashed)[0]

    @cached_property
    def _hashed(self) -> pd.Series:
        """A number per row, the same for equal rows."""
        features = self.columns_of(np.arange(len(self.classes)))
        classes = pd.DataFrame(self.classes.reshape(len(features), -1), features.index).add_prefix("\0class")
        return row_hashes(pd.concat([features, classes], axis=1))

    def _fingerprint(self, hashed: pd.Series) -> str:
        digest = hashlib.sha256("\0".join([*self.class_names, *(str(column) for column in self.columns)]).encode())
        digest.update(np.asarray(hashed).tobytes())
        for order in (self.groups, self.times):
            if order is not None:
                digest.update(order.tobytes())
        return digest.hexdigest()

    def columns_of(self, rows: np.ndarray) -> pd.DataFrame:
        """The feature columns of the given rows, as they were read."""
        frames = [frame.iloc[rows] for frame in (self.numbers, self.categories, self.texts) if frame.shape[1]]
        return pd.concat(frames, axis=1)

    def _rare_level_notes(self, train: np.ndarray) -> list[str]:
        """The categories of which all levels, or those of most rows, are too rare to be learnt."""
        notes = []
        for name in self.categories.columns:
            counts = self.categories[name].iloc[train].value_counts().drop(MISSING, errors="ignore")
            kept = counts[counts >= RAREST_LEVEL]
            if counts.empty or kept.sum() >= LITTLE * counts.sum():
                continue
            notes.append(
                f"Column {quoted(name)} contributes {'little' if len(kept) else 'nothing'}: {len(kept)} of "
                f"{len(counts):,} levels stand in {RAREST_LEVEL} training rows or more; "
                f"--as {quoted(f'{name}=text')} reads its words."
            )
        return notes

    def _missing_class_notes(self) -> list[str]:
        absent = sorted(set(range(len(self.class_names))) - set(self.measured_ids))
        if not absent:
            return []
        over = len(self.measured_ids)
        listed = first_of([f"{shown(self.class_names[i])} ({self.class_counts[i]})" for i in absent], MOST_NAMED)
        if self.task == "multilabel":
            return [
                f"Some parts have no row with one of these labels, or none without it: {listed}; measures per label "
                f"are taken over the other {over} labels."
            ]
        if self.groups is None and self.times is None:
            why = f"Classes with fewer than {SMALLEST_SPLIT_CLASS} rows are in the training part only"
        else:
            how = "groups are kept together" if self.times is None else "the parts follow each other in time"
            why = f"Some parts lack classes, as {how}"
        return [f"{why}: {listed}; measures per class are taken over the other {over} classes."]


def row_hashes(frame: pd.DataFrame) -> pd.Series:
    """A number per row, the same for equal rows; a cell may hold a list or a dict."""
    columns = {}
    for i, (_, cells) in enumerate(frame.items()):
        # anything has an `ascii`, half a character included
        columns[i] = cells.map(ascii) if cells.dtype == object else cells
    table = pd.DataFrame(columns, index=frame.index)
    return hash_pandas_object(table, index=False)  # pyright: ignore[reportCallIssue]: pandas exports it lazily


def _duplicate_notes(hashed: pd.Series, train: np.ndarray, test: np.ndarray) -> list[str]:
    repeated = int(hashed.duplicated().sum())
    if not repeated:
        return []
    shared = int(hashed.iloc[test].isin(hashed.iloc[train]).sum())
    return [
        f"{repeated} of {len(hashed)} rows repeat another row exactly; in the first repeat {shared} of "
        f"{len(test)} test rows have an equal row in the training part."
    ]


def read_table(
    name: str,
    frame: pd.DataFrame,
    target: str | Sequence[str],
    options: ReadOptions | None = None,
    *,
    decimal_comma: bool = False,
    given: np.ndarray | None = None,
) -> TableDataset:
    """Read every column of `frame` as what it holds and `target` as classes or labels.

    Args:
        name: what the data are called in the results.
        frame: cells as text with missing ones NA, or columns of numbers or dates.
        target: the column that holds the classes, or lists of labels, or several, a label each.
        options: the columns for other uses, and those to be read as a kind whatever they look like.
        decimal_comma: whether a comma is rather the decimal sign, as in files whose separator is a semicolon.
        given: (rows,), the `row_hashes` of the source with all its columns; None takes those of the frame.

    Raises:
        DataError: the table cannot be compared on; the sentence says what to change.
    """
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    options = options or ReadOptions()
    group, time = options.group, options.time
    targets = [target] if isinstance(target, str) else list(dict.fromkeys(target))
    _check_roles(list(frame.columns), targets, options)
    notes: list[str] = []
    given = row_hashes(frame).to_numpy() if given is None else given
    empty = frame[targets].isna()
    # an empty cell of lists that a separator cuts is a row without a label
    has_target = ~empty.to_numpy(dtype=bool).any(axis=1) | (options.target_separator is not None)
    without_target = int((~has_target).sum())
    listed = first_of([quoted(column) for column in targets], MOST_LISTED)
    if without_target:
        frame, given = frame.loc[has_target], given[has_target]
        notes.append(f"{count_rows(without_target)} without a value in {listed} left out.")
    if frame.empty:
        several = f"No row has a value in each of the target columns {listed}."
        raise DataError(f"Target column {listed} has no value at all." if len(targets) == 1 else several)
    wanted = read_target(frame.loc[:, targets], options.target_separator)
    notes += wanted.notes
    infos = [ColumnInfo(column, "target", why, int(empty[column].sum())) for column, why in wanted.whys.items()]
    groups = None if group is None else _read_groups(frame[group], group)
    times = None if time is None else read_times(time, frame[time], decimal_comma)
    if group is not None:
        infos.append(ColumnInfo(group, "group", "its equal values stay in one part: not a feature"))
    if time is not None:
        infos.append(ColumnInfo(time, "time", "its latest rows are the test part: not a feature"))
    infos += [
        ColumnInfo(column, "dropped", "left out because you asked for it") for column in dict.fromkeys(options.drop)
    ]
    taken = {*targets, group, time, *options.drop}
    read = [
        read_column(column, frame[column], decimal_comma, options.kinds.get(column))
        for column in frame.columns
        if column not in taken
    ]
    kept = [column for column in read if column.values is not None]
    if not kept:
        whys = [f"{quoted(column.info.name)} {column.info.why}" for column in read[:MOST_LISTED]]
        whys += [f"and {len(read) - MOST_LISTED} more"] if len(read) > MOST_LISTED else []
        why = "; ".join(whys) or "there is no other"
        raise DataError(f"No feature column is left beside the target {listed}: {why}.")

    features = joined([column.reading for column in kept], [column.read for column in kept])
    notes += [note for column in read for note in column.notes]
    notes += hints.notes(hint for column in read for hint in column.hints)
    if time is None:
        notes += _date_notes([column.info.name for column in read if column.info.kind == "date"])
    dataset = TableDataset(
        name=name,
        numbers=features.numbers,
        categories=features.categories,
        texts=features.texts,
        classes=wanted.values,
        class_names=wanted.names,
        columns=[*infos, *(column.info for column in read)],
        notes=notes,
        groups=groups,
        times=times,
        reading=TableReading(tuple(column.reading for column in kept), options.missing),
        given=given,
        numbered=np.flatnonzero(has_target) if without_target else None,
    )
    if dataset.task == "multilabel" and not dataset.measured_ids:
        raise DataError(
            "No label has both rows with it and rows without it in the training, the validation and the test part: "
            "expected labels spread over all rows."
        )
    if dataset.task == "classification" and len(dataset.measured_ids) < 2:
        raise DataError(
            "With ",
            Option("group", group) if time is None else Option("time", time),
            " fewer than two classes are in every part: expected classes spread over it.",
        )
    return dataset


def _check_roles(names: list[str], targets: list[str], options: ReadOptions) -> None:
    """Every option names a column that is there, and no column twice."""
    roles: list[tuple[str, str | Option]] = [
        *((column, "the target") for column in targets),
        *((column, Option(name)) for name in ("group", "time") if (column := getattr(options, name)) is not None),
        *((column, Option("drop")) for column in dict.fromkeys(options.drop)),
        *((column, Option("kinds")) for column in options.kinds),
    ]
    taken: dict[str, str | Option] = {}
    for column, role in roles:
        if column not in names:
            raise _unknown_column(column, names, *(["used by "] if isinstance(role, Option) else []), role)
        if column in taken:
            raise DataError(
                f"Column {quoted(column)} cannot be ", taken[column], " and ", role, ": name it for one of them."
            )
        taken[column] = role
    for column, kind in options.kinds.items():
        if kind not in KINDS:
            raise DataError(Option("kinds", {column: kind}), f" names no kind: expected one of {', '.join(KINDS)}.")


def _read_groups(cells: pd.Series, group: str) -> np.ndarray:
    """Group ids; the empty cells are no group, so they are refused."""
    if cells.isna().any():
        raise DataError(
            f"Group column {quoted(group)} is empty in {count_rows(int(cells.isna().sum()))}: fill these cells in."
        )
    ids, names = pd.factorize(cells.astype(str))
    if len(names) < splits.FEWEST_GROUPS:
        raise DataError(
            f"Group column {quoted(group)} holds {len(names)} different "
            f"{'value' if len(names) == 1 else 'values'}: expected {splits.FEWEST_GROUPS} or more."
        )
    return ids


def _date_notes(names: list[str]) -> list[str]:
    """That there is --time for tables with columns of dates."""
    if not names:
        return []
    listed = first_of([quoted(name) for name in names], MOST_LISTED)
    hold, one = (f"Column {listed} holds", listed) if len(names) == 1 else (f"Columns {listed} hold", "with one")
    return [
        f"{hold} dates: if the model is to be used on later rows than it was trained on, --time {one} tests it on the "
        "latest ones."
    ]


def _unknown_column(column: str, names: list[str], *role: str | Option) -> DataError:
    listed = first_of([quoted(name) for name in names], MOST_NAMED)
    return DataError(f"There is no column {quoted(column)} to be ", *role, f": the columns are {listed}.")
