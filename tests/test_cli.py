"""The command line: what it writes, what it refuses and how it says so."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from anymax import __version__, cli, explain
from anymax.lab import api
from anymax.lab.data.predictions import Predictions
from anymax.lab.errors import DataError, MethodError, Option
from anymax.lab.training import folder
from tests.lab.comparisons import make_comparison, verdict_of


class Asked(list):
    """The keyword arguments of every run that was asked for, the predictions that were to stand beside it, and the
    folders that were to keep a model."""

    def __init__(self):
        self.baselines: list[Predictions | None] = []
        self.kept: list[Path] = []


@pytest.fixture
def asked(monkeypatch, tmp_path) -> Asked:
    """In an empty folder, with runs that end at once in results made by hand."""
    asked = Asked()

    def fake_run(dataset, options, *, backbone, predictions, keeper, progress):
        asked.append(dataclasses.asdict(options) | {"backbone": backbone})
        asked.baselines.append(predictions)
        if options.methods == ("nonsense",):
            raise MethodError("There is no method 'nonsense'.")
        if options.epochs == 666:
            raise KeyboardInterrupt
        comparison = make_comparison({"softmax": [0.9, 0.91, 0.92], "nce": [0.7, 0.72, 0.71]})
        comparison.data.fingerprint = dataset.info().fingerprint
        comparison.versions["anymax"] = __version__
        verdict_of(comparison, {"nce": "worse"})
        return comparison

    monkeypatch.setattr(api, "run", fake_run)
    monkeypatch.setattr(api.keep, "keep", lambda comparison, dataset, folder, **options: asked.kept.append(folder))
    monkeypatch.chdir(tmp_path)
    return asked


def anymax(monkeypatch, *arguments: str) -> int:
    """Run the program in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["anymax", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code if isinstance(stop.value.code, int) else 0 if stop.value.code is None else 1


def refusal(capsys) -> str:
    """The one sentence on standard error."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("anymax: ")
    assert lines[0].isprintable()
    return lines[0].removeprefix("anymax: ")


# compare


def test_compare_shows_and_writes(asked, monkeypatch, capsys):
    assert anymax(monkeypatch, "compare", "wine") == 0
    out = capsys.readouterr().out
    assert "Take softmax: its top-1 accuracy is 0.910" in " ".join(out.split())
    assert out.splitlines()[-3:] == [
        os.path.join("anymax-wine", name) for name in ("results.json", "report.html", "predictions.csv")
    ]
    assert sorted(os.listdir("anymax-wine")) == [".lock", "predictions.csv", "report.html", "results.json"]
    written = json.loads(Path("anymax-wine/results.json").read_text(encoding="utf-8"))
    assert written["verdict"]["pick"] == "softmax"
    assert written["asked"]["data"] == "wine"
    assert Path("anymax-wine/report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_options_arrive(asked, monkeypatch):
    arguments = ["--methods", "softmax, nce", "--seeds", "4", "--epochs", "5", "--lr", "0.01", "--decide-by", "nll"]
    arguments += ["--within", "10m", "--margin", "0.02"]
    assert (
        anymax(
            monkeypatch,
            "compare",
            "wine",
            *arguments,
            "--device",
            "cpu",
            "--precision",
            "bf16-mixed",
            "--output",
            "a/b",
        )
        == 0
    )
    assert asked == [
        {
            "methods": ("softmax", "nce"),
            "repeats": 4,
            "within": 600.0,
            "margin": 0.02,
            "epochs": 5,
            "budget": None,
            "learning_rate": 0.01,
            "decide_by": "nll",
            "device": "cpu",
            "precision": "bf16-mixed",
            "backbone": None,
        }
    ]
    assert sorted(os.listdir("a/b")) == [".lock", "predictions.csv", "report.html", "results.json"]


def test_defaults_are_left_to_the_run(asked, monkeypatch):
    assert anymax(monkeypatch, "compare", "wine") == 0
    assert asked == [
        {
            "methods": None,
            "repeats": None,
            "within": None,
            "margin": 0.01,
            "epochs": None,
            "budget": None,
            "learning_rate": None,
            "decide_by": None,
            "device": "auto",
            "precision": "32-true",
            "backbone": None,
        }
    ]


def test_a_model_is_kept_unless_nobody_wants_it(asked, monkeypatch):
    assert anymax(monkeypatch, "compare", "wine", "--no-model") == 0
    assert asked.kept == []
    assert anymax(monkeypatch, "compare", "wine") == 0
    assert asked.kept == [Path("anymax-wine")]


def test_predictions_that_are_there_already_arrive(asked, monkeypatch):
    Path("mine.csv").write_text("row,prediction\n" + "".join(f"{i},class_{i % 3}\n" for i in range(178)))
    assert anymax(monkeypatch, "compare", "wine", "--baseline", "mine.csv") == 0
    (given,) = asked.baselines
    assert given.name == "mine.csv"
    assert list(given.prediction) == [i % 3 for i in range(178)]
    assert json.loads(Path("anymax-wine/results.json").read_text())["asked"]["baseline"] == "mine.csv"


def test_the_target_arrives_and_a_file_names_the_folder(asked, monkeypatch):
    Path("my flowers.csv").write_text("length,kind\n" + "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(40)))
    assert anymax(monkeypatch, "compare", "my flowers.csv", "--target", "kind") == 0
    assert Path("anymax-my flowers/report.html").is_file()


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("60s", 60), ("5m", 300), ("1.5h", 5400), ("2min", 120)])
def test_a_budget_is_a_time(asked, monkeypatch, text, seconds):
    assert anymax(monkeypatch, "compare", "wine", "--budget", text) == 0
    assert asked[0]["budget"] == seconds


def test_the_same_command_finds_its_results_and_another_is_refused(asked, monkeypatch, capsys):
    assert anymax(monkeypatch, "compare", "wine", "--seeds", "3") == 0
    before = Path("anymax-wine/results.json").read_text()
    first = capsys.readouterr()
    assert anymax(monkeypatch, "compare", "wine", "--seeds", "3") == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "carried out before" in again.err
    assert anymax(monkeypatch, "compare", "wine", "--seeds", "3", "--epochs", "4") == 2
    assert "with no --epochs, and this run has --epochs 4" in (sentence := refusal(capsys))
    assert "--output" in sentence
    assert len(asked) == 1
    assert Path("anymax-wine/results.json").read_text() == before
    # more repeats are not another run
    assert anymax(monkeypatch, "compare", "wine", "--seeds", "4") == 0
    assert len(asked) == 2


@pytest.fixture
def nets(monkeypatch):
    """A module in the current directory, from where an installed program imports nothing by itself."""
    Path("own_nets.py").write_text("import torch\n\n\ndef make(size):\n    return torch.nn.Linear(size, 3)\n")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    yield "own_nets"
    sys.modules.pop("own_nets", None)


def test_a_backbone_is_found_in_the_current_directory(asked, nets, monkeypatch, capsys):
    assert anymax(monkeypatch, "compare", "wine", "--backbone", f"{nets}:make") == 0
    assert asked[0]["backbone"] is sys.modules[nets].make
    assert json.loads(Path("anymax-wine/results.json").read_text())["asked"]["backbone"] == "own_nets:make"
    capsys.readouterr()
    assert anymax(monkeypatch, "compare", "wine", "--backbone", "torch.nn:Linear") == 2
    assert "with --backbone own_nets:make, and this run has --backbone torch.nn:Linear" in refusal(capsys)
    assert anymax(monkeypatch, "compare", "wine") == 2
    assert "with --backbone own_nets:make, and this run has no --backbone" in refusal(capsys)
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["results.json", "report.html"])
def test_files_of_someone_else_are_kept(asked, monkeypatch, capsys, name):
    Path("mine").mkdir()
    Path("mine", name).write_text("my notes")
    assert anymax(monkeypatch, "compare", "wine", "--output", "mine") == 2
    assert "did not write" in refusal(capsys)
    assert Path("mine", name).read_text() == "my notes"
    assert asked == []


def test_a_file_in_place_of_the_folder(asked, monkeypatch, capsys):
    Path("taken").write_text("")
    assert anymax(monkeypatch, "compare", "wine", "--output", "taken") == 2
    assert "is a file" in refusal(capsys)
    assert anymax(monkeypatch, "compare", "wine", "--output", "taken/deeper") == 2
    assert "cannot be written to" in refusal(capsys)
    assert asked == []


def test_a_folder_that_cannot_be_written_is_refused_before_training(asked, monkeypatch, capsys):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.tempfile, "TemporaryFile", full)
    assert anymax(monkeypatch, "compare", "wine") == 2
    assert refusal(capsys) == "The results cannot be written to 'anymax-wine': No space left on device."
    assert asked == []
    assert os.listdir(".") == []


@pytest.mark.parametrize("existing", [True, False])
def test_a_disk_that_fills_up_leaves_nothing_half_written(asked, monkeypatch, capsys, existing):
    def full(comparison, path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    if existing:
        Path("out").mkdir()
    monkeypatch.setitem(api.WRITERS, "report.html", full)
    assert anymax(monkeypatch, "compare", "wine", "--output", "out") == 2
    assert refusal(capsys).startswith("The results cannot be written to 'out'")
    assert [str(path) for path in Path(".").rglob("*") if path.name != ".lock"] == (["out"] if existing else [])


def test_ctrl_c(asked, monkeypatch, capsys):
    assert anymax(monkeypatch, "compare", "wine", "--epochs", "666") == 130
    assert refusal(capsys) == "Interrupted; nothing was written."
    assert os.listdir(".") == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare"], "Missing argument 'DATA'"),
        (["compare", "digitz"], "Did you mean 'digits'?"),
        (["compare", "nowhere.csv", "--target", "kind"], "no file 'nowhere.csv'"),
        (["compare", "wine", "--target", "kind"], "brings its own target"),
        (["compare", "wine", "--methods", "nonsense"], "no method 'nonsense'"),
        (["compare", "wine", "--epochs", "0"], "1 or more, got 0"),
        (["compare", "wine", "--seeds", "many"], "Invalid value for '--seeds'"),
        (["compare", "wine", "--sedes", "3"], "--sedes"),
        (["compare", "wine", "digits"], "digits"),
        (["compare", "wine", "--group", "a", "--time", "b"], "--group and --time both say which rows are tested"),
        (["compare", "wine", "--vocab-size", "0"], "--vocab-size 0 is too small"),
        (["compare", "wine", "--drop", "a b"], "There is no column 'a b' to be used by --drop"),
        (["compare", "wine", "--as", "alcohol=wet"], "--as alcohol=wet names no kind"),
        (["compare", "wine", "--budget", "soon"], "a time such as 60s"),
        (["compare", "wine", "--as", "alcohol"], "COLUMN=KIND"),
        (["compare", "wine", "--backbone", "nets"], "A backbone is named package.module:factory, got 'nets'."),
        (["compare", "wine", "--backbone", "no_nets:make"], "No module named 'no_nets'"),
        (["compare", "wine", "--baseline", "nowhere.csv"], "--baseline needs a .csv, .tsv, .parquet, .jsonl file"),
        (["compair", "wine"], "compair"),
        (["report", "nowhere"], "cannot be read"),
        (["bench", "--ops", "softmax,sofmax"], "There is no op 'sofmax' to measure: expected some of softmax,"),
        (["bench", "--rivals", "tensorflow"], "There is no rival 'tensorflow': expected some of torch, torch.compile"),
        (["bench", "--accuracy", "--ops", "sample"], "The errors of 'sample' are not measured: expected softmax,"),
        (["bench", "--seconds", "-1"], "Invalid value for '--seconds'"),
        (["explain", "2,x", "--dim", "0"], "SHAPE must be sizes with commas between them, such as 2,4,5, got '2,x'"),
        (["explain", "", "--dim", "0"], "SHAPE must be sizes"),
        (["explain", "2,,3", "--dim", "0"], "SHAPE must be sizes"),
        (["explain", "2,3", "--dim"], "--dim"),
    ],
)
def test_bad_input_is_one_sentence(asked, monkeypatch, capsys, arguments, expected):
    assert anymax(monkeypatch, *arguments) == 2
    assert expected in refusal(capsys)
    assert os.listdir(".") == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--methods", "soft{}max"),
        ("--decide-by", "top{}1"),
        ("--device", "{}cpu"),
        ("--precision", "32{}-true"),
        ("--budget", "60{}s"),
        ("--as", "alcohol{}"),
        ("--as", "alcohol=num{}ber"),
        ("--backbone", "nets{}"),
        ("--output", "there{}/below"),
    ],
)
def test_characters_in_an_option_that_act_on_a_terminal_are_written_as_codes(
    monkeypatch, capsys, tmp_path, option, value
):
    monkeypatch.chdir(tmp_path)
    Path("there\x1b[2J").write_text("a file")
    assert anymax(monkeypatch, "compare", "wine", option, value.format("\x1b[2J")) == 2
    sentence = refusal(capsys)
    assert r"\x1b[2J" in sentence
    assert "\\\\" not in sentence


def test_a_message_of_several_lines_becomes_one(asked, monkeypatch, capsys):
    def load(source, options):
        raise DataError("Two\n  lines.")

    monkeypatch.setattr(api, "load", load)
    assert anymax(monkeypatch, "compare", "wine") == 2
    assert refusal(capsys) == "Two lines."


def test_a_mistake_of_ours_is_no_sentence_about_the_user(asked, monkeypatch):
    monkeypatch.setitem(api.WRITERS, "results.json", lambda comparison, path: {}["missing"])
    monkeypatch.setattr(sys, "argv", ["anymax", "compare", "wine"])
    with pytest.raises(KeyError):
        cli.main()
    assert os.listdir(".") == []


# report


def test_report_is_made_again_from_the_results(asked, monkeypatch, capsys):
    assert anymax(monkeypatch, "compare", "wine") == 0
    page = Path("anymax-wine/report.html")
    before = page.read_bytes()
    page.unlink()
    capsys.readouterr()
    assert anymax(monkeypatch, "report", "anymax-wine") == 0
    assert capsys.readouterr().out.split() == [str(page)]
    assert page.read_bytes() == before


# explain


@pytest.mark.parametrize(
    ("text", "dim"),
    [("2", 2), ("-1", -1), ("0,1", (0, 1)), ("-2,-1", (-2, -1)), ("batch [class] w", "batch [class] w")],
)
def test_explain_reads_shape_and_dim(monkeypatch, capsys, text, dim):
    calls = []
    monkeypatch.setattr("anymax.explain", lambda *call: calls.append(call) or "an explanation", raising=False)
    assert anymax(monkeypatch, "explain", "2,4,5", "--dim", text) == 0
    assert anymax(monkeypatch, "explain", "2,4,5") == 0
    assert calls == [((2, 4, 5), dim), ((2, 4, 5), None)]
    assert capsys.readouterr().out == "an explanation\n" * 2


@pytest.mark.parametrize("shape", ["2, 4, 5", "(2, 4, 5)", "[2,4,5]", "2,4,5,"])
def test_explain_reads_shapes_as_python_prints_them(monkeypatch, shape):
    calls = []
    monkeypatch.setattr("anymax.explain", lambda *call: calls.append(call), raising=False)
    assert anymax(monkeypatch, "explain", shape, "--dim", "0") == 0
    assert calls == [((2, 4, 5), 0)]


@pytest.mark.parametrize("kind", [IndexError, TypeError, ValueError])
def test_explain_says_what_is_wrong_with_a_dim(monkeypatch, capsys, kind):
    def explain(shape, dim):
        raise kind(f"explain: dim {dim} is out of range.")

    monkeypatch.setattr("anymax.explain", explain, raising=False)
    assert anymax(monkeypatch, "explain", "2,3", "--dim", "5") == 2
    assert refusal(capsys) == "explain: dim 5 is out of range."


CALL = "F.softmax(x: (2,3), 1)"


@pytest.mark.parametrize("words", [[CALL], CALL.split(), ["F.softmax(x, 1)", "x:2,3"]])
def test_explain_takes_a_call(monkeypatch, capsys, words):
    assert anymax(monkeypatch, "explain", *words) == 0
    assert capsys.readouterr().out == f"{explain(CALL)}\n"


def test_explain_writes_picture_and_page(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert anymax(monkeypatch, "explain", CALL, "--svg", "a.svg", "--html", "b.html") == 0
    assert capsys.readouterr().out == f"{explain(CALL)}\n\na.svg\n\nb.html\n"
    assert Path("a.svg").read_text(encoding="utf-8") == explain(CALL).svg()
    assert Path("b.html").read_text(encoding="utf-8") == explain(CALL).html()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([CALL, "--svg", "none/a.svg"], "The folder 'none' does not exist."),
        ([CALL, "--svg", "a.svg", "--html", "none/a.html"], "The folder 'none' does not exist."),
        ([CALL, "--svg", "."], "'.' is a folder."),
        ([CALL, "--svg", ""], "'.' is a folder."),
        ([CALL, "--svg", "a", "--html", "a"], "--svg and --html both name 'a'."),
        ([CALL, "--svg", "a" * 300], f"'{'a' * 250}…' cannot be written: File name too long."),
        ([CALL, "--dim", "1", "--svg", "a"], "explain: the dim of a call stands in the call, got dim=1 beside it"),
        (["0,3", "--svg", "a"], "explain: a tensor of shape (0, 3) is empty, so it has no cells to draw"),
        (["2,2,2,2,2,2,2", "--html", "a"], "explain: a picture shows 1 to 6 axes, got 7; the text is for any number"),
        (["f\x1b(x: 2)"], "explain: that is not one call; a call such as "
         '"softmax(x: 2,8,128,128, dim=1)" is read, got \'f\\x1b(x: 2)\''),
    ],
)  # fmt: skip
def test_explain_writes_nothing_where_something_is_wrong(monkeypatch, capsys, tmp_path, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert anymax(monkeypatch, "explain", *arguments) == 2
    assert refusal(capsys) == sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_explain_has_colours_on_a_terminal_alone(monkeypatch, capsys, terminal, environment, coloured):
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    if "NO_COLOR" not in environment:
        monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert anymax(monkeypatch, "explain", "2,3", "--dim", "0") == 0
    found = explain((2, 3), 0)
    assert capsys.readouterr().out == f"{found.coloured() if coloured else found}\n"
    assert found.coloured() != str(found)


def test_every_argument_of_compare_has_its_flag(monkeypatch, capsys):
    assert anymax(monkeypatch, "compare", "--help") == 0
    flags = {word for word in re.findall(r"--[a-z-]+", capsys.readouterr().out) if word != "--help"}
    arguments = inspect.signature(api.compare).parameters.keys() - {"data", "progress"}
    assert {cli._flag(Option(name)) for name in arguments} == flags
    assert cli._flag(Option("data", "my data.csv")) == "DATA 'my data.csv'"
    assert cli._flag(Option("drop", ["a", "b c"])) == "--drop a --drop 'b c'"
    assert cli._flag(Option("methods", ["softmax", "nce"])) == "--methods softmax,nce"
    assert cli._flag(Option("kinds", {"zip": "category"})) == "--as zip=category"


# The program itself


def test_version_and_help(monkeypatch, capsys):
    assert anymax(monkeypatch, "--version") == 0
    assert re.fullmatch(r"anymax \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
    for arguments in ([], ["--help"]):
        assert anymax(monkeypatch, *arguments) == 0
        out = capsys.readouterr().out
        assert "compare" in out
        assert "explain" in out
        assert "predict" in out
        assert "report" in out
        assert "bench" in out
        assert max(len(line) for line in out.splitlines()) < 80


@pytest.mark.parametrize("command", ["compare", "predict", "report", "bench", "explain"])
def test_every_command_has_help(monkeypatch, capsys, command):
    assert anymax(monkeypatch, command, "--help") == 0
    assert f"Usage: anymax {command} " in capsys.readouterr().out


EXTRAS = (
    "filelock jinja2 lightning lightning_fabric matplotlib numpy pandas pyarrow pydantic rich safetensors sklearn "
    "scipy skops torchmetrics typer"
)
REFUSED = (["compare", "wine"], ["compare", "--help"], ["report", "anymax-wine"], ["bench"])
EXPLAINED = (["explain", "2,3"], ["explain", "2,3", "--dim", "0"])
HELP = (["--help"], ["--version"], ["explain", "--help"])
# Each call in a process of its own, which has the `first` imports from the one that starts it.
PROGRAM = """
import os, sys
sys.modules |= dict.fromkeys({missing})
import {first}
for number, (missing_too, arguments) in enumerate({calls}):
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(f"{{number}}-{{stream}}", os.O_CREAT | os.O_WRONLY), stream)
        sys.modules |= dict.fromkeys(missing_too)
        sys.argv = ["anymax", *arguments]
        from anymax.cli import main
        sys.exit(main())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def called(*calls: tuple[list[str], list[str]], missing: str = "", first: str = "torch") -> list[tuple[int, str, str]]:
    """Status, output and errors of `anymax` for each call: the modules that it lacks too, and its arguments."""
    code = PROGRAM.format(missing=missing.split(), first=first, calls=calls)
    # torch's own, at its import; and that of an installation without kernels
    quiet = (
        "-Wignore:Failed to initialize NumPy:UserWarning",
        "-Wignore:anymax runs without its CPU kernels:UserWarning",
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, *quiet, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return [
            (int(status), *(Path(folder, f"{number}-{stream}").read_text() for stream in (1, 2)))
            for number, status in enumerate(done.stdout.split())
        ]


@pytest.fixture(scope="module")
def without_extras() -> dict[tuple[str, ...], tuple[int, str, str]]:
    """How each call ends where torch alone is installed."""
    calls = [*REFUSED, *EXPLAINED, *HELP]
    ends = called(*(([], arguments) for arguments in calls), missing=EXTRAS)
    return dict(zip(map(tuple, calls), ends, strict=True))


@pytest.mark.parametrize("arguments", REFUSED)
def test_without_the_extra_one_line_says_what_to_install(without_extras, arguments):
    status, out, err = without_extras[tuple(arguments)]
    assert (status, out) == (2, "")
    assert err == f'anymax: {arguments[0]} needs more than torch; pip install "anymax[lab]" brings it.\n'


@pytest.mark.parametrize(("arguments", "dim"), [(EXPLAINED[0], None), (EXPLAINED[1], 0)])
def test_explain_needs_torch_alone(without_extras, arguments, dim):
    assert without_extras[tuple(arguments)] == (0, f"{explain((2, 3), dim)}\n", "")


@pytest.mark.parametrize("arguments", HELP)
def test_help_is_the_same_without_the_extra(without_extras, monkeypatch, capsys, arguments):
    assert anymax(monkeypatch, *arguments) == 0
    assert without_extras[tuple(arguments)] == (0, capsys.readouterr().out, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["explain"], "Missing argument 'SHAPE' (see anymax explain --help)."),
        (["explain", "2,3", "--dim"], "--dim option requires 1 argument (see anymax explain --help)."),
        (["explain", "2,3", "--axis", "0"], "no such option: --axis (see anymax explain --help)."),
        (
            ["explain", "2", "3", "--dim", "0"],
            "SHAPE must be sizes with commas between them, such as 2,4,5, got '2 3'.",
        ),
        (["compair", "wine"], "There is no command 'compair' (see anymax --help)."),
        (["--dim", "0"], "There is no command '--dim' (see anymax --help)."),
    ],
)
def test_refusals_without_the_extra(monkeypatch, capsys, arguments, expected):
    monkeypatch.setitem(sys.modules, "typer", None)
    assert anymax(monkeypatch, *arguments) == 2
    assert refusal(capsys) == expected


