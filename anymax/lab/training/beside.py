"""Classifiers that are no heads, on the same parts: what else there was to gain from a table."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from threadpoolctl import threadpool_limits

from anymax.lab.data.dataset import Part, Parts
from anymax.lab.measure import MEASURES, SMALLEST_PROBABILITY
from anymax.lab.measuring import labels, measures
from anymax.lab.measuring.outcomes import Answers
from anymax.lab.results import DataInfo, Tested
from anymax.lab.training.trial import Plan, Standing, measured, takes_average_precision

STRENGTHS = (0.1, 1.0, 10.0)  # inverse strengths of the penalty; the best on the validation part is kept
STEPS = 100  # of the solver, between two looks at the clock
SPARSE = 0.05  # where fewer of the numbers than this share are not 0, the solver is quicker on a sparse matrix
TREES, PATIENCE = 10, 3  # rounds of trees between two looks at the validation part; looks without a better one
MOST_TREES = 200
RATE, LEAVES = 0.2, 15  # as good on most tables as scikit-learn's 0.1 and 31, and a round takes about half the time
LEAST_IN_LEAF = 20  # rows, as in scikit-learn
PENALTY = 1.0  # on the values of leaves, where a class has fewer rows than a leaf: without one the trees diverge there
MOST_CATEGORIES = 255  # that the trees split as categories

LogProbs = Callable[[Part], np.ndarray]  # of the rows of a part, (rows, num_classes)
Standings = Callable[[LogProbs], Standing | None]  # on the validation part


class OutOfTime(Exception):
    """A fit did not end in time."""


@dataclass(frozen=True)
class Classifier:
    """A classifier of scikit-learn's, which makes its choices on the validation part."""

    name: str
    title: str
    fit: Callable[[Parts, Standings, str, float], LogProbs]  # (parts, standings, decide_by, when to be done)


def fit_and_test(
    classifier: Classifier, plan: Plan, parts: Parts, info: DataInfo, seconds: float
) -> tuple[Tested, Answers]:
    """Fit on the training part, then look at the test part; on one thread.

    Raises:
        OutOfTime: the fit takes longer than so many seconds.
    """

    def standing(log_probs: LogProbs) -> Standing | None:
        from_scores = MEASURES[plan.decide_by].from_scores
        outcome = _outcome(log_probs, parts.validation, scores=from_scores, ranks=from_scores)
        value = measures.value(outcome, plan.decide_by, plan.measured_ids)
        return None if value is None or outcome.law is None else Standing(value, float(outcome.law.nll.mean()))

    counts = parts.class_counts.tolist()
    if plan.task == "multilabel":
        with threadpool_limits(1):
            log_odds = torch.from_numpy(_one_vs_rest(classifier, parts, time.perf_counter() + seconds))
        outcome = labels.observe(parts.test.targets, log_odds, lambda said: (said > 0, said))
        return measured(outcome, plan, counts, info)
    with threadpool_limits(1):
        log_probs = classifier.fit(parts, standing, plan.decide_by, time.perf_counter() + seconds)
        ranks = takes_average_precision(plan, counts)
        outcome = _outcome(log_probs, parts.test, scores=True, ranks=ranks)
    return measured(outcome, plan, counts, info)


def _one_vs_rest(classifier: Classifier, parts: Parts, end: float) -> np.ndarray:
    """The log-odds of every label of the test rows, by a classifier of its own for each, chosen by its likelihood."""
    found = []
    for label, count in enumerate(parts.class_counts.tolist()):
        rest = len(parts.train) - count
        if not (count and rest):
            found.append(np.full(len(parts.test), float(np.log((count + 1) / (rest + 1)))))
            continue
        train, validation = (
            Part(part.inputs, part.targets[:, label].long()) for part in (parts.train, parts.validation)
        )
        alone = replace(parts, train=train, validation=validation, class_counts=torch.tensor([rest, count]))

        def standing(log_probs: LogProbs, part: Part = validation) -> Standing | None:
            outcome = _outcome(log_probs, part, scores=False, ranks=False)
            assert outcome.law is not None
            nll = float(outcome.law.nll.mean())
            return Standing(nll, nll)

        no, yes = classifier.fit(alone, standing, "nll", end)(parts.test).T
        found.append(yes - no)
    return np.stack(found, axis=1)


def _outcome(log_probs: LogProbs, part: Part, *, scores: bool, ranks: bool) -> measures.Outcome:
    return measures.of_log_probs(part.targets, torch.from_numpy(log_probs(part)), scores=scores, ranks=ranks)


