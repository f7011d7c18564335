"""A whole comparison: every method, every learning rate, every repeat, in a fair order."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from lightning.fabric import Fabric

from anymax.lab import measures, trial
from anymax.lab.errors import OptionError
from anymax.lab.methods import Method, choose
from anymax.lab.parts import IGNORED, Dataset, Parts, Task
from anymax.lab.results import MEASURES, Comparison, DataInfo, MethodInfo, Tested, Trial, TuningPoint

LEARNING_RATES = (1e-3, 3e-3, 1e-2)
TABLE_STEPS = 700  # training steps that suffice for a table; early stopping ends most trainings before
FEWEST_EPOCHS, MOST_EPOCHS = 20, 100
TEXT_EPOCHS = 8
PATIENCE: dict[Task, int] = {"classification": 10, "text": 2}
TEXT_BATCH = 32  # windows
MANY_REPEATS, FEW_REPEATS = 10, 3
SHORT_TRAINING = 5.0  # seconds below which there are many repeats
RARE_SHARE = 0.1  # of its even share, below which a class is rare


@dataclass(frozen=True)
class Planned:
    """How many trainings there will be; sent again when the number of repeats has been settled.

    Sent once before any training (`repeats` is a guess where `repeats_settled` is False) and at most once more,
    after the first repeat has shown how long a training takes.
    """

    trainings: int
    repeats: int
    repeats_settled: bool
    methods: list[str]
    learning_rates: list[float]
    epochs: int


@dataclass(frozen=True)
class TrainingStarted:
    """One method begins training at one learning rate in one repeat (counted from 0)."""

    method: str
    repeat: int
    learning_rate: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch (counted from 1) is over; `validation` is the deciding measure, None where training diverged."""

    method: str
    repeat: int
    learning_rate: float
    epoch: int
    validation: float | None


@dataclass(frozen=True)
class TrainingDone:
    """One training is over, `done` of the planned ones are; early stopping may have ended it before `epochs`."""

    method: str
    repeat: int
    learning_rate: float
    best_validation: float | None
    seconds: float  # wall clock of this training, evaluation included
    done: int


@dataclass(frozen=True)
class RepeatDone:
    """All methods are finished with one repeat: its trials stand in the result."""

    repeat: int


Event = Planned | TrainingStarted | EpochDone | TrainingDone | RepeatDone


def run(
    dataset: Dataset,
    *,
    methods: Sequence[str] | None = None,
    repeats: int | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    decide_by: str | None = None,
    device: str = "auto",
    progress: Callable[[Event], None] | None = None,
) -> Comparison:
    """Train every method on the same parts, starts and batches, and measure each once on the test part.

    Args:
        dataset: what `anymax.lab.data.load` returned.
        methods: names from `anymax.lab.methods.METHODS`; None takes all that fit the data.
        repeats: how many times split and start are drawn anew; None takes 10 where a training takes under
            five seconds, else 3.
        epochs: the most epochs one training may take; None takes a default that suits the data.
        learning_rate: the one rate to use; None chooses on the validation part among three.
        decide_by: the measure that decides, a key of `anymax.lab.results.MEASURES`; None takes macro-F1 where
            the rarest class is rare, else top-1, and perplexity for text.
        device: "auto", "cpu", "cuda" or another accelerator name that Lightning Fabric knows.
        progress: called with each `Event` as it happens.

    Returns:
        The comparison, with `verdict=None`: `anymax.lab.verdict.judge` fills it.

    Raises:
        MethodError: a method name that does not exist, or none that fits; before any work.
        OptionError: any other option out of range; before any work.
    """
    began = time.perf_counter()
    _check_options(dataset.task, repeats, epochs, learning_rate, decide_by)
    info = dataset.info()
    decide_by = decide_by or _default_measure(info, dataset.measured_classes)
    chosen, left_out = choose(methods, dataset.task, info.num_classes, decide_by)
    fabric = _fabric(device)
    plan = trial.Plan(
        task=dataset.task,
        decide_by=decide_by,
        measured_classes=dataset.measured_classes,
        epochs=epochs or _epochs(info),
        patience=PATIENCE[dataset.task],
        batch_size=_batch_size(info),
    )
    grid = (learning_rate,) if learning_rate else LEARNING_RATES
    schedule = _Schedule(
        dataset,
        chosen,
        plan,
        grid,
        fabric,
        progress=progress or (lambda event: None),
        repeats=repeats,
        tuned_once=not info.splits_redrawn,
    )
    with _threads(dataset.task):
        trials, baseline = schedule.carry_out()
        machine = _machine(fabric)
    return Comparison(
        data=info,
        decide_by=decide_by,
        options={
            "methods": [method.name for method in chosen],
            "repeats": schedule.repeats,
            "epochs": plan.epochs,
            "patience": plan.patience,
            "batch_size": plan.batch_size,
            "learning_rates": list(grid),
            "tuned": "in the first repeat" if schedule.tuned_once else "in every repeat",
            "decide_by": decide_by,
            "device": str(fabric.device),
        },
        versions=_versions(),
        machine=machine,
        methods=[MethodInfo(m.name, m.title, m.defines_law, m.note) for m in chosen],
        left_out=left_out,
        baseline=baseline,
        trials=trials,
        total_seconds=time.perf_counter() - began,
    )


