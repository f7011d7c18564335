"""A whole comparison: every method, every learning rate, every repeat, in a fair order."""

from __future__ import annotations

from collections.abc import Callable

from anymax._core.sentences import quoted
from anymax.lab.data.dataset import Dataset
from anymax.lab.data.predictions import Predictions
from anymax.lab.data.splits import FOLDS
from anymax.lab.errors import OptionError
from anymax.lab.measure import MEASURES, Task, deciders
from anymax.lab.measuring import classes, measures
from anymax.lab.measuring.outcomes import Outcomes
from anymax.lab.options import TrainOptions
from anymax.lab.results import Beside, ByClass, Comparison, DataInfo, MethodInfo
from anymax.lab.training import backbones, baseline, beside, forecast, machine, trial
from anymax.lab.training.events import Event
from anymax.lab.training.keeper import Keeper, Memory
from anymax.lab.training.methods import choose
from anymax.lab.training.schedule import Finished, Schedule
from anymax.lab.training.stopping import Stopping
from anymax.lab.verdict import advice
from anymax.lab.verdict.records import Judge

# 0.03 gained at most 0.01 in the deciding measure on six tables (digits, wine, breast-cancer, and three of
# examples/make_data.py), 0.1 lost up to 0.6
LEARNING_RATES = (1e-3, 3e-3, 1e-2)


def run(
    dataset: Dataset,
    options: TrainOptions,
    *,
    backbone: backbones.Factory | None = None,
    predictions: Predictions | None = None,
    keeper: Keeper | None = None,
    progress: Callable[[Event], None] | None = None,
) -> Comparison:
    """Train every method on the same parts, starts and batches, and judge the differences on the test parts.

    Args:
        dataset: what `anymax.lab.data.load.load` returned.
        options: methods, repeats, time, margin, epochs or budget, rate, deciding measure, device and precision.
        backbone: makes the network before every head, as `anymax.lab.training.backbones` says; None takes the
            built-in one.
        predictions: those that the user had already, to stand beside the heads.
        keeper: keeps what is finished, and gives back what an interrupted run of the same kind had finished; None
            keeps it in memory.
        progress: called with each `Event` as it happens.

    Returns:
        The comparison, with its verdict.

    Raises:
        MethodError: a method name that does not exist, or none that fits; before any work.
        OptionError: any other option that does not fit, or a backbone that cannot be used; before any training.
    """
    info = dataset.info()
    rare = dataset.task == "classification" and measures.has_rare_class(info.class_counts, dataset.measured_ids)
    decide_by = _decider(options.decide_by, dataset.task, _usual_decider(dataset.task, has_rare_class=rare))
    chosen, left_out = choose(options.methods, dataset.task, info.num_classes, decide_by, has_rare_class=rare)
    fabric = machine.launch(options.device, options.precision, own_backbone=backbone is not None)
    plan = trial.Plan(
        task=dataset.task,
        decide_by=decide_by,
        measured_ids=dataset.measured_ids,
        epochs=options.epochs or forecast.epochs(info),
        patience=forecast.PATIENCE[dataset.task],
        batch_size=forecast.batch_size(info),
        budget=options.budget,
        backbone=backbone,
    )
    stopping = Stopping(dataset.task, options.repeats, options.within)
    judge = Judge(decide_by, options.margin, None if dataset.task == "text" else dataset.measured_ids)
    schedule = Schedule(
        dataset,
        chosen,
        plan,
        rates=(options.learning_rate,) if options.learning_rate else LEARNING_RATES,
        stopping=stopping,
        fabric=fabric,
        keeper=keeper or Memory(),
        progress=progress or (lambda event: None),
    )

    def undecided(so_far: Finished) -> list[str]:
        repeats = len(so_far.baseline)
        return judge.look(so_far.outcomes, level=stopping.level(repeats), later=stopping.later_levels(repeats))

    with machine.threads(dataset.task):
        ending = schedule.carry_out(undecided)
        described = machine.described(fabric)
    finished = schedule.finished()
    verdict = machine.everywhere(fabric, judge.verdict)
    others = machine.everywhere(fabric, lambda: _beside(finished, judge, verdict.pick))
    if predictions is not None:
        others += machine.everywhere(fabric, lambda: [_given(predictions, finished, plan, info, judge, verdict.pick)])
    comparison = Comparison(
        data=info,
        decide_by=decide_by,
        options={
            "methods": [method.name for method in chosen],
            "repeats": schedule.repeats,
            **({"within": stopping.limit} if stopping.limit else {}),
            "margin": options.margin,
            **({"budget": plan.budget} if plan.budget else {"epochs": plan.epochs, "patience": plan.patience}),
            "batch_size": plan.batch_size,
            "learning_rates": list(schedule.rates),
            "tuning_repeats": schedule.tuning_repeats,
            "decide_by": decide_by,
            "device": str(fabric.device),
            "precision": options.precision,
            "backbone": backbones.name_of(backbone or backbones.BUILT_IN[dataset.task]),
            **({"baseline": predictions.fingerprint} if predictions else {}),
        },
        versions=machine.versions(),
        machine=described,
        methods=[
            MethodInfo(
                m.name,
                m.title,
                m.has_law(dataset.task),
                m.note_on(dataset.task),
                m.strengths.name if m.strengths else None,
                m.gives_zeros,
            )
            for m in chosen
        ],
        left_out=left_out,
        baseline=finished.baseline,
        trials=finished.trials,
        total_seconds=schedule.spent,
        repeat_seconds=schedule.each(),
        ending=ending,
        verdict=verdict,
        beside=others,
        by_class=_by_class(dataset.task, finished, info, verdict.pick),
        forecast_seconds=schedule.forecast_seconds,
        outcomes=finished.outcomes,
    )
    verdict.text = advice.text(comparison)
    return comparison


