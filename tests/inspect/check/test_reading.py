"""Reading: which file an import means, what a broken file does to the others, and what a fix changes."""

from __future__ import annotations

import ast

import pytest
import torch
import torch.nn.functional as F

from anymax.inspect.check import interpret
from anymax.inspect.check.reading import Reading
from anymax.inspect.check.sources import Source
from tests.inspect.check.test_reading_rules import IMPORTS, found_in

MODEL = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("nets.py", "from nets import Net"),
        ("nets.py", "from nets import *"),
        ("nets.py", "import nets\nNet = nets.Net"),
        ("lib/nets.py", "from lib.nets import Net as Other\nNet = Other"),
        ("lib/nets.py", "from lib import nets\nNet = nets.Net"),
    ],
)
def test_an_import_leads_to_the_file_that_it_means(path, line):
    code = f"#: file {path}\n{MODEL}\n#: file main.py\n{line}\nloss = F.cross_entropy(Net()(x), y)\n"
    (finding,) = found_in(code)
    assert (finding.path, finding.code) == ("main.py", "AMX201")
    assert f"{path}:11" in finding.message


def test_packages_hand_on_what_they_import():
    code = (
        f"#: file pkg/nets.py\n{MODEL}\n#: file pkg/__init__.py\nfrom .nets import Net\n"
        "#: file main.py\nfrom pkg import Net\nloss = F.cross_entropy(Net()(x), y)\n"
    )
    assert [finding.code for finding in found_in(code)] == ["AMX201"]


def test_files_that_import_each_other_are_read():
    code = (
        "#: file a.py\nfrom b import two\ndef one(x):\n    return two(F.softmax(x, dim=1))\n"
        "#: file b.py\nfrom a import one\ndef two(x):\n    return F.softmax(x, dim=1)\n"
    )
    assert [finding.code for finding in found_in(code)] == ["AMX206"]


def test_a_mistake_of_ours_in_one_file_does_not_hide_another(monkeypatch):
    original = interpret.Interpreter.load

    def load(self, module):
        if module.path == "broken.py":
            raise KeyError("planted")
        return original(self, module)

    monkeypatch.setattr(interpret.Interpreter, "load", load)
    texts = {"broken.py": "F.softmax(x)", "fine.py": f"{IMPORTS}F.softmax(x)"}
    sources = {name: Source(name, text, ast.parse(text)) for name, text in texts.items()}
    reading = Reading(sources, sources.get)
    for source in sources.values():
        reading.look(source)
    assert list(reading.failed) == ["broken.py"]
    assert [source.path for source, _ in reading.seen()] == ["fine.py"]


@pytest.mark.parametrize(
    "line",
    [
        "F.softmax(torch.ones(3, 4).cumsum(0))",
        "F.log_softmax(torch.ones(3, 4).cumsum(1),)",
        "F.softmax(torch.ones(2, 3, 4).cumsum(0), dim=None)",
        "torch.log(torch.softmax(x, dim=1))",
        "x.softmax(1).log()",
        "x - torch.logsumexp(x, dim=1, keepdim=True)",
        "torch.exp(x) / torch.exp(x).sum(dim=0, keepdim=True)",
        "F.nll_loss(F.log_softmax(x, dim=1), y)",
        "F.binary_cross_entropy(torch.sigmoid(x), x.softmax(1))",
    ],
)
@pytest.mark.filterwarnings("ignore:Implicit dimension choice:UserWarning")
def test_a_fix_computes_the_same_and_leaves_nothing_to_fix(line):
    code = f"def f(x, y):\n    return {line}\n"
    fixes = [finding.fix for finding in found_in(code) if finding.fix]
    assert len(fixes) == 1
    text = IMPORTS + code
    for edit in sorted(fixes[0].edits, reverse=True):
        text = text[: edit.start] + edit.replacement + text[edit.end :]
    assert not any(finding.fix for finding in found_in(text.removeprefix(IMPORTS)))
    x, y = torch.arange(12.0).sin().view(3, 4), torch.tensor([0, 3, 1])
    results = []
    for each in (code, text.removeprefix(IMPORTS)):
        names = {"torch": torch, "F": F}
        exec(each, names)
        results.append(names["f"](x, y))
    torch.testing.assert_close(*results)
