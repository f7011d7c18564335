"""Data and heads whose truth is known, through the whole of `compare`: what it says is what was planted."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from scipy import stats

from anymax.lab.api import compare
from anymax.lab.data.splits import BLOCKS
from anymax.lab.measuring import measures
from anymax.lab.statistics.decisions import LEVEL
from anymax.lab.statistics.twoway import Gains, estimate
from anymax.lab.training import methods, trial
from anymax.lab.training.methods import METHODS
from tests.lab.calls import load
from tests.lab.planted_heads import Bent, OwnStart, next_class, planted, straight, times_eight

pytestmark = pytest.mark.usefixtures("heads_alone")


def plant(monkeypatch, name, head, *arguments):
    monkeypatch.setitem(methods.METHODS, name, planted(name, head, *arguments))


def clouds(seed, rows, wrong=0.0):
    """Three clouds far apart, a class each, and a known share of the labels drawn from the other two."""
    generator = np.random.default_rng(seed)
    classes = generator.integers(0, 3, size=rows)
    points = generator.normal(size=(rows, 2)) * 0.3
    points[:, 0] += 3 * (classes == 0)
    points[:, 1] += 3 * (classes == 1)
    drawn = generator.random(rows) < wrong
    labels = np.where(drawn, (classes + generator.integers(1, 3, size=rows)) % 3, classes)
    return pd.DataFrame(points, columns=["x", "y"]).assign(label=labels)


def compared(frame, names, target="label", epochs=3, **options):
    return compare(
        frame,
        target=target,
        methods=names,
        seeds=options.pop("seeds", 5),
        epochs=epochs,
        lr=1e-2,
        device="cpu",
        **options,
    )


def mean(comparison, method, key="top1"):
    return np.mean([trial.tested.measures[key] for trial in comparison.of(method)])


def most_by_chance(runs):
    """How many of so many runs may be wrong where each is with 5 %: more come up once in a thousand times."""
    return stats.binom.ppf(0.999, runs, LEVEL)


# ---------------------------------------------------------------- two equal heads


@pytest.mark.parametrize("decide_by", ["top1", "nll"])
def test_the_same_head_under_two_names_ends_as_equivalent(monkeypatch, decide_by):
    monkeypatch.setitem(methods.METHODS, "twin", dataclasses.replace(METHODS["softmax"], name="twin"))
    comparison = compared(clouds(0, 300, wrong=0.3), ["twin", "softmax"], decide_by=decide_by, seeds=None)
    (difference,) = comparison.verdict.differences
    assert (difference.method, difference.answer, difference.mean) == ("twin", "equivalent", 0)
    assert (comparison.verdict.pick, comparison.repeats, comparison.ending) == ("softmax", 5, "all is decided")


def test_heads_that_differ_by_chance_alone_are_rarely_preferred(monkeypatch):
    plant(monkeypatch, "left", OwnStart, 0, straight)
    plant(monkeypatch, "right", OwnStart, 1, straight)
    runs = 15
    alarms, signs = 0, set()
    for seed in range(runs):
        comparison = compared(clouds(seed, 200, wrong=0.3), ["softmax", "left", "right"], decide_by="nll", epochs=2)
        differences = comparison.verdict.differences
        assert [d.method for d in differences] == ["left", "right"]
        assert differences[0].mean != differences[1].mean
        signs |= {np.sign(d.mean) for d in differences}
        alarms += any(d.answer in ("better", "worse") for d in differences)
    assert signs == {-1, 1}
    assert alarms <= most_by_chance(runs)


# ---------------------------------------------------------------- a head better by a known margin


@pytest.mark.parametrize(("bent", "whole"), [("planted", "softmax"), ("softmax", "planted")])
def test_a_head_better_by_a_known_margin_is_picked_and_the_margin_covered(monkeypatch, bent, whole):
    share, runs = 0.3, 6
    plant(monkeypatch, whole, Bent, straight)
    plant(monkeypatch, bent, Bent, next_class(share))
    missed = 0
    for seed in range(runs):
        comparison = compared(clouds(seed, 1000), ["softmax", "planted"])
        assert mean(comparison, whole) > 0.995  # so that the margin is the share
        (difference,) = comparison.verdict.differences
        truth = share if whole == "planted" else -share
        missed += not difference.low <= truth <= difference.high
        assert comparison.verdict.pick == whole
        assert comparison.verdict.text.startswith(f"Take {whole}: its top-1 accuracy is ")
    assert missed <= most_by_chance(runs)


# ---------------------------------------------------------------- better in one measure, worse in another


def test_a_head_that_is_too_sure_is_as_accurate_and_its_law_is_worse(monkeypatch):
    plant(monkeypatch, "sure", Bent, times_eight)
    frame = clouds(0, 1200, wrong=0.3)
    # after one epoch there is no choice of the best one, so that both are the same network
    by_accuracy = compared(frame, ["softmax", "sure"], decide_by="top1", epochs=1)
    assert by_accuracy.verdict.differences[0].mean == 0
    assert by_accuracy.verdict.differences[0].answer == "equivalent"
    by_law = compared(frame, ["softmax", "sure"], decide_by="nll", epochs=1, seeds=10)
    assert by_law.verdict.differences[0].answer == "worse"
    assert by_law.verdict.differences[0].low > 0


def test_each_measure_gets_its_own_verdict_and_the_other_one_is_told(monkeypatch):
    # Labels are right in 70 % of the rows. Softmax here is misled in 40 % of them, where its answer is right by
    # chance, in 15 %; the other is right in 70 %, and eight times too sure.
    share, right, by_chance = 0.4, 0.7, 0.15
    plant(monkeypatch, "softmax", Bent, next_class(share))
    plant(monkeypatch, "sure", Bent, times_eight)
    frame = clouds(0, 1500, wrong=1 - right)
    by_accuracy = compared(frame, ["softmax", "sure"], decide_by="top1", epochs=4, seeds=5)
    by_law = compared(frame, ["softmax", "sure"], decide_by="nll", epochs=4, seeds=5)
    (gain,) = by_accuracy.verdict.differences
    assert gain.low < share * (right - by_chance) < gain.high
    assert by_accuracy.verdict.pick == "sure"
    assert "By negative log-likelihood (nats) it would be softmax, with " in by_accuracy.verdict.text
    assert by_law.verdict.pick == "softmax"
    assert "By top-1 accuracy it would be sure, with " in by_law.verdict.text


# ---------------------------------------------------------------- leakage

SHIFT = 0.7  # of the honest feature between the classes, to either side: right in Phi(SHIFT) of the rows at best


def answers(kind, classes, generator):
    """The class in other words."""
    if kind == "number":
        return classes * 5.0 + generator.normal(size=len(classes)) * 0.3
    if kind == "category":
        return [f"{'KR'[c]}-{i}" for c, i in zip(classes, generator.integers(0, 20, len(classes)), strict=True)]
    if kind == "date":
        days = pd.to_timedelta(generator.integers(0, 90, len(classes)) + 200 * classes, unit="D")
        return (pd.Timestamp("2024-01-01") + days).strftime("%Y-%m-%d")
    words = generator.integers(0, 30, (len(classes), 5))
    return [" ".join(f"w{i}" for i in row) + " refunded" * c for row, c in zip(words, classes, strict=True)]


@pytest.mark.parametrize("kind", ["number", "category", "date", "text"])
def test_a_column_that_is_the_target_in_other_words_is_named_and_dropping_it_gives_the_honest_score(kind):
    generator = np.random.default_rng(0)
    rows = 2000
    classes = generator.integers(0, 2, size=rows)
    frame = pd.DataFrame({"honest": generator.normal(size=rows) + SHIFT * (2 * classes - 1), "label": classes})
    frame["closing"] = answers(kind, classes, generator)
    leaking = compared(frame, ["softmax"], epochs=4)
    assert [column.kind for column in leaking.data.columns if column.name == "closing"] == [kind]
    named = [note for note in leaking.data.notes if "alone predicts the class" in note]
    assert len(named) == 1
    assert named[0].startswith("Column 'closing' ")
    assert ("'refunded'" in named[0]) == (kind == "text")
    assert mean(leaking, "softmax") > 0.99
    honest = compared(frame, ["softmax"], epochs=4, drop=["closing"])
    assert not [note for note in honest.data.notes if "alone predicts the class" in note]
    best = stats.norm.cdf(SHIFT)
    # four standard errors of the accuracy on a single test part; there are three, which overlap
    slack = 4 * math.sqrt(best * (1 - best) / honest.data.test_items)
    assert mean(honest, "softmax") == pytest.approx(best, abs=slack)


def test_rows_that_come_again_are_counted_and_without_them_nothing_is_learnt():
    generator = np.random.default_rng(0)
    different, times = 150, 4
    once = pd.DataFrame(generator.normal(size=(different, 12))).assign(label=generator.integers(0, 2, different))
    again = pd.concat([once] * times).sample(frac=1, random_state=0).reset_index(drop=True)
    comparison = compared(again, ["softmax"], epochs=15)
    rows = [tuple(row) for row in again.to_numpy()]
    train, _, test = load(again, target="label").rows(0)
    shared = len([i for i in test if rows[i] in {rows[j] for j in train}])
    assert shared > 100
    assert comparison.data.notes == [
        f"450 of 600 rows repeat another row exactly; in the first repeat {shared} of 120 test rows have an equal row "
        "in the training part."
    ]
    assert mean(comparison, "softmax") > 0.85
    honest = compared(once, ["softmax"], epochs=15)
    assert honest.data.notes == []
    # labels are tossed: four standard errors of the accuracy on the rows of a single test part
    assert mean(honest, "softmax") == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / honest.data.test_items))


# ---------------------------------------------------------------- a rare class


def rare(seed, rows):
    """Two clouds that overlap, one of them with one row in thirty."""
    generator = np.random.default_rng(seed)
    is_rare = generator.random(rows) < 1 / 30
    points = generator.normal(size=(rows, 2))
    points[:, 0] += 1.2 * is_rare
    return pd.DataFrame(points, columns=["x", "y"]).assign(label=np.where(is_rare, "rare", "common"))


def test_the_prior_finds_a_rare_class_that_softmax_leaves_out():
    comparison = compared(rare(1, 3000), ["softmax", "prior"], epochs=6)
    assert comparison.decide_by == "macro_f1"
    assert mean(comparison, "prior", "macro_f1") - mean(comparison, "softmax", "macro_f1") > 0.05
    # its answers are others, its probabilities no worse
    assert mean(comparison, "prior", "top1") < mean(comparison, "softmax", "top1")
    assert mean(comparison, "prior", "nll") < mean(comparison, "softmax", "nll") + 0.01


def test_the_prior_takes_part_by_itself_where_a_class_is_rare():
    planned = []

    def stop(event):
        planned.append(event)
        raise KeyboardInterrupt

    for frame in (rare(0, 300), clouds(0, 300)):
        with pytest.raises(KeyboardInterrupt):
            compared(frame, None, progress=stop)
    assert [event.methods for event in planned] == [["softmax", "sigmoid", "prior"], ["softmax", "sigmoid"]]


def test_with_its_prior_added_back_the_head_is_calibrated_and_without_it_not():
    dataset = load(rare(1, 6000), target="label")
    parts = dataset.parts(0)
    plan = trial.Plan("classification", "nll", dataset.measured_ids, epochs=15, patience=5, batch_size=64)
    fabric = Fabric(accelerator="cpu", devices=1)
    options = {"repeat": 0, "learning_rate": 3e-3, "strength": 1.0, "fabric": fabric}
    model, _ = trial.train(METHODS["prior"], plan, parts, **options)
    outcome = trial.look(model, METHODS["prior"], parts.test)
    features = model.backbone.eval()(parts.test.inputs)
    balanced = measures.observe(
        parts.test.targets,
        features.detach(),
        log_prob=lambda rows: model.head(rows).detach().log_softmax(-1),
        predict=model.head.predict,
    )
    assert np.array_equal(outcome.predictions, balanced.predictions)
    assert measures.value(outcome, "ece", ()) < 1.5 * measures.calibration_error_if_calibrated(outcome)
    assert measures.value(balanced, "nll", ()) > 2 * measures.value(outcome, "nll", ())
    is_rare = dataset.class_names.index("rare")
    with torch.no_grad():
        by_law = model.head.log_prob(features)[:, is_rare].exp().mean()
        by_scores = model.head(features).softmax(-1)[:, is_rare].mean()
    share = (parts.test.targets == is_rare).float().mean()
    error = math.sqrt(share * (1 - share) / len(parts.test))
    assert float(by_law) == pytest.approx(float(share), abs=3 * error)
    assert by_scores > 3 * share


# ---------------------------------------------------------------- groups


def test_what_is_learnt_about_a_group_is_worth_nothing_for_another():
    """Each group has features and a class drawn by chance, the same in all of its rows but for a little noise."""
    generator = np.random.default_rng(0)
    groups, rows_each = 200, 5
    group = np.repeat(np.arange(groups), rows_each)
    signatures = generator.normal(size=(groups, 12))
    frame = pd.DataFrame(signatures[group] + 0.05 * generator.normal(size=(len(group), 12)))
    frame = frame.assign(label=generator.integers(0, 2, groups)[group], person=[f"p{i}" for i in group])
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    at_random = compared(frame, ["softmax"], drop=["person"], epochs=30)
    by_group = compared(frame, ["softmax"], group="person", epochs=30)
    assert mean(at_random, "softmax") > 0.9
    # classes of groups are tossed: four standard errors of the share right among the groups of a single test part
    tested = by_group.data.test_items / rows_each
    assert mean(by_group, "softmax") == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / tested))
    assert mean(at_random, "softmax") - mean(by_group, "softmax") > 0.25
    dataset = load(frame, target="label", group="person")
    for repeat in range(3):
        of_parts = [set(frame["person"].iloc[rows]) for rows in dataset.rows(repeat)]
        assert sum(map(len, of_parts)) == len(set.union(*of_parts)) == groups


# ---------------------------------------------------------------- drift


@pytest.fixture(scope="module")
def turning():
    """The sign of x + y tells the class, and from four fifths of the days on the other class; rows in no order."""
    generator = np.random.default_rng(0)
    rows = 1500
    day = np.arange(rows) // 3
    x, y = generator.normal(size=(2, rows))
    frame = pd.DataFrame(
        {
            "x": x,
            "y": y,
            "when": (pd.Timestamp("2021-01-01") + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d"),
            "label": (x + y > 0) ^ (day >= 0.8 * day.max()),
        }
    )
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


def test_a_relation_that_turns_is_seen_by_the_latest_rows_alone(turning):
    at_random = compared(turning, ["softmax"], epochs=15)
    by_time = compared(turning, ["softmax"], time="when", epochs=15)
    # a random split shows what came after; told the date, the model knows when the relation turns
    assert mean(at_random, "softmax") > 0.9
    # what was right before is wrong now
    assert mean(by_time, "softmax") < 0.1
    (note,) = at_random.data.notes
    assert "--time 'when' tests it on the latest ones" in note
    assert by_time.data.notes == []


def test_over_time_the_latest_rows_test_in_their_order_and_blocks_of_them_give_the_interval(turning, monkeypatch):
    plant(monkeypatch, "planted", OwnStart, 0, straight)
    comparison = compared(turning, ["softmax", "planted"], time="when", decide_by="nll")
    assert not comparison.data.splits_redrawn
    train, validation, test = load(turning, target="label", time="when").rows(0)
    when = turning["when"].to_numpy()
    for rows in (train, validation, test):
        assert (when[rows][1:] >= when[rows][:-1]).all()
    assert when[train].max() < when[validation].min() <= when[validation].max() < when[test].min()
    for items in comparison.outcomes.items:
        assert np.array_equal(items.row, test)
        assert np.array_equal(np.unique(items.cluster), np.arange(BLOCKS))
        assert (np.diff(items.cluster) >= 0).all()
    theirs, ours = (
        np.concatenate([each.adds["nll"] for each in comparison.outcomes.answers[name]])
        for name in ("planted", "softmax")
    )
    block = np.tile(np.arange(len(test)) * BLOCKS // len(test), 5)
    expected = estimate(Gains(theirs.astype(float) - ours, np.repeat(np.arange(5), len(test)), block))
    (difference,) = comparison.verdict.differences
    half = expected.half_width(LEVEL)
    assert (difference.nominal_low, difference.nominal_high) == pytest.approx(
        (expected.mean - half, expected.mean + half)
    )
    assert 0 < half < math.inf
