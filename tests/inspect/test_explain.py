"""explain says what a softmax over `dim` really does; every fact is checked against softmax itself."""

from __future__ import annotations

import itertools
import re
import warnings

import pytest
import torch
import torch.nn.functional as F

import anymax
from anymax.inspect.grid import Grid


def first_line(shape_or_tensor, dim):
    return str(anymax.explain(shape_or_tensor, dim)).splitlines()[0]


def test_first_line_of_a_softmax_over_the_batch_says_what_is_wrong_and_what_is_meant():
    found = anymax.explain((2, 3), 0)
    assert (
        str(found).splitlines()[0]
        == found.summary
        == (
            "3 distributions over 2 entries; a sample's own scores do not sum to 1; "
            "if axis 0 is the batch, `dim=1` is meant"
        )
    )
    assert (found.distributions, found.entries, found.axes, found.pattern) == (3, 2, (0,), "[:, j]")
    assert "over axis 0  1 everywhere" in found.text
    assert "over axis 1  0.837 to 2.163" in found.text


@pytest.mark.parametrize(
    ("shape", "dim", "line"),
    [
        ((2, 3), 1, "2 distributions over 3 entries: axis 1 competes, one for each index of axis 0"),
        ((2, 3), (0, 1), "1 distribution over 6 entries; a sample's own scores do not sum to 1; "
         "if axis 0 is the batch, `dim=1` is meant"),
        ((3,), 0, "1 distribution over 3 entries: axis 0 competes"),
        ((), -1, "1 distribution over 1 entry: a tensor without axes is one score, and its softmax is always 1"),
        ((5, 1), 1, "5 distributions over 1 entry; a softmax over one entry always returns 1: did you mean a sigmoid?"),
        ((1, 5), 0, "5 distributions over 1 entry; a softmax over one entry always returns 1: "
         "did you mean a sigmoid, or `dim=1`?"),
        ((1, 5), (0, 1), "1 distribution over 5 entries; axis 0 has size 1 here, but the samples of a larger batch "
         "would compete; if axis 0 is the batch, `dim=1` is meant"),
        ((2, 0), 1, "2 distributions over 0 entries: the input is empty, and so is the result"),
        ((0, 4), 1, "0 distributions over 4 entries: the input is empty, and so is the result"),
        ((2, 4, 5), -1, "8 distributions over 5 entries: axis 2 competes, one for each index of axes 0 and 1"),
        ((2, 4, 5), 0, "20 distributions over 2 entries; a sample's own scores do not sum to 1; "
         "if axis 0 is the batch, `dim=1` or `dim=2` is meant"),
        ((2, 8, 6, 6), (2, 3), "16 distributions over 36 entries: axes 2 and 3 compete, "
         "one for each index of axes 0 and 1"),
        ((2, 8, 6, 6), (0, 2, 3), "8 distributions over 72 entries; a sample's own scores do not sum to 1; "
         "if axis 0 is the batch, `dim=(2, 3)` is meant"),
        ((2, 4, 5), "batch [class] w", "10 distributions over 4 entries: axis 1 ('class') competes"),
        ((2, 4, 5), "[class] h w", "20 distributions over 2 entries: axis 0 ('class') competes"),
        ((2, 4, 5), "[batch] class w", "20 distributions over 2 entries; a sample's own scores do not sum to 1; "
         "'batch' competes: \"batch [class] w\" is usual"),
        ((2, 4, 5), "[N] ... w", "20 distributions over 2 entries; a sample's own scores do not sum to 1; "
         "'N' competes: \"N ... [w]\" is usual"),
    ],
)  # fmt: skip
def test_first_line(shape, dim, line):
    assert first_line(shape, dim) == line


CASES = [
    (shape, dim)
    for rank in range(1, 7)
    for shape in [(2, 3, 4, 2, 3, 2)[:rank]]
    for count in range(1, rank + 1)
    for dim in itertools.combinations(range(rank), count)
]


