"""Predictions that the user has already, beside the heads: on the tested rows of every repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from anymax.lab.data.dataset import Items
from anymax.lab.data.predictions import Predictions
from anymax.lab.measuring import measures
from anymax.lab.measuring.outcomes import Answers
from anymax.lab.results import DataInfo, Tested
from anymax.lab.training.trial import Plan

NAME = "baseline"


def measured(predictions: Predictions, plan: Plan, items: Items, info: DataInfo) -> tuple[Tested, Answers]:
    """What the predictions reach on the items of a test part."""
    ids, log_probs = predictions.of(items.row)
    outcome = measures.Outcome(items.target, ids, None)
    if log_probs is not None:
        ranks = plan.decide_by == "average_precision" or measures.takes_average_precision(
            info.class_counts, plan.measured_ids
        )
        outcome = measures.observe(
            torch.from_numpy(items.target),
            torch.from_numpy(log_probs),
            log_prob=lambda rows: rows,
            predict=lambda rows: rows.topk(1),
            scores=lambda rows: rows,
            ranks=ranks,
        )
        outcome = replace(outcome, predictions=ids)  # which need not be the likeliest class
    tested = measures.of_test_part(
        outcome,
        plan.task,
        plan.measured_ids,
        class_counts=info.class_counts,
        class_names=info.class_names,
        unknown_class=None,
        scaled=None,
    )
    return tested, Answers(ids.astype(np.int32), measures.by_item(outcome, plan.task, plan.measured_ids))
