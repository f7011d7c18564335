"""A comparison in the terminal: progress while it runs, then the tables, the paragraph and where the files are."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from anymax._core.sentences import first_of, of_path, printable, quoted
from anymax.lab import summary
from anymax.lab.measure import MEASURES
from anymax.lab.results import NONE, Comparison, Difference, Verdict
from anymax.lab.training.events import (
    EpochDone,
    Event,
    FinalTraining,
    FoundFinished,
    Looked,
    NoModel,
    Planned,
    RepeatDone,
    TrainingDone,
    TrainingStarted,
)

# Prose reads badly in longer lines.
WIDEST = 100
MOST_NOTES = 12
MOST_LEAST = 5  # classes and rows of which a line names the worst
# Seconds without a line after which whoever reads a log may think that nothing happens.
QUIET = 30


class Following:
    """Shows on standard error how far a run is: a bar with the time left, or now and then a line outside of a terminal.

    Use it as a context and as the `progress` of `anymax.lab.run.run`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.console = Console(file=stream or sys.stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.began = self.spoke = time.monotonic()
        self.planned: Planned | None = None
        self.repeats = self.trainings = 0  # up to the next look
        self.done = self.found = 0  # the trainings done, and those of them that an earlier run left
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
            expand=False,
        )
        self.task = self.bar.add_task("preparing", total=None)

    def __enter__(self) -> Following:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def __call__(self, event: Event) -> None:
        """Take note of one event of the run."""
        if isinstance(event, FoundFinished):
            self.console.print(f"This run was carried out before; to train again, remove {of_path(event.folder)}.")
        elif isinstance(event, Planned):
            self.console.print(" ".join(_plan(event)))
            self.planned = event
            self.repeats, self.trainings = event.repeats, event.trainings
            self.done = self.found = event.already_done
            self.bar.update(self.task, total=event.trainings, completed=self.done)
        elif isinstance(event, TrainingStarted):
            repeat = f"repeat {event.repeat + 1}/{self.repeats}"
            strength = "" if event.strength is None else f", strength {event.strength:g}"
            training = f"{event.method}, rate {event.learning_rate:g}{strength}"
            self.bar.update(self.task, description=f"{repeat}, {training}")
        elif isinstance(event, EpochDone) and self.planned and self.planned.epochs:
            self.bar.update(self.task, completed=self.done + event.epoch / self.planned.epochs)
        elif isinstance(event, TrainingDone):
            self.done = event.done
            self.bar.update(self.task, completed=event.done)
            # A repeat's last training is announced with the repeat.
            if time.monotonic() - self.spoke > QUIET and event.done < self.trainings:
                self._say(f"{event.done} trainings")
        elif isinstance(event, RepeatDone) and self.planned:
            self._say(f"repeat {event.repeat + 1} of {self.repeats}")
        elif isinstance(event, Looked):
            self._looked(event)
        elif isinstance(event, FinalTraining):
            epochs = summary.counted(max(1, round(event.epochs)), "epoch")
            self.console.print(f"{event.method} is trained once more, on all rows for {epochs}, to be kept.")
        elif isinstance(event, NoModel):
            self.console.print(f"No model is kept: {event.why}.")

    def _looked(self, event: Looked) -> None:
        """Say what is open, and count up to the next look."""
        if event.undecided:
            self.console.print(f"Open after {event.repeats} repeats: {summary.listed(event.undecided)}.")
        if event.undecided and event.next_look > event.repeats:
            self.repeats, self.trainings = event.next_look, event.trainings
            self.bar.update(self.task, total=event.trainings)

    def _say(self, what_is_done: str) -> None:
        """A line with the time left, where there is no bar that shows it."""
        if self.console.is_terminal or self.planned is None:
            return
        self.spoke = time.monotonic()
        took = self.spoke - self.began
        left = took * (self.trainings - self.done) / max(self.done - self.found, 1)
        about_left = f", about {summary.clock(left)} left" if self.done < self.trainings else ""
        self.console.print(f"{what_is_done} after {summary.clock(took)}{about_left}")


