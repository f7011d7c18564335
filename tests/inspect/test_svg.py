"""The picture is true: one colour and letter is what softmax makes one distribution of, and the values are torch's."""

from __future__ import annotations

import base64
import dataclasses
import html
import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

import pytest
import torch

import anymax
from anymax.inspect import svg
from anymax.inspect.grid import MOST_AXES, Grid, mark
from anymax.inspect.palette import COLOURS

SHAPES = [
    ((3,), 0),
    ((40,), 0),
    ((2, 3), 0),
    ((2, 3), 1),
    ((2, 3), (0, 1)),
    ((9, 5), 1),
    ((1, 1), 1),
    ((40, 100), 0),
    ((2, 3, 4), 1),
    ((5, 7, 9), (0, 2)),
    ((2, 3, 2, 2), 1),
    ((2, 3, 2, 2), (2, 3)),
    ((2, 8, 128, 128), 1),
    ((2, 2, 3, 3, 2), 2),
    ((7, 1, 4, 9, 1 << 40), 4),
    ((2, 2, 2, 2, 2, 2), (0, 5)),
    ((5, 5, 5, 5, 5, 5), 3),
    ((1 << 40, 1 << 20), 1),
]
WHOLE = [(shape, dim) for shape, dim in SHAPES if Grid(shape, ()).is_whole]
CALLS = [
    "softmax(scores: 3,4, dim=0, temperature=0.5)",
    "softmin(x: 2,3,2, dim=1)",
    "F.softmax(x: 2,3,2)",
    "log_softmax(x: 4,3, dim=1)",
    "gumbel_softmax(logits: 2,5, tau=0.5)",
    "argmax(x: 3,4, dim=1)",
    "argmax(x: 3,4)",
    "cross_entropy(input: 4,3,2, target: 4,2)",
    "softmax(x: 2,3,4, 'batch [class] w')",
]


def scene_of(shape_or_tensor, dim=None) -> svg.Scene:
    return anymax.explain(shape_or_tensor, dim)._scene


def cells(picture: str) -> list[dict]:
    """Per drawn cell its index, its group, and what a reader sees of both: colour, letter and value."""
    found = []
    for cell in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}g"):
        texts = [text.text for text in cell.iter("{http://www.w3.org/2000/svg}text")]
        rects = list(cell.iter("{http://www.w3.org/2000/svg}rect"))
        found.append(
            {
                "index": tuple(map(int, cell.get("data-index").split())),
                "group": int(cell.get("data-group")),
                "look": (rects[0].get("class"), *(rect.get("fill") for rect in rects[1:] if rect.get("fill"))),
                "letter": texts[0],
                "value": texts[1] if len(texts) > 1 else None,
                "place": (int(rects[0].get("x")), int(rects[0].get("y"))),
            }
        )
    return found


@pytest.mark.parametrize(("shape", "dim"), WHOLE)
def test_entries_of_one_letter_are_those_that_influence_each_other_and_sum_to_one(shape, dim):
    found = anymax.explain(shape, dim)
    after = cells(found.svg())[torch.zeros(shape).numel() :]
    assert sorted(cell["index"] for cell in after) == sorted(itertools.product(*map(range, shape)))
    axes = found.axes
    scores = torch.zeros(shape, dtype=torch.float64)
    members = defaultdict(set)
    for cell in after:
        members[cell["letter"]].add(cell["index"])
    assert len(members) == found.distributions
    probs = anymax.softmax(torch.arange(scores.numel(), dtype=torch.float64).sin().reshape(shape), axes)
    for group in members.values():
        assert sum(probs[index].item() for index in group) == pytest.approx(1, abs=1e-12)
        raised = scores.clone()
        raised[next(iter(group))] = 1
        moved = anymax.softmax(raised, axes) != anymax.softmax(scores, axes)
        # one entry alone moves nothing, not even itself
        assert {tuple(index) for index in moved.nonzero().tolist()} == (group if len(group) > 1 else set())


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_colours_letters_and_hatchings_say_the_same(shape, dim):
    found = anymax.explain(shape, dim)
    drawn = cells(found.svg())
    assert {cell["letter"] for cell in drawn} == {mark(group) for group in range(Grid(shape, found.axes).groups)}
    kept = [axis for axis in range(len(shape)) if axis not in found.axes]
    by_letter = defaultdict(set)
    for cell in drawn:
        by_letter[cell["letter"]].add((cell["look"], tuple(cell["index"][axis] for axis in kept)))
    # one look per letter, and one distribution; different distributions have different letters
    assert all(len(looks) == 1 for looks in by_letter.values())
    looks = [next(iter(looks)) for looks in by_letter.values()]
    assert len({distribution for _, distribution in looks}) == len(looks)
    assert len({look for look, _ in looks}) == min(len(looks), len(COLOURS) * svg.HATCHINGS)


