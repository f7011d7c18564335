"""A call is read as Python would call it, never run, and what is not understood is said in one sentence."""

from __future__ import annotations

import contextlib
import re

import pytest
import torch
import torch.nn.functional as F

import anymax
from anymax.inspect.calls import LONGEST_CALL, parse


@pytest.mark.parametrize(
    ("text", "function", "shape", "dim"),
    [
        ("softmax(x: 2,8,128,128, dim=1)", "softmax", (2, 8, 128, 128), 1),
        ("softmax(x: 2, 3, dim=-1)", "softmax", (2, 3), -1),
        ("softmax(x: (2, 3), 1)", "softmax", (2, 3), 1),
        ("softmax(x: [2, 3], (0, 1))", "softmax", (2, 3), (0, 1)),
        ("softmax(x: (3,), 0)", "softmax", (3,), 0),
        ("softmax(x: 3)", "softmax", (3,), None),
        ("softmax(x: 2,3,)", "softmax", (2, 3), None),
        ("softmax(x: (), dim=0)", "softmax", (), 0),
        ("  softmax(input=x, dim=1) x: 2,3 ", "softmax", (2, 3), 1),
        ("F.softmax(x, 1) x: 2,3", "softmax", (2, 3), 1),
        ("F.softmax(x: 2,3)", "softmax", (2, 3), None),
        ("torch.softmax(x: 2,3, dim=0)", "softmax", (2, 3), 0),
        ("torch.nn.functional.log_softmax(x: 2,3, dim=0)", "log_softmax", (2, 3), 0),
        ("nn.functional.softmin(x: 2,3, dim=0, dtype=torch.float32)", "softmin", (2, 3), 0),
        ("anymax.softmax(x: 2,3, dim='batch [class]', temperature=0.5)", "softmax", (2, 3), "batch [class]"),
        ("F.gumbel_softmax(logits: 2,3, 0.5, True)", "gumbel_softmax", (2, 3), None),
        ("F.gumbel_softmax(logits: 2, 3, 0.5, True)", "gumbel_softmax", (2, 3), None),
        ("F.gumbel_softmax(logits: (2,3), tau=t, hard=True, dim=0)", "gumbel_softmax", (2, 3), 0),
        ("torch.argmax(x: (2,3), 1)", "argmax", (2, 3), 1),
        ("cross_entropy(input: 8,5,32,32, target: 8,32,32)", "cross_entropy", (8, 5, 32, 32), None),
        ("F.cross_entropy(x, y, reduction='sum', ignore_index=-1) x: 8,5 y: 8", "cross_entropy", (8, 5), None),
        ("F.cross_entropy(x, y), x: 8,5, y: 8", "cross_entropy", (8, 5), None),
        ("anymax.cross_entropy(x: 8,5,7, y: 8,5, dim=2)", "cross_entropy", (8, 5, 7), 2),
    ],
)
def test_calls_are_read(text, function, shape, dim):
    call = parse(text)
    assert (call.function, call.shape, call.dim) == (function, shape, dim)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("softmax(x, dim=1)", "the shape of 'x' is missing: write x: 2,3 in its place or behind the call"),
        ("softmax(x: 2,3, 1)", "it is not clear whether the 1 in 'x: 2,3, 1' is a size or a dim: write 'x: (2,3), 1'"),
        ("softmax(x: 2,3, dim=n)", "dim must be a literal, such as dim=1"),
        ("softmax(x: 2,3, dim=__import__('os').getpid())", "dim must be a literal"),
        ("softmax(x: 2,3, mask=m)", "the argument 'mask' is not explained, so leave it out"),
        ("softmax(x: 2,3, dim=1, **more)", "an argument is given twice, or by **"),
        ("softmax(x: (2,3), 1, dim=1)", "an argument is given twice, or by **"),
        ("softmax(x: (2,3), 1, 2, 3)", "softmax takes 2 positional arguments at most"),
        ("softmax(dim=1)", "the scores are a name and its shape, as in x: 2,3"),
        ("softmax(x + y, dim=1) x: 2,3", "the scores are a name and its shape"),
        ("softmax(x: 2,3, dim=1, temperature=0)", "temperature must be a positive number"),
        ("softmax(x: 2,3, dim=1, temperature=t)", "temperature must be a literal"),
        ("cross_entropy(x: 2,3)", "the target is a name and its shape, as in x: 2,3"),
        ("sparsemax(x: 2,3, dim=1)", "'sparsemax' is not known here, only softmax, softmin, log_softmax"),
        ("F.argmax(x: 2,3, dim=1)", "F has no argmax"),
        ("torch.cross_entropy(x: 2,3, y: 2)", "torch has no cross_entropy"),
        ("x.softmax(1)", "a tensor stands inside the brackets, as in softmax(x: 2,3, dim=1)"),
        ("nn.Softmax(dim=1)(x: 2,3)", "a function is called by its name, such as softmax or F.softmax"),
        ("(lambda: 0)()", "that is not one call"),
        ("softmax(x: 2,3", "that is not one call"),
        ("softmax(x: 2,3); import os()", "that is not one call"),
        ("softmax(x: 2,3) if x else f()", "that is not one call"),
        ("softmax(x: , dim=1)", "that is not one call"),
        ("softmax\x00(x: 2,3)", "that is not one call"),
        ("(" * 400 + ")" * 400, "that is not one call"),
        ("softmax(x: 2,3, dim=1) please", "'please' behind the call is not the shape of a tensor"),
        ("softmax(x: 2,3, dim=1) x: 2,4", "the tensor 'x' has two shapes, (2, 3) and (2, 4)"),
        ("softmax(x: (2,,3), dim=1)", "'x: 2,,3' is not a shape, such as x: 2,3"),
        ("softmax(x: 2,-3, dim=1)", "a size must be at least 0, got -3 in the shape (2, -3)"),
        ("softmax(x: " + "9" * 5000 + ", dim=1)", f"a call has {LONGEST_CALL} characters at most, got 5019"),
        ("torch.softmax(x: 2,3)", "torch.softmax requires dim; F.softmax is the one with a default"),
        ("F.softmax(x: 2,3, dim=(0, 1))", "torch's softmax takes one int as dim; anymax.softmax takes several"),
        ("F.softmax(x: 2,3, dim='a [b]')", "torch's softmax takes one int as dim"),
        ("F.softmax(x: 2,3, dim=1, temperature=2)", "torch's softmax has no temperature; anymax.softmax has one"),
        ("argmax(x: 2,3, dim=(0, 1))", "torch's argmax takes one int as dim"),
        ("F.cross_entropy(x: 2,3,4, y: 2,3, dim=2)", "torch's cross_entropy has no dim and reads classes from axis 1"),
        ("cross_entropy(x: 8,5,7, y: 8,5)", "without its class axis 1, so (8, 7), or with it for probabilities, got "
         "(8, 5); it fits with axis 2 as the classes: anymax.cross_entropy(..., dim=2)"),
        ("cross_entropy(x: (), y: ())", "input must have a class axis, got a tensor without axes"),
        ("cross_entropy(x: 8,5, y: 9)", "without its class axis 1, so (8,), or with it for probabilities, got (9,)"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_one_sentence(text, reason):
    with pytest.raises(ValueError, match=re.escape(reason)) as refused:
        anymax.explain(text)
    assert str(refused.value).startswith("explain: ")
    assert len(str(refused.value)) < 450


@pytest.mark.parametrize("dim", [2, -3])
def test_a_dim_out_of_range_is_said_as_everywhere(dim):
    with pytest.raises(
        IndexError, match=re.escape(f"explain: dim must be in [-2, 1] for a tensor of 2 axes, got {dim}")
    ):
        anymax.explain(f"F.softmax(x: 2,3, dim={dim})")


def test_a_dim_beside_a_call_is_refused():
    with pytest.raises(ValueError, match="explain: the dim of a call stands in the call, got dim=1 beside it"):
        anymax.explain("softmax(x: 2,3)", 1)


def test_nothing_of_the_text_is_run(tmp_path):
    victim = tmp_path / "ran"
    for text in (
        f"open({str(victim)!r}, 'w')",
        f"softmax(x: 2,3, dim=open({str(victim)!r}, 'w'))",
        f"softmax(x: 2,3, dim=1, dtype=open({str(victim)!r}, 'w'))",
    ):
        with contextlib.suppress(ValueError):
            anymax.explain(text)
    assert not victim.exists()


RANKS = [(2, 3, 4, 2, 3)[:rank] for rank in range(1, 6)]


@pytest.mark.parametrize("shape", RANKS)
def test_axes_that_compete_are_those_of_the_function_that_is_called(shape):
    """An entry moves those that it competes with."""
    torch.manual_seed(0)
    scores = torch.randn(shape, dtype=torch.float64)
    sizes = ",".join(map(str, shape))
    functions = {
        f"F.log_softmax(x: {sizes}, dim=-1)": lambda x: torch.log_softmax(x, -1),
        f"F.softmin(x: {sizes}, dim=0)": lambda x: F.softmin(x, 0),
        f"anymax.softmax(x: {sizes}, dim={tuple(range(len(shape)))})": lambda x: torch.softmax(x.flatten(), 0).view(
            shape
        ),
    }
    index = (0,) * len(shape)
    raised = scores.clone()
    raised[index] += 1
    for text, function in functions.items():
        moved = ((function(raised) - function(scores)).abs() > 1e-9).nonzero()
        axes = tuple(axis for axis in range(len(shape)) if moved[:, axis].unique().numel() > 1)
        assert anymax.explain(text).axes == axes, text
    assert anymax.explain(f"F.gumbel_softmax(x: {sizes})").axes == (len(shape) - 1,)
    torch.testing.assert_close(F.gumbel_softmax(scores).sum(-1), torch.ones(shape[:-1], dtype=torch.float64))
    assert anymax.explain(f"argmax(x: {sizes})").axes == tuple(range(len(shape)))
    assert scores.argmax().shape == ()


@pytest.mark.parametrize("shape", RANKS)
def test_the_class_axis_of_cross_entropy_is_the_one_whose_sums_of_gradients_vanish(shape):
    torch.manual_seed(0)
    scores = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    axis = min(1, len(shape) - 1)
    rest = shape[:axis] + shape[axis + 1 :]
    found = anymax.explain(f"F.cross_entropy(x: {list(shape)}, y: {list(rest)})")
    F.cross_entropy(scores, torch.zeros(rest, dtype=torch.int64)).backward()
    vanishing = [at for at in range(len(shape)) if scores.grad.sum(at).abs().max() < 1e-12]
    assert found.axes == tuple(vanishing)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("softmin(x: 2,3, dim=1)", "softmin is the softmax of the negated scores"),
        ("log_softmax(x: 2,3, dim=1)", "the logarithms of the probabilities: their exponentials sum to 1"),
        ("gumbel_softmax(x: 2,3)", "The chance of an entry to be it is its softmax, whatever tau is"),
        ("gumbel_softmax(x: 2,3)", "no dim, so axis 1 by default; 2 distributions over 3 entries"),
        ("gumbel_softmax(x: 2,3,4)", "gumbel_softmax takes the last axis, here axis 2, where softmax"),
        ("argmax(x: 2,3)", "no dim, so all axes are taken; 1 choice over 6 entries"),
        ("argmax(x: 2,3)", "returns one index into the flattened tensor. Write the dim you mean."),
        ("argmax(x: 2,3,4, dim=1)", "the index of the largest entry of each choice, a tensor of shape (2, 4)."),
        ("argmax(x: 2,1, dim=1)", "an argmax over one entry always returns 0"),
        ("log_softmax(x: 2,1, dim=1)", "a log_softmax over one entry always returns 0: did you mean a sigmoid?"),
        ("cross_entropy(x: 2,1, y: 2)", "the loss of one class is always 0"),
        ("cross_entropy(x: 8,5,32, y: 8,32)", "cross_entropy takes -log of the probability of the target's class"),
        ("cross_entropy(x: 8,5, y: 8,5)", "reads the target (8, 5) as probabilities over the same axis"),
        ("cross_entropy(x: 8,5,5, y: 8,5)", "with axis 2 as the classes, so the shapes cannot show a mistake."),
    ],
)  # fmt: skip
def test_what_comes_out_is_said(text, sentence):
    assert sentence in " ".join(str(anymax.explain(text)).split())


@pytest.mark.parametrize("text", ["argmax(x: 5,6,7)", "argmax(x: 4,5,6,7, dim=(3))", "argmax(x: 4,5,6,7, dim=0)"])
def test_argmax_is_told_of_one_axis_alone(text):
    assert not re.search(r"dim=\(\d", str(anymax.explain(text)))


def test_a_fit_that_shapes_cannot_tell_apart_is_not_claimed_where_they_can():
    assert "fits with" not in str(anymax.explain("cross_entropy(x: 8,5,6, y: 8,6)"))
