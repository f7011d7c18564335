"""A few cells of the simulation: what the long command shows of all of them, at three standard errors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, f1_score

from anymax.lab.statistics.decisions import LEVEL
from tests.lab.statistics import simulate
from tests.lab.statistics.bootstrap import weighted_average_precision, weighted_f1
from tests.lab.statistics.cells import MEASURES, Cell, records
from tests.lab.statistics.trained import Law

COVERAGE = 0.94


def within_three_errors(share, runs, of):
    """Whether a share that is `of` at least comes up as `share`, but for three standard errors."""
    return share >= of - 3 * math.sqrt(of * (1 - of) / runs)


def plain_t(found):
    """Half the width where repeats are taken to be independent of one another."""
    repeats = found.spread.repeats
    return stats.t.ppf(1 - LEVEL / 2, repeats - 1) * found.deviation / math.sqrt(repeats)


@pytest.mark.parametrize(("family", "rows"), [("nets", 144), ("nets", 500), ("logistic", 144), ("nearest mean", 144)])
def test_intervals_cover_at_every_look_and_by_every_measure(family, rows):
    runs, cell = 80, Cell(family, Law(rows))
    made = list(records(cell, runs))
    for measure in MEASURES:
        truth = simulate.truth(cell, made, measure)
        for look in cell.looks:
            assert within_three_errors(simulate.covered(made, measure, look, truth).mean(), runs, COVERAGE)
    if family == "nearest mean":
        # the test can tell: taken for independent, twenty repeats of heads without chance claim too much
        found = [one.found["nll"][20][0] for one in made]
        misses = np.mean([abs(one.spread.mean - simulate.truth(cell, made, "nll")) > plain_t(one) for one in found])
        assert not within_three_errors(1 - misses, runs, COVERAGE)
    if family == "nets":
        for measure in ("top1", "nll"):
            ratios = [simulate.widths(made, measure, look)[0] for look in cell.looks]
            assert all(ours <= asked for ours, asked in zip(ratios, (0.75, 0.62, 0.55), strict=True))


@pytest.mark.parametrize(
    ("family", "law"),
    [
        ("nets", Law.of_labels(500, 0.3, 0.3, 0.3)),
        ("nearest mean", Law.of_labels(1500, 0.3, 0.08)),
        ("drawn of two kinds", Law.of_labels(2500, 0.3, 0.3, 0.3)),
    ],
)
def test_intervals_of_labels_cover_at_every_look(family, law):
    runs, cell = 80, Cell(family, law, measures=("average_precision",))
    made = list(records(cell, runs))
    truth = simulate.truth(cell, made, "average_precision")
    for look in cell.looks:
        assert within_three_errors(simulate.covered(made, "average_precision", look, truth).mean(), runs, COVERAGE)
        assert simulate.widths(made, "average_precision", look)[0] < 0.75
    if family == "drawn of two kinds":
        # the test can tell: by rows alone, without the chance of training, intervals claim too much
        spreads = [replace(one.found["average_precision"][20][0].spread, by_repeat=0.0, by_both=0.0) for one in made]
        by_rows = [one.estimate() for one in spreads]
        misses = np.mean([abs(one.mean - truth) > one.half_width(LEVEL) for one in by_rows])
        assert not within_three_errors(1 - misses, runs, COVERAGE)


def test_labels_have_their_shares_and_a_rare_one_is_too_few():
    law = Law.of_labels(4000, 0.3, 0.05, 0.01)
    _, has = law.draw(np.random.default_rng(0))
    errors = np.sqrt(np.multiply(law.labels, 1 - np.array(law.labels)) / 4000)
    assert (abs(has.mean(0) - law.labels) < 4 * errors).all()
    for each, number in ((law, 0), (Law.of_labels(500, 0.3, 0.3), 3)):
        cell = Cell("drawn", each, looks=(5,), measures=("average_precision",))
        assert len(simulate.enough(cell, list(records(cell, 3)), "average_precision")) == number


def test_false_answers_over_all_looks_are_rare():
    runs = 60
    for law, measure in ((Law(300), "top1"), (Law.of_labels(300, 0.3, 0.3), "average_precision")):
        made = list(records(Cell("four equal nets", law, looks=(5, 10, 20, 40), measures=(measure,)), runs))
        assert within_three_errors(1 - simulate.called_different(made, measure), runs, 1 - LEVEL)


def test_equal_heads_are_equivalent_and_those_a_margin_apart_seldom():
    runs, cell = 40, Cell("nets", Law(2500, apart=1.5), looks=(5, 20), measures=("top1",))
    made = list(records(cell, runs))
    margin, called = simulate.at_the_margin(cell, made, "top1")
    equal = [simulate.equivalent(one.found["top1"][20][0].spread.estimate(), margin) for one in made]
    assert within_three_errors(np.mean(equal), runs, 0.5)
    for at_look in called.T:
        assert within_three_errors(1 - at_look.mean(), runs, 1 - LEVEL)


def test_a_stopped_simulation_goes_on_where_it_was(tmp_path):
    cell = Cell("nearest mean", Law(60), looks=(5, 10), measures=("top1",))
    fresh = [one.line() for one in records(cell, 6)]
    list(records(cell, 3, folder=tmp_path))
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-10])  # cut while it was written
    assert [one.line() for one in records(cell, 6, folder=tmp_path)] == fresh
    # made already: not made again
    path.write_text(path.read_text().replace(fresh[5], fresh[0]))
    assert [one.line() for one in records(cell, 6, folder=tmp_path)] == [*fresh[:5], fresh[0]]


def test_tables_stand_between_the_marks_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- simulated: begin -->\nold\n<!-- simulated: end -->\n\nafter\n")
    arguments = [
        "--runs",
        "2",
        "--cells",
        "nearest mean 144",
        "--records",
        str(tmp_path / "records"),
        "--processes",
        "1",
    ]
    simulate.main([*arguments, "--out", str(page)])
    written = page.read_text()
    assert written.startswith("before\n\n<!-- simulated: begin -->\n\n### Coverage, balanced")
    assert written.endswith("\n\n<!-- simulated: end -->\n\nafter\n")
    assert "old" not in written
    assert "| 2 of 144 rows | nearest mean | accuracy |" in written
    assert "--runs 2" in written


def test_weights_of_the_bootstrap_are_scikit_learns():
    random = np.random.default_rng(0)
    targets, probs = random.integers(0, 3, 40), random.dirichlet(np.ones(3), 40)
    weights = random.multinomial(40, np.full(40, 1 / 40), size=3)
    of_f1, of_ap = weighted_f1(probs, targets, weights), weighted_average_precision(probs, targets, weights)
    for draw, weight in enumerate(weights):
        f1 = f1_score(targets, probs.argmax(1), average="macro", sample_weight=weight)
        ap = [average_precision_score(targets == c, probs[:, c], sample_weight=weight) for c in range(3)]
        assert of_f1[draw] == pytest.approx(f1)
        assert of_ap[draw] == pytest.approx(np.mean(ap))
