"""One small comparison of each kind whose model is kept, made once."""

import numpy as np
import pandas as pd
import pytest

from anymax.lab import compare

METHODS = ["softmax", "sigmoid"]
WORDS = ["red", "green", "blue", "old", "__class__", "new", "car", "house"]


def a_table(rows: int = 420) -> pd.DataFrame:
    """A column of every kind, as text; a few cells are missing, some targets too."""
    random = np.random.default_rng(0)
    klass = random.integers(0, 3, rows)
    frame = pd.DataFrame(
        {
            "price": [f"${value:,.2f}" for value in 1000 * (klass + 1) + 350 * random.standard_normal(rows)],
            "colour": np.array(["red", "green", "blue"])[(klass + (random.random(rows) < 0.3)) % 3],
            "shop": [f"shop {i % 80}" for i in random.permutation(rows)],
            "title": [" ".join(random.choice(WORDS, 5)) + f" and {i} more words" for i in range(rows)],
            "sold": pd.date_range("2023-01-01", periods=rows).strftime("%d-%b-%Y"),
            "kind": np.array(["a", "b, or c", "d"])[klass],
        }
    )
    frame.loc[5:9, "price"] = ""
    frame.loc[3:4, "kind"] = ""
    return frame


@pytest.fixture(scope="session")
def table_file(tmp_path_factory):
    """The table as a file."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    a_table().to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def of_table(tmp_path_factory, table_file):
    """The folder of a comparison on a table."""
    path = tmp_path_factory.mktemp("of_table") / "run"
    kinds = {"title": "text", "shop": "category"}
    compare(
        table_file,
        target="kind",
        kinds=kinds,
        methods=METHODS,
        seeds=3,
        epochs=3,
        lr=0.01,
        device="cpu",
        decide_by="nll",
        output=path,
    )
    return path


@pytest.fixture(scope="session")
def arrays():
    """Features and classes."""
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 120)
    return (random.standard_normal((120, 4)) + 2 * y[:, None]).astype(np.float32), y


@pytest.fixture(scope="session")
def of_arrays(tmp_path_factory, arrays):
    """The folder of a comparison on arrays, whose pick defines no law."""
    path = tmp_path_factory.mktemp("of_arrays") / "run"
    compare(arrays, methods=["sigmoid"], seeds=3, epochs=3, lr=0.01, device="cpu", output=path)
    return path