def _plan(event: Planned) -> list[str]:
    """What will be done and how long it takes, in sentences."""
    rates = len(event.learning_rates)
    tuning = f"{rates} learning rates" if rates > 1 else f"learning rate {event.learning_rates[0]:g}"
    if event.epochs is None:
        each = f"{summary.seconds(event.budget or 0)} of steps each"
    else:
        each = f"at most {summary.counted(event.epochs, 'epoch')}"
    sentences = [
        f"{summary.counted(len(event.methods), 'method')}, {tuning}, {summary.counted(event.repeats, 'repeat')}: "
        f"{summary.counted(event.trainings, 'training')} of {each}, about {summary.clock(event.seconds)} in all."
    ]
    if event.most_repeats > event.repeats:
        until = "" if event.within is None else f", in {summary.clock(event.within)} altogether"
        sentences.append(f"Then more repeats where something is open, up to {event.most_repeats}{until}.")
    if event.already_done:
        sentences.append(f"{summary.counted(event.already_done, 'training')} are done already.")
    if event.fitting_budget is not None:
        fitting = "half an hour" if event.within is None else summary.clock(event.within)
        sentences.append(f"With --budget {event.fitting_budget:.0f}s it would take about {fitting}.")
    return sentences


def show(comparison: Comparison, stream: TextIO | None = None) -> None:
    """Print what was compared, the deciding measure, the other measures and the paragraph."""
    console = Console(file=stream or sys.stdout, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    console.print(_filled(_what(comparison), console.width), style="bold")
    for note in _notes(comparison):
        console.print(_filled(note, console.width, initial_indent="  - ", subsequent_indent="    "))
    console.print()
    heading = (
        f"{comparison.deciding.title} decides (test part, mean ± standard deviation, "
        f"{summary.counted(comparison.repeats, 'repeat')})"
    )
    console.print(_filled(heading, console.width), style="bold")
    verdict = comparison.verdict
    console.print(_judged_table(comparison, comparison.decide_by, verdict.differences if verdict else []))
    if beside := summary.beside(comparison):
        console.print()
        console.print(_filled(f"{MEASURES[beside[0].measure].title} beside it", console.width), style="bold")
        console.print(_judged_table(comparison, beside[0].measure, beside))
    console.print()
    console.print("All measures (test part, means)", style="bold")
    console.print(_measures_table(comparison))
    for line in _legend(comparison):
        console.print(_filled(line, console.width))
    if verdict and verdict.others:
        console.print()
        console.print(f"Answers in each measure, against {verdict.reference}", style="bold")
        console.print(_answers_table(comparison, verdict))
    for gap in summary.gaps(comparison):
        console.print(_filled(f"{gap}.", console.width))
    if by_class := _by_class(comparison):
        console.print()
        console.print(f"{comparison.words.class_.capitalize()} by {comparison.words.class_}", style="bold")
        for line in by_class:
            console.print(_filled(line, console.width))
    console.print()
    console.print("What it costs", style="bold")
    console.print(_costs_table(comparison))
    console.print(_filled(_cost_legend(comparison), console.width))
    console.print()
    if verdict is not None:
        console.print("Which to take", style="bold")
        console.print(_filled(verdict.text, console.width))


def show_files(paths: list[Path], stream: TextIO | None = None) -> None:
    """Print where the results are."""
    console = Console(file=stream or sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print()
    for path in paths:
        console.print(printable(str(path)))


def _filled(text: str, width: int, initial_indent: str = "", subsequent_indent: str = "") -> str:
    """A paragraph; names of columns and classes, which are data, do nothing to the terminal."""
    plain = printable(" ".join(text.split()))
    return textwrap.fill(plain, width, initial_indent=initial_indent, subsequent_indent=subsequent_indent)


def _what(comparison: Comparison) -> str:
    data, words = comparison.data, comparison.words
    unit = words.rows
    parts = (
        f"{data.train_items:,} {unit} to train on, {data.validation_items:,} to choose by, {data.test_items:,} to test"
    )
    return f"{data.name}: {data.num_classes:,} {words.num_classes}; {parts}"


def _notes(comparison: Comparison) -> list[str]:
    notes = [*filter(None, [summary.never_found_note(comparison)]), *comparison.data.notes[:MOST_NOTES]]
    if len(comparison.data.notes) > MOST_NOTES:
        notes.append(f"and {len(comparison.data.notes) - MOST_NOTES} more notes in results.json")
    return [*notes, *summary.left_out_notes(comparison), *summary.edge_notes(comparison)]


def _legend(comparison: Comparison) -> list[str]:
    """What the columns are, and what is to be known about the heads."""
    lower = [key for key in comparison.measure_keys if not MEASURES[key].higher_is_better]
    titles = [MEASURES[key].short for key in lower]
    legend = [f"Lower is better in {summary.listed(titles)}."] if titles else []
    legend += [meaning for key in comparison.measure_keys if (meaning := MEASURES[key].legend)]
    if not all(method.defines_law for method in comparison.methods):
        legend.append(f"{NONE}: the method gives no probabilities.")
    legend += [note for note in [summary.measured_classes_note(comparison)] if note]
    if comparison.beside:
        legend.append(summary.beside_note(comparison))
    return [" ".join(legend), *(f"{method.name}: {method.note}" for method in comparison.methods if method.note)]


def _cost_legend(comparison: Comparison) -> str:
    legend = "train: time in training steps; step: time of one; learned: parameters"
    shorts = {column.short for column in summary.cost_columns(comparison)}
    if "memory" in shorts:
        legend += "; memory: peak of a step above parameters and inputs"
    if "to quality" in shorts:
        legend += "; to quality: time until within 2 % of softmax's best validation value"
    return " ".join([f"{legend}.", *filter(None, [summary.untimed_note(comparison)])])


def _empty_table() -> Table:
    rows = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    rows.add_column("method", no_wrap=True)
    return rows


def _judged_table(comparison: Comparison, key: str, differences: Sequence[Difference]) -> Table:
    """One measure of every method, and what is known of its difference to the reference."""
    verdict = comparison.verdict
    rows = _empty_table()
    rows.add_column(MEASURES[key].short, justify="right", no_wrap=True)
    by_method = {each.method: each for each in differences}
    if by_method and verdict is not None:
        rows.add_column(Text(f"minus {verdict.reference} (interval)"))
        rows.add_column("")
    rows.add_row("frequencies", comparison.baseline_cell(key, spread=True))
    for classifier in comparison.beside:
        rows.add_row(Text(classifier.name), comparison.beside_cell(classifier, key, spread=True))
    for method in comparison.methods:
        cells = [Text(method.name), Text(comparison.cell(method, key, spread=True))]
        if by_method and verdict is not None and method.name == verdict.reference:
            cells.append(Text("the reference"))
        if method.name in by_method:
            mean, low, high = summary.signed(by_method[method.name])
            cells += [Text(f"{mean} ({low} to {high})"), Text(by_method[method.name].answer)]
        picked = verdict is not None and verdict.differences and method.name == verdict.pick
        rows.add_row(*cells, style="bold" if picked else None)
    return rows


def _measures_table(comparison: Comparison) -> Table:
    rows = _empty_table()
    keys = comparison.measure_keys
    for key in keys:
        rows.add_column(MEASURES[key].short, justify="right")
    rows.add_row("frequencies", *(comparison.baseline_cell(key, spread=False) for key in keys))
    for classifier in comparison.beside:
        rows.add_row(Text(classifier.name), *(comparison.beside_cell(classifier, key, spread=False) for key in keys))
    for method in comparison.methods:
        rows.add_row(
            Text(method.name),
            *(Text(comparison.cell(method, key, spread=False)) for key in keys),
        )
    return rows


def _answers_table(comparison: Comparison, verdict: Verdict) -> Table:
    """The records of the verdict, a word each: a column per measure, the deciding one first."""
    rows = _empty_table()
    found = {(each.method, each.measure): each.answer for each in (*verdict.differences, *verdict.others)}
    keys = sorted({key for _, key in found}, key=lambda key: (key != comparison.decide_by, list(MEASURES).index(key)))
    for key in keys:
        rows.add_column(MEASURES[key].short)
    for method in comparison.methods:
        if method.name != verdict.reference:
            rows.add_row(Text(method.name), *(found.get((method.name, key), "-") for key in keys))
    return rows


def _by_class(comparison: Comparison) -> list[str]:
    """Which classes the pick finds least, and how many rows all heads get wrong; of words neither."""
    if comparison.data.task == "text":
        return []
    lines = []
    if least := summary.least_found(comparison):
        named = [f"{quoted(each.name)} ({each.recall:.3f}, {each.tested:,})" for each in least]
        those = comparison.words.classes.capitalize()
        what = f"{those} that {summary.pick(comparison)} finds least (recall, times tested)"
        lines.append(f"{what}: {first_of(named, MOST_LEAST)}.")
    if note := summary.missed_note(comparison):
        worst = comparison.by_class.missed.worst if comparison.by_class and comparison.by_class.missed else []
        rows = summary.listed([str(each.row) for each in worst[:MOST_LEAST]])
        lines.append(f"{note} The worst, counted from 0: {rows}." if worst else note)
    return lines


def _costs_table(comparison: Comparison) -> Table:
    rows = _empty_table()
    columns = summary.cost_columns(comparison)
    for column in columns:
        rows.add_column(column.short, justify="right")
    for method in comparison.methods:
        rows.add_row(Text(method.name), *(column.cells[method.name] for column in columns))
    return rows
