"""Mistakes that a graph and a running program show alike: the sentences, and the number that they go by."""

from __future__ import annotations

from collections.abc import Sequence

# a masked score above this keeps a weight that counts
SMALL_ENOUGH = -50.0

OWN_LOG_SOFTMAX = (
    "x - logsumexp(x) loses the digits that both have in common: at scores around 1e7 it is off by 0.1. Write "
    "log_softmax(x, dim), which shifts first"
)
OWN_SOFTMAX = (
    "exp(x) / exp(x).sum() is NaN as soon as a score passes 88 in float32, 11 in float16. Write softmax(x, dim), which "
    "shifts first"
)


def pixels_compete(space: Sequence[int], channels: int) -> str:
    """What one of the axes `space` of an image leads to, and what to write."""
    return (
        f"normalises one of the {len(space)} spatial axes of an image: the pixels of a line compete. Write "
        f"dim={channels} if the channels are the classes, or anymax.softmax(x, dim={tuple(space)}) for a map over all "
        "pixels"
    )
