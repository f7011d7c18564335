"""The pictures of the docs are what the commands beside them make now, and stand where they are spoken of."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from anymax import cli

ROOT = Path(__file__).parent.parent.parent
PICTURES = ROOT / "docs" / "pictures"
ALL_COMMANDS = [
    shlex.split(line)
    for line in (PICTURES / "make.sh").read_text(encoding="utf-8").splitlines()
    if line.startswith(("anymax ", "python "))
]
# the rest draws figures of examples, which take minutes and have tests of their own
COMMANDS = [command for command in ALL_COMMANDS if command[0] == "anymax"]
IMAGE = re.compile(r"!\[[^\]]+\]\(([^)]+\.svg)\)")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: Path(command[-1]).stem)
def test_a_committed_picture_is_what_its_command_makes(monkeypatch, tmp_path, command):
    committed = ROOT / command[-1]
    made = tmp_path / "made.svg"
    monkeypatch.setattr(sys, "argv", [*command[:-1], str(made)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert made.read_bytes() == committed.read_bytes(), f"make pictures writes another {committed.name}"


def test_every_picture_has_a_command_and_is_shown():
    made = {(ROOT / command[-1]).resolve() for command in ALL_COMMANDS}
    assert made == set(PICTURES.glob("*.svg"))
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {
        (page.parent / image).resolve() for page in pages for image in IMAGE.findall(page.read_text(encoding="utf-8"))
    }
    assert made <= shown
    assert all(image.exists() for image in shown)


def test_each_row_of_the_table_of_layouts_has_its_picture():
    page = (ROOT / "docs" / "choosing-the-right-dim.md").read_text(encoding="utf-8")
    table = page.split("## The common layouts")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\([^`]+\))` ([^|]+?) \|", table, re.MULTILINE)
    assert len(rows) == 8
    captions = re.findall(r"^`(\([^`]+\))` ([^\n:]+):.*\n\n!\[[^\]]+\]\(pictures/", table, re.MULTILINE)
    assert captions == rows
