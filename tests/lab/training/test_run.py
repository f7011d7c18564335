"""Whole comparisons on small data: the result is complete, fair, and the same under another name."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from anymax.lab import compare, storage
from anymax.lab.data import leaks
from anymax.lab.data.text import TextDataset
from anymax.lab.errors import MethodError, OptionError
from anymax.lab.measure import measured
from anymax.lab.training import forecast, methods
from anymax.lab.training import trial as one_trial
from anymax.lab.training.events import EpochDone, Looked, Planned, RepeatDone, TrainingDone, TrainingStarted
from anymax.lab.training.methods import METHODS, Method, Strengths
from tests.lab.calls import OF_CLASSES, load, read_table, run

TIMES = ("train_seconds", "seconds_per_step")


def without_times(trial):
    """Everything a trial found, apart from its name and what a clock said."""
    found = dataclasses.asdict(trial)
    for key in ("method", *TIMES):
        del found[key]
    del found["curve"]["seconds"]
    return found


@pytest.fixture(scope="module")
def wine():
    return load("wine")


@pytest.fixture(scope="module")
def text():
    generator = np.random.default_rng(0)
    return TextDataset("zipf", [f"w{i % 90}" for i in generator.zipf(1.3, size=2500)])


@pytest.fixture(scope="module")
def whole(wine):
    """A run of two repeats with every method, and its events."""
    events = []
    return run(wine, methods=OF_CLASSES, repeats=2, epochs=3, device="cpu", progress=events.append), events


def test_what_is_said_of_single_classes_is_counted_from_the_answers(whole):
    comparison, _ = whole
    answers, by_class = comparison.predictions_frame(), comparison.by_class
    assert by_class is not None
    assert by_class.confusions is not None
    assert by_class.confusions.method == comparison.verdict.pick
    assert np.sum(by_class.confusions.items) == len(answers)
    frame = comparison.classes_frame()
    assert frame["method"].unique().tolist() == OF_CLASSES
    for method, found in frame.groupby("method"):
        hits = answers[method] == answers["class"]
        recalls = hits.groupby([answers["repeat"], answers["class"]], observed=True).mean()
        expected = recalls.groupby("class", observed=True).mean()
        assert found.set_index("class")["recall"].to_dict() == pytest.approx(expected.to_dict(), abs=1e-6)
    missed = answers[answers[OF_CLASSES].ne(answers["class"], axis=0).all(axis=1)]
    assert by_class.missed is not None
    assert by_class.missed.rows == missed["row"].nunique()
    assert {row.row for row in by_class.missed.worst} <= set(missed["row"])


def test_the_result_is_complete(whole, tmp_path):
    comparison, _ = whole
    assert comparison.decide_by == "top1"
    assert comparison.verdict is not None
    assert comparison.verdict.text.startswith("No verdict: two repeats cannot tell")
    assert [method.name for method in comparison.methods] == OF_CLASSES
    assert len(comparison.baseline) == 2
    assert comparison.total_seconds > 0
    assert comparison.versions["torch"] == torch.__version__
    assert comparison.machine["threads"] == 1
    assert comparison.options["learning_rates"] == [1e-3, 3e-3, 1e-2]
    for method in comparison.methods:
        trials = comparison.of(method.name)
        assert [trial.repeat for trial in trials] == [0, 1]
        for trial in trials:
            assert [point.learning_rate for point in trial.tuning] == [1e-3, 3e-3, 1e-2]
            if method.strength is None:
                (chosen,) = [point for point in trial.tuning if point.learning_rate == trial.learning_rate]
            else:
                (chosen,) = [point for point in trial.strengths if point.strength == trial.strength]
            assert chosen.validation == max(trial.curve.validation)
            assert trial.curve.validation[trial.best_epoch - 1] == chosen.validation
            assert len(trial.curve.seconds) == len(trial.curve.validation) == 3
            assert trial.curve.seconds == sorted(trial.curve.seconds)
            assert trial.train_seconds == trial.curve.seconds[-1] > 0
            assert trial.seconds_per_step > 0
            assert trial.parameters > 0
            # where a true class may have probability 0 their share stands for the likelihood
            gives_zeros = METHODS[method.name].gives_zeros
            expected = [key for key in measured("classification") if key != "impossible" or gives_zeros]
            assert list(trial.tested.measures) == expected
            law = [trial.tested.measures[key] for key in ("brier", "ece", "impossible" if gives_zeros else "nll")]
            assert all((value is not None) == method.defines_law for value in law)
            assert not gives_zeros or trial.tested.measures["nll"] is None
            assert (trial.tested.ece_if_calibrated is not None) == method.defines_law
            assert sum(bin.count for bin in trial.tested.reliability) == 36 * method.defines_law
        # the rate that was kept has the best mean over the repeats
        means = {
            rate: np.mean([p.validation for t in trials for p in t.tuning if p.learning_rate == rate])
            for rate in (1e-3, 3e-3, 1e-2)
        }
        assert {trial.learning_rate for trial in trials} == {trials[0].learning_rate}
        assert means[trials[0].learning_rate] == max(means.values())
        # and so has the strength
        strengths = METHODS[method.name].strengths
        tried = [] if strengths is None else sorted((strengths.usual, *strengths.others))
        assert [[point.strength for point in trial.strengths] for trial in trials] == [tried, tried]
        reached = {
            strength: np.mean([p.validation for t in trials for p in t.strengths if p.strength == strength])
            for strength in tried
        }
        assert {trial.strength for trial in trials} == {trials[0].strength}
        assert not tried or reached[trials[0].strength] == max(reached.values())
    assert comparison.baseline[0].measures["top1"] == pytest.approx(14 / 36, abs=0.05)
    storage.save(comparison, tmp_path / "results.json")


def test_events_tell_the_plan_and_every_training(whole):
    _, events = whole
    assert events[0] == Planned(
        trainings=2 * (3 * len(OF_CLASSES) + 2 * 2),
        repeats=2,
        most_repeats=2,
        within=None,
        methods=OF_CLASSES,
        learning_rates=[1e-3, 3e-3, 1e-2],
        epochs=3,
        budget=None,
        seconds=events[0].seconds,
        fitting_budget=None,
        already_done=0,
    )
    assert 0 < events[0].seconds < 60
    done = [event for event in events if isinstance(event, TrainingDone)]
    heads = len(OF_CLASSES)
    rated = 2 * 3 * heads  # of two repeats and three rates, before four strengths in each
    assert [event.done for event in done] == list(range(1, rated + 9))
    assert len([event for event in events if isinstance(event, TrainingStarted)]) == rated + 8
    assert len([event for event in events if isinstance(event, EpochDone)]) == 3 * (rated + 8)
    assert [event for event in events if isinstance(event, RepeatDone)] == [RepeatDone(0), RepeatDone(1)]
    # methods alternate: nobody is always first
    firsts = {done[i].method for i in range(0, rated, heads)}
    assert len(firsts) > 1
    for i in range(0, rated, heads):
        assert {event.method for event in done[i : i + heads]} == set(OF_CLASSES)
        assert len({event.learning_rate for event in done[i : i + heads]}) == 1
    # when the rates are chosen, the other strengths are tried in the same repeats
    later = [(event.repeat, event.method, event.strength) for event in done[rated:]]
    assert sorted(later) == sorted(
        (repeat, name, strength)
        for repeat in range(2)
        for name in ("prior", "smoothed")
        for strength in METHODS[name].strengths.others
    )
    assert [repeat for repeat, _, _ in later] == [0] * 4 + [1] * 4


@pytest.mark.usefixtures("heads_alone")
def test_a_run_repeats_exactly(wine, whole):
    again = run(wine, methods=["softmax", "nce"], repeats=2, epochs=3, device="cpu")
    for name in ("softmax", "nce"):
        # nor does it matter which others take part
        ours, theirs = whole[0].of(name), again.of(name)
        assert [without_times(trial) for trial in ours] == [without_times(trial) for trial in theirs]


@pytest.mark.usefixtures("heads_alone")
def test_one_head_under_two_names_gets_equal_results(wine, monkeypatch):
    for original in ("softmax", "nce"):
        twin = dataclasses.replace(METHODS[original], name="twin", title="twin")
        monkeypatch.setitem(methods.METHODS, "twin", twin)
        comparison = run(wine, methods=[original, "twin"], repeats=3, epochs=3, device="cpu")
        ours, theirs = comparison.of(original), comparison.of("twin")
        assert [without_times(trial) for trial in ours] == [without_times(trial) for trial in theirs]
        (difference,) = comparison.verdict.differences
        assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
        # of 178 rows too few are answered wrongly for an interval to be trusted
        assert (difference.answer, difference.too_few.counted) == ("open", "wrong answers")


class Misled(nn.Module):
    """A softmax head that is told a wrong class for a known share of the rows in training."""

    def __init__(self, in_features, class_counts, share):
        super().__init__()
        self.inner = METHODS["softmax"].make(in_features, class_counts)
        self.share = share
        self.num_classes = len(class_counts)
        self.predict, self.log_prob = self.inner.predict, self.inner.log_prob

    @property
    def weight(self):
        return self.inner.weight

    def forward(self, input, target):
        misled = torch.rand(target.shape) < self.share
        return self.inner(input, torch.where(misled, (target + 1) % self.num_classes, target))


@pytest.mark.usefixtures("heads_alone")
def test_a_head_that_is_better_by_a_known_margin_comes_out_better_by_it(monkeypatch):
    # told the next class in 60 % of rows, a head answers with the next class: the margin is the whole accuracy
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, size=300)
    frame = pd.DataFrame(generator.normal(size=(300, 2)) * 0.3, columns=["x", "y"])
    frame["x"] += 3 * (labels == 0)
    frame["y"] += 3 * (labels == 1)
    dataset = read_table("planted", frame.assign(label=labels.astype(str)), "label")
    misled = Method("misled", "misled", lambda d, counts: Misled(d, counts, 0.6), defines_law=True)
    monkeypatch.setitem(methods.METHODS, "misled", misled)
    comparison = run(
        dataset, methods=["softmax", "misled"], repeats=5, epochs=6, learning_rate=1e-2, decide_by="nll", device="cpu"
    )

    def mean(method, key):
        return np.mean([trial.tested.measures[key] for trial in comparison.of(method)])

    assert mean("softmax", "top1") > 0.97
    assert mean("softmax", "top1") - mean("misled", "top1") > 0.5
    assert mean("softmax", "nll") < 0.2
    # the best that a head told the truth in 40 % of rows can say is -log .4 = .916
    assert mean("misled", "nll") - mean("softmax", "nll") == pytest.approx(0.916, abs=0.2)
    assert comparison.verdict.pick == "softmax"
    (difference,) = comparison.verdict.differences
    assert difference.answer == "worse"
    assert difference.low > 0


def test_text_is_tuned_in_its_first_repeat_and_judged_by_blocks(text):
    events = []
    comparison = run(
        text, methods=["softmax", "nce", "sigmoid"], repeats=3, epochs=1, device="cpu", progress=events.append
    )
    assert comparison.decide_by == "perplexity"
    assert [out.method for out in comparison.left_out] == ["sigmoid"]
    assert not comparison.data.splits_redrawn
    planned = events[0]
    assert planned.trainings == (3 + 1 + 1) * 2
    assert len([event for event in events if isinstance(event, TrainingDone)]) == planned.trainings
    assert comparison.options["tuning_repeats"] == 1
    for name in ("softmax", "nce"):
        first, second, _ = comparison.of(name)
        assert first.learning_rate == second.learning_rate
        assert (len(first.tuning), len(second.tuning)) == (3, 0)
        assert first.tested.measures != second.tested.measures  # another start
        answers = comparison.outcomes.answers[name][0]
        assert len(answers.prediction) == comparison.data.test_items
        assert first.tested.measures["nll"] == pytest.approx(answers.adds["nll"].mean(dtype=float), rel=1e-6)
    assert comparison.baseline[0] == comparison.baseline[1]
    for items in comparison.outcomes.items:
        assert np.array_equal(np.unique(items.cluster), np.arange(50))
        assert (np.diff(items.cluster) >= 0).all()
    (difference,) = comparison.verdict.differences
    assert (difference.level, difference.repeats) == (0.05, 3)


@pytest.mark.usefixtures("heads_alone")
def test_rates_are_chosen_in_the_first_round_and_later_repeats_train_once(wine):
    events = []
    comparison = run(wine, methods=["softmax"], repeats=6, epochs=1, device="cpu", progress=events.append)
    started = [(event.repeat, event.learning_rate) for event in events if isinstance(event, TrainingStarted)]
    (kept,) = {trial.learning_rate for trial in comparison.trials}
    assert started == [(repeat, rate) for repeat in range(5) for rate in (1e-3, 3e-3, 1e-2)] + [(5, kept)]
    assert [len(trial.tuning) for trial in comparison.trials] == [3] * 5 + [0]


@pytest.mark.parametrize("best", [0.1, 0.2, 0.3])
@pytest.mark.usefixtures("heads_alone")
def test_the_strength_follows_the_validation_part_at_the_rate_that_was_chosen_before(wine, monkeypatch, best):
    class Strong(Misled):
        def __init__(self, in_features, class_counts, strength):
            super().__init__(in_features, class_counts, 0.0)
            self.strength = strength

    def standing(model, *_):
        return one_trial.Standing(0.9 if model.head.strength == best else 0.8, 1.0)

    strong = Method("strong", "strong", Strong, defines_law=True, strengths=Strengths("force", 0.2, (0.1, 0.3)))
    monkeypatch.setitem(methods.METHODS, "strong", strong)
    monkeypatch.setattr(one_trial, "_standing", standing)
    events = []
    comparison = run(wine, methods=["strong"], repeats=2, epochs=1, device="cpu", progress=events.append)
    for trial in comparison.trials:
        assert (trial.learning_rate, trial.strength) == (1e-3, best)  # the lowest of rates that stand alike
        tried = [(point.strength, point.validation) for point in trial.strengths]
        assert tried == [(strength, 0.9 if strength == best else 0.8) for strength in (0.1, 0.2, 0.3)]
    (method,) = comparison.methods
    assert method.strength == "force"
    started = [(event.repeat, event.learning_rate, event.strength) for event in events if hasattr(event, "epoch")]
    rates = [(repeat, rate, 0.2) for repeat in range(2) for rate in (1e-3, 3e-3, 1e-2)]
    assert started == rates + [(repeat, 1e-3, strength) for repeat in range(2) for strength in (0.1, 0.3)]
    frame = comparison.trials_frame()
    assert frame["strength"].tolist() == [best, best]


@pytest.mark.usefixtures("heads_alone")
def test_the_choice_of_rates_does_not_see_the_test_part(wine, monkeypatch):
    whole = run(wine, methods=["softmax", "nce"], repeats=2, epochs=2, device="cpu")
    look = one_trial.look_at_test

    def worse_the_better(model, *arguments):
        tested, answers = look(model, *arguments)
        tested.measures["top1"] = 1 - tested.measures["top1"]
        return tested, answers

    monkeypatch.setattr(one_trial, "look_at_test", worse_the_better)
    turned = run(wine, methods=["softmax", "nce"], repeats=2, epochs=2, device="cpu")
    for ours, theirs in zip(whole.trials, turned.trials, strict=True):
        assert (ours.learning_rate, ours.best_epoch) == (theirs.learning_rate, theirs.best_epoch)


@pytest.mark.usefixtures("heads_alone")
def test_repeats_go_on_until_all_is_decided(monkeypatch):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=120), "y": random.choice(["a", "b"], 120)})
    twin = dataclasses.replace(METHODS["softmax"], name="twin", title="twin")
    monkeypatch.setitem(methods.METHODS, "twin", twin)
    events = []
    comparison = run(
        read_table("tossed", frame, "y"),
        methods=["softmax", "twin"],
        epochs=1,
        learning_rate=1e-2,
        device="cpu",
        progress=events.append,
    )
    assert [each.answer for each in comparison.verdict.differences] == ["equivalent"]
    assert (comparison.repeats, comparison.ending) == (5, "all is decided")
    assert [event for event in events if isinstance(event, Looked)] == [Looked(5, [], 10, 20)]


@pytest.mark.usefixtures("heads_alone")
def test_a_rare_class_makes_macro_f1_decide():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=400), "y": ["common"] * 388 + ["rare"] * 12})
    comparison = run(
        read_table("rare", frame, "y"), methods=["softmax"], repeats=1, epochs=1, learning_rate=1e-2, device="cpu"
    )
    assert comparison.decide_by == "macro_f1"


def test_a_class_with_one_row_and_missing_values_are_compared(tmp_path):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=60), "c": ["u", "v", None] * 20, "y": ["a", "b"] * 30})
    frame.loc[5, "x"] = np.nan
    frame.loc[9, "y"] = "alone"
    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    comparison = run(load(str(path), target="y"), repeats=1, epochs=1, learning_rate=1e-2, device="cpu")
    assert comparison.data.class_names == ["a", "alone", "b"]
    assert all(trial.tested.measures["top1"] is not None for trial in comparison.trials)
    storage.save(comparison, tmp_path / "results.json")


def test_a_method_that_diverges_has_no_validation_value_and_is_still_reported(wine, monkeypatch, tmp_path):
    class Broken(Misled):
        def forward(self, input, target):
            return super().forward(input, target) * float("nan")

    broken = Method("broken", "broken", lambda d, counts: Broken(d, counts, 0.0), defines_law=True)
    monkeypatch.setitem(methods.METHODS, "broken", broken)
    comparison = run(wine, methods=["softmax", "broken"], repeats=1, epochs=2, device="cpu")
    (trial,) = comparison.of("broken")
    assert [point.validation for point in trial.tuning] == [None] * 3
    assert trial.best_epoch == 0
    storage.save(comparison, tmp_path / "results.json")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"methods": ["sofmax"]}, MethodError, "There is no method 'sofmax': expected some of softmax, gumbel"),
        ({"repeats": 0}, OptionError, "The number of repeats must be 1 or more, got 0."),
        ({"within": 0.0}, OptionError, "The time for the run must be a positive number of seconds, got 0.0."),
        ({"within": math.nan}, OptionError, "must be a positive number of seconds, got nan."),
        ({"margin": 0.0}, OptionError, "The margin must be a share between 0 and 1, such as 0.01, got 0.0."),
        ({"margin": 1.0}, OptionError, "must be a share between 0 and 1, such as 0.01, got 1.0."),
        ({"margin": math.nan}, OptionError, "must be a share between 0 and 1, such as 0.01, got nan."),
        ({"epochs": -1}, OptionError, "The number of epochs must be 1 or more, got -1."),
        ({"learning_rate": 0.0}, OptionError, "The learning rate must be a positive number, got 0.0."),
        ({"learning_rate": float("nan")}, OptionError, "must be a positive number, got nan."),
        (
            {"decide_by": "auc"},
            OptionError,
            "'auc' is not a measure here: expected one of top1, macro_f1, average_precision, nll, brier.",
        ),
        ({"decide_by": "perplexity"}, OptionError, "'perplexity' is not a measure here"),
        ({"device": "abacus"}, OptionError, "Device 'abacus' is not available here"),
        ({"precision": "8-true"}, OptionError, "There is no precision '8-true': expected one of 32-true, bf16-mixed,"),
        ({"methods": ["m" * 5_000_000]}, MethodError, f"There is no method '{'m' * 40}…': expected"),
        ({"decide_by": "m" * 5_000_000}, OptionError, f"'{'m' * 40}…' is not a measure here"),
        ({"device": "m" * 5_000_000}, OptionError, f"Device '{'m' * 40}…' is not available here"),
        ({"precision": "m" * 5_000_000}, OptionError, f"There is no precision '{'m' * 40}…'"),
        ({"device": "cpu", "precision": "16-mixed"}, OptionError, "Precision '16-mixed' needs an accelerator"),
    ],
)
def test_bad_options_are_refused_before_any_work(wine, options, error, said):
    events = []
    with pytest.raises(error) as raised:
        run(wine, **options, progress=events.append)
    assert said in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500
    assert events == []


def test_what_a_reader_must_know_of_the_data_is_found_once_per_comparison(monkeypatch, tmp_path):
    looked = []
    monkeypatch.setattr(leaks, "notes", lambda *columns: looked.append(columns) or ["The one note."])
    comparison = compare("wine", methods=["softmax"], seeds=1, epochs=1, lr=1e-2, device="cpu", output=tmp_path)
    assert comparison.data.notes == ["The one note."]
    assert len(looked) == 1


def test_text_has_no_macro_f1(text):
    with pytest.raises(OptionError, match="'macro_f1' is not a measure of text: expected one of perplexity"):
        run(text, decide_by="macro_f1")


@pytest.mark.parametrize(("rows", "batch", "epochs"), [(178, 16, 100), (1797, 64, 89), (100_000, 512, 20)])
def test_epochs_and_batches_suit_the_number_of_rows(rows, batch, epochs):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=rows), "y": generator.choice(["a", "b"], size=rows)})
    planned = []

    def stop(event):
        planned.append(event)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(read_table("rows", frame, "y"), methods=["softmax"], device="cpu", progress=stop)
    assert planned[0].epochs == epochs
    with pytest.raises(KeyboardInterrupt):
        run(read_table("rows", frame, "y"), methods=["softmax"], epochs=7, device="cpu", progress=stop)
    assert planned[1].epochs == 7
    info = read_table("rows", frame, "y").info()
    assert forecast.batch_size(info) == batch


@pytest.mark.usefixtures("heads_alone")
def test_threads_are_as_before(wine):
    before = torch.get_num_threads()
    run(wine, methods=["softmax"], repeats=1, epochs=1, learning_rate=1e-2, device="cpu")
    assert torch.get_num_threads() == before
