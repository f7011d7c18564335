"""Comparisons made by hand: the numbers a test needs, plausible values for all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from anymax.lab.measure import MEASURES
from anymax.lab.results import (
    Answer,
    ByClass,
    ClassFigures,
    ColumnInfo,
    Comparison,
    Confusions,
    Curve,
    DataInfo,
    Difference,
    LeftOut,
    LogZ,
    MethodInfo,
    MissedRow,
    MissedRows,
    RecallBin,
    ReliabilityBin,
    Scaled,
    Tested,
    Trial,
    TuningPoint,
    Verdict,
)
from anymax.lab.verdict import advice

Values = Mapping[str, Sequence[float | None]]
RATES = (1e-3, 3e-3, 1e-2)


def make_comparison(
    values: Values,
    *,
    decide_by: str = "top1",
    others: Mapping[str, Values] | None = None,
    without_law: Sequence[str] = (),
    seconds_per_step: Mapping[str, float] | None = None,
    parameters: Mapping[str, int] | None = None,
    peak_bytes: Mapping[str, int | None] | None = None,
    rates: Mapping[str, float] | None = None,
    baseline: float | None = 0.1,
    task: str = "classification",
    splits_redrawn: bool = True,
    train_items: int = 1200,
    test_items: int = 300,
    num_classes: int = 10,
    class_names: Sequence[str] | None = None,
    columns: Sequence[ColumnInfo] = (),
    notes: Sequence[str] = (),
    left_out: Sequence[LeftOut] = (),
    name: str = "made up",
) -> Comparison:
    """A comparison in which each method of `values` reached these values of `decide_by`, one per repeat.

    `others` holds further measures alike.
    """
    trials = []
    for method, reached in values.items():
        for repeat, value in enumerate(reached):
            measures: dict[str, float | None] = {"top1": 0.9, "top5": 0.99, "average_precision": 0.85}
            measures |= {key: more[method][repeat] for key, more in (others or {}).items() if method in more}
            measures[decide_by] = value
            step = (seconds_per_step or {}).get(method, 1e-3)
            rate = (rates or {}).get(method, RATES[1])
            trials.append(
                Trial(
                    method=method,
                    repeat=repeat,
                    learning_rate=rate,
                    tuning=[
                        TuningPoint(r, None if value is None else value - (r != rate) * 0.01)
                        for r in RATES
                        if repeat < 5
                    ],
                    best_epoch=0 if value is None else 3,
                    curve=Curve(
                        [100 * step * (epoch + 1) for epoch in range(4)],
                        [None if value is None else value - 0.1 * 0.5**epoch for epoch in range(4)],
                    ),
                    tested=Tested(
                        measures=measures,
                        ece_if_calibrated=None if method in without_law else 0.01,
                        reliability=[]
                        if method in without_law
                        else [ReliabilityBin(0.55, 0.5, 20), ReliabilityBin(0.97, 0.95, test_items - 20)],
                        scaled=None if method in without_law else Scaled(1.25, False, 0.28, 0.14, 0.012, 0.01),
                        log_z=None if method in without_law else LogZ(2.5, 0.75),
                        recall=[RecallBin(1000, 2, 60, 0.95), RecallBin(100, 3, 90, 0.8), RecallBin(10, 5, 150, 0.5)],
                    ),
                    train_seconds=400 * step,
                    seconds_per_step=step,
                    parameters=(parameters or {}).get(method, 6_600),
                    peak_bytes=(peak_bytes or {}).get(method, 3 << 20),
                )
            )
    repeats = len(next(iter(values.values())))
    return Comparison(
        data=DataInfo(
            name=name,
            task=task,
            train_items=train_items,
            validation_items=test_items,
            test_items=test_items,
            num_classes=num_classes,
            class_names=list(class_names or map(str, range(num_classes))),
            class_counts=[100] * num_classes,
            columns=list(columns),
            notes=list(notes),
            splits_redrawn=splits_redrawn,
            measured_classes=num_classes,
            fingerprint="a fingerprint",
        ),
        decide_by=decide_by,
        options={"data": name, "repeats": repeats, "epochs": 4, "margin": 0.01, "tuning_repeats": min(5, repeats)}
        | {"batch_size": 32, "precision": "32-true", "backbone": "anymax.lab.training.backbones:FeatureBackbone"},
        versions={"anymax": "0.1.0", "torch": "2.13.0"},
        machine={"processor": "a processor", "cores": 2},
        methods=[MethodInfo(method, method.capitalize(), method not in without_law) for method in values],
        left_out=list(left_out),
        baseline=[Tested({decide_by: baseline}) for _ in range(repeats)],
        trials=trials,
        total_seconds=12.0,
        repeat_seconds=1.0,
        ending="the number of repeats asked for",
    )


def record(
    method: str,
    answer: Answer,
    mean: float,
    half: float | None = None,
    *,
    measure: str = "top1",
    margin: float = 0.01,
    repeats: int = 10,
    **changes,
) -> Difference:
    """A record with this answer; its interval is one that goes with the answer, unless half of its width is given."""
    if half is None:
        half = {"open": abs(mean) + 2 * margin, "equivalent": margin / 2}.get(answer, abs(mean) / 2)
    return Difference(
        method=method,
        measure=measure,
        answer=answer,
        mean=mean,
        low=mean - half,
        high=mean + half,
        nominal_low=mean - 0.8 * half,
        nominal_high=mean + 0.8 * half,
        equivalent_low=mean - 0.6 * half,
        equivalent_high=mean + 0.6 * half,
        p_value=0.5 if answer in ("open", "equivalent") else 0.001,
        p_adjusted=1.0 if answer in ("open", "equivalent") else 0.002,
        level=0.008,
        margin=margin,
        repeats=repeats,
        **changes,
    )


def verdict_of(
    comparison: Comparison,
    answers: Mapping[str, Answer],
    others: Sequence[Difference] = (),
    reference: str = "softmax",
    **changes,
) -> Verdict:
    """A verdict with these answers, whose differences are those of the comparison's means; it gets its paragraph."""
    key = comparison.decide_by

    def mean(method: str) -> float:
        reached = np.mean([value for value in comparison.values(method, key) if value is not None])
        return float(np.log(reached) if MEASURES[key].by_ratio else reached)

    found = [
        record(method, answer, mean(method) - mean(reference), measure=key, repeats=comparison.repeats, **changes)
        for method, answer in answers.items()
    ]
    better = [each for each in found if each.answer == "better"]
    pick = max(better, key=lambda each: abs(each.mean)).method if better else reference
    comparison.verdict = Verdict(reference, found, list(others), pick, "")
    comparison.verdict.text = advice.text(comparison)
    return comparison.verdict


