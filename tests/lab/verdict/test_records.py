"""Records of the verdict: what is compared with what, in which unit, and what a later look may change."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from anymax.lab.data.dataset import Items
from anymax.lab.measuring.outcomes import Answers, Outcomes
from anymax.lab.statistics.counts import RAREST_ROWS, TooFew
from anymax.lab.statistics.decisions import LEVEL, LOOKS, share
from anymax.lab.statistics.twoway import Gains, estimate
from anymax.lab.verdict.records import Judge, differences, reference_of

ROWS = 400


def outcomes(means, *, repeats=5, key="top1", seed=0, spread=0.02, own=0.1, further=None):
    """Methods whose items add about these means to a measure, in folds of which each tests a fifth of the rows."""
    random = np.random.default_rng(seed)
    of_row = random.standard_normal(ROWS)
    items, answers = [], {name: [] for name in means}
    for repeat in range(repeats):
        if repeat % 5 == 0:
            order = random.permutation(ROWS).reshape(5, -1)
        row = order[repeat % 5]
        items.append(Items(row, row, np.zeros(len(row), dtype=int)))
        for name, mean in means.items():
            number = (
                mean + 0.1 * of_row[row] + spread * random.standard_normal() + own * random.standard_normal(len(row))
            )
            adds = {key: number.astype(np.float32)} | {
                more: (of_methods[name] + own * random.standard_normal(len(row))).astype(np.float32)
                for more, of_methods in (further or {}).items()
                if name in of_methods
            }
            answers[name].append(Answers(random.integers(0, 2, len(row)), adds))
    return Outcomes(items, answers)


def judged(found, *, decide_by="top1", margin=0.01, level=LEVEL):
    judge = Judge(decide_by, margin, [0])
    judge.look(found, level=level, later={})
    return judge.verdict()


def test_a_difference_is_the_estimate_over_the_gains_of_rows():
    found = outcomes({"softmax": 0.8, "nce": 0.85})
    (record,) = differences(found, ["top1"], reference="softmax", margin=0.01, level=LEVEL)
    theirs, ours = (np.concatenate([each.adds["top1"] for each in found.answers[name]]) for name in ("nce", "softmax"))
    row = np.concatenate([items.row for items in found.items])
    expected = estimate(Gains(theirs.astype(float) - ours, np.repeat(np.arange(5), 80), row))
    assert record.mean == pytest.approx(expected.mean)
    half = expected.half_width(LEVEL)
    assert (record.nominal_low, record.nominal_high) == pytest.approx((expected.mean - half, expected.mean + half))
    assert (record.method, record.measure, record.repeats, record.level) == ("nce", "top1", 5, LEVEL)


@pytest.mark.parametrize(("key", "sign"), [("top1", 1), ("nll", -1), ("brier", -1)])
def test_better_is_what_the_measure_says(key, sign):
    found = outcomes({"softmax": 1.0, "up": 1.2, "down": 0.8}, key=key)
    answers = {each.method: each.answer for each in judged(found, decide_by=key).differences}
    assert answers == {"up": "better", "down": "worse"} if sign > 0 else {"up": "worse", "down": "better"}
    assert judged(found, decide_by=key).pick == ("up" if sign > 0 else "down")


def test_the_margin_is_in_points_of_a_share_and_a_share_of_a_likelihood():
    for key, expected in (("top1", 0.02), ("nll", 0.02 * 1.5), ("brier", 0.02 * 1.5), ("perplexity", math.log(1.02))):
        by_item = "nll" if key == "perplexity" else key
        found = outcomes({"softmax": 1.5, "nce": 1.5}, key=by_item, own=0.0, spread=0.0)
        (record,) = differences(found, [key], reference="softmax", margin=0.02, level=LEVEL)
        assert record.margin == pytest.approx(expected, rel=0.05)


def test_the_reference_is_softmax_where_it_has_the_measure_else_the_first_that_has():
    assert reference_of(outcomes({"nce": 0.5, "softmax": 0.5}), "top1") == "softmax"
    assert reference_of(outcomes({"nce": 0.5, "gumbel": 0.5}), "top1") == "nce"
    assert reference_of(outcomes({"nce": 0.5}), "nll") is None
    lacking = outcomes({"softmax": 0.5, "nce": 0.5}, further={"nll": {"nce": 0.3}})
    assert reference_of(lacking, "nll") == "nce"


def test_a_method_without_the_measure_in_some_repeat_is_not_compared():
    found = outcomes({"softmax": 0.5, "nce": 0.9, "gumbel": 0.5})
    found.answers["nce"][3] = Answers(found.answers["nce"][3].prediction, {})
    assert [each.method for each in judged(found).differences] == ["gumbel"]


@pytest.mark.parametrize("repeats", [1, 2])
def test_fewer_than_three_repeats_decide_nothing(repeats):
    judge = Judge("top1", 0.01, [0])
    assert judge.look(outcomes({"softmax": 0.2, "nce": 0.9}, repeats=repeats), level=LEVEL, later={})
    assert (judge.verdict().differences, judge.verdict().pick) == ([], "softmax")


def test_too_few_wrong_answers_or_rows_of_a_class_leave_it_open():
    found = outcomes({"softmax": 0.5, "nce": 0.9})
    assert [each.answer for each in judged(found).differences] == ["better"]
    for name in found.answers:
        for each in found.answers[name]:
            each.prediction[...] = 0  # which is right
    found.answers["nce"][0].prediction[:4] = 1
    (record,) = judged(found).differences
    assert (record.answer, record.further_repeats) == ("open", None)
    assert (record.too_few.counted, record.too_few.number) == ("wrong answers", 4)
    found = outcomes({"softmax": 0.5, "nce": 0.9})
    for items in found.items:
        items.target[:] = 0
        items.target[:3] = 1
    for classes, counted in (([0, 1], "rows of the rarest class"), ([0], None), (None, None)):
        judge = Judge("top1", 0.01, classes)
        undecided = judge.look(found, level=LEVEL, later={})
        few = judge.found[0].too_few
        assert undecided == ([] if counted is None else ["nce"])
        assert (few and few.counted) == counted
        assert few is None or few.number == 15


def test_of_labels_the_rows_of_each_count_and_a_row_with_any_wrong_one_is_wrong():
    found = outcomes({"sigmoid": 0.5, "weighted": 0.9})
    has = np.arange(ROWS)[:, None] < [200, 100, 10]
    wrong = has.copy()
    wrong[:20, 0] = False
    items = [replace(each, target=has[each.row]) for each in found.items]
    answers = {
        name: [replace(each, prediction=said[one.row]) for each, one in zip(found.answers[name], items, strict=True)]
        for name, said in (("sigmoid", has), ("weighted", wrong))
    }
    labelled = Outcomes(items, answers)
    assert labelled.wrong("sigmoid") == 0
    assert labelled.wrong("weighted") == 20
    for measured, number, even in (([0, 1], 100, 150), ([0, 1, 2], 10, 310 / 3)):
        judge = Judge("top1", 0.01, measured)
        judge.look(labelled, level=LEVEL, later={})
        needed = math.ceil(math.sqrt(RAREST_ROWS * even))
        few = TooFew("rows of the rarest label", number, needed) if number < needed else None
        assert judge.found[0].too_few == few


def test_one_head_under_two_names_is_equivalent_also_where_its_sums_are_rounded():
    found = outcomes({"softmax": 0.5}, key="nll")
    found.answers["twin"] = [
        Answers(each.prediction, {"nll": each.adds["nll"] * np.float32(1 + 1e-7)}) for each in found.answers["softmax"]
    ]
    (record,) = judged(found, decide_by="nll").differences
    assert (record.answer, record.mean, record.low, record.high) == ("equivalent", 0, 0, 0)


def test_as_many_right_answers_to_other_items_are_not_the_same():
    random = np.random.default_rng(0)
    found = outcomes({"softmax": 0.5, "nce": 0.5})
    for each in found.answers["softmax"]:
        each.adds["top1"] = random.permutation(80) < 60
    for each in found.answers["nce"]:
        each.adds["top1"] = random.permutation(80) < 60
    (record,) = judged(found).differences
    assert record.mean == pytest.approx(0, abs=1e-12)
    assert record.answer == "open"
    assert record.high > 0.02


def test_what_one_look_has_decided_no_later_one_takes_back():
    judge = Judge("top1", 0.01, [0])
    judge.look(outcomes({"softmax": 0.5, "nce": 0.7, "gumbel": 0.5}), level=0.01, later={})
    assert [each.answer for each in judge.found] == ["better", "open"]
    # ten repeats of which nothing can be said
    undecided = judge.look(
        outcomes({"softmax": 0.5, "nce": 0.5, "gumbel": 0.5}, repeats=10, spread=0.5), level=0.01, later={}
    )
    assert undecided == ["gumbel"]
    assert [(each.method, each.answer, each.repeats) for each in judge.found] == [
        ("nce", "better", 5),
        ("gumbel", "open", 10),
    ]
    # what is decided again has the numbers of the later look
    judge.look(outcomes({"softmax": 0.5, "nce": 0.6, "gumbel": 0.8}, repeats=20), level=0.01, later={})
    assert [(each.answer, each.repeats) for each in judge.found] == [("better", 20), ("better", 20)]
    assert judge.verdict().pick == "gumbel"


def test_another_reference_begins_anew():
    judge = Judge("top1", 0.01, [0])
    judge.look(outcomes({"softmax": 0.5, "nce": 0.7}), level=0.01, later={})
    found = outcomes({"softmax": 0.5, "nce": 0.7, "gumbel": 0.7}, repeats=10)
    found.answers["softmax"][7] = Answers(found.answers["softmax"][7].prediction, {})
    judge.look(found, level=0.01, later={})
    assert [each.method for each in judge.found] == ["gumbel"]
    assert judge.verdict().reference == "nce"


def test_the_likelihood_is_judged_beside_any_other_measure():
    means = {"softmax": 0.5, "nce": 0.5, "sigmoid": 0.5}
    verdict = judged(
        outcomes(means, further={"nll": {"softmax": 1.0, "nce": 0.5}, "brier": {"softmax": 0.4, "nce": 0.9}})
    )
    assert [(each.measure, each.method, each.answer) for each in verdict.others] == [
        ("nll", "nce", "better"),
        ("brier", "nce", "worse"),
    ]
    assert [each.measure for each in judged(outcomes(means, key="nll"), decide_by="perplexity").others] == []


def test_open_ones_say_how_many_repeats_would_decide():
    later = {look: share(look) for look in LOOKS if look > 5}
    judge = Judge("top1", 0.01, [0])
    judge.look(outcomes({"softmax": 0.5, "nce": 0.512}, own=0.0, spread=0.012), level=share(5), later=later)
    (record,) = judge.found
    assert record.answer == "open"
    assert record.further_repeats in (5, 15, 35)
    judge.look(outcomes({"softmax": 0.5, "nce": 0.512}, own=0.0, spread=0.012), level=share(5), later={6: 1e-9})
    assert judge.found[0].further_repeats is None