def _by_class(task: Task, finished: Finished, info: DataInfo, pick: str) -> ByClass:
    """What is said of single classes or labels."""
    if task != "multilabel":
        return classes.by_class(finished.outcomes, info.num_classes, pick, has_rows=task != "text")
    tested: dict[str, list[list[float | None]]] = {name: [] for name in finished.outcomes.answers}
    for each in finished.trials:
        if not each.diverged:
            tested[each.method].append(each.tested.average_precisions)
    return classes.by_label(finished.outcomes, tested)


def _beside(finished: Finished, judge: Judge, pick: str) -> list[Beside]:
    """The classifiers that are no heads, each with its difference to the pick where it was fitted in time."""
    first = min(len(finished.baseline), FOLDS)
    in_time = {name: fits for name, fits in finished.beside.items() if len(fits) == first}
    outcomes = Outcomes(
        finished.outcomes.items[:first],
        {
            pick: finished.outcomes.answers[pick][:first],
            **{name: [fit.answers for fit in fits] for name, fits in in_time.items()},
        },
    )
    judged = {each.method: each for each in judge.beside(outcomes, pick)}
    return [
        Beside(
            each.name,
            each.title,
            [fit.tested for fit in finished.beside[each.name]],
            sum(fit.seconds for fit in finished.beside[each.name]),
            in_time=each.name in in_time,
            difference=judged.get(each.name),
        )
        for each in beside.CLASSIFIERS
        if each.name in finished.beside
    ]


def _given(
    predictions: Predictions, finished: Finished, plan: trial.Plan, info: DataInfo, judge: Judge, pick: str
) -> Beside:
    """What the user's predictions reach in every repeat, with their difference to the pick."""
    found = [baseline.measured(predictions, plan, items, info) for items in finished.outcomes.items]
    answers = {pick: finished.outcomes.answers[pick], baseline.NAME: [answers for _, answers in found]}
    return Beside(
        baseline.NAME,
        f"the predictions of {predictions.name}",
        [tested for tested, _ in found],
        seconds=0.0,
        in_time=True,
        difference=next(iter(judge.beside(Outcomes(finished.outcomes.items, answers), pick)), None),
        given=True,
    )


def _decider(asked: str | None, task: Task, usual: str) -> str:
    """The measure that decides: the one that was asked for, if the task has it."""
    valid = sorted(deciders(task), key=lambda key: key != usual)
    if asked is not None and asked not in valid:
        of_task = {"text": "of text", "multilabel": "of rows with several labels"}.get(task, "here")
        what = f"is not a measure {of_task if asked in MEASURES else 'here'}"
        raise OptionError(f"{quoted(asked)} {what}: expected one of {', '.join(valid)}.")
    return asked or usual


def _usual_decider(task: Task, *, has_rare_class: bool) -> str:
    """Perplexity for text, average precision for labels; macro-F1 where a measured class is rare, else top-1."""
    if task != "classification":
        return "perplexity" if task == "text" else "average_precision"
    return "macro_f1" if has_rare_class else "top1"
