"""Hostile files through the command line: one sentence and exit status 2 with nothing written, or a right reading."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anymax import cli
from anymax.lab.columns import quoted

SIZES = np.random.default_rng(0).normal(size=60).round(3)
CLASSES = ["a", "b"] * 30
FAST = ("--methods", "softmax,sigmoid", "--epochs", "1", "--seeds", "3", "--lr", "0.01", "--output", "out")


def csv(header: str = "size,kind", more: str = "", separator: str = ",") -> str:
    """Sixty rows of a number and a class, each with the same cells after them."""
    rows = [f"{size}{separator}{kind}{more}" for size, kind in zip(SIZES, CLASSES, strict=True)]
    return "\n".join([header, *rows]) + "\n"


class Ended:
    """How a run of the program ended: its status, what it printed, and the results where it wrote any."""

    def __init__(self, status: object, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def sentence(self) -> str:
        """Why it was refused, checked to be one short line that acts on no terminal, with nothing written."""
        assert self.status == 2, self.err
        assert self.out == ""
        assert not Path("out").exists()
        assert self.err.startswith("anymax: ")
        line = self.err.removeprefix("anymax: ").removesuffix("\n")
        assert line.isprintable()
        assert line.endswith(".")
        assert len(line) < 500
        return line

    @property
    def data(self) -> dict[str, Any]:
        """What was read, checked to be shown on a terminal without acting on it."""
        assert self.status == 0, self.err
        assert all(line.isprintable() for line in self.out.split("\n"))
        return json.loads(Path("out/results.json").read_text(encoding="utf-8"))["data"]

    @property
    def kinds(self) -> dict[str, str]:
        """By column what it was read as."""
        return {column["name"]: column["kind"] for column in self.data["columns"]}

    @property
    def page(self) -> str:
        """The report."""
        assert self.status == 0, self.err
        return Path("out/report.html").read_text(encoding="utf-8")


@pytest.fixture
def compare(monkeypatch, capsys, tmp_path):
    """Write a file, where there is content for it, and run `anymax compare` on it in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def compare(content: str | bytes | None, *options: str, name: str = "d.csv", target: str | None = "kind") -> Ended:
        if content is not None:
            Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        asked = () if target is None else ("--target", target)
        monkeypatch.setattr(sys, "argv", ["anymax", "compare", name, *asked, *FAST, *options])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return Ended(stop.value.code, *capsys.readouterr())

    return compare


# what is printed


def test_a_name_in_a_sentence_is_short_and_acts_on_no_terminal():
    assert quoted("si\x1b[2Jze\n\x9b31m") == r"'si\x1b[2Jze \x9b31m'"
    assert quoted("e\u202etxt.\u200b") == r"'e\u202etxt.\u200b'"
    assert quoted("[red]Größe[/] 大小 :smile:") == "'[red]Größe[/] 大小 :smile:'"
    assert quoted("q" * 5_000_000) == f"'{'q' * 40}…'"


def test_a_column_asked_for_by_signs_that_act_on_a_terminal(compare):
    assert compare(csv(), target="\x1b[31mred").sentence.startswith(
        r"There is no column '\x1b[31mred' to be the target"
    )
