"""A comparison as pandas frames, and as the few lines that a notebook shows."""

from __future__ import annotations

import dataclasses
import html

import pandas as pd

from anymax.lab import summary
from anymax.lab.results import MEASURES, ColumnInfo, Comparison, Difference, Trial


def trials(comparison: Comparison) -> pd.DataFrame:
    """One row per method and repeat: what was chosen, what it cost and every number of the test part.

    A measure that a method defines no number of is missing, and so are all measures of a training that diverged.
    """
    keys = [key for key in MEASURES if any(key in trial.tested.measures for trial in comparison.trials)]
    frame = pd.DataFrame([_trial(trial, keys) for trial in comparison.trials], columns=[*_COSTS, *keys, *_LAW])
    return frame.astype(
        {"peak_bytes": "Int64", "at_bound": "boolean", **dict.fromkeys([*keys, *_LAW[:1], *_LAW[2:]], float)}
    )


def differences(comparison: Comparison) -> pd.DataFrame:
    """One row per method that was compared with the reference; no row without a verdict.

    The differences are those of the verdict: in the unit of the deciding measure, between logarithms for a perplexity.
    """
    found = comparison.verdict.differences if comparison.verdict else []
    rows = [
        {**dataclasses.asdict(difference), "decision": summary.decision(comparison.decide_by, difference)}
        for difference in found
    ]
    return pd.DataFrame(rows, columns=[*(field.name for field in dataclasses.fields(Difference)), "decision"])


def columns(comparison: Comparison) -> pd.DataFrame:
    """One row per column of the data: how it was read and why; no row where the data have no columns."""
    return pd.DataFrame(
        [dataclasses.asdict(column) for column in comparison.data.columns],
        columns=[field.name for field in dataclasses.fields(ColumnInfo)],
    )


def curves(comparison: Comparison) -> pd.DataFrame:
    """One row per epoch of each trial: seconds in training steps up to then, and the deciding measure on validation."""
    rows = [
        (trial.method, trial.repeat, epoch, seconds, value)
        for trial in comparison.trials
        for epoch, (seconds, value) in enumerate(zip(trial.curve.seconds, trial.curve.validation, strict=True), start=1)
    ]
    frame = pd.DataFrame(rows, columns=["method", "repeat", "epoch", "seconds", "validation"])
    return frame.astype({"seconds": float, "validation": float})


def as_html(comparison: Comparison) -> str:
    """The paragraph and the table of measures, for a notebook; all of its text is escaped."""
    keys = summary.measure_keys(comparison)
    rows = {
        "frequencies": [summary.baseline_cell(comparison, key, spread=True) for key in keys],
        **{
            method.name: [summary.cell(comparison, method, key, spread=True) for key in keys]
            for method in comparison.methods
        },
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[summary.SHORT_TITLES[key] for key in keys])
    text = comparison.verdict.text if comparison.verdict else "No verdict."
    return (
        f"<p><b>{html.escape(comparison.data.name)}</b>, {MEASURES[comparison.decide_by].title} decides</p>"
        f"<p>{html.escape(text)}</p>{table.to_html()}"
    )


_COSTS = (
    "method",
    "repeat",
    "learning_rate",
    "best_epoch",
    "train_seconds",
    "seconds_per_step",
    "parameters",
    "peak_bytes",
)
_LAW = (
    "temperature",
    "at_bound",
    "scaled_nll",
    "scaled_brier",
    "scaled_ece",
    "ece_if_calibrated",
    "log_z_mean",
    "log_z_spread",
)


def _trial(trial: Trial, keys: list[str]) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(trial, name) for name in _COSTS}
    if summary.diverged(trial):
        return row
    row |= {key: trial.tested.measures.get(key) for key in keys}
    row["ece_if_calibrated"] = trial.tested.ece_if_calibrated
    if trial.tested.scaled is not None:
        scaled = trial.tested.scaled
        row |= {"temperature": scaled.temperature, "at_bound": scaled.at_bound}
        row |= {"scaled_nll": scaled.nll, "scaled_brier": scaled.brier, "scaled_ece": scaled.ece}
    if trial.tested.log_z is not None:
        row |= {"log_z_mean": trial.tested.log_z.mean, "log_z_spread": trial.tested.log_z.spread}
    return row
