"""A plain table, and what was read from one."""

from __future__ import annotations

import numpy as np
import pandas as pd


def frame(rows=300, **columns):
    generator = np.random.default_rng(0)
    size = generator.normal(size=rows).round(3)
    return pd.DataFrame({"size": size, "kind": np.resize(["a", "b"], rows), **columns})


def kinds(dataset):
    return {column.name: column.kind for column in dataset.columns}
