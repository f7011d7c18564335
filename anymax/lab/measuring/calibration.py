"""Temperature scaling: one number, fitted on the validation part, that all scores are divided by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from anymax.lab.measuring import measures
from anymax.lab.results import Scaled
from anymax.nn import TemperatureScaling
from anymax.nn.calibration import NotFinite

# The fit reads at most so many items, spread evenly over the part, and fewer where there are many classes.
MOST_ITEMS, FEWEST_ITEMS = 20_000, 2_000
MOST_SCORES = 1 << 24  # that the number of items aims at
CHUNK = 1 << 21  # scores held at a time

LogProb = Callable[[Tensor], Tensor]
Predict = Callable[[Tensor], tuple[Tensor, Tensor]]


def fit(targets: Tensor, features: Tensor, log_prob: LogProb) -> TemperatureScaling | None:
    """The temperature with the least negative log-likelihood; None where that is not finite.

    A temperature on log-probabilities gives the same law as one on the scores.

    Args:
        targets: (items,) class ids of the validation part.
        features: (items, d) what the backbone made of them.
        log_prob: the head's exactly normalised log-probabilities.
    """
    if not len(targets):
        return None
    num_classes = log_prob(features[:1]).shape[-1]
    most = min(MOST_ITEMS, max(FEWEST_ITEMS, MOST_SCORES // num_classes))
    if len(targets) > most:
        rows = torch.linspace(0, len(targets) - 1, most, device=targets.device, dtype=torch.float64).round().long()
        targets, features = targets[rows], features[rows]
    try:
        return TemperatureScaling(-1).fit_batches(_Laws(targets, features, log_prob, max(1, CHUNK // num_classes)))
    except NotFinite:
        return None


class _Laws:
    """Log-probabilities and targets of a few rows at a time, made each time they are gone through."""

    def __init__(self, targets: Tensor, features: Tensor, log_prob: LogProb, rows_at_a_time: int) -> None:
        self.targets, self.features, self.log_prob = targets, features, log_prob
        self.rows_at_a_time = rows_at_a_time

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        features, targets = self.features.split(self.rows_at_a_time), self.targets.split(self.rows_at_a_time)
        return ((self.log_prob(rows), ids) for rows, ids in zip(features, targets, strict=True))


def scaled(
    scaling: TemperatureScaling, targets: Tensor, features: Tensor, log_prob: LogProb, predict: Predict
) -> Scaled:
    """What the law reaches on the test part when all its scores are divided by the temperature; the answers stay."""
    outcome = measures.observe(
        targets,
        features,
        log_prob=lambda rows: scaling(log_prob(rows)).log_softmax(-1),
        predict=predict,
    )
    return Scaled(
        temperature=scaling.temperature.item(),
        at_bound=bool(scaling.at_bound),
        nll=measures.value(outcome, "nll", ()),
        brier=measures.value(outcome, "brier", ()),
        ece=measures.value(outcome, "ece", ()),
        ece_if_calibrated=measures.calibration_error_if_calibrated(outcome),
    )
