"""watch: finds the mistakes it is there for and nothing in their repaired halves, and leaves no trace."""

import gc
import itertools
import re
import threading
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import Categorical
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.testing._internal.common_methods_invocations import op_db

import anymax
from anymax.inspect.running import losses, places, provenance
from anymax.inspect.watching import _LOOKS, MisuseWarning, watch

MASKED = float("-inf")
LINEAR, CONV = nn.Linear(6, 5), nn.Conv2d(3, 5, 1)
SQUARE, SQUARE_AFTER = nn.Linear(6, 4), nn.Linear(4, 4)
X, IDS = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, 1, 4])
IMAGES = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2))


def codes(function, level=("error", "warning")):
    """The codes that a step which runs `function` gives."""
    with watch(steps=1) as seen, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function()
        except (RuntimeError, ValueError):
            assert seen.findings, "torch refuses the call, and watch has nothing to say of it"
        torch.zeros(1, requires_grad=True).sum().backward()
    return {finding.code for finding in seen.findings if finding.level in level}


def scores():
    return LINEAR(X)


def no_grad_probs():
    with torch.no_grad():
        return scores().softmax(1)


def attention(dim, drop=0.0):
    keys, values = torch.tanh(TOKENS @ TOKENS.mT), TOKENS
    queries, others = SQUARE(TOKENS), SQUARE(TOKENS + 1)
    weights = F.dropout(((queries @ others.transpose(1, 2)) / 2.0).softmax(dim), drop)
    assert keys.shape == weights.shape
    return weights @ values


def einsum_attention(dim):
    queries, keys = SQUARE(TOKENS), SQUARE(TOKENS + 1)
    weights = torch.einsum("bqd,bkd->bqk", queries, keys).softmax(dim)
    return torch.einsum("bqk,bkd->bqd", weights, TOKENS)


def heads(dim):
    queries = SQUARE(TOKENS).view(2, 4, 2, 2).transpose(1, 2)
    keys = SQUARE(TOKENS + 1).reshape(2, 4, 2, 2).permute(0, 2, 1, 3)
    weights = F.softmax((queries @ keys.mT).masked_fill(torch.eye(4, dtype=torch.bool), -1e9), dim)
    return torch.matmul(weights, queries)


def first_axis(*tensors):
    for tensor in tensors:
        tensor.softmax(0)


def computed_axis(*tensors):
    for tensor in tensors:
        tensor.softmax(tensor.ndim - 1)


