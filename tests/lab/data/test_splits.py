"""Which rows train, validate and test: laws of each kind of split, and the splits of whole tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anymax.lab.data import splits
from anymax.lab.data.table import TableDataset
from anymax.lab.errors import DataError
from tests.lab.calls import load, read_table
from tests.lab.data.tables import frame, kinds

FEW = settings(max_examples=60, deadline=None, database=None)


def each_row_once(parts, rows):
    return np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))


@FEW
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(0, 1000))
def test_stratified_parts_hold_each_row_once_and_each_class_in_proportion(counts, repeat):
    counts = [*counts, 25, 25]  # two classes at least can be split
    classes = np.random.default_rng(repeat).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = splits.stratified(classes, repeat)
    assert each_row_once(parts, len(classes))
    train, validation, test = (np.bincount(classes[part], minlength=len(counts)) for part in parts)
    for label, count in enumerate(counts):
        if count < splits.SMALLEST_SPLIT_CLASS:
            assert (train[label], validation[label], test[label]) == (count, 0, 0)
        else:
            assert test[label] == pytest.approx(count / 5, abs=1)
            assert validation[label] == pytest.approx(count / 5, abs=1)
    again = splits.stratified(classes, repeat)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


def how_often_tested(rows_of, repeats=10):
    """How often each row is tested in each round of five, (rounds, rows)."""
    tested = [rows_of(repeat)[2] for repeat in range(repeats)]
    rows = sum(map(len, rows_of(0)))
    return np.stack([np.bincount(np.concatenate(tested[i : i + 5]), minlength=rows) for i in range(0, repeats, 5)])


@FEW
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(0, 1000))
def test_a_round_of_five_tests_each_row_once_and_the_next_round_is_shuffled_anew(counts, seed):
    counts = [*counts, 25, 25]
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    times = how_often_tested(lambda repeat: splits.stratified(classes, repeat))
    assert (times == (np.asarray(counts)[classes] >= splits.SMALLEST_SPLIT_CLASS)).all()
    folds = [frozenset(splits.stratified(classes, repeat)[2]) for repeat in range(10)]
    assert len(set(folds)) == 10


@FEW
@given(st.integers(20, 40), st.integers(3, 8), st.integers(0, 1000))
def test_a_round_of_five_tests_each_group_once(num_groups, rows_each, seed):
    generator = np.random.default_rng(seed)
    groups = generator.permutation(np.repeat(np.arange(num_groups), rows_each))
    classes = generator.integers(0, 2, len(groups))
    assert (how_often_tested(lambda repeat: splits.grouped(classes, groups, repeat)) == 1).all()


@FEW
@given(st.integers(8, 40), st.integers(3, 12), st.integers(0, 1000))
def test_grouped_parts_hold_each_row_once_and_no_group_in_two(num_groups, rows_each, repeat):
    generator = np.random.default_rng(repeat)
    groups = generator.permutation(np.repeat(np.arange(num_groups), rows_each))
    classes = generator.integers(0, 2, len(groups))
    parts = splits.grouped(classes, groups, repeat)
    assert each_row_once(parts, len(classes))
    held = [set(groups[part]) for part in parts]
    assert all(held)
    assert sum(map(len, held)) == num_groups
    # whole groups: a part is off its fifth by a group or two
    for part in parts[1:]:
        assert len(part) == pytest.approx(len(groups) / 5, abs=2 * rows_each)


@FEW
@given(st.lists(st.integers(0, 30), min_size=40, max_size=120))
def test_parts_by_time_follow_each_other(times):
    times = np.asarray(times)
    # where most rows have one time, there may be no three parts
    assume(np.bincount(times).max() <= 0.4 * len(times))
    train, validation, test = parts = splits.by_time(times)
    assert each_row_once(parts, len(times))
    assert times[train].max() < times[validation].min()
    assert times[validation].max() < times[test].min()
    for part in parts:
        assert (np.diff(times[part]) >= 0).all()


def test_by_time_different_times_are_cut_60_20_20():
    train, validation, test = splits.by_time(np.random.default_rng(0).permutation(1000))
    assert (len(train), len(validation), len(test)) == (600, 200, 200)


@pytest.mark.parametrize("different", [1, 2])
def test_too_few_times_are_refused(different):
    with pytest.raises(DataError, match="too few different times"):
        splits.by_time(np.arange(90) % different)


def test_groups_too_few_for_three_parts_are_refused():
    with pytest.raises(DataError, match="too uneven in size for three parts"):
        splits.grouped(np.arange(90) % 2, np.zeros(90, dtype=int), 0)


# Whole tables


def test_no_group_stands_in_two_parts_and_each_repeat_draws_anew():
    patients = [f"p{i // 6}" for i in range(300)]
    dataset = read_table("patients", frame(patient=patients), "kind", group="patient")
    assert kinds(dataset) == {"kind": "target", "patient": "group", "size": "number"}
    assert dataset.info().splits_redrawn
    parts = [[{patients[row] for row in rows} for rows in dataset.rows(repeat)] for repeat in range(4)]
    for train, validation, test in parts:
        assert not train & validation
        assert not (train | validation) & test
        assert len(test) == pytest.approx(10, abs=2)
    assert parts[0][2] != parts[1][2]
    assert all(np.array_equal(a, b) for a, b in zip(dataset.rows(1), dataset.rows(1), strict=True))


def test_a_column_constant_in_each_group_tells_nothing_of_other_groups():
    """Without groups the nearest training row has the class; with them it has a coin's toss."""
    generator = np.random.default_rng(1)
    group = np.repeat(np.arange(100), 6)
    table = pd.DataFrame(
        {
            "trace": generator.normal(size=100)[group] + generator.normal(size=600) * 1e-6,
            "group": group,
            "y": generator.choice(["a", "b"], size=100)[group],
        }
    )

    def found(dataset):
        right = []
        for repeat in range(5):
            train, _, test = dataset.rows(repeat)
            trace = dataset.numbers["trace"].to_numpy()
            nearest = train[np.abs(trace[test][:, None] - trace[train]).argmin(1)]
            right.append((dataset.classes[test] == dataset.classes[nearest]).mean())
        return np.mean(right)

    assert found(read_table("leaking", table, "y", drop=["group"])) > 0.99
    assert found(read_table("grouped", table, "y", group="group")) < 0.7


