"""How sure a difference is: intervals cover and false alarms are as rare as stated, where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal, stats

from anymax.lab.inference import LEVEL, Estimate, NotTestable, fixed_estimate, redrawn_estimate, with_holm
from anymax.lab.measuring import measures
from anymax.lab.verdict import estimate, judge
from tests.lab.comparisons import around, make_comparison

SIMULATIONS = 1000
# Four standard errors of a share near 5 % among so many.
SLACK = 4 * math.sqrt(0.05 * 0.95 / SIMULATIONS)


def by_chance(runs, share):
    """Between how many and how many of so many runs it comes up, but for one time in a thousand (exact binomial)."""
    return stats.binom.ppf(0.0005, runs, share), stats.binom.ppf(0.9995, runs, share)


def redrawn_parts(random, item_scores, *, repeats, test_items, noise):
    """Mean score per method over test parts drawn anew: scores (methods, items) -> (methods, repeats).

    Overlapping parts correlate as they do in truth; `noise` is what training adds, anew for each repeat.
    """
    methods, items = item_scores.shape
    parts = random.random((repeats, items)).argpartition(test_items, axis=1)[:, :test_items]
    return item_scores[:, parts].mean(axis=2) + noise * random.standard_normal((methods, repeats))


# Redrawn splits: the corrected resampled t


def test_matches_the_formula_of_nadeau_and_bengio():
    differences = [0.01, 0.03, 0.02, 0.06]
    found = redrawn_estimate(differences, test_items=100, train_items=400)
    variance = np.var(differences, ddof=1) * (1 / 4 + 100 / 400)
    t = np.mean(differences) / math.sqrt(variance)
    assert found.p_value == pytest.approx(2 * stats.t.sf(t, 3))
    half = stats.t.ppf(0.975, 3) * math.sqrt(variance)
    assert found.half_width(0.05) == pytest.approx(half)


def correlated_repeats(random, *, methods, repeats, train, test):
    """Differences (methods, repeats) of mean 0 and variance 1, drawn from the law that the corrected t supposes.

    Those of one method correlate by test / (train + test) between repeats, those of two methods not at all.
    """
    rho = test / (train + test)
    common, own = random.standard_normal((methods, 1)), random.standard_normal((methods, repeats))
    return math.sqrt(rho) * common + math.sqrt(1 - rho) * own


PLANS = [(3, 180, 60), (10, 180, 60), (10, 1200, 300)]


@pytest.mark.parametrize(("repeats", "train", "test"), PLANS)
def test_the_interval_is_exact_for_repeats_that_correlate_as_supposed(repeats, train, test):
    random = np.random.default_rng(8)
    runs, truth, missed, missed_without_correction = 4000, 0.7, 0, 0
    for _ in range(runs):
        (differences,) = truth + correlated_repeats(random, methods=1, repeats=repeats, train=train, test=test)
        found = redrawn_estimate(list(differences), test_items=test, train_items=train)
        missed += abs(found.mean - truth) > found.half_width(LEVEL)
        plain = stats.t.ppf(1 - LEVEL / 2, repeats - 1) * differences.std(ddof=1) / math.sqrt(repeats)
        missed_without_correction += abs(found.mean - truth) > plain
    least, most = by_chance(runs, LEVEL)
    assert least <= missed <= most
    # the plain t has the same spread and too small a variance of the mean: a known share misses
    width = stats.t.ppf(1 - LEVEL / 2, repeats - 1) / math.sqrt(1 + repeats * test / train)
    least, most = by_chance(runs, 2 * stats.t.sf(width, repeats - 1))
    assert least <= missed_without_correction <= most


@pytest.mark.parametrize(("repeats", "train", "test"), PLANS)
def test_false_alarms_of_unrelated_methods_come_up_as_often_as_stated(repeats, train, test):
    random = np.random.default_rng(9)
    runs, methods, alarms = 3000, 4, 0
    for _ in range(runs):
        differences = correlated_repeats(random, methods=methods, repeats=repeats, train=train, test=test)
        alarms += any(d.decided for d in decided_together(differences, train=train, test=test))
    # the least of four p-values is below a quarter of 5 %
    least, most = by_chance(runs, 1 - (1 - LEVEL / methods) ** methods)
    assert least <= alarms <= most


def test_false_alarms_are_rare_where_methods_share_their_reference_and_some_of_them_differ():
    random = np.random.default_rng(10)
    runs, train, test, alarms, missed = 3000, 180, 60, 0, 0
    truths = np.array([0.0, 3.0, 0.0, -6.0])
    for _ in range(runs):
        ours, *theirs = correlated_repeats(random, methods=5, repeats=10, train=train, test=test)
        found = decided_together(truths[:, None] + np.array(theirs) - ours, train=train, test=test)
        alarms += any(d.decided for d, truth in zip(found, truths, strict=True) if truth == 0)
        missed += any(not d.low <= truth <= d.high for d, truth in zip(found, truths, strict=True))
    _, most = by_chance(runs, LEVEL)
    assert 0 < alarms <= most
    assert 0 < missed <= most


def decided_together(differences, *, train, test):
    estimates = {
        str(i): redrawn_estimate(list(of_method), test_items=test, train_items=train)
        for i, of_method in enumerate(differences)
    }
    return list(with_holm(estimates).values())


def test_interval_covers_and_null_is_kept_on_overlapping_parts():
    """One method: the interval misses the truth in about 5 %, with and without a true difference."""
    random = np.random.default_rng(1)
    missed = missed_without_correction = 0
    for _ in range(SIMULATIONS):
        truth = 0.05
        scores = truth + random.standard_normal((1, 300))
        differences = redrawn_parts(random, scores, repeats=10, test_items=60, noise=0.0)[0]
        found = redrawn_estimate(list(differences), test_items=60, train_items=240)
        missed += abs(found.mean - truth) > found.half_width(0.05)
        plain = stats.t.ppf(0.975, 9) * differences.std(ddof=1) / math.sqrt(10)
        missed_without_correction += abs(found.mean - truth) > plain
    assert missed / SIMULATIONS == pytest.approx(0.05, abs=SLACK)
    # The test can tell: the plain t is wrong on these draws.
    assert missed_without_correction / SIMULATIONS > 0.15


def test_false_alarms_over_the_methods_together():
    """Four methods no better than the reference: any decision at all comes up in at most 5 % of the runs."""
    random = np.random.default_rng(2)
    alarms = missed = 0
    truths = {"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0}
    for _ in range(SIMULATIONS):
        scores = random.standard_normal((5, 300))
        reached = redrawn_parts(random, scores, repeats=10, test_items=60, noise=0.05)
        differences = judged(reached, truths)
        alarms += any(d.decided for d in differences)
        missed += any(not d.low <= 0 <= d.high for d in differences)
    assert alarms == missed
    assert 0.01 < alarms / SIMULATIONS < 0.05 + SLACK


def test_intervals_hold_together_where_some_methods_differ():
    random = np.random.default_rng(3)
    truths = {"a": 0.0, "b": 0.3, "c": -0.6, "d": 0.0}
    missed = false_alarms = 0
    for _ in range(SIMULATIONS):
        scores = random.standard_normal((5, 300)) + np.array([[0.0], *([t] for t in truths.values())])
        differences = judged(redrawn_parts(random, scores, repeats=10, test_items=60, noise=0.05), truths)
        missed += any(not d.low <= truths[d.method] <= d.high for d in differences)
        false_alarms += any(d.decided and truths[d.method] == 0 for d in differences)
        assert all(d.decided == (not d.low <= 0 <= d.high) for d in differences)
    assert missed / SIMULATIONS < 0.05 + SLACK
    assert false_alarms / SIMULATIONS < 0.05 + SLACK


def judged(reached, truths):
    ours, *theirs = reached
    return with_holm(
        {
            name: redrawn_estimate(list(values - ours), test_items=60, train_items=240)
            for name, values in zip(truths, theirs, strict=True)
        }
    ).values()


def test_a_count_is_no_surer_than_its_items_allow():
    """The same one item of 30 in each of three repeats is chance; the same 10 of 100 in ten is not."""
    assert redrawn_estimate([1 / 30] * 3, test_items=30, train_items=120, counting=True).p_value > 0.2
    assert redrawn_estimate([0.1] * 10, test_items=100, train_items=400, counting=True).p_value < 0.05


def learners(random, *, repeats, train, test, dims=6):
    """Accuracies (methods, repeats) of two class-mean classifiers on splits of one pool: all features, and the half.

    A row of class y = -1, 1 is y * 0.4 in the first half of its features, with unit noise in all.
    """
    size = train + test
    y = random.choice([-1, 1], size)
    x = random.standard_normal((size, dims))
    x[:, : dims // 2] += 0.4 * y[:, None]
    reached = np.empty((2, repeats))
    for repeat in range(repeats):
        order = random.permutation(size)
        fit, held = order[:train], order[train:]
        weights = y[fit] @ x[fit] / train
        for i, columns in enumerate((dims, dims // 2)):
            reached[i, repeat] = np.mean(np.sign(x[held, :columns] @ weights[:columns]) == y[held])
    return reached


def test_intervals_cover_the_true_difference_of_learners_that_are_trained_anew():
    random = np.random.default_rng(7)
    train, test, runs = 180, 60, 300
    # the truth: over pools without end, each split once
    draws = np.stack([learners(random, repeats=1, train=train, test=400)[:, 0] for _ in range(4000)])
    gains = draws[:, 1] - draws[:, 0]
    truth = gains.mean()
    assert truth > 5 * gains.std() / math.sqrt(len(gains))  # it is known well enough
    found = []
    for _ in range(runs):
        ours, theirs = learners(random, repeats=10, train=train, test=test)
        found.append(redrawn_estimate(list(theirs - ours), test_items=test, train_items=train, counting=True))
    missed = sum(abs(one.mean - truth) > one.half_width(0.05) for one in found)
    assert missed / runs < 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)
    # The correction errs on the wide side for learners that are trained anew, and not by more than half.
    stated = math.sqrt(np.mean([one.error**2 for one in found]))
    assert 1 < stated / np.std([one.mean for one in found]) < 1.6


# One text: block bootstrap and starts


def text_trials(random, truth, *, repeats=4, blocks=40, tokens=200, shared=0.02, own=0.01, start=0.005):
    """nll sums of a reference and a method whose mean differs by `truth` nats: block effects and start effects."""
    counts = [tokens] * blocks
    block_effect = shared * random.standard_normal(blocks)
    sums = {"softmax": [], "nce": []}
    for _ in range(repeats):
        base = 5 + random.standard_normal(blocks) * 0.3
        effect = truth + block_effect + start * random.standard_normal() + own * random.standard_normal(blocks)
        sums["softmax"].append(list(tokens * base))
        sums["nce"].append(list(tokens * (base + effect)))
    return sums, counts


def text_comparison(sums, counts):
    perplexities = {name: [math.exp(sum(repeat) / sum(counts)) for repeat in repeats] for name, repeats in sums.items()}
    return make_comparison(
        perplexities,
        decide_by="perplexity",
        blocks=sums,
        block_items=counts,
        task="text",
        splits_redrawn=False,
        num_classes=4000,
        baseline=600.0,
    )


@pytest.mark.parametrize(("shared", "start"), [(0.02, 0.001), (0.002, 0.02), (0.02, 0.005)])
def test_blocks_and_starts_give_intervals_that_cover(shared, start):
    random = np.random.default_rng(4)
    runs, missed, truth = 400, 0, 0.01
    for _ in range(runs):
        comparison = text_comparison(*text_trials(random, truth, shared=shared, start=start))
        found = estimate(comparison, "nce", "softmax", "perplexity")
        missed += abs(found.mean - truth) > found.half_width(0.05)
    # Each source is estimated with the other's noise in it, which errs on the wide side.
    assert 0.01 < missed / runs < 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)


def words_in_a_row(random, truths, *, repeats=3, words=6000, decay=0.8, start=0.002):
    """Trials of softmax and of a method per truth, better or worse by it, on words whose neighbours are alike.

    Where a word is easier for a method, so are those around it (an autoregression of the first order: words n apart
    correlate by decay^n), in every repeat. Returns the comparison and the nll (method, words), mean over the repeats.
    """
    counts, sums, nll = [], {}, []
    base = 5 + random.standard_normal(words)
    for name, truth in {"softmax": 0.0, **truths}.items():
        noise = random.standard_normal(words + 100)
        alike = signal.lfilter([math.sqrt(1 - decay**2)], [1, -decay], noise)[100:]
        told = base + truth + (0.3 * alike if name in truths else 0)
        reached = [told + start * random.standard_normal() for _ in range(repeats)]
        blocks = [measures.by_block(outcome(of_repeat), "text", []) for of_repeat in reached]
        counts, sums[name] = blocks[0][0], [of_words["nll"] for _, of_words in blocks]
        nll.append(np.mean(reached, axis=0))
    return text_comparison(sums, counts), np.array(nll)


def outcome(nll):
    nothing = np.zeros(len(nll))
    return measures.Outcome(nothing.astype(int), nothing.astype(int), measures.Law(nll, nothing, nothing))


def test_blocks_of_words_whose_neighbours_are_alike_give_intervals_that_cover():
    random = np.random.default_rng(11)
    runs, truth, missed, missed_word_by_word = 400, 0.02, 0, 0
    for _ in range(runs):
        comparison, (ours, theirs) = words_in_a_row(random, {"nce": truth})
        found = estimate(comparison, "nce", "softmax", "perplexity")
        missed += abs(found.mean - truth) > found.half_width(LEVEL)
        gains = theirs - ours
        missed_word_by_word += abs(gains.mean() - truth) > 1.96 * gains.std() / math.sqrt(len(gains))
    least, most = by_chance(runs, LEVEL)
    assert least <= missed <= most
    # the test can tell: as if words were drawn one by one, the interval is far too narrow
    assert missed_word_by_word > 4 * most


def test_false_alarms_on_one_text_are_rare_over_the_methods_together():
    random = np.random.default_rng(12)
    runs, alarms = 300, 0
    for _ in range(runs):
        comparison, _ = words_in_a_row(random, {"nce": 0.0, "gumbel": 0.0, "sampled": 0.0})
        names = ("nce", "gumbel", "sampled")
        found = with_holm({name: estimate(comparison, name, "softmax", "perplexity") for name in names})
        alarms += any(d.decided for d in found.values())
    least, most = by_chance(runs, LEVEL)
    assert least <= alarms <= most


def test_text_verdict_speaks_in_perplexity():
    comparison = text_comparison(*text_trials(np.random.default_rng(5), truth=-0.1))
    verdict = judge(comparison)
    assert (verdict.pick, verdict.decided) == ("nce", True)
    assert verdict.differences[0].mean == pytest.approx(-0.1, abs=0.02)
    assert "perplexity" in verdict.text
    assert "%" in verdict.text


def test_text_starts_alone_do_not_decide():
    """Seeds agree, blocks do not: what helps on half of the text is no difference on text of the kind."""
    tokens = [100] * 8
    base = [500.0] * 8
    shifted = [s + d for s, d in zip(base, [40, -35, 30, -28, 36, -30, 25, -20], strict=True)]
    verdict = judge(text_comparison({"softmax": [base] * 3, "nce": [shifted] * 3}, tokens))
    assert not verdict.decided
    assert verdict.pick == "softmax"


def test_text_measured_on_different_blocks_is_refused():
    sums, counts = text_trials(np.random.default_rng(0), 0.0)
    comparison = text_comparison(sums, counts)
    for trial in comparison.of("nce"):
        trial.tested.block_items[0] += 1
    with pytest.raises(ValueError, match="same blocks"):
        judge(comparison)


def test_a_single_block_is_no_measure_of_chance():
    comparison = text_comparison({"softmax": [[500.0]] * 3, "nce": [[501.0], [502.0], [503.0]]}, [100])
    with pytest.raises(NotTestable):
        fixed_estimate([1.0, 2.0, 3.0], comparison.of("nce"), comparison.of("softmax"))
    verdict = judge(comparison)
    assert not verdict.decided
    assert "single block" in verdict.text


@pytest.mark.parametrize("key", ["top1", "macro_f1"])
def test_a_shift_over_time_gives_intervals_that_cover(key):
    """Rows in order of time, fixed parts: neighbours are alike, and so is how much better a method does on them."""
    random = np.random.default_rng(6)
    runs, items, drift, missed, truth = 100, 3000, 60, 0, 0.04
    for _ in range(runs):
        targets = random.integers(0, 2, items)
        # how sure a row is told changes from stretch to stretch; the method is better by `truth` on the whole
        ease = 0.75 + np.repeat(random.uniform(-0.1, 0.1, items // drift), drift)
        gain = truth + np.repeat(random.uniform(-0.08, 0.08, items // drift), drift)
        tested = {
            name: [measured(random, targets, ease + (name == "nce") * gain) for _ in range(3)]
            for name in ("softmax", "nce")
        }
        comparison = make_comparison(
            {name: [t.measures[key] for t in trials] for name, trials in tested.items()},
            decide_by=key,
            splits_redrawn=False,
        )
        for name, trials in tested.items():
            for trial, found in zip(comparison.of(name), trials, strict=True):
                trial.tested = found
        found = estimate(comparison, "nce", "softmax", key)
        missed += abs(found.mean - truth) > found.half_width(0.05)
    # The starts' chance is also within what the blocks vary by, which errs on the wide side.
    assert missed / runs < 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)
    # but not so wide that nothing is decided
    assert found.half_width(0.05) < truth


def measured(random, targets, right):
    """What is taken of predictions in two balanced classes that are right with these probabilities."""
    predictions = np.where(random.random(len(targets)) < right, targets, 1 - targets)
    return measures.of_test_part(
        measures.Outcome(targets, predictions, None),
        "classification",
        [0, 1],
        class_counts=[1, 1],
        class_names=["a", "b"],
        unknown_class=None,
        by_blocks=True,
        scaled=None,
    )


def test_accuracy_on_a_fixed_text_gets_no_verdict():
    comparison = make_comparison(
        {"softmax": around(0.3, 0.01), "nce": around(0.5, 0.01, seed=1)}, task="text", splits_redrawn=False
    )
    verdict = judge(comparison)
    assert (verdict.pick, verdict.decided, verdict.differences) == ("softmax", False, [])
    assert "same in every repeat" in verdict.text


# Many methods


def test_holm_steps_down_in_order():
    p_values = {"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.005}
    found = with_holm({name: estimate_with(p) for name, p in p_values.items()})
    assert list(found) == ["a", "b", "c", "d"]
    adjusted = {name: d.p_adjusted for name, d in found.items()}
    # d: 4 x .005, b: 3 x .01, c: 2 x .03, a: 1 x .04, not below c's.
    assert adjusted == pytest.approx({"d": 0.02, "b": 0.03, "c": 0.06, "a": 0.06})
    assert [name for name, d in found.items() if d.decided] == ["b", "d"]


def estimate_with(p_value, freedom=9):
    return Estimate(float(stats.t.isf(p_value / 2, freedom)), 1.0, freedom)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("p_values", [(0.03,), (0.01, 0.04), (0.03, 0.04), (0.02, 0.024, 0.2), (0.001, 0.03, 0.2)])
def test_an_interval_excludes_zero_exactly_where_it_is_decided(p_values, sign):
    estimates = {str(p): estimate_with(p) for p in p_values}
    estimates = {name: Estimate(sign * e.mean, e.error, e.freedom) for name, e in estimates.items()}
    for difference in with_holm(estimates).values():
        assert difference.decided == (difference.low > 0 or difference.high < 0)
        assert difference.low < difference.mean < difference.high
