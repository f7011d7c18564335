"""Each example runs as it stands, and shows the numbers that its page promises."""

from __future__ import annotations

import math
import re
import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"
PAGE = EXAMPLES.parent / "docs" / "what-tutorials-say.md"
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


@pytest.fixture
def shown(capsys):
    """Run an example as a script; what it printed."""

    def run(name):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def numbers(text, label):
    """The numbers on the first line that starts with `label`."""
    (line, *_) = [line for line in text.splitlines() if line.strip().startswith(label)]
    return [float(found) for found in NUMBER.findall(line.partition(label)[2])]


def on_the_page(name):
    """What the page of tutorials shows as the output of an example."""
    (block,) = re.findall(
        rf"^```console\n\$ python examples/{name}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    return block


def words_of(text):
    return [NUMBER.sub("#", line).split() for line in text.splitlines()]


def assert_as_on_the_page(name, text):
    """The same words, and figures as close as another machine's arithmetic leaves them."""
    page = on_the_page(name)
    assert words_of(text) == words_of(page)
    expected = [float(found) for found in NUMBER.findall(page)]
    assert [float(found) for found in NUMBER.findall(text)] == pytest.approx(expected, rel=0.03, abs=0.01)


def test_every_example_is_run_by_a_test():
    run = re.findall(r'(?:shown\(|EXAMPLES / )"(\w+\.py)"', Path(__file__).read_text(encoding="utf-8"))
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(run)


def test_softmax_and_dim(shown):
    text = shown("softmax_and_dim.py")
    assert numbers(text, "1-D, no dim:") == [0.0900, 0.2447, 0.6652]
    assert numbers(text, "2-D, dim=1:") == [0.0900, 0.2447, 0.6652, 0.3333, 0.3333, 0.3333]
    assert numbers(text, "sums of the rows:") == [1, 1]
    assert numbers(text, "2-D, dim=0:") == [0.5000, 0.7311, 0.8808, 0.5000, 0.2689, 0.1192]
    assert "sums of the rows:  tensor([2.1119, 0.8881])" in text
    assert "3 distributions over 2 entries; a sample's own scores do not sum to 1" in text
    assert numbers(text, "3-D, dim=2:") == pytest.approx([0.1438, 0.3336, 0.3570, 0.1656], abs=1e-4)
    assert numbers(text, "sums over classes:") == [1] * 6
    assert "as a pattern:      True" in text


def test_attention(shown, monkeypatch):
    """A few steps; what the maps are like shows at once."""
    maps = ("softmax", "sink", "entmax", "softpick")
    monkeypatch.setattr("sys.argv", ["attention.py", f"--maps={','.join(maps)}", "--steps=12", "--seeds=1"])
    text = shown("attention.py")
    rows = {name: numbers(text, name) for name in maps}
    for seed, loss, first, largest, total, zeros in rows.values():
        assert seed == 0
        # fewer nats than even odds of a hundred characters leave
        assert 2 < loss < math.log(100)
        assert 0 < first <= largest < total <= 1
        assert 0 <= zeros < 1
    assert rows["softmax"][4:] == [1, 0]
    assert rows["sink"][4] < 1
    assert rows["sink"][5] == 0
    assert rows["entmax"][4] == 1
    assert rows["softpick"][4] < 1
    assert rows["softpick"][5] > 0.05


def figures(text, row):
    """The figures on the row that starts with `row`, by what stands before them."""
    (line,) = [line for line in text.splitlines() if line.startswith(row)]
    pairs = re.findall(rf"([a-z][a-z .0-9]*?) ({NUMBER.pattern})(?=  |$)", line.removeprefix(row))
    return {label: float(value) for label, value in pairs}


@pytest.mark.parametrize(("decide_by", "better"), [("top1", "0.75"), ("nll", "0.05")])
def test_beside_baycomp_says_which_side_is_better(tmp_path, monkeypatch, decide_by, better):
    """Its library is not among ours: what is asked of it, and how its answer is read."""
    comparisons = pytest.importorskip("tests.lab.comparisons")
    from anymax.lab import storage

    asked = []

    def two_on_single(x, y, rope, runs):
        asked.append((x.tolist(), y.tolist(), rope, runs))
        return 0.05, 0.2, 0.75  # that x is larger, neither, y

    monkeypatch.setitem(sys.modules, "baycomp", types.SimpleNamespace(two_on_single=two_on_single))
    reached = {"softmax": [0.5 + 0.01 * i for i in range(10)], "nce": [0.6 + 0.01 * i for i in range(10)]}
    comparison = comparisons.make_comparison(reached, decide_by=decide_by)
    comparisons.verdict_of(comparison, {"nce": "better"})
    storage.save(comparison, tmp_path / "results.json")
    (row,) = runpy.run_path(str(EXAMPLES / "beside_baycomp.py"))["rows"](tmp_path)
    assert asked == [(reached["softmax"], reached["nce"], 0.01, 2)]
    assert row[:5] == ("made up", f"nce, {decide_by}", "10", "+0.1000", "better")
    assert row[5] == better


def test_calibration(shown):
    text = shown("calibration.py")
    assert_as_on_the_page("calibration.py", text)
    trained, scaled = figures(text, "as trained"), figures(text, "temperature scaled")
    true = figures(text, "the true probabilities")
    assert trained["mean confidence"] > trained["accuracy"] + 0.2
    assert trained["accuracy there"] < 0.9, "of what it is 99 % sure of, one in ten is wrong"
    assert scaled["accuracy"] == trained["accuracy"]
    assert scaled["mean confidence"] == pytest.approx(scaled["accuracy"], abs=0.02)
    assert true["mean confidence"] == pytest.approx(true["accuracy"], abs=0.02)
    assert true["loss"] < scaled["loss"] < trained["loss"] - 0.5


def test_compare_readers(shown):
    pytest.importorskip("anymax.lab.data.columns")
    page = (EXAMPLES.parent / "docs" / "reading-tables.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in shown("compare_readers.py").splitlines() if line.startswith("|")]
    ours = [line.split(" | ")[:3] for line in rows]  # what others make of a column is theirs, version by version
    assert len(ours) > 40
    assert [row for row in ours if row not in [line.split(" | ")[:3] for line in page]] == []


def test_gumbel_exploration(shown):
    text = shown("gumbel_exploration.py")
    assert_as_on_the_page("gumbel_exploration.py", text)
    entropy = numbers(text, "nats of entropy at pull 1, 2, 10 and 200:")
    assert entropy[0] == pytest.approx(math.log(10), abs=1e-4)
    assert entropy == sorted(entropy, reverse=True)
    plain = numbers(text, "sample, temperature 1")
    assert numbers(text, "gumbel_softmax, tau 0.1") == plain
    assert numbers(text, "gumbel_softmax, tau 10") == plain
    tried, found = numbers(text, "sample, temperature 5")
    assert plain[0] < 2 < 9 < tried
    assert plain[1] < 0.25 < 0.9 < found


# lightning 2.6 asks torch 2.13 for a class that torch has deprecated
@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")
def test_gumbel_softmax_lightning(shown):
    text = shown("gumbel_softmax_lightning.py")
    assert numbers(text, "error before training:")[0] > 1
    assert numbers(text, "error after 300 steps:")[0] < 0.1
    assert numbers(text, "temperature in the state dict:") == [0.3]
    assert "most corners that share a code: 1" in text
    assert re.search(r"two samples agree in eval mode: +False", text)
    assert re.search(r"two noise-free answers agree: +True", text)


def test_gumbel_softmax_lightning_resumes_at_the_temperature_of_its_step():
    example = runpy.run_path(str(EXAMPLES / "gumbel_softmax_lightning.py"))
    temperature_at = example["temperature_at"]
    assert temperature_at(0) == 1
    assert temperature_at(150) == pytest.approx(0.3679, abs=1e-4)
    assert temperature_at(10_000) == 0.3
    model = example["DiscreteAutoencoder"]()
    model.gumbel_softmax.tau.fill_(0.5)
    fresh = example["DiscreteAutoencoder"]()
    fresh.load_state_dict(model.state_dict())
    assert fresh.gumbel_softmax.tau.item() == 0.5


def test_make_data(shown, monkeypatch, tmp_path):
    lab, pd = pytest.importorskip("tests.lab.calls"), pytest.importorskip("pandas")
    monkeypatch.setattr("sys.argv", ["make_data.py", str(tmp_path)])
    text = shown("make_data.py")
    assert numbers(text, f"{tmp_path / 'alarms.csv'}:") == [100_000, 7]
    assert numbers(text, f"{tmp_path / 'orders.csv'}:") == [12_000, 8]
    alarms = lab.load(tmp_path / "alarms.csv", target="state")
    assert dict(zip(alarms.class_names, alarms.class_counts, strict=True)) == {"alarm": 100, "normal": 99_900}
    orders = lab.load(tmp_path / "orders.csv", target="outcome")
    kinds = {column.name: (column.kind, column.missing > 0) for column in orders.columns}
    assert kinds == {
        "outcome": ("target", False),
        "ordered": ("date", False),
        "delivered": ("date", False),
        "customer": ("category", False),
        "country": ("category", False),
        "article": ("category", True),
        "price": ("number", True),
        "voucher": ("number", True),
    }
    assert list(orders.levels(orders.rows(0)[0])) == ["customer"]
    calls = lab.load(tmp_path / "calls.csv", target="function")
    assert calls.class_counts.min() == 1
    assert calls.class_counts.max() > 500
    docstrings = lab.load(tmp_path / "docstrings.csv", target="package")
    assert {column.name for column in docstrings.columns if column.kind == "text"} == {"docstring"}
    assert len(docstrings.class_names) == 12
    mislabelled = lab.load(tmp_path / "mislabelled.csv", target="digit")
    images, digit = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    assert (pd.read_csv(tmp_path / "mislabelled.csv").drop(columns="digit").to_numpy() == images).all()
    assert 0.67 < (np.array(mislabelled.class_names)[mislabelled.classes] == digit.astype(str)).mean() < 0.73
    functions = lab.load(tmp_path / "functions.csv", target="calls", target_separator=";")
    assert len(functions.class_names) == 20
    assert functions.class_counts.min() > 50
    rows = pd.read_csv(tmp_path / "functions.csv", dtype=str).fillna("")
    (called,) = rows["calls"][rows["name"] == "total ordering"]  # of functools
    assert {"getattr", "max", "setattr"} >= set(called.split(";")) >= {"getattr", "max"}


def test_estimators_figure(shown, monkeypatch, tmp_path):
    """Fewer draws than on the page: biases within five of their standard errors, variances within 15 %."""
    page = (EXAMPLES.parent / "docs" / "gumbel-estimators.md").read_text(encoding="utf-8")
    (shown_there,) = re.findall(r"^\$ python examples/estimators_figure.py\n(.*?)^```", page, re.M | re.S)
    monkeypatch.setattr("sys.argv", ["estimators_figure.py", "--fast", f"--svg={tmp_path / 'figure.svg'}"])
    text = shown("estimators_figure.py")
    there, here = (part.partition("\n\n")[0].splitlines()[2:] for part in (shown_there, text))
    labels = [re.split(r"\s{2,}", line)[0] for line in here]
    assert labels == [re.split(r"\s{2,}", line)[0] for line in there]
    assert len(labels) == 15
    for label in labels:
        mine, theirs = numbers(text, label), numbers(shown_there, label)
        for at in (0, 3, 6):
            allowed = 5 * (mine[at + 1] + theirs[at + 1]) + 1e-4
            assert mine[at] == pytest.approx(theirs[at], abs=allowed), label
            assert mine[at + 2] == pytest.approx(theirs[at + 2], rel=0.15, abs=1e-4), label
    without, with_bias = numbers(text, "a model without a bias per context"), numbers(text, "with a bias per context")
    assert without[0] > without[1] > 0.005
    assert with_bias[0] > 0.001 > 1e-5 > with_bias[1]
    assert "<svg" in (tmp_path / "figure.svg").read_text()


def test_nce_and_negative_sampling(shown):
    text = shown("nce_and_negative_sampling.py")
    assert_as_on_the_page("nce_and_negative_sampling.py", text)
    estimated, sampled = text.split("negative sampling\n")
    assert numbers(estimated, "sum of exp(score), by context:") == pytest.approx([1] * 4, abs=0.06)
    assert min(numbers(sampled, "sum of exp(score), by context:")) > 1.5
    for part, close, far in (
        (estimated, "mean |score - log p|:", "mean |score - log(p / (k q))|:"),
        (sampled, "mean |score - log(p / (k q))|:", "mean |score - log p|:"),
    ):
        assert numbers(part, close)[0] < 0.1 < 0.5 < numbers(part, far)[0]


def test_nce_training(shown):
    text = shown("nce_training.py")
    (frequencies,) = numbers(text, "perplexity of the frequencies alone:")
    (before,) = numbers(text, "perplexity before training:")
    (after,) = numbers(text, "perplexity after training:")
    (true,) = numbers(text, "perplexity of the true distribution:")
    assert true < after < 0.5 * frequencies < 0.5 * before
    low, high = numbers(text, "log of the normaliser, by context:")
    assert -1 < low < high < 1.5, "scores are close to log-probabilities: NCE with log_partition=0 normalises itself"


def test_own_backbone(shown):
    text = shown("own_backbone.py")
    assert numbers(text, "features:") == [5, 32]
    assert "backbone: __main__:residual_mlp" in text
    for name in ("softmax", "sigmoid"):
        parameters, accuracy = numbers(text, f"{name}:")
        assert parameters == (13 * 32 + 32) + 2 * (64 + 2 * (32 * 32 + 32)) + 64 + (32 * 3 + 3)
        assert accuracy > 0.9


def test_rare_positives(shown):
    text = shown("rare_positives.py")
    rows = {}
    for name in ("always no", "plain", "pos_weight, - log(pos_weight)", "pos_weight"):
        rows[name] = numbers(text, f"{name} ")
    accuracy, recall, precision, probability = range(4)
    assert rows["plain"][accuracy] == pytest.approx(rows["always no"][accuracy], abs=2e-4)
    assert rows["pos_weight"][accuracy] < 0.95
    assert rows["always no"][recall] == 0
    assert rows["plain"][precision] > 20 * rows["always no"][precision]
    assert rows["pos_weight"][precision] == pytest.approx(rows["plain"][precision], abs=0.03)
    assert rows["pos_weight"][recall] > 0.6 > 0.3 > rows["plain"][recall]
    assert rows["plain"][probability] == pytest.approx(0.001, abs=0.0003)
    assert rows["pos_weight"][probability] > 0.1
    assert rows["pos_weight, - log(pos_weight)"][probability] == pytest.approx(0.001, abs=0.0003)
    assert re.search(r"loss from the score: +tensor\(\[2.0000e\+01, 2.0612e-09\]\)", text)
    assert "loss from the probability: tensor([20., -0.])" in text


def test_average_precision_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    example = runpy.run_path(str(EXAMPLES / "rare_positives.py"))
    torch.manual_seed(0)
    scores, target = torch.randn(500), (torch.rand(500) < 0.1).float()
    expected = metrics.average_precision_score(target, scores)
    assert example["average_precision"](scores, target) == pytest.approx(expected)


def test_what_softmax_costs(shown, monkeypatch):
    """No time is asserted: only that it prints the rows that the page shows, at a size that takes no time."""
    before = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["what_softmax_costs.py", "--rows=4", "--width=8", "--classes=100", "--rounds=3"])
    try:
        text = shown("what_softmax_costs.py")
    finally:
        torch.set_num_threads(before)
    labels = [[word for word in line if "#" not in word] for line in words_of(text)[1:]]
    assert labels == [
        [word for word in line if "#" not in word] for line in words_of(on_the_page("what_softmax_costs.py"))[1:]
    ]
    assert (
        min(numbers(text, label)[0] for label in ("softmax", "torch's gumbel_softmax", "a step with nce_loss, 64")) > 0
    )
