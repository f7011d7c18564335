"""The paragraph that says which method to take and why: words for the records of the verdict, and nothing else."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence

from anymax._core.sentences import first_of, quoted
from anymax.lab.measure import MEASURES, is_number, summarise
from anymax.lab.results import Beside, Comparison, Difference, Verdict
from anymax.lab.statistics.counts import TooFew
from anymax.lab.summary import best_so_far, counted, listed, margin, seconds, signed, size, still_improving
from anymax.lab.verdict.records import FEWEST_REPEATS

# A method this many times as fast as the pick, in every repeat, is worth a sentence.
WORTHWHILE_SPEED = 1.25
WORTHWHILE_SIZE = 0.8
WORTHWHILE_BYTES = 64 << 20  # of a step, below which nobody runs out of memory
MOST_RARE = 5  # labels that are named
SEED_OPTION = "--seeds"


def text(comparison: Comparison) -> str:
    """Which method to take, the numbers that decide it, and the case in which it would be another."""
    verdict = comparison.verdict
    assert verdict is not None
    key = comparison.decide_by
    complete = [method.name for method in comparison.methods if _is_complete(comparison, method.name, key)]
    if not complete:
        # nothing speaks for any of them
        return f"No verdict: no method has {MEASURES[key].one} in every repeat. {_why_none(comparison)}"
    if comparison.repeats < FEWEST_REPEATS:
        return (
            f"No verdict: {'one repeat' if comparison.repeats == 1 else 'two repeats'} cannot tell a difference from "
            f"chance, {FEWEST_REPEATS} or more can ({SEED_OPTION} {FEWEST_REPEATS}). Until then take "
            f"{verdict.reference}, the simplest."
        )
    compared = {verdict.reference, *(each.method for each in verdict.differences)}
    others = [method.name for method in comparison.methods if method.name not in compared]
    return " ".join(
        [
            *_who_is_ahead(comparison, verdict),
            _recommendation(comparison, verdict),
            *_other_winners(verdict),
            *_equivalent(verdict),
            *_worse(verdict),
            *_open(comparison, verdict),
            *(f"{name} is not compared: {_why_incomplete(comparison, name)}." for name in others),
            *_worse_law_than_frequencies(comparison),
            *_against_baseline(comparison, verdict.pick),
            *_cut_short(comparison),
            *_otherwise(comparison, verdict, complete),
        ]
    )


def _who_is_ahead(comparison: Comparison, verdict: Verdict) -> list[str]:
    """A classifier that is no head and leaves all heads behind, or seems to: no choice of a head makes up for it."""
    ahead = [each for each in comparison.beside if each.difference is not None and _leads(each.difference)]
    if not ahead:
        return []
    best = max(ahead, key=lambda each: abs(each.difference.mean) if each.difference else 0.0)
    gap = best.difference
    assert gap is not None
    reached = comparison.deciding.number(statistics.fmean(_reached(best, comparison.decide_by)))
    known, doubt = ("Ahead", "") if gap.answer == "better" else ("Perhaps ahead", ", which chance alone can make")
    return [
        f"{known} of every head here: {best.title}, with {comparison.deciding.one} of {reached} over "
        f"{counted(gap.repeats, 'repeat')}, a difference to {verdict.pick} of {_with_interval(gap)}{doubt}. As to the "
        "heads:"
    ]


def _leads(gap: Difference) -> bool:
    """Whether a classifier is better by more than does not matter, or was by twice as much and is open."""
    leads = (gap.mean > 0) == MEASURES[gap.measure].higher_is_better
    return leads and (gap.answer == "better" or (gap.answer == "open" and abs(gap.mean) > 2 * gap.margin))


def _reached(classifier: Beside, key: str) -> list[float]:
    return [value for tested in classifier.tested if (value := tested.measures.get(key)) is not None]


def _recommendation(comparison: Comparison, verdict: Verdict) -> str:
    """The first sentence: what to take, with the numbers that decide it."""
    title, mean = comparison.deciding.title, _mean(comparison, verdict.pick, comparison.decide_by)
    found = verdict.differences
    if not found:
        why = "nothing could be compared with it" if len(comparison.methods) > 1 else "no other method took part"
        return f"No verdict on {verdict.reference}, with {comparison.deciding.one} of {mean}: {why}."
    over = f"over {counted(comparison.repeats, 'repeat')}"
    if verdict.pick != verdict.reference:
        (gain,) = (each for each in found if each.method == verdict.pick)
        return (
            f"Take {verdict.pick}: its {title} is {mean} against "
            f"{_mean(comparison, verdict.reference, comparison.decide_by)} for {verdict.reference} {over}, a "
            f"difference of {_with_interval(gain)}{_size(gain)}."
        )
    if all(each.answer == "worse" for each in found):
        closest = min(found, key=lambda each: abs(each.mean))
        return (
            f"Take {verdict.pick}: its {title} is {mean} {over}, and every other method is worse; the closest is "
            f"{closest.method}, by {_with_interval(closest)}{_size(closest)}."
        )
    simplest = ", the simplest" if verdict.pick == _simplest(comparison) else ""
    return f"Take {verdict.pick}{simplest}: its {title} is {mean} {over}, and no other method is known to be better."


def _simplest(comparison: Comparison) -> str:
    return "sigmoid" if comparison.data.task == "multilabel" else "softmax"


def _other_winners(verdict: Verdict) -> list[str]:
    names = [each.method for each in verdict.differences if each.answer == "better" and each.method != verdict.pick]
    if not names:
        return []
    return [
        f"{listed(names)} also beat{'s' if len(names) == 1 else ''} {verdict.reference}; which of the winners is best, "
        "this run does not decide."
    ]


def _equivalent(verdict: Verdict) -> list[str]:
    found = [each for each in verdict.differences if each.answer == "equivalent"]
    if not found:
        return []
    named = listed([_named(each) for each in found])
    return [f"Equivalent to {verdict.reference}, within {margin(found[0])}: {named}."]


def _worse(verdict: Verdict) -> list[str]:
    found = [each for each in verdict.differences if each.answer == "worse"]
    if not found or len(found) == len(verdict.differences):
        return []  # the first sentence says it
    return [f"Worse than {verdict.reference}: {listed([_named(each) + _size(each) for each in found])}."]


def _open(comparison: Comparison, verdict: Verdict) -> list[str]:
    """What is open against the reference, by what would decide it."""
    by_remedy: dict[str, list[Difference]] = {}
    for each in verdict.differences:
        if each.answer == "open":
            by_remedy.setdefault(_what_would_decide(comparison, each), []).append(each)
    return [
        f"Open against {verdict.reference}: {listed([_named(each) for each in found])}; {remedy}."
        for remedy, found in by_remedy.items()
    ]


def _what_would_decide(comparison: Comparison, record: Difference) -> str:
    if record.too_few is not None:
        few = record.too_few
        named = f" ({_rare_labels(comparison, few)})" if few.counted == "rows of the rarest label" else ""
        return f"there are {few.number:,} {few.counted}{named}, and an interval can be trusted from {few.needed:,} on"
    if record.further_repeats is not None:
        more = counted(record.further_repeats, "further repeat")
        return f"{more} may decide it ({SEED_OPTION} {record.repeats + record.further_repeats})"
    return "more rows would decide it, no number of repeats would"


def _rare_labels(comparison: Comparison, few: TooFew) -> str:
    """The labels of fewer rows than are needed, the rarest first."""
    counts = zip(comparison.data.class_counts, comparison.data.class_names, strict=True)
    # rarer ones are not measured
    rare = sorted((count, name) for count, name in counts if few.number <= count < few.needed)
    return first_of([f"{quoted(name)}: {count}" for count, name in rare], MOST_RARE)


def _size(record: Difference) -> str:
    """How a difference that is decided compares with the margin, after the numbers."""
    return {
        "beyond": "",
        "inside": f", by less than the margin of {margin(record)}",
        "across": f", perhaps by less than the margin of {margin(record)}",
    }[record.size]


def _named(record: Difference) -> str:
    mean, low, high = signed(record)
    return f"{record.method} ({mean}, {low} to {high})"


def _with_interval(record: Difference) -> str:
    mean, low, high = signed(record)
    return f"{mean} ({low} to {high})"


def _is_complete(comparison: Comparison, method: str, key: str) -> bool:
    values = comparison.values(method, key)
    return len(values) == comparison.repeats and all(is_number(value) for value in values)


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


def _worse_law_than_frequencies(comparison: Comparison) -> list[str]:
    """The methods whose probabilities are worse than those that look at no feature."""
    trivial = _of_baseline(comparison, "nll")
    if math.isnan(trivial) or comparison.decide_by in ("nll", "perplexity"):
        return []
    names = [
        method.name
        for method in comparison.methods
        if _is_complete(comparison, method.name, "nll") and _average(comparison, method.name, "nll") > trivial
    ]
    if not names:
        return []
    return [
        f"The probabilities of {listed(names)} are worse than the {comparison.words.class_} frequencies: their "
        f"{MEASURES['nll'].title} is {listed([_mean(comparison, name, 'nll') for name in names])} against "
        f"{MEASURES['nll'].number(trivial)}."
    ]


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


def _otherwise(comparison: Comparison, verdict: Verdict, complete: Sequence[str]) -> list[str]:
    """The cases in which it would be another: what the run says about other aims than the deciding measure."""
    pick = verdict.pick
    cases = [
        *(_for_short_training(comparison, pick, complete) or _for_speed(comparison, pick, complete)),
        *_for_size(comparison, pick, complete),
        *_for_memory(comparison, pick, complete),
        *_for_other_measures(comparison, verdict),
        *_for_a_law(comparison, pick),
    ]
    return cases or [f"No other number of this run, speed and size included, speaks against {pick}."]


def _for_short_training(comparison: Comparison, pick: str, complete: Sequence[str]) -> list[str]:
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
        f"If training time is short, {best}: after {seconds(statistics.fmean(times))} it is at {MEASURES[key].one} "
        f"of {MEASURES[key].number(means[best])} on the validation part, {pick} at {MEASURES[key].number(means[pick])}."
    ]


def _for_speed(comparison: Comparison, pick: str, complete: Sequence[str]) -> list[str]:
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
        f"at {MEASURES[key].one} of {_mean(comparison, best, key)}."
    ]


def _for_size(comparison: Comparison, pick: str, complete: Sequence[str]) -> list[str]:
    sizes = {name: comparison.of(name)[0].parameters for name in complete}
    smallest = min(sizes, key=lambda name: sizes[name])
    if sizes[smallest] > WORTHWHILE_SIZE * sizes[pick]:
        return []
    return [f"If size counts more, {smallest}: it has {100 * sizes[smallest] / sizes[pick]:.0f} % of the parameters."]


def _for_memory(comparison: Comparison, pick: str, complete: Sequence[str]) -> list[str]:
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


def _for_other_measures(comparison: Comparison, verdict: Verdict) -> list[str]:
    """Measures by which it would be another: one that is better there than the reference, and than the pick."""
    cases = []
    for key in dict.fromkeys(each.measure for each in verdict.others):
        found = [each for each in verdict.others if each.measure == key]
        better = [each for each in found if each.answer == "better"]
        of_pick = next((each for each in found if each.method == verdict.pick), None)
        if better:
            best = max(better, key=lambda each: abs(each.mean)).method
        elif of_pick is not None and of_pick.answer == "worse":
            best = verdict.reference
        else:
            continue
        if best != verdict.pick and not (of_pick is not None and of_pick.answer == "better"):
            cases.append(
                f"By {MEASURES[key].title} it would be {best}, with {_mean(comparison, best, key)} against "
                f"{_mean(comparison, verdict.pick, key)}."
            )
    return cases


def _for_a_law(comparison: Comparison, pick: str) -> list[str]:
    with_law = [method.name for method in comparison.methods if method.defines_law]
    if pick in with_law or not with_law:
        return []
    return [f"If probabilities over the classes are needed, {' or '.join(with_law)}: {pick} defines none."]


def _average(comparison: Comparison, method: str, key: str) -> float:
    return statistics.fmean(value for value in comparison.values(method, key) if value is not None)


def _mean(comparison: Comparison, method: str, key: str) -> str:
    summary = summarise(comparison.values(method, key))
    return "none" if summary is None else MEASURES[key].number(summary.mean)
