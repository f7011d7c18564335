"""The picture of explain as SVG: the tensor as a grid of cells, before and after.

page.js draws the same picture, to the letter, from the same scene and the same constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from html import escape

from anymax.inspect.grid import PLACES, Grid, index_pattern, mark, refusal, subscript
from anymax.inspect.palette import COLOURS

# What a function makes of the scores: the heading of the second grid, and what a colour is.
_DISTRIBUTION = ("One colour and letter is one distribution:", "its probabilities sum to 1.")
RESULTS = {
    "softmax": ("after: {call}", _DISTRIBUTION),
    "softmin": ("after: {call}", _DISTRIBUTION),
    "log_softmax": ("after: {call}", (_DISTRIBUTION[0], "the exponentials of its entries sum to 1.")),
    "gumbel_softmax": (
        "after: how often each is drawn",
        ("One colour and letter is one draw:", "the chances of its entries sum to 1."),
    ),
    "argmax": (
        "after: 1 where it points",
        ("One colour and letter is one choice:", "the largest of its entries is taken."),
    ),
    "cross_entropy": (
        "after: the probabilities it reads",
        ("One colour and letter is the classes of one target:", "their probabilities sum to 1."),
    ),
}
WITHOUT_SUMS = ("log_softmax", "argmax")

# pixels
MARGIN = 16
LINE = 20
LETTER = 7.9  # the width of a character
WITH_VALUES = (50, 36)
WITHOUT_VALUES = (30, 26)
GAPS = (2, 18, 44)  # between cells, blocks, pages
SLOT = 16  # where indices are left out
TITLE = 18  # above a block, or above the columns
LABEL = 26  # beside the rows
APART = 32  # between two panels side by side
WIDEST = 780  # two panels stand side by side up to here

HATCHINGS = 4  # none, and those of PATTERNS
STYLE = (
    ".ax{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    ".ax .paper{fill:#fff}.ax .ink{fill:#1b1b1b}.ax .faint{fill:#5c5c5c}.ax .bold{font-weight:700}"
    ".ax .dots{fill:none;stroke:#5c5c5c;stroke-width:3;stroke-linecap:round}"
    ".ax .cell{stroke:#33333c;stroke-width:1}.ax .on{fill:#000}.ax .mark{fill:#000;font-size:11px;font-weight:700}"
    ".ax .bar{fill:#000;fill-opacity:.7}.ax .hatch{fill:none;stroke:#000;stroke-opacity:.3}"
    + "".join(f".ax .c{at}{{fill:{colour}}}" for at, (colour, _) in enumerate(COLOURS))
    + "@media screen and (prefers-color-scheme:dark){"
    ".ax .paper{fill:#15171c}.ax .ink{fill:#ececec}.ax .faint{fill:#a9adb5}.ax .dots{stroke:#a9adb5}"
    ".ax .cell{stroke:#15171c}}"
)
PATTERNS = "".join(
    f'<pattern id="ax{number}" width="7" height="7" patternUnits="userSpaceOnUse"><path class="hatch" d="{path}"/>'
    "</pattern>"
    for number, path in enumerate(("M-1 8L8 -1", "M-1 -1L8 8", "M3 0V7"), 1)
)


@dataclass(frozen=True)
class Scene:
    """All that a picture shows.

    Attributes:
        function: a key of RESULTS. written: as the user writes it, such as F.softmax. tensor: the name of the scores.
        arguments: the tensors, as they stand in the call. noun: what the competing entries share.
        is_torch: torch's function, which takes one axis and no temperature.
        is_implicit: no dim was given. is_example: the values are not the user's.
        before, after: the values in the order of indices, where all entries are drawn and their values are known.
    """

    function: str
    written: str
    tensor: str
    arguments: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    noun: str = "distribution"
    names: tuple[str, ...] | None = None
    is_torch: bool = False
    is_implicit: bool = False
    is_example: bool = True
    temperature: float = 1.0
    before: Sequence[float] | None = None
    after: Sequence[float] | None = None


def draw(scene: Scene, widest: int = WIDEST) -> str:
    """The picture, as the text of an SVG file."""
    if reason := refusal(scene.shape):
        raise ValueError(f"explain: {reason}")
    grid = Grid(scene.shape, scene.axes)
    call = call_of(scene)
    shared = f"entries that share one: {index_pattern(scene.shape, scene.axes)}"
    lines = [(call, "ink bold"), (_counts(scene), "ink"), (shared, "ink"), *_axis_lines(scene)]
    captions = RESULTS[scene.function][1]
    headings = [
        f"before: {scene.tensor}{' (an example)' if scene.is_example else ''}",
        RESULTS[scene.function][0].format(call=call),
    ]
    panels = [_Panel(scene, grid, scene.before, False)]
    if scene.after is not None:
        panels.append(_Panel(scene, grid, scene.after, True))

    parts = [_text(MARGIN, MARGIN + 12 + number * LINE, text, style) for number, (text, style) in enumerate(lines)]
    top = MARGIN + len(lines) * LINE + 8
    widths = [max(panel.width, math.ceil(len(text) * LETTER)) for panel, text in zip(panels, headings, strict=False)]
    beside = len(panels) == 2 and sum(widths) + APART + 2 * MARGIN <= widest
    left = MARGIN
    width = max(math.ceil(max(len(text) for text in (*captions, *(text for text, _ in lines))) * LETTER), *widths)
    for panel, heading, wide in zip(panels, headings, widths, strict=False):
        if scene.after is not None:
            parts.append(_text(left, top + 12, heading, "ink"))
        parts += panel.draw(left, top + LINE)
        if beside:
            width = max(width, left + wide - MARGIN)
            left += wide + APART
        else:
            top += LINE + panel.height + MARGIN
    if beside:
        top += LINE + max(panel.height for panel in panels) + MARGIN
    parts += [_text(MARGIN, top + 12 + row * LINE, text, "faint") for row, text in enumerate(captions)]
    width, height = width + 2 * MARGIN, top + len(captions) * LINE + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ax" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><title>{escape(call)}: {escape(_counts(scene))}</title>'
        f"<style>{STYLE}</style><defs>{PATTERNS}</defs>"
        f'<rect class="paper" width="{width}" height="{height}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def number(value: float, digits: int) -> str:
    """A value as a cell shows it; halves are rounded away from zero, as in JavaScript."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    exact = Decimal(value)
    if abs(exact) >= 1000:
        power = exact.adjusted()
        leading = exact.scaleb(-power).quantize(Decimal(1), ROUND_HALF_UP)
        if abs(leading) == 10:
            leading, power = leading / 10, power + 1
        return f"{int(leading)}e{power}"
    text = str(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))
    return text.removeprefix("-") if not text.strip("-0.") else text


