"""The longer command that chooses rates without the rows that test them: what it trains on, and what it compares."""

import numpy as np

from anymax.lab.options import TrainOptions
from tests.lab import nested_tuning
from tests.lab.calls import load
from tests.lab.nested_tuning import leaks

QUICK = TrainOptions(methods=("softmax",), repeats=5, epochs=2)


def test_the_inner_choice_never_sees_the_rows_that_test_it(monkeypatch):
    dataset = load("wine")
    seen = []
    run = nested_tuning.run
    monkeypatch.setattr(nested_tuning, "run", lambda data, *args, **kw: seen.append(data) or run(data, *args, **kw))
    leaks(dataset, QUICK)
    whole, *inner = seen
    assert whole is dataset
    for repeat, data in enumerate(inner):
        kept = np.setdiff1d(np.arange(len(dataset.classes)), dataset.rows(repeat)[2])
        assert data.numbers.equals(dataset.numbers.iloc[kept])
        assert np.array_equal(data.classes, dataset.classes[kept])


def test_where_both_choose_the_same_nothing_differs_and_where_they_do_not_it_shows(monkeypatch):
    (leak,) = leaks(load("wine"), QUICK)
    assert (leak.once == leak.nested).sum() >= leak.agreed
    rates = iter([1e-3, 3e-3, 1e-2, 1e-3, 3e-3])
    run = nested_tuning.run

    def inner_run(data, options, keeper=None):
        comparison = run(data, options, keeper=keeper)
        if keeper is None:
            rate = next(rates)
            for trial in comparison.trials:
                trial.learning_rate = rate
        return comparison

    monkeypatch.setattr(nested_tuning, "run", inner_run)
    (turned,) = leaks(load("wine"), QUICK)
    assert np.array_equal(turned.once, leak.once)
    assert 1 <= turned.agreed <= 2  # of five repeats, one or two were given the rate that was chosen once
    assert (turned.once != turned.nested).any()