@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_facts_are_those_of_softmax(shape, dim):
    torch.manual_seed(0)
    scores = torch.randn(shape, dtype=torch.float64)
    found = anymax.explain(scores, dim)
    probs = anymax.softmax(scores, dim)
    assert found.distributions * found.entries == scores.numel()
    assert found.distributions == probs.sum(dim).numel()
    for axes, (low, high) in found.sums.items():
        total = probs.sum(axes)
        assert (low, high) == (total.min().item(), total.max().item())
    assert found.sums[dim] == pytest.approx((1.0, 1.0))
    others = [high - low for axes, (low, high) in found.sums.items() if axes not in ((axis,) for axis in dim)]
    assert len(dim) == len(shape) or max(others) > 1e-3, "the scores must tell the axes apart"


@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_text_reads_well_at_80_columns(shape, dim):
    for line in str(anymax.explain(shape, dim)).splitlines()[1:]:
        assert len(line) < 80, line
        assert line == line.rstrip()


@pytest.mark.parametrize("shape", [(4,), (2, 3), (3, 2, 4)])
def test_picture_gives_one_letter_to_the_entries_that_influence_each_other(shape):
    scores = torch.zeros(shape)
    for count in range(1, len(shape) + 1):
        for dim in itertools.combinations(range(len(shape)), count):
            text = str(anymax.explain(shape, dim))
            lines = text.split("the same letter\n")[1].split("\n\n")[0]
            letters = {}
            for index, row in re.findall(r"\[([\d, ]*):\]  ([A-Z ]+?)(?=  |\n|$)", lines):
                outer = tuple(int(part) for part in index.split(",") if part.strip())
                letters.update({(*outer, at): letter for at, letter in enumerate(row.split())})
            assert len(letters) == scores.numel()
            for index, letter in letters.items():
                raised = scores.clone()
                raised[index] = 1
                moved = anymax.softmax(raised, dim) != anymax.softmax(scores, dim)
                assert {other for other in letters if moved[other]} == {
                    other for other in letters if letters[other] == letter
                }


def test_large_shapes_are_cut_and_never_allocated():
    found = anymax.explain((1 << 40, 1 << 20), 1)
    assert found.distributions == 1 << 40
    assert found.sums == {}
    lines = found.text.split("the same letter\n")[1].split("\n\n")[0].splitlines()
    assert lines[0] == "  [0, :]              A A A A A A A A A A A .. A"
    assert lines[-2:] == ["  ...", "  [1099511627775, :]  H H H H H H H H H H H .. H"]
    assert "1 over axis 1; over other axes it depends on the scores." in found.text
    assert anymax.explain((2,) * 25, 3).distributions == 1 << 24


def test_from_four_axes_on_the_picture_is_a_grid_of_blocks():
    text = str(anymax.explain((4, 3, 2, 128), "batch [class] h w"))
    lines = text.split("the same letter\n")[1].split("\n\n")
    assert lines[0].splitlines() == [
        "  [0, 0, :, :]    [0, 1, :, :]    [0, 2, :, :]",
        "  A B C .. D      A B C .. D      A B C .. D",
        "  E F G .. H      E F G .. H      E F G .. H",
    ]
    assert lines[1].splitlines()[1] == "  I J K .. L      I J K .. L      I J K .. L"
    assert lines[2] == "  ..."
    assert lines[3].splitlines() == [
        "  [3, 0, :, :]    [3, 1, :, :]    [3, 2, :, :]",
        "  Q R S .. T      Q R S .. T      Q R S .. T",
        "  U V W .. X      U V W .. X      U V W .. X",
    ]


def test_more_axes_than_a_picture_has_are_listed_as_indices():
    text = str(anymax.explain((4, 10, 2, 2, 2, 2, 128), 1))
    assert "  [0, :, 0, 0, 0, 0, 0]\n  [0, :, 0, 0, 0, 0, 1]\n  [0, :, 0, 0, 0, 0, 2]\n  ...\n" in text
    assert "\n  [3, :, 1, 1, 1, 1, 127]\n" in text


