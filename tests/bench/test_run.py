"""A run from the command to its files: what is in them, and what is left of a run that goes wrong."""

from __future__ import annotations

import json
import sys

import pytest

from anymax import cli
from anymax.bench import api, chart, machine, run, table
from anymax.bench.cases import BACKWARD, Case
from anymax.bench.results import FRESH, REUSED

SHAPE = (40, 50)
CASES = (
    Case("softmax", SHAPE),
    Case("cross_entropy", SHAPE, BACKWARD),
    Case("linear_cross_entropy", (8, 4, 50), BACKWARD),
    Case("softmax", (2, 3, 4, 5), dim=(2, 3), dtype="bfloat16"),
    Case("noise", (100, 1000), variant="LogUniform"),
)


def planted(monkeypatch, code):
    """The process that measures, with something planted before it begins."""
    program = f"{code}\nfrom anymax.bench.worker import main; main()"
    monkeypatch.setattr(run, "COMMAND", (sys.executable, "-c", program))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "results.json"
    told = []
    with pytest.MonkeyPatch.context() as patch:
        planted(patch, "import sys; sys.modules['jax'] = None")
        results = run.run(
            CASES,
            path,
            seconds=0.01,
            rivals=("torch", "jax"),
            progress=lambda number, row: told.append((number, row.case)),
        )
    assert told == list(enumerate(CASES, 1))
    return results, json.loads(path.read_text())


def test_the_file_says_what_was_measured_and_where(measured):
    results, stored = measured
    assert stored["format"] == 1
    assert stored["finished"] is True
    assert results.is_right
    assert stored["date"].endswith("+00:00")
    assert stored["machine"]["processor"]
    assert stored["machine"]["cores"] == machine.cores()
    assert {"python", "torch"} <= stored["versions"].keys()
    assert stored["options"] == {"seconds": 0.01, "rivals": ["torch", "jax"]}
    assert stored["load_before"] >= 0
    assert [row["case"]["op"] for row in stored["rows"]] == [case.op for case in CASES]
    assert stored["rows"][0]["case"] == {
        "op": "softmax",
        "shape": [40, 50],
        "work": "forward",
        "dim": -1,
        "variant": "",
        "dtype": "float32",
    }


def test_each_case_has_its_columns(measured):
    threads = [1, 2] if machine.cores() > 1 else [1]
    for row in measured[0].rows:
        fresh = [] if row.case.is_small else [(FRESH, 1)]
        assert [(one.memory, one.threads) for one in row.columns] == [*((REUSED, count) for count in threads), *fresh]
        for column in row.columns:
            assert column.rounds >= 3
            assert column.load >= 0
            assert column.seconds["anymax"] > 0
            assert set(column.ratios) == set(column.seconds) - {"anymax"}
            assert "torch" in column.ratios
            if row.case.op in ("softmax", "cross_entropy"):
                assert "copy" in column.ratios
    head = measured[0].rows[2].columns[0]
    assert {"three products", "torch's linear_cross_entropy"} <= head.ratios.keys()


def test_peaks_are_those_of_the_work(measured):
    softmax = measured[0].rows[0]
    assert softmax.peak_bytes == {"anymax": 4 * 40 * 50, "torch": 4 * 40 * 50}
    assert all(row.peak_bytes["anymax"] > 0 for row in measured[0].rows)


def test_a_rival_that_is_missing_is_one_line(measured, capsys):
    assert measured[1]["absent"] == ["jax is not installed, so there is no column for jax."]
    assert all("jax" not in column.ratios for row in measured[0].rows for column in row.columns)
    table.show(measured[0])
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "jax is not installed, so there is no column for jax."
    assert "x jax" not in out


def test_table_and_chart(measured, tmp_path):
    table.write(measured[0], tmp_path / "table.txt")
    lines = (tmp_path / "table.txt").read_text().splitlines()
    assert max(len(line) for line in lines) <= table.WIDTH
    assert sum(line.startswith(" linear_cross_entropy 8x4x50") for line in lines) == (3 if machine.cores() > 1 else 2)
    chart.write(measured[0], tmp_path / "chart.svg")
    first = (tmp_path / "chart.svg").read_bytes()
    assert b"softmax 40x50, forward" in first
    chart.write(measured[0], tmp_path / "chart.svg")
    assert (tmp_path / "chart.svg").read_bytes() == first


def bench(monkeypatch, *arguments):
    """The command in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["anymax", "bench", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_wrong_ops_are_reported_and_not_timed(monkeypatch, tmp_path, capsys):
    planted(
        monkeypatch,
        "import os, anymax; right = anymax.logsumexp; anymax.logsumexp = lambda x, dim: right(x, dim) + 1e-3\n"
        "anymax.softmax = lambda x, dim: os._exit(9)\n"
        "anymax.entropy = lambda x, dim: {}['missing']",
    )
    ops = "logsumexp, softmax, entropy, log_softmax"
    arguments = ("--quick", "--ops", ops, "--rivals", "torch", "--seconds", "0.01", "--out", str(tmp_path))
    assert bench(monkeypatch, *arguments) == 1
    captured = capsys.readouterr()
    assert "  1 logsumexp 32x10, forward: WRONG: the result differs from the exact one by up to 0.001" in captured.err
    said = " ".join(captured.out.split())
    assert "WRONG, not timed: logsumexp 32x10, forward: the result differs from the exact one by up to 0.001." in said
    assert "WRONG, not timed: softmax 32x10, forward: the process ended with status 9." in said
    assert "WRONG, not timed: entropy 8192x1000, forward: raised KeyError: 'missing'." in said
    folder = api.folder_of(tmp_path)
    assert captured.out.splitlines()[-1] == str(folder)
    *wrong, right = json.loads((folder / "results.json").read_text())["rows"]
    assert all((row["columns"], row["peak_bytes"]) == ([], {}) for row in wrong)
    assert right["columns"]
    assert {path.name for path in folder.iterdir()} == {"results.json", "table.txt"}  # small calls have no chart


def test_an_interrupted_run_keeps_what_was_measured(monkeypatch, tmp_path, capsys):
    planted(monkeypatch, "import anymax\ndef stop(*args): raise KeyboardInterrupt\nanymax.logsumexp = stop")
    arguments = ("--quick", "--ops", "softmax,logsumexp", "--rivals", "torch", "--seconds", "0.01")
    assert bench(monkeypatch, *arguments, "--out", str(tmp_path)) == 130
    path = api.folder_of(tmp_path) / "results.json"
    assert capsys.readouterr().err.splitlines()[-1].startswith("anymax: Interrupted; what was measured stays in '")
    stored = json.loads(path.read_text())
    assert stored["finished"] is False
    assert stored["rows"][0]["columns"][0]["ratios"]["torch"] > 0
    assert stored["rows"][1]["columns"] == []


def test_a_process_that_cannot_begin_is_an_error_of_ours(monkeypatch, tmp_path):
    planted(monkeypatch, "import sys; sys.exit(3)")
    with pytest.raises(RuntimeError, match="ended with status 3 before it began"):
        run.run(CASES, tmp_path / "results.json", seconds=0.01)


def test_a_folder_that_cannot_be_written_is_one_sentence(monkeypatch, tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert bench(monkeypatch, "--quick", "--out", str(tmp_path / "taken")) == 2
    assert "The results cannot be written to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("processor", "name"),
    [
        ("AMD EPYC", "amd-epyc-2-cores"),
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "intel-xeon-platinum-8375c-cpu-2-90ghz-2-cores"),
    ],
)
def test_the_folder_is_named_after_the_machine(processor, name):
    assert machine.folder_name({"processor": processor, "cores": 2}) == name
