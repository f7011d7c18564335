"""The order of trainings: methods alternate within a rate, rates within a repeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from lightning_fabric import Fabric

from anymax.lab.data.dataset import IGNORED, Dataset, Parts
from anymax.lab.measuring import measures
from anymax.lab.results import Tested, Trial, TuningPoint
from anymax.lab.training import backbones, trial
from anymax.lab.training.events import EpochDone, Event, Planned, RepeatDone, TrainingDone, TrainingStarted
from anymax.lab.training.forecast import Forecast, forecast
from anymax.lab.training.keeper import FinishedRepeat, Keeper
from anymax.lab.training.methods import Method

T = TypeVar("T")


class Schedule:
    """Carries out all trainings of a comparison.

    Where split and validation part are drawn anew, rates are chosen anew in each repeat. Where they stay, as for
    one text, the choice of the first repeat holds for all, with as many tuning trainings for each method.

    Args:
        dataset: gives the parts of each repeat.
        methods: those to train.
        plan: what all trainings share.
        rates: the learning rates to choose from.
        fabric: the device and precision.
        keeper: keeps what is finished, and gives back what an interrupted run had finished.
        progress: called with each event as it happens.
    """

    def __init__(
        self,
        dataset: Dataset,
        methods: list[Method],
        plan: trial.Plan,
        *,
        rates: Sequence[float],
        fabric: Fabric,
        keeper: Keeper,
        progress: Callable[[Event], None],
    ) -> None:
        self.dataset = dataset
        self.info = dataset.info()
        self.methods = methods
        self.plan = plan
        self.rates = rates
        self.fabric = fabric
        self.keeper = keeper
        self.progress = progress
        self.tuned_once = not self.info.splits_redrawn
        self.paces: dict[str, trial.Pace] = {}
        self.repeats = 0
        self.forecast_seconds = 0.0
        self.done = 0

    def carry_out(self, repeats: int | None) -> tuple[list[Trial], list[Tested]]:
        """Every trial, and per repeat what the trivial answer reaches.

        Args:
            repeats: how many there are; None takes as many as suit the time that a training takes.
        """
        began = time.perf_counter()
        parts = self.dataset.parts(0)
        if self.plan.backbone:
            backbones.check(self.plan.task, parts, self.plan.backbone)
        self._announce(parts, time.perf_counter() - began, repeats)
        finished: list[FinishedRepeat] = []
        for repeat in range(self.repeats):
            kept = self._everywhere(lambda repeat=repeat: self.keeper.repeat(repeat))
            if kept is None:
                earlier = {t.method: t for t in finished[0].trials} if finished and self.tuned_once else {}
                parts = self.dataset.parts(repeat) if repeat else parts
                kept = self._repeat(parts, repeat, earlier)
                self.keeper.keep_repeat(repeat, kept)
            finished.append(kept)
            self.progress(RepeatDone(repeat))
        return [t for kept in finished for t in kept.trials], [kept.baseline for kept in finished]

    def _announce(self, parts: Parts, preparing: float, repeats: int | None) -> None:
        """Time a few steps of each method, settle the number of repeats, and say what there is to do."""
        self.paces = {method.name: trial.pace(method, self.plan, parts, self.fabric) for method in self.methods}
        expected = forecast(
            self.plan,
            list(self.paces.values()),
            train_rows=len(parts.train),
            preparing=preparing,
            rates=len(self.rates),
            tuned_once=self.tuned_once,
        )
        self.repeats = self._everywhere(lambda: self.keeper.repeats(lambda: repeats or expected.usual_repeats))
        self.forecast_seconds = expected.seconds(self.repeats)
        self.done = self._already_done(expected)
        self.progress(
            Planned(
                trainings=expected.trainings(self.repeats),
                repeats=self.repeats,
                methods=[method.name for method in self.methods],
                learning_rates=list(self.rates),
                epochs=None if self.plan.budget else self.plan.epochs,
                budget=self.plan.budget,
                seconds=self.forecast_seconds,
                fitting_budget=expected.fitting_budget(self.repeats),
                already_done=self.done,
            )
        )

    def _already_done(self, expected: Forecast) -> int:
        """The trainings that the keeper has from an interrupted run."""
        done = 0
        for repeat in range(self.repeats):
            if self.keeper.repeat(repeat) is not None:
                done += expected.rounds(repeat) * len(self.methods)
            else:
                done += self.keeper.kept_trainings(repeat)
        return done

    def _repeat(self, parts: Parts, repeat: int, earlier: dict[str, Trial]) -> FinishedRepeat:
        """All trainings of one repeat, then one look at the test part for each method."""
        tried: dict[str, list[trial.Training]] = {method.name: [] for method in self.methods}
        models: dict[str, trial.Model | None] = {}  # of each method the best so far, in the first process
        for i in range(1 if earlier else len(self.rates)):
            # nobody always comes first, when caches are cold, or last, when the processor is hot
            first = (repeat + i) % len(self.methods)
            for method in self.methods[first:] + self.methods[:first]:
                rate = earlier[method.name].learning_rate if earlier else self.rates[i]
                model, training = self._train(method, parts, repeat, rate, tried[method.name])
                tried[method.name].append(training)
                if _best(tried[method.name], self.plan.decide_by) is training:
                    models[method.name] = model
        return self._everywhere(lambda: self._test(parts, repeat, tried, models, earlier))

    def _train(
        self, method: Method, parts: Parts, repeat: int, learning_rate: float, before: list[trial.Training]
    ) -> tuple[trial.Model | None, trial.Training]:
        """One training after those `before` of the same method and repeat, or what was kept of it."""
        kept = self._everywhere(lambda: self.keeper.training(repeat, method.name, learning_rate))
        if kept is not None:
            return self._restored(method, parts, repeat, kept), kept
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
        is_best = _best([*before, training], self.plan.decide_by) is training
        self.keeper.keep_training(repeat, method.name, training, model.state_dict() if is_best else None)
        self.done += 1
        self.progress(
            TrainingDone(method.name, repeat, learning_rate, training.best_validation, training.seconds, self.done)
        )
        return model, training

    def _restored(self, method: Method, parts: Parts, repeat: int, training: trial.Training) -> trial.Model | None:
        """The model of a training that was kept; None where a better one took its place."""
        model = trial.untrained(method, self.plan, parts, repeat)
        if not self.keeper.restore(model, repeat, method.name, training.learning_rate):
            return None
        return model.to(self.fabric.device)

    def _everywhere(self, work: Callable[[], T]) -> T:
        """What the first of all processes comes to; it alone has the folder."""
        return self.fabric.broadcast(work() if self.fabric.is_global_zero else None)  # type: ignore[return-value]

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
        """Always predicting the class frequencies of the training part, one count added to each."""
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


def _tuning(trainings: list[trial.Training]) -> list[TuningPoint]:
    return [TuningPoint(training.learning_rate, training.best_validation) for training in trainings]


def _best(trainings: list[trial.Training], decide_by: str) -> trial.Training:
    """The training that stood best on the validation part, the lower rate where two are equal."""
    best = trainings[0]
    for training in trainings[1:]:
        if training.best is not None and training.best.beats(best.best, decide_by):
            best = training
    return best
