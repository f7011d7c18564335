"""A dim in all its spellings, and what each mistake is told."""

import functools
import warnings

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax import ImplicitDimWarning
from anymax._core.dims import join, resolve, split


@pytest.mark.parametrize(
    ("dim", "ndim", "axes"),
    [
        (0, 1, (0,)),
        (-1, 3, (2,)),
        ((0, -1), 3, (0, 2)),
        ([2, 0], 3, (0, 2)),
        ("batch [class]", 2, (1,)),
        ("b heads query [key]", 4, (3,)),
        ("batch [class] h w", 4, (1,)),
        ("batch c [h w]", 4, (2, 3)),
        ("batch c [h] [w]", 4, (2, 3)),
        ("[batch] c [w]", 3, (0, 2)),
        ("... [class]", 1, (0,)),
        ("... [class]", 5, (4,)),
        ("a ... [class] z", 5, (3,)),
        (0, 0, (0,)),
        (-1, 0, (0,)),
    ],
)
def test_resolve(dim, ndim, axes):
    assert resolve(dim, ndim).axes == axes


@pytest.mark.parametrize(
    ("dim", "error", "words"),
    [
        (3, IndexError, r"softmax: dim must be in \[-3, 2\] for a tensor of 3 axes, got 3"),
        (-4, IndexError, r"dim must be in \[-3, 2\]"),
        ((0, 5), IndexError, r"dim must be in \[-3, 2\]"),
        (1.0, TypeError, "got 1.0 of type float"),
        (True, TypeError, "got True of type bool"),
        ((0, True), TypeError, "of type bool"),
        ((), ValueError, "at least one axis"),
        ((0, 0), ValueError, "names an axis twice"),
        ((0, -3), ValueError, "names an axis twice"),
        ("batch class w", ValueError, r"brackets no axis; bracket those that compete, such as 'batch class \[w\]'"),
        ("", ValueError, "brackets no axis"),
        ("class", ValueError, r"such as '\[class\]'"),
        ("a [] b", ValueError, "holds no axis"),
        ("a [b [c]]", ValueError, "inside a bracket"),
        ("a b] c", ValueError, r"'\]' without '\['"),
        ("a [b c", ValueError, r"'\[' without '\]'"),
        ("a [b] a", ValueError, "names 'a' twice"),
        ("a [b]", ValueError, "names 2 axes, got a tensor of 3"),
        ("a b c ... [d]", ValueError, "names at least 4 axes, got a tensor of 3"),
        ("... a ... [b]", ValueError, r"names '\.\.\.' twice"),
        ("a [...]", ValueError, "stands for axes that do not compete"),
        ("a,b [c]", ValueError, "must be axis names separated by spaces"),
        ("(a b) [c]", ValueError, "must be axis names separated by spaces"),
    ],
)
def test_bad_dims_are_told_what_to_write(dim, error, words):
    with pytest.raises(error, match=words):
        anymax.softmax(torch.zeros(2, 3, 4), dim)


def test_numpy_integers_are_integers():
    x = torch.randn(2, 3)
    assert torch.equal(anymax.softmax(x, np.int64(1)), anymax.softmax(x, 1))
    assert torch.equal(anymax.softmax(x, (np.int32(0), 1)), anymax.softmax(x, (0, 1)))
    assert torch.equal(anymax.softmax(x, 1, temperature=np.float32(2.0)), anymax.softmax(x, 1, temperature=2.0))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 0, 3)])
def test_join_and_split_are_inverse_in_every_choice_of_axes(shape):
    tensor = torch.arange(torch.Size(shape).numel()).reshape(shape)
    ndim = len(shape)
    for choice in range(1, 2 ** max(ndim, 1)):
        axes = tuple(axis for axis in range(max(ndim, 1)) if choice >> axis & 1)
        dims = resolve(axes, ndim)
        joined, axis = join(tensor, dims)
        assert joined.ndim == max(ndim - len(axes) + 1, 1)
        if ndim:
            # row-major over the competing axes, whatever their order was
            moved = tensor.movedim(axes, tuple(range(-len(axes), 0))).flatten(-len(axes))
            assert torch.equal(joined.movedim(axis, -1), moved)
        assert torch.equal(split(joined, dims, shape), tensor)


