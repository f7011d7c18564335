"""A softmax that is written out, with all the ways to its sum."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.inspect.running.seen import FIVE, IDS, OTHER_FIVE, X, codes

KEEP, GROUPS = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0]), torch.tensor([0, 1, 1, 0])


def ratio(scores, keep=None, dim=1):
    weights = scores.exp() if keep is None else scores.exp() * keep
    return weights / (weights.sum() if dim is None else weights.sum(dim, keepdim=True))


def among_groups(scores):
    weights = scores.exp()
    return weights / (torch.zeros(2, 5).index_add_(0, GROUPS, weights)[GROUPS] + 1e-16)


def scattered(scores):
    weights = scores.exp()
    index = GROUPS[:, None].expand_as(weights)
    return weights / torch.zeros(2, 5).scatter_add(0, index, weights).gather(0, index)


def shifted(scores):
    return scores - scores.amax(1, keepdim=True)


def likeness(first, second):
    return F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T / 0.01


PAIRS = {
    "scores": (lambda: ratio(FIVE(X)), lambda: ratio(shifted(FIVE(X)))),
    "of a row": (lambda: ratio(FIVE(X)[0], dim=None), lambda: ratio(shifted(FIVE(X))[0], dim=None)),
    "of the kept": (lambda: ratio(FIVE(X), KEEP), lambda: ratio(shifted(FIVE(X)), KEEP)),
    "sums of scores": (lambda: ratio(FIVE(X) + OTHER_FIVE(X)), lambda: ratio(shifted(FIVE(X) + OTHER_FIVE(X)))),
    "sums over features": (
        lambda: ratio((FIVE(X)[:, None] * OTHER_FIVE(X)).sum(-1)),
        lambda: ratio(shifted((FIVE(X)[:, None] * OTHER_FIVE(X)).sum(-1))),
    ),
    "shifted, then divided": (lambda: ratio(FIVE(X) / 0.1), lambda: ratio(shifted(FIVE(X)) / 0.1)),
    "behind an activation": (lambda: ratio(F.leaky_relu(FIVE(X))), lambda: ratio(torch.tanh(FIVE(X)))),
    "joined": (
        lambda: ratio(torch.cat([FIVE(X), OTHER_FIVE(X)], 1)),
        lambda: ratio(torch.cat([shifted(FIVE(X)), shifted(OTHER_FIVE(X))], 1)),
    ),
    "cut": (lambda: ratio(FIVE(X).clamp_min(-9)), lambda: ratio(FIVE(X).clamp(max=50))),
    "of a product": (
        lambda: ratio(likeness(FIVE(X), OTHER_FIVE(X))),
        lambda: F.cross_entropy(likeness(FIVE(X), OTHER_FIVE(X)), IDS % 4),
    ),
    "of an einsum": (
        lambda: ratio(torch.einsum("bd,bkd->bk", X, X.expand(4, 4, 6)).mul(2)),
        lambda: ratio(shifted(torch.einsum("bd,bkd->bk", X, X.expand(4, 4, 6)))),
    ),
    "among groups": (lambda: among_groups(FIVE(X)), lambda: among_groups(shifted(FIVE(X)))),
    "scattered to groups": (lambda: scattered(FIVE(X)), lambda: scattered(shifted(FIVE(X)))),
}


@pytest.mark.parametrize(("wrong", "right"), PAIRS.values(), ids=PAIRS)
def test_exp_over_its_sum_is_found_unless_it_was_shifted(wrong, right):
    assert (codes(wrong), codes(right)) == (["AMX303"], [])


def test_numbers_behind_a_relu_are_still_looked_at_by_nll_loss():
    assert codes(lambda: F.nll_loss(F.relu(FIVE(X)), IDS)) == ["AMX203"]


def test_what_is_written_out_is_known_as_a_softmax():
    assert codes(lambda: F.cross_entropy(ratio(FIVE(X)[0], dim=None)[None], IDS[:1])) == ["AMX201", "AMX303"]


@pytest.mark.parametrize(
    "fill",
    [
        lambda x, value: torch.full_like(x, value),
        lambda x, value: torch.full((2,), value, dtype=x.dtype),
        lambda x, value: x.new_full((2,), value),
        lambda x, value: x.clone().fill_(value),
        lambda x, value: x.masked_fill(x > 0, value),
    ],
)
def test_a_constant_that_half_precision_lacks(fill):
    assert codes(lambda: fill(X.half(), -1e9)) == ["AMX305"]
    assert codes(lambda: fill(X.half(), -6e4)) == codes(lambda: fill(X, -1e9)) == []


MHA, LAYER = nn.MultiheadAttention(6, 2, batch_first=True), nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
TOKENS = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2))
WORDS, NOTHING = torch.tensor([[False, False, True, True]] * 2), torch.tensor([[True] * 4, [False] * 4])
UPPER = torch.ones(4, 4).triu(1).bool()


def attention(**masks):
    return MHA(TOKENS, TOKENS, TOKENS, **masks)


def in_half(number):
    return (1 - WORDS.half()) * torch.tensor(number).half()


MASKS = {
    "padding throughout": (
        "AMX304",
        lambda: attention(key_padding_mask=NOTHING),
        lambda: attention(key_padding_mask=WORDS),
    ),
    "padding in numbers": (
        "AMX304",
        lambda: attention(key_padding_mask=torch.where(NOTHING, -torch.inf, 0.0)),
        # a layer asks for no weights, and torch then gives zeros
        lambda: LAYER(TOKENS, src_key_padding_mask=torch.where(NOTHING, -torch.inf, 0.0)),
    ),
    "padding in front, with a causal mask": (
        "AMX304",
        lambda: attention(key_padding_mask=WORDS.flip(1), attn_mask=UPPER),
        lambda: attention(key_padding_mask=WORDS, attn_mask=UPPER),
    ),
    "a mask of each head": (
        "AMX304",
        lambda: attention(key_padding_mask=WORDS.flip(1), attn_mask=UPPER.expand(4, 4, 4)),
        lambda: attention(key_padding_mask=WORDS, attn_mask=UPPER.expand(4, 4, 4)),
    ),
    "a mask times -inf": (
        "AMX305",
        lambda: FIVE(X).add((IDS > 9).float()[:, None] * float("-inf")),
        lambda: FIVE(X).add(torch.ones(4, 1) * -torch.inf),
    ),
    "a constant that half precision made infinite": (
        "AMX305",
        lambda: TOKENS.half().mean(-1) + in_half(-1e12),
        lambda: TOKENS.half().mean(-1) + in_half(-1e4),
    ),
    "a number times the mask that is 0 where it is put in": (
        "AMX305",
        lambda: torch.where(IDS[:, None] > 2, (IDS <= 2).float()[:, None] * -1e8, FIVE(X)).softmax(0),
        lambda: torch.where(IDS[:, None] > 2, (IDS > 2).float()[:, None] * -1e8, FIVE(X)).softmax(0),
    ),
    "the same, of what is left": (
        "AMX305",
        lambda: FIVE(X).where(IDS[:, None] > 2, -1e9 * (IDS > 2).float()[:, None]).softmax(0),
        lambda: FIVE(X).where(IDS[:, None] > 2, -1e9 * (IDS <= 2).float()[:, None]).softmax(0),
    ),
    "a small constant in a tensor": (
        "AMX305",
        lambda: torch.where(IDS[:, None] > 2, torch.full((4, 5), -9.0), FIVE(X)).softmax(0),
        lambda: torch.where(IDS[:, None] > 2, torch.full((4, 5), -90.0), FIVE(X)).softmax(0),
    ),
}


@pytest.mark.parametrize(("code", "wrong", "right"), MASKS.values(), ids=MASKS)
def test_masks_that_leave_no_number_or_too_much(code, wrong, right):
    assert (codes(wrong), codes(right)) == ([code], [])


def test_numbers_that_were_nan_before_are_no_fault_of_a_mask():
    broken = TOKENS / 0 * 0
    assert codes(lambda: MHA(broken, broken, broken, key_padding_mask=NOTHING)) == []
    assert codes(lambda: broken * float("-inf")) == []


UNIT, OTHER_UNIT = (lambda: F.normalize(FIVE(X), dim=-1)), (lambda: F.normalize(OTHER_FIVE(X), dim=-1))


def by_length(x):
    return x / x.norm(dim=-1, keepdim=True)


# at a temperature of 0.01 a score may pass 88, at 0.05 it can not
MILD = {
    "products": lambda temperature: UNIT() @ OTHER_UNIT().T / temperature,
    "a linear layer": lambda temperature: F.linear(UNIT(), OTHER_UNIT()) * (1 / temperature),
    "an einsum": lambda temperature: torch.einsum("nd,kd->nk", UNIT(), OTHER_UNIT()).div(temperature),
    "sums of products": lambda temperature: (UNIT()[:, None] * OTHER_UNIT()).sum(-1) / temperature,
    "by their length": lambda temperature: by_length(FIVE(X)) @ by_length(OTHER_FIVE(X)).mT / temperature,
    "joined, with a mask": lambda temperature: (
        torch.cat([UNIT() @ UNIT().T, UNIT() @ OTHER_UNIT().T], 1).masked_fill(X[:, :1] > 9, -torch.inf) / temperature
    ),
    "by a tensor": lambda temperature: (
        F.relu(F.cosine_similarity(FIVE(X)[:, None], OTHER_FIVE(X), -1)) / torch.tensor(temperature)
    ),
}


@pytest.mark.parametrize("scores", MILD.values(), ids=MILD)
def test_unit_vectors_over_a_temperature_that_keeps_them_small_need_no_shift(scores):
    assert (codes(lambda: ratio(scores(0.01))), codes(lambda: ratio(scores(0.05)))) == (["AMX303"], [])


def apart():
    """Of each row from each row, as layers place them."""
    return (FIVE(X)[:, None] - OTHER_FIVE(X)).pow(2).sum(-1).add(1e-6)


def own_logsumexp(scores, highest, keep=1.0, eps=0.0):
    return (torch.exp(scores - highest) * torch.as_tensor(keep)).sum(1, keepdim=True).add(eps).log() + highest


SHIFTS = {
    "of distances": ("AMX303", lambda: ratio(-apart().sqrt() / 2), lambda: F.softmin(apart().sqrt() / 2, 1)),
    "of squares": ("AMX303", lambda: ratio(apart().neg()), lambda: ratio(-apart() - (-apart()).amax(1, True))),
    "of absolute values": ("AMX303", lambda: ratio((FIVE(X) - 1).abs() * -1), lambda: ratio(-(UNIT() - 1).abs())),
    "of cdist": ("AMX303", lambda: ratio(-torch.cdist(FIVE(X), X[:, :5])), lambda: ratio(-torch.cdist(X, X))),
    "the highest of all": (
        "AMX303",
        lambda: (lambda s: ratio(s - s.max()))(FIVE(X)),
        lambda: (lambda s: ratio(s - s.max(1, keepdim=True).values))(FIVE(X)),
    ),
    "the highest of each column": (
        "AMX303",
        lambda: (lambda s: ratio(s - s.amax(0)))(FIVE(X)),
        lambda: (lambda s: ratio(s - s.amax(0), dim=0))(FIVE(X)),
    ),
    "the highest of all, of one row": (
        "AMX303",
        lambda: (lambda s: ratio(s - s.max().detach()))(FIVE(X)),
        lambda: (lambda s: ratio(s - s.max(), dim=None))(FIVE(X)[0]),
    ),
    "a log of a sum": (
        "AMX302",
        lambda: FIVE(X).exp().sum(1).log(),
        lambda: FIVE(X).logsumexp(1),
    ),
    "a log of a sum, shifted by another": (
        "AMX302",
        lambda: (lambda s: own_logsumexp(s, s.data.max()))(FIVE(X)),
        lambda: (lambda s: own_logsumexp(s, s.data.max(1, True)[0]))(FIVE(X)),
    ),
    "a log of a sum of what a mask leaves": (
        "AMX302",
        lambda: (lambda s: own_logsumexp(s, s.max(1, True)[0].detach(), KEEP))(FIVE(X)),
        lambda: (lambda s: own_logsumexp(s, s.max(1, True)[0].detach(), KEEP, 1e-12))(FIVE(X)),
    ),
    "the same, of unit vectors": (
        "AMX302",
        lambda: (lambda s: own_logsumexp(s, s.amax(1, True), 1 - torch.eye(4)))(MILD["products"](0.01)),
        lambda: (lambda s: own_logsumexp(s, s.amax(1, True), 1 - torch.eye(4)))(MILD["products"](0.05)),
    ),
}


@pytest.mark.parametrize(("code", "wrong", "right"), SHIFTS.values(), ids=SHIFTS)
def test_exponentials_that_are_shifted_by_what_is_summed(code, wrong, right):
    assert (codes(wrong), codes(right)) == ([code], [])
