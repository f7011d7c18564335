"""A comparison as one HTML file that opens without a network."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from anymax._core.files import write_whole
from anymax._core.sentences import shown
from anymax.lab import summary
from anymax.lab.measure import MEASURES, summarise
from anymax.lab.report import plots
from anymax.lab.report.code import code_of
from anymax.lab.results import Comparison, Difference, MethodInfo

# More than this make a list that nobody reads; results.json has all.
MOST_CLASSES = 50
MOST_COLUMNS = 200
MOST_NOTES = 100
LONGEST_NAME = 200  # characters of the name of a column or class


def write(comparison: Comparison, path: Path) -> None:
    """Write the report of `comparison`; the file appears whole or not at all."""
    write_whole(path, render(comparison).encode())


def render(comparison: Comparison) -> str:
    """The report of `comparison` as HTML. All of its text is escaped: names of columns and classes are data."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("anymax.lab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    differences = comparison.verdict.differences if comparison.verdict else []
    environment.filters["shown"] = lambda name: shown(name, LONGEST_NAME)
    return environment.get_template("report.html.jinja").render(
        comparison=comparison,
        data=comparison.data,
        notes=comparison.data.notes[:MOST_NOTES],
        notes_left=max(0, len(comparison.data.notes) - MOST_NOTES),
        columns=comparison.data.columns[:MOST_COLUMNS],
        columns_left=max(0, len(comparison.data.columns) - MOST_COLUMNS),
        kinds=Counter(column.kind for column in comparison.data.columns),
        verdict=comparison.verdict,
        deciding=comparison.deciding,
        repeats=comparison.repeats,
        measures=[MEASURES[key] for key in comparison.measure_keys],
        rows=_rows(comparison),
        undecided=[each.method for each in differences if not each.decided],
        tuning_repeats=comparison.options["tuning_repeats"],
        judged=[_judged(found) for found in (differences, summary.beside(comparison)) if found],
        learning_rates=_learning_rates(comparison),
        tuning=_tuning(comparison),
        strengths=summary.strength_notes(comparison),
        edges=summary.edge_notes(comparison),
        costs=summary.cost_columns(comparison),
        untimed=summary.untimed_note(comparison),
        scaled=_scaled(comparison),
        log_z=[(name, f"{mean:.2f}", f"{spread:.2f}") for name, mean, spread in summary.log_z_rows(comparison)],
        measured_classes=summary.measured_classes_note(comparison),
        beside=summary.beside_note(comparison) if comparison.beside else None,
        quality_against_time=_source(plots.quality_against_time(comparison)),
        reliability=_source(plots.reliability_diagram(comparison)),
        recall=_source(plots.recall_against_frequency(comparison)),
        cost_against_quality=_source(plots.cost_against_quality(comparison)),
        calibrated=_calibrated(comparison),
        classes=_classes(comparison),
        classes_left=max(0, comparison.data.num_classes - MOST_CLASSES),
        code=code_of(comparison),
        took=summary.seconds(comparison.total_seconds),
    )


def _source(svg: str | None) -> str | None:
    """An SVG as the source of an image: it cannot meet the ids of another, nor run anything."""
    if svg is None:
        return None
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    """The table of measures, the trivial answer first."""
    keys = comparison.measure_keys
    baseline = {
        "name": "frequencies",
        "title": f"the trivial answer, how often each {'word' if comparison.data.task == 'text' else 'class'} occurs",
        "cells": [_split(comparison.baseline_cell(key, spread=True)) for key in keys],
        "picked": False,
    }
    beside = [
        {
            "name": each.name,
            "title": each.title,
            "cells": [_split(comparison.beside_cell(each, key, spread=True)) for key in keys],
            "picked": False,
        }
        for each in comparison.beside
    ]
    return [baseline, *beside, *(_row(comparison, method, keys) for method in comparison.methods)]


