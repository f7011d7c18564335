"""Predictions that the user has already, beside the heads: on the tested rows of every repeat."""

from __future__ import annotations

from dataclasses import replace

import torch

from anymax.lab.data.dataset import Items
from anymax.lab.data.predictions import Predictions
from anymax.lab.measuring import measures
from anymax.lab.measuring.outcomes import Answers
from anymax.lab.results import DataInfo, Tested
from anymax.lab.training import trial
from anymax.lab.training.trial import Plan

NAME = "baseline"


def measured(predictions: Predictions, plan: Plan, items: Items, info: DataInfo) -> tuple[Tested, Answers]:
    """What the predictions reach on the items of a test part."""
    ids, log_probs = predictions.of(items.row)
    outcome = measures.Outcome(items.target, ids, None)
    if log_probs is not None:
        ranks = trial.takes_average_precision(plan, info.class_counts)
        targets = torch.from_numpy(items.target)
        outcome = measures.of_log_probs(targets, torch.from_numpy(log_probs), scores=True, ranks=ranks)
        outcome = replace(outcome, predictions=ids)  # which need not be the likeliest class
    return trial.measured(outcome, plan, info.class_counts, info)
