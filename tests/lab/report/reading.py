"""A report and a terminal's output, read as a reader would."""

from __future__ import annotations

import io
from html.parser import HTMLParser

from anymax.lab.report import terminal
from anymax.lab.results import Comparison

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """Tags in order, checked to be nested; text; every address that the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data):
        self.text += data


def shown(comparison: Comparison) -> str:
    """What the terminal shows of a comparison."""
    stream = io.StringIO()
    terminal.show(comparison, stream)
    return stream.getvalue()