def test_scores_stand_above_their_probabilities():
    text = str(anymax.explain(torch.tensor([[0.5, -torch.inf], [12345.0, 1.0]]), 1))
    assert (
        "Scores\n             [:, 0]   [:, 1]\n"
        "  [0, :]      0.500     -inf\n  [1, :]        1e4    1.000\n\nSums of the probabilities for the given tensor\n"
        "             [:, 0]   [:, 1]      sum\n"
        "  [0, :]      1.000    0.000    1.000\n  [1, :]      1.000    0.000    1.000\n"
        "  sum         2.000    0.000\n"
    ) in text
    assert "  [:]         0.000    0.841\n" in str(anymax.explain((2,), 0))
    assert "Scores" not in str(anymax.explain((2, 3, 4), 0))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (9, 20), (2, 3, 4), (2, 8, 128, 128), (2, 2, 3, 2, 2)])
def test_colours_are_those_of_letters_and_change_nothing_else(shape):
    found = anymax.explain(shape, -1)
    coloured = found.coloured()
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == found.text
    assert "\x1b" not in found.text
    colours = {}
    for colour, letter in re.findall(r"\x1b\[38;5;16;48;5;(\d+)m([A-Z]+)\x1b\[0m", coloured):
        colours.setdefault(letter, set()).add(colour)
    assert len(colours) == Grid(shape, found.axes).groups
    assert all(len(each) == 1 for each in colours.values())
    assert len(set().union(*colours.values())) == min(len(colours), 8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_tensor_is_explained_by_its_own_values(dtype):
    scores = torch.tensor([[0.0, 4.0], [4.0, 0.0], [4.0, 0.0]], dtype=dtype, requires_grad=True)
    found = anymax.explain(scores, dim=0)
    assert found.sums[(0,)] == pytest.approx((1.0, 1.0))
    probs = scores.detach().double().softmax(0)
    assert found.sums[(1,)] == pytest.approx((probs.sum(1).min().item(), probs.sum(1).max().item()), abs=1e-6)
    assert "for the given tensor" in found.text


def test_a_tensor_without_readable_values_is_explained_by_its_shape():
    found = anymax.explain(torch.empty(2, 3, device="meta"), dim=0)
    assert found.summary == anymax.explain((2, 3), dim=0).summary
    assert "for x = torch.arange(6.)" in found.text


def test_nan_sums_are_called_nan():
    assert "over axis 1  NaN somewhere" in str(anymax.explain(torch.full((2, 2), -torch.inf), 1))


@pytest.mark.parametrize(
    ("shape", "dim", "lines"),
    [
        ((8, 10), 1, ["(batch, classes)", "usual: class probabilities for each sample."]),
        ((8, 10), 0, ["rarely meant, dim=1 is usual."]),
        ((8, 5, 10), 2, ["(batch, time, classes)", "usual: class probabilities for each sample and time step."]),
        ((5, 8, 8), 0, ["(classes, height, width) usual: class probabilities for each pixel of one image."]),
        ((8, 5, 10), 1, ["(batch, classes, length)", "usual: class probabilities at each position"]),
        ((2, 3, 4, 5), 1, ["(batch, classes, height, width)", "usual: class probabilities for each pixel."]),
        ((2, 3, 4, 5), 3, ["(batch, heads, queries, keys)", "each query spreads its attention over the keys."]),
        ((2, 3, 4, 5, 6), (2, 3, 4), ["usual: a heat map over the voxels"]),
        ((2, 3, 4, 5, 6, 7), 3, ['"a0 a1 a2 [a3] a4 a5"']),
    ],
)
def test_common_layouts(shape, dim, lines):
    text = " ".join(str(anymax.explain(shape, dim)).split())
    for line in lines:
        assert line in text


def test_the_advice_of_every_layout_is_usual_there():
    for shape in [(2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)]:
        advised = set(re.findall(r"dim=(\d+|\([\d, ]+\))", anymax.explain(shape, 0).text.partition("\n")[2]))
        assert advised
        for dim in advised:
            axes = tuple(int(axis) for axis in re.findall(r"\d+", dim))
            assert "usual: " in str(anymax.explain(shape, axes))


RANKS = [(2, 3, 4, 2, 3, 2)[:rank] for rank in range(7)]


def without_dim(function, scores):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(scores)


@pytest.mark.parametrize("shape", RANKS)
def test_without_dim_the_axis_is_the_one_that_torch_takes(shape):
    torch.manual_seed(0)
    scores = torch.randn(shape, dtype=torch.float64)
    found = anymax.explain(shape)
    (named,) = re.findall(r"here\s+axis (\d)", found.text)
    assert found.summary.startswith(f"no dim, so axis {named} by default; ")
    assert found.axes == ((int(named),) if shape else ())
    assert found.dim is None
    kept = torch.softmax(scores, int(named))
    for function in (F.softmax, torch.nn.Softmax(), anymax.softmax, anymax.nn.Softmax()):
        torch.testing.assert_close(without_dim(function, scores), kept)
    for other in set(range(len(shape))) - {int(named)}:
        assert not torch.allclose(torch.softmax(scores, other), kept)
    assert without_dim(F.log_softmax, scores).equal(torch.log_softmax(scores, int(named)))
    assert without_dim(F.softmin, scores).equal(F.softmin(scores, int(named)))


@pytest.mark.parametrize("shape", RANKS)
def test_without_dim_the_rest_is_as_with_the_axis_it_took(shape):
    found = anymax.explain(shape)
    (written,) = re.findall(r"Write dim=(\d) to keep this axis", found.text)
    said = anymax.explain(shape, int(written))
    assert (found.axes, found.distributions, found.sums) == (said.axes, said.distributions, said.sums)
    assert found.summary.endswith(f"; {said.summary}")
    sections = found.text.split("\n\n")
    assert sections.pop(1).startswith("Without dim\n")
    assert sections[1:] == said.text.split("\n\n")[1:]
    for line in found.text.splitlines()[1:]:
        assert len(line) < 80, line


@pytest.mark.parametrize("shape", RANKS[1:6])
def test_without_dim_the_pattern_to_write_is_usual(shape):
    (pattern,) = re.findall(r'a pattern, such as "(.*?)", and', " ".join(anymax.explain(shape).text.split()))
    axes = anymax.explain(shape, pattern).axes
    assert "usual: " in anymax.explain(shape, axes).text


@pytest.mark.parametrize("shape", RANKS[1:5])
def test_without_dim_the_axis_is_usual_in_the_layout_it_was_made_for(shape):
    assert "usual: " in anymax.explain(shape).text


def test_what_is_said_of_other_functions_without_dim_is_so():
    scores = torch.randn(2, 3, 4)
    text = " ".join(anymax.explain(scores).text.split())
    assert "torch.softmax and Tensor.softmax have no default; F.gumbel_softmax alone takes the last axis." in text
    for function in (torch.softmax, torch.Tensor.softmax):
        with pytest.raises(TypeError):
            function(scores)
    torch.testing.assert_close(F.gumbel_softmax(scores).sum(-1), torch.ones(2, 3))


@pytest.mark.parametrize("shape", RANKS)
def test_without_dim_the_text_is_the_warning(shape):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anymax.explain(shape)
        anymax.explain(torch.zeros(shape))
    assert caught == []


@pytest.mark.parametrize(
    ("shape", "dim", "error", "message"),
    [
        ((2, 3), 2, IndexError, "explain: dim must be in [-2, 1] for a tensor of 2 axes, got 2"),
        ((2, 3), 1.0, TypeError, "explain: dim must be an int, a tuple of ints or a pattern"),
        ((2, 3), (), ValueError, "explain: dim must name at least one axis, got ()"),
        ((2, 3), "[class]", ValueError, "explain: the pattern '[class]' names 1 axes, got a tensor of 2"),
        ((2, -3), 1, ValueError, "explain: a size must be at least 0, got -3 in the shape (2, -3)"),
        ((2, 3.0), 1, TypeError, "explain: a shape must hold ints, got 3.0 of type float"),
        ("2,3", 1, TypeError, "explain: shape_or_tensor must be a shape such as (2, 3) or a tensor of scores"),
        (5, 1, TypeError, "explain: shape_or_tensor must be a shape such as (2, 3) or a tensor of scores"),
        (torch.zeros(2, 3, dtype=torch.int64), 1, TypeError, "write shape_or_tensor.float()"),
    ],
)
def test_errors_are_one_sentence(shape, dim, error, message):
    with pytest.raises(error, match=re.escape(message)):
        anymax.explain(shape, dim)
