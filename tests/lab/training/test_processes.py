"""Two processes under torchrun: one report and one model, with the verdict of a single process."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from anymax.lab import compare

# `unused` is a parameter that nothing depends on, which would stop a plain data-parallel training
NETS = """
from torch import nn

class Wide(nn.Module):
    def __init__(self, in_features):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.unused = nn.Linear(1, 1)

    def forward(self, input):
        return self.layers(input)
"""
# The command, a comparison on an own backbone, and the command again with another option, which is refused.
SCRIPT = """
import sys
from anymax.cli import main
from anymax.lab import compare

sys.argv = "anymax compare wine --methods softmax,nce --seeds 3 --epochs 5 --device cpu --output two".split()
try:
    main()
except SystemExit as stop:
    assert not stop.code
own = {"methods": ["softmax"], "seeds": 1, "epochs": 1, "lr": 0.01, "device": "cpu", "keep_model": False}
compare("wine", backbone="nets:Wide", output="own", **own)
sys.argv += ["--lr", "0.5"]
main()
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """How two processes ended, what they printed, and the folder that they wrote to."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "nets.py").write_text(NETS)
    (folder / "script.py").write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "script.py"]
    done = subprocess.run(torchrun, cwd=folder, capture_output=True, text=True)
    return SimpleNamespace(folder=folder, returncode=done.returncode, stdout=done.stdout, stderr=done.stderr)


def test_two_processes_reach_the_verdict_of_one(both):
    compare("wine", methods=["softmax", "nce"], seeds=3, epochs=5, device="cpu", output=both.folder / "one")
    assert both.stdout.count("Which to take") == 1
    one, two = (json.loads((both.folder / name / "results.json").read_text()) for name in ("one", "two"))
    assert two["verdict"]["pick"] == one["verdict"]["pick"]
    for ours, theirs in zip(one["verdict"]["differences"], two["verdict"]["differences"], strict=True):
        assert (theirs["method"], theirs["answer"]) == (ours["method"], ours["answer"])
    assert len(two["trials"]) == len(one["trials"]) == 6
    for ours, theirs in zip(one["trials"], two["trials"], strict=True):
        assert theirs["parameters"] == ours["parameters"]
        assert abs(theirs["tested"]["measures"]["top1"] - ours["tested"]["measures"]["top1"]) < 0.1
    models = [json.loads((both.folder / name / "model" / "model.json").read_text()) for name in ("one", "two")]
    assert models[1]["recipe"]["method"] == models[0]["recipe"]["method"]
    assert both.stderr.count("is trained once more") == 1


def test_a_refusal_is_said_once(both):
    assert both.returncode != 0
    assert both.stderr.count("anymax: 'two' holds a run with no --lr") == 1


def test_processes_share_an_own_backbone(both):
    written = json.loads((both.folder / "own" / "results.json").read_text())
    assert written["asked"]["backbone"] == written["options"]["backbone"] == "nets:Wide"
    assert written["trials"][0]["parameters"] == 13 * 8 + 8 + 8 + 8 + 2 + 8 * 3 + 3
