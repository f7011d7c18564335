"""Against the entmax package (1.3): equal where it is right; where it is not, what it gives and what is right."""

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax.testing.inputs import scores

entmax = pytest.importorskip("entmax")


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_maps_agree(dim):
    x = scores(6, 7, 4) / 2
    assert_close(anymax.sparsemax(x, dim), entmax.sparsemax(x, dim))
    assert_close(anymax.entmax(x, dim), entmax.entmax15(x, dim))
    for alpha in (1.25, 1.75, 2.5):
        assert_close(anymax.entmax(x, dim, alpha=alpha), entmax.entmax_bisect(x, alpha, dim))


def test_gradients_agree():
    x = scores(6, 7) / 2
    alpha = torch.full((6, 1), 1.4, dtype=torch.float64).requires_grad_()
    weights = scores(6, 7, at=1)
    leaf = x.requires_grad_()
    mine = torch.autograd.grad((anymax.entmax(leaf, 1, alpha=alpha) * weights).sum(), [leaf, alpha])
    theirs = torch.autograd.grad((entmax.entmax_bisect(leaf, alpha, 1) * weights).sum(), [leaf, alpha])
    assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_losses_agree():
    x, target = scores(6, 7) / 2, torch.tensor([0, 3, 6, 1, 2, 2])
    leaf = x.requires_grad_()
    for mine, theirs in (
        (anymax.sparsemax_loss, entmax.sparsemax_loss),
        (anymax.entmax_loss, entmax.entmax15_loss),
    ):
        losses = mine(leaf, target, reduction="none"), theirs(leaf, target)
        assert_close(*losses)
        assert_close(*(torch.autograd.grad(loss.sum(), leaf) for loss in losses))
    assert_close(
        anymax.entmax_loss(x, target, alpha=1.25, reduction="none"), entmax.entmax_bisect_loss(x, target, 1.25)
    )


def both(right, mine, theirs):
    """Ours is right, and the check would see it if ours were as the package."""
    assert right(mine)
    assert not right(theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_sum_to_one(dtype):
    x = scores(20, 300, dtype=torch.float32).to(dtype)
    epsilon = torch.finfo(dtype).eps

    def sums_to_one(probs):
        return bool(((probs.double().sum(1) - 1).abs() <= epsilon / 2).all())

    both(sums_to_one, anymax.sparsemax(x / 50, 1), entmax.sparsemax(x / 50, 1))
    both(sums_to_one, anymax.entmax(x / 50, 1), entmax.entmax15(x / 50, 1))


def test_a_long_row_in_float32():
    row = torch.full((1, 100_000), -2.0)
    row[0, 1:] += 1e-3 * torch.linspace(-1, 1, 99_999)
    row[0, 0] = 0
    exact = anymax.entmax(row.double(), 1)
    both(
        lambda probs: float((probs - exact).abs().sum()) < 1e-5,
        anymax.entmax(row, 1),
        entmax.entmax15(row, 1),
    )


def test_scores_far_from_zero():
    x = torch.tensor([[1e6, 1e6 - 1, 1e6 - 2]])
    both(
        lambda probs: abs(float(probs[0, 0]) - 0.8307189) < 1e-6,
        anymax.entmax(x, 1),
        entmax.entmax_bisect(x, 1.5, 1),
    )
    x = torch.tensor([[1e20, -1e20, 0.0]])
    both(
        lambda probs: probs.tolist() == [[1, 0, 0]],
        anymax.entmax(x, 1),
        entmax.entmax_bisect(x, 1.5, 1),
    )
    x, target = torch.tensor([[1e6, 1e6 + 0.5, 1e6 - 1]]), torch.tensor([0])
    exact = float(anymax.entmax_loss(x.double(), target))
    assert exact == pytest.approx(0.6846, abs=1e-4)
    both(lambda loss: abs(float(loss) - exact) < 1e-6, anymax.entmax_loss(x, target), entmax.entmax15_loss(x, target))


def test_alpha_near_1():
    x = torch.tensor([[1.0, 0.3, -0.5]])
    both(
        lambda probs: torch.allclose(probs, torch.softmax(x, 1), atol=1e-6),
        anymax.entmax(x, 1, alpha=1.0),
        entmax.entmax_bisect(x, 1.0, 1),
    )

    def slope(function):
        alpha = torch.tensor([[1.00001]], requires_grad=True)
        return torch.autograd.grad(function(alpha)[0, 0], alpha)[0]

    both(
        lambda found: abs(float(found) - 0.251100) < 1e-6,
        slope(lambda alpha: anymax.entmax(x, 1, alpha=alpha)),
        slope(lambda alpha: entmax.entmax_bisect(x, alpha, 1)),
    )


def test_infinite_scores_cost_what_they_should():
    x, target = torch.tensor([[1.0, 0.5, -float("inf")]]), torch.tensor([0])
    exact = anymax.entmax_loss(x[:, :2], target)
    for mine, theirs in ((anymax.entmax_loss, entmax.entmax15_loss), (anymax.sparsemax_loss, entmax.sparsemax_loss)):
        exact = mine(x[:, :2], target)
        both(lambda loss, exact=exact: torch.allclose(loss, exact), mine(x, target), theirs(x, target)[0])


def test_second_derivatives_with_zeros():
    x = torch.tensor([[0.3, 0.1, -5.0]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([1])

    def second(probs):
        (first,) = torch.autograd.grad(probs[0, 0], x, create_graph=True)
        return torch.autograd.grad(first[0, 0], x)[0]

    both(lambda found: bool(found.isfinite().all()), second(anymax.entmax(x, 1)), second(entmax.entmax15(x, 1)))
    gradients = [
        torch.autograd.grad(loss(x, target).sum(), x, create_graph=True)[0]
        for loss in (anymax.entmax_loss, entmax.entmax15_loss)
    ]
    both(lambda gradient: gradient.requires_grad, *gradients)


def test_a_bad_row_is_no_exception():
    x = torch.tensor([[float("nan"), 0, 1], [0.5, 0, -1]])
    assert anymax.sparsemax(x, 1)[0].isnan().all()
    assert anymax.sparsemax(x, 1)[1].tolist() == [0.75, 0.25, 0]
    with pytest.raises((RuntimeError, IndexError)):
        entmax.sparsemax(x, 1)


def test_transforms_and_any_rank():
    x, target = scores(3, 4, 5), torch.zeros(3, 5, dtype=torch.int64)
    assert_close(torch.func.vmap(lambda row: anymax.entmax(row, 0))(x), anymax.entmax(x, 1))
    with pytest.raises(RuntimeError):
        torch.func.vmap(lambda row: entmax.entmax15(row, 0))(x)
    assert anymax.entmax_loss(x, target, reduction="none").shape == (3, 5)
    with pytest.raises((RuntimeError, IndexError)):
        entmax.entmax15_loss(x, target)
    ignored = torch.tensor([0, -100, 1])
    assert anymax.entmax_loss(x[..., 0], ignored).isfinite()
    with pytest.raises((RuntimeError, IndexError)):
        entmax.entmax15_loss(x[..., 0], ignored)