@pytest.mark.parametrize(("shape", "dim"), [*SHAPES, ((2,), "[a_name_that_is_wider_than_cells]")])
def test_cells_do_not_overlap_and_stay_inside(shape, dim):
    picture = anymax.explain(shape, dim).svg()
    root = ElementTree.fromstring(picture)
    drawn = cells(picture)
    places = [cell["place"] for cell in drawn]
    assert len(set(places)) == len(places)
    width, height = svg.WITH_VALUES if drawn[0]["value"] else svg.WITHOUT_VALUES
    for (x, y), (other_x, other_y) in itertools.combinations(places, 2):
        assert abs(x - other_x) >= width or abs(y - other_y) >= height
    assert all(x > 0 and x + width < int(root.get("width")) for x, _ in places)
    assert all(y > 0 and y + height < int(root.get("height")) for _, y in places)
    # no line of text is wider than the picture
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        if text.get("text-anchor") is None:
            assert int(text.get("x")) + svg.LETTER * len(text.text) <= int(root.get("width"))


@pytest.mark.parametrize("shape", [(40,), (40, 100), (5, 7, 9), (2, 8, 128, 128), (5, 5, 5, 5, 5), (5, 5, 5, 5, 5, 5)])
def test_long_axes_are_cut_with_dots_and_show_their_last_index(shape):
    picture = anymax.explain(shape, 0).svg()
    drawn = cells(picture)
    assert len(drawn) <= 200
    assert 'class="dots"' in picture
    for axis, size in enumerate(shape):
        indices = sorted({cell["index"][axis] for cell in drawn})
        assert indices[0] == 0
        assert indices[-1] == size - 1
    assert all(cell["value"] is None for cell in drawn)


def test_a_tensor_that_is_drawn_whole_has_no_dots():
    assert 'class="dots"' not in anymax.explain((2, 3, 4), 0).svg()


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("softmax(x: 3,4, dim=0)", lambda x: torch.softmax(x, 0)),
        ("softmax(x: 3,4, dim=(0, 1))", lambda x: torch.softmax(x.flatten(), 0)),
        ("softmax(x: 3,4, dim=1, temperature=0.5)", lambda x: torch.softmax(x / 0.5, 1)),
        ("softmin(x: 3,4, dim=1)", lambda x: torch.softmax(-x, 1)),
        ("log_softmax(x: 3,4, dim=1)", lambda x: torch.log_softmax(x, 1)),
        ("gumbel_softmax(x: 3,4)", lambda x: torch.softmax(x, 1)),
        ("argmax(x: 3,4, dim=0)", lambda x: torch.nn.functional.one_hot(x.argmax(0), 3).T),
        ("argmax(x: 3,4)", lambda x: torch.nn.functional.one_hot(x.argmax(), 12)),
        ("cross_entropy(x: 3,4, y: 3)", lambda x: torch.softmax(x, 1)),
    ],
)
def test_values_after_are_those_of_torch(call, result):
    found = anymax.explain(call)
    drawn = cells(found.svg())
    scores = torch.arange(12, dtype=torch.float64).sin().reshape(3, 4)
    wanted = result(scores).flatten().tolist()
    digits = 2 if "log" in call else 3
    assert [float(cell["value"]) for cell in drawn[:12]] == pytest.approx(scores.flatten().tolist(), abs=0.0051)
    assert [float(cell["value"]) for cell in drawn[12:]] == pytest.approx(wanted, abs=0.51 * 10**-digits)


