"""A graph shows what is joined and cut, masks that hide nothing or all, and choices along another axis."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F

import anymax
from tests.inspect.models import CLASSES, WIDTH, Model, ids, linear, rows, sequences, yes_or_no

LOGITS, CE, NLL = F.binary_cross_entropy_with_logits, F.cross_entropy, F.nll_loss
GROUPS = torch.tensor([0, 0, 1, 2, 1, 2, 0])
OVERFLOWS, AXIS = -1e9, 1
SCORES, OTHERS = {"one": linear()}, {"one": linear(), "other": linear()}
HEADS = {"query": linear(WIDTH), "key": linear(WIDTH)}


def two_kinds(m, x):
    return torch.cat([m["one"](x), m["other"](x).sigmoid()], -1)


def members(m, x):
    return [m["one"](x).softmax(-1), m["other"](x).softmax(-1)]


def products(m, x):
    return m["query"](x) @ m["key"](x).mT


def keep(x, dim):
    """Which tokens are kept, as a mask of keys (-2) or of queries (-1)."""
    return (x.sum(-1) > 0).unsqueeze(dim)


def by_group(m, x, shift=False):
    scores = m["one"](x)
    weights = (scores - scores.amax(1, True)).exp() if shift else scores.exp()
    sums = torch.zeros(len(x), 3, CLASSES).index_add(1, GROUPS, weights)
    return weights / (sums[:, GROUPS] + 1e-16)


def log_by_hand(scores, hidden=None, shift=True):
    if shift:
        scores = scores - scores.amax(-1, True).detach()
    weights = scores.exp() if hidden is None else scores.exp() * hidden
    return scores - weights.sum(-1, True).log()


def hard(weights, dim):
    return torch.zeros_like(weights).scatter_(dim, weights.max(dim, keepdim=True)[1], 1.0)


def front(x):
    return x.softmax(1)


def back(x):
    return x.softmax(-1)


def computed(x):
    return x.softmax(AXIS)


def twice(mix):
    """Of a sequence, and of its last token."""
    return lambda m, x: mix(m["one"](x)).mean(1) + mix(m["one"](x[:, -1]))


def below(mask, scores):
    return torch.where(mask == 0, mask * -1e8, scores).softmax(-1)


def aside(mask, scores):
    return torch.where(mask == 0, torch.full_like(mask, -1e8), scores).softmax(-1)


# the code; a wrong model, and one that looks alike and is right; inputs, layers; loss and target if there are any
WITH_LOGITS = (rows, OTHERS, LOGITS, yes_or_no(CLASSES))
CLASSIFIES = (rows, OTHERS, CE, ids())
NO_LOSS = (None, None)
PAIRS = {
    "a slice": ("AMX202", lambda m, x: two_kinds(m, x)[:, 5:], lambda m, x: two_kinds(m, x)[:, :5], *WITH_LOGITS),
    "a slice of a slice": (
        "AMX202",
        lambda m, x: two_kinds(m, x)[:, 3:][:, 2:].clone(),
        lambda m, x: two_kinds(m, x)[:, 3:].repeat(1, 2)[:, :5],
        *WITH_LOGITS,
    ),
    "a split": (
        "AMX202",
        lambda m, x: two_kinds(m, x).split([5, 5], -1)[1],
        lambda m, x: two_kinds(m, x).split([5, 5], -1)[0],
        *WITH_LOGITS,
    ),
    "a slice across both": (
        "AMX202",
        lambda m, x: two_kinds(m, x).T[-5:].T,
        lambda m, x: two_kinds(m, x)[:, 3:8],
        *WITH_LOGITS,
    ),
    "a part by its length, and one of other values": (
        "AMX202",
        lambda m, x: torch.cat([m["other"](x).sigmoid(), m["one"](x)], -1).narrow(1, 0, 5),
        lambda m, x: F.relu(two_kinds(m, x))[:, 5:],
        *WITH_LOGITS,
    ),
    "one entry": (
        "AMX202",
        lambda m, x: two_kinds(m, x)[:, -1],
        lambda m, x: two_kinds(m, x)[:, 4],
        rows,
        OTHERS,
        LOGITS,
        yes_or_no(),
    ),
    "a distribution and a part of it": (
        "AMX201",
        lambda m, x: torch.cat([m["one"](x), m["other"](x).softmax(1)], 1)[:, 5:],
        lambda m, x: torch.cat([m["one"](x), m["other"](x).softmax(1)], 1)[:, 6:],
        *CLASSIFIES,
    ),
    "a mean of members": (
        "AMX201",
        lambda m, x: torch.stack(members(m, x)).mean(0),
        lambda m, x: torch.stack([members(m, x)[0], m["other"](x)]).mean(0),
        *CLASSIFIES,
    ),
    "a mean of members that stand behind the samples": (
        "AMX201",
        lambda m, x: torch.stack(members(m, x), 1).mean(1),
        lambda m, x: torch.stack([*members(m, x), *members(m, x), members(m, x)[0]], 1).mean(2),
        *CLASSIFIES,
    ),
    "distributions of several layers": (
        "AMX206",
        lambda m, x: torch.cat(members(m, x), 0).softmax(-1),
        lambda m, x: torch.cat(members(m, x), 1).softmax(-1),
        rows,
        OTHERS,
        *NO_LOSS,
    ),
    "a mask of queries": (
        "AMX304",
        lambda m, x: products(m, x).masked_fill(~keep(x, -1), -torch.inf).softmax(-1),
        lambda m, x: products(m, x).masked_fill(~keep(x, -2), -torch.inf).softmax(-1),
        sequences,
        HEADS,
        *NO_LOSS,
    ),
    "a mask of queries, where": (
        "AMX304",
        lambda m, x: torch.where(keep(x, -1), products(m, x), -torch.inf).softmax(-1),
        lambda m, x: torch.where(keep(x, -1), products(m, x), -torch.inf).softmax(-1).nan_to_num(),
        sequences,
        HEADS,
        *NO_LOSS,
    ),
    "a mask that is 0": (
        "AMX305",
        lambda m, x: (m["one"](x) * (x[..., :5] > 0)).softmax(-1),
        lambda m, x: (m["one"](x) * x[..., :5]).softmax(-1),
        rows,
        SCORES,
        *NO_LOSS,
    ),
    "a number that the mask takes away": (
        "AMX305",
        lambda m, x: below(x[:, :5], m["one"](x)),
        lambda m, x: aside(x[:, :5], m["one"](x)),
        rows,
        SCORES,
        *NO_LOSS,
    ),
    "a constant that half precision lacks": (
        "AMX305",
        lambda m, x: torch.where(x[:, :5] > 0, m["one"](x).half(), torch.full_like(m["one"](x).half(), OVERFLOWS)),
        lambda m, x: torch.where(x[:, :5] > 0, m["one"](x).half(), torch.full_like(m["one"](x).half(), -6e4)),
        rows,
        SCORES,
        *NO_LOSS,
    ),
    "a softmax of groups": (
        "AMX303",
        by_group,
        lambda m, x: by_group(m, x, shift=True),
        sequences,
        SCORES,
        *NO_LOSS,
    ),
    "log_softmax by hand": (
        "AMX302",
        lambda m, x: log_by_hand(m["one"](x), shift=False),
        lambda m, x: log_by_hand(m["one"](x)),
        rows,
        SCORES,
        *NO_LOSS,
    ),
    "log_softmax by hand of what a mask leaves": (
        "AMX302",
        lambda m, x: log_by_hand(m["one"](x), x[:, :5] > 0),
        lambda m, x: log_by_hand(m["one"](x).masked_fill(x[:, :5] > 0, -torch.inf)),
        rows,
        SCORES,
        *NO_LOSS,
    ),
    "a hard choice along another axis": (
        "AMX107",
        lambda m, x: hard(m["one"](x).softmax(1), -1),
        lambda m, x: hard(m["one"](x).softmax(-1), -1),
        sequences,
        SCORES,
        *NO_LOSS,
    ),
    "the largest value alone": (
        "AMX107",
        lambda m, x: F.one_hot(m["one"](x).softmax(1).max(-1).indices, CLASSES),
        lambda m, x: m["one"](x).softmax(1).max(-1),
        sequences,
        SCORES,
        *NO_LOSS,
    ),
    "two ranks": ("AMX104", twice(front), twice(back), sequences, SCORES, *NO_LOSS),
    "two ranks, and a dim that is computed": (
        "AMX104",
        twice(front),
        twice(computed),
        sequences,
        SCORES,
        *NO_LOSS,
    ),
}


def codes(function, inputs, layers, loss, target):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = anymax.check_model(Model(function, **layers), inputs(), loss=loss, target=target)
    return sorted({finding.code for finding in report.findings})


@pytest.mark.parametrize(("code", "wrong", "right", "inputs", "layers", "loss", "target"), PAIRS.values(), ids=PAIRS)
def test_the_mistake_is_found_and_its_repair_is_not_blamed(code, wrong, right, inputs, layers, loss, target):
    found = [codes(function, inputs, layers, loss, target) for function in (wrong, right)]
    assert found == [[code], []]
