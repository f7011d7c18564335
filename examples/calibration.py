"""Whether a probability of 0.9 is right nine times in ten: a network before and after temperature scaling.

Five overlapping classes, so that nobody can be right all the time, and a network that learns its 500 training rows by
heart. It goes on lowering the loss by growing its scores, so that its probabilities say more than it knows. One number,
the temperature that suits rows it was not trained on, mends the mean; every prediction and the accuracy stay.

Run: python examples/calibration.py
"""

import torch
from torch import Tensor

import anymax

CLASSES, WIDTH = 5, 10


def rows(centres: Tensor, size: int) -> tuple[Tensor, Tensor]:
    target = torch.randint(CLASSES, (size,))
    return centres[target] + torch.randn(size, WIDTH), target


def train(features: Tensor, target: Tensor) -> torch.nn.Module:
    network = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, CLASSES),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(300):
        optimizer.zero_grad()
        anymax.cross_entropy(network(features), target).backward()
        optimizer.step()
    return network


def best_temperature(scores: Tensor, target: Tensor) -> float:
    """The temperature at which the scores have the smallest cross-entropy."""
    log_temperature = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = anymax.cross_entropy(scores, target, temperature=log_temperature.exp())
        value.backward()
        return value

    optimizer.step(loss)
    return log_temperature.exp().item()


def report(name: str, scores: Tensor, target: Tensor, temperature: float = 1.0) -> None:
    confidence, predicted = anymax.softmax(scores, dim=1, temperature=temperature).max(1)
    correct = (predicted == target).float()
    sure = confidence > 0.99
    print(
        f"{name:22} mean confidence {confidence.mean().item():.3f}  accuracy {correct.mean().item():.3f}"
        f"  share above 0.99 {sure.float().mean().item():.3f}  accuracy there {correct[sure].mean().item():.3f}"
        f"  loss {anymax.cross_entropy(scores, target, temperature=temperature).item():.3f}"
    )


def main() -> None:
    torch.manual_seed(0)
    centres = 0.7 * torch.randn(CLASSES, WIDTH)
    network = train(*rows(centres, 500))
    held_out, held_out_target = rows(centres, 2000)
    test, test_target = rows(centres, 10_000)
    with torch.no_grad():
        held_out_scores, scores = network(held_out), network(test)
    temperature = best_temperature(held_out_scores, held_out_target)
    report("as trained", scores, test_target)
    report("temperature scaled", scores, test_target, temperature)
    # the classes are normal with variance 1, so these scores give the true probabilities
    report("the true probabilities", -0.5 * torch.cdist(test, centres) ** 2, test_target)
    print(f"temperature: {temperature:.2f}")


if __name__ == "__main__":
    main()
