"""What a trained method reached on a part, from one look at each of its items."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch import Tensor

from anymax.lab.measure import MEASURES, Task, measured
from anymax.lab.measuring.reliability import bins, calibration_error, error_if_calibrated
from anymax.lab.results import LogZ, RecallBin, ReliabilityBin, Scaled, Tested
from anymax.lab.statistics import influence

MOST_SCORES = 1 << 22  # scores held at a time
MOST_RANKED = 1 << 26  # scores kept for average precision; where there are more it is not taken
TOP = 5
RARE_SHARE = 0.1  # of its even share, below which a class is rare
MOST_NAMED = 50  # measured classes up to which each has a recall of its own
RECALL_BINS = 15


@dataclass(frozen=True)
class Law:
    """What a head's probabilities say about each item of a part."""

    nll: np.ndarray  # -log of the target's probability, nats
    brier: np.ndarray  # squared distance between the probabilities and the truth
    confidence: np.ndarray  # the probability of the answer, the largest one where the head answers by its probabilities
    has_zeros: bool = False  # probabilities are made by a map that gives 0, so that nll may be infinite


@dataclass(frozen=True)
class Outcome:
    """Target and prediction of each item of a part, in its order; `law` is None where the head defines none.

    The prediction is the head's own answer, which need not be the most probable class of its law.

    The rest is there where the head's scores were looked at: whether the target is among the five best (None also
    where there are no more than five classes), log Z (None without a law), and what average precision ranks by.
    """

    targets: np.ndarray
    predictions: np.ndarray
    law: Law | None
    in_top5: np.ndarray | None = None
    log_z: np.ndarray | None = None
    ranked_by: np.ndarray | None = None  # (items, classes); None where there are too many to keep


def observe(
    targets: Tensor,
    features: Tensor,
    *,
    log_prob: Callable[[Tensor], Tensor] | None,
    predict: Callable[[Tensor], tuple[Tensor, Tensor]],
    scores: Callable[[Tensor], Tensor] | None = None,
    ranks: bool = False,
    alpha: float = 1.0,
    has_log_z: bool = True,
) -> Outcome:
    """Apply a head to the features (items, d) of a part, a few rows at a time.

    Args:
        targets: (items,) class ids.
        features: what the backbone made of the items.
        log_prob: the head's exactly normalised log-probabilities, or None where it defines no law.
        predict: the head's `predict`, whose first class is its answer.
        scores: the head's `scores`, for the measures that need them; None leaves those out.
        ranks: whether to keep what average precision needs, in the memory of all scores.
        alpha: of the entmax that makes the law of the scores: 1 is softmax.
        has_log_z: whether the log-probabilities are the scores less one number for each item.
    """
    in_top5 = log_z = ranked_by = None
    if scores:
        in_top5, log_z, ranked_by = _ranking(targets, features, log_prob, scores, ranks, alpha)
    ranking = in_top5, log_z if has_log_z else None, ranked_by
    if log_prob is None:
        predictions = torch.cat([predict(rows)[1][..., 0] for rows in features.split(1 << 14)])
        return Outcome(targets.cpu().numpy(), predictions.cpu().numpy(), None, *ranking)
    seen = [
        _per_row(log_prob(rows), row_targets, predict(rows)[1][:, 0])
        for rows, row_targets in _chunks(features, targets, log_prob)
    ]
    predictions, nll, brier, confidence = (torch.cat(column).cpu().numpy() for column in zip(*seen, strict=True))
    return Outcome(targets.cpu().numpy(), predictions, Law(nll, brier, confidence, alpha > 1), *ranking)