def test_importing_anymax_imports_nothing_of_the_extra():
    code = f"""
import sys, torch
before = set(sys.modules)
import anymax
print((set(sys.modules) - before).intersection({EXTRAS.split()}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_extra_that_only_the_end_needs_is_missed_before_training():
    modules = ("jinja2", "skops")
    first = "lightning_fabric, matplotlib.figure, pandas, pyarrow, scipy.stats, sklearn.ensemble, sklearn.linear_model"
    for module, end in zip(modules, called(*(([m], ["compare", "wine"]) for m in modules), first=first), strict=True):
        assert end == (2, "", f"anymax: '{module}' is not installed; pip install \"anymax[lab]\" brings it.\n")


def test_the_core_needs_none_of_the_extras():
    code = f"import sys; sys.modules |= dict.fromkeys({EXTRAS.split()!r}); import anymax, anymax.nn"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "anymax", "explain"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("anymax: Missing argument 'SHAPE'")


def into_closed_pipe(*arguments: str, standard_error: bool = False) -> tuple[int, str]:
    """Status and errors of the program, whose output goes to a reader that is gone; its errors too where asked."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        # as for most users, who have not asked for PYTHONUNBUFFERED
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run(
            [sys.executable, "-m", "anymax", *arguments],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=writer,
            stderr=writer if standard_error else subprocess.PIPE,
        )
    finally:
        os.close(writer)
    return done.returncode, (done.stderr or b"").decode()


