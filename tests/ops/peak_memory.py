"""Print the peak of live tensor bytes in forward and backward of linear cross-entropy at 4096 x 256 x 32768, float32.

Run by test_linear.py as `python peak_memory.py composed|eager|prior|compiled`, in a process of its own, so that nothing
else allocates. What the profiler says agrees with the peak of resident memory within 4 MB.
"""

from __future__ import annotations

import json
import sys

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

import anymax
from anymax._core.memory import peak_of_step

NUM_ROWS, IN_FEATURES, NUM_CLASSES = 4096, 256, 32768


def composed(features: Tensor, table: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(linear(features, table), target)


def ours(features: Tensor, table: Tensor, target: Tensor) -> Tensor:
    return anymax.linear_cross_entropy(features, table, target)


def under_a_prior(features: Tensor, table: Tensor, target: Tensor) -> Tensor:
    # in the reference, which keeps more
    with anymax.use_backend("reference"):
        return anymax.linear_cross_entropy(features, table, target, class_prior=torch.arange(1, NUM_CLASSES + 1))


def main(which: str) -> None:
    torch.manual_seed(0)
    features = torch.randn(NUM_ROWS, IN_FEATURES, requires_grad=True)
    table = (torch.randn(NUM_CLASSES, IN_FEATURES) / 16).requires_grad_()
    target = torch.randint(NUM_CLASSES, (NUM_ROWS,))
    function = {
        "composed": composed,
        "eager": ours,
        "prior": under_a_prior,
        "compiled": torch.compile(ours, fullgraph=True),
    }[which]
    if which == "compiled":
        function(features, table, target).backward()
        features.grad = table.grad = None
    peak = peak_of_step(lambda: function(features, table, target).backward(), torch.device("cpu"))
    print(json.dumps({"peak_bytes": peak}))


if __name__ == "__main__":
    main(sys.argv[1])
