"""What softmax, its loss over a large class table, and Gumbel-softmax cost, as ratios measured here and now.

The rivals take turns on one thread, and the median of their processor times counts, so that a busy machine changes
the ratios little.

Run: python examples/what_softmax_costs.py
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

import anymax


def seconds(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median processor time of each call, called in turn: what other programs take does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def maps(rows: int, classes: int, rounds: int) -> None:
    features, weight = torch.randn(rows, 512), torch.randn(classes, 512)
    scores = torch.randn(rows, classes)
    found = seconds(
        {
            "a copy": scores.clone,
            "the largest entry of each row": lambda: scores.amax(1),
            "softmax": lambda: anymax.softmax(scores, dim=1),
            "a linear layer of 512 features": lambda: F.linear(features, weight),
            "torch's gumbel_softmax": lambda: F.gumbel_softmax(scores, dim=1),
            "anymax's gumbel_softmax": lambda: anymax.gumbel_softmax(scores, dim=1),
        },
        rounds,
    )
    print(f"scores ({rows}, {classes}), as multiples of a copy:")
    for name, value in found.items():
        print(f"  {name:30} {value / found['a copy']:.1f}")


def step(rows: int, width: int, classes: int, rounds: int) -> None:
    features, target = torch.randn(rows, width, requires_grad=True), torch.randint(classes, (rows,))
    table = torch.nn.Linear(width, classes)
    plain_features, weight, bias = features.detach(), table.weight.detach(), table.bias.detach()
    noise = anymax.noise.Uniform(classes)
    scores = table(features).detach()
    gradient = scores.softmax(1).div_(rows)

    def exact() -> None:
        table.zero_grad()
        F.cross_entropy(table(features), target).backward()

    def sampled() -> None:
        table.zero_grad()
        loss = anymax.nce_loss(features, table.weight, target, noise, linear_bias=table.bias, sparse=True)
        loss.backward()

    def loss_of_scores() -> None:
        leaf = scores.detach().requires_grad_()
        F.cross_entropy(leaf, target).backward()

    found = seconds(
        {
            "product": lambda: F.linear(plain_features, weight, bias),
            "table gradient": lambda: gradient.T @ plain_features,
            "features gradient": lambda: gradient @ weight,
            "softmax": lambda: anymax.softmax(scores, dim=1),
            "loss": loss_of_scores,
            "exact": exact,
            "nce": sampled,
        },
        rounds,
    )
    print(f"features ({rows}, {width}), table ({classes}, {width}), as shares of a step with exact cross-entropy:")
    for label, name in (
        ("features times table", "product"),
        ("the table's gradient", "table gradient"),
        ("the features' gradient", "features gradient"),
        ("cross_entropy of the scores, forward and backward", "loss"),
        ("a softmax of the scores, for comparison", "softmax"),
        ("a step with nce_loss, 64 draws, sparse gradients", "nce"),
    ):
        print(f"  {label:50} {found[name] / found['exact']:.2f}")
    print(f"  the scores take {4 * rows * classes / 2**20:.0f} MiB, the table {4 * width * classes / 2**20:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--classes", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=11)
    sizes = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {platform.machine()}, one thread")
    maps(sizes.rows, min(sizes.classes, 1000), sizes.rounds)
    step(sizes.rows, sizes.width, sizes.classes, sizes.rounds)


if __name__ == "__main__":
    main()