@pytest.mark.parametrize("call", CALLS)
def test_picture_and_text_count_alike(call):
    found = anymax.explain(call)
    title = ElementTree.fromstring(found.svg()).find("{http://www.w3.org/2000/svg}title").text
    assert re.search(rf"(^|; ){title.rpartition(': ')[2]}[:;]", found.summary)


def test_the_chance_that_gumbel_softmax_is_said_to_have_is_that_of_its_draws():
    torch.manual_seed(0)
    scores = torch.arange(5.0).sin()
    draws = torch.nn.functional.gumbel_softmax(scores.expand(40000, 5), tau=0.3, hard=True, dim=1).mean(0)
    said = torch.tensor([float(cell["value"]) for cell in cells(anymax.explain("gumbel_softmax(x: 5)").svg())[5:]])
    # four standard errors
    torch.testing.assert_close(draws, said, atol=4 * 0.5 / 200, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_tensors_own_values_are_shown(dtype):
    scores = torch.tensor([[0.0, 4.0], [-1.0, 1234.0]], dtype=dtype, requires_grad=True)
    found = anymax.explain(scores, 1)
    values = [cell["value"] for cell in cells(found.svg())]
    assert values == ["0.00", "4.00", "-1.00", "1e3", "0.018", "0.982", "0.000", "1.000"]
    assert "(an example)" not in found.svg()


def test_nan_and_infinity_are_shown_as_such():
    scores = torch.tensor([[0.0, -torch.inf], [torch.inf, 1.0], [torch.nan, 1.0], [-torch.inf, -torch.inf]])
    picture = anymax.explain(scores, 1).svg()
    values = [cell["value"] for cell in cells(picture)]
    assert values[:8] == ["0.00", "-inf", "inf", "1.00", "nan", "1.00", "-inf", "-inf"]
    assert values[8:] == ["1.000", "0.000", *["nan"] * 6]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.125, 2, "0.13"),
        (-0.125, 2, "-0.13"),
        (-0.001, 2, "0.00"),
        (-0.0, 2, "0.00"),
        (999.999, 2, "1000.00"),
        (1000.0, 2, "1e3"),
        (2500.0, 2, "3e3"),
        (-9999.0, 3, "-1e4"),
        (1e300, 2, "1e300"),
    ],
)
def test_numbers_fit_into_cells(value, digits, text):
    assert svg.number(value, digits) == text


def test_a_short_sum_stands_beside_rows_and_columns():
    picture = anymax.explain((2, 3), 0).svg()
    probs = torch.softmax(torch.arange(6, dtype=torch.float64).sin().reshape(2, 3), 0)
    for total in (*probs.sum(0).tolist(), *probs.sum(1).tolist()):
        assert f">{svg.number(total, 3)}</text>" in picture


