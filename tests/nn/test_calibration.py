"""Temperature scaling on planted temperatures, and on data that has no best one."""

import copy
import math

import pytest
import torch

import anymax
from anymax.nn import TemperatureScaling
from anymax.ops.calibration import temperature


def planted(truth, rows=4000, classes=10, seed=0):
    """Scores that are too large by the factor `truth`, with targets drawn from the law before."""
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(rows, classes, generator=generator)
    target = torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0]
    return truth * scores, target


def loss(scores, target, at):
    return torch.nn.functional.cross_entropy(scores.double() / at, target).item()


@pytest.mark.parametrize("truth", [3.0, 0.2, 20.0])
def test_a_planted_temperature_is_found(truth):
    scores, target = planted(truth)
    scaling = TemperatureScaling().fit(scores, target)
    # the standard error of log T is about .016 here; four of them
    assert scaling.temperature.item() == pytest.approx(truth, rel=0.064)
    assert not scaling.at_bound
    found = scaling.temperature.item()
    least = loss(scores, target, found)
    assert least < min(loss(scores, target, found * factor) for factor in (0.9999, 1.0001))


def test_the_slope_of_the_loss_is_zero_there():
    scores, target = planted(3.0, rows=300)
    b = (1 / TemperatureScaling().fit(scores, target).temperature).requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(b * scores.double(), target), b)
    assert abs(slope.item()) < 1e-7


def one_hot(target, scale=1.0):
    return scale * torch.nn.functional.one_hot(target, 4).float()


def test_where_every_row_is_right_colder_is_always_better():
    target = torch.arange(100) % 4
    scaling = TemperatureScaling().fit(one_hot(target), target)
    assert (scaling.temperature.item(), scaling.at_bound.item()) == (pytest.approx(0.01), True)


def test_where_scores_point_away_from_the_targets_hotter_is_always_better():
    target = torch.arange(100) % 4
    scaling = TemperatureScaling(hottest=50.0).fit(one_hot(target, -5.0), target)
    assert (scaling.temperature.item(), scaling.at_bound.item()) == (pytest.approx(50.0), True)


def test_scores_that_are_all_alike_have_no_best_temperature():
    scaling = TemperatureScaling().fit(torch.ones(8, 3), torch.arange(8) % 3)
    assert (scaling.temperature.item(), scaling.at_bound.item()) == (pytest.approx(100.0), True)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scores_of_any_size_end_in_a_number(scale):
    scores, target = planted(1.0, rows=100)
    scaling = TemperatureScaling().fit(scores * scale, target)
    assert scaling.at_bound
    assert 0 < scaling.temperature.item() < math.inf


def test_a_later_fit_inside_the_range_takes_the_flag_back():
    scaling = TemperatureScaling().fit(torch.ones(8, 3), torch.arange(8) % 3)
    assert not scaling.fit(*planted(2.0)).at_bound


def test_the_class_axis_may_stand_anywhere_and_ignored_rows_take_no_part():
    scores, target = planted(3.0, rows=600)
    expected = TemperatureScaling().fit(scores, target).temperature.item()
    images, ids = scores.reshape(6, 10, 10, 10).movedim(3, 1), target.reshape(6, 10, 10)
    assert TemperatureScaling().fit(images, ids).temperature.item() == pytest.approx(expected, rel=1e-9)
    assert TemperatureScaling("... [class]").fit(scores, target).temperature.item() == expected
    spoilt = torch.cat([scores, torch.full((5, 10), torch.nan)])
    ignored = torch.cat([target, torch.full((5,), 255)]).to(torch.uint8)
    scaling = TemperatureScaling(ignore_index=255).fit(spoilt, ignored)
    assert scaling.temperature.item() == pytest.approx(expected, rel=1e-12)


def test_a_common_shift_of_a_row_changes_nothing_and_neither_does_a_masked_class():
    scores, target = planted(3.0, rows=500)
    expected = TemperatureScaling().fit(scores, target).temperature.item()
    shifted = scores.double() + 1e6 * torch.randn(500, 1, dtype=torch.float64)
    assert TemperatureScaling().fit(shifted, target).temperature.item() == pytest.approx(expected, rel=1e-6)
    masked = torch.cat([scores, torch.full((500, 1), -torch.inf)], dim=1)
    assert TemperatureScaling().fit(masked, target).temperature.item() == pytest.approx(expected, rel=1e-12)


def test_batches_give_what_all_rows_give():
    scores, target = planted(3.0, rows=500)
    whole = TemperatureScaling().fit(scores, target)
    batches = list(zip(scores.split(37), target.split(37), strict=True))
    assert TemperatureScaling().fit_batches(batches).temperature.item() == pytest.approx(
        whole.temperature.item(), rel=1e-9
    )
    with pytest.raises(TypeError, match=r"batches must be something that can be gone through again.*got generator"):
        TemperatureScaling().fit_batches(batch for batch in batches)


def test_the_forward_pass_divides_keeps_the_dtype_and_has_a_gradient():
    scaling = TemperatureScaling().fit(*planted(3.0))
    scores = torch.randn(4, 3, dtype=torch.bfloat16, requires_grad=True)
    result = scaling(scores)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, scores / scaling.temperature)
    (gradient,) = torch.autograd.grad(result.sum(), scores)
    assert torch.equal(gradient, torch.ones_like(scores) / scaling.temperature)


