"""What is known of tensors travels through joining and cutting, and no further than it holds."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.inspect.running.seen import FIVE, IDS, OTHER_FIVE, SHARES, X, codes


def two_kinds():
    """Scores in front, shares behind."""
    return torch.cat([FIVE(X), OTHER_FIVE(X).sigmoid()], dim=-1)


def members():
    return [FIVE(X).softmax(1), OTHER_FIVE(X).softmax(1)]


def with_logits(scores):
    return F.binary_cross_entropy_with_logits(scores, SHARES[:, : scores.shape[1]])


# what is still known: the code, the mistake, a call that looks alike and is none
PAIRS = {
    "a slice": ("AMX202", lambda: with_logits(two_kinds()[:, 5:]), lambda: with_logits(two_kinds()[:, :5])),
    "a slice of a slice": (
        "AMX202",
        lambda: with_logits(two_kinds()[:, 3:][:, 2:]),
        lambda: with_logits(two_kinds()[:, 3:][:, :2]),
    ),
    "one entry": (
        "AMX202",
        lambda: with_logits(two_kinds()[..., -1, None]),
        lambda: with_logits(two_kinds()[..., 0, None]),
    ),
    "a split": (
        "AMX202",
        lambda: with_logits(two_kinds().split([5, 5], -1)[1]),
        lambda: with_logits(two_kinds().split([5, 5], -1)[0]),
    ),
    "a chunk": (
        "AMX202",
        lambda: with_logits(two_kinds().chunk(2, dim=1)[1]),
        lambda: with_logits(two_kinds().chunk(2, dim=1)[0]),
    ),
    "no slice across both": (
        "AMX202",
        lambda: with_logits(two_kinds()[:, 6:8]),
        lambda: with_logits(two_kinds()[:, 3:8]),
    ),
    "not behind another function": (
        "AMX202",
        lambda: with_logits(two_kinds()[:, 5:]),
        lambda: with_logits(F.relu(two_kinds())[:, 5:]),
    ),
    "not where rows are picked": (
        "AMX202",
        lambda: with_logits(two_kinds()[:, 5:7]),
        lambda: with_logits(two_kinds().index_select(1, torch.arange(9, -1, -1))[:, 5:]),
    ),
    "along an axis that was merged": (
        "AMX202",
        lambda: with_logits(torch.cat([FIVE(X).ravel(), OTHER_FIVE(X).sigmoid().ravel()])[20:].view(4, 5)),
        lambda: with_logits(torch.cat([FIVE(X).ravel(), OTHER_FIVE(X).sigmoid().ravel()])[:20].view(4, 5)),
    ),
    "a distribution as a whole": (
        "AMX201",
        lambda: F.cross_entropy(torch.cat([FIVE(X), members()[1]], 1)[:, 5:], IDS),
        lambda: F.cross_entropy(torch.cat([FIVE(X), members()[1]], 1)[:, 6:], IDS % 4),
    ),
    "distributions of several batches": (
        "AMX201",
        lambda: F.cross_entropy(torch.vstack(members()), IDS.repeat(2)),
        lambda: F.cross_entropy(torch.hstack(members()), IDS),
    ),
    "distributions of several layers": (
        "AMX206",
        lambda: torch.stack(members()).softmax(-1),
        lambda: torch.cat(members(), 1).softmax(-1),
    ),
    "a mean of distributions": (
        "AMX201",
        lambda: F.cross_entropy(torch.stack(members()).mean(0), IDS),
        lambda: F.nll_loss(torch.stack(members()).mean(0).log(), IDS),
    ),
    "no mean over what competes": (
        "AMX206",
        lambda: torch.stack(members()).mean(0).softmax(1),
        lambda: torch.stack(members()).mean(-1).softmax(1),
    ),
}


@pytest.mark.parametrize(("code", "wrong", "right"), PAIRS.values(), ids=PAIRS)
def test_what_is_known_travels(code, wrong, right):
    assert (codes(wrong), codes(right)) == ([code], [])
