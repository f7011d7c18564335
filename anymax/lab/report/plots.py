"""The plots of a comparison, each one SVG; colours of Okabe and Ito, with markers and line styles that differ too."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from anymax.lab.measure import MEASURES, summarise
from anymax.lab.results import Comparison, Difference, Trial
from anymax.lab.summary import best_so_far
from anymax.lab.training.methods import METHODS

# M. Okabe and K. Ito, Color Universal Design, 2008; without the yellow, which is too faint on white.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
SIZE = (5.2, 4.1)  # inches; on a phone the letters are still 7 points high
ROOM, LINE = 1.0, 0.34  # inches of a picture of intervals: around its lines, and for each of them
TIMES = 200
RELIABILITY_BINS = 15
FEWEST_IN_BIN = 10
MOST_TICKED = 300  # from a number to so many times it, a logarithmic axis has 2 and 5 beside the powers of ten


@dataclass(frozen=True)
class Look:
    """How one method is drawn in every plot."""

    colour: str
    marker: str
    line: str


NO_HEAD = Look("0.35", "o", "-")  # a classifier beside the heads


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """A look per method; no two share colour and line style or marker.

    A method looks the same in every report, whichever others take part.
    """
    known = list(METHODS)
    found = {}
    for number, method in enumerate(methods, start=len(known)):
        i = known.index(method) if method in known else number
        found[method] = Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], LINES[i % len(LINES)])
    return found


def intervals(comparison: Comparison, key: str) -> str | None:
    """What is known of every difference in one measure: its interval against the margin, and the answer in words.

    The classifiers that are no heads stand below, against the pick, in the measure that decides. None without any
    difference.
    """
    verdict = comparison.verdict
    if verdict is None:
        return None
    heads = [record for record in (*verdict.differences, *verdict.others) if record.measure == key]
    beside = [c.difference for c in comparison.beside if c.difference is not None and c.difference.measure == key]
    records = [*heads, *beside]
    if not records:
        return None
    figure = Figure(figsize=(SIZE[0], ROOM + LINE * len(records)), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["left", "right", "top"]].set_visible(False)
    low, high = (in_unit(records[0], sign * records[0].margin) for sign in (-1, 1))
    axes.axvspan(low, high, color="0.88", linewidth=0)
    axes.axvline(0, color="0.35", linewidth=1)
    known = looks([record.method for record in heads])
    for place, record in enumerate(records):
        look = known[record.method] if place < len(heads) else NO_HEAD
        mean, *bounds = (in_unit(record, value) for value in (record.mean, *record.interval))
        axes.plot(bounds, [place, place], color=look.colour, linewidth=1.8, marker="|", markersize=9)
        filling = "white" if look is NO_HEAD else look.colour
        axes.plot([mean], [place], color=look.colour, marker=look.marker, markersize=7, markerfacecolor=filling)
    against = "" if verdict.pick == verdict.reference else f"\nminus {verdict.pick}"
    names = [record.method for record in heads] + [f"{record.method}{against}" for record in beside]
    _write_beside(axes, names, [_answer(record) for record in records])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    unit = ", per cent" if MEASURES[key].by_ratio else ""
    better = "right" if MEASURES[key].higher_is_better else "left"
    axes.set_xlabel(f"minus {verdict.reference}{unit} ({better} of 0 is better)")
    return _svg(figure)


def _write_beside(axes: Axes, left: Sequence[str], right: Sequence[str]) -> None:
    """Words to the left and to the right of each line, the first line on top."""
    axes.set_ylim(len(left) - 0.5, -0.5)
    axes.set_yticks(range(len(left)), left)
    other_side = axes.secondary_yaxis("right")
    other_side.set_yticks(range(len(right)), right)
    other_side.spines[:].set_visible(False)
    for side in (axes, other_side):
        side.tick_params("y", length=0)


def _answer(record: Difference) -> str:
    # else it would seem to contradict its line
    return record.answer if record.too_few is None else f"{record.answer}\n(too few)"


def in_unit(record: Difference, value: float) -> float:
    """A difference as it is told: in per cent for a perplexity, compared on the log scale."""
    return 100 * math.expm1(value) if MEASURES[record.measure].by_ratio else value


def quality_against_time(comparison: Comparison) -> str | None:
    """The best validation value so far against seconds of training: mean and spread over the repeats.

    A repeat that stopped early keeps its value, as its model is kept. None where there is nothing to draw.
    """
    higher = comparison.deciding.higher_is_better
    figure, axes = _empty()
    drawn = 0
    for method, look in looks([m.name for m in comparison.methods]).items():
        found = [best_so_far(comparison, trial) for trial in comparison.of(method) if not trial.diverged]
        curves = [(np.array(seconds), np.array(values)) for seconds, values in found if seconds]
        if not curves:
            continue
        seconds, values = over_repeats(curves)
        mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(len(seconds))
        low, high = np.clip([mean - spread, mean + spread], 0, 1 if higher else np.inf)
        axes.fill_between(seconds, low, high, color=look.colour, alpha=0.12, linewidth=0)
        axes.plot(
            seconds,
            mean,
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markevery=(drawn * 3, TIMES // 6),
            markersize=5,
            label=method,
        )
        drawn += 1
    if not drawn:
        return None
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    if comparison.decide_by in ("perplexity", "nll"):
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
    axes.set_xlabel("seconds in training steps")
    axes.set_ylabel(f"{comparison.deciding.title}, validation part")
    _legend(figure)
    return _svg(figure)


def over_repeats(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The curves of several repeats at common times, from where the last one begins: (times,), (repeats, times)."""
    begin = max(seconds[0] for seconds, _ in curves)
    end = max(seconds[-1] for seconds, _ in curves)
    times = np.geomspace(begin, max(end, begin), TIMES)
    # Rounding in geomspace must not put the first time before the last curve's first.
    times[0] = begin
    reached = [values[np.searchsorted(seconds, times, side="right") - 1] for seconds, values in curves]
    return times, np.stack(reached)


