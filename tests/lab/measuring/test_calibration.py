"""Temperature scaling on planted temperatures, and on data that has no best one."""

import pytest
import torch

from anymax import entmax
from anymax.lab.measuring import calibration
from anymax.lab.measuring.calibration import fit, scaled
from anymax.nn import TemperatureScaling


def planted(temperature, items=4000, classes=10, seed=0):
    """Scores that are too large by the factor `temperature`, with targets drawn from the law before."""
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(items, classes, generator=generator)
    targets = torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0]
    return targets, temperature * scores


def law(scores):
    return scores.log_softmax(-1)


def answer(scores):
    return scores.topk(1)


def nll(targets, scores, temperature):
    return float(torch.nn.functional.cross_entropy(scores.double() / temperature, targets))


def test_a_planted_temperature_is_found():
    targets, scores = planted(3.0)
    # the standard error of log T is about .016 here; four of them
    assert fit(targets, scores, law).temperature.item() == pytest.approx(3.0, rel=0.064)


def test_a_class_that_is_masked_takes_no_part():
    targets, scores = planted(3.0)
    masked = torch.cat([scores, torch.full((len(scores), 1), -torch.inf)], dim=1)
    assert fit(targets, masked, law).temperature.item() == pytest.approx(
        fit(targets, scores, law).temperature.item(), rel=1e-5
    )


def test_there_is_no_temperature_without_a_finite_likelihood():
    targets, scores = planted(3.0, items=50)
    scores[3, targets[3]] = -torch.inf
    assert fit(targets, scores, law) is None
    assert fit(targets, torch.full_like(scores, torch.nan), law) is None
    assert fit(targets[:0], scores[:0], law) is None


def test_the_temperature_does_not_depend_on_chunks_and_little_on_the_items_that_are_read(monkeypatch):
    targets, scores = planted(3.0)
    whole = fit(targets, scores, law).temperature.item()
    monkeypatch.setattr(calibration, "CHUNK", 10 * 17)
    assert fit(targets, scores, law).temperature == pytest.approx(whole, rel=1e-5)
    monkeypatch.setattr(calibration, "MOST_ITEMS", 2000)
    some = fit(targets, scores, law).temperature.item()
    assert some != whole
    assert some == pytest.approx(whole, rel=0.064)


def test_the_items_that_are_read_are_not_those_that_stand_first(monkeypatch):
    (first, of_first), (last, of_last) = planted(3.0), planted(1.0, seed=1)
    targets, scores = torch.cat([first, last]), torch.cat([of_first, of_last])
    whole = fit(targets, scores, law).temperature.item()
    monkeypatch.setattr(calibration, "MOST_ITEMS", 2000)
    assert fit(targets, scores, law).temperature.item() == pytest.approx(whole, rel=0.064)


def test_the_right_temperature_calibrates_other_items_of_the_kind():
    targets, scores = planted(3.0)
    found = fit(targets, scores, law)
    targets, scores = planted(3.0, seed=1)
    as_it_is = scaled(TemperatureScaling(), targets, scores, law, answer)
    after = scaled(found, targets, scores, law, answer)
    assert after.nll == pytest.approx(nll(targets, scores, found.temperature.item()), rel=1e-5)
    assert after.nll < as_it_is.nll
    assert after.brier < as_it_is.brier
    assert as_it_is.ece > 0.1
    assert after.ece < 2 * after.ece_if_calibrated


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_a_map_with_zeros_is_calibrated_by_its_own_loss(alpha):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(8000, 10, generator=generator)
    targets = torch.multinomial(entmax(scores, -1, alpha=alpha), 1, generator=generator)[:, 0]
    seen, new = slice(4000), slice(4000, None)
    found = fit(targets[seen], 3 * scores[seen], lambda rows: rows, alpha)
    # as in the tests of TemperatureScaling
    assert found.temperature.item() == pytest.approx(3.0, rel=0.06)
    before = scaled(TemperatureScaling(alpha=alpha), targets[new], 3 * scores[new], lambda rows: rows, answer)
    after = scaled(found, targets[new], 3 * scores[new], lambda rows: rows, answer)
    assert after.nll is before.nll is None
    assert after.brier < before.brier
    assert before.ece > 0.1
    assert after.ece < 2 * after.ece_if_calibrated


def test_the_answers_stay_whatever_the_temperature():
    targets, scores = planted(1.0)
    last = scaled(TemperatureScaling(), targets, scores, law, lambda s: (-s).topk(1))
    # the answer of the least score is hardly ever right, and is hardly ever said to be
    first = scaled(TemperatureScaling(), targets, scores, law, answer)
    assert last.ece_if_calibrated < first.ece_if_calibrated / 2
    assert last.ece < 2 * last.ece_if_calibrated
    assert last.nll == first.nll
