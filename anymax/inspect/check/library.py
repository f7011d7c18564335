"""The names that torch and Lightning have, from a table that `make names` makes of the installed libraries."""

from __future__ import annotations

from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("library.txt")


@cache
def _table() -> tuple[str, dict[str, frozenset[str]]]:
    first, *lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = (line.split() for line in lines)
    return first.lstrip("# ").partition(":")[0], {module: frozenset(names) for module, *names in rows}


def version_of(module: str) -> str:
    """The library of a module and the version that the table was made of: "torch 2.13.0"."""
    package = module.partition(".")[0].replace("pytorch_lightning", "lightning")
    return next(each for each in _table()[0].split(", ") if each.startswith(f"{package} "))


def names_of(module: str) -> frozenset[str] | None:
    """The public names of a module; None for one that the table does not know."""
    return _table()[1].get(module)
