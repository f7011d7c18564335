"""Temperature scaling: one number, fitted on the validation part, that all scores are divided by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.optimize import root_scalar
from torch import Tensor

from anymax.lab.measuring import measures
from anymax.lab.results import Scaled

COLDEST, HOTTEST = 0.01, 100.0  # the temperatures that are searched
# The fit reads at most so many items, spread evenly over the part, and fewer where there are many classes.
MOST_ITEMS, FEWEST_ITEMS = 20_000, 2_000
MOST_SCORES = 1 << 24  # that the number of items aims at
CHUNK = 1 << 21  # scores held at a time

LogProb = Callable[[Tensor], Tensor]
Predict = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Temperature:
    """The best temperature, and whether it lies at or beyond the end of those that were searched."""

    value: float
    at_bound: bool


def fit(targets: Tensor, features: Tensor, log_prob: LogProb) -> Temperature | None:
    """The temperature with the least negative log-likelihood; None where that is not finite.

    With b = 1 / T and z the log-probabilities, the mean negative log-likelihood of softmax(b z) is convex in b, and
    its derivative, the mean of sum_j p_j z_j - z_target, grows with b. So its root is bracketed and halved in on,
    and there is none to be found only where the derivative has one sign over the whole range: where colder is
    always better (every item is right) or hotter is (the scores point away from the targets). A temperature on
    log-probabilities gives the same law as one on the scores.

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
    rows_at_a_time = max(1, CHUNK // num_classes)

    def slope(log_b: float) -> float:
        total = 0.0
        for rows, row_targets in zip(features.split(rows_at_a_time), targets.split(rows_at_a_time), strict=True):
            z = log_prob(rows).double()
            p = (math.exp(log_b) * z).softmax(-1)
            # 0 times a score of -inf, a masked class, is 0
            expected = torch.where(p > 0, p * z, 0.0).sum(-1)
            total += float((expected - z.gather(-1, row_targets[:, None])[:, 0]).sum())
        return total / len(targets)

    hottest, coldest = math.log(1 / HOTTEST), math.log(1 / COLDEST)
    at_hottest, at_coldest = slope(hottest), slope(coldest)
    if not (math.isfinite(at_hottest) and math.isfinite(at_coldest)):
        return None
    if at_hottest >= 0:
        return Temperature(HOTTEST, at_bound=True)
    if at_coldest <= 0:
        return Temperature(COLDEST, at_bound=True)
    found = root_scalar(slope, bracket=(hottest, coldest), method="brentq", xtol=1e-6)
    return Temperature(math.exp(-found.root), at_bound=False)


def scaled(temperature: Temperature, targets: Tensor, features: Tensor, log_prob: LogProb, predict: Predict) -> Scaled:
    """What the law reaches on the test part when all its scores are divided by `temperature`; the answers stay."""
    outcome = measures.observe(
        targets,
        features,
        log_prob=lambda rows: (log_prob(rows) / temperature.value).log_softmax(-1),
        predict=predict,
    )
    return Scaled(
        temperature=temperature.value,
        at_bound=temperature.at_bound,
        nll=measures.value(outcome, "nll", ()),
        brier=measures.value(outcome, "brier", ()),
        ece=measures.value(outcome, "ece", ()),
        ece_if_calibrated=measures.calibration_error_if_calibrated(outcome),
    )