class _Panel:
    """One drawing of the grid, with or without values in its cells."""

    def __init__(self, scene: Scene, grid: Grid, values: Sequence[float] | None, is_after: bool) -> None:
        self.scene, self.grid, self.values, self.is_after = scene, grid, values, is_after
        self.digits = 3 if is_after and scene.function != "log_softmax" else 2
        self.cell = WITHOUT_VALUES if values is None else WITH_VALUES
        self.rank = len(scene.shape)
        self.has_sums = is_after and self.rank <= 2 and scene.function not in WITHOUT_SUMS
        self._place()

    def _place(self) -> None:
        """Where each index of each axis goes, from the innermost outwards; and the size of it all."""
        extent = {"x": self.cell[0], "y": self.cell[1]}
        level = {"x": 0, "y": 0}
        self.offsets: dict[int, list[int]] = {}
        self.direction: dict[int, str] = {}
        self.across: dict[int, int] = {}
        for axis in reversed(range(self.rank)):
            place = PLACES[self.rank][axis][0]
            way = "y" if place == "rows" or place.endswith("down") else "x"
            gap, at, offsets = GAPS[level[way]], 0, []
            for index in self.grid.shown[axis]:
                offsets.append(at)
                at += (SLOT if index is None else extent[way]) + gap
            self.offsets[axis], self.direction[axis] = offsets, way
            self.across[axis] = extent["x" if way == "y" else "y"]
            extent[way] = at - gap
            level[way] += 1
            if axis == self.rank - 2 and self.rank > 2:
                extent["y"] += TITLE
        self.left = LABEL if self.rank == 2 else 0
        self.top = TITLE if self.rank <= 2 else 0
        self.width = self.left + extent["x"] + (self.cell[0] + GAPS[1] if self.has_sums else 0)
        self.height = self.top + extent["y"] + (TITLE if self.has_sums and self.rank == 2 else 0)
        self.inner = extent

    def draw(self, left: int, top: int) -> list[str]:
        left, top = left + self.left, top + self.top
        parts = self._index_labels(left, top) if self.rank <= 2 else self._block_titles(left, top)
        for axis in range(self.rank):
            if None in self.grid.shown[axis]:
                parts += self._dots(axis, left, top)
        for at, index in enumerate(self.grid.indices()):
            x, y = self._origin(index)
            value = None if self.values is None else self.values[at]
            parts.append(self._cell(left + x, top + y + self._title(self.rank), index, value))
        return [*parts, *(self._sums(left, top) if self.has_sums else [])]

    def _title(self, axes: int) -> int:
        """The room for the title of a block, for what stands inside one."""
        return TITLE if self.rank > 2 and axes > self.rank - 2 else 0

    def _origin(self, index: Sequence[int]) -> tuple[int, int]:
        at = {"x": 0, "y": 0}
        for axis, each in enumerate(index):
            at[self.direction[axis]] += self.offsets[axis][self.grid.shown[axis].index(each)]
        return at["x"], at["y"]

    def _index_labels(self, left: int, top: int) -> list[str]:
        labels = []
        for at, index in enumerate(self.grid.shown[-1]):
            if index is not None:
                x = left + self.offsets[self.rank - 1][at] + self.cell[0] // 2
                labels.append(_text(x, top - 6, str(index), "faint", "middle"))
        for at, index in enumerate(self.grid.shown[0] if self.rank == 2 else ()):
            if index is not None:
                y = top + self.offsets[0][at] + self.cell[1] // 2 + 4
                labels.append(_text(left - 8, y, str(index), "faint", "end"))
        return labels

    def _block_titles(self, left: int, top: int) -> list[str]:
        titles = []
        for index in self.grid.indices(self.rank - 2):
            x, y = self._origin(index)
            titles.append(_text(left + x, top + y + 13, subscript(index), "faint"))
        return titles

    def _dots(self, axis: int, left: int, top: int) -> list[str]:
        """Three dots wherever indices of this axis are left out."""
        slot = self.offsets[axis][self.grid.shown[axis].index(None)] + SLOT // 2
        dots = []
        for index in self.grid.indices(axis):
            x, y = self._origin(index)
            x, y = left + x, top + y + self._title(axis + 1)
            if self.direction[axis] == "x":
                x, y = x + slot - 5, y + self.across[axis] // 2
                dots.append(f'<path class="dots" d="M{x} {y}h.1m5 0h.1m5 0h.1"/>')
            else:
                x, y = x + self.across[axis] // 2, y + slot - 5
                dots.append(f'<path class="dots" d="M{x} {y}v.1m0 5v.1m0 5v.1"/>')
        return dots

    def _cell(self, x: int, y: int, index: tuple[int, ...], value: float | None) -> str:
        width, height = self.cell
        group = self.grid.group(index)
        letter, colour = mark(group), group % len(COLOURS)
        hatching = group // len(COLOURS) % HATCHINGS
        box = f'x="{x}" y="{y}" width="{width}" height="{height}"'
        entry = f"{self.scene.tensor}{subscript(index)}"
        told = "" if value is None else f" {'becomes' if self.is_after else 'is'} {number(value, self.digits)},"
        parts = [
            f'<g data-index="{" ".join(map(str, index))}" data-group="{group}">',
            f"<title>{escape(entry)}{told} shares {letter}</title>",
            f'<rect class="cell c{colour}" {box}/>',
        ]
        if hatching:
            parts.append(f'<rect {box} fill="url(#ax{hatching})"/>')
        if value is None:
            parts.append(_text(x + width // 2, y + height // 2 + 4, letter, "mark", "middle"))
        else:
            parts.append(_text(x + 4, y + 12, letter, "mark"))
            parts.append(_text(x + width - 4, y + height - 9, number(value, self.digits), "on", "end"))
            if self.is_after and self.scene.function != "log_softmax" and value > 0:
                bar = math.floor(min(value, 1) * width + 0.5)
                parts.append(f'<rect class="bar" x="{x}" y="{y + height - 5}" width="{bar}" height="5"/>')
        return "".join(parts) + "</g>"

    def _sums(self, left: int, top: int) -> list[str]:
        """What the rows and the columns of a vector or a matrix sum to."""
        values = self.values or ()
        columns = self.scene.shape[-1]
        rows = len(values) // columns
        right, bottom = left + self.inner["x"] + GAPS[1], top + self.inner["y"]
        sums = [_text(right + self.cell[0] - 4, top - 6, "sum", "faint", "end")]
        style = {axis: "ink bold" if axis in self.scene.axes else "ink" for axis in range(self.rank)}
        for row in range(rows):
            y = top + (self.offsets[0][row] if self.rank == 2 else 0) + self.cell[1] // 2 + 4
            total = number(sum(values[row * columns : (row + 1) * columns]), 3)
            sums.append(_text(right + self.cell[0] - 4, y, total, style[self.rank - 1], "end"))
        if self.rank == 2:
            sums.append(_text(left - 8, bottom + 14, "sum", "faint", "end"))
            for column in range(columns):
                x = left + self.offsets[1][column] + self.cell[0] - 4
                sums.append(_text(x, bottom + 14, number(sum(values[column::columns]), 3), style[0], "end"))
        return sums


def call_of(scene: Scene) -> str:
    """The call, with the axes that compete as its dim."""
    if scene.is_implicit:
        dim = ""
    elif len(scene.axes) == 1:
        dim = f", dim={scene.axes[0]}"
    else:
        dim = f", dim=({', '.join(map(str, scene.axes))})"
    if scene.temperature == 1:
        return f"{scene.written}({scene.arguments}{dim})"
    if scene.is_torch:
        return f"{scene.written}({scene.arguments} / {scene.temperature:g}{dim})"
    return f"{scene.written}({scene.arguments}{dim}, temperature={scene.temperature:g})"


def _counts(scene: Scene) -> str:
    entries = math.prod(scene.shape[axis] for axis in scene.axes)
    distributions = math.prod(scene.shape) // entries
    noun = scene.noun if distributions == 1 else f"{scene.noun}s"
    return f"{distributions} {noun} over {entries} {'entry' if entries == 1 else 'entries'}"


def _axis_lines(scene: Scene) -> list[tuple[str, str]]:
    names = [name[:24] for name in scene.names] if scene.names else [""] * len(scene.shape)
    wide = max(len(name) for name in names)
    digits = max(len(str(size)) for size in scene.shape)
    lines = []
    for axis, size in enumerate(scene.shape):
        competes = axis in scene.axes
        name = f"{names[axis].ljust(wide)}  " if wide else ""
        place = PLACES[len(scene.shape)][axis][0]
        text = f"axis {axis}  {name}size {str(size).rjust(digits)}  {place}{': competes' if competes else ''}"
        lines.append((text, "ink bold" if competes else "faint"))
    return lines


def _text(x: int, y: int, text: str, style: str, anchor: str = "") -> str:
    # spaces in a row would be drawn as one
    words = escape(text).replace("  ", "\u00a0\u00a0").replace("\u00a0 ", "\u00a0\u00a0")
    anchored = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x}" y="{y}" class="{style}"{anchored}>{words}</text>'
