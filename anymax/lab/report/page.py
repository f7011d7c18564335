"""A comparison as one HTML file that opens without a network."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from anymax._core.files import write_whole
from anymax._core.sentences import quoted, shown
from anymax.lab import summary
from anymax.lab.measure import MEASURES, Measure, summarise
from anymax.lab.report import plots
from anymax.lab.report.code import code_of
from anymax.lab.results import ClassFigures, Comparison, Difference, MethodInfo

# More than this make a list that nobody reads; results.json has all.
MOST_CLASSES = 50
MOST_COLUMNS = 200
MOST_NOTES = 100
MOST_LEAST = 5  # classes that the pick finds least, named where the table has not all classes
LONGEST_NAME = 200  # characters of the name of a column or class
LONGEST_LABEL = 24  # of one at a cell


def write(comparison: Comparison, path: Path) -> None:
    """Write the report of `comparison`; the file appears whole or not at all."""
    write_whole(path, render(comparison).encode())


def render(comparison: Comparison) -> str:
    """The report of `comparison` as HTML. All of its text is escaped: names of columns and classes are data."""
    differences = comparison.verdict.differences if comparison.verdict else []
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            comparison=comparison,
            data=comparison.data,
            never_found=summary.never_found_note(comparison, _isolated),
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
            intervals=_intervals(comparison),
            gaps=summary.gaps(comparison),
            classes=_classes(comparison),
            code=code_of(comparison),
            left_out=summary.left_out_notes(comparison),
            words=comparison.words,
            least_found=[(each.name, f"{each.recall:.3f}") for each in summary.least_found(comparison)[:MOST_LEAST]],
            confusions=_confusions(comparison),
            missed=_missed(comparison),
            missed_note=summary.missed_note(comparison),
            took=summary.seconds(comparison.total_seconds),
        )
    )


@cache
def _environment() -> jinja2.Environment:
    """Made once, since it keeps the templates that it has compiled."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("anymax.lab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = lambda name: shown(name, LONGEST_NAME)
    environment.filters["label"] = lambda name: shown(name, LONGEST_LABEL)
    return environment


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
        "title": f"the trivial answer, how often each {comparison.words.class_} occurs",
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


def _intervals(comparison: Comparison) -> list[tuple[Measure, str]]:
    """A picture of what is known in each measure, that of the deciding one first."""
    verdict = comparison.verdict
    found = [*verdict.differences, *verdict.others] if verdict else []
    keys = dict.fromkeys([comparison.decide_by, *(record.measure for record in found)])
    pictures = [(MEASURES[key], _source(plots.intervals(comparison, key))) for key in keys]
    return [(measure, source) for measure, source in pictures if source is not None]


def _classes(comparison: Comparison) -> dict[str, Any]:
    """The table of the most frequent classes: how often each stands in the data, and how well each head finds it."""
    data = comparison.data
    most = sorted(range(data.num_classes), key=lambda i: -data.class_counts[i])[:MOST_CLASSES]
    figures = comparison.by_class.figures if comparison.by_class else ClassFigures([], [], {}, {})
    place = {i: place for place, i in enumerate(figures.ids)}
    groups = {"recall": figures.recall, "precision": figures.precision, "AP": figures.average_precision}
    groups = {name: group for name, group in groups.items() if group}
    shares = [column for group in groups.values() for column in group.values()]
    rows = [
        {
            "name": data.class_names[i],
            "count": f"{data.class_counts[i]:,}",
            "tested": _per_repeat(figures.tested[place[i]] / comparison.repeats) if i in place else "none",
            "cells": [_share(column[place[i]]) if i in place else "" for column in shares],
        }
        for i in most
    ]
    return {"methods": list(figures.recall), "groups": list(groups), "rows": rows, "left": data.num_classes - len(rows)}


def _isolated(name: str) -> str:
    """A name within a sentence, whose order of words it leaves alone where its script runs from right to left."""
    return f"\u2068{quoted(name)}\u2069"


def _per_repeat(items: float) -> str:
    return f"{items:,.1f}" if items < 100 else f"{items:,.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _confusions(comparison: Comparison) -> dict[str, Any] | None:
    """The picture of what the pick confuses: shares of the items of each class, as numbers and as shades."""
    found = comparison.by_class.confusions if comparison.by_class else None
    if found is None:
        return None
    names = [comparison.data.class_names[i] for i in found.ids]
    if found.rest:
        names.append(f"{found.rest:,} other{'s' if found.rest > 1 else ''}")
    rows = []
    for i, items in enumerate(found.items):
        total = sum(items)
        cells = [
            {"text": _per_cent(n, total), "shade": _shade(n, total), "right": i == j, "number": n, "answer": names[j]}
            for j, n in enumerate(items)
        ]
        rows.append({"name": names[i], "total": f"{total:,}", "cells": cells})
    return {"method": found.method, "names": names, "rest": found.rest, "rows": rows}


def _per_cent(part: int, whole: int) -> str:
    """A share in per cent; a dot for one that would be rounded to nothing, nothing for nothing."""
    if not part:
        return ""
    rounded = round(100 * part / whole)
    return f"{rounded}" if rounded else "·"


def _shade(part: int, whole: int) -> int:
    """A share in tenths, rounded up so that no share has the shade of nothing."""
    return math.ceil(10 * part / whole) if part else 0


def _missed(comparison: Comparison) -> dict[str, Any] | None:
    """The rows that all heads get wrong, and what each head answered, the most frequent answer first."""
    found = comparison.by_class.missed if comparison.by_class else None
    if found is None or not found.worst:
        return None
    names = comparison.data.class_names
    methods = [method.name for method in comparison.methods]
    rows = [
        {
            "row": f"{each.row}",
            "name": names[each.target],
            "repeats": f"{each.repeats} of {each.tested}",
            "answers": [_often_first(each.answers.get(method, []), names) for method in methods],
        }
        for each in found.worst
    ]
    return {"methods": methods, "rows": rows, "left": found.rows - len(rows)}


def _often_first(ids: Sequence[int], names: Sequence[str]) -> list[str]:
    """The names of these classes, each once, the most frequent first."""
    return [names[i] for i, _ in Counter(ids).most_common()]