@contextlib.contextmanager
def _threads(task: Task) -> Iterator[None]:
    """Compute with as many threads inside as pay, also where the machine is busy.

    The layers for tables are too small to be shared: a second thread gains nothing on an idle machine and makes a
    step three times slower on a busy one (measured on `digits` with two cores). Text takes half the cores, since
    each step waits for its slowest thread (`pydoc` on two cores: 2.4 s an epoch with both, 2.6 s with one).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if task == "classification" else max(1, before // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Schedule:
    """The order of trainings: methods alternate within a rate, rates within a repeat.

    Where split and validation part are drawn anew, rates are chosen anew in each repeat. Where they stay, as for
    one text, the choice of the first repeat holds for all, with as many tuning trainings for each method.
    """

    def __init__(
        self,
        dataset: Dataset,
        methods: list[Method],
        plan: trial.Plan,
        grid: Sequence[float],
        fabric: Fabric,
        progress: Callable[[Event], None],
        repeats: int | None,
        tuned_once: bool,
    ) -> None:
        self.dataset = dataset
        self.methods = methods
        self.plan = plan
        self.grid = grid
        self.fabric = fabric
        self.progress = progress
        self.repeats = repeats or MANY_REPEATS
        self.repeats_settled = repeats is not None
        self.tuned_once = tuned_once
        self.done = 0

    def carry_out(self) -> tuple[list[Trial], list[Tested]]:
        """Every trial, and per repeat what the trivial answer reaches."""
        trials: list[Trial] = []
        baseline: list[Tested] = []
        self._announce()
        repeat = 0
        while repeat < self.repeats:
            parts = self.dataset.parts(repeat)
            earlier = {t.method: t for t in trials if t.repeat == 0} if self.tuned_once else {}
            trainings, slowest = self._train_all(parts, repeat, earlier)
            for method in self.methods:
                tried = trainings[method.name]
                tuning = earlier[method.name].tuning if earlier else _tuning(tried)
                trials.append(self._measure(method, _best(tried, self.plan.decide_by), tuning, parts, repeat))
            baseline.append(self._baseline(parts))
            if not self.repeats_settled:
                self.repeats = MANY_REPEATS if slowest < SHORT_TRAINING else FEW_REPEATS
                self.repeats_settled = True
                self._announce()
            self.progress(RepeatDone(repeat))
            repeat += 1
        return trials, baseline

    def _train_all(
        self, parts: Parts, repeat: int, earlier: dict[str, Trial]
    ) -> tuple[dict[str, list[trial.Training]], float]:
        """The trainings of one repeat by method, and the seconds that the slowest method's took on average."""
        trainings: dict[str, list[trial.Training]] = {method.name: [] for method in self.methods}
        seconds = dict.fromkeys(trainings, 0.0)
        rounds = 1 if earlier else len(self.grid)
        for i in range(rounds):
            # nobody always comes first, when caches are cold, or last, when the processor is hot
            first = (repeat + i) % len(self.methods)
            for method in self.methods[first:] + self.methods[:first]:
                rate = earlier[method.name].learning_rate if earlier else self.grid[i]
                training, took = self._train(method, parts, repeat, rate)
                trainings[method.name].append(training)
                seconds[method.name] += took / rounds
        return trainings, max(seconds.values())

    def _train(self, method: Method, parts: Parts, repeat: int, learning_rate: float) -> tuple[trial.Training, float]:
        self.progress(TrainingStarted(method.name, repeat, learning_rate))
        began = time.perf_counter()
        training = trial.train(
            method,
            self.plan,
            parts,
            repeat=repeat,
            learning_rate=learning_rate,
            fabric=self.fabric,
            on_epoch=lambda epoch, validation: self.progress(
                EpochDone(method.name, repeat, learning_rate, epoch, validation)
            ),
        )
        took = time.perf_counter() - began
        self.done += 1
        self.progress(TrainingDone(method.name, repeat, learning_rate, training.best_validation, took, self.done))
        return training, took

    def _measure(
        self, method: Method, training: trial.Training, tuning: list[TuningPoint], parts: Parts, repeat: int
    ) -> Trial:
        """Read the test part, once, after all choices of this method in this repeat."""
        outcome = trial.observe(training.model, method, parts.test)
        return Trial(
            method=method.name,
            repeat=repeat,
            learning_rate=training.learning_rate,
            tuning=tuning,
            best_epoch=training.best_epoch,
            curve=training.curve,
            tested=measures.tested(outcome, self.plan.task, self.plan.measured_classes),
            train_seconds=training.train_seconds,
            seconds_per_step=training.seconds_per_step,
            parameters=training.parameters,
        )

    def _baseline(self, parts: Parts) -> Tested:
        """Always telling the class frequencies of the training part, one count added to each."""
        counts = parts.class_counts.double() + 1
        targets = parts.test.targets[parts.test.targets != IGNORED]
        outcome = measures.constant(targets, (counts / counts.sum()).log())
        return measures.tested(outcome, self.plan.task, self.plan.measured_classes)

    def _announce(self) -> None:
        rounds = len(self.grid) + self.repeats - 1 if self.tuned_once else len(self.grid) * self.repeats
        self.progress(
            Planned(
                trainings=rounds * len(self.methods),
                repeats=self.repeats,
                repeats_settled=self.repeats_settled,
                methods=[method.name for method in self.methods],
                learning_rates=list(self.grid),
                epochs=self.plan.epochs,
            )
        )