def _chunks(features: Tensor, targets: Tensor, scores: Callable[[Tensor], Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and targets, so many that their scores do not fill the memory."""
    rows_at_a_time = max(1, MOST_SCORES // scores(features[:1]).shape[-1])
    return zip(features.split(rows_at_a_time), targets.split(rows_at_a_time), strict=True)


def _ranking(
    targets: Tensor,
    features: Tensor,
    log_prob: Callable[[Tensor], Tensor] | None,
    scores: Callable[[Tensor], Tensor],
    ranks: bool,
    alpha: float,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """What `Outcome` holds of the scores.

    A law's scores may move with the item without changing its probabilities, so its items are ranked by
    log-probability, or by what continues a power of the probability below 0; without a law the scores themselves rank
    them.
    """
    num_classes = scores(features[:1]).shape[-1]
    in_top5, log_z, ranked_by = [], [], []
    for rows, row_targets in _chunks(features, targets, scores):
        row_scores = scores(rows)
        if num_classes > TOP:
            in_top5.append((row_scores.topk(TOP).indices == row_targets[:, None]).any(-1))
        if log_prob is not None:
            log_z.append(row_scores.double().logsumexp(-1))
        if ranks and len(targets) * num_classes <= MOST_RANKED:
            ranked_by.append(row_scores if log_prob is None else _comparable(row_scores, log_prob(rows), alpha))
    columns = (torch.cat(column).cpu().numpy() if column else None for column in (in_top5, log_z, ranked_by))
    return tuple(columns)  # type: ignore[return-value]


def _comparable(scores: Tensor, log_probs: Tensor, alpha: float) -> Tensor:
    """Of a map with zeros p^(alpha - 1) / (alpha - 1), where it is 0 how far the score is below that; else log p."""
    if alpha == 1:
        return log_probs
    power = alpha - 1
    return scores - scores.amax(-1, keepdim=True) + (power * log_probs.amax(-1, keepdim=True)).exp() / power


def of_log_probs(targets: Tensor, log_probs: Tensor, *, scores: bool, ranks: bool) -> Outcome:
    """What is known of log-probabilities that are there already, such as those of another library's classifier.

    Args:
        targets: (items,) class ids.
        log_probs: (items, classes), normalised.
        scores: whether to take the measures that need scores, which these are too.
        ranks: as for `observe`.
    """
    return observe(
        targets,
        log_probs,
        log_prob=lambda rows: rows,
        predict=lambda rows: rows.topk(1),
        scores=(lambda rows: rows) if scores else None,
        ranks=ranks,
    )


def constant(targets: Tensor, log_probs: Tensor) -> Outcome:
    """The outcome of predicting the same probabilities (num_classes,) for every item."""
    log_probs = log_probs.double()
    probs = log_probs.exp()
    law = Law(
        nll=-log_probs[targets].numpy(),
        brier=(1 + probs.square().sum() - 2 * probs[targets]).numpy(),
        confidence=np.full(len(targets), float(probs.max())),
    )
    num_classes = len(log_probs)
    best = log_probs.topk(min(TOP, num_classes)).indices
    return Outcome(
        targets.numpy(),
        np.full(len(targets), int(probs.argmax())),
        law,
        in_top5=torch.isin(targets, best).numpy() if num_classes > TOP else None,
        # a view: one row stands for all
        ranked_by=log_probs.expand(len(targets), -1).numpy() if len(targets) * num_classes <= MOST_RANKED else None,
    )


def _per_row(log_probs: Tensor, targets: Tensor, predictions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per row: prediction, nll of the target, Brier score, confidence."""
    of_target, of_answer = log_probs.gather(-1, torch.stack([targets, predictions], -1)).double().unbind(-1)
    squares = (2 * log_probs.double()).exp().sum(-1)
    # rounding may put the largest probability a hair above 1
    confidence = of_answer.exp().clamp(max=1.0)
    return predictions, -of_target, 1 + squares - 2 * of_target.exp(), confidence


def value(outcome: Outcome, key: str, measured_ids: Sequence[int], unknown_class: int | None = None) -> float | None:
    """One measure of an outcome; None where what it is taken from is not there, or the number is not finite.

    Args:
        outcome: predictions, and where there is a law its numbers, per item.
        key: a key of `anymax.lab.measure.MEASURES`.
        measured_ids: the classes that macro-F1 and average precision are taken over.
        unknown_class: the class that stands for all unknown words, where there is one.
    """
    if key == "top1":
        return float(np.mean(outcome.predictions == outcome.targets))
    if key == "top5":
        return None if outcome.in_top5 is None else float(np.mean(outcome.in_top5))
    if key == "average_precision":
        return _average_precision(outcome, measured_ids)
    if key == "macro_f1":
        return float(
            f1_score(
                outcome.targets,
                outcome.predictions,
                labels=list(measured_ids),
                average="macro",
                zero_division=0,  # pyright: ignore[reportArgumentType]: the stubs know only "warn"
            )
        )
    if outcome.law is None:
        return None
    if outcome.law.has_zeros and MEASURES[key].of_log:
        return None  # one repeat in which it happens to be finite is not to be compared
    if key == "impossible":
        return float(np.mean(np.isinf(outcome.law.nll))) if outcome.law.has_zeros else None
    if key == "nll":
        return _finite(float(np.mean(outcome.law.nll)))
    if key == "perplexity":
        return _perplexity(outcome.law.nll)
    if key == "perplexity_known":
        return None if unknown_class is None else _perplexity(outcome.law.nll[outcome.targets != unknown_class])
    if key == "brier":
        return _finite(float(np.mean(outcome.law.brier)))
    if key == "ece":
        return calibration_error(reliability(outcome))
    raise ValueError(f"value: expected a measure of {sorted(MEASURES)}, got '{key}'.")


def _perplexity(nll: np.ndarray) -> float | None:
    mean = float(np.mean(nll)) if len(nll) else math.inf
    return _finite(math.exp(mean)) if mean < 700 else None  # exp overflows at 710


def _average_precision(outcome: Outcome, measured_ids: Sequence[int]) -> float | None:
    """Of the rarer class where there are two, else the mean over the measured classes."""
    ranking = _ranking_of_classes(outcome, measured_ids)
    if ranking is None:
        return None
    scores, classes = ranking
    return float(np.mean([average_precision_score(outcome.targets == c, scores[:, c]) for c in classes]))


def _ranking_of_classes(outcome: Outcome, measured_ids: Sequence[int]) -> tuple[np.ndarray, Sequence[int]] | None:
    """What ranks the items of each class, and the classes to take average precision over."""
    ranked_by = outcome.ranked_by
    if ranked_by is None or not np.isfinite(ranked_by).all():
        return None
    if ranked_by.shape[1] != 2:
        return ranked_by, measured_ids
    rarer = int(np.argmin(np.bincount(outcome.targets, minlength=2)))
    # between the two, so that a probability near 1 is not rounded to it
    return ranked_by - ranked_by[:, ::-1], [rarer]


def takes_average_precision(class_counts: Sequence[int], measured_ids: Sequence[int]) -> bool:
    """Whether there are two classes, or a rare one among those that are measured."""
    return len(class_counts) == 2 or has_rare_class(class_counts, measured_ids)


def has_rare_class(class_counts: Sequence[int], measured_ids: Sequence[int]) -> bool:
    """Whether a measured class has under a tenth of its even share."""
    counts = [class_counts[c] for c in measured_ids]
    return min(counts) < RARE_SHARE * sum(counts) / len(counts)


def values(
    outcome: Outcome, task: Task, measured_ids: Sequence[int], unknown_class: int | None = None
) -> dict[str, float | None]:
    """Every measure that the task has, and those of probabilities of 0 where there are any."""
    has_zeros = outcome.law is not None and outcome.law.has_zeros
    keys = [key for key in measured(task) if has_zeros or not MEASURES[key].of_zeros]
    return {key: value(outcome, key, measured_ids, unknown_class) for key in keys}


def of_test_part(
    outcome: Outcome,
    task: Task,
    measured_ids: Sequence[int],
    *,
    class_counts: Sequence[int],
    class_names: Sequence[str],
    unknown_class: int | None,
    scaled: Scaled | None,
) -> Tested:
    """All that is taken on the test part.

    Args:
        outcome: of the test part, with the head's scores looked at.
        task: what the data are.
        measured_ids: the classes that stand in every part.
        class_counts: of each class in the training part.
        class_names: of each class.
        unknown_class: the class that stands for all unknown words, where there is one.
        scaled: the law after temperature scaling.
    """
    return Tested(
        measures=values(outcome, task, measured_ids, unknown_class),
        ece_if_calibrated=calibration_error_if_calibrated(outcome),
        reliability=reliability(outcome),
        scaled=scaled,
        log_z=log_z(outcome),
        recall=recall(outcome, measured_ids, class_counts, class_names),
    )


def log_z(outcome: Outcome) -> LogZ | None:
    """Mean and spread of log Z over the items; None without a law or where the scores were not looked at."""
    if outcome.log_z is None or not len(outcome.log_z) or not np.isfinite(outcome.log_z).all():
        return None
    return LogZ(float(outcome.log_z.mean()), float(outcome.log_z.std()))


def recall(
    outcome: Outcome, measured_ids: Sequence[int], class_counts: Sequence[int], class_names: Sequence[str]
) -> list[RecallBin]:
    """Recall against frequency in the training part: `recall_bins` of an outcome."""
    num_classes = len(class_counts)
    items = np.bincount(outcome.targets, minlength=num_classes)
    hits = np.bincount(outcome.targets[outcome.predictions == outcome.targets], minlength=num_classes)
    return recall_bins(hits, items, measured_ids, class_counts, class_names)


def recall_bins(
    hits: np.ndarray,
    items: np.ndarray,
    measured_ids: Sequence[int],
    class_counts: Sequence[int],
    class_names: Sequence[str],
) -> list[RecallBin]:
    """Recall against frequency in the training part, from rare to frequent.

    Each measured class has a bin where they are few; where they are many, classes of like frequency share one of
    about 15 bins of equal width in the logarithm. Classes that do not occur in the test part are left out.

    Args:
        hits: (classes,), items of the test part that are found.
        items: (classes,), items of the test part.
        measured_ids: the classes that stand in every part.
        class_counts: of each class in the training part.
        class_names: of each class.
    """
    frequencies = np.asarray(class_counts, dtype=np.float64)
    classes = np.asarray([c for c in measured_ids if items[c]], dtype=np.int64)
    classes = classes[np.argsort(frequencies[classes], kind="stable")]
    if len(measured_ids) <= MOST_NAMED:
        groups = [np.array([c]) for c in classes]
    else:
        logs = np.log(np.maximum(frequencies[classes], 1))  # a class without a row in training counts as rarest
        edges = np.linspace(logs.min(), logs.max(), RECALL_BINS + 1)[1:-1] if len(logs) else np.array([])
        bins = np.digitize(logs, edges)
        groups = [classes[bins == i] for i in np.unique(bins)]
    return [
        RecallBin(
            frequency=float(frequencies[group].mean()),
            classes=len(group),
            items=int(items[group].sum()),
            recall=float((hits[group] / items[group]).mean()),
            name=class_names[int(group[0])] if len(measured_ids) <= MOST_NAMED else None,
        )
        for group in groups
    ]


def reliability(outcome: Outcome) -> list[ReliabilityBin]:
    """Confidence against accuracy; empty without a law."""
    return bins(outcome.law.confidence, outcome.predictions == outcome.targets) if outcome.law else []


def calibration_error_if_calibrated(outcome: Outcome, draws: int = 200) -> float | None:
    """The calibration error to expect of a model with these confidences that is right as often as it says."""
    return error_if_calibrated(outcome.law.confidence, draws) if outcome.law else None


def by_item(outcome: Outcome, task: Task, measured_ids: Sequence[int]) -> dict[str, np.ndarray]:
    """What each item adds to a measure: numbers whose mean over the items is the measure.

    Of macro-F1 and average precision, which are no means over items, they are its linearisation
    (`anymax.lab.statistics.influence`). A measure of which an item has no finite number is left out.
    """
    adds: dict[str, np.ndarray | None] = {"top1": outcome.predictions == outcome.targets, "top5": outcome.in_top5}
    if task in MEASURES["macro_f1"].tasks:
        adds["macro_f1"] = influence.macro_f1(outcome.targets, outcome.predictions, measured_ids)
    if (ranking := _ranking_of_classes(outcome, measured_ids)) is not None:
        scores, classes = ranking
        adds["average_precision"] = influence.mean_average_precision(scores, outcome.targets, classes)
    if outcome.law is not None:
        adds |= {"nll": None if outcome.law.has_zeros else outcome.law.nll, "brier": outcome.law.brier}
    found = {key: numbers for key, numbers in adds.items() if numbers is not None and np.isfinite(numbers).all()}
    # exact to 1e-7 of an item's number, far below what chance does to it
    return {key: numbers if numbers.dtype == bool else numbers.astype(np.float32) for key, numbers in found.items()}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