def test_a_group_of_most_rows_is_for_training():
    group = np.where(np.arange(300) < 200, 0, np.arange(300))
    dataset = read_table("uneven", frame(group=group), "kind", group="group")
    for repeat in range(5):
        train, validation, test = dataset.rows(repeat)
        assert set(range(200)) <= set(train)
        assert len(validation) > 0
        assert len(test) > 0
    # those of the others that can be tested take turns
    assert len({frozenset(dataset.rows(repeat)[2]) for repeat in range(5)}) > 1


@pytest.mark.parametrize("as_dates", [False, True])
def test_the_latest_rows_are_tested(as_dates):
    minutes = np.random.default_rng(2).permutation(300)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(minutes, unit="h")
    dataset = read_table("log", frame(when=when.astype(str) if as_dates else minutes), "kind", time="when")
    train, validation, test = dataset.rows(0)
    assert minutes[train].max() < minutes[validation].min()
    assert minutes[validation].max() < minutes[test].min()
    assert (len(train), len(validation), len(test)) == (180, 60, 60)
    assert np.array_equal(dataset.rows(1)[2], test)
    assert not dataset.info().splits_redrawn
    assert kinds(dataset)["when"] == "time"
    assert dataset.parts(0).train.inputs.shape[1] == 1


def test_equal_times_stand_in_one_part():
    days = np.random.default_rng(3).permutation(np.arange(300) // 50)
    rows = read_table("days", frame(day=days), "kind", time="day").rows(0)
    assert sum(len(set(days[part])) for part in rows) == 6


def test_a_repeat_draws_the_split_anew_and_always_the_same():
    dataset = load("wine")
    assert isinstance(dataset, TableDataset)
    assert not np.array_equal(dataset.rows(0)[2], dataset.rows(1)[2])
    assert np.array_equal(dataset.rows(1)[2], load("wine").rows(1)[2])
    rows = np.concatenate(dataset.rows(3))
    assert sorted(rows) == list(range(len(dataset.classes)))


@pytest.mark.parametrize("rows", [5, 6, 7, 8, 9])
@pytest.mark.parametrize("total", [53, 60, 203])
def test_the_smallest_split_class_is_in_every_part(rows, total):
    frame = pd.DataFrame(
        {"x": np.random.default_rng(0).normal(size=total), "y": ["rare"] * rows + ["common"] * (total - rows)}
    )
    dataset = read_table("rare", frame, "y")
    for repeat in range(10):
        for part in dataset.rows(repeat):
            assert set(dataset.classes[part]) == {0, 1}


# ---------------------------------------------------------------- several labels


def test_a_row_with_several_labels_is_stratified_by_its_rarest():
    labels = np.zeros((60, 3), dtype=bool)
    labels[:40, 0], labels[20:40, 1], labels[35:45, 2] = True, True, True
    found = splits.strata(labels)
    names = [frozenset(found[rows]) for rows in (slice(0, 20), slice(20, 35), slice(35, 45), slice(45, 60))]
    assert len(set(names)) == 4
    assert all(len(name) == 1 for name in names)


def test_labels_of_few_rows_go_with_the_next_one():
    labels = np.zeros((30, 2), dtype=bool)
    labels[:20, 0], labels[:3, 1], labels[20:22, 1] = True, True, False
    assert len(np.unique(splits.strata(labels))) == 2  # the rare label is none of its own
    labels[20:] = False
    labels[20:28, 1] = True
    assert np.bincount(splits.strata(labels)).min() >= splits.SMALLEST_SPLIT_CLASS  # two rows left over join another


def test_every_label_stands_in_every_part_and_every_row_is_tested_once():
    labels = np.random.default_rng(0).random((400, 6)) < [0.5, 0.3, 0.1, 0.05, 0.05, 0.03]
    tested = []
    for repeat in range(splits.FOLDS):
        parts = splits.stratified(splits.strata(labels), repeat)
        for rows in parts:
            assert labels[rows].any(0).all()
        rarest = labels[:, labels.sum(0).argmin()]
        assert abs(rarest[parts[2]].sum() - rarest.sum() / splits.FOLDS) < 1
        tested.append(parts[2])
    assert sorted(np.concatenate(tested)) == list(range(400))