def _logistic(parts: Parts, standing: Standings, decide_by: str, end: float) -> LogProbs:
    """Logistic regression, with a column for each level of an embedded category.

    The fit of each penalty starts where that of the stronger one before it ended.
    """
    levels = ("levels", OneHotEncoder(handle_unknown="ignore"), _of_levels(parts))
    others = FunctionTransformer(sparse.csr_array)
    columns = ColumnTransformer(
        [levels],
        remainder=others,  # pyright: ignore[reportArgumentType]: inferred from the default
        sparse_threshold=SPARSE,
    )
    inputs, targets = columns.fit_transform(parts.train.inputs.numpy()), parts.train.targets.numpy()
    model = LogisticRegression(max_iter=STEPS, warm_start=True)
    best: tuple[Standing | None, LogProbs] | None = None
    for strength in STRENGTHS:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the loop goes on where the solver stopped
            model.fit(inputs, targets)
            while max(model.n_iter_) >= STEPS:
                _check(end)
                model.fit(inputs, targets)
        _check(end)
        fitted = make_pipeline(columns, copy(model))  # since the next fit goes on in this one
        log_probs = _of_all_classes(parts, model, lambda part, fitted=fitted: fitted.predict_proba(part.inputs.numpy()))
        reached = standing(log_probs)
        if best is None or (reached is not None and reached.beats(best[0], decide_by)):
            best = reached, log_probs
    assert best is not None
    return best[1]


def _trees(parts: Parts, standing: Standings, decide_by: str, end: float) -> LogProbs:
    """Histogram gradient boosting, stopped early on the validation part.

    A fit cannot be interrupted, so that each piece of it, the first being a single round, says whether the fewest that
    may follow would end in time.
    """
    counts = zip(_of_levels(parts), parts.embedded_levels, strict=True)
    categories = [column for column, count in counts if count <= MOST_CATEGORIES]
    has_tiny_class = bool(((parts.class_counts > 0) & (parts.class_counts < LEAST_IN_LEAF)).any())
    model = HistGradientBoostingClassifier(
        learning_rate=RATE,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=LEAST_IN_LEAF,
        l2_regularization=PENALTY if has_tiny_class else 0.0,
        warm_start=True,
        early_stopping=False,  # pyright: ignore[reportArgumentType]: inferred from the default
        categorical_features=categories,  # pyright: ignore[reportArgumentType]: inferred from the default
        random_state=0,
    )
    inputs, targets = parts.train.inputs.numpy(), parts.train.targets.numpy()
    best, best_rounds = None, 1
    for rounds in (1, *range(TREES, MOST_TREES + 1, TREES)):
        began = time.perf_counter()
        model.set_params(max_iter=rounds).fit(inputs, targets)
        looks_without = (rounds - best_rounds) // TREES
        _check(end, ahead=(PATIENCE - looks_without) * (time.perf_counter() - began))
        reached = standing(_of_all_classes(parts, model, lambda part: model.predict_proba(part.inputs.numpy())))
        if reached is not None and reached.beats(best, decide_by):
            best, best_rounds = reached, rounds
        elif looks_without >= PATIENCE:
            break

    def at_best(part: Part) -> np.ndarray:
        stages = model.staged_predict_proba(part.inputs.numpy())
        return next(itertools.islice(stages, best_rounds - 1, None))

    return _of_all_classes(parts, model, at_best)


def _of_levels(parts: Parts) -> list[int]:
    """The columns that hold level ids."""
    total = parts.train.inputs.shape[1]
    return list(range(total - len(parts.embedded_levels), total))


def _of_all_classes(
    parts: Parts,
    model: LogisticRegression | HistGradientBoostingClassifier,
    probs: Callable[[Part], np.ndarray],
) -> LogProbs:
    """Log-probabilities of every class, from the probabilities of those that training saw."""

    def log_probs(part: Part) -> np.ndarray:
        found = np.full((len(part), len(parts.class_counts)), SMALLEST_PROBABILITY)  # of one that training did not see
        found[:, np.asarray(model.classes_)] = np.maximum(probs(part), SMALLEST_PROBABILITY)
        return np.log(found)

    return log_probs


def _check(end: float, ahead: float = 0.0) -> None:
    """Give up where the time is over, or would be after so many seconds more."""
    if time.perf_counter() + ahead > end:
        raise OutOfTime


CLASSIFIERS = (
    Classifier("logistic", "logistic regression", _logistic),
    Classifier("trees", "gradient-boosted trees", _trees),
)
