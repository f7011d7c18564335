"""Which rules run on which files: `[tool.anymax.check]` of pyproject.toml, and what the command line says instead."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anymax._core.sentences import of_path, quoted
from anymax.inspect.check.rules import Rule, all_rules
from anymax.inspect.check.sources import matches

TABLE = "[tool.anymax.check]"
LISTS = ("select", "ignore", "exclude")
KEYS = (*LISTS, "per-file-ignores")


class ConfigError(Exception):
    """A configuration that means nothing, as one sentence."""


@dataclass(frozen=True)
class Config:
    """The prefixes of codes that are selected and ignored, what is excluded, and what is ignored by pattern of path.

    Patterns are relative to `root`, the folder of pyproject.toml.
    """

    select: tuple[str, ...] = ("AMX",)
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file_ignores: dict[str, tuple[str, ...]] = field(default_factory=dict)
    root: Path = Path()

    def rules(self) -> list[Rule]:
        """The rules that are selected and not ignored, in order."""
        for prefix in (*self.select, *self.ignore, *(each for some in self.per_file_ignores.values() for each in some)):
            if not any(code.startswith(prefix) for code in all_rules()):
                raise ConfigError(f"{quoted(prefix)} begins no code of a rule; they are {', '.join(all_rules())}.")
        return [
            rule
            for code, rule in all_rules().items()
            if code.startswith(self.select) and not code.startswith(self.ignore)
        ]

    def is_excluded(self, path: str) -> bool:
        """Whether a pattern excludes this file or folder."""
        return any(matches(self._relative(path), pattern) for pattern in self.exclude)

    def ignored_in(self, path: str) -> tuple[str, ...]:
        """The prefixes of codes that are ignored in this file."""
        patterns = self.per_file_ignores.items()
        return tuple(prefix for pattern, some in patterns if matches(self._relative(path), pattern) for prefix in some)

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self.root)


def load(folder: Path) -> Config:
    """The configuration of a folder: of the nearest pyproject.toml in it or above it that has the table."""
    for root in (folder, *folder.parents):
        path = root / "pyproject.toml"
        if path.is_file() and (table := _table(path)) is not None:
            return _read(table, path)
    return Config(root=folder)


def _table(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{of_path(path)} cannot be read: {error}.") from None
    if "anymax" not in text:
        return None
    try:
        import tomllib
    except ImportError:  # Python 3.10
        if "tool.anymax.check" not in text:
            return None
        raise ConfigError(f"Python 3.11 or later is needed to read {TABLE} in {of_path(path)}.") from None
    try:
        table = tomllib.loads(text).get("tool", {}).get("anymax", {}).get("check")
    except (tomllib.TOMLDecodeError, AttributeError) as error:
        raise ConfigError(f"{of_path(path)} cannot be read: {error}.") from None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"tool.anymax.check must be a table in {of_path(path)}.")
    return table


def _read(table: dict[str, Any], path: Path) -> Config:
    for key in table:
        if key not in KEYS:
            raise ConfigError(f"{TABLE} in {of_path(path)} has no key {quoted(key)}; the keys are {', '.join(KEYS)}.")
    per_file = table.get("per-file-ignores", {})
    if not isinstance(per_file, dict):
        raise ConfigError(f"per-file-ignores must be a table in {TABLE} of {of_path(path)}.")
    lists = {key: _strings(table[key], key, path) for key in LISTS if key in table}
    ignores = {pattern: _strings(codes, f"per-file-ignores of {pattern}", path) for pattern, codes in per_file.items()}
    return Config(**lists, per_file_ignores=ignores, root=path.parent)


def _strings(value: object, key: str, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ConfigError(f"{key} must be a list of strings in {TABLE} of {of_path(path)}.")
    return tuple(value)


def codes(text: str) -> tuple[str, ...]:
    """The prefixes in "AMX1,AMX401"."""
    return tuple(part.strip().upper() for part in text.split(",") if part.strip())
