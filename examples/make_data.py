"""Six tables to try `anymax compare` on, each with a difficulty of its own; nothing is downloaded.

- `alarms.csv`: 100,000 readings of six sensors, of which 1 in 1,000 is an alarm. Drawn from known laws.
- `orders.csv`: 12,000 orders with dates, categories (one with 900 levels), prices and missing cells. Drawn likewise;
  "NA" is a country, and no model can know more than the law that each outcome was drawn from.
- `mislabelled.csv`: the digits of scikit-learn, three in ten of which are called by the name of another digit.
- `calls.csv`: which built-in function does Python's own library call here? A long tail, down to classes of one row.
- `docstrings.csv`: from which package of Python's own library is this docstring? A column of free text.
- `functions.csv`: which built-in functions does this function of Python's own library call? Any number of labels a row.

The last three are read from the library of the Python that runs this, so their rows differ between its versions.

Run: python examples/make_data.py FOLDER
"""

import ast
import builtins
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

BUILT_IN_FUNCTIONS = {name for name, value in vars(builtins).items() if callable(value) and name[0].islower()}
LOOPS = (ast.For, ast.While, ast.comprehension)


def alarms() -> pd.DataFrame:
    """Six sensors that move a little when there is an alarm, once in 1,000 readings."""
    draw = np.random.default_rng(0)
    rows = 100_000
    alarm = np.zeros(rows, dtype=bool)
    alarm[draw.choice(rows, rows // 1000, replace=False)] = True
    shift = np.array([2.0, 1.5, 1.0, 0.5, 0.0, 0.0])
    readings = draw.standard_normal((rows, 6)) + alarm[:, None] * shift
    frame = pd.DataFrame(readings.round(4), columns=[f"sensor {i}" for i in range(1, 7)])
    return frame.assign(state=np.where(alarm, "alarm", "normal"))


def orders() -> pd.DataFrame:
    """Orders that are kept, exchanged or returned, by a law of price, article, customer and delay."""
    draw = np.random.default_rng(1)
    rows = 12_000
    articles = np.array(["shoes", "shirt", "coat", "hat", "bag", "belt", "socks", "scarf"])
    countries = np.array(["DE", "FR", "NA", "PT", "IE", "SE"])
    article = draw.integers(len(articles), size=rows)
    customer = draw.integers(900, size=rows)
    price = np.exp(draw.normal(3.5, 0.7, rows))
    delay = draw.poisson(4, rows)
    size_fits = np.array([-1.0, -0.3, -0.6, 0.8, 1.0, 0.9, 1.2, 1.0])
    habit = draw.normal(0, 1, 900)
    returned = -0.8 - 2 * size_fits[article] + 1.2 * (np.log(price) - 3.5) + 0.3 * (delay - 4) + habit[customer]
    exchanged = -0.8 - 3 * size_fits[article] + 0.3 * habit[customer]
    scores = np.stack([np.zeros(rows), exchanged, returned], axis=1)
    outcome = (scores + draw.gumbel(size=scores.shape)).argmax(axis=1)  # a draw from softmax(scores)
    ordered = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.sort(draw.integers(730, size=rows)), unit="D")
    frame = pd.DataFrame(
        {
            "ordered": ordered.strftime("%Y-%m-%d"),
            "delivered": (ordered + pd.to_timedelta(delay, unit="D")).strftime("%d.%m.%Y"),
            "customer": [f"K{number:04d}" for number in customer],
            "country": countries[draw.integers(len(countries), size=rows)],
            "article": articles[article],
            "price": price.round(2),
            "voucher": np.where(draw.random(rows) < 0.2, draw.integers(5, 50, rows).astype(float), np.nan),
        }
    )
    frame.loc[draw.random(rows) < 0.05, "price"] = np.nan
    frame.loc[draw.random(rows) < 0.03, "article"] = np.nan
    return frame.assign(outcome=np.array(["kept", "exchanged", "returned"])[outcome])


def mislabelled() -> pd.DataFrame:
    """Images of digits, of which a model can get no more than the 70 % right that carry their own name."""
    draw = np.random.default_rng(2)
    images, digit = load_digits(return_X_y=True, as_frame=True)
    wrong = draw.random(len(digit)) < 0.3
    other = (digit + draw.integers(1, 10, len(digit))) % 10
    return images.astype(int).assign(digit=np.where(wrong, other, digit))


def calls() -> pd.DataFrame:
    """Every call of a built-in function, by what stands around it."""
    rows = []
    for _, tree in library():
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(tree):
            if (function := built_in_called_by(node)) is not None:
                above = list(ancestors(node, parents))
                first = node.args[0] if node.args else None
                rows.append(
                    {
                        "function": function,
                        "arguments": len(node.args),
                        "keywords": len(node.keywords),
                        "first argument": type(first).__name__,
                        "last argument": type(node.args[-1]).__name__ if node.args else "NoneType",
                        "length": len(ast.unparse(first)) if first else 0,
                        "stands in": type(above[0]).__name__,
                        "which stands in": type(above[1]).__name__ if len(above) > 1 else "",
                        "depth": len(above),
                        "in a loop": any(isinstance(one, LOOPS) for one in above),
                    }
                )
    # every other call, so that a comparison takes minutes
    return pd.DataFrame(rows).iloc[::2]


def docstrings() -> pd.DataFrame:
    """The first paragraph of every docstring of the largest packages, without the package's own name."""
    rows = []
    for module, tree in library():
        package = module.split(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
                text := ast.get_docstring(node)
            ):
                rows.append(
                    {
                        "package": package,
                        "docstring": text.split("\n\n")[0].replace("\n", " ").replace(package, "it"),
                        "kind": "class" if isinstance(node, ast.ClassDef) else "function",
                        "lines": text.count("\n") + 1,
                        "private": node.name.startswith("_"),
                    }
                )
    frame = pd.DataFrame(rows)
    largest = frame["package"].value_counts().index[:12]
    return frame[frame["package"].isin(largest)]


def functions() -> pd.DataFrame:
    """Every function, by its name, what it takes and what it is made of; its labels are what it calls."""
    rows = []
    for _, tree in library():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = list(ast.walk(node))
                rows.append(
                    {
                        "name": node.name.strip("_").replace("_", " "),
                        "arguments": " ".join(one.arg for one in node.args.args),
                        "decorators": len(node.decorator_list),
                        "statements": sum(isinstance(one, ast.stmt) for one in inside),
                        "branches": sum(isinstance(one, ast.If | ast.IfExp) for one in inside),
                        "loops": sum(isinstance(one, LOOPS) for one in inside),
                        "subscripts": sum(isinstance(one, ast.Subscript) for one in inside),
                        "raises": any(isinstance(one, ast.Raise) for one in inside),
                        "calls": {built_in_called_by(one) for one in inside} - {None},
                    }
                )
    frame = pd.DataFrame(rows)
    labels = frame["calls"].explode().value_counts().index[:20]
    return frame.assign(calls=[";".join(name for name in labels if name in called) for called in frame["calls"]])


def built_in_called_by(node: ast.AST) -> str | None:
    """The name of the built-in function that a node of a syntax tree calls, if it does."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BUILT_IN_FUNCTIONS:
        return node.func.id
    return None


def library() -> Iterator[tuple[str, ast.Module]]:
    """Every module of Python's own library that is no test, by name."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root).with_suffix("")
        if not {"site-packages", "test", "tests", "idle_test", "lib2to3", "config"} & set(module.parts):
            yield ".".join(module.parts), ast.parse(path.read_bytes())


def ancestors(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[ast.AST]:
    """What a node of a syntax tree stands in, the nearest first."""
    while node in parents:
        node = parents[node]
        yield node


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Run: python examples/make_data.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make in (alarms, orders, mislabelled, calls, docstrings, functions):
        frame = make()
        frame.to_csv(folder / f"{make.__name__}.csv", index=False)
        print(f"{folder / make.__name__}.csv: {len(frame)} rows, {len(frame.columns)} columns")
