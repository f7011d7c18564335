"""Class by class, against scikit-learn and against cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from anymax.lab.data.dataset import Items
from anymax.lab.measuring import classes
from anymax.lab.measuring.outcomes import Answers, Outcomes


def outcomes_of(targets, answers, rows=None) -> Outcomes:
    """By repeat the classes, by method and repeat the answers; None where training diverged."""
    rows = rows or [range(len(of_repeat)) for of_repeat in targets]
    items = [Items(np.array(r), np.array(r), np.array(t)) for r, t in zip(rows, targets, strict=True)]

    def given(answer, target):
        adds = {} if answer is None else {"top1": np.ones(len(target))}
        return Answers(np.zeros(len(target), dtype=np.int32) if answer is None else np.array(answer, np.int32), adds)

    return Outcomes(
        items, {name: [given(*each) for each in zip(found, targets, strict=True)] for name, found in answers.items()}
    )


def drawn(num_classes=7, repeats=3, size=60) -> Outcomes:
    random = np.random.default_rng(0)
    targets = [random.integers(0, num_classes, size) for _ in range(repeats)]
    return outcomes_of(
        targets,
        {
            name: [np.where(random.random(size) < right, t, random.integers(0, num_classes, size)) for t in targets]
            for name, right in (("softmax", 0.7), ("nce", 0.3))
        },
    )


def test_recall_and_precision_are_the_means_of_scikit_learns():
    outcomes = drawn()
    found = classes.figures(outcomes, 7)
    assert found.ids == list(range(7))
    assert found.tested == np.bincount(np.concatenate([items.target for items in outcomes.items])).tolist()
    for shares, score in ((found.recall, recall_score), (found.precision, precision_score)):
        for name, answers in outcomes.answers.items():
            pairs = zip(outcomes.items, answers, strict=True)
            expected = np.mean([score(i.target, a.prediction, average=None) for i, a in pairs], axis=0)
            assert shares[name] == pytest.approx(expected.tolist(), abs=1e-6)
    assert found.recall["softmax"] != found.recall["nce"]


def test_a_mean_is_over_the_repeats_that_have_a_number():
    found = classes.figures(outcomes_of([[0, 0, 3], [0, 3, 4]], {"softmax": [[0, 1, 1], [0, 3, 0]]}), 6)
    assert found.ids == [0, 3, 4]
    assert found.tested == [3, 2, 1]
    assert found.recall["softmax"] == [0.75, 0.5, 0.0]
    # class 3 was answered in the second repeat alone, class 4 never
    assert found.precision["softmax"] == [0.75, 1.0, None]


def test_of_labels_each_has_the_means_of_its_own_repeats():
    """Label 1 is never there, label 2 in the second repeat alone."""
    has = np.array([[[1, 0, 0], [0, 0, 0]], [[1, 0, 1], [0, 0, 0]]], dtype=bool)
    items = [Items(np.arange(2), np.arange(2), target) for target in has]
    outcomes = Outcomes(items, {"sigmoid": [Answers(target.copy(), {"exact": np.ones(2)}) for target in has]})
    found = classes.by_label(outcomes, {"sigmoid": [[0.25, None, None], [0.75, None, 1.0]], "weighted": []}).figures
    assert found.ids == [0, 2]
    assert found.average_precision == {"sigmoid": [0.5, 1.0], "weighted": [None, None]}


def test_a_training_that_diverged_answers_nothing():
    outcomes = outcomes_of([[0, 1], [0, 2]], {"softmax": [[0, 1], None], "nce": [None, None]})
    found = classes.figures(outcomes, 3)
    assert found.recall == {"softmax": [1.0, 1.0, None]}
    assert found.precision == {"softmax": [1.0, 1.0, None]}
    assert classes.confusions(outcomes, 3, "nce") is None
    confusions = classes.confusions(outcomes, 3, "softmax")
    assert confusions is not None
    assert np.sum(confusions.items) == 2
    missed = classes.missed_rows(outcomes)
    assert (missed.rows, missed.tested) == (0, 2)


def test_confusions_of_few_classes_are_scikit_learns():
    outcomes = drawn()
    found = classes.confusions(outcomes, 7, "nce")
    assert found is not None
    assert found.rest == 0
    assert np.diff([sum(row) for row in found.items]).max() <= 0
    pairs = [
        (items.target, each.prediction) for items, each in zip(outcomes.items, outcomes.answers["nce"], strict=True)
    ]
    targets, answers = (np.concatenate(each) for each in zip(*pairs, strict=True))
    assert found.items == confusion_matrix(targets, answers, labels=found.ids).tolist()


def test_confusions_of_many_classes_lose_no_item_and_stay_small():
    random = np.random.default_rng(0)
    targets = random.zipf(1.5, 5_000).clip(max=9_999)
    answers = np.where(random.random(5_000) < 0.5, targets, random.permutation(targets))
    found = classes.confusions(outcomes_of([targets], {"softmax": [answers]}), 10_000, "softmax")
    assert found is not None
    assert found.rest == 9_980
    assert np.shape(found.items) == (21, 21)
    assert np.sum(found.items) == 5_000
    top = found.ids[0]
    assert sum(found.items[0]) == (targets == top).sum()
    assert found.items[0][0] == ((targets == top) & (answers == top)).sum()
    others = ~np.isin(targets, found.ids)
    assert sum(found.items[-1]) == others.sum()
    assert found.items[-1][0] == (others & (answers == top)).sum()


def test_a_row_is_missed_where_no_head_finds_its_class():
    outcomes = outcomes_of(
        targets=[[0, 1, 2], [0, 1, 2]],
        answers={"softmax": [[1, 0, 2], [1, 0, 0]], "nce": [[2, 0, 0], [0, 0, 0]]},
        rows=[[10, 11, 12], [10, 11, 12]],
    )
    missed = classes.missed_rows(outcomes)
    assert (missed.rows, missed.always, missed.tested) == (3, 1, 3)
    first, second, third = missed.worst
    assert (first.row, first.target, first.repeats, first.tested) == (11, 1, 2, 2)
    assert first.answers == {"softmax": [0, 0], "nce": [0, 0]}
    # both miss 10 and 12 once; on 12 they agree
    assert (second.row, second.target, second.repeats, second.answers) == (12, 2, 1, {"softmax": [0], "nce": [0]})
    assert (third.row, third.target, third.repeats, third.answers) == (10, 0, 1, {"softmax": [1], "nce": [2]})


def test_a_head_that_diverged_is_not_among_those_that_miss_a_row():
    outcomes = outcomes_of([[1, 1], [1, 1]], {"softmax": [None, [1, 0]], "nce": [[0, 1], None]})
    missed = classes.missed_rows(outcomes)
    assert [(each.row, each.answers) for each in missed.worst] == [(0, {"nce": [0]}), (1, {"softmax": [0]})]
    assert [each.tested for each in missed.worst] == [2, 2]


def test_of_many_missed_rows_the_worst_are_named():
    random = np.random.default_rng(0)
    targets = [np.zeros(500, dtype=int)] * 4
    answers = [(random.random(500) < 0.5).astype(int) for _ in range(4)]
    missed = classes.missed_rows(outcomes_of(targets, {"softmax": answers}))
    failed = np.sum(answers, axis=0)
    assert missed.rows == (failed > 0).sum()
    assert missed.always == (failed == 4).sum() > 20
    assert [each.row for each in missed.worst] == np.flatnonzero(failed == 4)[:20].tolist()


def test_nothing_missed_and_nothing_trained():
    assert classes.missed_rows(outcomes_of([[0, 1]], {"softmax": [[0, 1]]})).worst == []
    missed = classes.missed_rows(outcomes_of([[0, 1]], {"softmax": [None]}))
    assert (missed.rows, missed.always, missed.tested, missed.worst) == (0, 0, 0, [])


def test_words_are_no_rows():
    outcomes = drawn()
    assert classes.by_class(outcomes, 7, "softmax", has_rows=False).missed is None
    found = classes.by_class(outcomes, 7, "softmax", has_rows=True)
    assert found.missed is not None
    assert found.confusions is not None
    assert found.confusions.method == "softmax"
