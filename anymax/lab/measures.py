"""What a trained method reached on a part, from one look at each of its items."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import Tensor

from anymax.lab.parts import Task
from anymax.lab.results import ReliabilityBin, Tested

NUM_BINS = 15
NUM_TEXT_BLOCKS = 50
MOST_SCORES = 1 << 22  # scores held at a time

MEASURED: dict[Task, tuple[str, ...]] = {
    "classification": ("top1", "macro_f1", "nll", "brier", "ece"),
    "text": ("perplexity", "nll", "top1", "brier", "ece"),
}


@dataclass(frozen=True)
class Law:
    """What a head's probabilities say about each item of a part."""

    nll: np.ndarray  # -log of the target's probability, nats
    brier: np.ndarray  # squared distance between the probabilities and the truth
    confidence: np.ndarray  # the largest probability


@dataclass(frozen=True)
class Outcome:
    """Target and prediction of each item of a part, in its order; `law` is None where the head defines none."""

    targets: np.ndarray
    predictions: np.ndarray
    law: Law | None


def observe(
    targets: Tensor, features: Tensor, *, log_prob: Callable[[Tensor], Tensor] | None, predict: Callable
) -> Outcome:
    """Apply a head to the features (items, d) of a part, a few rows at a time.

    Args:
        targets: (items,) class ids.
        features: what the backbone made of the items.
        log_prob: the head's exactly normalised log-probabilities, or None where it defines no law.
        predict: the head's `predict`, used where there is no law.
    """
    if log_prob is None:
        predictions = torch.cat([predict(rows)[1][..., 0] for rows in features.split(1 << 14)])
        return Outcome(targets.cpu().numpy(), predictions.cpu().numpy(), None)
    num_classes = log_prob(features[:1]).shape[-1]
    rows_at_a_time = max(1, MOST_SCORES // num_classes)
    seen = [
        _look(log_prob(rows), row_targets)
        for rows, row_targets in zip(features.split(rows_at_a_time), targets.split(rows_at_a_time), strict=True)
    ]
    predictions, nll, brier, confidence = (torch.cat(column).cpu().numpy() for column in zip(*seen, strict=True))
    return Outcome(targets.cpu().numpy(), predictions, Law(nll, brier, confidence))


def constant(targets: Tensor, log_probs: Tensor) -> Outcome:
    """The outcome of telling the same probabilities (num_classes,) for every item."""
    log_probs = log_probs.double()
    probs = log_probs.exp()
    law = Law(
        nll=-log_probs[targets].numpy(),
        brier=(1 + probs.square().sum() - 2 * probs[targets]).numpy(),
        confidence=np.full(len(targets), float(probs.max())),
    )
    return Outcome(targets.numpy(), np.full(len(targets), int(probs.argmax())), law)


def _look(log_probs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per row: prediction, nll of the target, Brier score, confidence."""
    best, predictions = log_probs.max(-1)
    of_target = log_probs.gather(-1, targets[:, None])[:, 0].double()
    squares = (2 * log_probs.double()).exp().sum(-1)
    # rounding may put the largest probability a hair above 1
    confidence = best.double().exp().clamp(max=1.0)
    return predictions, -of_target, 1 + squares - 2 * of_target.exp(), confidence


def value(outcome: Outcome, key: str, measured_classes: Sequence[int]) -> float | None:
    """One measure of an outcome; None where the head defines no law or the number is not finite.

    Args:
        outcome: predictions, and where there is a law its numbers, per item.
        key: a key of `anymax.lab.results.MEASURES`.
        measured_classes: the classes that macro-F1 is taken over.
    """
    if key == "top1":
        return float(np.mean(outcome.predictions == outcome.targets))
    if key == "macro_f1":
        return float(
            f1_score(
                outcome.targets,
                outcome.predictions,
                labels=list(measured_classes),
                average="macro",
                zero_division=0,  # pyright: ignore[reportArgumentType]: the stubs know only "warn"
            )
        )
    if outcome.law is None:
        return None
    if key == "nll":
        return _finite(float(np.mean(outcome.law.nll)))
    if key == "perplexity":
        mean = float(np.mean(outcome.law.nll))
        return _finite(math.exp(mean)) if mean < 700 else None  # exp overflows at 710
    if key == "brier":
        return _finite(float(np.mean(outcome.law.brier)))
    if key == "ece":
        return calibration_error(reliability(outcome))
    raise ValueError(f"value: expected a measure of {sorted(MEASURED['classification'])}, got '{key}'.")


def values(outcome: Outcome, task: Task, measured_classes: Sequence[int]) -> dict[str, float | None]:
    """Every measure that the task has."""
    return {key: value(outcome, key, measured_classes) for key in MEASURED[task]}


def tested(outcome: Outcome, task: Task, measured_classes: Sequence[int]) -> Tested:
    """All that is taken on the test part."""
    block_items, block_sums = by_block(outcome) if task == "text" else ([], {})
    return Tested(
        measures=values(outcome, task, measured_classes),
        ece_if_calibrated=calibration_error_if_calibrated(outcome),
        reliability=reliability(outcome),
        block_items=block_items,
        block_sums=block_sums,
    )


def reliability(outcome: Outcome) -> list[ReliabilityBin]:
    """Confidence against accuracy in 15 bins of equal width, each open below and closed above; empty ones left out.

    The last bin holds a confidence of exactly 1 and the first one of exactly 0.
    """
    if outcome.law is None or not np.isfinite(outcome.law.confidence).all():
        return []
    confidence = outcome.law.confidence
    bins = _bins(confidence)
    counts = np.bincount(bins, minlength=NUM_BINS)
    confidences = np.bincount(bins, confidence, NUM_BINS)
    hits = np.bincount(bins, outcome.predictions == outcome.targets, NUM_BINS)
    return [
        ReliabilityBin(float(confidences[i] / counts[i]), float(hits[i] / counts[i]), int(counts[i]))
        for i in np.flatnonzero(counts)
    ]


def calibration_error(bins: Sequence[ReliabilityBin]) -> float | None:
    """The mean distance between confidence and accuracy, weighted by the items in each bin."""
    total = sum(bin.count for bin in bins)
    if not total:
        return None
    return sum(bin.count * abs(bin.confidence - bin.accuracy) for bin in bins) / total


def calibration_error_if_calibrated(outcome: Outcome, draws: int = 200) -> float | None:
    """The calibration error to expect of a model with these confidences that is right as often as it says.

    It is not 0: in a finite part accuracy and confidence differ by chance. Simulated, always with the same draws.
    """
    if outcome.law is None or not len(outcome.targets) or not np.isfinite(outcome.law.confidence).all():
        return None
    confidence = outcome.law.confidence
    bins = _bins(confidence)
    confidences = np.bincount(bins, confidence, NUM_BINS)
    generator = np.random.default_rng(0)
    errors = [
        np.abs(np.bincount(bins, generator.random(len(bins)) < confidence, NUM_BINS) - confidences).sum()
        for _ in range(draws)
    ]
    return float(np.mean(errors) / len(bins))


def by_block(outcome: Outcome) -> tuple[list[int], dict[str, list[float]]]:
    """Number of items and sum of the nll per contiguous block of the part, for a bootstrap over blocks."""
    if outcome.law is None or not np.isfinite(outcome.law.nll).all():
        return [], {}
    blocks = [
        block for block in np.array_split(outcome.law.nll, min(NUM_TEXT_BLOCKS, len(outcome.targets))) if len(block)
    ]
    return [len(block) for block in blocks], {"nll": [float(block.sum()) for block in blocks]}


def _bins(confidence: np.ndarray) -> np.ndarray:
    inner_edges = np.linspace(0, 1, NUM_BINS + 1)[1:-1]
    return np.digitize(confidence, inner_edges, right=True)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
