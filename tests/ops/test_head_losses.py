"""The losses of GumbelSoftmaxHead and SigmoidHead: by formula, at extreme scores, and what they refuse."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import anymax
from anymax.ops.binary.api import one_vs_rest_loss
from anymax.ops.gumbel.api import gumbel_softmax_loss

INFINITY = float("inf")


@pytest.fixture(autouse=True, params=["automatic", "reference"])
def _backend(request):
    """On a machine that has kernels the reference would meet none of these numbers."""
    with anymax.use_backend("reference") if request.param == "reference" else nullcontext():
        yield


def scores(*shape: int) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def targets(num_classes: int, *shape: int) -> torch.Tensor:
    return torch.randint(num_classes, shape, generator=torch.Generator().manual_seed(1))


SEED = torch.tensor(7)
LOSSES = {
    "gumbel_softmax_loss": lambda *args, **options: gumbel_softmax_loss(*args, generator=SEED, **options),
    "one_vs_rest_loss": one_vs_rest_loss,
}


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


@pytest.mark.parametrize("tau", [0.5, torch.tensor(3.0), torch.linspace(0.5, 2, 6).unsqueeze(1)])
def test_the_gumbel_loss_is_minus_the_log_of_the_sample(tau):
    x, target = scores(6, 5), targets(5, 6)
    sample = anymax.gumbel_softmax(x, tau, dim=1, generator=SEED)
    expected = -sample.gather(1, target.unsqueeze(1)).squeeze(1).log()
    assert_close(gumbel_softmax_loss(x, target, tau=tau, reduction="none", generator=SEED), expected)


def test_noise_is_seen_beside_large_scores():
    x, target = scores(200, 5).float(), targets(5, 200)
    # exact in float32, so that the offset changes nothing but the size
    x = (x * 64).round() / 64
    far = x.double() + 2.0**30
    for dtype in (torch.float32, torch.float64):
        spread = gumbel_softmax_loss(torch.full((200, 5), 1e9, dtype=dtype), target, reduction="none", generator=SEED)
        level = gumbel_softmax_loss(torch.zeros(200, 5, dtype=dtype), target, reduction="none", generator=SEED)
        assert torch.equal(spread, level)
        assert level.std() > 0.3
    assert_close(
        gumbel_softmax_loss(far, target, reduction="none", generator=SEED),
        gumbel_softmax_loss(x.double(), target, reduction="none", generator=SEED),
    )


def test_the_one_vs_rest_loss_is_a_sum_over_classes():
    x, target = scores(6, 5), targets(5, 6)
    labels = nn.functional.one_hot(target, 5).double()
    expected = nn.functional.binary_cross_entropy_with_logits(x, labels, reduction="none").sum(1)
    assert_close(one_vs_rest_loss(x, target, reduction="none"), expected)
    assert_close(one_vs_rest_loss(x, target), expected.mean())
    assert_close(one_vs_rest_loss(x.T, target, dim=0, reduction="sum"), expected.sum())


def test_small_and_infinite_one_vs_rest_losses():
    sure = torch.tensor([[20.0, -20.0]])
    assert_close(one_vs_rest_loss(sure, torch.tensor([0])), torch.tensor(2 * 2.0611536e-09))
    x = torch.tensor([[INFINITY, -INFINITY], [-INFINITY, 0.0]], requires_grad=True)
    rows = one_vs_rest_loss(x, torch.tensor([0, 1]), reduction="none")
    assert_close(rows.detach(), torch.tensor([1.0, 2.0]).log())
    rows.sum().backward()
    assert x.grad.isfinite().all()
    assert one_vs_rest_loss(x, torch.tensor([1, 1]), reduction="none")[0] == INFINITY


def test_ignored_rows_cost_nothing(loss):
    x, target = scores(4, 5), torch.tensor([1, -100, 4, -100])
    rows = loss(x, target, reduction="none")
    assert (rows == 0).tolist() == [False, True, False, True]
    assert_close(loss(x, target), rows.sum() / 2)
    assert loss(x, torch.full((4,), -100)) == 0
    assert loss(x[:0], target[:0]) == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_narrow_ids_are_ids(loss, dtype):
    x, target = scores(3, 200), torch.tensor([0, 100, 127])
    if dtype is torch.uint8:
        # -100 wraps to 156 there
        target = torch.tensor([0, 156, 199])
    assert_close(loss(x, target.to(dtype), reduction="none"), loss(x, target, reduction="none"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(2, 3).long()}, TypeError, "input must be a floating-point tensor"),
        ({"input": torch.tensor(1.0)}, ValueError, "input must have a class axis"),
        ({"target": torch.tensor([0, 3])}, ValueError, r"target ids must be in \[0, 2\]"),
        ({"target": torch.tensor([0, 1, 1])}, ValueError, "target must have the input's shape"),
        ({"target": torch.tensor([True, False])}, TypeError, "target must hold class ids"),
        ({"dim": 2}, IndexError, "dim must be in"),
        ({"reduction": "max"}, ValueError, "reduction must be one of"),
    ],
)
def test_bad_input_is_one_sentence(loss, change, error, message):
    arguments = {"input": torch.zeros(2, 3), "target": torch.tensor([0, 1]), **change}
    with pytest.raises(error, match=message) as raised:
        loss(arguments.pop("input"), arguments.pop("target"), **arguments)
    assert "\n" not in str(raised.value)


def test_tau_must_be_positive():
    with pytest.raises(ValueError, match="gumbel_softmax_loss: tau must be greater than 0"):
        gumbel_softmax_loss(torch.zeros(2, 3), torch.tensor([0, 1]), tau=0.0)
    with pytest.raises(ValueError, match="gumbel_softmax_loss: tau must have size 1 on axis 1"):
        gumbel_softmax_loss(torch.zeros(2, 3), torch.tensor([0, 1]), tau=torch.ones(3))


def test_a_row_with_a_bad_target_is_nan_where_it_cannot_be_read(loss):
    rows = torch.func.vmap(lambda x: loss(x, torch.tensor([0, 5]), reduction="none"))(scores(3, 2, 4))
    assert rows[:, 0].isfinite().all()
    assert rows[:, 1].isnan().all()
