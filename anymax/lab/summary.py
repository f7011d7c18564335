"""Numbers of a comparison as a reader sees them: what the terminal, the report and the verdict have in common."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anymax._core.sentences import first_of, quoted
from anymax.lab.data.splits import FOLDS
from anymax.lab.measure import MEASURES, Summary, summarise
from anymax.lab.results import Comparison, Difference, MethodInfo, Trial

# How far from softmax's best validation value, as a share of it, still counts as its quality.
QUALITY_MARGIN = 0.02
MOST_NEVER_FOUND = 10  # classes that a note names


@dataclass(frozen=True)
class EdgeChoice:
    """The smallest or the largest learning rate of the grid was the best by more than what matters."""

    method: str
    end: str  # "smallest" | "largest"
    learning_rate: float


def best_so_far(comparison: Comparison, trial: Trial) -> tuple[list[float], list[float]]:
    """Seconds of training at which a trial had a validation value, and the best of them up to then."""
    better = max if comparison.deciding.higher_is_better else min
    times: list[float] = []
    values: list[float] = []
    for time, value in zip(trial.curve.seconds, trial.curve.validation, strict=True):
        if value is not None and math.isfinite(value) and time > 0:
            times.append(time)
            values.append(better(value, values[-1]) if values else value)
    return times, values


def still_improving(comparison: Comparison) -> list[str]:
    """The methods of which most trainings ended at the limit of epochs, and were best there."""
    limit = comparison.options.get("epochs")
    return [
        method.name
        for method in comparison.methods
        if 2 * sum(trial.best_epoch == limit for trial in comparison.of(method.name)) > comparison.repeats
    ]


def tuned(comparison: Comparison, method: str) -> dict[float, Summary | None]:
    """What each learning rate reached on the validation parts; None where a training diverged."""
    points = [point for trial in comparison.of(method) for point in trial.tuning]
    rates = sorted({point.learning_rate for point in points})
    return {rate: summarise([point.validation for point in points if point.learning_rate == rate]) for rate in rates}


def left_out_notes(comparison: Comparison) -> list[str]:
    """Which methods were left out and why, a sentence without its full stop for each reason."""
    reasons = dict.fromkeys(left.why for left in comparison.left_out)
    return [
        f"{listed([left.method for left in comparison.left_out if left.why == why])} left out: {why}" for why in reasons
    ]


def strength_notes(comparison: Comparison) -> list[str]:
    """Of each method with a strength, a sentence that says what each value reached on the validation parts."""
    notes = []
    for method in comparison.methods:
        trials = comparison.of(method.name)
        points = [point for trial in trials for point in trial.strengths]
        if not points:
            continue
        tried = []
        for strength in sorted({point.strength for point in points}):
            reached = summarise([point.validation for point in points if point.strength == strength])
            value = comparison.deciding.text(reached, spread=False) if reached else "diverged"
            tried.append(f"{strength:g}: {value}{' (kept)' if strength == trials[0].strength else ''}")
        more = len(points) - sum(bool(trial.strengths) for trial in trials)
        notes.append(
            f"{method.name} then tried its {method.strength} at the rate that it kept, in {counted(more, 'training')} "
            f"more than the others have: {', '.join(tried)}."
        )
    return notes


def edge_choices(comparison: Comparison) -> list[EdgeChoice]:
    """Where a rate at the end of the grid was better than its neighbour by more than the margin: there may be more."""
    choices = []
    for method in comparison.methods:
        reached = [(rate, found.mean) for rate, found in tuned(comparison, method.name).items() if found is not None]
        if len(reached) < 2:
            continue
        chosen = comparison.of(method.name)[0].learning_rate
        for end, (rate, value), (_, neighbour) in (
            ("smallest", reached[0], reached[1]),
            ("largest", reached[-1], reached[-2]),
        ):
            if rate == chosen and abs(value - neighbour) > _what_matters(comparison, neighbour):
                choices.append(EdgeChoice(method.name, end, rate))
    return choices


def _what_matters(comparison: Comparison, value: float) -> float:
    measure, share = comparison.deciding, comparison.options["margin"]
    return share * abs(value) if measure.by_ratio or measure.relative_margin else share


def edge_notes(comparison: Comparison) -> list[str]:
    """The choices at an edge of the grid, a sentence for each edge."""
    notes = []
    for end in ("smallest", "largest"):
        choices = [choice for choice in edge_choices(comparison) if choice.end == end]
        if choices:
            notes.append(
                f"The {end} learning rate tried, {choices[0].learning_rate:g}, was best for "
                f"{listed([choice.method for choice in choices])} by more than the margin; a better one may lie beyond "
                "it."
            )
    return notes


def seconds(value: float) -> str:
    """A duration with its unit, two or three figures."""
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def clock(value: float) -> str:
    """A duration as minutes and seconds, or hours, minutes and seconds."""
    minutes, left = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def count(value: int) -> str:
    """A count with separators, or in thousands and millions where it is large."""
    if value < 100_000:
        return f"{value:,}"
    return f"{value / 1e3:.0f} k" if value < 1_000_000 else f"{value / 1e6:.1f} M"


def beside(comparison: Comparison) -> list[Difference]:
    """The differences in the log-likelihood, which are told beside those that decide."""
    return [each for each in comparison.verdict.others if each.measure == "nll"] if comparison.verdict else []


def beside_note(comparison: Comparison) -> str:
    """What the classifiers are that are no heads, and predictions that the user had already."""
    fitted = [each for each in comparison.beside if not each.given]
    notes = []
    if fitted:
        titles = listed([f"{each.name} ({each.title})" for each in fitted])
        notes.append(
            f"{titles} are no heads: scikit-learn's, on the same columns, in the first "
            f"{counted(min(FOLDS, comparison.repeats), 'repeat')}."
        )
    if late := [each.name for each in fitted if not each.in_time]:
        notes.append(f"Not reached: {listed(late)} would take longer than a tenth of the run's time.")
    notes += [
        f"{each.name}: {each.title}, on the tested rows of every repeat; that they are out of sample is your word."
        for each in comparison.beside
        if each.given
    ]
    return " ".join(notes)


def signed(record: Difference) -> tuple[str, str, str]:
    """Mean and interval with their signs: in per cent for a perplexity, compared on the log scale."""
    values = [record.mean, *record.interval]
    unit = ""
    if MEASURES[record.measure].by_ratio:
        values = [100 * math.expm1(value) for value in values]
        unit = " %"
    # so many decimals that no bound reads as zero, which would hide what is decided
    smallest = min((abs(bound) for bound in values[1:] if bound), default=1.0)
    decimals = min(6, max(1 if unit else 3, math.ceil(-math.log10(smallest))))
    mean, low, high = (f"{value:+.{decimals}f}{unit}" for value in values)
    return mean, low, high


def margin(record: Difference) -> str:
    """The margin of a difference in its unit: in per cent for a perplexity."""
    if MEASURES[record.measure].by_ratio:
        return f"{100 * math.expm1(record.margin):.2g} %"
    return f"{record.margin:.2g}"


@dataclass(frozen=True)
class CostColumn:
    """What each method costs in one respect, as cells of a table."""

    short: str
    title: str
    unit: str
    cells: dict[str, str]


def cost_columns(comparison: Comparison) -> list[CostColumn]:
    """Time, size and memory of each method; a column that nothing is known for is left out."""
    names = [method.name for method in comparison.methods]

    def means(attribute: str) -> dict[str, str]:
        times = {name: [getattr(trial, attribute) for trial in _timed(comparison, name)] for name in names}
        return {name: seconds(statistics.fmean(found)) if found else "-" for name, found in times.items()}

    columns = [
        CostColumn("train", "training", "time in steps", means("train_seconds")),
        CostColumn("step", "one step", "mean time", means("seconds_per_step")),
        CostColumn(
            "learned", "learned", "parameters", {name: count(comparison.of(name)[0].parameters) for name in names}
        ),
    ]
    peaks = {name: [t.peak_bytes for t in comparison.of(name) if t.peak_bytes is not None] for name in names}
    if any(peaks.values()):
        cells = {name: size(max(found)) if found else "-" for name, found in peaks.items()}
        columns.append(CostColumn("memory", "memory", "peak of a step", cells))
    if "softmax" in names:
        known = {name for name in names if _timed(comparison, name) and _timed(comparison, "softmax")}
        cells = {name: _quality_cell(times_to_quality(comparison, name)) if name in known else "-" for name in names}
        columns.append(CostColumn("to quality", "time to quality", "of softmax, within 2 %", cells))
    return columns


def untimed_note(comparison: Comparison) -> str | None:
    """What a dash in place of a time means, where there is one."""
    if all(_timed(comparison, method.name) for method in comparison.methods):
        return None
    return "A dash in place of a time: no training had a step after the first few, which are not timed."


def _timed(comparison: Comparison, method: str) -> list[Trial]:
    """The trials of a method with timed steps; a training of very few steps has none."""
    return [trial for trial in comparison.of(method) if trial.seconds_per_step > 0]


def times_to_quality(comparison: Comparison, method: str) -> list[float | None]:
    """Per repeat the seconds in training steps until `method` was within 2 % of softmax's best validation value.

    The validation part is looked at once per epoch, so a time is that of the first epoch's end that is good enough.
    None: not reached, or softmax itself never had a value.
    """
    higher = comparison.deciding.higher_is_better
    goals = {trial.repeat: best_so_far(comparison, trial)[1][-1:] for trial in comparison.of("softmax")}
    times: list[float | None] = []
    for trial in comparison.of(method):
        goal = [value * (1 - QUALITY_MARGIN if higher else 1 + QUALITY_MARGIN) for value in goals.get(trial.repeat, [])]
        reached = (
            time
            for time, value in zip(*best_so_far(comparison, trial), strict=True)
            if goal and (value >= goal[0] if higher else value <= goal[0])
        )
        times.append(next(reached, None))
    return times


def _quality_cell(times: Sequence[float | None]) -> str:
    reached = [time for time in times if time is not None]
    if not reached:
        return "not reached"
    mean = seconds(statistics.fmean(reached))
    return mean if len(reached) == len(times) else f"{mean} ({len(reached)} of {len(times)})"


@dataclass(frozen=True)
class ScaledRow:
    """One method after temperature scaling, over the repeats."""

    method: str
    temperature: Summary
    at_bound: int  # in so many repeats
    repeats: int
    nll: Summary | None
    brier: Summary | None
    ece: Summary | None
    ece_if_calibrated: Summary | None


def scaled_rows(comparison: Comparison) -> list[ScaledRow]:
    """The methods whose law could be scaled in every repeat."""
    rows = []
    for method in comparison.methods:
        scaled = [None if trial.diverged else trial.tested.scaled for trial in comparison.of(method.name)]
        found = [row for row in scaled if row is not None]
        temperature = summarise([None if row is None else row.temperature for row in scaled])
        if temperature is None:
            continue
        rows.append(
            ScaledRow(
                method=method.name,
                temperature=temperature,
                at_bound=sum(row.at_bound for row in found),
                repeats=len(found),
                nll=summarise([row.nll for row in found]),
                brier=summarise([row.brier for row in found]),
                ece=summarise([row.ece for row in found]),
                ece_if_calibrated=summarise([row.ece_if_calibrated for row in found]),
            )
        )
    return rows


def log_z_rows(comparison: Comparison) -> list[tuple[str, float, float]]:
    """Per method that has scores of all classes: mean and spread of log Z over the test items, mean of the repeats."""
    rows = []
    for method in comparison.methods:
        found = [t.tested.log_z for t in comparison.of(method.name) if t.tested.log_z is not None and not t.diverged]
        if found:
            mean, spread = (statistics.fmean(getattr(z, name) for z in found) for name in ("mean", "spread"))
            rows.append((method.name, mean, spread))
    return rows


def measured_classes_note(comparison: Comparison) -> str | None:
    """Over how many classes the measures per class are, where that is not all of them."""
    data = comparison.data
    if data.task == "text" or data.measured_classes == data.num_classes:
        return None
    words = comparison.words
    return (
        f"Measures per {words.class_}, macro-F1 among them, are over {data.measured_classes:,} of "
        f"{data.num_classes:,} {words.classes}: the others are too rare to be in every part."
    )


@dataclass(frozen=True)
class FoundClass:
    """A class, how many of its items all test parts together hold, and the share of them that is found."""

    id: int
    name: str
    tested: int
    recall: float


def never_found(comparison: Comparison) -> list[FoundClass]:
    """The classes that no head ever finds, those that were tested most first."""
    return [each for each in _tested_classes(comparison, comparison.methods) if each.recall == 0]


def least_found(comparison: Comparison) -> list[FoundClass]:
    """The classes that the pick finds least, from the least on; without those that no head ever finds."""
    picked = [method for method in comparison.methods if method.name == pick(comparison)]
    hopeless = {each.id for each in never_found(comparison)}
    found = [each for each in _tested_classes(comparison, picked) if each.id not in hopeless]
    return sorted(found, key=lambda each: each.recall)


def _tested_classes(comparison: Comparison, methods: Sequence[MethodInfo]) -> list[FoundClass]:
    """The classes that were tested, each with its highest recall among these methods; those tested most first."""
    if comparison.by_class is None:
        return []
    figures = comparison.by_class.figures
    recalls = [figures.recall[method.name] for method in methods if method.name in figures.recall]
    classes = [
        FoundClass(i, comparison.data.class_names[i], tested, max(known))
        for i, tested, *found in zip(figures.ids, figures.tested, *recalls, strict=True)
        if (known := [recall for recall in found if recall is not None])
    ]
    return sorted(classes, key=lambda each: -each.tested)


def pick(comparison: Comparison) -> str | None:
    """The method to take, where there is a verdict."""
    return comparison.verdict.pick if comparison.verdict else None


def never_found_note(comparison: Comparison, named: Callable[[str], str] = quoted) -> str | None:
    """Which classes no head ever finds, by name; None where each is found by some."""
    found = never_found(comparison)
    if not found or comparison.by_class is None:
        return None
    one, many = comparison.words.class_, comparison.words.classes
    if len(found) == 1:
        return f"No head ever finds the {one} {named(found[0].name)}, which was tested {found[0].tested:,} times."
    names = first_of([f"{named(each.name)} ({each.tested:,})" for each in found], MOST_NEVER_FOUND)
    tested = len(comparison.by_class.figures.ids)
    return f"No head ever finds {len(found):,} of the {tested:,} {many} tested (in brackets, how often): {names}."


def missed_note(comparison: Comparison) -> str | None:
    """How many rows all heads answer wrongly; None where it is not known."""
    missed = comparison.by_class.missed if comparison.by_class else None
    if missed is None:
        return None
    heads = "All heads answer" if len(comparison.methods) > 1 else f"{comparison.methods[0].name} answers"
    of_tested = f"{missed.rows:,} of {missed.tested:,} tested rows"
    if all(row.tested == 1 for row in missed.worst):
        return f"{heads} {of_tested} wrongly."
    return f"{heads} {of_tested} wrongly in some repeat, {missed.always:,} in each that tests them."


def gaps(comparison: Comparison) -> list[str]:
    """What is known of the classifiers that are no heads against the pick."""
    found = [(each.name, each.difference) for each in comparison.beside if each.difference is not None]
    told = [(name, *signed(difference), difference.answer) for name, difference in found]
    against = f"minus {pick(comparison)} in {comparison.deciding.title}"
    return [f"{name} {against}: {mean} ({low} to {high}), {answer}" for name, mean, low, high, answer in told]


def size(value: int) -> str:
    """Bytes with a unit, three figures."""
    if value < 1 << 20:
        return f"{value / (1 << 10):.3g} KiB"
    return f"{value / (1 << 20):.3g} MiB" if value < 1000 << 20 else f"{value / (1 << 30):.3g} GiB"


def counted(value: int, noun: str) -> str:
    """ "1 repeat", "10 repeats"."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
