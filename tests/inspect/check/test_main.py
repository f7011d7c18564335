"""The command: what it prints, in every format, and its exit status."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from anymax.inspect.check import config as configuration
from anymax.inspect.check import output, reading, run
from anymax.inspect.check.main import main
from anymax.inspect.check.pages import ENGINES, OF_RUNS
from anymax.inspect.check.rules import HEADINGS, all_rules
from anymax.inspect.check.sources import PYTHON
from tests.inspect.check.test_sources import notebook

ROOT = Path(__file__).parents[3]
NCE = "import torch.nn.functional as F\nloss = F.nce_loss(x, y)\n"


pytestmark = pytest.mark.usefixtures("folder")


def refused(capsys, *arguments) -> str:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.removeprefix("anymax: ").strip()


def test_text_has_the_line_a_caret_and_what_was_looked_at(folder, capsys):
    (folder / "a.py").write_text(NCE)
    (folder / "b.py").write_text("print 1\n")
    assert main(["a.py", "b.py"]) == 1
    assert capsys.readouterr().out == (
        "a.py:2:8: error AMX401 torch 2.13.0 has no `torch.nn.functional.nce_loss`: this line fails when it is "
        "reached. Write anymax.nce_loss(features, linear.weight, target, anymax.noise.Unigram(class_counts), "
        "linear_bias=linear.bias).\n"
        " 2 | loss = F.nce_loss(x, y)\n"
        "   |        ^^^^^^^^^^\n"
        "\n"
        f"b.py:1: not looked at: it is no Python {PYTHON}: Missing parentheses in call to 'print'. Did you mean "
        "print(...)?\n"
        "1 finding (1 error). Looked at: 1 file. Not looked at: 1 file in whole or in part (named above), and what "
        "only a run knows, such as most shapes; silence is no proof.\n"
    )


def test_the_page_shows_what_the_command_prints(folder, capsys):
    page = (ROOT / "docs" / "checking-code.md").read_text(encoding="utf-8")
    code, printed = re.findall(r"\$ cat train.py\n(.*?)\$ anymax check train.py\n(.*?)```", page, re.DOTALL)[0]
    (folder / "train.py").write_text(code)
    assert main(["train.py"]) == 1
    assert capsys.readouterr().out == printed


def test_the_settings_on_the_page_are_settings(folder):
    page = (ROOT / "docs" / "checking-code.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (folder / "pyproject.toml").write_text(table)
    settings = configuration.load(folder)
    assert settings.exclude == ("legacy", "experiments/*.py")
    assert settings.per_file_ignores == {"tests/*": ("AMX2",)}


def test_without_findings_the_status_is_0_and_the_last_line_says_that_silence_is_no_proof(folder, capsys):
    (folder / "a.py").write_text("x = 1\n")
    (folder / "b.py").write_text("print 1\n")
    assert main([]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("No findings. Looked at: 1 file. Not looked at: 1 file in whole or in part")
    assert last.endswith("silence is no proof.")


def test_the_caret_stands_under_tabs_and_wide_letters(folder, capsys):
    (folder / "a.py").write_text("if x:\n\ty = '日本é'; wrong(1,\n\t\t2)\n")
    main(["a.py"])
    _, line, caret, *_ = capsys.readouterr().out.splitlines()
    assert line == " 2 |     y = '日本é'; wrong(1,"
    assert caret == "   |                  ^^^^^^^^"


def test_a_long_line_is_cut_around_the_finding(folder, capsys):
    (folder / "a.py").write_text(f"x = '{'-' * 1000}'; wrong(1); y = '{'-' * 1000}'\n")
    main(["a.py"])
    _, line, caret, *_ = capsys.readouterr().out.splitlines()
    assert len(line) < 180
    assert line[caret.index("^") : caret.rindex("^") + 1] == "wrong(1)"


def test_what_a_terminal_would_act_on_is_written_as_its_code(folder, capsys):
    (folder / "a.py").write_text("wrong('\x1b[31m')\n")
    main(["a.py"])
    assert "\x1b" not in capsys.readouterr().out


def test_colours_are_for_terminals_alone(folder, capsys, monkeypatch):
    (folder / "a.py").write_text(NCE)
    main(["a.py"])
    assert "\033[" not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    main(["a.py"])
    assert "\033[31merror\033[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    main(["a.py"])
    assert "\033[" not in capsys.readouterr().out


def test_json_has_the_names_that_ruff_gives_its_fields(folder, capsys):
    """ruff writes the same fields for a file of its own; ours has `level` beside them."""
    (folder / "a.py").write_text(f"{NCE}wrong(1)\n")
    (folder / "theirs.py").write_text("import os\n")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--output-format", "json", "theirs.py"]
    (theirs,) = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    assert main(["a.py", "--output-format", "json"]) == 1
    said = capsys.readouterr()
    nce, wrong = json.loads(said.out)
    assert theirs.keys() - {"severity"} <= wrong.keys()
    assert wrong["fix"].keys() == theirs["fix"].keys()
    assert wrong["fix"]["edits"][0].keys() == theirs["fix"]["edits"][0].keys()
    assert theirs["location"].keys() == wrong["location"].keys()
    assert (nce["code"], nce["level"], nce["filename"], nce["fix"]) == ("AMX401", "error", str(folder / "a.py"), None)
    assert (nce["location"], nce["end_location"]) == ({"row": 2, "column": 8}, {"row": 2, "column": 18})
    assert wrong["fix"]["edits"] == [
        {"content": "right", "location": {"row": 3, "column": 1}, "end_location": {"row": 3, "column": 6}}
    ]
    assert said.err == ""


def test_json_of_a_notebook_counts_within_cells_and_says_on_stderr_what_was_not_read(folder, capsys):
    (folder / "train.ipynb").write_text(notebook("%pylab\nx = 1", "print 1", "\nwrong(x)"))
    main(["train.ipynb", "--output-format", "json"])
    said = capsys.readouterr()
    (found,) = json.loads(said.out)
    assert (found["cell"], found["location"]["row"], found["noqa_row"]) == (4, 2, 2)
    assert found["fix"]["edits"][0]["location"] == {"row": 2, "column": 1}
    assert said.err.startswith("train.ipynb:cell 3:1: not looked at: it is no Python")


def test_without_findings_json_is_an_empty_list(folder, capsys):
    (folder / "a.py").touch()
    assert main(["a.py", "--output-format", "json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_noqa_silences_a_line_and_a_call_that_ends_there(folder):
    (folder / "a.py").write_text("wrong(1)  # noqa\nwrong(\n    2)  # noqa: AMX999\nwrong(3)  # noqa: AMX999, E501\n")
    assert main(["a.py"]) == 0
    (folder / "a.py").write_text("wrong(1)  # noqa: AMX401\n")
    assert main(["a.py"]) == 1
    (folder / "a.ipynb").write_text(notebook("x = 1", "wrong(1)  # noqa"))
    assert main(["a.ipynb"]) == 0


def test_select_and_ignore_take_prefixes(folder, capsys):
    (folder / "a.py").write_text(f"{NCE}wrong(1)\n")

    def codes(*options):
        main(["a.py", "--output-format", "json", *options])
        return [each["code"] for each in json.loads(capsys.readouterr().out)]

    assert codes() == ["AMX401", "AMX999"]
    assert codes("--select", "AMX4") == ["AMX401"]
    assert codes("--select", "amx401, AMX9") == ["AMX401", "AMX999"]
    assert codes("--ignore", "AMX4") == ["AMX999"]
    assert codes("--select", "AMX", "--ignore", "AMX9") == ["AMX401"]


def test_settings_are_taken_from_pyproject(folder, capsys, monkeypatch):
    (folder / "pyproject.toml").write_text(
        "[tool.anymax.check]\nselect = ['AMX9']\nexclude = ['old']\nper-file-ignores = {'tests/*' = ['AMX9']}\n"
    )
    for name in ("a.py", "old/b.py", "tests/c.py", "src/tests/d.py"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(f"{NCE}wrong(1)\n")

    def found(*arguments):
        main([*arguments, "--output-format", "json"])
        return [(Path(each["filename"]).name, each["code"]) for each in json.loads(capsys.readouterr().out)]

    assert found(".") == [("a.py", "AMX999"), ("d.py", "AMX999")]
    assert found(".", "--select", "AMX4") == [("a.py", "AMX401"), ("d.py", "AMX401"), ("c.py", "AMX401")]
    monkeypatch.chdir(folder / "src")
    assert found("../tests", "../a.py") == [("a.py", "AMX999")]
    assert found("../old/b.py") == []


def test_a_named_file_that_is_excluded_is_said(folder, capsys):
    (folder / "pyproject.toml").write_text("[tool.anymax.check]\nexclude = ['old.py']\n")
    (folder / "old.py").write_text("wrong(1)\n")
    assert main(["old.py"]) == 0
    assert capsys.readouterr().out.startswith("old.py: not looked at: it is excluded\nNo findings. Looked at: 0 files.")


def test_where_python_reads_no_toml_only_a_table_of_ours_is_an_error(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomllib", None)
    (folder / "pyproject.toml").write_text("[project]\ndependencies = ['anymax']\n")
    (folder / "a.py").touch()
    assert main(["a.py"]) == 0
    capsys.readouterr()
    (folder / "pyproject.toml").write_text("[tool.anymax.check]\nselect = ['AMX4']\n")
    assert "Python 3.11 or later is needed to read [tool.anymax.check] in " in refused(capsys, "a.py")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("selct = []", "has no key 'selct'; the keys are select, ignore, exclude, per-file-ignores."),
        ("select = 'AMX1'", "select must be a list of strings in [tool.anymax.check] of "),
        ("exclude = [1]", "exclude must be a list of strings in [tool.anymax.check] of "),
        ("per-file-ignores = ['AMX1']", "per-file-ignores must be a table in [tool.anymax.check] of "),
        ("per-file-ignores = {'a.py' = 'AMX1'}", "per-file-ignores of a.py must be a list of strings in "),
        ("ignore = ['E501']", "'E501' begins no code of a rule; they are AMX"),
        ("select = [", "pyproject.toml' cannot be read: Invalid value"),
    ],
)
def test_a_setting_that_means_nothing_is_one_sentence(folder, capsys, table, sentence):
    (folder / "pyproject.toml").write_text(f"[tool.anymax.check]\n{table}\n")
    assert sentence in refused(capsys, ".")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.py"], "There is no 'none.py'."),
        (["--select", "E5", "."], "'E5' begins no code of a rule; they are AMX"),
        (["--slect", "E5", "."], "Unrecognized arguments: --slect (see anymax check --help)."),
        (["--output-format", "xml"], "Argument --output-format: invalid choice: 'xml'"),
        (["--explain", "AMX000"], "There is no code 'AMX000'; the codes are AMX101, AMX102, "),
    ],
)
def test_a_request_that_means_nothing_is_one_sentence(capsys, arguments, sentence):
    assert refused(capsys, *arguments).startswith(sentence)


@pytest.mark.parametrize("code", [*(code for code in all_rules() if code != "AMX999"), *OF_RUNS])
def test_every_code_is_explained_under_the_same_headings(code, capsys):
    assert main(["--explain", code.lower()]) == 0
    page = capsys.readouterr().out
    rule = {**all_rules(), **OF_RUNS}[code]
    assert page.startswith(f"# {code} {rule.name} ({rule.level})\n\n## What it does\n")
    assert tuple(re.findall(r"^## (.+)$", page, re.MULTILINE)) == HEADINGS
    assert re.fullmatch(r"AMX\d{3}", code)
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", rule.name)
    assert rule.summary.endswith(".")
    engines = [engine for engine, codes in ENGINES.items() if code in codes]
    assert engines
    assert page.endswith(f"\n\nFound by {', '.join(engines)}.\n")


def test_codes_have_names_of_their_own():
    names = [page.name for page in (*all_rules().values(), *OF_RUNS.values())]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("engine", "files"),
    [("check_model", "exported/**/*.py"), ("watch", "running/*.py"), ("probe", "probing.py")],
)
def test_the_pages_name_the_engines_that_give_a_code(engine, files):
    written = [re.findall(r'"(AMX\d{3})"', path.read_text()) for path in (ROOT / "anymax" / "inspect").glob(files)]
    assert ENGINES[f"anymax.{engine}"] == set().union(*written)


def test_the_pages_name_the_rules_that_read():
    assert ENGINES["anymax check"] == all_rules().keys() - {"AMX999"}
    assert not OF_RUNS.keys() & all_rules().keys()


def test_a_mistake_of_ours_in_one_file_loses_nothing_of_the_others(folder, capsys):
    (folder / "a.py").write_text("raises(1)\n")
    (folder / "b.py").write_text("wrong(1)\n")
    assert main(["."]) == 2
    out = capsys.readouterr().out
    assert "b.py:1:1: info AMX999" in out
    assert "a.py: not looked at: a mistake of anymax itself: KeyError: 'raises'" in out


@pytest.mark.parametrize("limit", ["reading.MOST_STEPS_OF_A_RUN", "interpret.MOST_STEPS_OF_AN_ENTRY"])
def test_a_file_that_is_not_followed_to_its_end_is_counted(folder, capsys, monkeypatch, limit):
    monkeypatch.setattr(reading, "LEAST_STEPS_OF_A_FILE", 1)
    (folder / "a.py").write_text("def f(x):\n    return x.softmax(0) + x.softmax(1) + x.softmax(-1)\n" * 2)
    main(["."])
    assert "Looked at: 1 file. " in capsys.readouterr().out
    monkeypatch.setattr(f"anymax.inspect.check.{limit}", 4)
    main(["."])
    assert "Looked at: 1 file, 1 of them not in every branch, for their size. " in capsys.readouterr().out


def test_many_files_go_to_two_processes_and_give_the_same(folder, capsys, monkeypatch):
    for number in range(20):
        (folder / f"{number}.py").write_text(NCE if number % 3 else "print 1")
    assert main([".", "--select", "AMX4"]) == 1
    alone = capsys.readouterr().out
    monkeypatch.setattr(run, "MANY", 10)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    output._source.cache_clear()
    assert main([".", "--select", "AMX4"]) == 1
    assert capsys.readouterr().out == alone
    assert "Looked at: 13 files. Not looked at: 7 files" in alone


def test_two_processes_get_as_many_bytes_each(folder):
    for name, size in [("a", 100), ("b", 100), ("c", 600), ("d", 500), ("e", 100)]:
        (folder / name).write_text("#" * size)
    assert run._half(["a", "b", "c", "d", "e"]) == 3
    assert run._half(["d", "a", "b", "gone"]) == 1


def test_code_is_read_and_never_run(folder):
    (folder / "a.py").write_text("open('ran', 'w')\nimport nothing_of_this_name\n")
    assert main(["a.py"]) == 0
    assert not (folder / "ran").exists()


def test_flake8_runs_the_rules_with_its_own_noqa(folder):
    (folder / "a.py").write_text(f"{NCE}F.nce_loss()  # noqa: AMX401\nF.cross_entropy(F.softmax(x, 1), y)\n")
    project = (ROOT / "pyproject.toml").read_text()
    assert '[project.entry-points."flake8.extension"]\nAMX = "anymax.inspect.check.flake8_plugin:Plugin"' in project
    config = configparser.ConfigParser()
    if not entry_points(group="flake8.extension", name="AMX"):  # an installation older than the plugin
        config["flake8:local-plugins"] = {"extension": "AMX = anymax.inspect.check.flake8_plugin:Plugin"}
    with open(folder / "flake8.ini", "w") as file:
        config.write(file)
    command = [sys.executable, "-m", "flake8", "--config", "flake8.ini", "--select", "AMX", "a.py"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stderr == ""
    line, other = done.stdout.splitlines()
    assert other.startswith("a.py:4:1: AMX201 ")
    assert line.startswith("a.py:2:8: AMX401 torch 2.13.0 has no `torch.nn.functional.nce_loss`")


def test_the_hook_of_pre_commit_installs_nothing_and_names_a_command_that_exists(folder):
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text()
    assert "language: system\n" in hooks
    assert "entry: anymax check\n" in hooks