def reliability_diagram(comparison: Comparison) -> str | None:
    """How often the answers given with some confidence are right, all repeats together; None without any law."""
    figure, axes = _empty()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    drawn = 0
    for method, look in looks([m.name for m in comparison.methods]).items():
        confidence, accuracy, count = pooled_bins(comparison.of(method))
        enough = count >= FEWEST_IN_BIN
        if not enough.any():
            continue
        axes.plot(
            confidence[enough],
            accuracy[enough],
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markersize=5,
            label=method,
        )
        drawn += 1
    if not drawn:
        return None
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    if comparison.data.task == "multilabel":
        axes.set_xlabel("probability of a label")
        axes.set_ylabel("share of them that are there")
    else:
        axes.set_xlabel("confidence: the largest probability")
        axes.set_ylabel("accuracy of these answers")
    _legend(figure)
    return _svg(figure)


def pooled_bins(trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, accuracy and count per bin of equal width over all repeats; empty bins are left out."""
    bins = [b for trial in trials if not trial.diverged for b in trial.tested.reliability if b.count]
    sums = np.zeros((3, RELIABILITY_BINS))
    for b in bins:
        # Open below and closed above, as they were filled.
        place = min(max(int(np.ceil(b.confidence * RELIABILITY_BINS)) - 1, 0), RELIABILITY_BINS - 1)
        sums[:, place] += b.count * b.confidence, b.count * b.accuracy, b.count
    confidence, accuracy, count = sums[:, sums[2] > 0]
    return confidence / count, accuracy / count, count


def recall_against_frequency(comparison: Comparison) -> str | None:
    """Recall against how often a class occurs in the training part, mean over the repeats; None without any recall."""
    figure, axes = _empty()
    drawn: list[np.ndarray] = []
    for method, look in looks([m.name for m in comparison.methods]).items():
        frequency, recall = pooled_recall(comparison.of(method))
        if not len(frequency):
            continue
        axes.plot(
            frequency,
            recall,
            color=look.colour,
            linestyle=look.line,
            linewidth=1.2,
            marker=look.marker,
            markersize=5,
            label=method,
        )
        drawn.append(frequency)
    if not drawn:
        return None
    every = np.concatenate(drawn)
    axes.set_xscale("log")
    # Classes that are all about as frequent must not look far apart, nor leave the axis without a number.
    middle = float(np.sqrt(every.min() * every.max()))
    axes.set_xlim(min(every.min() / 1.2, middle / 4), max(every.max() * 1.2, middle * 4))
    axes.set_ylim(-0.02, 1.02)
    plain_numbers(axes.xaxis)
    occurrences = "occurrences" if comparison.data.task == "text" else "rows"
    axes.set_xlabel(f"{occurrences} of a {comparison.words.class_} in the training part")
    axes.set_ylabel("recall, test part")
    _legend(figure)
    return _svg(figure)


def pooled_recall(trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """Frequency and recall per class or group of classes, mean over the repeats, by frequency.

    A class with a name is the same in every repeat; a group of classes is known by its place.
    """
    groups: dict[str | int, list[tuple[float, float]]] = {}
    for trial in trials:
        if trial.diverged:
            continue
        for place, group in enumerate(sorted(trial.tested.recall, key=lambda group: group.frequency)):
            if group.frequency > 0:  # what never occurred has no place on a logarithmic axis
                key = place if group.name is None else group.name
                groups.setdefault(key, []).append((group.frequency, group.recall))
    points = sorted(tuple(np.mean(found, axis=0)) for found in groups.values())
    frequency, recall = np.array(points).reshape(-1, 2).T
    return frequency, recall


def cost_against_quality(comparison: Comparison) -> str | None:
    """The deciding measure on the test part against seconds of a training: mean and standard deviation per method.

    A method without a mean, because a training diverged, is left out; None where all are.
    """
    key = comparison.decide_by
    higher = comparison.deciding.higher_is_better
    figure, axes = _empty()
    drawn = 0
    for method, look in looks([m.name for m in comparison.methods]).items():
        quality = summarise(comparison.values(method, key))
        cost = summarise([trial.train_seconds for trial in comparison.of(method)])
        if quality is None or cost is None or cost.mean <= 0:
            continue
        axes.errorbar(
            cost.mean,
            quality.mean,
            # A bar down to 0 seconds or beyond has no end on a logarithmic axis.
            xerr=[[min(cost.spread or 0, 0.9 * cost.mean)], [cost.spread or 0]],
            yerr=[
                [quality.spread or 0],
                [min(quality.spread or 0, 1 - quality.mean) if higher else quality.spread or 0],
            ],
            color=look.colour,
            marker=look.marker,
            markersize=8,
            linestyle="none",
            elinewidth=1,
            capsize=2,
            label=method,
        )
        drawn += 1
    if not drawn:
        return None
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    # A wide enough axis has numbers on it, and equal costs do not look far apart.
    middle = float(np.sqrt(low * high))
    axes.set_xlim(min(low, middle / 2), max(high, middle * 2))
    plain_numbers(axes.xaxis)
    axes.set_xlabel("seconds in training steps, one training")
    axes.set_ylabel(f"{comparison.deciding.title}, test part")
    _legend(figure)
    return _svg(figure)


def _empty() -> tuple[Figure, Axes]:
    # Not through pyplot, whose figures are global state.
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Figure) -> None:
    # Below the axes it hides nothing, however many methods there are.
    figure.legend(loc="outside lower center", ncols=4, frameon=False)


def plain_numbers(axis: Axis) -> None:
    """Let a logarithmic axis say 0.2 and 500, not 2 x 10^-1 and 5 x 10^2."""
    low, high = axis.get_view_interval()
    # over more decades the numbers between would run into each other
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high <= MOST_TICKED * low else (1,)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _svg(figure: Figure) -> str:
    # Letters as outlines look the same everywhere; without date and random ids a report can be made again as it was.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "anymax"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