# what is wrong: the code, the mistake, the repair
PAIRS = {
    "double": ("AMX201", lambda: F.cross_entropy(scores().softmax(1), IDS), lambda: F.cross_entropy(scores(), IDS)),
    "double through modules": (
        "AMX201",
        lambda: nn.CrossEntropyLoss()(nn.Sequential(LINEAR, nn.Softmax(dim=1))(X), IDS),
        lambda: nn.NLLLoss()(nn.Sequential(LINEAR, nn.LogSoftmax(dim=1))(X), IDS),
    ),
    "double through views and casts": (
        "AMX201",
        lambda: F.cross_entropy(scores().softmax(1).view(2, 2, 5).flatten(0, 1).double().clone()[:, :], IDS),
        lambda: F.cross_entropy(scores().view(2, 2, 5).flatten(0, 1), IDS),
    ),
    "double through permute": (
        "AMX201",
        lambda: F.cross_entropy(SQUARE(TOKENS).softmax(-1).permute(0, 2, 1), IDS[:, None].expand(4, 4)[:2] % 4),
        lambda: F.cross_entropy(SQUARE(TOKENS).permute(0, 2, 1), IDS[:, None].expand(4, 4)[:2] % 4),
    ),
    "double after dropout and clamp": (
        "AMX201",
        lambda: F.cross_entropy(F.dropout(scores().softmax(1), 0.1).clamp(1e-6), IDS),
        lambda: F.cross_entropy(F.dropout(scores(), 0.1).clamp(-9), IDS),
    ),
    "double under no_grad": (
        "AMX201",
        lambda: F.cross_entropy(no_grad_probs(), IDS),
        lambda: F.cross_entropy(no_grad_probs() * 5, IDS),
    ),
    "double, detached": (
        "AMX201",
        lambda: F.cross_entropy(scores().softmax(1).detach(), IDS),
        lambda: F.cross_entropy(scores().detach(), IDS),
    ),
    "double, indexed": (
        "AMX201",
        lambda: F.cross_entropy(scores().softmax(1)[IDS > 0], IDS[IDS > 0]),
        lambda: F.cross_entropy(scores()[IDS > 0], IDS[IDS > 0]),
    ),
    "double, gathered": (
        "AMX201",
        lambda: F.cross_entropy(torch.cat([row[None] for row in scores().softmax(1)]), IDS),
        lambda: F.cross_entropy(torch.cat([row[None] for row in scores()]), IDS),
    ),
    "double, ours": (
        "AMX201",
        lambda: anymax.cross_entropy(anymax.softmax(scores(), 1), IDS),
        lambda: anymax.cross_entropy(scores(), IDS),
    ),
    "double, our modules": (
        "AMX201",
        lambda: anymax.nn.CrossEntropyLoss()(anymax.nn.Softmax(dim=1)(scores()), IDS),
        lambda: anymax.nn.CrossEntropyLoss()(scores(), IDS),
    ),
    "double of a gumbel softmax": (
        "AMX201",
        lambda: F.cross_entropy(F.gumbel_softmax(scores(), dim=1), IDS),
        lambda: F.cross_entropy(scores(), IDS),
    ),
    "sigmoid, then with logits": (
        "AMX202",
        lambda: F.binary_cross_entropy_with_logits(scores().sigmoid(), torch.ones(4, 5)),
        lambda: F.binary_cross_entropy_with_logits(scores(), torch.ones(4, 5)),
    ),
    "sigmoid, then with logits, ours": (
        "AMX202",
        lambda: anymax.binary_cross_entropy_with_logits(nn.Sigmoid()(scores())[:, 0], torch.ones(4)),
        lambda: anymax.binary_cross_entropy_with_logits(scores()[:, 0], torch.ones(4)),
    ),
    "sigmoid, then focal": (
        "AMX202",
        lambda: anymax.sigmoid_focal_loss(inputs=scores().sigmoid(), targets=torch.ones(4, 5), reduction="mean"),
        lambda: anymax.sigmoid_focal_loss(inputs=scores(), targets=torch.ones(4, 5), reduction="mean"),
    ),
    "sigmoid, then asymmetric": (
        "AMX202",
        lambda: anymax.nn.AsymmetricLoss()(scores().sigmoid(), torch.ones(4, 5)),
        lambda: anymax.nn.AsymmetricLoss()(scores(), torch.ones(4, 5)),
    ),
    "softmax, then with logits": (
        "AMX202",
        lambda: nn.BCEWithLogitsLoss()(scores().softmax(1)[:, 1], torch.ones(4)),
        lambda: nn.BCEWithLogitsLoss()(scores()[:, 1], torch.ones(4)),
    ),
    "nll of probabilities": (
        "AMX203",
        lambda: F.nll_loss(scores().softmax(1), IDS),
        lambda: F.nll_loss(scores().log_softmax(1), IDS),
    ),
    "nll of scores": ("AMX203", lambda: F.nll_loss(scores(), IDS), lambda: F.cross_entropy(scores(), IDS)),
    "nll of positive numbers": (
        "AMX203",
        lambda: F.nll_loss(torch.rand(4, 5), IDS),
        lambda: F.nll_loss(-torch.rand(4, 5), IDS),
    ),
    "bce of scores": (
        "AMX204",
        lambda: F.binary_cross_entropy(scores(), torch.ones(4, 5)),
        lambda: F.binary_cross_entropy_with_logits(scores(), torch.ones(4, 5)),
    ),
    "kl of probabilities": (
        "AMX205",
        lambda: F.kl_div(scores().softmax(1), X[:, :5].softmax(1), reduction="batchmean"),
        lambda: F.kl_div(scores().log_softmax(1), X[:, :5].softmax(1), reduction="batchmean"),
    ),
    "kl of positive numbers": (
        "AMX205",
        lambda: F.kl_div(torch.rand(4, 5), torch.rand(4, 5), reduction="sum"),
        lambda: F.kl_div(torch.rand(4, 5).log(), torch.rand(4, 5), reduction="sum"),
    ),
    "kl with a log target": (
        "AMX205",
        lambda: F.kl_div(scores().log_softmax(1), X[:, :5].log_softmax(1), reduction="batchmean"),
        lambda: F.kl_div(scores().log_softmax(1), X[:, :5].log_softmax(1), reduction="batchmean", log_target=True),
    ),
    "softmax twice": ("AMX206", lambda: scores().softmax(1).softmax(-1), lambda: scores().softmax(1)),
    "log_softmax of softmax": ("AMX206", lambda: scores().softmax(1).log_softmax(1), lambda: scores().log_softmax(1)),
    "softmax over height, then width": (
        "AMX206",
        lambda: CONV(IMAGES).softmax(2).softmax(3),
        lambda: CONV(IMAGES).flatten(2).softmax(2),
    ),
    "sigmoid twice": ("AMX206", lambda: scores().sigmoid().sigmoid(), lambda: scores().sigmoid()),
    "logsigmoid of sigmoid": ("AMX206", lambda: F.logsigmoid(scores().sigmoid()), lambda: F.logsigmoid(scores())),
    "logits that are probabilities": (
        "AMX208",
        lambda: Categorical(logits=scores().softmax(1)),
        lambda: Categorical(probs=scores().softmax(1)),
    ),
    "probs that are scores": ("AMX208", lambda: Categorical(probs=scores()), lambda: Categorical(logits=scores())),
    "multinomial of scores": (
        "AMX208",
        lambda: torch.multinomial(scores(), 1),
        lambda: torch.multinomial(scores().softmax(1), 1),
    ),
    "sample of probabilities": (
        "AMX208",
        lambda: anymax.sample(scores().softmax(1), 1),
        lambda: anymax.sample(scores(), 1),
    ),
    "targets off the simplex": (
        "AMX209",
        lambda: F.cross_entropy(scores(), torch.rand(4, 5) + 0.1),
        lambda: F.cross_entropy(scores(), (torch.rand(4, 5) + 0.1).softmax(1)),
    ),
    "targets off the simplex in half": (
        "AMX209",
        lambda: F.cross_entropy(scores().half(), torch.rand(4, 5).half() + 0.1),
        lambda: F.cross_entropy(scores().half(), torch.rand(4, 5).half().softmax(1)),
    ),
    "binary targets above 1": (
        "AMX209",
        lambda: F.binary_cross_entropy_with_logits(scores(), torch.full((4, 5), 3.0)),
        lambda: F.binary_cross_entropy_with_logits(scores(), torch.full((4, 5), 0.3)),
    ),
    "all targets ignored": (
        "AMX211",
        lambda: F.cross_entropy(scores(), torch.full((4,), -100)),
        lambda: F.cross_entropy(scores(), torch.tensor([-100, -100, 1, -100])),
    ),
    "all targets ignored, nll": (
        "AMX211",
        lambda: F.nll_loss(scores().log_softmax(1), torch.zeros(4, dtype=torch.int64), ignore_index=0),
        lambda: F.nll_loss(scores().log_softmax(1), IDS, ignore_index=0),
    ),
    "log of softmax": ("AMX301", lambda: torch.log(scores().softmax(1) + 1e-9), lambda: scores().log_softmax(1)),
    "log of sigmoid": ("AMX301", lambda: scores().sigmoid().log(), lambda: F.logsigmoid(scores())),
    "a masked row": (
        "AMX304",
        lambda: scores().masked_fill(torch.tensor([[True], [False], [False], [False]]), MASKED).softmax(1),
        lambda: scores().masked_fill(torch.eye(4, 5) > 0, MASKED).softmax(1),
    ),
    "a masked row into a loss": (
        "AMX304",
        lambda: F.cross_entropy(scores().masked_fill(torch.tensor([[True], [False], [False], [False]]), MASKED), IDS),
        lambda: F.cross_entropy(scores(), IDS),
    ),
    "categorical over the batch": (
        "AMX102",
        lambda: Categorical(probs=scores().softmax(0)),
        lambda: Categorical(probs=scores().softmax(1)).log_prob(IDS),
    ),
    "largest of another axis": (
        "AMX107",
        lambda: scores().softmax(0).max(1).indices == IDS,
        lambda: scores().softmax(1).max(1).indices == IDS,
    ),
    "log_softmax by hand": (
        "AMX302",
        lambda: (lambda x: x - x.logsumexp(1, True))(scores()),
        lambda: (lambda x: x - scores().logsumexp(1, True))(scores()),
    ),
    "log_softmax by hand, ours": (
        "AMX302",
        lambda: (lambda x: x - anymax.logsumexp(x, 1)[:, None])(scores()),
        lambda: anymax.log_softmax(scores(), 1),
    ),
    "softmax by hand": (
        "AMX303",
        lambda: (lambda x: x / x.sum(1, keepdim=True))(scores().exp()),
        lambda: (lambda x: x / x.sum(1, keepdim=True))((scores() - scores().amax(1, True)).exp()),
    ),
    "a mask that hides nothing": (
        "AMX305",
        lambda: scores().masked_fill(torch.eye(4, 5) > 0, 1e-9).softmax(1),
        lambda: scores().masked_fill(torch.eye(4, 5) > 0, -1e9).softmax(1),
    ),
    "a mask that hides nothing, where": (
        "AMX305",
        lambda: (torch.where(torch.eye(4, 5) > 0, scores(), -5.0) / 2).softmax(1),
        lambda: (torch.where(torch.eye(4, 5) > 0, scores(), MASKED) / 2).softmax(1),
    ),
    "a mask that overflows": (
        "AMX305",
        lambda: scores().half().masked_fill(torch.eye(4, 5) > 0, -1e9),
        lambda: scores().half().masked_fill(torch.eye(4, 5) > 0, MASKED),
    ),
    "no dim": ("AMX101", lambda: nn.Softmax()(scores()), lambda: nn.Softmax(dim=1)(scores())),
    "no dim, ours": ("AMX101", lambda: anymax.softmax(TOKENS), lambda: anymax.softmax(TOKENS, 2)),
    "over the batch, into a loss": (
        "AMX102",
        lambda: F.nll_loss(F.log_softmax(scores(), 0), IDS),
        lambda: F.nll_loss(F.log_softmax(scores(), 1), IDS),
    ),
    "over the batch, inside the model": (
        "AMX102",
        lambda: F.cross_entropy(SQUARE(F.relu(nn.Linear(6, 6)(X)).softmax(0) * X), IDS % 4),
        lambda: F.cross_entropy(SQUARE(F.relu(nn.Linear(6, 6)(X)).softmax(1) * X), IDS % 4),
    ),
    "over the batch, then a product": (
        "AMX102",
        lambda: SQUARE(TOKENS).softmax(0) @ SQUARE(TOKENS),
        lambda: SQUARE(TOKENS).softmax(2) @ SQUARE(TOKENS),
    ),
    "one entry": ("AMX103", lambda: nn.Linear(6, 1)(X).softmax(1), lambda: nn.Linear(6, 1)(X).sigmoid()),
    "one class": (
        "AMX103",
        lambda: F.cross_entropy(nn.Linear(6, 1)(X), torch.zeros(4, dtype=torch.int64)),
        lambda: F.cross_entropy(nn.Linear(6, 2)(X), torch.zeros(4, dtype=torch.int64)),
    ),
    "ranks": ("AMX104", lambda: first_axis(X[0], X), lambda: computed_axis(X[0], X)),
    "over the queries": ("AMX105", lambda: attention(1), lambda: attention(2)),
    "over the queries, dropout": ("AMX105", lambda: attention(-2, 0.1), lambda: attention(-1, 0.1)),
    "over the queries, einsum": ("AMX105", lambda: einsum_attention(1), lambda: einsum_attention(2)),
    "over the queries, heads": ("AMX105", lambda: heads(2), lambda: heads(3)),
    "over the heads": ("AMX105", lambda: heads(1), lambda: heads(-1)),
    "over the width": (
        "AMX106",
        lambda: F.nll_loss(CONV(IMAGES).log_softmax(-1), torch.ones(2, 4, 4, dtype=torch.int64)),
        lambda: F.nll_loss(CONV(IMAGES).log_softmax(1), torch.ones(2, 4, 4, dtype=torch.int64)),
    ),
    "argmax of another axis": ("AMX107", lambda: scores().softmax(1).argmax(0), lambda: scores().softmax(1).argmax(1)),
    "argmax of nothing": (
        "AMX107",
        lambda: (scores().argmax() == IDS).sum(),
        lambda: (scores().argmax(1) == IDS).sum(),
    ),
    "gumbel without dim": (
        "AMX108",
        lambda: F.gumbel_softmax(CONV(IMAGES)),
        lambda: F.gumbel_softmax(CONV(IMAGES), dim=1),
    ),
    "gumbel without dim, ours": (
        "AMX108",
        lambda: anymax.gumbel_softmax(CONV(IMAGES)),
        lambda: anymax.gumbel_softmax(CONV(IMAGES), dim=1),
    ),
    "classes last": (
        "AMX109",
        lambda: F.cross_entropy(SQUARE(TOKENS), torch.ones(2, 4, dtype=torch.int64)),
        lambda: F.cross_entropy(SQUARE(TOKENS).mT, torch.ones(2, 4, dtype=torch.int64)),
    ),
}


