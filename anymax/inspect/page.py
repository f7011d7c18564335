"""The page of explain: the picture of svg.py, which page.js draws again when a slider moves. One file, no network."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template

from anymax.inspect import svg
from anymax.inspect.calls import WITH_TEMPERATURE
from anymax.inspect.grid import PLACES
from anymax.inspect.palette import COLOURS
from anymax.inspect.svg import Scene

LARGEST_SIZE = 2**53  # that a number of JavaScript counts
_CELLS = ("WITH_VALUES", "WITHOUT_VALUES", "GAPS", "SLOT")
_SIZES = ("MARGIN", "LINE", "LETTER", *_CELLS, "TITLE", "LABEL", "APART", "WIDEST")  # of svg.py, in pixels

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
<h1>Which entries compete?</h1>
<noscript><p>The sliders need JavaScript; the picture and the text do not.</p></noscript>
<form id="controls" aria-label="shape, dim and temperature" hidden=""></form>
<p id="said" aria-live="polite" class="unseen"></p>
<figure id="picture">
$picture</figure>
<section>
<h2>In words: $title</h2>
<pre>$text</pre>
</section>
</main>
<script type="application/json" id="data">$data</script>
<script>
$script</script>
</body>
</html>
""")


def write(scene: Scene, text: str) -> str:
    """The page, as the text of an HTML file."""
    if not can_count(scene.shape):
        raise ValueError(f"explain: a page counts sizes up to 2**53, got the shape {scene.shape}")
    picture = svg.draw(scene)
    return _PAGE.substitute(
        title=escape(f"{svg.call_of(scene)}, {scene.tensor} of shape {scene.shape}"),
        style=_beside("page.css"),
        picture=picture,
        text=escape(text),
        data=_data(scene),
        script=_beside("page.js"),
    )


def can_count(shape: Sequence[int]) -> bool:
    """Whether the page's sliders can hold these sizes."""
    return all(size <= LARGEST_SIZE for size in shape)


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _data(scene: Scene) -> str:
    """The scene, and the constants and words that the picture is drawn with, as JSON inside a script element."""
    data = {
        "scene": {**asdict(scene), "before": _numbers(scene.before), "after": None},
        "places": PLACES,
        "results": svg.RESULTS,
        "withoutSums": svg.WITHOUT_SUMS,
        "withTemperature": WITH_TEMPERATURE,
        "colours": len(COLOURS),
        "hatchings": svg.HATCHINGS,
        "style": svg.STYLE,
        "patterns": svg.PATTERNS,
        "sizes": {name.lower(): getattr(svg, name) for name in _SIZES},
    }
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _numbers(values: Sequence[float] | None) -> list[float | str] | None:
    """Values for JSON, which knows neither NaN nor infinity."""
    if values is None:
        return None
    names = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return ["NaN" if math.isnan(value) else names.get(value, value) for value in values]
