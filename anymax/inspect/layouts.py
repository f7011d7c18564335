"""The layouts that people use, by number of axes, and what competes in each."""

from __future__ import annotations

from dataclasses import dataclass

# names of axis 0 that say it is the batch
BATCH_NAMES = {"b", "n", "batch", "samples", "sample", "examples"}


@dataclass(frozen=True)
class Layout:
    """A layout that people use: its axes, what is usual there, and what to write instead."""

    names: tuple[str, ...]
    usual: dict[tuple[int, ...], str]
    advice: str


_ATTENTION = "each query spreads its attention over the keys"
LAYOUTS = {
    1: (
        Layout(("classes",), {(0,): "the class probabilities of one sample"}, ""),
        Layout(("positions",), {(0,): "one weight per position"}, ""),
    ),
    2: (
        Layout(("batch", "classes"), {(1,): "class probabilities for each sample"}, "dim=1"),
        Layout(("queries", "keys"), {(1,): _ATTENTION}, "dim=1"),
    ),
    3: (
        Layout(
            ("batch", "time", "classes"),
            {(2,): "class probabilities for each sample and time step"},
            "dim=2",
        ),
        Layout(
            ("batch", "classes", "length"),
            {(1,): "class probabilities at each position, as cross_entropy reads it"},
            "dim=1",
        ),
        Layout(("batch", "queries", "keys"), {(2,): _ATTENTION}, "dim=2"),
        Layout(("classes", "height", "width"), {(0,): "class probabilities for each pixel of one image"}, "dim=0"),
    ),
    4: (
        Layout(
            ("batch", "classes", "height", "width"),
            {
                (1,): "class probabilities for each pixel",
                (2, 3): "a heat map over the pixels, for each sample and channel",
            },
            "dim=1 (classes) or dim=(2, 3) (pixels)",
        ),
        Layout(("batch", "heads", "queries", "keys"), {(3,): f"in every head, {_ATTENTION}"}, "dim=3"),
    ),
    5: (
        Layout(
            ("batch", "classes", "depth", "height", "width"),
            {
                (1,): "class probabilities for each voxel",
                (2, 3, 4): "a heat map over the voxels, for each sample and channel",
            },
            "dim=1 (classes) or dim=(2, 3, 4) (voxels)",
        ),
        Layout(
            ("batch", "time", "classes", "height", "width"),
            {(2,): "class probabilities for each pixel of each frame"},
            "dim=2",
        ),
    ),
}
