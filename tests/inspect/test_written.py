"""What a call leaves out is read from its source, by check_model and by watch alike."""

from __future__ import annotations

import functools
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import gumbel_softmax as draw

import anymax
from tests.inspect.models import CLASSES, Model, linear, sequences

OPTIONS = {"dim": -1}
FIVE = (1.0, False, 1e-10, -1)
LAST = nn.Softmax(dim=-1)
with_dim = functools.partial(F.gumbel_softmax, dim=-1)

LEFT_OUT = {
    "nothing but the scores": lambda x: F.gumbel_softmax(x),
    "others by name": lambda x: torch.nn.functional.gumbel_softmax(x, tau=0.5, hard=True),
    "others by position": lambda x: F.gumbel_softmax(x, 0.5, False),
    "by a name of its own": lambda x: draw(x, hard=True),
    "over several lines": lambda x: F.gumbel_softmax(
        x,
        tau=0.5,  # dim=-1
    ),
    "beside one that gives it": lambda x: F.gumbel_softmax(x, dim=-1) + F.gumbel_softmax(x),
}
GIVEN = {
    "by name": lambda x: F.gumbel_softmax(x, dim=-1),
    "by position": lambda x: F.gumbel_softmax(x, 1.0, False, 1e-10, -1),
    "in an attribute": lambda x: F.gumbel_softmax(x, dim=LAST.dim),
    "in a dict": lambda x: F.gumbel_softmax(x, **OPTIONS),
    "in a tuple": lambda x: F.gumbel_softmax(x, *FIVE),
    "over several lines": lambda x: F.gumbel_softmax(
        x,
        dim=-1,
    ),
    "twice in a line": lambda x: F.gumbel_softmax(x, dim=-1) + F.gumbel_softmax(x, dim=-1, hard=True),
    "by a partial": lambda x: with_dim(x),
    "where there is no source": eval("lambda x: F.gumbel_softmax(x)"),
}
DIM_OF_SOFTMAX = {
    "by name": lambda x: F.softmax(x, dim=1),
    "by position": lambda x: F.log_softmax(x, 2) + F.softmin(x, -1),
    "in an attribute": lambda x: F.softmax(x, dim=LAST.dim),
    "by a module": lambda x: LAST(x),
    "of torch and of the tensor": lambda x: torch.softmax(x, 1) + x.log_softmax(2),
}


def codes(function):
    model, x = Model(lambda layers, x: function(layers["out"](x)), out=linear(CLASSES)), sequences()
    with warnings.catch_warnings(), anymax.watch(steps=1) as seen:
        warnings.simplefilter("ignore")
        model(x).sum().backward()
    found = [anymax.check_model(model, x).findings, seen.findings]
    return [sorted({one.code for one in some} & {"AMX101", "AMX108"}) for some in found]


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_dim_that_gumbel_softmax_is_not_given(name):
    assert codes(LEFT_OUT[name]) == [["AMX108"], ["AMX108"]]


@pytest.mark.parametrize("name", GIVEN)
def test_a_dim_that_gumbel_softmax_is_given_or_may_be(name):
    assert codes(GIVEN[name]) == [[], []]


@pytest.mark.parametrize("name", DIM_OF_SOFTMAX)
def test_a_dim_that_softmax_is_given(name):
    assert codes(DIM_OF_SOFTMAX[name]) == [[], []]


def test_no_dim_in_a_module_either():
    assert codes(lambda x: nn.Softmax()(x)) == codes(lambda x: F.softmin(x)) == [["AMX101"], ["AMX101"]]
