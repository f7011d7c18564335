"""Reports as SARIF and as annotations: what the standard and GitHub ask of them, and where they point."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from anymax.inspect.check import output
from anymax.inspect.check.main import main
from anymax.inspect.check.rules import all_rules
from tests.inspect.check.test_sources import notebook

NCE = "import torch.nn.functional as F\nloss = F.nce_loss(x, y)\n"

# The parts of SARIF 2.1.0 that we write, after its sections 3.13 to 3.58: the values of each property. A set holds all
# that are allowed; a list is one of such values; a name is that of a part.
PARTS: dict[str, dict[str, Any]] = {
    "log": {"$schema": str, "version": {"2.1.0"}, "runs": ["run"]},
    "run": {
        "tool": "tool",
        "columnKind": {"utf16CodeUnits", "unicodeCodePoints"},
        "invocations": ["invocation"],
        "results": ["result"],
    },
    "tool": {"driver": "driver"},
    "driver": {"name": str, "semanticVersion": str, "rules": ["rule"]},
    "rule": {
        "id": str,
        "name": str,
        "shortDescription": "text",
        "fullDescription": "text",
        "help": "page",
        "defaultConfiguration": "configuration",
    },
    "configuration": {"level": {"none", "note", "warning", "error"}},
    "text": {"text": str},
    "page": {"text": str, "markdown": str},
    "invocation": {"executionSuccessful": bool, "toolExecutionNotifications": ["notification"]},
    "notification": {
        "level": {"none", "note", "warning", "error"},
        "message": "text",
        "locations": ["location"],
    },
    "result": {
        "ruleId": str,
        "ruleIndex": int,
        "level": {"none", "note", "warning", "error"},
        "message": "text",
        "locations": ["location"],
    },
    "location": {"physicalLocation": "place"},
    "place": {"artifactLocation": "artifact", "region": "region"},
    "artifact": {"uri": str},
    "region": {"startLine": int, "startColumn": int, "endLine": int, "endColumn": int},
}
MAY_LACK = {"region", "startColumn", "endLine", "endColumn"}
# RFC 3986: what a path may hold, with every other byte as %XX; no colon before the first slash of a relative one
URI = re.compile(r"(file://(?=/)|(?![^/]*:))(?:[\w.~!$&'()*+,;=:@/-]|%[0-9A-F]{2})+", re.ASCII)


pytestmark = pytest.mark.usefixtures("folder")


def fits(value: Any, asked: Any) -> None:
    if isinstance(asked, str):
        assert value.keys() | MAY_LACK >= PARTS[asked].keys() >= value.keys(), asked
        for name, part in value.items():
            fits(part, PARTS[asked][name])
    elif isinstance(asked, list):
        assert isinstance(value, list)
        for each in value:
            fits(each, asked[0])
    elif isinstance(asked, set):
        assert value in asked
    else:
        assert type(value) is asked


def sarif(capsys, *arguments: str) -> dict[str, Any]:
    """The only run of what the command writes, which is SARIF."""
    main([*arguments, "--output-format", "sarif"])
    log = json.loads(capsys.readouterr().out)
    fits(log, "log")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
    for each in (*run["results"], *run["invocations"][0]["toolExecutionNotifications"]):
        (location,) = each["locations"]
        assert URI.fullmatch(location["physicalLocation"]["artifactLocation"]["uri"])
        region = location["physicalLocation"].get("region", {})
        assert all(number >= 1 for number in region.values())
    return run


def places(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["locations"][0]["physicalLocation"] for each in run["results"]]


def test_sarif_names_rules_places_and_what_was_not_read(folder, capsys):
    (folder / "a b.py").write_text(f"{NCE}wrong(1)\n")
    (folder / "bad.py").write_text("x = 1\nprint 1\n")
    (folder / "latin.py").write_bytes(b"# \xff\n")
    run = sarif(capsys, ".")
    assert [(each["ruleId"], each["level"]) for each in run["results"]] == [("AMX401", "error"), ("AMX999", "note")]
    assert places(run)[0] == {
        "artifactLocation": {"uri": "a%20b.py"},
        "region": {"startLine": 2, "startColumn": 8, "endLine": 2, "endColumn": 18},
    }
    (done,) = run["invocations"]
    assert done["executionSuccessful"]
    bad, latin = done["toolExecutionNotifications"]
    assert bad["message"]["text"].startswith("not looked at: it is no Python")
    assert bad["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "bad.py"},
        "region": {"startLine": 2},
    }
    assert latin["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "latin.py"}}


def test_sarif_of_nothing_found_and_of_no_files_has_no_results(folder, capsys):
    assert sarif(capsys, ".")["results"] == []
    (folder / "a.py").write_text("x = 1\n")
    assert sarif(capsys, ".")["results"] == []


def test_sarif_says_where_the_check_failed(folder, capsys):
    (folder / "a.py").write_text("raises()\n")
    (done,) = sarif(capsys, ".")["invocations"]
    assert not done["executionSuccessful"]
    assert [each["level"] for each in done["toolExecutionNotifications"]] == ["error"]


def test_columns_count_characters(folder, capsys):
    """Neither bytes nor the halves of UTF-16, as the run declares."""
    (folder / "a.py").write_text("𝒳 = 'é𝒳'; wrong(𝒳)\n", encoding="utf-8")
    run = sarif(capsys, ".")
    assert run["columnKind"] == "unicodeCodePoints"
    assert places(run)[0]["region"] == {"startLine": 1, "startColumn": 11, "endLine": 1, "endColumn": 19}


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a/ä%#?.py", "a/%C3%A4%25%23%3F.py"),
        ("a:b.py", "a%3Ab.py"),
        ("..a.py", "..a.py"),
        (os.fsdecode(b"\xff.py"), "%FF.py"),
    ],
)
def test_an_address_is_that_of_the_file_whatever_its_name(folder, capsys, path, uri):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("wrong(1)\n")
    assert places(sarif(capsys, path))[0]["artifactLocation"] == {"uri": uri}
    assert places(sarif(capsys, str(folder / path)))[0]["artifactLocation"] == {"uri": uri}


def test_a_file_elsewhere_has_its_whole_address(folder, capsys, monkeypatch):
    (folder / "a.py").write_text("wrong(1)\n")
    (folder / "below").mkdir()
    monkeypatch.chdir("below")
    assert places(sarif(capsys, "../a.py"))[0]["artifactLocation"] == {"uri": f"file://{folder}/a.py"}


def test_github_shows_rules_that_have_these_texts(capsys):
    """https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning"""
    for rule in sarif(capsys, ".")["tool"]["driver"]["rules"]:
        for text in (rule["shortDescription"], rule["fullDescription"]):
            assert 10 < len(text["text"]) < 1024 or rule["id"] == "AMX999"
            assert text["text"].endswith(".")
        assert rule["shortDescription"] != rule["fullDescription"]
        assert rule["help"]["text"] == all_rules()[rule["id"]].documentation


CELLS = ("%pylab\nx = 1", "print 1", "\nwrong(1)\nwrong(\n    2)")


@pytest.mark.parametrize("indent", [1, 4, None])
@pytest.mark.parametrize("as_list", [True, False])
def test_what_is_found_in_a_notebook_stands_on_a_line_of_its_file(folder, capsys, indent, as_list):
    content = json.dumps(json.loads(notebook(*CELLS, as_list=as_list)), indent=indent)
    (folder / "train.ipynb").write_text(content)
    run = sarif(capsys, ".")
    lines = content.split("\n")
    for each, place, start in zip(run["results"], places(run), ("wrong(1)", "wrong("), strict=True):
        region = place["region"]
        assert start in lines[region["startLine"] - 1]
        assert region == {
            "startLine": region["startLine"],
            "startColumn": 1,
            "endLine": region["startLine"],
            "endColumn": len(lines[region["startLine"] - 1]) + 1,
        }
        assert re.match(r"cell 4, line [23]: ", each["message"]["text"])
    if indent and as_list:
        first, second = (place["region"]["startLine"] for place in places(run))
        assert second == first + 1
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"].startswith("cell 3, line 1: not looked at: it is no Python")
    assert "print 1" in lines[notification["locations"][0]["physicalLocation"]["region"]["startLine"] - 1]


def annotations(capsys, *arguments: str) -> list[tuple[dict[str, str], str]]:
    main([*arguments, "--output-format", "github"])
    found = []
    for line in capsys.readouterr().out.splitlines():
        start, _, message = line[2:].partition("::")
        level, _, properties = start.partition(" ")
        assert line.startswith("::")
        assert level in ("error", "warning", "notice")
        found.append((dict(each.split("=", 1) for each in properties.split(",")) | {"level": level}, message))
    return found


def test_annotations_escape_what_github_would_read_otherwise(folder, capsys):
    (folder / "a,b:%\n.py").write_text(NCE)
    ((properties, message),) = annotations(capsys, ".")
    assert properties == {
        "level": "error",
        "title": "anymax AMX401",
        "file": "a%2Cb%3A%25%0A.py",
        "line": "2",
        "endLine": "2",
        "col": "8",
        "endColumn": "18",
    }
    assert message.startswith("AMX401 torch 2.13.0 has no `torch.nn.functional.nce_loss`: this line")
    assert output._escaped("50 %\r\n: ,") == "50 %25%0D%0A: ,"


def test_annotations_have_columns_within_one_line_alone(folder, capsys):
    (folder / "a.py").write_text("wrong(\n    1)\n")
    ((properties, _),) = annotations(capsys, ".")
    assert properties == {"level": "notice", "title": "anymax AMX999", "file": "a.py", "line": "1", "endLine": "2"}


def test_annotations_of_a_notebook_stand_on_lines_of_its_file(folder, capsys):
    content = notebook(*CELLS)
    (folder / "train.ipynb").write_text(content)
    (first, message), (second, _) = annotations(capsys, ".")
    lines = content.split("\n")
    assert "wrong(1)" in lines[int(first["line"]) - 1]
    assert int(second["line"]) == int(first["line"]) + 1
    assert message == "AMX999 cell 4, line 2: `wrong` is seen."