@pytest.mark.parametrize(("code", "wrong", "right"), PAIRS.values(), ids=PAIRS)
def test_the_mistake_is_found_and_its_repair_is_not_blamed(code, wrong, right):
    torch.manual_seed(0)
    assert code in codes(wrong)
    assert codes(right) == set()


def train(steps, *, model=None, probs=False):
    """A loop of training whose model ends in a softmax, or does not."""
    model = model or nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 5))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        out = model(X)
        optimizer.zero_grad()
        loss = F.cross_entropy(out.softmax(1) if probs else out, IDS)
        loss.backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


class Block(nn.Module):
    """Attention and a gate, written out, and everything in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.gate, self.out = nn.LayerNorm(8), nn.Linear(8, 3), nn.Linear(8, 8)

    def forward(self, tokens):
        tokens = self.norm(tokens + self.attention(tokens, tokens, tokens)[0])
        experts = torch.stack([self.out(tokens), tokens.tanh(), tokens], dim=2)
        return torch.einsum("bte,bted->btd", self.gate(tokens).softmax(-1), experts)


def classify_tokens():
    model = nn.Sequential(
        nn.Embedding(9, 8), Block(), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 9)
    )
    ids = torch.arange(18).reshape(2, 9) % 9
    scores = model(ids)
    F.cross_entropy(scores.flatten(0, 1), ids.flatten())
    F.cross_entropy(scores.transpose(1, 2), ids)
    assert scores.softmax(-1).argmax(-1).shape == ids.shape


def classify_images():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    loss = F.cross_entropy(model(IMAGES), torch.tensor([1, 2]), label_smoothing=0.1)
    loss += F.binary_cross_entropy_with_logits(model(IMAGES)[:, 0], torch.tensor([0.0, 1.0]))


def contrast():
    one, two = F.normalize(LINEAR(X), dim=-1), F.normalize(nn.Linear(6, 5)(X), dim=-1)
    scores = one @ two.T / 0.1
    F.cross_entropy(scores, torch.arange(4))
    F.cross_entropy(scores.T, torch.arange(4))


def pool_instances():
    weights = nn.Linear(6, 1)(X).softmax(dim=0)
    F.cross_entropy(LINEAR(weights.T @ X), torch.tensor([1]))


def assign_to_clusters():
    assigned = SQUARE(TOKENS).softmax(-1)
    assert (assigned.transpose(1, 2) @ TOKENS).shape == (2, 4, 6)


def mix_positions():
    """Channels from a convolution stay the classes when a layer mixes the positions."""
    scores = SQUARE_AFTER(nn.Conv1d(4, 4, 1)(TOKENS[..., :4]))
    F.cross_entropy(scores, torch.ones(2, 4, dtype=torch.int64))


def recur():
    out, _ = nn.LSTM(6, 5, batch_first=True)(TOKENS)
    F.cross_entropy(out[:, -1], torch.tensor([1, 2]))


def distil():
    teacher = scores().detach()
    F.kl_div(F.log_softmax(scores() / 2, 1), F.softmax(teacher / 2, 1), reduction="batchmean")
    F.cross_entropy(scores(), F.softmax(teacher, 1))


def act():
    policy = Categorical(logits=scores())
    action = policy.sample()
    assert (policy.log_prob(action) * policy.entropy()).shape == (4,)
    assert policy.probs.argmax(-1).shape == (4,)
    assert Categorical(probs=scores().softmax(-1)).logits.shape == (4, 5)
    assert scores().softmax(1).max(0).values.shape == (5,)


def normalise_by_hand():
    """Of slots: the softmax is over the queries on purpose, and the weights are divided by their sums over the keys."""
    queries, keys = SQUARE(TOKENS), SQUARE(TOKENS + 1)
    weights = (queries @ keys.mT).softmax(1) + 1e-8
    assert ((weights / weights.sum(-1, keepdim=True)) @ TOKENS).shape == TOKENS.shape


HEALTHY = (
    *(classify_tokens, classify_images, contrast, pool_instances, assign_to_clusters, recur, distil, act),
    mix_positions,
    normalise_by_hand,
)


@pytest.mark.parametrize("model", HEALTHY, ids=[model.__name__ for model in HEALTHY])
def test_healthy_code_is_not_blamed(model):
    assert codes(model) == set()


def test_a_warning_names_the_line_of_the_user_and_comes_once():
    with pytest.warns(MisuseWarning) as caught, watch(steps=5) as seen:
        train(5, probs=True)
    (warning,), (finding,) = caught, seen.findings
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[finding.line - 1]
    assert "F.cross_entropy(out.softmax(1) if probs else out, IDS)" in line
    assert (warning.filename, warning.lineno) == (__file__, finding.line) == (finding.path, finding.line)
    assert str(warning.message) == f"AMX201: {finding.message}"
    assert (finding.code, finding.level) == ("AMX201", "error")
    assert line[finding.column - 1 : finding.end_column - 1] == "F.cross_entropy(out.softmax(1) if probs else out, IDS)"


def test_habits_are_found_and_not_warned_of():
    def nested():
        F.nll_loss(F.log_softmax(scores(), 1), IDS)

    def apart():
        logs = F.log_softmax(scores(), 1)
        F.nll_loss(logs, IDS)

    assert codes(nested, level=("info",)) == {"AMX207"}
    assert codes(apart, level=("info",)) == set()
    assert codes(lambda: F.cross_entropy(scores().log_softmax(1), IDS), level=("info",)) == {"AMX201"}
    assert codes(lambda: F.binary_cross_entropy(scores().sigmoid(), torch.ones(4, 5)), level=("info",)) == {"AMX204"}
    assert codes(lambda: X[0].softmax(0), level=("info",)) == set()
    assert codes(lambda: nn.Softmax()(X[0]), level=("info",)) == {"AMX101"}
    with warnings.catch_warnings(), watch():
        warnings.simplefilter("error")
        nested()


def test_each_watch_warns_anew():
    for _ in range(2):
        with pytest.warns(MisuseWarning), watch(steps=1):
            train(1, probs=True)


def test_a_filter_of_errors_stops_the_loop_and_nothing_stays():
    with warnings.catch_warnings():
        warnings.simplefilter("error", MisuseWarning)
        with pytest.raises(MisuseWarning, match="AMX201"), watch():
            train(1, probs=True)
    assert_nothing_is_on()


def assert_nothing_is_on():
    assert torch._C._len_torch_function_stack() == 0
    for home, name in ((torch.Tensor, "backward"), (torch.autograd, "backward")):
        assert not hasattr(getattr(home, name), "__wrapped__")
    assert not _global_optimizer_pre_hooks
    assert not _global_optimizer_post_hooks


def test_it_stops_after_its_steps_within_the_block():
    with watch(steps=3) as seen:
        train(2)
        assert torch._C._len_torch_function_stack() == 1
        assert seen.steps_seen == 2
        train(1)
        assert_nothing_is_on()
        train(4, probs=True)
    assert (seen.steps_seen, seen.findings) == (3, [])
    assert_nothing_is_on()


def test_a_step_ends_with_either_backward_and_not_with_grad():
    with watch(steps=10) as seen:
        loss = F.cross_entropy(scores(), IDS)
        torch.autograd.grad(loss, LINEAR.weight, retain_graph=True)
        assert seen.steps_seen == 0
        loss.backward(retain_graph=True)
        torch.autograd.backward(loss, retain_graph=True)
        torch.autograd.backward([loss], [torch.ones(())])
        assert seen.steps_seen == 3
        with pytest.raises(RuntimeError):
            loss.backward()
        assert seen.steps_seen == 3


@pytest.mark.parametrize("closure", [False, True])
def test_an_optimizer_is_not_watched_and_its_closure_is(closure):
    model = nn.Linear(6, 5)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    depths = []

    def loss():
        optimizer.zero_grad()
        depths.append(torch._C._len_torch_function_stack())
        value = F.cross_entropy(model(X).softmax(1), IDS)
        value.backward()
        return value

    optimizer.register_step_pre_hook(lambda *_: depths.append(torch._C._len_torch_function_stack()))
    with watch(steps=3) as seen:
        if closure:
            quietly(optimizer.step, loss)
        else:
            quietly(loss)
            optimizer.step()
        assert torch._C._len_torch_function_stack() == 1
    assert depths == ([1, 1] if closure else [1, 0])
    assert [one.code for one in seen.findings] == ["AMX201"]
    assert_nothing_is_on()


def test_an_optimizer_that_fails_does_not_end_the_watch():
    model = nn.Linear(6, 5)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    optimizer.register_step_pre_hook(lambda *_: 1 / 0)
    with watch(steps=3) as seen:
        F.cross_entropy(model(X), IDS).backward()
        with pytest.raises(ZeroDivisionError):
            optimizer.step()
        F.cross_entropy(model(X), IDS).backward()
        quietly(lambda: F.cross_entropy(model(X).softmax(1), IDS).backward())
    assert (seen.steps_seen, [one.code for one in seen.findings]) == (3, ["AMX201"])
    assert_nothing_is_on()


def test_numbers_and_random_state_are_as_without_a_watch():
    def run():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Linear(8, 5))
        return [*train(4, model=model, probs=True), torch.get_rng_state()]

    alone = run()
    with watch():
        watched = quietly(run)
    for one, other in zip(alone, watched, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("function", "dim"), [("cross_entropy", 5), ("log_prob", "a"), ("cross_entropy", (0, 1))])
def test_an_error_of_the_call_is_the_one_without_a_watch(function, dim):
    def message():
        with pytest.raises((IndexError, ValueError)) as stopped:
            getattr(anymax, function)(X, IDS, dim=dim)
        return str(stopped.value)

    without = message()
    with watch():
        assert message() == without
    assert without.startswith(f"{function}: ")


FOLLOWED = [
    op for op in op_db if any(f in _LOOKS for f in (op.op, op.method_variant, op.inplace_variant) if f is not None)
]


@pytest.mark.filterwarnings("ignore")
def test_every_function_that_is_followed_runs_as_without_a_watch():
    """Whatever the tensors are taken for, nothing is raised, and as many axes are known as there are."""
    names, ran, state = set(), 0, torch.get_rng_state()
    for op in FOLLOWED:
        for sample in itertools.islice(op.sample_inputs("cpu", torch.float32), 1):
            for function in (op.op, op.method_variant, op.inplace_variant):
                if function is None:
                    continue
                torch.set_rng_state(state)
                try:
                    wanted = function(*copied(sample.input), *copied(sample.args)[0], **copied(sample.kwargs)[0])
                except RuntimeError:
                    continue
                ran += 1
                names.add(op.name)
                (input,), (args,), (kwargs,) = copied(sample.input), copied(sample.args), copied(sample.kwargs)
                torch.set_rng_state(state)
                with watch() as seen:
                    take_for_something(seen._record.origins, (input, args), ran)
                    result = function(input, *args, **kwargs)
                    for tensor in [result] if isinstance(result, torch.Tensor) else list(result):
                        origin = seen._record.origins.get(tensor)
                        assert origin is None or origin.kind in INDICES or len(origin.axes) == tensor.ndim, op.name
                torch.testing.assert_close(result, wanted, rtol=0, atol=0, equal_nan=True)
    assert len(names) > 80
    assert ran > 150


def test_single_numbers_have_no_axes():
    number, axes = torch.tensor(1.5), (0, -1)
    with watch() as seen, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for at in axes:
            take_for_something(seen._record.origins, [number], 0)
            for result in (number.softmax(at), number.sum(at), number.logsumexp(at), number.transpose(at, 0)):
                assert result.shape == ()
            assert number.softmax(0).argmax(at) == number.softmax(0).max(at).indices == 0


KINDS = ("softmax", "log_softmax", "scores", "product", "sigmoid", "exp", None)
INDICES = ("choice", "elsewhere")


def copied(value):
    """In a tuple, so that what is a tuple itself can be told from several arguments."""
    return (torch.utils._pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.detach().clone(), value),)


def take_for_something(origins, value, which):
    for at, tensor in enumerate(torch.utils._pytree.tree_leaves(value)):
        if isinstance(tensor, torch.Tensor):
            axes = tuple(provenance.Axis(bool(axis % 2)) for axis in range(tensor.ndim))
            kind = KINDS[(which + at) % len(KINDS)]
            made = provenance.Competition(axes[:1], places.caller())
            made_by = made if kind in ("softmax", "log_softmax") else None
            origins.put(tensor, provenance.Origin(axes, kind, made_by, made.place, (made,)))


def test_no_tensor_is_kept_alive():
    with watch() as seen:
        quietly(train, 1, probs=True)
        hidden = LINEAR(X).relu().softmax(1)
        alive = weakref.ref(hidden)
        del hidden
        gc.collect()
        assert alive() is None
    assert len(seen._record.origins) == 0


def test_what_is_gone_is_forgotten_and_what_is_alive_is_not(monkeypatch):
    monkeypatch.setattr(provenance, "MOST_ENTRIES", 20)
    with watch() as seen:
        kept = [LINEAR(X) for _ in range(15)]
        for _ in range(100):
            kept.append(LINEAR(X))
            del kept[0]
            assert len(seen._record.origins) <= 40
        kept += [LINEAR(X) for _ in range(60)]
        assert all(seen._record.origins.get(tensor) is not None for tensor in kept)


def test_a_number_used_again_by_another_tensor_is_not_mistaken():
    origins = provenance.Origins()
    first = torch.zeros(3)
    origins.put(first, provenance.Origin((None,), "softmax"))
    second = torch.ones(3)
    origins._entries[id(second)] = origins._entries.pop(id(first))
    assert origins.get(second) is None


@pytest.mark.parametrize(
    "write", [lambda probs: probs.mul_(3), lambda probs: probs.view(-1).add_(1.0), lambda probs: probs.copy_(X[:, :5])]
)
def test_a_tensor_that_was_written_to_is_no_longer_what_it_was(write):
    def step():
        with torch.no_grad():
            probs = scores().softmax(1)
            write(probs)
        F.cross_entropy(probs, IDS)

    assert codes(step) == set()


def test_an_exception_in_the_block_ends_the_watch():
    with pytest.raises(KeyError), watch():
        raise KeyError
    assert_nothing_is_on()


def test_nested_watches_both_see():
    with watch(steps=3) as outer:
        with watch(steps=1) as inner:
            quietly(train, 2, probs=True)
        assert torch._C._len_torch_function_stack() == 1
        quietly(train, 1, probs=True)
    assert (outer.steps_seen, inner.steps_seen) == (3, 1)
    assert [one.code for one in outer.findings] == [one.code for one in inner.findings] == ["AMX201"]
    assert_nothing_is_on()


def test_an_outer_watch_may_end_first():
    with watch(steps=1) as outer, watch(steps=2) as inner:
        train(1)
        assert torch._C._len_torch_function_stack() == 1
        quietly(train, 1, probs=True)
    assert (outer.steps_seen, inner.steps_seen) == (1, 2)
    assert (len(outer.findings), len(inner.findings)) == (0, 1)
    assert_nothing_is_on()


def test_a_watch_that_is_on_refuses_to_begin_again():
    seen = watch()
    with seen, pytest.raises(RuntimeError, match="is on already"):
        seen.__enter__()
    assert_nothing_is_on()


def test_a_watch_goes_on_in_a_second_block():
    seen = watch(steps=3)
    for _ in range(2):
        with seen:
            train(1)
    assert seen.steps_seen == 2


def test_a_generator_may_hold_a_watch():
    seen = watch(steps=9)

    def batches():
        with seen:
            yield from range(3)

    for _ in batches():
        quietly(train, 1, probs=True)
    assert (seen.steps_seen, [one.code for one in seen.findings]) == (3, ["AMX201"])
    assert_nothing_is_on()
    left = batches()
    next(left)
    with watch():
        left.close()
        assert torch._C._len_torch_function_stack() == 1
    assert_nothing_is_on()


def test_other_threads_are_not_watched_and_may_watch_themselves():
    found = {}

    def work():
        quietly(train, 2, probs=True)
        with watch(steps=1) as own:
            quietly(train, 2, probs=True)
        found["own"] = own

    with watch(steps=5) as seen:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert hasattr(torch.Tensor.backward, "__wrapped__")
        train(1)
    assert (seen.steps_seen, seen.findings) == (1, [])
    assert (found["own"].steps_seen, len(found["own"].findings)) == (1, 1)
    assert_nothing_is_on()


def test_fullgraph_compiles_while_a_watch_is_on_and_the_report_says_what_was_not_seen():
    model = nn.Sequential(LINEAR, nn.Softmax(1))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with watch(steps=2) as seen:
        for _ in range(3):
            F.cross_entropy(compiled(X), IDS).backward()
    assert (seen.steps_seen, seen.findings) == (2, [])
    assert "came out of torch.compile" in str(seen)
    assert torch.equal(compiled(X), model(X))


def test_a_watch_inside_of_compiled_code_does_nothing():
    def step(tensor):
        with watch(steps=1):
            return tensor.softmax(0) * 2

    compiled = torch.compile(step, fullgraph=True, backend="eager")
    assert torch.equal(compiled(X), step(X))


def test_transforms_pass_through():
    with watch(steps=1):
        result = torch.func.vmap(torch.func.grad(lambda row: F.cross_entropy(LINEAR(row), IDS[0])))(X)
    assert result.shape == X.shape


def test_meta_and_fake_tensors_pass_through():
    with watch(steps=1) as seen:
        F.cross_entropy(torch.empty(4, 5, device="meta"), torch.empty(4, 5, device="meta"))
        with FakeTensorMode():
            F.binary_cross_entropy_with_logits(torch.empty(4, 5), torch.empty(4, 5))
    assert seen.findings == []


def test_a_loss_at_the_floor_of_a_double_softmax():
    class Hidden(torch.autograd.Function):
        """A softmax that is not seen."""

        @staticmethod
        def forward(ctx, tensor):
            powers = np.exp(tensor.detach().numpy())
            return torch.from_numpy(powers / powers.sum(1, keepdims=True))

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    certain = torch.full((4, 5), -20.0).scatter(1, IDS[:, None], 20.0).requires_grad_()

    def loop(watched, *losses):
        with watched:
            for _ in range(4):
                for loss in losses:
                    loss().backward()

    with pytest.warns(MisuseWarning, match=r"AMX210: the loss stays at 0\.905 while 100 % of the predictions"):
        loop(watch(4), lambda: F.cross_entropy(Hidden.apply(certain), IDS))
    loop(
        seen := watch(12),
        lambda: F.cross_entropy(certain, IDS),
        lambda: F.cross_entropy(certain * 0.03, IDS),
    )
    # as low, with half of the predictions wrong
    mistaken = certain.detach().clone()
    mistaken[:2] = -20.0
    mistaken[0, :2] = mistaken[1, 3:] = torch.tensor([0.0, 1.6])
    assert F.cross_entropy(mistaken, IDS).item() == pytest.approx(losses.floor(5), rel=0.05)
    loop(seen, lambda: F.cross_entropy(mistaken.requires_grad_(), IDS))
    assert seen.findings == []


@pytest.mark.parametrize(("num_classes", "floor"), [(2, 0.313), (10, 1.461), (100, 3.622), (1000, 5.909)])
def test_the_floor_is_that_of_a_one_hot_row_after_a_softmax(num_classes, floor):
    perfect = F.cross_entropy(torch.eye(num_classes), torch.arange(num_classes)).item()
    assert losses.floor(num_classes) == pytest.approx(perfect, abs=1e-5)
    assert losses.floor(num_classes) == pytest.approx(floor, abs=1e-3)


def test_the_report_says_what_was_seen_and_what_was_not():
    with watch(steps=3) as seen:
        quietly(train, 2, probs=True)
        F.cross_entropy(torch.rand(4, 5), IDS)
    lines = str(seen).splitlines()
    assert lines[0] == "watched 2 of 3 steps, 2 calls of a softmax and 3 of a loss: 1 finding"
    assert re.match(rf"{re.escape(__file__)}:\d+: AMX201 error: cross_entropy was given probabilities", lines[1])
    assert lines[2:4] == ["`anymax check --explain CODE` says more of AMX201.", ""]
    assert "Not looked at: other threads and processes" in lines[4]
    assert "Losses whose input came from a call that is not followed: 1." in lines
    assert "fewer were seen than asked for" in lines[-1]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (0, ValueError, "watch: steps must be at least 1, got 0"),
        (2.0, TypeError, "watch: steps must be an int, got 2.0 of type float"),
        (True, TypeError, "watch: steps must be an int, got True of type bool"),
    ],
)
def test_errors_are_one_sentence(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        watch(given)
