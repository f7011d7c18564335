"""The site of the docs is built without a warning and is whole; neither building nor reading it fetches anything."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

markdown = pytest.importorskip("markdown", reason="needs the extra [docs]")
pytest.importorskip("mkdocstrings", reason="needs the extra [docs]")
pytest.importorskip("material", reason="needs the extra [docs]")

ROOT = Path(__file__).parent.parent
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# what a browser fetches by itself; `a href` is followed by people only
FETCHED = {"src", "srcset", "data", "poster", "action"}
CSS_FETCHES = re.compile(r"""(?:url\(|@import)\s*["']?\s*(?:https?:)?//""")


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "site" / f"{name}.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What `make docs` builds, where the network leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Page(HTMLParser):
    """What a page shows as text outside of code, what it fetches, and which headings and formulas it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.prose, self.fetched, self.ids, self.formulas = "", [], [], 0
        self.title = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.fetched += [value for name, value in given.items() if name in FETCHED]
        if tag == "link":
            self.fetched.append(given["href"])
        self.fetched += CSS_FETCHES.findall(given.get("style", ""))
        self.ids.append(given.get("id"))
        self.formulas += tag == "math"
        if tag in ("code", "pre", "script", "style", "title", "h1"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data: str) -> None:
        if "h1" in self._open:
            self.title += data
        if "style" in self._open:
            self.fetched += CSS_FETCHES.findall(data)
        elif not self._open:
            self.prose += data


def is_elsewhere(address: str) -> bool:
    return re.match(r"\s*(?:[a-z]+:)?//", address, re.IGNORECASE) is not None


def test_the_site_is_whole_and_fetches_nothing(site):
    pages = {str(file.relative_to(site)): Page(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}
    assert len(pages) > 25
    found = []
    for name, page in pages.items():
        if not page.title and name != "404.html":
            found.append(f"{name} has no title")
        found += [f"{name} fetches {address}" for address in page.fetched if is_elsewhere(address)]
        for sign in (".. math::", ":math:", ":func:", ":class:", ":meth:", "::: ", "`", "\\mathrm", "]("):
            if sign in page.prose:
                found.append(f"{name} shows a raw {sign}: {page.prose.partition(sign)[2][:60]!r}")
    # what material fetches only for such pages and for the figures of a repository
    everything = "".join(file.read_text(encoding="utf-8") for file in site.rglob("*.html"))
    found += [f"a page has {sign}" for sign in ('class="mermaid"', 'data-md-component="source"') if sign in everything]
    for sheet in site.rglob("*.css"):
        if CSS_FETCHES.search(sheet.read_text(encoding="utf-8")):
            found.append(f"{sheet.name} fetches from elsewhere")
    assert not found, "\n".join(found)
    assert pages["reference/softmax.html"].formulas > 5
    headings = Counter(identity for page in pages.values() for identity in page.ids if identity)
    assert headings["anymax.softmax"] == 1
    assert (site / "bench" / "results").is_dir()


def test_a_page_that_fetches_is_found():
    for text in (
        '<script src="https://unpkg.com/x"></script>',
        '<link rel="stylesheet" href="//fonts.googleapis.com/css">',
        '<p><img src="HTTPS://elsewhere/x.png"></p>',
    ):
        assert list(map(is_elsewhere, Page(text).fetched)) == [True]
    assert Page("<style>a {background: url('https://elsewhere/x')}</style>").fetched
    assert not any(map(is_elsewhere, Page('<a href="https://elsewhere"></a><img src="pictures/x.svg">').fetched))
    assert "`" in Page("<p>a `b</p><code>c</code>").prose
    assert "c" not in Page("<p>a `b</p><code>c</code>").prose


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here to search in")
def test_the_search_works_from_the_file_system(site, tmp_path):
    done = subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            f"{(site / 'index.html').as_uri()}?q=keep_mask",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    results = done.stdout.partition('class="md-search-result__list"')[2]
    assert "reference/softmax.html" in results.partition("</ol>")[0]


def test_formulas():
    mathml = module("docstrings").mathml
    assert "<mi>softmax</mi>" in mathml(r"\mathrm{softmax}(x)", "inline")
    assert '<mi>log</mi><mspace width="0.17em"/><mi>p</mi>' in mathml(r"\log p", "inline")
    assert "<mi>log</mi><mo" in mathml(r"\log(p)", "inline")
    assert '</msub><mspace width="0.17em"/><mi>log</mi>' in mathml(r"p_i \log p_i", "inline")
    assert "<msub><mi>log</mi><mn>2</mn></msub>" in mathml(r"\log_2 C", "inline")
    assert "<munder>" in mathml(r"\Big(\sum_{j} x_j\Big)^2", "block")
    for pair in (r"\big(x\big)_y", r"\Bigl[x\Bigr]_+", r"\lVert x \rVert^2"):
        assert 'form="prefix"' in mathml(pair, "block")
        assert 'form="postfix"' in mathml(pair, "block")
    assert "<mtable>" in mathml(r"\begin{cases} 1 & x > 0 \\ 0 & \text{else} \end{cases}", "block")
    assert not set("*_`[]") & set(mathml(r"[x]_i * \mathrm{min\_p}", "inline"))
    with pytest.raises(ValueError, match=r"does not know \\nosuch, which stands in x \\nosuch"):
        mathml(r"x \nosuch", "inline")


def test_docstrings_become_markdown():
    docstring = r"""First line.

.. math:: a = \frac{1}{2}, \quad
    b = 3

with :math:`x_i` as in :func:`anymax.softmax`.

Args:
    input, target: scores
        and more.
    dim: see there.

Raises:
    ValueError: bad. IndexError, TypeError: worse.

Example:
    >>> 1 + 1
    2

Source: somebody.
"""
    to_markdown = module("docstrings").to_markdown
    found = to_markdown(None, docstring)
    assert found.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') == 2
    assert 'display="inline"' in found
    assert "[`anymax.softmax`][anymax.softmax]" in found
    assert "\n`input`, `target`\n:   scores\n    and more.\n" in found
    assert "`ValueError`\n:   bad.\n\n`IndexError`, `TypeError`\n:   worse." in found
    assert "```pycon\n>>> 1 + 1\n2\n```\n" in found
    assert found.rstrip().endswith("Source: somebody.")
    assert markdown.markdown(to_markdown(None, "where\n:math:`x` is")).count("<p>") == 1


def test_files_outside_docs_have_a_place():
    place_of = module("files").place_of
    assert place_of("docs/contract.md") == "contract.md"
    assert place_of("examples/nce_training.py") == "examples.md#nce_training"
    assert place_of("examples") == "examples.md"
    assert place_of("bench/results/machine/chart.svg") == "bench/results/machine/chart.svg"
    assert place_of("bench/results") == place_of("bench/results/machine/table.txt") == "benchmarks.md"
    assert place_of("pyproject.toml") is None