def test_a_reader_that_has_seen_enough_gets_no_traceback(asked, monkeypatch):
    assert anymax(monkeypatch, "compare", "wine") == 0
    for arguments in (["--help"], ["explain", "--help"], ["explain", "softmax(x: 2,8, dim=1)"]):
        assert into_closed_pipe(*arguments) == (0, ""), arguments
    # typer and rich end at the first write that fails
    for arguments in (["report", "--help"], ["report", "anymax-wine"]):
        assert into_closed_pipe(*arguments) == (1, ""), arguments
    assert into_closed_pipe("compair") == (2, "anymax: There is no command 'compair' (see anymax --help).\n")
    # nor is anything left to be written when nobody hears the sentence either
    assert into_closed_pipe("compair", standard_error=True) == (1, "")


def test_a_check_that_nobody_reads_has_the_status_of_what_it_found(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("right.py").write_text("x = 1\n")
    Path("wrong.py").write_text("import torch.nn.functional as F\nF.nce_loss(x, y)\n")
    Path("long.py").write_text("import torch.nn.functional as F\n" + "F.nce_loss(x, y)\n" * 500)
    assert into_closed_pipe("check", "right.py") == (0, "")
    assert into_closed_pipe("check", "wrong.py") == (1, "")
    assert into_closed_pipe("check", "wrong.py", "--output-format", "github") == (1, "")
    # it stops in the middle
    assert into_closed_pipe("check", "long.py") == (1, "")
    assert into_closed_pipe("check", "none.py") == (2, "anymax: There is no 'none.py'.\n")


def test_the_first_line_is_all_that_head_wants(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("import torch.nn.functional as F\n" + "F.nce_loss(x, y)\n" * 2000)
    command = f"{sys.executable} -m anymax check a.py | head -1"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("a.py:2:1: error AMX401 ")
    assert done.stdout.count("\n") == 1
