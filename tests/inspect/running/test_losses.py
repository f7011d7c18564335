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


def rows(x):
    """Of samples, twice as many as they are, from a convolution."""
    return torch.stack([CONV(x).mean((2, 3)), CONV(x + 1).mean((2, 3))])


ONE_HOT = torch.eye(5)[IDS]
CHOSEN = {
    "gather": (
        lambda: FIVE(X).log_softmax(0).gather(1, IDS[:, None]),
        lambda: FIVE(X).log_softmax(1).gather(1, IDS[:, None]),
    ),
    "gather of probabilities, by name": (
        lambda: torch.gather(FIVE(X).softmax(0), dim=-1, index=IDS[:, None]),
        lambda: torch.gather(FIVE(X).softmax(0), dim=-1, index=IDS[:1, None].expand(4, 1)),
    ),
    "an index beside a range": (
        lambda: FIVE(X).log_softmax(0)[torch.arange(4), IDS],
        lambda: FIVE(X).log_softmax(0)[torch.arange(3), IDS[:3]],
    ),
    "a sum with targets": (
        lambda: -(ONE_HOT * F.log_softmax(FIVE(X), 0)).sum(1),
        lambda: -(ONE_HOT * F.log_softmax(FIVE(X), 1)).sum(1),
    ),
    "a sum with targets, negated first": (
        lambda: torch.sum(-FIVE(X).log_softmax(0) * ONE_HOT, dim=-1),
        lambda: torch.sum(-FIVE(X).log_softmax(0) * ONE_HOT, dim=0),
    ),
    "an einsum with targets": (
        lambda: torch.einsum("bc,bc->b", ONE_HOT, FIVE(X).log_softmax(0)),
        lambda: torch.einsum("bc,bc->b", ONE_HOT, FIVE(X).log_softmax(1)),
    ),
    "views of the samples of a convolution": (
        lambda: (torch.ones(2, 2, 5) * rows(IMAGES).log_softmax(1)).sum(-1),
        # experts whose log-probabilities are added up
        lambda: (torch.ones(2, 2, 5) * rows(IMAGES).log_softmax(0)).sum(-1),
    ),
}


@pytest.mark.parametrize(("wrong", "right"), CHOSEN.values(), ids=CHOSEN)
def test_a_choice_among_the_outputs_of_a_layer_where_the_samples_compete(wrong, right):
    assert (codes(wrong), codes(right)) == (["AMX102"], [])


GRU, LSTM, CELL = nn.GRU(6, 3), nn.LSTM(6, 3, batch_first=True), nn.GRUCell(6, 3)


def attended(states, dim, sums):
    """The states weighed by a score each."""
    scores = states.tanh().mean(-1)
    return torch.einsum(sums, scores.softmax(dim), states)


def repeated(states, last, dim):
    joined = torch.cat([last.repeat(7, 1, 1), states], 2)
    return torch.einsum("lb,lbh->bh", joined.sum(2).softmax(dim), states)


ATTENDED = {
    "steps first": (
        lambda: attended(GRU(FRAMES)[0], 1, "lb,lbh->bh"),
        lambda: attended(GRU(FRAMES)[0], 0, "lb,lbh->bh"),
    ),
    "the last state beside each": (lambda: repeated(*GRU(FRAMES), 1), lambda: repeated(*GRU(FRAMES), 0)),
    "samples first, turned": (
        lambda: attended(LSTM(FRAMES.transpose(0, 1))[0].transpose(0, 1), 1, "lb,lbh->bh"),
        lambda: attended(LSTM(FRAMES.transpose(0, 1))[0].transpose(0, 1), 0, "lb,lbh->bh"),
    ),
    "a cell step by step": (
        lambda: attended(torch.stack([CELL(frame) for frame in FRAMES]), 1, "lb,lbh->bh"),
        # as routing by agreement has it: what competes is kept, and is no batch
        lambda: torch.einsum("io,iod->od", torch.zeros(3, 4).softmax(1), torch.ones(3, 4, 2)),
    ),
}


@pytest.mark.parametrize(("wrong", "right"), ATTENDED.values(), ids=ATTENDED)
def test_weights_of_states_compete_over_the_batch(wrong, right):
    assert (codes(wrong), codes(right)) == (["AMX102"], [])


PIXEL_IDS = PIXELS.flatten()


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        (
            lambda: CONV(IMAGES).log_softmax(1).reshape(-1, 5),
            lambda: CONV(IMAGES).log_softmax(1).movedim(1, -1).reshape(-1, 5),
        ),
        (lambda: CONV(IMAGES).log_softmax(1).view(-1, 5), lambda: channels_last().log_softmax(-1).reshape(-1, 5)),
        (
            lambda: F.log_softmax(CONV(IMAGES), 1).flatten().unflatten(0, (48, 5)),
            # where all are alike, each row is a distribution
            lambda: F.log_softmax(CONV(IMAGES) * 0 + 1, 1).reshape(-1, 5),
        ),
    ],
)
def test_nll_loss_of_rows_that_a_reshape_took_apart(broken, whole):
    assert codes(lambda: F.nll_loss(broken(), PIXEL_IDS)) == ["AMX207"]
    assert codes(lambda: F.nll_loss(whole(), PIXEL_IDS)) == []


def heads(dim):
    """Four heads of three queries and three keys."""
    queries = torch.stack([FIVE(X[:3]), FIVE(X[1:])])
    return torch.einsum("hqk,hkd->hqd", torch.einsum("hqd,hkd->hqk", queries, queries).softmax(dim), queries)


def routed(votes):
    """Parts agree on wholes (samples, parts, wholes, features); each part gives to all wholes 1 together."""
    shares = torch.einsum("biod,bod->bio", votes, votes.mean(1)).softmax(2)
    return torch.einsum("bio,biod->bod", shares, votes)


def test_routing_by_agreement_is_no_attention_of_queries():
    assert codes(lambda: heads(1)) == ["AMX105"]
    assert codes(lambda: heads(2)) == codes(lambda: routed(FIVE(torch.randn(2, 4, 3, 6)))) == []


def test_the_best_frame_of_each_token_is_no_token_of_a_frame():
    assert codes(lambda: FIVE(FRAMES[:, 0]).log_softmax(-1).max(dim=0).indices == IDS[:1]) == ["AMX107"]
    assert codes(lambda: FIVE(FRAMES[:, 0]).log_softmax(-1).max(dim=1).indices == IDS[:1]) == []


def test_a_second_softmax_around_a_network_that_has_one():
    def predictive(x):
        return torch.softmax(0.9 * FIVE(x), dim=-1)

    assert codes(lambda: torch.cat([torch.softmax(model(X), -1) for model in (FIVE, predictive)])) == ["AMX206"]
    assert codes(lambda: torch.cat([torch.softmax(model(X), -1) for model in (FIVE, lambda x: 0.9 * FIVE(x))])) == []
