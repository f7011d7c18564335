"""What losses and decisions are given, where the shape of the target or the way to an index says that it is wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.inspect.running.seen import CONV, FIVE, IDS, IMAGES, X, codes

FRAMES = torch.randn(7, 2, 6, generator=torch.Generator().manual_seed(3))
TEXTS, LENGTHS, WIDTHS = torch.tensor([[1, 2, 3], [4, 1, 0]]), torch.tensor([3, 2]), torch.tensor([7, 7])
PIXELS = torch.randint(0, 5, (2, 4, 6))


def ctc(log_probs):
    return F.ctc_loss(log_probs, TEXTS, WIDTHS, LENGTHS)


def channels_last():
    return CONV(IMAGES).permute(0, 2, 3, 1)


def probs(dim):
    """Of groups and options, of which a view made the axes."""
    return FIVE(X).view(2, 10).view(2, 2, 5).softmax(dim)


def hard(choice):
    return torch.zeros(2, 2, 5).scatter_(-1, choice, 1.0)


PAIRS = {
    "ctc_loss of scores": ("AMX203", lambda: ctc(FIVE(FRAMES)), lambda: ctc(FIVE(FRAMES).log_softmax(-1))),
    "ctc_loss of probabilities": (
        "AMX203",
        lambda: nn.CTCLoss()(FIVE(FRAMES).softmax(2), TEXTS, WIDTHS, LENGTHS),
        lambda: nn.CTCLoss()(nn.LogSoftmax(2)(FIVE(FRAMES)), TEXTS, WIDTHS, LENGTHS),
    ),
    "ctc_loss of batch-first scores, turned": (
        "AMX203",
        lambda: ctc(FIVE(FRAMES.transpose(0, 1)).transpose(0, 1)),
        lambda: ctc(FIVE(FRAMES.transpose(0, 1)).log_softmax(-1).transpose(0, 1)),
    ),
    "ctc_loss of numbers above 0": (
        "AMX203",
        lambda: torch.ctc_loss(FRAMES.abs(), TEXTS, WIDTHS, LENGTHS),
        lambda: torch.ctc_loss(-FRAMES.abs(), TEXTS, WIDTHS, LENGTHS),
    ),
    "ctc_loss of log-probabilities of the batch": (
        "AMX102",
        lambda: ctc(FIVE(FRAMES).log_softmax(1)),
        lambda: ctc(FIVE(FRAMES).log_softmax(2)),
    ),
    "ctc_loss of log-probabilities of the frames": (
        "AMX106",
        lambda: ctc(F.log_softmax(FIVE(FRAMES), dim=0)),
        lambda: ctc(F.log_softmax(FIVE(FRAMES), dim=-1)),
    ),
    "classes last, and torch refuses": (
        "AMX109",
        lambda: F.cross_entropy(channels_last(), PIXELS),
        lambda: F.cross_entropy(channels_last().movedim(-1, 1), PIXELS),
    ),
    "classes last of nobody knows what": (
        "AMX109",
        lambda: nn.CrossEntropyLoss()(torch.randn(4, 7, 5), IDS[:, None].expand(4, 7)),
        lambda: nn.CrossEntropyLoss()(torch.randn(4, 5, 7), IDS[:, None].expand(4, 7)),
    ),
    "classes last in nll_loss": (
        "AMX109",
        lambda: F.nll_loss(channels_last().log_softmax(-1), PIXELS),
        lambda: F.nll_loss(channels_last().log_softmax(-1).permute(0, 3, 1, 2), PIXELS),
    ),
    "classes last behind a log_softmax": (
        "AMX109",
        lambda: F.cross_entropy(channels_last().log_softmax(-1), PIXELS),
        lambda: F.cross_entropy(channels_last().log_softmax(-1).permute(0, 3, 1, 2), PIXELS),
    ),
    "argmax of the classes": (
        "AMX107",
        lambda: FIVE(X).argmax(1).argmax() == IDS,
        lambda: FIVE(X).argmax(1) == IDS,
    ),
    "argmax of the indices of max": (
        "AMX107",
        lambda: torch.argmax(torch.max(FIVE(X), 1)[1]).eq(IDS),
        lambda: torch.argmax(torch.max(FIVE(X), 1)[0]).eq(IDS),
    ),
    "unequal to the largest of another axis": (
        "AMX107",
        lambda: FIVE(X).softmax(0).max(1).indices[IDS > 0] != IDS[IDS > 0],
        lambda: FIVE(X).softmax(1).max(1).indices[IDS > 0] != IDS[IDS > 0],
    ),
    "a hard choice along another axis": (
        "AMX107",
        lambda: hard(probs(1).max(-1, keepdim=True)[1]),
        lambda: hard(probs(2).max(-1, keepdim=True)[1]),
    ),
    "one_hot of another axis": (
        "AMX107",
        lambda: F.one_hot(probs(1).max(dim=-1).indices, 5),
        lambda: F.one_hot(probs(2).max(dim=-1).indices, 5),
    ),
    "argmax of another axis behind a view": ("AMX107", lambda: probs(1).argmax(-1), lambda: probs(2).argmax(-1)),
}


@pytest.mark.parametrize(("code", "wrong", "right"), PAIRS.values(), ids=PAIRS)
def test_the_mistake_is_found_and_its_repair_is_not_blamed(code, wrong, right):
    assert (codes(wrong), codes(right)) == ([code], [])


def test_the_largest_probability_of_positions_is_a_score():
    assert codes(lambda: probs(1).max(-1).values == 1.0) == []


def test_the_largest_of_a_vector_may_be_compared_with_all_numbers():
    assert codes(lambda: FIVE(X)[0].argmax() == torch.arange(5)) == []
