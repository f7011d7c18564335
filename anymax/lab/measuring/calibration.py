"""Temperature scaling: one number, fitted on the validation part, that all scores are divided by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from anymax import entmax
from anymax.lab.measuring import measures
from anymax.lab.results import Scaled
from anymax.nn import TemperatureScaling
from anymax.nn.calibration import NotFinite

# The fit reads at most so many items, spread evenly over the part, and fewer where there are many classes.
MOST_ITEMS, FEWEST_ITEMS = 20_000, 2_000
MOST_SCORES = 1 << 24  # that the number of items aims at
CHUNK = 1 << 21  # scores held at a time

Scores = Callable[[Tensor], Tensor]
Predict = Callable[[Tensor], tuple[Tensor, Tensor]]


def fit(targets: Tensor, features: Tensor, scores: Scores, alpha: float = 1.0) -> TemperatureScaling | None:
    """The temperature with the least negative log-likelihood, or loss of entmax; None where that is not finite.

    Args:
        targets: (items,) class ids of the validation part.
        features: (items, d) what the backbone made of them.
        scores: the head's, or its log-probabilities, which have the same temperature where alpha is 1.
        alpha: of the entmax that makes probabilities of them: 1 is softmax.
    """
    if not len(targets):
        return None
    num_classes = scores(features[:1]).shape[-1]
    most = min(MOST_ITEMS, max(FEWEST_ITEMS, MOST_SCORES // num_classes))
    if len(targets) > most:
        rows = torch.linspace(0, len(targets) - 1, most, device=targets.device, dtype=torch.float64).round().long()
        targets, features = targets[rows], features[rows]
    try:
        rows = _Rows(targets, features, scores, max(1, CHUNK // num_classes))
        return TemperatureScaling(-1, alpha=alpha).fit_batches(rows)
    except NotFinite:
        return None


class _Rows:
    """Scores and targets of a few rows at a time, made each time they are gone through."""

    def __init__(self, targets: Tensor, features: Tensor, scores: Scores, rows_at_a_time: int) -> None:
        self.targets, self.features, self.scores = targets, features, scores
        self.rows_at_a_time = rows_at_a_time

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        features, targets = self.features.split(self.rows_at_a_time), self.targets.split(self.rows_at_a_time)
        return ((self.scores(rows), ids) for rows, ids in zip(features, targets, strict=True))


def log_probs(scores: Tensor, alpha: float) -> Tensor:
    """The logs of the probabilities that entmax makes of scores: 1 is softmax."""
    return scores.log_softmax(-1) if alpha == 1 else entmax(scores, -1, alpha=alpha).log()


def scaled(scaling: TemperatureScaling, targets: Tensor, features: Tensor, scores: Scores, predict: Predict) -> Scaled:
    """What the law reaches on the test part when all its scores are divided by the temperature; the answers stay."""
    outcome = measures.observe(
        targets,
        features,
        log_prob=lambda rows: log_probs(scaling(scores(rows)), scaling.alpha),
        predict=predict,
        alpha=scaling.alpha,
    )
    return Scaled(
        temperature=scaling.temperature.item(),
        at_bound=bool(scaling.at_bound),
        nll=measures.value(outcome, "nll", ()),
        brier=measures.value(outcome, "brier", ()),
        ece=measures.value(outcome, "ece", ()),
        ece_if_calibrated=measures.calibration_error_if_calibrated(outcome),
    )