def test_names_are_escaped_and_cut():
    scene = dataclasses.replace(
        scene_of((2, 3), 1), tensor='<x & "y">', arguments='<x & "y">', names=("<b>" * 50, 'a"b')
    )
    picture = svg.draw(scene)
    root = ElementTree.fromstring(picture)
    assert "<b>" not in picture
    assert int(root.get("width")) < 700
    assert any('softmax(<x & "y">, dim=1)' in (text.text or "") for text in root.iter())


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((), "a tensor without axes has no cells to draw"),
        ((2, 0, 3), "a tensor of shape (2, 0, 3) is empty, so it has no cells to draw"),
        ((2,) * 7, "a picture shows 1 to 6 axes, got 7; the text is for any number"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_still_explained(shape, reason):
    found = anymax.explain(shape, 0)
    for method in (found.svg, found.html):
        with pytest.raises(ValueError, match=re.escape(f"explain: {reason}")):
            method()
    assert html.escape(str(found)) in found._repr_html_()


def test_every_number_of_axes_up_to_the_most_is_drawn():
    for rank in range(1, MOST_AXES + 1):
        assert len(cells(anymax.explain((2,) * rank, 0).svg())) == 2 * 2**rank


def test_a_notebook_shows_the_picture_in_an_image_and_the_page_in_a_frame_which_leak_no_style():
    found = anymax.explain((2, 3), 0)
    fragment = found._repr_html_()
    image = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', fragment)[1]
    assert base64.b64decode(image).decode() == found.svg()
    frame = re.search(r'srcdoc="([^"]+)"', fragment)[1]
    assert html.unescape(frame) == found.html()
    rest = ElementTree.fromstring(f"<div>{fragment.replace(image, '').replace(frame, '')}</div>")
    assert [element.tag for element in rest] == ["img", "details", "details"]
    assert {element.tag for element in rest.iter()} == {"div", "img", "details", "summary", "iframe", "pre"}
    assert rest.find("details/pre").text == str(found)
    assert not any(element.get("id") or element.get("class") for element in rest.iter())


def test_a_notebook_shows_a_size_that_sliders_cannot_hold_without_them():
    fragment = anymax.explain((2**53 + 1, 3), 1)._repr_html_()
    assert fragment.startswith("<img ")
    assert "<iframe" not in fragment


def test_drawing_and_reading_calls_need_no_torch():
    """Numbers do; what draws them, reads a call or knows layouts is imported without it."""
    modules = ["calls", "grid", "layouts", "page", "palette", "pictures", "svg", "words"]
    code = f"""
import sys, types
# the package without its __init__
package = types.ModuleType("anymax")
package.__path__ = [{str(Path(anymax.__file__).parent)!r}]
sys.modules.update(anymax=package, torch=None)
for module in {modules!r}:
    __import__("anymax.inspect." + module)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- colours ----

# Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB
SIGHT = {
    "full": torch.eye(3),
    "protanopia": torch.tensor(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": torch.tensor(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": torch.tensor(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = torch.tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = torch.tensor([0.9505, 1.0, 1.089])


def linear(colour: str) -> torch.Tensor:
    channels = torch.tensor([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return torch.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(colour: str, sight: str) -> torch.Tensor:
    seen = (SIGHT[sight] @ linear(colour)).clamp(0, 1)
    ratio = TO_XYZ @ seen / WHITE
    x, y, z = torch.where(ratio > 0.008856, ratio ** (1 / 3), 7.787 * ratio + 16 / 116)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_for_every_kind_of_sight(sight):
    seen = [lab(colour, sight) for colour, _ in COLOURS]
    # CIE 1976; 2.3 is what can just be noticed
    assert min(torch.dist(one, other).item() for one, other in itertools.combinations(seen, 2)) > 7


def test_black_text_is_readable_on_every_colour():
    for colour, _ in COLOURS:
        luminance = (TO_XYZ @ linear(colour))[1].item()
        assert (luminance + 0.05) / 0.05 > 7  # AAA of the WCAG


def test_a_terminal_takes_the_nearest_of_its_256_colours():
    levels = (0, 95, 135, 175, 215, 255)
    cube = {
        16 + 36 * r + 6 * g + b: (levels[r], levels[g], levels[b]) for r, g, b in itertools.product(range(6), repeat=3)
    }
    assert len({code for _, code in COLOURS}) == len(COLOURS)
    for colour, code in COLOURS:
        own = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
        assert max(abs(one - other) for one, other in zip(own, cube[code], strict=True)) <= 50


@pytest.mark.parametrize("group", [0, 25, 26, 51, 52, 701, 702])
def test_letters_go_on_as_in_a_spreadsheet(group):
    letters = {0: "A", 25: "Z", 26: "AA", 51: "AZ", 52: "BA", 701: "ZZ", 702: "AAA"}
    assert mark(group) == letters[group]
