"""The pages, the docstrings and the links are true: every python block and every example runs."""

from __future__ import annotations

import doctest
import inspect
import math
import re
import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch

import anymax
import anymax.lab
import anymax.testing
from anymax._core.dispatch import OPS

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
LINKED = [*sorted(ROOT.glob("*.md")), *DOCS]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# [text](target), not ![image] and not inside a code block
LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")


NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?![\w])")


class Numerically(doctest.OutputChecker):
    """Numbers agree to what is printed: the last bit of a sum is the machine's, and decides between 1. and 1.0000."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        wanted, given = NUMBER.findall(want), NUMBER.findall(got)
        return (
            "".join(NUMBER.sub("#", want).split()) == "".join(NUMBER.sub("#", got).split())
            and len(wanted) == len(given)
            and all(
                math.isclose(float(one), float(other), rel_tol=1e-3, abs_tol=1e-6)
                for one, other in zip(wanted, given, strict=True)
            )
        )


def failures_of(source: str, name: str, names: dict) -> list[str]:
    """Run the examples of `source` in the namespace `names`."""
    test = doctest.DocTestParser().get_doctest(source, names, name, name, 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(Numerically(), verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    return report


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page):
    """One namespace per page; a block is a session with results, or plain code."""
    names: dict = {}
    # a page may set filters of its own
    with warnings.catch_warnings():
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1):
            torch.manual_seed(0)
            name = f"{page.name}, block {number}"
            if block.lstrip().startswith(">>>"):
                failures = failures_of(block, name, names)
                assert not failures, "\n".join(failures)
            else:
                exec(compile(block, name, "exec"), names)


def test_the_guides_have_blocks_that_run():
    for name in ("index.md", "choosing-the-right-dim.md", "choosing-the-right-alternative.md", "what-tutorials-say.md"):
        assert len(BLOCK.findall((ROOT / "docs" / name).read_text(encoding="utf-8"))) >= 3


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_relative_links_resolve(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name} links to {link}, which does not exist"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {link}, and {file.name} has no such heading"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def public_objects() -> dict[str, object]:
    """Everything with a docstring that users see."""
    found: dict[str, object] = {f"anymax.{name}": op.function for name, op in OPS.items()}
    for module in (anymax, anymax.nn, anymax.noise):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[f"{module.__name__}.{name}"] = value
    return found


# Ops, so that nn holds no maths; called through their heads.
OF_HEADS = {
    "adaptive_log_prob",
    "adaptive_softmax_loss",
    "gumbel_softmax_loss",
    "hierarchical_log_prob",
    "hierarchical_softmax_loss",
    "one_vs_rest_loss",
}
# They name a result or a warning, or are what the laws derive from: there is nothing to call.
WITHOUT_EXAMPLE = {
    "anymax.GumbelTopK",
    "anymax.ImplicitDimWarning",
    "anymax.LogProb",
    "anymax.MissingKernelsWarning",
    "anymax.MisuseWarning",
    "anymax.noise.Noise",
}


@pytest.mark.parametrize("name", public_objects())
def test_docstring_examples_run(name):
    value = public_objects()[name]
    docstring = inspect.getdoc(value) or ""
    assert docstring, f"{name} has no docstring"
    assert (">>>" in docstring) != (name in WITHOUT_EXAMPLE), f"{name} has no example, or one in spite of its exemption"
    torch.manual_seed(0)
    failures = failures_of(docstring, name, {"anymax": anymax, "torch": torch})
    assert not failures, "\n".join(failures)


def test_every_public_name_stands_on_one_page_of_the_reference():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    public = [
        f"{module.__name__}.{name}"
        for module in (anymax, anymax.nn, anymax.noise, anymax.lab, anymax.testing)
        for name in module.__all__
        if not inspect.ismodule(getattr(module, name))
    ]
    # `::: name` is where mkdocstrings puts the docstring of the name
    shown = Counter(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    assert not set(public) - set(shown), "docs/reference has no `::: name` for these"
    assert not shown - Counter(public), "docs/reference shows these twice, or they are not public"


def test_methods_examples_run():
    for name, value in public_objects().items():
        if not inspect.isclass(value):
            continue
        for method_name, method in inspect.getmembers(value, inspect.isfunction):
            if method.__module__.startswith("anymax") and ">>>" in (method.__doc__ or ""):
                failures = failures_of(
                    inspect.getdoc(method) or "", f"{name}.{method_name}", {"anymax": anymax, "torch": torch}
                )
                assert not failures, "\n".join(failures)


def test_every_op_is_a_public_function():
    assert set(OPS) - set(anymax.__all__) == OF_HEADS


def test_a_wrong_example_is_found():
    assert failures_of(">>> 1 + 1\n3\n", "wrong", {})
    assert failures_of(">>> [0.5, 0.251]\n[0.5, 0.25]\n", "wrong", {})
    assert failures_of(">>> [0.5]\n[0.5, 0.5]\n", "wrong", {})
    assert not failures_of(">>> 1 + 1\n2\n", "right", {})
    assert not failures_of(">>> [1.00001, 0.0, -2]\n[1.0, 1e-43, -2]\n", "right", {})