@pytest.mark.parametrize(("shape", "axis"), [((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1), ((1, 2, 1, 2, 2), 1)])
def test_no_dim_follows_torch_and_says_so(shape, axis):
    scores = torch.randn(shape)
    with pytest.warns(ImplicitDimWarning) as caught:
        probs = anymax.softmax(scores)
    assert torch.equal(probs, anymax.softmax(scores, axis))
    message = str(caught[0].message)
    assert f"axis {axis} (size {shape[axis]})" in message
    assert f"{scores.numel() // shape[axis]} separate distributions over {shape[axis]} entries" in message
    assert f"softmax(..., dim={axis})" in message
    assert caught[0].filename == __file__


def call_from_here(function):
    return function(torch.zeros(2, 3, 4))


@pytest.mark.parametrize(
    "function",
    [
        anymax.softmax,
        anymax.gumbel_softmax,
        anymax.nn.Softmax(),
        anymax.nn.GumbelSoftmax(),
        torch.nn.Sequential(torch.nn.Identity(), anymax.nn.LogSoftmax()),
        functools.partial(anymax.log_softmax, temperature=2.0),
        torch.vmap(functools.partial(anymax.softmax), in_dims=1),
    ],
)
def test_the_warning_names_the_line_of_the_caller_each_time(function):
    with warnings.catch_warnings(record=True) as caught:
        # what Python does by default: each line of a file is warned once
        warnings.simplefilter("default")
        for _ in range(2):
            call_from_here(function)
        function(torch.zeros(2, 3, 4))
    here = call_from_here.__code__.co_firstlineno + 1
    lines = [(warning.filename, warning.lineno) for warning in caught]
    assert len(lines) == 2
    assert lines[0] == (__file__, here)
    assert lines[1][0] == __file__
    assert lines[1][1] != here


@pytest.mark.parametrize("function", [anymax.softmin, anymax.log_softmax])
def test_every_drop_in_warns_under_its_own_name(function):
    with pytest.warns(ImplicitDimWarning, match=f"{function.__name__}: no dim was given"):
        function(torch.zeros(2, 3))


@pytest.mark.parametrize("shape", [(), (4,)])
def test_nothing_to_say_where_there_is_one_axis(shape):
    scores = torch.randn(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_close(anymax.softmax(scores), torch.softmax(scores, 0))


def test_gumbel_softmax_takes_the_last_axis_and_warns_from_rank_3():
    seed = torch.tensor(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        anymax.gumbel_softmax(torch.zeros(2, 3), generator=seed)
    with pytest.warns(ImplicitDimWarning, match=r"gumbel_softmax: no dim .* axis 2 \(size 4\)"):
        sample = anymax.gumbel_softmax(torch.zeros(2, 3, 4), generator=seed)
    assert torch.equal(sample, anymax.gumbel_softmax(torch.zeros(2, 3, 4), dim=2, generator=seed))


def test_the_warning_comes_while_tracing_and_does_not_break_the_graph():
    compiled = torch.compile(lambda x: anymax.softmax(x), fullgraph=True, backend="aot_eager")
    scores = torch.randn(2, 3, 4)
    with pytest.warns(ImplicitDimWarning, match="an input of 3 axes, so axis 0 is normalised"):
        result = compiled(scores)
    assert torch.allclose(result, torch.softmax(scores, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(scores)


def test_functions_that_torch_lacks_require_a_dim():
    with pytest.raises(TypeError, match="dim"):
        anymax.sample(torch.zeros(2, 3))
    with pytest.raises(TypeError, match="dim"):
        anymax.keep_mask(torch.zeros(2, 3), top_k=1)


def test_one_axis_where_one_is_needed():
    with pytest.raises(ValueError, match=r"sample: dim must name exactly one axis, got \(0, 1\)"):
        anymax.sample(torch.zeros(2, 3), (0, 1))
    with pytest.raises(ValueError, match="cross_entropy: dim must name exactly one axis"):
        anymax.cross_entropy(torch.zeros(2, 3), torch.zeros(2).long(), dim="[a b]")
