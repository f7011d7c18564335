"""The peak of memory that one training step takes."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

SILENT = "6"  # above all levels of the profiler's own log, of which USDT, "profiler_start", goes to every terminal


def peak_of_step(step: Callable[[], object], device: torch.device) -> int:
    """The most bytes of tensors that live at once during `step()`, above those that live before it.

    So parameters, inputs and the optimizer's state are not counted where they are there already: make one step, set
    the gradients to None, and measure the second. The gradients are counted.

    On CUDA this is the allocator's own peak. Elsewhere it is the running sum of allocations and frees that the
    profiler records, of this call alone: what ran before it in the process does not show.

    Args:
        step: one training step.
        device: where it computes.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", SILENT)  # read when a process profiles for the first time
    with _no_garbage(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
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


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """Keep tensors of what ran before from being freed here, of which the profiler would warn."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
