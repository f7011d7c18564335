"""The page draws in the browser what Python draws, and its sliders take it to where Python is with other arguments."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
import torch

import anymax
from anymax.inspect import page, svg
from anymax.inspect.grid import Grid
from tests.inspect.test_svg import CALLS, SHAPES, scene_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here to open the page in")


def run_in_page(tmp_path, source: str, script: str):
    """Open the page, run a script when all of it is loaded, and return what the script returns, through JSON."""
    harness = (
        '<pre id="answer"></pre><script>"use strict";addEventListener("load", () => {const answer = (() => {'
        + script
        + '})();document.getElementById("answer").textContent = JSON.stringify(answer);});</script></body>'
    )
    file = tmp_path / "page.html"
    file.write_text(source.replace("</body>", harness), encoding="utf-8")
    done = subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1200,1000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answer = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    assert answer, done.stdout[-2000:]
    return json.loads(html.unescape(answer[1]))


# what a user does to a control
HANDS = """
const act = (input, kind) => input.dispatchEvent(new Event(kind, {bubbles: true}));
const move = (id, value) => {
  const input = document.getElementById(id);
  if (input.type === "checkbox") input.checked = value; else input.value = value;
  act(input, "input");
};
const type = (id, value) => {
  const input = document.getElementById(id);
  input.value = value;
  act(input, "change");
};"""


def as_json(scene: svg.Scene) -> dict:
    return dataclasses.asdict(scene) | {"before": page._numbers(scene.before), "after": None}


@needs_browser
def test_the_page_draws_what_python_draws_to_the_letter(tmp_path):
    torch.manual_seed(0)
    special = torch.tensor([[1.0, -torch.inf, 2500.0], [torch.nan, 0.0, 1.0], [torch.inf, 1.0, -0.001], [0.0, 0, 0]])
    scenes = [
        *(scene_of(shape, axes) for shape, axes in SHAPES),
        *(scene_of(call) for call in CALLS),
        *(scene_of(special, axis) for axis in (0, 1)),
        scene_of(torch.zeros(2, 8), 1),  # 0.125: a half in the last digit
        *(scene_of(f"softmax(x: 2,3, dim=1, temperature={number})") for number in (1e-5, 1e-4, 1234.5678, 1e6)),
        scene_of(torch.randn(2, 3, 2, 2, dtype=torch.float64) * 5, "batch [point] h w"),
    ]
    cases = [(scene, widest) for scene in scenes for widest in (390, 780)]
    script = f"""
    return {json.dumps([[as_json(scene), widest] for scene, widest in cases])}.map(([scene, widest]) => {{
      if (scene.before !== null) scene.before = scene.before.map(Number);
      const after = scene.before === null ? null : resultOf(scene);
      return [after === null ? null : after.map(String), draw({{...scene, after}}, widest)];
    }});"""
    answers = run_in_page(tmp_path, anymax.explain((2, 3), 1).html(), script)
    for (scene, widest), (after, drawn) in zip(cases, answers, strict=True):
        assert (after is None) == (scene.after is None)
        if scene.after is not None:
            torch.testing.assert_close(
                torch.tensor([float(value.replace("Infinity", "inf")) for value in after], dtype=torch.float64),
                torch.tensor(scene.after, dtype=torch.float64),
                rtol=1e-6,
                atol=1e-7,
                equal_nan=True,
            )
        assert drawn == svg.draw(scene, widest)


@needs_browser
def test_sliders_recompute_colours_and_values(tmp_path):
    script = (
        HANDS
        + """
    const seen = () => [
      [...document.querySelectorAll("#picture g[data-index]")].map((cell) => [
        cell.dataset.index, cell.dataset.group, cell.querySelector("rect").getAttribute("class"),
        cell.querySelector(".on")?.textContent ?? null]),
      document.getElementById("said").textContent,
      document.querySelector("#picture text").textContent,
      [...document.querySelectorAll("input[type=number]")].map((input) => input.value),
    ];
    const found = [seen()];
    move("dim", 0); found.push(seen());
    move("rank", 3); move("size2", 4); move("dim", 1); found.push(seen());
    move("competes2", true); found.push(seen());
    move("competes1", false); move("competes2", false); found.push(seen());  // the last one stays
    move("temperature", Math.log10(0.25)); found.push(seen());
    type("exact0", "1000"); found.push(seen());
    type("exact0", "-3"); type("exact0", "2.5"); found.push(seen());  // no sizes: nothing changes
    return found;"""
    )
    temperature = 0.25  # 10 ** -0.6 to two digits
    wanted = [
        scene_of((2, 3), 1),
        scene_of((2, 3), 0),
        scene_of((2, 3, 4), 1),
        scene_of((2, 3, 4), (1, 2)),
        scene_of((2, 3, 4), 2),
        scene_of(f"softmax(x: 2,3,4, dim=2, temperature={temperature})"),
        scene_of(f"softmax(x: 1000,3,4, dim=2, temperature={temperature})"),
        scene_of(f"softmax(x: 1000,3,4, dim=2, temperature={temperature})"),
    ]
    answers = run_in_page(tmp_path, anymax.explain((2, 3), 1).html(), script)
    for scene, (cells, said, title, sizes) in zip(wanted, answers, strict=True):
        grid = Grid(scene.shape, scene.axes)
        indices = list(grid.indices())
        assert title.replace("\u00a0", " ") == svg.call_of(scene)
        assert sizes == [str(size) for size in scene.shape]
        assert said == f"{svg.call_of(scene)}: {svg._counts(scene)}"
        values = [scene.before, scene.after] if scene.after is not None else [None]
        assert len(cells) == len(indices) * len(values)
        for at, (index, group, colour, value) in enumerate(cells):
            is_after, number = divmod(at, len(indices))
            assert tuple(map(int, index.split())) == indices[number]
            assert int(group) == grid.group(indices[number])
            assert colour == f"cell c{int(group) % 8}"
            column = values[is_after]
            assert value == (None if column is None else svg.number(column[number], 3 if is_after else 2))


@needs_browser
def test_what_torch_cannot_be_asked_for_is_not_offered(tmp_path):
    script = (
        HANDS
        + """
    const call = () => document.querySelector("#picture text").textContent;
    const found = [call()];
    move("competes2", true); found.push(call());
    move("temperature", Math.log10(0.5)); found.push(call());
    return found;"""
    )
    found = run_in_page(tmp_path, anymax.explain("F.softmax(x: 2,3,4, dim=1)").html(), script)
    assert found == ["F.softmax(x, dim=1)", "F.softmax(x, dim=2)", "F.softmax(x / 0.5, dim=2)"]


@needs_browser
def test_torchs_cross_entropy_keeps_its_class_axis(tmp_path):
    script = (
        HANDS
        + """
    const pattern = () => document.querySelectorAll("#picture text")[2].textContent;
    const found = [Boolean(document.getElementById("dim") || document.getElementById("temperature")),
      document.getElementById("competes0").disabled, pattern()];
    move("rank", 1); found.push(pattern());
    move("rank", 4); found.push(pattern());
    return found;"""
    )
    found = run_in_page(tmp_path, anymax.explain("F.cross_entropy(x: 2,3,4, y: 2,4)").html(), script)
    assert found == [False, True, *(f"entries that share one: [{axes}]" for axes in ("i, :, k", ":", "i, :, k, l"))]


@needs_browser
def test_a_tensors_own_values_come_back_with_its_shape(tmp_path):
    scores = torch.tensor([[3.0, -1.0], [0.5, 0.25], [torch.nan, 2.0]])
    script = (
        HANDS
        + """
    const values = () => [...document.querySelectorAll("#picture .on")].map((text) => text.textContent);
    const found = [values()];
    move("size1", 3); found.push(values());
    move("size1", 2); found.push(values());
    return found;"""
    )
    first, other, again = run_in_page(tmp_path, anymax.explain(scores, 1).html(), script)
    assert first[:6] == ["3.00", "-1.00", "0.50", "0.25", "nan", "2.00"]
    assert other[:2] == ["0.00", "0.84"]
    assert again == first


def parsed(source: str) -> ElementTree.Element:
    """The page without its scripts, which is XML as well."""
    source = source.removeprefix("<!DOCTYPE html>\n")
    return ElementTree.fromstring(re.sub(r"<script[^>]*>.*?</script>", "", source, flags=re.DOTALL))


@needs_browser
def test_two_in_one_notebook_have_sliders_of_their_own(tmp_path):
    """Each page is a document of its own in a frame; a notebook's own names and ids are another's too."""
    torch.manual_seed(0)
    outputs = [anymax.explain((2, 3), 0), anymax.explain(torch.randn(2, 3), 0), anymax.explain((3, 2, 2), -1)]
    fragments = "".join(f"<div>{each._repr_html_()}</div>" for each in outputs)
    assert fragments.count('sandbox="allow-scripts"') == 3
    # the test alone looks into the frames
    fragments = fragments.replace("allow-scripts", "allow-scripts allow-same-origin")
    notebook = f'<html><body><p id="picture">own</p><script>const state = "own";</script>{fragments}</body></html>'
    script = """
    const frames = [...document.querySelectorAll("iframe")].map((frame) => frame.contentDocument);
    const seen = () => frames.map((inside) => inside.querySelector("#picture title").textContent);
    const move = (inside, id, value) => {
      const input = inside.getElementById(id);
      input.value = value;
      input.dispatchEvent(new inside.defaultView.Event("input", {bubbles: true}));
    };
    const found = [seen()];
    move(frames[0], "dim", 1); found.push(seen());
    move(frames[1], "temperature", -1); found.push(seen());
    return [found, document.getElementById("picture").textContent, state];"""
    found, text, state = run_in_page(tmp_path, notebook, script)
    third = "softmax(x, dim=2): 6 distributions over 2 entries"
    over_batch = "softmax(x, dim=0): 3 distributions over 2 entries"
    over_classes = "softmax(x, dim=1): 2 distributions over 3 entries"
    colder = "softmax(x, dim=0, temperature=0.1): 3 distributions over 2 entries"
    assert found == [
        [over_batch, over_batch, third],
        [over_classes, over_batch, third],
        [over_classes, colder, third],
    ]
    assert (text, state) == ("own", "own")


def test_a_notebook_that_is_not_trusted_keeps_picture_and_text():
    """What runs or frames is taken out there, and nothing else is needed"""
    found = anymax.explain((2, 3), 0)
    kept = re.sub(r"<iframe.*?</iframe>", "", found._repr_html_(), flags=re.DOTALL)
    assert not re.search(r"<(script|style|link|object|svg)|\son\w+=", kept)
    assert "data:image/svg+xml;base64," in kept
    assert html.escape(str(found)) in kept


@pytest.mark.parametrize("call", ["softmax(x: 2,3, dim=1)", "cross_entropy(a: 2,3, b: 2)", "argmax(x: 30,40)"])
def test_the_page_is_one_file_that_asks_for_no_other(call):
    source = anymax.explain(call).html()
    parsed(source)
    without_names = source.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.findall(r"https?:|//\w|@import|src=|href=|fetch\(|XMLHttpRequest|import\(", without_names)
    assert set(re.findall(r"url\(([^)]*)\)", source)) <= {f"#ax{at}" for at in range(1, 4)} | {"#ax${hatching}"}


def test_the_page_shows_the_picture_and_the_text_without_a_script():
    found = anymax.explain((2, 3), 0)
    source = found.html()
    assert found.svg() in source
    assert html.escape(found.text) in source
    assert '<form id="controls" aria-label="shape, dim and temperature" hidden="">' in source


def test_what_a_script_could_be_closed_with_is_not_in_the_data():
    scene = dataclasses.replace(scene_of((2, 3), 1), tensor='</script><b a="&">', arguments='</script><b a="&">')
    source = page.write(scene, "text </pre> & more")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', source, re.DOTALL)[1]
    assert json.loads(data)["scene"]["tensor"] == scene.tensor
    assert source.count("</script>") == 2
    assert "text &lt;/pre&gt; &amp; more" in source
    parsed(source)


def test_sizes_that_javascript_cannot_count_are_refused():
    shape = (2**53 + 1, 3)
    with pytest.raises(ValueError, match=r"explain: a page counts sizes up to 2\*\*53"):
        anymax.explain(shape, 1).html()
    assert math.prod(shape) // 3 == anymax.explain(shape, 1).distributions
