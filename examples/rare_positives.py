"""Yes or no with 1 positive in 1,000: scores and binary_cross_entropy_with_logits.

The sigmoid is not the problem here: the loss is computed from the score and is exact at any imbalance. What changes
with imbalance is which metric means something (accuracy does not) and what a probability threshold does.

`pos_weight` counts each positive p times. The model then learns odds that are p times too large: its order of the
samples stays about the same, its probabilities are no longer frequencies. Subtracting log(p) from the scores undoes it.

Run: python examples/rare_positives.py
"""

import math

import torch
from torch import Tensor

import anymax

SIZE, RATE = 100_000, 1e-3


def rare(size: int) -> tuple[Tensor, Tensor]:
    """Features, and targets of which about one in 1,000 is positive."""
    target = (torch.rand(size) < RATE).float()
    return torch.randn(size, 3) + target[:, None] * torch.tensor([2.0, 1.0, 0.0]), target


def train(features: Tensor, target: Tensor, pos_weight: Tensor | None = None) -> torch.nn.Linear:
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = anymax.binary_cross_entropy_with_logits(model(features).squeeze(1), target, pos_weight=pos_weight)
        value.backward()
        return value

    optimizer.step(loss)
    return model


def average_precision(scores: Tensor, target: Tensor) -> float:
    """The mean, over the positives, of the precision at each one's rank."""
    hits = target[scores.argsort(descending=True)]
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    return (precision * hits).sum().item() / hits.sum().item()


def report(name: str, scores: Tensor, target: Tensor) -> None:
    yes = scores > 0
    print(
        f"{name:30} accuracy {((yes == target.bool()).float().mean()).item():.4f}"
        f"  recall {yes[target.bool()].float().mean().item():.2f}"
        f"  average precision {average_precision(scores, target):.3f}"
        f"  mean probability {scores.sigmoid().mean().item():.5f}"
    )


def main() -> None:
    torch.manual_seed(0)
    features, target = rare(SIZE)
    test_features, test_target = rare(SIZE)
    print(f"positives: {int(target.sum())} of {SIZE} in training, {int(test_target.sum())} of {SIZE} in the test part")
    negatives_per_positive = (1 - target).sum() / target.sum()

    plain = train(features, target)
    weighted = train(features, target, pos_weight=negatives_per_positive)
    with torch.no_grad():
        scores = plain(test_features).squeeze(1)
        weighted_scores = weighted(test_features).squeeze(1)
    rate = test_target.mean().item()
    print(f"{'always no':30} accuracy {1 - rate:.4f}  recall 0.00  average precision {rate:.3f} (chance)")
    report("plain", scores, test_target)
    report("pos_weight", weighted_scores, test_target)
    report("pos_weight, - log(pos_weight)", weighted_scores - math.log(negatives_per_positive), test_target)

    # Far from 0 the loss keeps its digits; the loss of a rounded probability does not.
    score, yes = torch.tensor([-20.0, 20.0]), torch.tensor([1.0, 1.0])
    print("loss from the score:      ", anymax.binary_cross_entropy_with_logits(score, yes, reduction="none"))
    print("loss from the probability:", -score.sigmoid().log())


if __name__ == "__main__":
    main()