def _split(cell: str) -> tuple[str, str]:
    """Mean and spread of a cell, which the page sets below each other."""
    mean, _, spread = cell.partition(" ± ")
    return mean, spread


def _row(comparison: Comparison, method: MethodInfo, keys: list[str]) -> dict[str, Any]:
    return {
        "name": method.name,
        "title": method.title,
        "cells": [_split(comparison.cell(method, key, spread=True)) for key in keys],
        "picked": comparison.verdict is not None and comparison.verdict.pick == method.name,
    }


def _scaled(comparison: Comparison) -> list[dict[str, str]]:
    """The table "After temperature scaling"; a dash where a repeat has no finite number."""
    rows = []
    for row in summary.scaled_rows(comparison):
        at_bound = f"at the bound in {row.at_bound} of {row.repeats}" if row.at_bound else ""
        cells = {
            key: MEASURES[key].text(value, spread=False) if value else "-"
            for key, value in (("nll", row.nll), ("brier", row.brier), ("ece", row.ece))
        }
        by_chance = MEASURES["ece"].number(row.ece_if_calibrated.mean) if row.ece_if_calibrated else "-"
        temperature = f"{row.temperature.mean:.2f}"
        rows.append(
            {"name": row.method, "temperature": temperature, "at_bound": at_bound, "by_chance": by_chance, **cells}
        )
    return rows


def _judged(found: Sequence[Difference]) -> dict[str, Any]:
    """A table of differences in one measure."""
    rows = []
    for record in found:
        mean, low, high = summary.signed(record)
        alone = replace(record, answer="open", low=record.nominal_low, high=record.nominal_high)
        _, nominal_low, nominal_high = summary.signed(alone)
        rows.append(
            {
                "name": record.method,
                "answer": record.answer,
                "mean": mean,
                "interval": f"{low} to {high}",
                "nominal": f"{nominal_low} to {nominal_high}",
                "p": _p_text(record.p_adjusted),
                "repeats": str(record.repeats),
            }
        )
    return {"measure": MEASURES[found[0].measure], "margin": summary.margin(found[0]), "rows": rows}


def _p_text(p: float) -> str:
    if p < 1e-4:
        return "< 0.0001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.2g}"


def _learning_rates(comparison: Comparison) -> list[float]:
    return sorted({point.learning_rate for trial in comparison.trials for point in trial.tuning})


def _tuning(comparison: Comparison) -> list[dict[str, Any]]:
    """Per method and rate: the mean validation value, and whether it is the one that was kept."""
    edges = {(choice.method, choice.learning_rate) for choice in summary.edge_choices(comparison)}
    rows = []
    for method in comparison.methods:
        kept = comparison.of(method.name)[0].learning_rate
        cells = [
            {
                "value": comparison.deciding.text(reached, spread=False) if reached else "diverged",
                "chosen": rate == kept,
                "edge": (method.name, rate) in edges,
            }
            for rate, reached in summary.tuned(comparison, method.name).items()
        ]
        rows.append({"name": method.name, "cells": cells})
    return rows


def _calibrated(comparison: Comparison) -> list[str]:
    """Per method with a law: the calibration error beside that of a calibrated model of its size."""
    lines = []
    for method in comparison.methods:
        reached = summarise(comparison.values(method.name, "ece"))
        expected = summarise([trial.tested.ece_if_calibrated for trial in comparison.of(method.name)])
        if reached is not None and expected is not None:
            by_chance = MEASURES["ece"].number(expected.mean)
            lines.append(f"{method.name} {MEASURES['ece'].number(reached.mean)} ({by_chance})")
    return lines


def _classes(comparison: Comparison) -> list[tuple[str, str]]:
    """Name and count of the most frequent classes."""
    counted = sorted(
        zip(comparison.data.class_names, comparison.data.class_counts, strict=True), key=lambda pair: -pair[1]
    )
    return [(name, f"{count:,}") for name, count in counted[:MOST_CLASSES]]
