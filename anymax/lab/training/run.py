"""A whole comparison: every method, every learning rate, every repeat, in a fair order."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import torch
from lightning.fabric import Fabric

from anymax._core.sentences import detail, of_path, quoted
from anymax.lab.data.dataset import IGNORED, Dataset, Parts
from anymax.lab.errors import OptionError
from anymax.lab.measure import MEASURES, Task, deciders
from anymax.lab.measuring import measures
from anymax.lab.results import Comparison, DataInfo, MethodInfo, Tested, Trial, TuningPoint
from anymax.lab.training import backbones, trial
from anymax.lab.training.folder import FinishedRepeat, Folder
from anymax.lab.training.methods import Method, choose

# 0.03 gained at most 0.01 in the deciding measure on six tables (digits, wine, breast-cancer, and three of
# examples/make_data.py), 0.1 lost up to 0.6
LEARNING_RATES = (1e-3, 3e-3, 1e-2)
TABLE_STEPS = 1500  # training steps that suffice for a table; early stopping ends most trainings before
FEWEST_EPOCHS, MOST_EPOCHS = 20, 100
TEXT_EPOCHS = 8
PATIENCE: dict[Task, int] = {"classification": 10, "text": 2}
TEXT_BATCH = 32  # windows
MANY_REPEATS, FEW_REPEATS = 10, 3
SHORT_TRAINING = 5.0  # seconds below which there are many repeats
EXPECTED_EPOCHS = 25  # after which early stopping has ended a table's training: 14 to 45 in docs/six-data-sets.md
TEST_LOOKS = 3  # what measuring the test part costs, in looks at the validation part
LONG_RUN = 1800.0  # seconds; a longer run is announced with the budget that would end it by then


Precision = Literal["32-true", "bf16-mixed", "16-mixed", "64-true"]
T = TypeVar("T")
PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True)
class Planned:
    """How many trainings there will be and how long all will take; sent once, before any training."""

    trainings: int
    repeats: int
    methods: list[str]
    learning_rates: list[float]
    epochs: int | None  # None where a budget limits each training
    budget: float | None
    seconds: float  # forecast for the whole run, from a few timed steps of each method
    fitting_budget: float | None  # the budget with which the run would end within `LONG_RUN`, where it is longer
    already_done: int  # trainings that an earlier, interrupted run left


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


@dataclass(frozen=True)
class FoundFinished:
    """This very run was carried out before; its results are those of the folder."""

    folder: Path


Event = FoundFinished | Planned | TrainingStarted | EpochDone | TrainingDone | RepeatDone


def run(
    dataset: Dataset,
    *,
    methods: Sequence[str] | None = None,
    repeats: int | None = None,
    epochs: int | None = None,
    budget: float | None = None,
    learning_rate: float | None = None,
    decide_by: str | None = None,
    device: str = "auto",
    precision: Precision = "32-true",
    backbone: backbones.Factory | None = None,
    folder: Folder | None = None,
    progress: Callable[[Event], None] | None = None,
) -> Comparison:
    """Train every method on the same parts, starts and batches, and measure each once on the test part.

    Args:
        dataset: what `anymax.lab.data.load` returned.
        methods: names from `anymax.lab.training.methods.METHODS`; None takes all that fit the data.
        repeats: how many times split and start are drawn anew; None takes 10 where a training takes under
            five seconds, else 3.
        epochs: the most epochs one training may take; None takes a default that suits the data.
        budget: the seconds in training steps that each training takes, instead of epochs.
        learning_rate: the one rate to use; None chooses on the validation part among three.
        decide_by: the measure that decides, a key of `anymax.lab.measure.MEASURES`; None takes macro-F1 where
            the rarest class is rare, else top-1, and perplexity for text.
        device: "auto", "cpu", "cuda" or another accelerator name that Lightning Fabric knows.
        precision: of the training steps, a name that Lightning Fabric knows.
        backbone: makes the network before every head, as `anymax.lab.training.backbones` says; None takes the
            built-in one.
        folder: keeps what is finished, and gives back what an interrupted run of the same kind had finished.
        progress: called with each `Event` as it happens.

    Returns:
        The comparison, with `verdict=None`: `anymax.lab.verdict.judge` fills it.

    Raises:
        MethodError: a method name that does not exist, or none that fits; before any work.
        OptionError: any other option out of range, or a backbone that cannot be used; before any training.
    """
    began = time.perf_counter()
    _check_options(repeats, epochs, budget, learning_rate)
    info = dataset.info()
    decide_by = _decider(decide_by, dataset.task, _default_measure(info, dataset.measured_ids))
    chosen, left_out = choose(methods, dataset.task, info.num_classes, decide_by)
    fabric = _fabric(device, precision, backbone)
    plan = trial.Plan(
        task=dataset.task,
        decide_by=decide_by,
        measured_ids=dataset.measured_ids,
        epochs=epochs or _epochs(info),
        patience=PATIENCE[dataset.task],
        batch_size=_batch_size(info),
        budget=budget,
        backbone=backbone,
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
        info=info,
        folder=folder,
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
            **({"budget": budget} if budget else {"epochs": plan.epochs, "patience": plan.patience}),
            "batch_size": plan.batch_size,
            "learning_rates": list(grid),
            "tuned": "in the first repeat" if schedule.tuned_once else "in every repeat",
            "decide_by": decide_by,
            "device": str(fabric.device),
            "precision": precision,
            "backbone": backbones.name_of(backbone or backbones.BUILT_IN[dataset.task]),
        },
        versions=_versions(),
        machine=machine,
        methods=[MethodInfo(m.name, m.title, m.defines_law, m.note) for m in chosen],
        left_out=left_out,
        baseline=baseline,
        trials=trials,
        total_seconds=time.perf_counter() - began,
        forecast_seconds=schedule.forecast,
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
        info: DataInfo,
        folder: Folder | None,
    ) -> None:
        self.dataset = dataset
        self.methods = methods
        self.plan = plan
        self.grid = grid
        self.fabric = fabric
        self.progress = progress
        self.repeats = repeats or 0
        self.info = info
        self.tuned_once = not info.splits_redrawn
        self.folder = folder
        self.paces: dict[str, trial.Pace] = {}
        self.forecast = 0.0
        self.done = 0

    def carry_out(self) -> tuple[list[Trial], list[Tested]]:
        """Every trial, and per repeat what the trivial answer reaches."""
        began = time.perf_counter()
        parts = self.dataset.parts(0)
        if self.plan.backbone:
            backbones.check(self.plan.task, parts, self.plan.backbone)
        self._announce(parts, time.perf_counter() - began)
        finished: list[FinishedRepeat] = []
        for repeat in range(self.repeats):
            kept = self._everywhere(lambda repeat=repeat: self.folder.repeat(repeat) if self.folder else None)
            if kept is None:
                earlier = {t.method: t for t in finished[0].trials} if finished and self.tuned_once else {}
                parts = self.dataset.parts(repeat) if repeat else parts
                kept = self._repeat(parts, repeat, earlier)
                if self.folder:
                    self.folder.keep_repeat(repeat, kept)
            finished.append(kept)
            self.progress(RepeatDone(repeat))
        return [t for kept in finished for t in kept.trials], [kept.baseline for kept in finished]

    def _repeat(self, parts: Parts, repeat: int, earlier: dict[str, Trial]) -> FinishedRepeat:
        """All trainings of one repeat, then one look at the test part for each method."""
        tried: dict[str, list[trial.Training]] = {method.name: [] for method in self.methods}
        models: dict[str, trial.Model | None] = {}  # of each method the best so far, in the first process
        for i in range(1 if earlier else len(self.grid)):
            # nobody always comes first, when caches are cold, or last, when the processor is hot
            first = (repeat + i) % len(self.methods)
            for method in self.methods[first:] + self.methods[:first]:
                rate = earlier[method.name].learning_rate if earlier else self.grid[i]
                model, training = self._train(method, parts, repeat, rate, tried[method.name])
                tried[method.name].append(training)
                if _best(tried[method.name], self.plan.decide_by) is training:
                    models[method.name] = model
        return self._everywhere(lambda: self._test(parts, repeat, tried, models, earlier))

    def _test(
        self,
        parts: Parts,
        repeat: int,
        tried: dict[str, list[trial.Training]],
        models: dict[str, trial.Model | None],
        earlier: dict[str, Trial],
    ) -> FinishedRepeat:
        """The one look at the test part, by the best training of each method."""
        trials = []
        for method in self.methods:
            training = _best(tried[method.name], self.plan.decide_by)
            model = models[method.name]
            assert model is not None
            tuning = earlier[method.name].tuning if earlier else _tuning(tried[method.name])
            trials.append(self._measure(method, model, training, tuning, parts, repeat))
        return FinishedRepeat(trials, self._baseline(parts))

    def _train(
        self, method: Method, parts: Parts, repeat: int, learning_rate: float, before: list[trial.Training]
    ) -> tuple[trial.Model | None, trial.Training]:
        """One training after those `before` of the same method and repeat, or what the folder kept of it."""
        kept = self._everywhere(
            lambda: self.folder.training(repeat, method.name, learning_rate) if self.folder else None
        )
        if kept is not None:
            return self._load(method, parts, repeat, kept), kept
        self.progress(TrainingStarted(method.name, repeat, learning_rate))
        model, training = trial.train(
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
        if self.folder:
            is_best = _best([*before, training], self.plan.decide_by) is training
            self.folder.keep_training(repeat, method.name, training, model.state_dict() if is_best else None)
        self.done += 1
        self.progress(
            TrainingDone(method.name, repeat, learning_rate, training.best_validation, training.seconds, self.done)
        )
        return model, training

    def _everywhere(self, work: Callable[[], T]) -> T:
        """What the first of all processes comes to; it alone has the folder."""
        return self.fabric.broadcast(work() if self.fabric.is_global_zero else None)  # type: ignore[return-value]

    def _load(self, method: Method, parts: Parts, repeat: int, training: trial.Training) -> trial.Model | None:
        """The model of a training that the folder kept; None where a better one took its place."""
        state = self.folder.model(repeat, method.name, training.learning_rate) if self.folder else None
        if self.folder is None or state is None:
            return None
        model = trial.untrained(method, self.plan, parts, repeat)
        try:
            # assigned, so that a model of float64 stays one
            model.load_state_dict(state, assign=True)
        except RuntimeError:
            # our own backbone does not change within a version; the user's may between two runs
            raise OptionError(
                f"{of_path(self.folder.path)} holds models with another backbone than this one of the same name: "
                "name another folder with --output, or remove this one."
            ) from None
        return model.to(self.fabric.device)

    def _measure(
        self,
        method: Method,
        model: trial.Model,
        training: trial.Training,
        tuning: list[TuningPoint],
        parts: Parts,
        repeat: int,
    ) -> Trial:
        """Read the test part, once, after all choices of this method in this repeat."""
        return Trial(
            method=method.name,
            repeat=repeat,
            learning_rate=training.learning_rate,
            tuning=tuning,
            best_epoch=training.best_epoch,
            curve=training.curve,
            tested=trial.look_at_test(model, method, self.plan, parts, self.info, self.dataset.unknown_class),
            train_seconds=training.train_seconds,
            seconds_per_step=training.seconds_per_step,
            parameters=training.parameters,
            peak_bytes=self.paces[method.name].peak_bytes,
        )

    def _baseline(self, parts: Parts) -> Tested:
        """Always telling the class frequencies of the training part, one count added to each."""
        counts = parts.class_counts.double() + 1
        targets = parts.test.targets[parts.test.targets != IGNORED]
        outcome = measures.constant(targets, (counts / counts.sum()).log())
        return measures.of_test_part(
            outcome,
            self.plan.task,
            self.plan.measured_ids,
            class_counts=parts.class_counts.tolist(),
            class_names=self.info.class_names,
            unknown_class=self.dataset.unknown_class,
            by_blocks=not self.info.splits_redrawn,
            scaled=None,
        )

    def _announce(self, parts: Parts, preparing: float) -> None:
        """Time a few steps of each method, settle the number of repeats, and say what there is to do."""
        self.paces = {method.name: trial.pace(method, self.plan, parts, self.fabric) for method in self.methods}
        paces = list(self.paces.values())
        steps = math.ceil(len(parts.train) / self.plan.batch_size)
        epochs = self.plan.epochs if self.plan.task == "text" else min(self.plan.epochs, EXPECTED_EPOCHS)
        looks = trial.LOOKS_PER_BUDGET if self.plan.budget else epochs
        in_steps = [self.plan.budget or epochs * steps * pace.step for pace in paces]
        longest = max(s + looks * pace.evaluation for s, pace in zip(in_steps, paces, strict=True))

        def settle() -> int:
            return self.repeats or (MANY_REPEATS if longest < SHORT_TRAINING else FEW_REPEATS)

        self.repeats = self._everywhere(lambda: self.folder.repeats(settle) if self.folder else settle())
        rounds = len(self.grid) + self.repeats - 1 if self.tuned_once else len(self.grid) * self.repeats
        trainings = rounds * len(self.methods)
        self.done = self._already_done()
        looking = sum((rounds * looks + TEST_LOOKS * self.repeats) * pace.evaluation for pace in paces)
        other = looking + preparing * (1 if self.tuned_once else self.repeats)
        self.forecast = rounds * sum(in_steps) + other
        fitting = max(1.0, (LONG_RUN - other) / trainings) if self.forecast > LONG_RUN else None
        self.progress(
            Planned(
                trainings=trainings,
                repeats=self.repeats,
                methods=[method.name for method in self.methods],
                learning_rates=list(self.grid),
                epochs=None if self.plan.budget else self.plan.epochs,
                budget=self.plan.budget,
                seconds=self.forecast,
                fitting_budget=fitting,
                already_done=self.done,
            )
        )

    def _already_done(self) -> int:
        """The trainings that the folder kept."""
        if self.folder is None:
            return 0
        done = 0
        for repeat in range(self.repeats):
            rounds = 1 if repeat and self.tuned_once else len(self.grid)
            if self.folder.repeat(repeat) is not None:
                done += rounds * len(self.methods)
            else:
                done += self.folder.kept_trainings(repeat)
        return done


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
    repeats: int | None,
    epochs: int | None,
    budget: float | None,
    learning_rate: float | None,
) -> None:
    if repeats is not None and repeats < 1:
        raise OptionError(f"The number of repeats must be 1 or more, got {repeats}.")
    if epochs is not None and epochs < 1:
        raise OptionError(f"The number of epochs must be 1 or more, got {epochs}.")
    if budget is not None and not (math.isfinite(budget) and budget > 0):
        raise OptionError(f"The budget must be a positive number of seconds, got {budget}.")
    if budget is not None and epochs is not None:
        raise OptionError("A budget and a number of epochs exclude each other: give one of them.")
    if learning_rate is not None and not (math.isfinite(learning_rate) and learning_rate > 0):
        raise OptionError(f"The learning rate must be a positive number, got {learning_rate}.")


def _decider(asked: str | None, task: Task, default: str) -> str:
    """The measure that decides: the one that was asked for, if the task has it."""
    valid = sorted(deciders(task), key=lambda key: key != default)
    if asked is not None and asked not in valid:
        what = "is no measure of text" if asked in MEASURES and task == "text" else "is no measure here"
        raise OptionError(f"{quoted(asked)} {what}: expected one of {', '.join(valid)}.")
    return asked or default


def _default_measure(info: DataInfo, measured_ids: list[int]) -> str:
    """Perplexity for text; macro-F1 where a measured class is rare, else top-1."""
    if info.task == "text":
        return "perplexity"
    return "macro_f1" if measures.has_rare_class(info.class_counts, measured_ids) else "top1"


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


def _fabric(device: str, precision: Precision, backbone: backbones.Factory | None) -> Fabric:
    if precision not in PRECISIONS:
        raise OptionError(f"There is no precision {quoted(precision)}: expected one of {', '.join(PRECISIONS)}.")
    # torchrun's words for how many processes there are
    world, here = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # a parameter that no output depends on would stop the processes; the built-in backbones have none
    strategy = "auto" if world == 1 else "ddp_find_unused_parameters_true" if backbone else "ddp"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*AMP with fp16 is not supported on CPU")  # refused below
            fabric = Fabric(
                accelerator=device, devices=here, num_nodes=world // here, strategy=strategy, precision=precision
            )
        fabric.launch()
    except Exception as error:  # Fabric raises three kinds for one mistake
        raise OptionError(
            f"Device {quoted(device)} is not available here ({detail(error)}): expected auto, cpu or cuda."
        ) from None
    if precision == "16-mixed" and fabric.device.type == "cpu":
        raise OptionError("Precision '16-mixed' needs an accelerator: expected bf16-mixed on a CPU.")
    return fabric


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
        **({"accelerator": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}),
    }
