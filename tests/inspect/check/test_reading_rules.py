"""The rules that reading decides, on snippets: what each must find, and what it must leave alone.

A block of `snippets/amx101.txt` begins with `#: ` and what is found in it, each with its level, or `Okay`; it may hold
several files, each after `#: file NAME`. Every block begins with the usual imports.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from anymax.inspect.check.names import Names
from anymax.inspect.check.reading import Reading
from anymax.inspect.check.rules import all_rules, run
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.sources import Source

SNIPPETS = Path(__file__).with_name("snippets")
IMPORTS = """import torch, torchvision, anymax, pytorch_lightning as pl
from torch import nn
import torch.nn.functional as F
"""
FILE = re.compile(r"^#: file (.+)$", re.MULTILINE)


def blocks() -> list:
    """(what is expected, code) for each block."""
    found = []
    for path in sorted(SNIPPETS.glob("*.txt")):
        for number, block in enumerate(re.split(r"^#: (?!file )", path.read_text(), flags=re.MULTILINE)[1:], 1):
            expected, _, code = block.partition("\n")
            found.append(pytest.param(expected.strip(), code, id=f"{path.stem}-{number}-{expected.split()[0]}"))
    return found


def found_in(code: str) -> list:
    """Every finding in these files, read together."""
    _, *named = FILE.split(code)
    files = dict(zip(named[::2], named[1::2], strict=True)) or {"main.py": code}
    sources = {}
    for name, text in files.items():
        text = f"{IMPORTS}{text}"
        sources[name] = Source(name, text, ast.parse(text))
    reading = Reading(sources, sources.get)
    for source in sources.values():
        reading.look(source)
    assert not reading.failed
    rules = [rule for code, rule in all_rules().items() if code[3] in "123"]
    return [
        finding
        for source, observations in reading.seen()
        for finding in run(Seen(source, Names(source.tree), observations), rules)
    ]


@pytest.mark.parametrize(("expected", "code"), blocks())
def test_a_rule_finds_the_mistake_and_nothing_in_right_code(expected, code):
    found = found_in(code)
    said = " ".join(f"{finding.code} {finding.level}" for finding in found) or "Okay"
    assert said == expected, "\n".join(f"{finding.line}: {finding.code} {finding.message}" for finding in found)


def test_every_rule_has_at_least_as_many_right_snippets_as_wrong_ones():
    for path in SNIPPETS.glob("*.txt"):
        heads = re.findall(r"^#: (?!file )(.+)$", path.read_text(), flags=re.MULTILINE)
        right = [head for head in heads if head == "Okay"]
        assert len(heads) - len(right) >= 2, path.name
        assert len(right) >= 3, path.name
