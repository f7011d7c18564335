"""Print how long small calls take beside torch's own: (32, 10), float32, one thread, medians of alternating runs.

Processor time of the thread, so that other work on the machine adds less to it.

    python bench/small_calls.py

A first look checks that both give the same values and gradients; a ratio of a wrong answer says nothing.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, softmax
from torch.testing import assert_close

import anymax

ROUNDS, CALLS = 60, 400
Loss = Callable[[Tensor], Tensor]

TARGET = torch.arange(32) % 10
PAIRS: dict[str, tuple[Loss, Loss]] = {
    "softmax": (lambda x: softmax(x, 1), lambda x: anymax.softmax(x, 1)),
    "log_softmax": (lambda x: log_softmax(x, 1), lambda x: anymax.log_softmax(x, 1)),
    "logsumexp": (lambda x: torch.logsumexp(x, 1), lambda x: anymax.logsumexp(x, 1)),
    "cross_entropy": (lambda x: cross_entropy(x, TARGET), lambda x: anymax.cross_entropy(x, TARGET)),
}


def forward(function: Loss, x: Tensor) -> Callable[[], object]:
    return lambda: function(x)


def forward_backward(function: Loss, x: Tensor) -> Callable[[], object]:
    upstream = torch.ones_like(function(x))
    return lambda: torch.autograd.grad(function(x), x, upstream)


def microseconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    for _ in range(CALLS):
        call()
    return (time.thread_time() - start) / CALLS * 1e6


def check(theirs: Loss, ours: Loss) -> None:
    x = torch.randn(32, 10, requires_grad=True)
    assert_close(ours(x), theirs(x))
    weights = torch.randn_like(theirs(x))
    assert_close(torch.autograd.grad(ours(x), x, weights), torch.autograd.grad(theirs(x), x, weights))


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, (32, 10) float32, one thread, microseconds per call, median of {ROUNDS} rounds")
    print(f"{'function':15}{'call':24}{'torch':>8}{'anymax':>8}{'ratio':>7}")
    for name, (theirs, ours) in PAIRS.items():
        check(theirs, ours)
        plain, learning = torch.randn(32, 10), torch.randn(32, 10, requires_grad=True)
        for kind, make, x in (
            ("without gradient", forward, plain),
            ("input requires grad", forward, learning),
            ("forward and backward", forward_backward, learning),
        ):
            calls = make(theirs, x), make(ours, x)
            gc.collect()
            times = [(microseconds(calls[0]), microseconds(calls[1])) for _ in range(ROUNDS)]
            torch_time, own_time = (statistics.median(column) for column in zip(*times, strict=True))
            ratio = statistics.median(own / other for other, own in times)
            print(f"{name:15}{kind:24}{torch_time:8.2f}{own_time:8.2f}{ratio:7.2f}")


if __name__ == "__main__":
    main()
