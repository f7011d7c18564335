"""Heads on two processes: FSDP2 shards them, and sparse gradients, which nobody averages, are one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import copy, os, sys, warnings
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
import anymax

rank, path = int(sys.argv[1]), sys.argv[2]
warnings.filterwarnings("ignore", message="DTensor random operators")
dist.init_process_group("gloo", store=dist.FileStore(path, 2), rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
input, target, seed = torch.arange(24.0).reshape(4, 6).sin(), torch.tensor([1, 2, 3, 4]), torch.tensor(3)


class Model(nn.Module):
    def __init__(self, sparse=False):
        super().__init__()
        self.body = nn.Linear(6, 6)
        self.head = anymax.nn.NCEHead(6, 12, class_counts=list(range(12)), num_noise=4, sparse=sparse)

    def forward(self, input, target=None):
        return self.head(self.body(input), target, seed)


def say(name, call):
    try:
        print(name, call(), flush=True)
    except NotImplementedError as error:
        print(name, error, flush=True)


torch.manual_seed(0)
plain = Model()
model = copy.deepcopy(plain)
fully_shard(model.head, mesh=mesh)
fully_shard(model, mesh=mesh)
say("loss", lambda: torch.allclose(model(input, target), plain(input, target)))
say("scores", lambda: torch.allclose(model(input), plain(input)))
say("predict", lambda: torch.equal(model.head.predict(input, 3)[1], plain.head.predict(input, 3)[1]))
say("log_prob", lambda: torch.allclose(model.head.log_prob(input), plain.head.log_prob(input)))
drawn = [head.sample(input, 5, generator=seed) for head in (model.head, plain.head)]
say("sample", lambda: torch.equal(*drawn))
say("directly", lambda: model.head.scores(input))

for each in (model, plain):
    each(input, target).backward()
say("gradient", lambda: torch.allclose(model.head.weight.grad.full_tensor(), plain.head.weight.grad))

model.head.reset_parameters()
say("reset", lambda: torch.equal(model.head.bias.full_tensor(), plain.head.bias))

with torch.device("meta"):
    empty = Model()
fully_shard(empty, mesh=mesh)
empty.to_empty(device="cpu")
for module in empty.modules():
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
say("meta", lambda: torch.equal(empty.head.bias.full_tensor(), plain.head.bias))
say("law", lambda: torch.equal(empty.head.noise.probabilities, plain.head.noise.probabilities))
say("finite", lambda: bool(empty(input, target).isfinite()))

rows = Model(sparse=True)
say("alone", lambda: rows(input, target).backward())
sharded = Model(sparse=True)
fully_shard(sharded, mesh=mesh)
say("fully_shard", lambda: sharded(input, target))
replicated = nn.parallel.DistributedDataParallel(rows)
say("replicated", lambda: replicated(input, target))
dist.destroy_process_group()
# the end of the interpreter sometimes meets a thread of gloo that still runs, and aborts
os._exit(0)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("heads")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(folder / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in ranks]
    for process, (_, errors) in zip(ranks, outputs, strict=True):
        assert process.returncode == 0, errors
    # gloo of torch 2.10 writes to the same stream
    first, second = (
        dict(line.split(" ", 1) for line in output.splitlines() if not line.startswith("[Gloo]"))
        for output, _ in outputs
    )
    assert first == second
    return first


def test_a_sharded_head_gives_what_a_whole_one_gives(answers):
    for name in ("loss", "scores", "predict", "log_prob", "sample", "gradient"):
        assert answers[name] == "True", name


def test_a_sharded_head_starts_as_a_whole_one(answers):
    for name in ("reset", "meta", "law", "finite"):
        assert answers[name] == "True", name


def test_a_sharded_table_out_of_reach_says_what_to_do(answers):
    assert answers["directly"] == (
        "FSDPNCEHead.scores: the class table is sharded outside of a forward pass; shard the head itself "
        "(fully_shard(model.head)), whose call, log_prob, predict and sample then gather it, or call model.unshard() "
        "before"
    )


@pytest.mark.parametrize(
    ("name", "wrapper"), [("fully_shard", "fully_shard"), ("replicated", "DistributedDataParallel")]
)
def test_sparse_gradients_that_cannot_be_averaged_are_one_sentence(answers, name, wrapper):
    assert answers[name] == (
        f"NCEHead: sparse=True gives sparse gradients, which {wrapper} cannot average over processes; write "
        "sparse=False, or leave the head out of what is wrapped and average its gradients yourself"
    )
    # and where nothing averages them they are fine
    assert answers["alone"] == "None"