def _tuning(trainings: list[trial.Training]) -> list[TuningPoint]:
    return [TuningPoint(training.learning_rate, training.best_validation) for training in trainings]


def _best(trainings: list[trial.Training], decide_by: str) -> trial.Training:
    """The training that stood best on the validation part, the lower rate where two are equal."""
    best = trainings[0]
    for training in trainings[1:]:
        if training.best is not None and training.best.beats(best.best, decide_by):
            best = training
    return best


def _check_options(
    task: Task, repeats: int | None, epochs: int | None, learning_rate: float | None, decide_by: str | None
) -> None:
    if repeats is not None and repeats < 1:
        raise OptionError(f"The number of repeats must be 1 or more, got {repeats}.")
    if epochs is not None and epochs < 1:
        raise OptionError(f"The number of epochs must be 1 or more, got {epochs}.")
    if learning_rate is not None and not (math.isfinite(learning_rate) and learning_rate > 0):
        raise OptionError(f"The learning rate must be a positive number, got {learning_rate}.")
    valid = measures.MEASURED[task]
    if decide_by is not None and decide_by not in valid:
        what = "is no measure of text" if decide_by in MEASURES and task == "text" else "is no measure here"
        raise OptionError(f"'{decide_by}' {what}: expected one of {', '.join(valid)}.")


def _default_measure(info: DataInfo, measured_classes: list[int]) -> str:
    """Perplexity for text; macro-F1 where a measured class has under a tenth of its even share, else top-1."""
    if info.task == "text":
        return "perplexity"
    counts = [info.class_counts[i] for i in measured_classes]
    return "macro_f1" if min(counts) < RARE_SHARE * sum(counts) / len(counts) else "top1"


def _batch_size(info: DataInfo) -> int:
    """Windows for text; else a power of two from 16 to 512 that leaves about 16 steps or more to an epoch."""
    if info.task == "text":
        return TEXT_BATCH
    return min(512, max(16, 1 << int(math.log2(max(1, info.train_items / 16)))))


def _epochs(info: DataInfo) -> int:
    """As many epochs as make `TABLE_STEPS` steps, within bounds; for text what a few minutes allow."""
    if info.task == "text":
        return TEXT_EPOCHS
    steps_per_epoch = math.ceil(info.train_items / _batch_size(info))
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(TABLE_STEPS / steps_per_epoch)))


def _fabric(device: str) -> Fabric:
    try:
        return Fabric(accelerator=device, devices=1)
    except Exception as error:  # Fabric raises three kinds for one mistake
        raise OptionError(f"Device '{device}' is not available here ({error}): expected auto, cpu or cuda.") from None


def _versions() -> dict[str, str]:
    packages = ("anymax", "torch", "lightning", "scikit-learn", "numpy", "pandas")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def _machine(fabric: Fabric) -> dict[str, str | int | None]:
    device = fabric.device
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }
