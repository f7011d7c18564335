"""Tables whose only signal stands in cells as people write them, through the whole of `compare`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from anymax.lab.api import compare

pytestmark = pytest.mark.usefixtures("heads_alone")

ROWS = 400


def written(kind, strength, generator):
    """Cells that say the strength, in the words of people."""
    amounts = np.exp(strength)
    if kind == "title":
        nouns = generator.choice(["chair", "table", "lamp", "desk"], len(strength))
        colours = np.where(strength > 0, "Green", "Red")
        return [f"{colour} {noun} {i}" for i, (colour, noun) in enumerate(zip(colours, nouns, strict=True))]
    if kind == "date":
        return (pd.Timestamp("2024-01-12") + pd.to_timedelta((100 * strength).round(), unit="D")).strftime("%d-%b-%Y")
    if kind == "time":
        return [f"{int(12 + 3 * each)}:{int(60 * each) % 60:02}" for each in strength]
    forms = {
        "currency": lambda each: f"${1000 * each:,.2f}",
        "per cent": lambda each: f"{10 * each:.1f} %",
        "unit": lambda each: f"{3 * each:.2f} kg",
        "decimal comma": lambda each: f"{1000 * each:_.2f}".replace(".", ",").replace("_", "."),
        "thousands": lambda each: f"{20_000 * each:,.0f}",
        "brackets": lambda each: f"({each:.2f})" if each > 1 else f"{each:.2f}",
    }
    return [forms[kind](each) for each in amounts]


@pytest.mark.parametrize(
    ("kind", "read_as"),
    [
        ("currency", "number"),
        ("per cent", "number"),
        ("unit", "number"),
        ("decimal comma", "number"),
        ("thousands", "number"),
        ("brackets", "number"),
        ("date", "date"),
        ("time", "number"),
        ("title", "text"),
    ],
)
def test_every_head_finds_the_signal_in_cells_as_people_write_them(tmp_path, kind, read_as):
    generator = np.random.default_rng(0)
    strength = generator.normal(size=ROWS)
    frame = pd.DataFrame(
        {
            "noise": generator.normal(size=ROWS).round(3),
            "said": written(kind, strength, generator),
            "label": np.where(strength + 0.3 * generator.normal(size=ROWS) > 0, "yes", "no"),
        }
    )
    frame.to_csv(tmp_path / "d.csv", index=False)
    comparison = compare(tmp_path / "d.csv", target="label", seeds=1, epochs=6, lr=1e-2, device="cpu")
    assert {column.name: column.kind for column in comparison.data.columns}["said"] == read_as
    frequent = max(comparison.data.class_counts) / ROWS
    assert len(comparison.methods) > 1
    for method in comparison.methods:
        (trial,) = comparison.of(method.name)
        assert trial.tested.measures["top1"] > frequent + 0.2, method.name
