"""The order of trainings: rates are chosen in the first repeats, methods alternate, looks say when it is enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lightning_fabric import Fabric

from anymax.lab.data.dataset import IGNORED, Dataset, Parts
from anymax.lab.errors import ANOTHER_FOLDER, OptionError
from anymax.lab.measuring import measures
from anymax.lab.measuring.outcomes import Answers, Outcomes
from anymax.lab.results import Tested, Trial, TuningPoint
from anymax.lab.training import backbones, beside, machine, trial
from anymax.lab.training.events import (
    EpochDone,
    Event,
    Looked,
    Planned,
    RepeatDone,
    TrainingDone,
    TrainingStarted,
)
from anymax.lab.training.forecast import Forecast, forecast
from anymax.lab.training.keeper import CommonPart, FinishedFit, FinishedTraining, Keeper
from anymax.lab.training.methods import Method
from anymax.lab.training.stopping import WITHIN, Ending, Stopping
from anymax.lab.training.tuning import choose_rate

T = TypeVar("T")
BESIDE_SHARE = 0.1  # of the time for all repeats, for the classifiers that are no heads


@dataclass
class Finished:
    """What a run has come to: the trials at the chosen rates, what the trivial answer reached, every answer."""

    trials: list[Trial]
    baseline: list[Tested]
    outcomes: Outcomes
    beside: dict[str, list[FinishedFit]]  # classifiers that are no heads, by repeat as far as they were fitted in time


class Schedule:
    """Carries out all trainings of a comparison.

    Every rate is tried in the first repeats, a round of folds; each method keeps the one whose mean validation value
    was best, so that a later repeat is one training a method. Each training looks at the test part once, after its
    epoch and its temperature were chosen; what the rates that are not kept reached there is not looked at by anything.
    (Models of all rates would have to be kept over the round else.)

    Args:
        dataset: gives the parts of each repeat.
        methods: those to train.
        plan: what all trainings share.
        rates: the learning rates to choose from.
        stopping: when to look at what is decided, and when to end.
        fabric: the device and precision.
        keeper: keeps what is finished, and gives back what an earlier run had finished.
        progress: called with each event as it happens.
    """

    def __init__(
        self,
        dataset: Dataset,
        methods: list[Method],
        plan: trial.Plan,
        *,
        rates: Sequence[float],
        stopping: Stopping,
        fabric: Fabric,
        keeper: Keeper,
        progress: Callable[[Event], None],
    ) -> None:
        self.dataset = dataset
        self.info = dataset.info()
        self.methods = methods
        self.plan = plan
        self.rates = rates
        self.stopping = stopping
        self.fabric = fabric
        self.keeper = keeper
        self.progress = progress
        self.paces: dict[str, trial.Pace] = {}
        self.parts: list[CommonPart] = []  # by repeat
        self.trainings: dict[str, list[dict[float, FinishedTraining]]] = {method.name: [] for method in methods}
        self.fits: dict[str, list[FinishedFit]] = {
            each.name: [] for each in beside.CLASSIFIERS if self.dataset.task == "classification"
        }
        self.forecast_seconds = 0.0
        self.done = 0  # trainings, those of an earlier run included
        self.spent_before = 0.0  # seconds in the trainings that an earlier run had finished
        self.began = time.perf_counter()

    @property
    def repeats(self) -> int:
        """How many repeats are done."""
        return len(self.parts)

    @property
    def spent(self) -> float:
        """Seconds that the run has taken, those of an earlier one in its trainings included."""
        return self.spent_before + time.perf_counter() - self.began

    def carry_out(self, undecided: Callable[[Finished], list[str]]) -> Ending:
        """Train until the stopping rule ends it; why it did.

        Args:
            undecided: the methods of which a look at what is finished decides nothing.
        """
        parts = self.dataset.parts(0)
        if self.plan.backbone:
            backbones.check(self.plan.task, parts, self.plan.backbone)
        expected = self._announce(parts)
        still_open: list[str] | None = None  # before the first look
        while True:
            ending = self._ending(decided=still_open == [])
            if ending is not None:
                break
            self._repeat(self.repeats, parts if self.repeats == 0 else None)
            if self.repeats == self.stopping.next_look(self.repeats - 1):
                still_open = self._everywhere(lambda: undecided(self.finished()))
                next_look = self.stopping.next_look(self.repeats)
                self.progress(Looked(self.repeats, still_open, next_look, expected.trainings(next_look)))
        if still_open is None:  # time ended it before its only look
            self._everywhere(lambda: undecided(self.finished()))
        return ending

    def finished(self) -> Finished:
        """What the repeats so far have come to."""
        rates = {method.name: self._rate(method) for method in self.methods}
        return Finished(
            trials=[
                self._trial(method, repeat, rates[method.name])
                for repeat in range(self.repeats)
                for method in self.methods
            ],
            baseline=[part.baseline for part in self.parts],
            outcomes=Outcomes(
                [part.items for part in self.parts],
                {name: [of_rates[rates[name]].answers for of_rates in found] for name, found in self.trainings.items()},
            ),
            beside=self.fits,
        )

    def _ending(self, *, decided: bool) -> Ending | None:
        """Why there is no further repeat; one process, by its clock, speaks for all."""
        return self._everywhere(
            lambda: self.stopping.ending(self.repeats, spent=self.spent, each=self.each(), decided=decided)
        )

    def _announce(self, parts: Parts) -> Forecast:
        """Time a few steps of each method, and say what there is to do."""
        preparing = time.perf_counter() - self.began
        self.paces = {method.name: trial.pace(method, self.plan, parts, self.fabric) for method in self.methods}
        expected = forecast(
            self.plan,
            list(self.paces.values()),
            train_rows=len(parts.train),
            preparing=preparing,
            rates=len(self.rates),
            tuning_repeats=self.stopping.tuning_repeats,
            redrawn=self.info.splits_redrawn,
        )
        first = self.stopping.next_look(0)
        self.forecast_seconds = expected.seconds(first)
        self.done = self._everywhere(lambda: self.keeper.trainings)
        self.progress(
            Planned(
                trainings=expected.trainings(first),
                repeats=first,
                most_repeats=self.stopping.most,
                within=self.stopping.limit,
                methods=[method.name for method in self.methods],
                learning_rates=list(self.rates),
                epochs=None if self.plan.budget else self.plan.epochs,
                budget=self.plan.budget,
                seconds=self.forecast_seconds,
                fitting_budget=expected.fitting_budget(first, self.stopping.limit),
                already_done=self.done,
            )
        )
        return expected

    def _repeat(self, repeat: int, parts: Parts | None) -> None:
        """All trainings of one repeat, or what was kept of them; parts are drawn where there is something to train."""
        drawn = parts

        def draw() -> Parts:
            nonlocal drawn
            drawn = drawn or self.dataset.parts(repeat)
            return drawn

        part = self._everywhere(lambda: self.keeper.part(repeat))
        if part is None:
            part = CommonPart(draw().tested, self._baseline(draw()))
            self.keeper.keep_part(repeat, part)
        found: dict[str, dict[float, FinishedTraining]] = {method.name: {} for method in self.methods}
        tuning = repeat < self.stopping.tuning_repeats
        kept_rates = {} if tuning else {method.name: self._rate(method) for method in self.methods}
        for i in range(len(self.rates) if tuning else 1):
            # nobody always comes first, when caches are cold, or last, when the processor is hot
            first = (repeat + i) % len(self.methods)
            for method in self.methods[first:] + self.methods[:first]:
                rate = self.rates[i] if tuning else kept_rates[method.name]
                found[method.name][rate] = self._training(method, repeat, rate, draw)
        for name, of_rates in found.items():
            self.trainings[name].append(of_rates)
        if repeat < self.stopping.first_round:
            self._fit_beside(repeat, draw)
        self.parts.append(part)
        self.progress(RepeatDone(repeat))

    def _training(self, method: Method, repeat: int, rate: float, draw: Callable[[], Parts]) -> FinishedTraining:
        """One training and its one look at the test part, or what was kept of them."""
        kept = self._everywhere(lambda: self.keeper.training(repeat, method.name, rate))
        if kept is not None:
            # our own backbone does not change within a version; the user's may between two runs
            if repeat == 0 and kept.training.parameters != self.paces[method.name].parameters:
                raise OptionError(
                    "The folder holds trainings of another backbone than this one of the same name: ", *ANOTHER_FOLDER
                )
            self.spent_before += kept.training.seconds
            return kept
        self.progress(TrainingStarted(method.name, repeat, rate))
        parts = draw()
        model, training = trial.train(
            method,
            self.plan,
            parts,
            repeat=repeat,
            learning_rate=rate,
            fabric=self.fabric,
            on_epoch=lambda epoch, validation: self.progress(EpochDone(method.name, repeat, rate, epoch, validation)),
        )
        finished = self._everywhere(lambda: self._tested(method, model, training, parts))
        self.keeper.keep_training(repeat, method.name, finished)
        self.done += 1
        self.progress(
            TrainingDone(method.name, repeat, rate, training.best_validation, finished.training.seconds, self.done)
        )
        return finished

    def _tested(self, method: Method, model: trial.Model, training: trial.Training, parts: Parts) -> FinishedTraining:
        began = time.perf_counter()
        tested, answers = trial.look_at_test(model, method, self.plan, parts, self.info, self.dataset.unknown_class)
        if training.best is None:  # the start's answers say nothing of the method
            answers = Answers(answers.prediction, {})
        seconds = training.seconds + time.perf_counter() - began
        return FinishedTraining(replace(training, seconds=seconds), tested, answers)

    def _fit_beside(self, repeat: int, draw: Callable[[], Parts]) -> None:
        """The classifiers that are no heads; one that once was not done in time is left at that."""
        for classifier in beside.CLASSIFIERS:
            found = self.fits.get(classifier.name)
            if found is None or len(found) < repeat:
                continue
            kept = self._everywhere(lambda name=classifier.name: self.keeper.beside(repeat, name))
            if kept is None:
                parts = draw()
                kept = self._everywhere(lambda classifier=classifier, parts=parts: self._fit(classifier, parts))
                if kept is not None:
                    self.keeper.keep_beside(repeat, classifier.name, kept)
            else:
                self.spent_before += kept.seconds
            if kept is not None:
                found.append(kept)

    def _fit(self, classifier: beside.Classifier, parts: Parts) -> FinishedFit | None:
        """One fit; None where it takes longer than its share of a tenth of the run's time."""
        began = time.perf_counter()
        seconds = BESIDE_SHARE * (self.stopping.limit or WITHIN) / (len(self.fits) * self.stopping.first_round)
        try:
            tested, answers = beside.fit_and_test(classifier, self.plan, parts, self.info, seconds)
        except beside.OutOfTime:
            return None
        return FinishedFit(time.perf_counter() - began, tested, answers)

    def _rate(self, method: Method) -> float:
        """The rate that a method keeps, by the validation values of the first repeats."""
        tuned = self.trainings[method.name][: self.stopping.tuning_repeats]
        standings = {rate: [of_rates[rate].training.best for of_rates in tuned] for rate in self.rates}
        return choose_rate(standings, self.plan.decide_by)

    def each(self) -> float:
        """Seconds that one more repeat takes, by those of the trainings at the chosen rates."""
        if not self.repeats:
            return 0.0
        total = 0.0
        for method in self.methods:
            rate, found = self._rate(method), self.trainings[method.name]
            total += sum(of_rates[rate].training.seconds for of_rates in found) / len(found)
        return total

    def _trial(self, method: Method, repeat: int, rate: float) -> Trial:
        of_rates = self.trainings[method.name][repeat]
        training, tested = of_rates[rate].training, of_rates[rate].tested
        return Trial(
            method=method.name,
            repeat=repeat,
            learning_rate=rate,
            tuning=[
                TuningPoint(each, of_rates[each].training.best_validation)
                for each in self.rates
                if repeat < self.stopping.tuning_repeats
            ],
            best_epoch=training.best_epoch,
            curve=training.curve,
            tested=tested,
            train_seconds=training.train_seconds,
            seconds_per_step=training.seconds_per_step,
            parameters=training.parameters,
            peak_bytes=self.paces[method.name].peak_bytes,
        )

    def _everywhere(self, work: Callable[[], T]) -> T:
        """What the first of all processes comes to; it alone has the folder."""
        return machine.everywhere(self.fabric, work)

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
            scaled=None,
        )
