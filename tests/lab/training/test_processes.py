"""Two processes under torchrun: one report and one model, with the verdict of a single process."""

import json
import subprocess
import sys

OPTIONS = ["compare", "wine", "--methods", "softmax,nce", "--seeds", "3", "--epochs", "5", "--device", "cpu"]


def test_two_processes_reach_the_verdict_of_one(tmp_path):
    alone = subprocess.run(
        [sys.executable, "-m", "anymax", *OPTIONS, "--output", "one"], cwd=tmp_path, capture_output=True, text=True
    )
    assert alone.returncode == 0, alone.stderr
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    both = subprocess.run(
        [*torchrun, "-m", "anymax", *OPTIONS, "--output", "two"], cwd=tmp_path, capture_output=True, text=True
    )
    assert both.returncode == 0, both.stderr
    assert both.stdout.count("Which to take") == 1
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert two["verdict"]["pick"] == one["verdict"]["pick"]
    for ours, theirs in zip(one["verdict"]["differences"], two["verdict"]["differences"], strict=True):
        assert (theirs["method"], theirs["answer"]) == (ours["method"], ours["answer"])
    assert len(two["trials"]) == len(one["trials"]) == 6
    for ours, theirs in zip(one["trials"], two["trials"], strict=True):
        assert theirs["parameters"] == ours["parameters"]
        assert abs(theirs["tested"]["measures"]["top1"] - ours["tested"]["measures"]["top1"]) < 0.1
    models = [json.loads((tmp_path / name / "model" / "model.json").read_text()) for name in ("one", "two")]
    assert models[1]["recipe"]["method"] == models[0]["recipe"]["method"]
    assert both.stderr.count("is trained once more") == 1

    refused = subprocess.run(
        [*torchrun, "-m", "anymax", *OPTIONS, "--output", "two", "--lr", "0.5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert refused.returncode != 0
    assert refused.stderr.count("anymax: 'two' holds a run with no --lr") == 1