def test_the_temperature_and_the_flag_go_into_the_state_dict_and_survive_casts():
    scaling = TemperatureScaling().fit(*planted(3.0))
    found = scaling.temperature.item()
    fresh = TemperatureScaling()
    fresh.load_state_dict(scaling.state_dict())
    assert fresh.temperature.item() == copy.deepcopy(scaling).half().temperature.item() == found
    flagged = TemperatureScaling().fit(torch.ones(8, 3), torch.arange(8) % 3)
    fresh.load_state_dict(flagged.state_dict())
    assert fresh.at_bound


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda scores, target: (scores[:0], target[:0]), "no row is left"),
        (lambda scores, target: (scores, torch.full_like(target, -100)), "no row is left"),
        (lambda scores, target: (scores.index_fill(1, target[:1], -torch.inf), target), "a target's score is -inf"),
        (lambda scores, target: (scores.index_fill(0, target[:1], torch.nan), target), "holds NaN"),
        (lambda scores, target: (scores, target + 1), r"target ids must be in \[0, 9\].*got 10"),
        (lambda scores, target: (scores, target[1:]), "target must have the input's shape"),
    ],
)
def test_what_cannot_be_fitted_is_said_and_changes_nothing(spoil, message):
    scaling = TemperatureScaling().fit(*planted(3.0))
    before = scaling.temperature.item()
    with pytest.raises(ValueError, match=f"TemperatureScaling.fit: .*{message}"):
        scaling.fit(*spoil(*planted(3.0, rows=200)))
    assert scaling.temperature.item() == before


def test_probabilities_are_no_targets():
    scores, target = planted(3.0, rows=20)
    with pytest.raises(TypeError, match="target must hold class ids"):
        TemperatureScaling().fit(scores, target.float())


def test_ids_are_no_scores():
    scaling, target = TemperatureScaling(), torch.tensor([0, 1])
    for call in (scaling, lambda scores: scaling.fit(scores, target)):
        with pytest.raises(TypeError, match="input must be a floating-point tensor"):
            call(torch.ones(2, 3).long())


@pytest.mark.parametrize("ends", [{"coldest": 0.0}, {"hottest": math.inf}, {"coldest": 2.0, "hottest": 1.0}])
def test_the_range_is_checked(ends):
    with pytest.raises(ValueError, match="TemperatureScaling: expected 0 < coldest < hottest < inf"):
        TemperatureScaling(**ends)


# ---------------------------------------------------------------- maps with zeros


def planted_sparse(alpha, truth, rows=4000, seed=0):
    """Scores that are too large by the factor `truth`, with targets drawn from the map's law before."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, 10, generator=generator)
    target = torch.multinomial(anymax.entmax(scores, -1, alpha=alpha), 1, generator=generator)[:, 0]
    return truth * scores, target


@pytest.mark.parametrize("alpha", [1.25, 1.5, 2.0])
@pytest.mark.parametrize("truth", [3.0, 0.2])
def test_a_temperature_planted_under_a_map_with_zeros_is_found(alpha, truth):
    scores, target = planted_sparse(alpha, truth)
    scaling = TemperatureScaling(alpha=alpha).fit(scores, target)
    # over 20 seeds log T has a standard deviation of .015 at most; four of them
    assert scaling.temperature.item() == pytest.approx(truth, rel=0.06)
    assert not scaling.at_bound


@pytest.mark.parametrize("alpha", [1.0, 1.25, 1.5, 2.0, 3.0])
def test_the_slope_of_its_own_loss_is_zero_there(alpha):
    scores, target = planted_sparse(alpha, 3.0, rows=300)
    b = (1 / TemperatureScaling(alpha=alpha).fit(scores, target).temperature).requires_grad_()
    (slope,) = torch.autograd.grad(anymax.entmax_loss(b * scores.double(), target, alpha=alpha), b)
    assert abs(slope.item()) < 1e-6


@pytest.mark.parametrize("alpha", [1.0, 1.25, 1.5, 2.0, 3.0])
def test_newtons_step_has_the_slope_of_the_slope(alpha, monkeypatch):
    scores, target = planted_sparse(alpha, 3.0, rows=300)
    slopes = []
    monkeypatch.setattr(temperature, "_root", lambda slope, low, high: slopes.append(slope))
    assert temperature.fit_temperature([(scores, target)], 0.01, 100.0, alpha) is None
    log_b, step = torch.tensor(-0.7), 1e-5
    _, rise = slopes[0](log_b.item())
    around = [slopes[0](log_b.item() + sign * step)[0] for sign in (-1, 1)]
    assert rise == pytest.approx((around[1] - around[0]) / (2 * step), rel=1e-3)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_a_map_with_zeros_has_the_same_bounds_and_the_same_errors(alpha):
    target = torch.arange(100) % 4
    scaling = TemperatureScaling(alpha=alpha).fit(one_hot(target), target)
    assert (scaling.temperature.item(), scaling.at_bound.item()) == (pytest.approx(0.01), True)
    scaling.fit(one_hot(target, -5.0), target)
    assert (scaling.temperature.item(), scaling.at_bound.item()) == (pytest.approx(100.0), True)
    scores = one_hot(target)
    for value in (-math.inf, math.nan, math.inf):
        with pytest.raises(ValueError, match="expected rows whose loss is finite"):
            scaling.fit(scores.index_put((torch.tensor(3), target[3]), torch.tensor(value)), target)


@pytest.mark.parametrize("alpha", [0.5, math.inf, math.nan])
def test_alpha_is_checked(alpha):
    with pytest.raises(ValueError, match="TemperatureScaling: alpha must be at least 1 and finite"):
        TemperatureScaling(alpha=alpha)
