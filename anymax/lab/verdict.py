"""Which method to pick, whether the data decide it, and the paragraph that says so: functions of a `Comparison`."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right

from anymax.lab.inference import (
    Estimate,
    NotTestable,
    fixed_estimate,
    identical,
    redrawn_estimate,
    with_holm,
)
from anymax.lab.measure import MEASURES, is_number, summarise
from anymax.lab.results import Comparison, Difference, Verdict
from anymax.lab.summary import best_so_far, listed, seconds, signed, size, still_improving
from anymax.lab.training.methods import METHODS

FEWEST_REPEATS = 3
ENOUGH_REPEATS = 10
# A method this many times as fast as the pick, in every repeat, is worth a sentence.
WORTHWHILE_SPEED = 1.25
WORTHWHILE_SIZE = 0.8
WORTHWHILE_BYTES = 64 << 20  # of a step, below which nobody runs out of memory
MANY_CLASSES = 10_000  # from which on it counts whether a step scores all of them


def judge(comparison: Comparison) -> Verdict:
    """Compare every method with the reference in the deciding measure, decide which to pick, and say why.

    The reference is softmax where it has a number in every repeat, else the first method that has. A method
    without a number in some repeat (it diverged, or defines no law) is not compared: its good repeats alone would
    flatter it. The pick is the best of the methods that are decidedly better than the reference. Where there is
    none it is the reference, and the verdict counts as decided only if every other method is decidedly worse.
    """
    key = comparison.decide_by
    names = [method.name for method in comparison.methods]
    repeats = comparison.repeats
    complete = [name for name in names if _is_complete(comparison, name, key)]
    if not complete:
        # Nothing speaks for any of them; the first stands for "none".
        text = f"No verdict: no method has a {MEASURES[key].title} in every repeat. {_why_none(comparison)}"
        return Verdict(names[0], [], names[0], decided=False, text=text)

    reference = "softmax" if "softmax" in complete else complete[0]
    if repeats < FEWEST_REPEATS:
        text = (
            f"No verdict: {'one repeat' if repeats == 1 else 'two repeats'} cannot tell a difference from chance, "
            f"{FEWEST_REPEATS} or more can (--seeds {FEWEST_REPEATS}). Until then take {reference}, the simplest."
        )
        return Verdict(reference, [], reference, decided=False, text=text)

    estimates: dict[str, Estimate] = {}
    not_compared = {name: _why_incomplete(comparison, name) for name in names if name not in complete}
    for name in complete:
        if name != reference:
            try:
                estimates[name] = estimate(comparison, name, reference, key)
            except NotTestable as reason:
                not_compared[name] = str(reason)
    differences = list(with_holm(estimates).values())
    better = [d for d in differences if d.decided and d.is_better(MEASURES[key])]
    if better:
        pick = max(better, key=lambda d: abs(d.mean)).method
        decided = True
    else:
        pick = reference
        decided = bool(differences) and all(d.decided for d in differences)
    text = " ".join(
        [
            *_decision(comparison, reference, differences, pick, decided),
            *(f"{name} is not compared: {reason}." for name, reason in not_compared.items()),
            *_against_baseline(comparison, pick),
            *_cut_short(comparison),
            *_otherwise(comparison, pick, complete),
        ]
    )
    return Verdict(reference, differences, pick, decided, text)


def estimate(comparison: Comparison, method: str, reference: str, key: str) -> Estimate:
    """`method` minus `reference` in the measure `key`, or `NotTestable` with the reason.

    Both have a number in every repeat. Perplexities are compared by their logarithms.
    """
    theirs, ours = _on_scale(comparison, method, key), _on_scale(comparison, reference, key)
    differences = [t - o for t, o in zip(theirs, ours, strict=True)]
    if identical(theirs, ours) and not MEASURES[key].counts_items:
        return Estimate(0.0, 0.0, len(differences) - 1)
    if comparison.data.splits_redrawn:
        return redrawn_estimate(
            differences,
            test_items=comparison.data.test_items,
            train_items=comparison.data.train_items,
            counting=MEASURES[key].counts_items,
        )
    # The logarithm of a perplexity is the mean of the nll.
    of_items = "nll" if key == "perplexity" else key
    return fixed_estimate(differences, comparison.of(method), comparison.of(reference), of_items)


def _is_complete(comparison: Comparison, method: str, key: str) -> bool:
    values = comparison.values(method, key)
    return len(values) == comparison.repeats and all(is_number(value) for value in values)


def _on_scale(comparison: Comparison, method: str, key: str) -> list[float]:
    """One measure of one method by repeat, on the scale on which differences are taken."""
    values = [value for value in comparison.values(method, key) if value is not None]
    return [math.log(value) for value in values] if MEASURES[key].by_ratio else values


def _why_incomplete(comparison: Comparison, method: str) -> str:
    title = comparison.deciding.title
    trials = comparison.of(method)
    broken = sum(trial.diverged for trial in trials)
    if broken:
        return f"training diverged in {broken} of {len(trials)} repeats"
    return f"it has no {title} in every repeat"


def _why_none(comparison: Comparison) -> str:
    if any(trial.diverged for trial in comparison.trials):
        return "Training diverged; try a smaller learning rate (--lr) and look at the data."
    return "Choose another measure (--decide-by top1 exists for every method)."


def _decision(
    comparison: Comparison, reference: str, differences: list[Difference], pick: str, decided: bool
) -> list[str]:
    """The numbers that decide, in sentences."""
    key = comparison.decide_by
    title = MEASURES[key].title
    over = f"over {comparison.repeats} repeats"
    by_name = {d.method: d for d in differences}
    better = [d.method for d in differences if d.decided and d.is_better(MEASURES[key]) and d.method != pick]
    worse = [d.method for d in differences if d.decided and not d.is_better(MEASURES[key])]
    undecided = [d.method for d in differences if not d.decided]

    if pick == reference and decided:
        closest = min(worse, key=lambda name: abs(by_name[name].mean))
        return [
            f"Take {pick}: its {title} is {_mean(comparison, pick, key)} {over}, and every other method is decidedly "
            f"worse; the closest is {closest}, by {_with_interval(key, by_name[closest])}."
        ]
    sentences = []
    if pick != reference:
        sentences.append(
            f"Take {pick}: its {title} is {_mean(comparison, pick, key)} against {_mean(comparison, reference, key)} "
            f"for {reference} {over}, a difference of {_with_interval(key, by_name[pick])}."
        )
        if better:
            sentences.append(
                f"{listed(better)} also beat{'s' if len(better) == 1 else ''} {reference}; which of the winners is "
                "best, this run does not decide."
            )
        if undecided:
            sentences.append(f"Not decided against {reference}: {listed(undecided)}.")
    elif undecided:
        largest = max(undecided, key=lambda name: abs(by_name[name].mean))
        ours = _on_scale(comparison, reference, key)
        same = all(identical(_on_scale(comparison, name, key), ours) for name in undecided)
        if same:
            why = f"{listed(undecided)} gave the same {title} as {reference} in every repeat"
        else:
            why = (
                f"in {title} {over} the largest difference to {reference} is that of {largest}, "
                f"{_with_interval(key, by_name[largest])}, and chance alone can make it"
            )
        sentences.append(
            f"The data do not decide between {listed([reference, *undecided])}: {why}. "
            f"Take {reference}, the simplest of them."
        )
        if comparison.repeats < ENOUGH_REPEATS and not same:
            more = "" if comparison.data.splits_redrawn else " or more data to test on"
            sentences.append(f"More repeats (--seeds {ENOUGH_REPEATS}){more} would narrow the interval.")
    else:
        why = "nothing could be compared with it" if len(comparison.methods) > 1 else "no other method took part"
        sentences.append(f"No verdict on {reference}, with a {title} of {_mean(comparison, reference, key)}: {why}.")
    if worse:
        names = [f"{name} ({signed(key, by_name[name])[0]})" for name in worse]
        sentences.append(f"Decidedly worse than {reference}: {listed(names)}.")
    return sentences


def _against_baseline(comparison: Comparison, pick: str) -> list[str]:
    """A warning where the pick is no better than the answer that looks at no feature."""
    key = comparison.decide_by
    if not _reaches_baseline(comparison, pick, key):
        return []
    trivial = MEASURES[key].number(_of_baseline(comparison, key))
    warning = (
        f"But the trivial answer, which looks at no feature, reaches {trivial}: by this measure {pick} is of no use as "
        "trained here."
    )
    has_law = _is_complete(comparison, pick, "nll")
    if not has_law or key in ("nll", "perplexity") or _reaches_baseline(comparison, pick, "nll"):
        return [warning]
    return [
        warning,
        f"Its probabilities have learnt something, with a {MEASURES['nll'].title} of {_mean(comparison, pick, 'nll')} "
        f"against {MEASURES['nll'].number(_of_baseline(comparison, 'nll'))}: --decide-by nll judges these.",
    ]


def _reaches_baseline(comparison: Comparison, pick: str, key: str) -> bool:
    """Whether the trivial answer is as good as the pick in a measure that both have."""
    reached, trivial = summarise(comparison.values(pick, key)), _of_baseline(comparison, key)
    if reached is None or math.isnan(trivial):
        return False
    return trivial >= reached.mean if MEASURES[key].higher_is_better else trivial <= reached.mean


def _of_baseline(comparison: Comparison, key: str) -> float:
    summary = summarise([row.measures.get(key) for row in comparison.baseline])
    return math.nan if summary is None else summary.mean


def _cut_short(comparison: Comparison) -> list[str]:
    names = still_improving(comparison)
    if not names:
        return []
    return [
        f"{listed(names)} {'was' if len(names) == 1 else 'were'} still improving at the last epoch "
        f"({comparison.options['epochs']}); a longer training (--epochs) may change this."
    ]


def _otherwise(comparison: Comparison, pick: str, complete: list[str]) -> list[str]:
    """The cases in which it would be another: what the run says about other aims than the deciding measure."""
    cases = [
        *(_for_short_training(comparison, pick, complete) or _for_speed(comparison, pick, complete)),
        *_for_size(comparison, pick, complete),
        *_for_memory(comparison, pick, complete),
        *_for_other_measures(comparison, pick),
        *_for_a_law(comparison, pick),
        *_for_many_classes(comparison, pick),
    ]
    return cases or [f"No other number of this run, speed and size included, speaks against {pick}."]


def _for_short_training(comparison: Comparison, pick: str, complete: list[str]) -> list[str]:
    """Who leads, in every repeat, after the time in which the first method was done."""
    key = comparison.decide_by
    times: list[float] = []
    reached: dict[str, list[float]] = {name: [] for name in complete}
    for trials in zip(*(comparison.of(name) for name in complete), strict=True):
        curves = {trial.method: best_so_far(comparison, trial) for trial in trials}
        if not all(moments for moments, _ in curves.values()):
            return []
        # Not before every method has a value to be compared.
        time = max(min(m[-1] for m, _ in curves.values()), *(m[0] for m, _ in curves.values()))
        times.append(time)
        for name, (moments, values) in curves.items():
            reached[name].append(values[bisect_right(moments, time) - 1])
    sign = 1 if MEASURES[key].higher_is_better else -1
    leading = [
        name for name in complete if all(sign * (t - o) > 0 for t, o in zip(reached[name], reached[pick], strict=True))
    ]
    if not leading:
        return []
    means = {name: statistics.fmean(reached[name]) for name in (*leading, pick)}
    best = max(leading, key=lambda name: sign * means[name])
    return [
        f"If training time is short, {best}: after {seconds(statistics.fmean(times))} it is at a {MEASURES[key].title} "
        f"of {MEASURES[key].number(means[best])} on the validation part, {pick} at {MEASURES[key].number(means[pick])}."
    ]


def _for_speed(comparison: Comparison, pick: str, complete: list[str]) -> list[str]:
    gains: dict[str, float] = {}
    for name in complete:
        pairs = zip(comparison.of(pick), comparison.of(name), strict=True)
        # A training of very few steps has no timed ones.
        ratios = [o.seconds_per_step / t.seconds_per_step if t.seconds_per_step else 0.0 for o, t in pairs]
        if min(ratios) > WORTHWHILE_SPEED:
            gains[name] = statistics.fmean(ratios)
    if not gains:
        return []
    key = comparison.decide_by
    # The best of the fast ones: the very fastest may be of no use.
    best = sorted(gains, key=lambda name: _average(comparison, name, key), reverse=MEASURES[key].higher_is_better)[0]
    return [
        f"If speed counts more, {best}: its steps are {gains[best]:.2g} times as fast, "
        f"at a {MEASURES[key].title} of {_mean(comparison, best, key)}."
    ]


def _for_size(comparison: Comparison, pick: str, complete: list[str]) -> list[str]:
    sizes = {name: comparison.of(name)[0].parameters for name in complete}
    smallest = min(sizes, key=lambda name: sizes[name])
    if sizes[smallest] > WORTHWHILE_SIZE * sizes[pick]:
        return []
    return [f"If size counts more, {smallest}: it has {100 * sizes[smallest] / sizes[pick]:.0f} % of the parameters."]


def _for_memory(comparison: Comparison, pick: str, complete: list[str]) -> list[str]:
    peaks = {name: max(trial.peak_bytes or 0 for trial in comparison.of(name)) for name in complete}
    known = [name for name in complete if peaks[name]]
    if pick not in known or peaks[pick] < WORTHWHILE_BYTES:
        return []
    smallest = min(known, key=lambda name: peaks[name])
    if peaks[smallest] > WORTHWHILE_SIZE * peaks[pick]:
        return []
    return [
        f"If memory counts more, {smallest}: a step takes {size(peaks[smallest])}, one of {pick} {size(peaks[pick])}."
    ]


def _for_other_measures(comparison: Comparison, pick: str) -> list[str]:
    """Measures in which another method is decidedly better, corrected over all of them and all methods together."""
    estimates: dict[str, Estimate] = {}
    pairs: dict[str, tuple[str, str]] = {}
    for key in MEASURES:
        # Perplexity says again what the log-likelihood says.
        said = MEASURES[key].by_ratio or (key == "nll" and comparison.decide_by == "perplexity")
        if said or key == comparison.decide_by or not _is_complete(comparison, pick, key):
            continue
        for method in comparison.methods:
            if method.name != pick and _is_complete(comparison, method.name, key):
                pair = f"{key} {method.name}"
                pairs[pair] = (key, method.name)
                try:
                    estimates[pair] = estimate(comparison, method.name, pick, key)
                except NotTestable:
                    continue
    best: dict[str, Difference] = {}
    for pair, difference in with_holm(estimates).items():
        key = pairs[pair][0]
        if not (difference.decided and difference.is_better(MEASURES[key])):
            continue
        if key not in best or abs(difference.mean) > abs(best[key].mean):
            best[key] = difference
    return [
        f"By {MEASURES[key].title} it would be {name}, with {_mean(comparison, name, key)} against "
        f"{_mean(comparison, pick, key)}."
        for key, difference in best.items()
        for name in [pairs[difference.method][1]]
    ]


def _for_a_law(comparison: Comparison, pick: str) -> list[str]:
    with_law = [method.name for method in comparison.methods if method.defines_law]
    if pick in with_law or not with_law:
        return []
    return [f"If probabilities over the classes are needed, {' or '.join(with_law)}: {pick} defines none."]


def _for_many_classes(comparison: Comparison, pick: str) -> list[str]:
    drawing = [name for name, method in METHODS.items() if method.draws_classes]
    if pick in drawing or comparison.data.num_classes >= MANY_CLASSES:
        return []
    return [
        f"With tens of thousands of classes instead of {comparison.data.num_classes:,}, computing every score takes "
        f"most of the time; compare {listed(drawing)} there."
    ]


def _average(comparison: Comparison, method: str, key: str) -> float:
    return statistics.fmean(_on_scale(comparison, method, key))


def _mean(comparison: Comparison, method: str, key: str) -> str:
    summary = summarise(comparison.values(method, key))
    return "none" if summary is None else MEASURES[key].number(summary.mean)


def _with_interval(key: str, difference: Difference) -> str:
    mean, low, high = signed(key, difference)
    return f"{mean} (95 % interval {low} to {high})"
