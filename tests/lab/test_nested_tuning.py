"""The longer command that chooses rates without the rows that test them: what it trains on, and what it compares."""

from types import SimpleNamespace

import numpy as np
import pytest

from anymax.lab.options import TrainOptions
from tests.lab import nested_tuning
from tests.lab.calls import load
from tests.lab.nested_tuning import leaks

QUICK = TrainOptions(methods=("softmax",), repeats=5, epochs=2)


@pytest.fixture(scope="module")
def chosen():
    """Both choices on a data set, and the data of every run on the way."""
    dataset, seen, run = load("wine"), [], nested_tuning.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nested_tuning, "run", lambda data, *args, **kw: seen.append(data) or run(data, *args, **kw))
        (leak,) = leaks(dataset, QUICK)
    return SimpleNamespace(dataset=dataset, seen=seen, leak=leak)


def test_the_inner_choice_never_sees_the_rows_that_test_it(chosen):
    dataset = chosen.dataset
    whole, *inner = chosen.seen
    assert whole is dataset
    for repeat, data in enumerate(inner):
        kept = np.setdiff1d(np.arange(len(dataset.classes)), dataset.rows(repeat)[2])
        assert data.numbers.equals(dataset.numbers.iloc[kept])
        assert np.array_equal(data.classes, dataset.classes[kept])


def test_where_both_choose_the_same_nothing_differs_and_where_they_do_not_it_shows(chosen, monkeypatch):
    leak = chosen.leak
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
    (turned,) = leaks(chosen.dataset, QUICK)
    assert np.array_equal(turned.once, leak.once)
    assert 1 <= turned.agreed <= 2  # of five repeats, one or two were given the rate that was chosen once
    assert (turned.once != turned.nested).any()
