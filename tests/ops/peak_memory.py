"""Print the peak of live tensor bytes in forward and backward of linear cross-entropy at 4096 x 256 x 32768, float32.

Run by test_linear.py as `python peak_memory.py composed|eager|compiled`, in a process of its own, so that nothing
else allocates. The measure is the running sum of the allocations and frees that PyTorch's allocator reports to the
profiler: it covers eager and compiled code alike, and agrees with the peak of resident memory within 4 MB.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.profiler import ProfilerActivity, profile

import anymax

NUM_ROWS, IN_FEATURES, NUM_CLASSES = 4096, 256, 32768


def composed(features: Tensor, table: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(linear(features, table), target)


def ours(features: Tensor, table: Tensor, target: Tensor) -> Tensor:
    return anymax.linear_cross_entropy(features, table, target)


def peak_bytes(function: Callable[[], Tensor]) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function().backward()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    return peak


def main(which: str) -> None:
    torch.manual_seed(0)
    features = torch.randn(NUM_ROWS, IN_FEATURES, requires_grad=True)
    table = (torch.randn(NUM_CLASSES, IN_FEATURES) / 16).requires_grad_()
    target = torch.randint(NUM_CLASSES, (NUM_ROWS,))
    function = {"composed": composed, "eager": ours, "compiled": torch.compile(ours, fullgraph=True)}[which]
    if which == "compiled":
        function(features, table, target).backward()
        features.grad = table.grad = None
    print(json.dumps({"peak_bytes": peak_bytes(lambda: function(features, table, target))}))


if __name__ == "__main__":
    main(sys.argv[1])
