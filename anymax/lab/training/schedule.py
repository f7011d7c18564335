"""The order of trainings: settings are chosen in the first repeats, methods alternate, looks say when it is enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lightning_fabric import Fabric

from anymax.lab.data.dataset import IGNORED, Dataset, Parts
from anymax.lab.errors import ANOTHER_FOLDER, OptionError
from anymax.lab.measuring import labels, measures
from anymax.lab.measuring.outcomes import Answers, Outcomes
from anymax.lab.results import StrengthPoint, Tested, Trial, TuningPoint
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
from anymax.lab.training.methods import Method, start_of_labels
from anymax.lab.training.stopping import WITHIN, Ending, Stopping
from anymax.lab.training.tuning import Setting, choose_setting

T = TypeVar("T")
BESIDE_SHARE = 0.1  # of the time for all repeats, for the classifiers that are no heads


@dataclass
class Finished:
    """What a run has come to: the trials at the chosen settings, what the trivial answer reached, every answer."""

    trials: list[Trial]
    baseline: list[Tested]
    outcomes: Outcomes
    beside: dict[str, list[FinishedFit]]  # classifiers that are no heads, by repeat as far as they were fitted in time


class Schedule:
    """Carries out all trainings of a comparison.

    Every rate is tried in the first repeats, a round of folds; each method keeps the one whose mean validation value
    was best, so that a later repeat is one training a method. A method with a strength then tries the others of it at
    this rate, in the same repeats, and keeps the best one likewise. Each training looks at the test part once, after
    its epoch and its temperature were chosen; what the settings that are not kept reached there is not looked at by
    anything. (Models of all settings would have to be kept over the round else.)

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
        self.last_drawn: tuple[int, Parts] | None = None  # the parts of the repeat that needed them last
        self.parts: list[CommonPart] = []  # by repeat
        self.trainings: dict[str, list[dict[Setting, FinishedTraining]]] = {method.name: [] for method in methods}
        self.kept: dict[str, Setting] = {}  # by method, once they are chosen
        self.fits: dict[str, list[FinishedFit]] = {
            each.name: [] for each in beside.CLASSIFIERS if self.dataset.task != "text"
        }
        self.saved_beside = 0.0  # seconds that these did not take of their share
        self.forecast_seconds = 0.0
        self.done = 0  # trainings, those of an earlier run included
        self.spent_before = 0.0  # seconds in the trainings that an earlier run had finished
        self.began = time.perf_counter()

    @property
    def repeats(self) -> int:
        """How many repeats are done."""
        return len(self.parts)

    @property
    def tuning_repeats(self) -> int:
        """In how many repeats settings are tried."""
        return min(self.stopping.tuning_repeats, self.stopping.most)

    @property
    def spent(self) -> float:
        """Seconds that the run has taken, those of an earlier one in its trainings included."""
        return self.spent_before + time.perf_counter() - self.began

    def carry_out(self, undecided: Callable[[Finished], list[str]]) -> Ending:
        """Train until the stopping rule ends it; why it did.

        Args:
            undecided: the methods of which a look at what is finished decides nothing.
        """
        if self.plan.backbone:
            backbones.check(self.plan.task, self._drawn(0), self.plan.backbone)
        expected = self._announce()
        still_open: list[str] | None = None  # before the first look
        while True:
            ending = self._ending(decided=still_open == [])
            if ending is not None:
                break
            self._repeat(self.repeats)
            if self.repeats == self.stopping.next_look(self.repeats - 1):
                still_open = self._everywhere(lambda: undecided(self.finished()))
                next_look = self.stopping.next_look(self.repeats)
                self.progress(Looked(self.repeats, still_open, next_look, expected.trainings(next_look)))
        if still_open is None:  # time ended it before its only look
            self._everywhere(lambda: undecided(self.finished()))
        return ending

    def finished(self) -> Finished:
        """What the repeats so far have come to."""
        return Finished(
            trials=[self._trial(method, repeat) for repeat in range(self.repeats) for method in self.methods],
            baseline=[part.baseline for part in self.parts],
            outcomes=Outcomes(
                [part.items for part in self.parts],
                {name: [tried[self.kept[name]].answers for tried in found] for name, found in self.trainings.items()},
            ),
            beside=self.fits,
        )

    def _ending(self, *, decided: bool) -> Ending | None:
        """Why there is no further repeat; one process, by its clock, speaks for all."""
        return self._everywhere(
            lambda: self.stopping.ending(self.repeats, spent=self.spent, each=self.each(), decided=decided)
        )

    def _drawn(self, repeat: int) -> Parts:
        """The parts of a repeat, drawn where something is to be trained on them; drawing takes time."""
        if self.last_drawn is None or self.last_drawn[0] != repeat:
            self.last_drawn = None  # two of them need not fit into the memory
            self.last_drawn = repeat, self.dataset.parts(repeat)
        return self.last_drawn[1]

    def _announce(self) -> Forecast:
        """Time a few steps of each method, and say what there is to do."""
        parts = self._drawn(0)
        preparing = time.perf_counter() - self.began
        self.paces = {method.name: trial.pace(method, self.plan, parts, self.fabric) for method in self.methods}
        expected = forecast(
            self.plan,
            list(self.paces.values()),
            train_rows=len(parts.train),
            preparing=preparing,
            rates=len(self.rates),
            strengths=[len(method.strengths.others) if method.strengths else 0 for method in self.methods],
            tuning_repeats=self.tuning_repeats,
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

    def _repeat(self, repeat: int) -> None:
        """All trainings of one repeat, or what was kept of them; after the last one for tuning, the settings."""
        part = self._everywhere(lambda: self.keeper.part(repeat))
        if part is None:
            drawn = self._drawn(repeat)
            part = CommonPart(drawn.tested, self._baseline(drawn))
            self.keeper.keep_part(repeat, part)
        for tried in self.trainings.values():
            tried.append({})
        if repeat < self.tuning_repeats:
            for turn, rate in enumerate(self.rates):
                self._train(repeat, turn, {method.name: self._usual(method, rate) for method in self.methods})
        else:
            self._train(repeat, 0, self.kept)
        if repeat < self.stopping.first_round:
            self._fit_beside(repeat)
        if repeat + 1 == self.tuning_repeats:
            self._choose()
        self.parts.append(part)
        self.progress(RepeatDone(repeat))

    def _choose(self) -> None:
        """Choose the rates, then try the other strengths in the same repeats and choose among them."""
        strengths = {method.name: method.strengths.others for method in self.methods if method.strengths}
        for method in self.methods:
            self.kept[method.name] = self._best(method, [self._usual(method, rate) for rate in self.rates])
        for repeat in range(self.tuning_repeats):
            for turn in range(max(map(len, strengths.values()), default=0)):
                settings = {
                    name: replace(self.kept[name], strength=others[turn])
                    for name, others in strengths.items()
                    if turn < len(others)
                }
                self._train(repeat, turn, settings)
        for method in self.methods:
            if method.strengths is not None:
                kept = self.kept[method.name]
                others = [replace(kept, strength=strength) for strength in method.strengths.others]
                self.kept[method.name] = self._best(method, [kept, *others])

    def _usual(self, method: Method, rate: float) -> Setting:
        """The setting at which a method tries a rate."""
        return Setting(rate, method.strengths.usual if method.strengths else None)

    def _best(self, method: Method, settings: Sequence[Setting]) -> Setting:
        """The best of these settings by the validation values of the first repeats."""
        tuned = self.trainings[method.name][: self.tuning_repeats]
        standings = {setting: [tried[setting].training.best for tried in tuned] for setting in settings}
        return choose_setting(standings, self.plan.decide_by)

    def _train(self, repeat: int, turn: int, settings: Mapping[str, Setting]) -> None:
        """Train each of these methods in a repeat, or take what was kept of it."""
        # nobody always comes first, when caches are cold, or last, when the processor is hot
        first = (repeat + turn) % len(self.methods)
        for method in self.methods[first:] + self.methods[:first]:
            if method.name in settings:
                setting = settings[method.name]
                self.trainings[method.name][repeat][setting] = self._training(method, repeat, setting)

    def _training(self, method: Method, repeat: int, setting: Setting) -> FinishedTraining:
        """One training and its one look at the test part, or what was kept of them."""
        kept = self._everywhere(lambda: self.keeper.training(repeat, method.name, setting))
        if kept is not None:
            # our own backbone does not change within a version; the user's may between two runs
            if repeat == 0 and kept.training.parameters != self.paces[method.name].parameters:
                raise OptionError(
                    "The folder holds trainings of another backbone than this one of the same name: ", *ANOTHER_FOLDER
                )
            self.spent_before += kept.training.seconds
            return kept
        rate, strength = setting.learning_rate, setting.strength
        self.progress(TrainingStarted(method.name, repeat, rate, strength))
        parts = self._drawn(repeat)
        model, training = trial.train(
            method,
            self.plan,
            parts,
            repeat=repeat,
            learning_rate=rate,
            strength=strength,
            fabric=self.fabric,
            on_epoch=lambda epoch, validation: self.progress(
                EpochDone(method.name, repeat, rate, epoch, validation, strength)
            ),
        )
        finished = self._everywhere(lambda: self._tested(method, model, training, parts))
        self.keeper.keep_training(repeat, method.name, finished)
        self.done += 1
        self.progress(
            TrainingDone(
                method.name, repeat, rate, training.best_validation, finished.training.seconds, self.done, strength
            )
        )
        return finished

    def _tested(self, method: Method, model: trial.Model, training: trial.Training, parts: Parts) -> FinishedTraining:
        began = time.perf_counter()
        tested, answers = trial.look_at_test(model, method, self.plan, parts, self.info, self.dataset.unknown_class)
        if training.best is None:  # the start's answers say nothing of the method
            answers = Answers(answers.prediction, {})
        seconds = training.seconds + time.perf_counter() - began
        return FinishedTraining(replace(training, seconds=seconds), tested, answers)

    def _fit_beside(self, repeat: int) -> None:
        """The classifiers that are no heads; one that once was not done in time is left at that."""
        for classifier in beside.CLASSIFIERS:
            found = self.fits.get(classifier.name)
            if found is None or len(found) < repeat:
                continue
            kept = self._everywhere(lambda name=classifier.name: self.keeper.beside(repeat, name))
            if kept is None:
                parts = self._drawn(repeat)
                kept = self._everywhere(lambda classifier=classifier, parts=parts: self._fit(classifier, parts))
                if kept is not None:
                    self.keeper.keep_beside(repeat, classifier.name, kept)
            else:
                self.spent_before += kept.seconds
                self.saved_beside += self._beside_share() - kept.seconds
            if kept is not None:
                found.append(kept)

    def _fit(self, classifier: beside.Classifier, parts: Parts) -> FinishedFit | None:
        """One fit; None where it takes longer than its share and what those before left of theirs."""
        began = time.perf_counter()
        share = self._beside_share()
        try:
            tested, answers = beside.fit_and_test(
                classifier, self.plan, parts, self.info, share + max(0.0, self.saved_beside)
            )
        except beside.OutOfTime:
            return None
        finally:
            took = time.perf_counter() - began
            self.saved_beside += share - took
        return FinishedFit(took, tested, answers)

    def _beside_share(self) -> float:
        """What of a tenth of the run's time each fit has, if all take the same."""
        return BESIDE_SHARE * (self.stopping.limit or WITHIN) / (len(self.fits) * self.stopping.first_round)

    def each(self) -> float:
        """Seconds that one more repeat takes, by those of the trainings at the chosen settings; 0 before the choice."""
        total = 0.0
        for name, setting in self.kept.items():
            found = self.trainings[name]
            total += sum(tried[setting].training.seconds for tried in found) / len(found)
        return total

    def _trial(self, method: Method, repeat: int) -> Trial:
        kept = self.kept[method.name]
        tried = self.trainings[method.name][repeat]
        training, tested = tried[kept].training, tried[kept].tested

        def reached(setting: Setting) -> float | None:
            return tried[setting].training.best_validation

        rates, strengths = [], []
        if repeat < self.tuning_repeats:
            rates = self.rates
            if method.strengths is not None:
                strengths = sorted([method.strengths.usual, *method.strengths.others])
        return Trial(
            method=method.name,
            repeat=repeat,
            learning_rate=kept.learning_rate,
            strength=kept.strength,
            tuning=[TuningPoint(rate, reached(self._usual(method, rate))) for rate in rates],
            strengths=[StrengthPoint(each, reached(replace(kept, strength=each))) for each in strengths],
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
        if self.dataset.task == "multilabel":
            said = start_of_labels(parts.class_counts, len(parts.train))
            constant = labels.constant(parts.test.targets, said)
            return trial.measured(constant, self.plan, parts.class_counts.tolist(), self.info)[0]
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
