"""The files outside docs/ that the site shows, and the links to them: they hold in the repository and in the site."""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent.parent
AT_THE_ROOT = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"(?<=\]\()([^)\s:#]+)(?=[)#])")
BENCHMARKS = """\
---
hide: [toc]
search: {exclude: true}
---
# Benchmarks

What `anymax bench` measured, on each machine that it ran on.
"""


def place_of(path: str) -> str | None:
    """Where in the site a file of the repository stands."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("examples"):
        return f"examples.md#{Path(path).stem}" if path.endswith(".py") else "examples.md"
    if path.startswith("bench/results"):
        return path if path.endswith(".svg") else "benchmarks.md"
    return AT_THE_ROOT.get(path)


def benchmarks() -> str:
    parts = [BENCHMARKS]
    for table in sorted((ROOT / "bench" / "results").glob("*/table.txt")):
        chart = table.with_name("chart.svg").relative_to(ROOT).as_posix()
        parts.append(f"## {table.parent.name}\n\n![Times of the ops as multiples of a copy]({chart})\n")
        parts.append(f"```text\n{table.read_text(encoding='utf-8')}```\n")
    return "\n".join(parts)


def examples() -> str:
    parts = ["# Examples\n"]
    for file in sorted((ROOT / "examples").glob("*.py")):
        source = file.read_text(encoding="utf-8")
        about, *_ = ast.parse(source).body
        code = "".join(source.splitlines(keepends=True)[about.end_lineno :]).lstrip("\n")
        parts.append(f"## {file.name} {{ #{file.stem} }}\n\n{ast.literal_eval(about.value)}\n\n```python\n{code}```\n")
    return "\n".join(parts)


def on_files(files: Any, config: Any) -> None:
    made = {"examples.md": examples(), "benchmarks.md": benchmarks()}
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        made[AT_THE_ROOT[name]] = (ROOT / name).read_text(encoding="utf-8")
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    for chart in (ROOT / "bench" / "results").glob("*/chart.svg"):
        files.append(File.generated(config, chart.relative_to(ROOT).as_posix(), abs_src_path=str(chart)))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    here = posixpath.dirname(page.file.src_uri)
    # a page that was made here has the links of the root
    folder = "" if page.file.generated_by else posixpath.join("docs", here)

    def link(found: re.Match[str]) -> str:
        place = place_of(posixpath.normpath(posixpath.join(folder, found[1])))
        return posixpath.relpath(place, here or ".") if place else found[1]

    parts = FENCED.split(markdown)
    parts[::2] = [TARGET.sub(link, part) for part in parts[::2]]
    # a session has results, which are not Python
    parts[1::2] = [part.replace("```python\n>>>", "```pycon\n>>>", 1) for part in parts[1::2]]
    return "".join(parts)
