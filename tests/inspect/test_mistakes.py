"""A mistake that several engines see leads to the same, and is mended by the same call, in the words of all of them."""

from __future__ import annotations

import linecache
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import anymax
from anymax.inspect import mistakes
from anymax.inspect.check.pages import ENGINES
from tests.inspect.check.test_reading_rules import found_in

MODEL = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 5)
        self.one = nn.Linear(8, 1)
        self.conv = nn.Conv2d(3, 5, 3)
    def forward(self, x):
        return {forward}

def criterion(out, y):
    return {loss}
"""
USE = """
for x, y in torch.utils.data.DataLoader(data):
    criterion(Net()(x), y)
"""
ROWS, SEQUENCES, IMAGES = (4, 8), (4, 8, 8), (4, 3, 8, 9)
# what the model does, its loss, the shape of its input, what every engine says
SAID = {
    "AMX101": ("F.softmax(self.fc(torch.flatten(x, 1)))", "out.sum()", ROWS, mistakes.implicit_dim(1)),
    "AMX102": (
        "F.softmax(self.fc(torch.flatten(x, 1)), dim=0)",
        "F.nll_loss(out.log(), y)",
        ROWS,
        mistakes.SAMPLES_COMPETE,
    ),
    "AMX103": ("torch.softmax(self.one(torch.flatten(x, 1)), dim=1)", "out.sum()", ROWS, mistakes.one_entry("softmax")),
    "AMX105": (
        "torch.softmax(self.fc(x) @ self.fc(x).transpose(1, 2), dim=-2) @ x",
        "out.sum()",
        SEQUENCES,
        "so that the keys of each query compete",
    ),
    "AMX106": ("self.conv(x).softmax(dim=-1)", "out.sum()", IMAGES, mistakes.pixels_compete((2, 3), 1)),
    "AMX107": (
        "self.conv(x).softmax(dim=1)",
        "(out.argmax(dim=2) == y[:, None, None]).sum() + out.sum()",
        IMAGES,
        "entries of different distributions are compared. Write dim=1",
    ),
    "AMX108": ("F.gumbel_softmax(self.conv(x))", "out.sum()", IMAGES, mistakes.DRAWS_LAST),
    "AMX109": (
        "self.fc(x.view(x.size(0), 5, 8))",
        "F.cross_entropy(out, y[:, None].expand(-1, 5))",
        (4, 5, 8),
        mistakes.CLASSES_LAST,
    ),
    "AMX201": (
        "self.fc(x).softmax(dim=1)",
        "F.cross_entropy(out, y)",
        ROWS,
        "comes before the softmax of the loss itself",
    ),
    "AMX202": (
        "self.fc(x).sigmoid()",
        "F.binary_cross_entropy_with_logits(out, torch.zeros_like(out))",
        ROWS,
        mistakes.sigmoid_twice_in_loss("sigmoid"),
    ),
    "AMX203": ("self.fc(x).softmax(dim=1)", "F.nll_loss(out, y)", ROWS, mistakes.NLL_OF_PROBS),
    "AMX204": (
        "self.fc(x)",
        "F.binary_cross_entropy(torch.sigmoid(out), torch.zeros_like(out))",
        ROWS,
        mistakes.BCE_OF_SIGMOID,
    ),
    "AMX205": ("self.fc(x).softmax(dim=1)", "F.kl_div(out, torch.ones_like(out) / 5)", ROWS, mistakes.NO_DIVERGENCE),
    "AMX206": ("self.fc(x).softmax(dim=1).softmax(dim=1)", "out.sum()", ROWS, mistakes.SOFTMAX_TWICE),
    "AMX207": ("self.fc(x)", "F.nll_loss(F.log_softmax(out, dim=1), y)", ROWS, mistakes.ONE_CALL),
    "AMX208": (
        "self.fc(x).softmax(dim=1)",
        "torch.distributions.Categorical(logits=out).logits.sum()",
        ROWS,
        mistakes.LOGITS_OF_PROBS,
    ),
    "AMX301": ("self.fc(x).softmax(dim=1).log()", "out.sum()", ROWS, mistakes.log_of("softmax")),
    "AMX302": ("x - x.logsumexp(1, keepdim=True)", "out.sum()", ROWS, "loses the digits that both have in common"),
    "AMX303": (
        "(e := self.fc(x).exp()) / e.sum(1, keepdim=True)",
        "out.sum()",
        ROWS,
        "is NaN as soon as a score passes 88 in float32",
    ),
    "AMX305": ("self.fc(x).masked_fill(x[:, :5] > 0, 0.0).softmax(dim=1)", "out.sum()", ROWS, mistakes.WEAK_MASK),
}


def read(text, _shape):
    return found_in(text + USE)


def made(text, name):
    """The model and the loss of a text whose lines can be looked up."""
    file = f"<{name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names = {"torch": torch, "nn": nn, "F": F}
    exec(compile(text, file, "exec"), names)
    return names["Net"](), names["criterion"]


def traced(text, shape):
    net, criterion = made(text, "traced")
    return anymax.check_model(net, torch.randn(shape), loss=criterion, target=torch.arange(4)).findings


def watched(text, shape):
    net, criterion = made(text, "watched")
    with anymax.watch(steps=1) as seen:
        criterion(net(torch.randn(shape, requires_grad=True)), torch.arange(4)).backward()
    return seen.findings


@pytest.mark.parametrize("code", SAID)
@pytest.mark.parametrize(
    ("engine", "find"), [("anymax check", read), ("anymax.check_model", traced), ("anymax.watch", watched)]
)
def test_every_engine_says_the_same(engine, find, code):
    forward, loss, shape, words = SAID[code]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [one for one in find(MODEL.format(forward=forward, loss=loss), shape) if one.code == code]
    assert code in ENGINES[engine]
    assert any(words in one.message for one in found), [one.message for one in found]
