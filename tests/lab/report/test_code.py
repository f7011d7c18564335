"""The code of the winner: it runs, trains what was chosen, and reaches about what the report says."""

import ast
import html
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

import anymax
import anymax.nn
from anymax import noise
from anymax.lab import compare
from anymax.lab.report.code import LABEL_LOSSES, code_of, head_of
from anymax.lab.report.page import render
from anymax.lab.results import ColumnInfo
from anymax.lab.training.methods import METHODS
from tests.lab.calls import OF_CLASSES
from tests.lab.comparisons import compared
from tests.lab.model.conftest import a_table


@pytest.fixture(scope="module")
def of_table(tmp_path_factory):
    """A comparison on a file with a column of every kind, read by pandas' rules in none of them."""
    path = tmp_path_factory.mktemp("code") / "a table.csv"
    a_table().to_csv(path, index=False)
    return compare(
        path,
        target="kind",
        kinds={"title": "text", "shop": "category"},
        methods=["softmax", "sigmoid"],
        seeds=3,
        epochs=5,
        lr=0.01,
        decide_by="top1",
        device="cpu",
    )


def accuracy(printed: str) -> float:
    """What the script says."""
    return float(re.fullmatch(r"top-1 accuracy on the test part: (\S+)\n", printed)[1])


def test_it_reaches_about_what_the_report_says(of_table):
    done = subprocess.run([sys.executable, "-c", code_of(of_table)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    reached = accuracy(done.stdout)
    expected = np.mean(of_table.values(of_table.verdict.pick, "top1"))
    frequencies = np.mean([each.measures["top1"] for each in of_table.baseline])
    assert reached == pytest.approx(expected, abs=0.1)
    assert reached > frequencies + 0.2


def test_the_report_ends_in_it(of_table):
    page = render(of_table)
    shown = page[page.index("<pre><code>") + len("<pre><code>") : page.index("</code></pre>")]
    assert html.unescape(shown) == code_of(of_table)
    assert "<" in code_of(of_table)
    assert "<" not in shown
    assert "<h2>" not in page[page.index("</code></pre>") :]


def test_a_backbone_of_the_user_s_is_imported(tmp_path, monkeypatch, capsys):
    (tmp_path / "nets_for_code.py").write_text("import torch\n\ndef make(n):\n    return torch.nn.Linear(n, 8)\n")
    monkeypatch.syspath_prepend(tmp_path)
    comparison = compare("wine", methods=["sigmoid"], seeds=3, epochs=5, lr=0.01, backbone="nets_for_code:make")
    code = code_of(comparison)
    assert "from nets_for_code import make\n" in code
    assert "FeatureBackbone" not in code
    assert "probabilities" not in code  # sigmoid defines none
    exec(code, {"__name__": "__main__"})
    assert accuracy(capsys.readouterr().out) == pytest.approx(np.mean(comparison.values("sigmoid", "top1")), abs=0.1)


def made_up(**asked):
    comparison = compared(name='x """ y\nz')
    comparison.asked = {"data": "wine", **asked}
    return comparison


def calls(code: str, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and (getattr(node.func, "id", None) or getattr(node.func, "attr", None)) == name
    ]


def test_all_that_was_chosen_is_in_it():
    """Of softmax in the comparison that was made up: a rate of 3e-3, the third epoch, a temperature of 1.25."""
    code = code_of(made_up())
    (optimizer,) = calls(code, "AdamW")
    assert ast.literal_eval(optimizer.keywords[0].value) == 3e-3
    assert [ast.literal_eval(call.args[0]) for call in calls(code, "range")] == [3]
    assert ast.literal_eval(calls(code, "split")[0].args[0]) == 32
    assert "head.log_prob(tested) / 1.25)" in code


def test_what_the_user_wrote_stays_a_value_and_runs_nothing():
    data, column = 'my "data"\'; import os #.csv', 'kind\n"""; raise SystemExit'
    code = code_of(made_up(data=data, target=column, kinds={column: "text"}, drop=[column], missing=["?"]))
    (read,) = calls(code, "load")
    assert ast.literal_eval(read.args[0]) == data
    options = {each.arg: ast.literal_eval(each.value) for each in read.args[1].keywords}
    assert options == {"target": column, "drop": (column,), "kinds": {column: "text"}, "missing": ("?",)}
    assert ast.get_docstring(ast.parse(code)).startswith("Trains softmax on x ''' y")


@pytest.mark.parametrize("kinds", [(), ("category",), ("text",), ("category", "text")])
@pytest.mark.parametrize("data", ["wine", "DataFrame"])
def test_nothing_in_it_is_undefined_or_unused(kinds, data):
    comparison = made_up(data=data)
    comparison.data.columns = [ColumnInfo(kind, kind, "") for kind in ("number", *kinds)]
    lint = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E,I", "--line-length", "120", "-"]
    done = subprocess.run(lint, input=code_of(comparison), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("num_classes", [3, 100])
@pytest.mark.parametrize("method", OF_CLASSES)
def test_every_head_is_made_as_in_the_comparison(method, num_classes):
    counts = torch.arange(1, num_classes + 1)
    names = {**vars(anymax.nn), "noise": noise, "width": 5, "counts": counts}
    names["frequencies"] = (counts + 1) / (counts + 1).sum()
    strengths = METHODS[method].strengths
    strength = strengths.others[0] if strengths else None
    ours, theirs = eval(head_of(method, num_classes, strength), names), METHODS[method].head(5, counts, strength)
    assert ours.extra_repr() == theirs.extra_repr()
    mine, other = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == other.keys()
    # weights are drawn; the bias of the prior starts later
    started_later = {name for name in mine if name.endswith("weight")} | ({"bias"} if method == "prior" else set())
    assert all(torch.equal(mine[name], other[name]) for name in mine.keys() - started_later)
    ours.load_state_dict(other)
    rows, targets = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.arange(8) % num_classes
    losses = []
    for head in (ours, theirs):
        torch.manual_seed(0)
        losses.append(head(rows, targets))
    torch.testing.assert_close(*losses)


def test_the_prior_s_answers_and_probabilities_are_those_of_the_comparison():
    """Of the head itself: its start, then what it makes of features by the code's own lines."""
    comparison = made_up()
    comparison.verdict.pick = "prior"
    for trial in comparison.of("softmax"):
        trial.method, trial.strength = "prior", 0.5
    code = code_of(comparison)
    counts = torch.tensor([4, 90, 30])
    theirs = METHODS["prior"].head(5, counts, 0.5)
    names = {**vars(anymax.nn), "torch": torch, "width": 5, "counts": counts}
    exec(code[code.index("frequencies =") : code.index("optimizer =")], names)
    assert torch.allclose(names["head"].bias, theirs.bias)
    names["head"].load_state_dict(theirs.state_dict())
    rows = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    names |= {"network": lambda inputs: inputs, "inputs": rows, "test": slice(None)}
    with torch.no_grad():
        exec(textwrap.dedent(code[code.index("    tested =") : code.index("print(")]), names)
        assert torch.equal(names["predicted"], theirs.predict(rows)[1][:, 0])
        torch.testing.assert_close(names["probabilities"], (theirs.log_prob(rows) / 1.25).softmax(-1))


@pytest.mark.parametrize("method", LABEL_LOSSES)
def test_a_head_of_labels_starts_learns_and_answers_as_in_the_comparison(method):
    """By the code's own lines, from the counts to the start, the loss of a step, and what is made of features."""
    comparison = made_up()
    comparison.data.task, comparison.verdict.pick = "multilabel", method
    for trial in comparison.of("softmax"):
        trial.method, trial.tested.scaled = method, None
    code = code_of(comparison)
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(40, 5, generator=generator), torch.rand(40, 3, generator=generator) < 0.2
    theirs = METHODS[method].label_head(5, labels.sum(0), 40)
    names = {**vars(anymax), **vars(anymax.nn), "torch": torch, "width": 5, "labels": labels.float()}
    names |= {"train": torch.arange(40), "rows": slice(None), "test": slice(None)}
    names |= {"network": lambda inputs: inputs, "inputs": features}
    exec("\n".join(re.findall(r"^(?:counts|log_odds) = .*$", code, re.MULTILINE)), names)
    exec(code[code.index("head =") : code.index("optimizer =")], names)
    with torch.no_grad():
        names["head"].weight.copy_(theirs.weight)
    torch.testing.assert_close(names["head"].state_dict()["bias"], theirs.bias)
    exec(textwrap.dedent(code[code.index("        loss =") : code.index("        optimizer.zero")]), names)
    torch.testing.assert_close(names["loss"], theirs(features, labels.float()))
    with torch.no_grad():
        exec(textwrap.dedent(code[code.index("    tested =") : code.index("measured =")]), names)
        answers, log_odds = theirs.answer(features)
    assert torch.equal(names["predicted"], answers)
    torch.testing.assert_close(names["probabilities"], log_odds.sigmoid())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda comparison: setattr(comparison.data, "task", "text"),
        lambda comparison: setattr(comparison, "verdict", None),
        lambda comparison: (
            comparison.asked.update(backbone="x"),
            comparison.options.update(backbone="m:f.<locals>.g"),
        ),
        lambda comparison: (
            comparison.asked.update(backbone="x"),
            comparison.options.update(backbone="os; import os:f"),
        ),
    ],
    ids=["text", "no verdict", "a function within another", "code for a name"],
)
def test_where_there_is_nothing_to_train_there_is_no_code(spoil):
    comparison = made_up()
    assert code_of(comparison)
    spoil(comparison)
    assert code_of(comparison) is None
