"""What looking costs: `python -m tests.inspect.cost`, on an idle machine.

A step of 41 small layers, which is mostly overhead, alone, under a mode of torch that does nothing, while `watch` looks
and after it has left, in turns; and the seconds that `probe` takes on a ResNet-18 of random weights.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import BaseTorchFunctionMode

import anymax

WIDTH, SAMPLES, LINEAR_LAYERS = 64, 32, 21
STEPS, ROUNDS = 50, 40


def toy_step() -> Callable[[], None]:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(WIDTH, WIDTH)]
    for _ in range(LINEAR_LAYERS - 1):
        layers += [nn.ReLU(), nn.Linear(WIDTH, WIDTH)]
    model = nn.Sequential(*layers)
    x, y = torch.randn(SAMPLES, WIDTH), torch.randint(WIDTH, (SAMPLES,))

    def step() -> None:
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()

    return step


def seconds(step: Callable[[], None]) -> float:
    """CPU seconds of a step, the mean of `STEPS`."""
    began = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - began) / STEPS


def under_a_mode(step: Callable[[], None]) -> float:
    """Seconds of a step whose calls torch hands to Python, which does nothing with them: no watch can be cheaper."""
    with BaseTorchFunctionMode():
        return seconds(step)


def watched(step: Callable[[], None]) -> tuple[float, float]:
    """Seconds of a step while it is watched, and in the same block when `watch` has left."""
    with anymax.watch(steps=STEPS):
        return seconds(step), seconds(step)


def main() -> None:
    torch.set_num_threads(1)
    step = toy_step()
    for _ in range(2):
        seconds(step), under_a_mode(step), watched(step)  # warm up
    rounds = [(seconds(step), under_a_mode(step), *watched(step)) for _ in range(ROUNDS)]
    alone, empty, while_on, after = (statistics.median(column) for column in zip(*rounds, strict=True))
    layers = 2 * LINEAR_LAYERS - 1
    print(f"watch, a step of {layers} layers of width {WIDTH}: alone {1e3 * alone:.2f} ms, ", end="")
    print(f"under a mode that does nothing {empty / alone:.2f} times that, ", end="")
    print(f"watched {while_on / alone:.2f}, afterwards {after / alone:.2f}")

    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic")
    model = ResNetForImageClassification(config).eval()
    began, cpu = time.perf_counter(), time.process_time()
    anymax.probe(model, torch.randn(4, 3, 224, 224))
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"probe, {parameters / 1e6:.0f} million parameters, 4 images of 224 x 224: {elapsed:.1f} s ({cpu:.1f} s CPU)")


if __name__ == "__main__":
    main()
