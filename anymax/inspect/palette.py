"""The colours of distributions, which every kind of picture shares.

The "light" scheme of Paul Tol (https://sronpersonalpages.nl/~pault/), made for cells with black text and for readers
who see fewer colours; in the order in which he takes them.
"""

from __future__ import annotations

# as #rrggbb, and the nearest of a terminal's 256
COLOURS = (
    ("#77aadd", 110),
    ("#ee8866", 209),
    ("#eedd88", 222),
    ("#ffaabb", 217),
    ("#99ddff", 117),
    ("#44bb99", 79),
    ("#bbcc33", 149),
    ("#aaaa00", 142),
)


def on_terminal(text: str, group: int) -> str:
    """The text in the colour of a distribution, for a terminal."""
    return f"\x1b[38;5;16;48;5;{COLOURS[group % len(COLOURS)][1]}m{text}\x1b[0m"
