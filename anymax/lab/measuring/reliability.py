"""How often what is said with some confidence is true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anymax.lab.results import ReliabilityBin

NUM_BINS = 15


def bins(confidence: np.ndarray, is_true: np.ndarray) -> list[ReliabilityBin]:
    """Confidence against accuracy in 15 bins of equal width, each open below and closed above; empty ones left out.

    The last bin holds a confidence of exactly 1 and the first one of exactly 0. There are none where a confidence is
    not finite.
    """
    if not np.isfinite(confidence).all():
        return []
    places = _places(confidence)
    counts = np.bincount(places, minlength=NUM_BINS)
    confidences = np.bincount(places, confidence, NUM_BINS)
    hits = np.bincount(places, is_true, NUM_BINS)
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


def error_if_calibrated(confidence: np.ndarray, draws: int = 200) -> float | None:
    """The calibration error to expect of a model with these confidences that is right as often as it says.

    It is not 0: in a finite part accuracy and confidence differ by chance. Simulated, always with the same draws.
    """
    if not len(confidence) or not np.isfinite(confidence).all():
        return None
    places = _places(confidence)
    confidences = np.bincount(places, confidence, NUM_BINS)
    generator = np.random.default_rng(0)
    errors = [
        np.abs(np.bincount(places, generator.random(len(places)) < confidence, NUM_BINS) - confidences).sum()
        for _ in range(draws)
    ]
    return float(np.mean(errors) / len(places))


def _places(confidence: np.ndarray) -> np.ndarray:
    inner_edges = np.linspace(0, 1, NUM_BINS + 1)[1:-1]
    return np.digitize(confidence, inner_edges, right=True)
