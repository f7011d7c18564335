"""The pairs: their folders, what `about.toml` says, and their halves as modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import tomllib

HERE = Path(__file__).parent
ENGINES = ("read", "graph", "watch", "probe")
HALVES = ("buggy", "fixed")


@dataclass(frozen=True)
class Pair:
    """A pair: `codes` name its mistake, `engines` could see it in principle."""

    slug: str
    thread: str
    wrong: str
    codes: tuple[str, ...]
    engines: tuple[str, ...]
    raises: bool = False
    """Whether a step of the buggy half stops with an error."""

    def path(self, half: str) -> Path:
        """The file, or the folder of files, that holds a half."""
        folder = HERE / self.slug / half
        return folder if folder.is_dir() else folder.with_suffix(".py")

    def files(self, half: str) -> list[Path]:
        path = self.path(half)
        return sorted(path.glob("*.py")) if path.is_dir() else [path]

    def load(self, half: str) -> ModuleType:
        """The module of a half; that of a folder is its train.py."""
        name = f"{__package__}.{self.slug}.{half}"
        path = self.path(half)
        if not path.is_dir():
            return importlib.import_module(name)
        if (path / "__init__.py").exists():
            return importlib.import_module(f"{name}.train")
        with _scripts_of(path):
            return importlib.import_module("train")

    def driver(self) -> ModuleType:
        return importlib.import_module(f"{__package__}.{self.slug}.drive")


@contextmanager
def _scripts_of(folder: Path) -> Iterator[None]:
    """Imports as in `python train.py`: siblings by their bare names, which the next folder uses again."""
    known = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            if getattr(sys.modules[name], "__file__", None) and Path(str(sys.modules[name].__file__)).parent == folder:
                del sys.modules[name]


def read_pair(folder: Path) -> Pair:
    about = tomllib.loads((folder / "about.toml").read_text(encoding="utf-8"))
    return Pair(
        slug=folder.name,
        thread=about["thread"],
        wrong=about["wrong"],
        codes=tuple(about["codes"]),
        engines=tuple(about["engines"]),
        raises=about.get("raises", False),
    )


def all_pairs() -> list[Pair]:
    return [read_pair(about.parent) for about in sorted(HERE.glob("*/about.toml"))]
