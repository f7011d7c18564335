r"""Docstrings as Markdown, and their formulas as MathML, which browsers draw without a script.

A docstring is read as it is written in this project, and not by a parser of griffe's: one entry names several
arguments, `Raises` refers to another function, a source stands on a line of its own.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import griffe
from latex2mathml.converter import convert

FORMULA = re.compile(r"^( *)\.\. math::(.*\n(?:\1 +\S.*\n|\n)*)", re.MULTILINE)
GAP = re.compile(r"\\q?quad|\\;\s*\\;")  # between formulas that stand side by side
ROLE = re.compile(r":(func|class|meth|math):`([^`]+)`")
SECTION = re.compile(r"^([A-Z]\w+):\n((?: +.*\n|\n)+)", re.MULTILINE)
ARGUMENTS = re.compile(r"^([\w*]+(?:, [\w*]+)*): ", re.MULTILINE)
ERRORS = re.compile(r"(?:^|\s+)([\w.]*Error(?:, \w*Error)*): ")
LIMITS = re.compile(r"\\(sum|prod|max|min)_")
# what latex2mathml does not know, and brackets that a script behind them would make smaller than their other half
SPELLING = {r"\arg": r"\mathrm{arg}", r"\lVert": r"\left\Vert ", r"\rVert": r"\right\Vert "}
BIG = re.compile(r"\\[bB]igg?[lr]?(?:(?P<left>[(\[])|(?P<right>[)\]]))")
# in what latex2mathml writes
WORD = re.compile(r'<mrow>(?:<mi mathvariant="normal">[^<]+</mi>){2,}</mrow>')
OPERATOR = re.compile(r"(</m(?:i|n|sub|sup|subsup)>)?(?<!<msu[bp]>)(<mi>(?:arg|exp|log)</mi>)(<(?!mo|/|mrow><mo))?")
THIN = '<mspace width="0.17em"/>'


def mathml(formula: str, display: str) -> str:
    """A formula as an element, in which Markdown finds no emphasis and no link."""
    formula = " ".join(formula.split())
    spelled = LIMITS.sub(r"\\\1\\limits_", BIG.sub(lambda big: rf"\{big.lastgroup}{big[big.lastgroup or 0]}", formula))
    for name, known in SPELLING.items():
        spelled = spelled.replace(name, known)
    drawn = convert(spelled, display=display)
    if unknown := re.search(r"\\\w+", drawn):
        raise ValueError(f"latex2mathml does not know {unknown[0]}, which stands in {formula}")
    # a word is one name, not a product of letters
    drawn = WORD.sub(lambda word: f"<mi>{re.sub('<[^>]+>', '', word[0])}</mi>", drawn)
    drawn = OPERATOR.sub(lambda operator: THIN.join(filter(None, operator.groups())), drawn)
    drawn = re.sub("<mo>(max|min)</mo>", r'<mo movablelimits="true">\1</mo>', drawn)
    return re.sub(r"[*_`\[\]\\~^]", lambda sign: f"&#{ord(sign[0])};", drawn)


def to_markdown(item: griffe.Object, docstring: str) -> str:
    def formula(found: re.Match[str]) -> str:
        parts = [found[2]] if r"\begin" in found[2] else GAP.split(found[2])
        drawn = "".join(mathml(part, "block") for part in parts)
        return f'\n<div class="formula">{drawn}</div>\n\n'

    def role(found: re.Match[str]) -> str:
        kind, content = found.groups()
        if kind == "math":
            # at the start of a line Markdown would end the paragraph before a formula
            return f"<span>{mathml(content, 'inline')}</span>"
        name = content if content.startswith("anymax.") else item.resolve(content)
        return f"[`{content}`][{name}]"

    def entry(found: re.Match[str]) -> str:
        return f"\n\n`{found[1].replace(', ', '`, `')}`\n:   "

    def section(found: re.Match[str]) -> str:
        title, body = found[1], textwrap.dedent(found[2]).strip("\n")
        if title == "Example":
            body = f"```pycon\n{body}\n```"
        elif title == "Raises":
            body = ERRORS.sub(entry, body)
        elif title in ("Args", "Attributes"):
            body = ARGUMENTS.sub(entry, body)
        return f"**{title.replace('Args', 'Arguments')}**\n{{ .part }}\n\n{body}\n\n"

    return ROLE.sub(role, SECTION.sub(section, FORMULA.sub(formula, docstring + "\n")))


def spell_out(function: griffe.Function) -> None:
    """Put into a signature what it only names: constants, and the options that a base class takes."""
    for parameter in function.parameters:
        if isinstance(parameter.default, (griffe.ExprName, griffe.ExprAttribute)):
            # griffe does not know constants that are assigned several at once, and nobody else's
            with suppress(KeyError):
                constant = function.modules_collection[parameter.default.canonical_path]
                parameter.default = getattr(constant, "value", parameter.default)
    if function.parent.is_class and function.name == "__init__" and "options" in function.parameters:
        del function.parameters["options"]
        for base in function.parent.mro():
            for parameter in base.members["__init__"].parameters if "__init__" in base.members else ():
                if parameter.name not in function.parameters and parameter.kind is griffe.ParameterKind.keyword_only:
                    function.parameters.add(parameter)


def objects_in(parent: griffe.Object) -> Iterator[griffe.Object]:
    yield parent
    for member in parent.members.values():
        if not member.is_alias:
            yield from objects_in(member)


class Docstrings(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        for item in objects_in(pkg):
            if item.docstring:
                item.docstring.value = to_markdown(item, item.docstring.value)
            if item.is_function:
                spell_out(item)
