"""What a trained method reached on a part whose rows have any number of labels: a yes or no for each label."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, log_expit
from sklearn.metrics import accuracy_score, average_precision_score, f1_score
from torch import Tensor

from anymax.lab.measure import MEASURES, measured
from anymax.lab.measuring.measures import recall_bins
from anymax.lab.measuring.reliability import bins, calibration_error, error_if_calibrated
from anymax.lab.results import Tested
from anymax.lab.statistics import influence

ROWS = 1 << 14  # looked at together
MOST_DRAWN = 1 << 24  # decisions, for the calibration error that chance makes


@dataclass(frozen=True)
class LabelOutcome:
    """Of each row of a part, in its order, and each label: (rows, labels).

    Args:
        targets: whether the row has it.
        predictions: whether the head says so.
        log_odds: the logit of the probability that the head gives it, nats.
    """

    targets: np.ndarray
    predictions: np.ndarray
    log_odds: np.ndarray

    @property
    def nll(self) -> np.ndarray:
        """(rows,), the mean over the labels of -log of the probability given to the truth, nats."""
        signed = np.where(self.targets, self.log_odds, -self.log_odds)
        return -log_expit(signed.astype(np.float64)).mean(axis=1)

    @property
    def brier(self) -> np.ndarray:
        """(rows,), the mean over the labels of the squared distance between probability and truth."""
        return np.square(expit(self.log_odds.astype(np.float64)) - self.targets).mean(axis=1)


def observe(targets: Tensor, features: Tensor, answer: Callable[[Tensor], tuple[Tensor, Tensor]]) -> LabelOutcome:
    """Apply a head to the features of a part.

    Args:
        targets: (rows, labels), 1 for each label that a row has, else 0.
        features: (rows, d), what the backbone made of the rows.
        answer: what the head makes of them: its yes or no, and the log-odds of its law, (rows, labels) each.
    """
    answers, log_odds = zip(*(answer(rows) for rows in features.split(ROWS)), strict=True)
    return LabelOutcome(
        targets.cpu().numpy() > 0.5, torch.cat(answers).cpu().numpy(), torch.cat(log_odds).float().cpu().numpy()
    )


def constant(targets: Tensor, log_odds: Tensor) -> LabelOutcome:
    """The outcome of saying the same (labels,) of every row."""
    said = log_odds.float().numpy()
    return LabelOutcome(
        targets.numpy() > 0.5, np.broadcast_to(said > 0, targets.shape), np.broadcast_to(said, targets.shape)
    )


def value(outcome: LabelOutcome, key: str, measured_ids: Sequence[int]) -> float | None:
    """One measure of an outcome; None where it is not finite, or there is no row to take it from.

    Args:
        outcome: of the part.
        key: a key of `anymax.lab.measure.MEASURES` that rows with labels have.
        measured_ids: the labels that macro-F1 and average precision are taken over.
    """
    if key == "average_precision":
        return _mean([average_precision(outcome, label) for label in measured_ids])
    if key == "nll":
        return _finite(float(outcome.nll.mean()))
    if key == "brier":
        return _finite(float(outcome.brier.mean()))
    if key == "ece":
        return calibration_error(bins(*_decisions(outcome)))
    if key == "exact":
        return float(accuracy_score(outcome.targets, outcome.predictions))
    if key in ("macro_f1", "micro_f1"):
        average = key.removesuffix("_f1")
        return float(
            f1_score(
                outcome.targets,
                outcome.predictions,
                labels=list(measured_ids) if average == "macro" else None,
                average=average,
                zero_division=0,  # pyright: ignore[reportArgumentType]: the stubs know only "warn"
            )
        )
    raise ValueError(f"value: expected a measure of {sorted(MEASURES)}, got '{key}'.")


def average_precision(outcome: LabelOutcome, label: int) -> float | None:
    """That of one label; None where no row of the part has it, or a score is not finite."""
    targets, scores = outcome.targets[:, label], outcome.log_odds[:, label]
    if not targets.any() or not np.isfinite(scores).all():
        return None
    return float(average_precision_score(targets, scores))


def of_test_part(
    outcome: LabelOutcome, measured_ids: Sequence[int], *, label_counts: Sequence[int], label_names: Sequence[str]
) -> Tested:
    """All that is taken on the test part.

    Args:
        outcome: of the test part.
        measured_ids: the labels that stand in every part.
        label_counts: rows of each label in the training part.
        label_names: of each label.
    """
    confidence, is_true = _decisions(outcome)
    has = outcome.targets
    return Tested(
        measures={key: value(outcome, key, measured_ids) for key in measured("multilabel")},
        ece_if_calibrated=error_if_calibrated(confidence, min(200, max(1, MOST_DRAWN // max(1, len(confidence))))),
        reliability=bins(confidence, is_true),
        recall=recall_bins((has & outcome.predictions).sum(0), has.sum(0), measured_ids, label_counts, label_names),
        average_precisions=[average_precision(outcome, label) for label in range(has.shape[1])],
    )


def by_item(outcome: LabelOutcome, measured_ids: Sequence[int]) -> dict[str, np.ndarray]:
    """What each row adds to a measure, as `anymax.lab.measuring.measures.by_item`."""
    has, says = outcome.targets, outcome.predictions
    hits, said = 2.0 * (has & says), 1.0 * has + says
    adds = {
        "exact": (has == says).all(axis=1),
        "nll": outcome.nll,
        "brier": outcome.brier,
        "macro_f1": influence.f1(hits, said)[:, list(measured_ids)].mean(axis=1),
        "micro_f1": influence.f1(hits.sum(axis=1), said.sum(axis=1)),
    }
    ranked = [label for label in measured_ids if has[:, label].any()]
    if ranked and np.isfinite(outcome.log_odds).all():
        scores = outcome.log_odds
        adds["average_precision"] = np.mean(
            [influence.average_precision(scores[:, i], has[:, i]) for i in ranked], axis=0
        )
    found = {key: numbers for key, numbers in adds.items() if np.isfinite(numbers).all()}
    return {key: numbers if numbers.dtype == bool else numbers.astype(np.float32) for key, numbers in found.items()}


def _decisions(outcome: LabelOutcome) -> tuple[np.ndarray, np.ndarray]:
    """The probability of every label of every row, and whether the row has it."""
    return expit(outcome.log_odds.astype(np.float64)).ravel(), outcome.targets.ravel()


def _mean(numbers: Sequence[float | None]) -> float | None:
    """Over the labels that have a number: those without a row in a part say nothing there."""
    found = [number for number in numbers if number is not None]
    return float(np.mean(found)) if found else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
