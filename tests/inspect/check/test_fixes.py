"""--fix and --diff: what is rewritten, what is left, and what is never touched."""

from __future__ import annotations

import ast
import json
import os
import stat

import pytest

from anymax.inspect.check import fixes
from anymax.inspect.check.config import Config
from anymax.inspect.check.findings import Edit
from anymax.inspect.check.main import main
from anymax.inspect.check.rules import all_rules
from anymax.inspect.check.run import check
from tests.inspect.check import planted
from tests.inspect.check.test_reading_rules import IMPORTS, blocks
from tests.inspect.check.test_sources import notebook

pytestmark = pytest.mark.usefixtures("folder")


def test_a_fix_changes_its_characters_and_no_others_in_the_files_own_encoding(folder, capsys):
    path = folder / "a.py"
    path.write_bytes("# coding: latin-1\r\nx = 'é';  wrong( 'ü' )\r\n\twrong\f".replace("\t", "").encode("latin-1"))
    os.chmod(path, 0o750)
    assert main(["a.py", "--fix"]) == 0
    assert path.read_bytes() == "# coding: latin-1\r\nx = 'é';  right( 'ü' )\r\nwrong\f".encode("latin-1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert capsys.readouterr().err == "Fixed 1 finding in 1 file.\n"
    assert os.listdir(folder) == ["a.py"]


def test_a_byte_order_mark_stays(folder):
    (folder / "a.py").write_bytes(b"\xef\xbb\xbfwrong(1)\n")
    main(["a.py", "--fix"])
    assert (folder / "a.py").read_bytes() == b"\xef\xbb\xbfright(1)\n"


def test_fixing_goes_on_until_nothing_is_left_and_again_changes_nothing(folder, capsys):
    (folder / "a.py").write_text("nested(wrong(nested(1)))\n")
    assert main(["a.py", "--fix"]) == 0
    assert (folder / "a.py").read_text() == "right(right(right(1)))\n"
    assert capsys.readouterr().err == "Fixed 5 findings in 1 file.\n"
    before = (folder / "a.py").stat().st_mtime_ns
    assert main(["a.py", "--fix"]) == 0
    assert (folder / "a.py").stat().st_mtime_ns == before


def test_every_round_looks_at_all_files_since_one_may_say_what_another_returns(folder, monkeypatch):
    looked_at = []

    def recorded(paths, *others):
        looked_at.append(list(paths))
        return check(paths, *others)

    monkeypatch.setattr(fixes, "check", recorded)
    (folder / "a.py").write_text("nested(1)\n")
    (folder / "b.py").write_text("x = 1\n")
    assert main(["a.py", "b.py", "--fix"]) == 0
    assert looked_at == [["a.py", "b.py"]] * 2


def test_a_diff_shows_what_fixing_would_write_and_writes_nothing(folder, capsys):
    (folder / "a.py").write_text("x = 1\nnested(x)")
    assert main(["a.py", "--diff"]) == 1
    assert capsys.readouterr().out == (
        "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n x = 1\n-nested(x)\n\\ No newline at end of file\n+right(x)\n"
        "\\ No newline at end of file\n"
    )
    assert (folder / "a.py").read_text() == "x = 1\nnested(x)"
    (folder / "a.py").write_text("x = 1\n")
    assert main(["a.py", "--diff"]) == 0


def test_a_file_whose_fixed_text_would_not_parse_is_left_and_said(folder, capsys):
    (folder / "a.py").write_text("broken(1)\n")
    (folder / "b.py").write_text("wrong(1)\n")
    assert main(["--fix"]) == 1
    assert (folder / "a.py").read_text() == "broken(1)\n"
    assert (folder / "b.py").read_text() == "right(1)\n"
    assert capsys.readouterr().err == (
        "a.py: not fixed, since the result would not parse\nFixed 1 finding in 1 file.\n"
    )


def test_noqa_and_unread_files_are_not_touched(folder):
    (folder / "a.py").write_text("wrong(1)  # noqa\n")
    (folder / "b.py").write_text("wrong 1\n")
    main(["--fix"])
    assert (folder / "a.py").read_text() == "wrong(1)  # noqa\n"
    assert (folder / "b.py").read_text() == "wrong 1\n"


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("indent", [1, 2, None])
def test_in_a_notebook_only_the_line_changes(folder, as_list, indent):
    before = json.loads(notebook("%pylab\nx = 'é'", "# ü\n%time wrong(1)\nx = wrong(x)\ny = 2", as_list=as_list))
    text = json.dumps(before, indent=indent, ensure_ascii=False)
    (folder / "a.ipynb").write_text(text)
    assert main(["a.ipynb", "--fix"]) == 0
    assert (folder / "a.ipynb").read_text() == text.replace("x = wrong(x)", "x = right(x)")


def test_a_notebook_that_would_be_laid_out_anew_is_left_and_said(folder, capsys):
    text = notebook("wrong(1)").replace("[", "[ ", 1)
    (folder / "a.ipynb").write_text(text)
    assert main(["a.ipynb", "--fix"]) == 1
    assert (folder / "a.ipynb").read_text() == text
    assert "a.ipynb: not fixed, since writing its JSON again would change more than the fix" in capsys.readouterr().err


@pytest.mark.parametrize("code", [block.values[1] for block in blocks() if "#: file " not in block.values[1]])
def test_what_a_rule_fixes_parses_and_leaves_nothing_to_fix(folder, code, monkeypatch):
    monkeypatch.delitem(all_rules(), "AMX999")
    (folder / "code.py").write_text(f"{IMPORTS}{code}")
    config = Config()
    fixed = fixes.fix(check(["code.py"], config), ["code.py"], config)
    assert not fixed.refused
    assert not [finding for finding in fixed.report.findings if finding.fix]
    for text in fixed.texts.values():
        ast.parse(text)


def test_a_link_stays_a_link(folder):
    (folder / "real").mkdir()
    (folder / "real" / "a.py").write_text("wrong(1)\n")
    (folder / "link.py").symlink_to(folder / "real" / "a.py")
    main(["link.py", "--fix"])
    assert (folder / "link.py").is_symlink()
    assert (folder / "real" / "a.py").read_text() == "right(1)\n"


def test_a_file_that_cannot_be_replaced_stays_whole(folder, monkeypatch, capsys):
    (folder / "a.py").write_text("wrong(1)\n")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(["a.py", "--fix"]) == 2
    assert capsys.readouterr().err == "anymax: 'a.py' cannot be written: No space left on device.\n"
    assert (folder / "a.py").read_text() == "wrong(1)\n"
    assert os.listdir(folder) == ["a.py"]


def test_of_edits_that_touch_one_another_the_first_is_taken_and_equal_ones_count_for_both(folder):
    (folder / "a.py").write_text("wrong(1)\n")
    source = fixes.read("a.py")
    findings = [
        planted.RULE.finding(source, source.tree.body[0], "", fix=planted.Fix("", edits))
        for edits in (
            (Edit(0, 5, "a"), Edit(8, 8, "c")),
            (Edit(0, 5, "a"),),
            (Edit(4, 7, "b"),),
            (Edit(5, 6, "d"),),
            (Edit(6, 8, "e"),),
        )
    ]
    assert fixes.compatible(findings) == ([Edit(0, 5, "a"), Edit(8, 8, "c")], 2)
