"""The score counts as it says, and the adapters turn what an engine returns into codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

import anymax
from tests.dimbugs import engines
from tests.dimbugs.engines import Engine, Sight
from tests.dimbugs.pairs import HALVES, Pair, all_pairs
from tests.dimbugs.score import main, report, score

ONE = Pair("one", "https://github.com/a/b/issues/1", "Wrong.", ("AMX102", "AMX101"), ("read", "graph"))
TWO = Pair("two", "https://github.com/a/b/issues/2", "Wrong.", ("AMX201",), ("watch",))


def seen(**codes: Mapping[str, str]) -> dict[tuple[str, str, str], Sight]:
    """Sights from `engine={"slug/half": "CODE CODE"}`; what is not named was looked at and gave nothing."""
    return {
        (engine, pair.slug, half): Sight(frozenset(by_half.get(f"{pair.slug}/{half}", "").split()))
        for engine, by_half in codes.items()
        for pair in (ONE, TWO)
        for half in HALVES
    }


def test_a_bug_is_found_by_any_of_its_codes_and_by_no_other():
    sights = seen(read={"one/buggy": "AMX101", "two/buggy": "AMX206"})
    assert score([ONE, TWO], ["read"], sights, "read").found == ("one",)


def test_any_finding_on_a_fixed_half_is_false():
    sights = seen(read={"one/buggy": "AMX102", "one/fixed": "AMX305"})
    one = score([ONE, TWO], ["read"], sights, "read")
    assert one.false == ("one",)
    assert one.precision == 0.5
    assert one.recall == 0.5


def test_together_engines_find_what_any_of_them_finds():
    sights = seen(read={"one/buggy": "AMX102"}, watch={"two/buggy": "AMX201", "two/fixed": "AMX210"})
    together = score([ONE, TWO], ["read", "watch"], sights, "together")
    assert together.found == ("one", "two")
    assert together.false == ("two",)
    assert together.could == 2


def test_no_report_at_all_has_no_precision():
    assert score([ONE, TWO], ["read"], seen(read={}), "read").precision is None


def test_the_report_names_misses_false_findings_and_what_was_not_run():
    sights = seen(read={"one/fixed": "AMX106"}, watch={"two/buggy": "AMX203"})
    sights["watch", "one", "buggy"] = Sight(not_run="no step to watch")
    text = report([ONE, TWO], ["read", "watch"], sights)
    assert "| together | 2 | 2 | 0 | 0% | 1 | 0% |" in text
    assert "  one: read reports AMX106" in text
    assert "  one (AMX102, AMX101): missed by all, could be seen by read" in text
    assert "  two (AMX201): missed by all, could be seen by watch; reported: AMX203" in text
    assert "  one/buggy: watch: no step to watch" in text


def test_an_engine_that_stops_is_a_result():
    def look(pair: Pair, half: str) -> Sight:
        raise RuntimeError("cannot be exported: why\nat length")

    assert Engine("graph", look, lambda: True).sight(ONE, "buggy").not_run == "RuntimeError: cannot be exported: why"


def test_an_engine_that_is_not_there_is_left_out_with_a_sentence(capsys: pytest.CaptureFixture[str]):
    there = Engine("read", lambda pair, half: Sight(), lambda: True)
    missing = Engine("probe", lambda pair, half: Sight(), lambda: False)
    assert main(["add_module_softmax"], [there, missing]) == 0
    printed = capsys.readouterr()
    assert printed.err == "probe is not part of this anymax and is left out.\n"
    assert "| read | 1 | 1 | 0 | 0% | 0 |  |" in printed.out
    assert main(["add_module_softmax"], [missing]) == 2


def test_a_pair_that_does_not_exist_is_an_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(["no_such_pair"], [])
    assert stopped.value.code == 2
    assert "There is no pair no_such_pair." in capsys.readouterr().err


def test_json_holds_what_each_engine_saw_of_each_half(capsys: pytest.CaptureFixture[str]):
    engine = Engine("read", lambda pair, half: Sight(frozenset({"AMX201"} if half == "buggy" else ())), lambda: True)
    main(["add_module_softmax", "--output-format", "json"], [engine])
    pair = json.loads(capsys.readouterr().out)["add_module_softmax"]
    assert pair["seen"] == {"buggy": {"read": ["AMX201"]}, "fixed": {"read": []}}


class TestAdapters:
    """Each adapter hands the half on as its engine takes it; the engines have tests of their own."""

    FOUND = SimpleNamespace(findings=[SimpleNamespace(code="AMX102"), SimpleNamespace(code="AMX102")])

    @pytest.fixture
    def pair(self) -> Pair:
        return next(pair for pair in all_pairs() if pair.slug == "mixture_weights_time_major")

    def test_graph(self, pair: Pair, monkeypatch: pytest.MonkeyPatch):
        calls = []

        def check_model(model, example_input, *, loss, target, batch_dim):
            calls.append((type(model).__name__, loss(model(*example_input), target).ndim, batch_dim))
            return self.FOUND

        monkeypatch.setattr(anymax, "check_model", check_model, raising=False)
        assert engines.graph(pair, "fixed") == Sight(frozenset({"AMX102"}))
        assert calls == [("DreamModel", 0, 1)]

    def test_probe(self, pair: Pair, monkeypatch: pytest.MonkeyPatch):
        calls = []

        def probe(model, example_input, *, batch_dim):
            calls.append((len(model(*example_input)), batch_dim))
            return self.FOUND

        monkeypatch.setattr(anymax, "probe", probe, raising=False)
        assert engines.probe(pair, "buggy") == Sight(frozenset({"AMX102"}))
        assert calls == [(3, 1)]

    def test_watch_sees_what_came_before_an_error(self, monkeypatch: pytest.MonkeyPatch):
        class Watch:
            findings = self.FOUND.findings

            def __enter__(self):
                return self

            def __exit__(self, *error: object):
                self.stopped_by = error[0]

        watch = Watch()
        monkeypatch.setattr(anymax, "watch", lambda: watch, raising=False)
        pair = next(pair for pair in all_pairs() if pair.slug == "bce_of_logits")
        assert engines.watch(pair, "buggy") == Sight(frozenset({"AMX102"}))
        assert watch.stopped_by is RuntimeError

    def test_a_pair_without_a_model_is_said(self):
        pair = next(pair for pair in all_pairs() if pair.slug == "contrastive_accuracy")
        assert engines.graph(pair, "buggy") == Sight(not_run="no model to trace")
        assert engines.probe(pair, "buggy") == Sight(not_run="no model to perturb")

    @pytest.mark.parametrize(("status", "output"), [(1, '[{"code": "AMX102"}]'), (0, "[]")])
    def test_read(self, pair: Pair, monkeypatch: pytest.MonkeyPatch, status: int, output: str):
        commands = []

        def run(command, **options):
            commands.append(command)
            return SimpleNamespace(returncode=status, stdout=output, stderr="")

        monkeypatch.setattr(engines.subprocess, "run", run)
        assert engines.read(pair, "buggy").codes == {found["code"] for found in json.loads(output)}
        assert commands[0][3:] == ["--output-format", "json", str(pair.path("buggy"))]

    def test_read_that_fails_is_no_silence(self, pair: Pair, monkeypatch: pytest.MonkeyPatch):
        failed = SimpleNamespace(returncode=2, stdout="", stderr="anymax: no such path")
        monkeypatch.setattr(engines.subprocess, "run", lambda command, **options: failed)
        with pytest.raises(RuntimeError, match="no such path"):
            engines.read(pair, "buggy")