def compared(**arguments) -> Comparison:
    """Three methods over three repeats, of which one diverged and one defines no law, with a verdict."""
    comparison = make_comparison(
        {"softmax": [0.9, 0.91, 0.92], "nce": [0.8, None, 0.82], "sigmoid": [0.7, 0.71, 0.7]},
        others={"nll": {"softmax": [0.3, 0.31, 0.29]}},
        without_law=["sigmoid"],
        peak_bytes={"nce": None},
        columns=[ColumnInfo("born", "date", "every cell is a date", 2), ColumnInfo("note", "text", "long cells")],
        left_out=[LeftOut("sampled", "64 draws from 10 classes cost more than softmax")],
        **arguments,
    )
    verdict_of(comparison, {"sigmoid": "worse"})
    return comparison


def around(mean, spread, repeats=10, seed=0):
    """Values of so many repeats about a mean."""
    return list(mean + spread * np.random.default_rng(seed).standard_normal(repeats))


HEADS = {"softmax": 0.9, "nce": 0.8, "sigmoid": 0.89}


def three_heads(**arguments) -> Comparison:
    """Five repeats that decide against nce and cannot decide about sigmoid, which defines no law."""
    random = np.random.default_rng(0)
    values = {name: list(mean + 0.01 * random.standard_normal(5)) for name, mean in HEADS.items()}
    law = {name: [0.3] * 5 for name in ("softmax", "nce")}
    comparison = make_comparison(
        values, others={"nll": law, "ece": law, "brier": law}, without_law=["sigmoid"], **arguments
    )
    verdict_of(comparison, {"nce": "worse", "sigmoid": "open"})
    return comparison


def by_class(recall: Mapping[str, Sequence[float | None]], pick: str, worst: Sequence[MissedRow] = ()) -> ByClass:
    """Classes 0, 1, ... with these recalls by method, tested ten times and more; each confused with the next."""
    classes = len(next(iter(recall.values())))
    items = [[8 if i == j else 2 * (j == (i + 1) % classes) for j in range(classes)] for i in range(classes)]
    return ByClass(
        ClassFigures(
            ids=list(range(classes)),
            tested=[10 + i for i in range(classes)],
            recall={name: list(values) for name, values in recall.items()},
            precision={name: [None if value == 0 else value for value in values] for name, values in recall.items()},
        ),
        Confusions(pick, list(range(classes)), 0, items),
        MissedRows(
            rows=len(worst), always=sum(row.repeats == row.tested for row in worst), tested=50, worst=list(worst)
        ),
    )
