"""Each example runs as it stands, and shows the numbers that its page promises."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


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
    return [float(found) for found in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line.partition(label)[2])]


def test_every_example_has_a_test():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "gumbel_softmax_lightning.py",
        "make_data.py",
        "nce_training.py",
        "own_backbone.py",
        "rare_positives.py",
        "softmax_and_dim.py",
    }


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
    data = pytest.importorskip("anymax.lab.data")
    monkeypatch.setattr("sys.argv", ["make_data.py", str(tmp_path)])
    text = shown("make_data.py")
    assert numbers(text, f"{tmp_path / 'alarms.csv'}:") == [100_000, 7]
    assert numbers(text, f"{tmp_path / 'orders.csv'}:") == [12_000, 8]
    alarms = data.load(tmp_path / "alarms.csv", target="state")
    assert dict(zip(alarms.class_names, alarms.class_counts, strict=True)) == {"alarm": 100, "normal": 99_900}
    orders = data.load(tmp_path / "orders.csv", target="outcome")
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
    calls = data.load(tmp_path / "calls.csv", target="function")
    assert calls.class_counts.min() == 1
    assert calls.class_counts.max() > 500
    docstrings = data.load(tmp_path / "docstrings.csv", target="package")
    assert {column.name for column in docstrings.columns if column.kind == "text"} == {"docstring"}
    assert len(docstrings.class_names) == 12


def test_nce_training(shown):
    text = shown("nce_training.py")
    (frequencies,) = numbers(text, "perplexity of the frequencies alone:")
    (before,) = numbers(text, "perplexity before training:")
    (after,) = numbers(text, "perplexity after training:")
    (true,) = numbers(text, "perplexity of the true law:")
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
