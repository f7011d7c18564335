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
