"""cross_entropy and log_prob: against torch, against the formula, at the edges."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

import anymax

INFINITY = float("inf")
NAN = float("nan")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(*shape, seed=0):
    return 2 * torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def ids(num_classes, *shape, seed=1):
    return torch.randint(num_classes, shape, generator=generator(seed))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (3, 5, 4), (2, 5, 3, 4)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_equals_torch(shape, reduction):
    x = scores(*shape).requires_grad_()
    axis = min(1, len(shape) - 1)
    index = ids(5, *(size for at, size in enumerate(shape) if at != axis))
    if len(shape) > 1:
        index.view(-1)[0] = -100
    probs = scores(*shape, seed=2).softmax(axis)
    weight = torch.rand(5, generator=generator(3), dtype=torch.float64)
    for target, w, smoothing in itertools.product((index, probs), (None, weight), (0.0, 0.2)):
        mine = anymax.cross_entropy(x, target, w, reduction=reduction, label_smoothing=smoothing)
        theirs = F.cross_entropy(x, target, w, reduction=reduction, label_smoothing=smoothing)
        assert_close(mine, theirs)
        upstream = torch.ones_like(mine)
        assert_close(torch.autograd.grad(mine, x, upstream), torch.autograd.grad(theirs, x, upstream))


def test_any_class_axis():
    x = scores(3, 5, 4, 6)
    for axis in range(4):
        target = ids(x.shape[axis], *(size for at, size in enumerate(x.shape) if at != axis))
        expected = anymax.cross_entropy(x.movedim(axis, 1), target.clone(), reduction="sum")
        assert_close(anymax.cross_entropy(x, target, dim=axis, reduction="sum"), expected)
        assert torch.equal(
            anymax.cross_entropy(x, target, dim=axis - 4, reduction="none"),
            anymax.cross_entropy(x, target, dim=axis, reduction="none"),
        )


def test_each_part_is_its_formula():
    x, target = scores(6, 5), ids(5, 6)
    target[0] = -100
    weight = torch.rand(5, generator=generator(3), dtype=torch.float64)
    s = 3 * torch.tanh(x / 3) / 0.7
    log_z = s.logsumexp(1)
    nll = (log_z - s[torch.arange(6), target.clamp(min=0)]) * weight[target.clamp(min=0)]
    kept = torch.arange(6) > 0
    options = {"softcap": 3.0, "temperature": 0.7}
    rows = anymax.cross_entropy(x, target, weight, z_loss=0.1, reduction="none", **options)
    assert_close(rows, torch.where(kept, nll + 0.1 * log_z**2, 0.0))
    mean = anymax.cross_entropy(x, target, weight, z_loss=0.1, **options)
    first, second = nll[kept].sum() / weight[target[kept]].sum(), 0.1 * (log_z[kept] ** 2).mean()
    assert_close(mean, first + second)
    assert_close(anymax.cross_entropy(x, target, weight, z_loss=0.1, reduction="sum", **options), rows.sum())


def test_the_temperature_keeps_log_z_true():
    x, target = scores(4, 5) + 1000, ids(5, 4)
    for temperature in (1e-3, 0.5, 3.0):
        mine = anymax.log_prob(x, target, temperature=temperature).log_z
        assert_close(mine, (x / temperature).logsumexp(1))


def test_smoothing_spreads_over_the_classes_that_take_part():
    x, target = scores(4, 6), torch.tensor([0, 2, 3, 0])
    mask = torch.tensor([True, False, True, True, False, True])
    mine = anymax.cross_entropy(x, target, mask=mask, label_smoothing=0.3)
    renumbered = torch.tensor([0, 1, 2, 0])
    assert_close(mine, F.cross_entropy(x[:, mask], renumbered, label_smoothing=0.3))


def test_a_mask_is_slicing_and_a_masked_target_costs_infinity():
    x, mask = scores(3, 4).requires_grad_(), torch.tensor([True, True, False, True])
    rows = anymax.cross_entropy(x, torch.tensor([0, 3, 2]), mask=mask, reduction="none")
    assert_close(rows[:2], F.cross_entropy(x[:2][:, mask], torch.tensor([0, 2]), reduction="none"))
    assert rows[2] == INFINITY
    dead = anymax.cross_entropy(x, torch.tensor([0, 3, 1]), mask=torch.zeros(3, 4, dtype=torch.bool), reduction="none")
    assert (dead == INFINITY).all()
    (gradient,) = torch.autograd.grad(rows[:2].sum(), x)
    assert gradient.isfinite().all()


def test_probabilities_of_zero_cost_nothing_at_minus_infinity():
    x = torch.tensor([[0.0, -INFINITY, 1.0]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64)
    loss = anymax.cross_entropy(x, target)
    assert_close(loss, anymax.cross_entropy(x[:, [0, 2]], target[:, [0, 2]]))
    assert torch.autograd.grad(loss, x)[0].isfinite().all()
    assert anymax.cross_entropy(x, torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)) == INFINITY
    assert anymax.cross_entropy(x, torch.tensor([1])) == INFINITY


@pytest.mark.parametrize(
    ("x", "target", "weight"),
    [
        (torch.zeros(0, 3), torch.zeros(0).long(), None),
        (torch.zeros(2, 3), torch.full((2,), -100), None),
        (torch.zeros(2, 3), torch.zeros(2).long(), torch.zeros(3)),
        (torch.zeros(0, 3), torch.zeros(0, 3), None),
    ],
)
@pytest.mark.parametrize("z_loss", [0.0, 0.1])
def test_a_mean_over_nothing_is_zero_with_zero_gradient(x, target, weight, z_loss):
    x = x.clone().requires_grad_()
    loss = anymax.cross_entropy(x, target, weight, z_loss=z_loss)
    if weight is not None and z_loss:
        assert loss.item() == pytest.approx(0.1 * torch.tensor(3.0).log().item() ** 2)
        return
    assert loss == 0
    (gradient,) = torch.autograd.grad(loss, x)
    assert (gradient == 0).all()


def test_one_bad_row_spoils_no_other():
    x = scores(4, 5)
    x[1], x[2, 0] = NAN, INFINITY
    x.requires_grad_()
    rows = anymax.cross_entropy(x, ids(5, 4), reduction="none")
    assert rows[[1, 2]].isnan().all()
    (gradient,) = torch.autograd.grad(rows.sum(), x)
    assert gradient[[0, 3]].isfinite().all()
    assert rows[[0, 3]].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_any_integer_dtype_is_an_id(dtype):
    x, target = scores(4, 5), ids(5, 4)
    assert torch.equal(anymax.cross_entropy(x, target.to(dtype)), anymax.cross_entropy(x, target))


def test_bad_ids_are_nan_in_value_and_gradient_where_they_cannot_be_read():
    x, target = scores(3, 5), torch.tensor([1, 7, -3])

    def rows(row, label):
        return anymax.cross_entropy(row, label, reduction="none")

    values = torch.vmap(rows)(x, target)
    gradients = torch.vmap(torch.func.grad(rows))(x, target)
    assert_close(values[0], anymax.cross_entropy(x[0], target[0]))
    assert values[1:].isnan().all()
    assert gradients[0].isfinite().all()
    assert gradients[1:].isnan().all()
    off_simplex = torch.tensor([[0.5, 0.5], [2.0, 3.0]], dtype=torch.float64)
    values = torch.vmap(rows)(scores(2, 2), off_simplex)
    assert values[0].isfinite()
    assert values[1].isnan()


def test_log_prob_gives_all_three_per_row():
    x, target = scores(3, 5, 4), ids(5, 3, 4)
    target[0, 0] = -100
    mine = anymax.log_prob(x, target)
    law = torch.distributions.Categorical(logits=x.movedim(1, -1))
    expected = law.log_prob(target.clamp(min=0))
    expected[0, 0] = 0
    assert_close(mine.log_prob, expected)
    assert_close(mine.entropy, law.entropy())
    assert_close(mine.log_z, x.logsumexp(1))
    sure = anymax.log_prob(torch.tensor([[0.0, -INFINITY]]), torch.tensor([0]))
    assert (sure.log_prob, sure.entropy) == (0, 0)
    dead = anymax.log_prob(torch.zeros(1, 2), torch.tensor([0]), mask=torch.zeros(1, 2, dtype=torch.bool))
    assert (dead.log_prob, dead.log_z, dead.entropy) == (-INFINITY, -INFINITY, 0)


class Labelled(torch.Tensor):
    """A subclass that adds nothing: torch rebuilds what a function returns, item by item."""


def test_log_prob_of_a_tensor_subclass_is_a_log_prob():
    x, target = scores(3, 4), ids(4, 3)
    plain = anymax.log_prob(x, target)
    result = anymax.log_prob(x.as_subclass(Labelled), target)
    assert type(result) is anymax.LogProb
    assert all(type(part) is Labelled for part in result)
    assert_close(tuple(part.as_subclass(torch.Tensor) for part in result), tuple(plain))
    linear = anymax.linear_log_prob(x.as_subclass(Labelled), scores(5, 4, seed=1), target)
    assert type(linear) is anymax.LogProb
    assert type(linear.entropy) is Labelled


def test_log_prob_stays_a_named_tuple():
    x, target = scores(3, 4), ids(4, 3)
    plain = anymax.log_prob(x, target)
    assert plain._fields == ("log_prob", "log_z", "entropy")
    assert plain._replace(entropy=plain.log_z).entropy is plain.log_z
    assert anymax.LogProb(log_prob=x, log_z=x, entropy=target).entropy is target
    with pytest.raises(TypeError, match="missing"):
        anymax.LogProb(x, x)
    doubled = torch.utils._pytree.tree_map(lambda part: 2 * part, plain)
    assert type(doubled) is anymax.LogProb
    assert_close(doubled.log_z, 2 * plain.log_z)
    batched = torch.vmap(lambda row, index: anymax.log_prob(row, index))(x, target)
    compiled = torch.compile(lambda x: anymax.log_prob(x, target), fullgraph=True, backend="aot_eager")(x)
    inside = torch.compile(lambda x: anymax.log_prob(x, target).entropy.sum(), fullgraph=True, backend="aot_eager")
    assert_close(inside(x), plain.entropy.sum())
    for result in (batched, compiled):
        assert type(result) is anymax.LogProb
        assert_close(tuple(result), tuple(plain))


def test_a_class_without_a_chance_gives_the_temperature_no_gradient():
    x = torch.tensor([[1.0, 2.0, torch.finfo(torch.float32).min]])

    def gradient(function, temperature):
        leaf = torch.tensor(temperature, requires_grad=True)
        return torch.autograd.grad(function(leaf), leaf)[0].item()

    def loss(target):
        return lambda t: anymax.cross_entropy(x, torch.tensor([target]), temperature=t)

    def entropy(t):
        return anymax.log_prob(x, torch.tensor([0]), temperature=t).entropy.sum()

    # two classes at T = 0.5: p = sigmoid(2) of the second, d loss / d T = -p (2 - 1) / T^2 for the first
    assert gradient(loss(0), 0.5) == pytest.approx(-3.5231883, rel=1e-6)
    # H of two classes, with d H / d T = Var(x) / T^3
    assert gradient(entropy, 0.5) == pytest.approx(8 * 0.1049935854, rel=1e-6)
    for tiny in (1e-20, 1e-30, 1e-38, 1e-44):
        assert gradient(loss(1), tiny) == 0
        assert gradient(loss(0), tiny) == -INFINITY
        assert gradient(entropy, tiny) == 0
    # an ignored row takes no part, even where the log normaliser overflows
    leaf = torch.tensor(0.5, requires_grad=True)
    padded = torch.full((1, 2), torch.finfo(torch.float32).min)
    ignored = anymax.cross_entropy(padded, torch.tensor([-100]), temperature=leaf, z_loss=0.1)
    assert torch.autograd.grad(ignored, leaf)[0] == 0


def test_a_score_of_plus_infinity_spoils_its_row_under_a_softcap_too():
    x = torch.tensor([[1.0, INFINITY], [0.5, -INFINITY], [1.0, 2.0]], requires_grad=True)
    rows = anymax.cross_entropy(x, torch.tensor([0, 0, 1]), softcap=3.0, reduction="none")
    assert rows[0].isnan()
    assert rows[1] == 0
    (gradient,) = torch.autograd.grad(rows[1:].sum(), x)
    assert gradient[1:].isfinite().all()
    masked = torch.tensor([[True, False], [True, True], [True, True]])
    rows = anymax.cross_entropy(x, torch.tensor([0, 0, 1]), softcap=3.0, mask=masked, reduction="none")
    assert rows[0] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_softcap_and_temperature_must_be_numbers_in_the_dtype_of_the_computation(dtype):
    x, target = torch.zeros(1, 2, dtype=dtype), torch.tensor([0])
    too_small = 1e-46 if dtype is not torch.float64 else 0.0
    words = r"must be greater than 0, got .*"
    with pytest.raises(ValueError, match=f"cross_entropy: temperature {words}"):
        anymax.cross_entropy(x, target, temperature=too_small)
    with pytest.raises(ValueError, match=f"log_prob: softcap {words}"):
        anymax.log_prob(x, target, softcap=too_small)
    with pytest.raises(ValueError, match=r"softcap must be finite in .*, got inf; leave it away for no cap"):
        anymax.cross_entropy(x, target, softcap=INFINITY)
    with pytest.raises(ValueError, match="linear_cross_entropy: softcap must be finite"):
        anymax.linear_cross_entropy(x, x, torch.tensor([0]), softcap=INFINITY)
    if dtype is not torch.float64:
        with pytest.raises(ValueError, match=r"softcap must be finite in torch.float32, got 1e\+39"):
            anymax.cross_entropy(x, target, softcap=1e39)


def test_half_types_and_autocast():
    x, target = scores(8, 50).float().bfloat16(), ids(50, 8)
    assert anymax.cross_entropy(x, target).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        loss = anymax.cross_entropy(x, target)
        assert loss.dtype == torch.float32
        assert anymax.log_prob(x, target).entropy.dtype == torch.float32
    assert_close(loss, F.cross_entropy(x.float(), target))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 7, 10), torch.zeros(2, 7).long()),
            ValueError,
            r"without axis 1, the default class axis, so \(2, 10\), got \(2, 7\); it fits with axis 2 .*dim=2\)",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 7), torch.zeros(2, 7).long()),
            ValueError,
            r"a one-hot target is target.float\(\), or target.argmax\(1\)",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 7), torch.zeros(2, 1).long()),
            ValueError,
            r"write target.squeeze\(1\)",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 7), torch.zeros(2)),
            ValueError,
            r"holds probabilities and must have the input's shape .* write target.long\(\)",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 7), torch.ones(2, 7)),
            ValueError,
            "at least 0 and summing to 1, got sums from 7 to 7",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(1, 2), torch.tensor([[1.5, -0.5]])),
            ValueError,
            "a smallest entry of -0.5",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 7), torch.tensor([0, 7])),
            ValueError,
            r"target ids must be in \[0, 6\] or ignore_index \(-100\), got 7",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 7), torch.zeros(2, dtype=torch.bool)),
            TypeError,
            "got torch.bool",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 7), torch.zeros(2).long(), torch.ones(2)),
            ValueError,
            r"weight must have one entry per class, shape \(7,\), got \(2,\)",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 2), torch.full((2, 2), 0.5), ignore_index=0),
            ValueError,
            "ignore_index must be negative with probability targets",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 2), torch.zeros(2).long(), reduction="batchmean"),
            ValueError,
            "reduction must be one of 'none', 'mean', 'sum', got 'batchmean'",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 2), torch.zeros(2).long(), label_smoothing=1.5),
            ValueError,
            r"label_smoothing must be in \[0, 1\], got 1.5",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 2), torch.zeros(2).long(), z_loss=-1.0),
            ValueError,
            "z_loss must be at least 0, got -1.0",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 2), torch.zeros(2).long(), softcap=0.0),
            ValueError,
            "softcap must be greater than 0, got 0.0",
        ),
        (lambda: anymax.cross_entropy(torch.zeros(()), torch.zeros(()).long()), ValueError, "must have a class axis"),
        (lambda: anymax.cross_entropy(torch.zeros(2, 0), torch.zeros(2).long()), ValueError, "class axis 1 has size 0"),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 3), torch.zeros(2).long(), dim="batch [class] h"),
            ValueError,
            "names 3 axes, got a tensor of 2",
        ),
        (
            lambda: anymax.cross_entropy(torch.zeros(2, 3, 4), torch.zeros(2, 3).long(), dim="batch [class] time"),
            ValueError,
            r"without axis 1 \('class'\)",
        ),
        (lambda: anymax.log_prob(torch.zeros(2, 3), torch.tensor([0, 5])), ValueError, "log_prob: target ids"),
    ],
)
def test_bad_arguments_are_told_what_to_write(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_learned_class_weights_get_no_gradient_from_masked_or_ignored_entries():
    x, mask = scores(2, 3), torch.tensor([[False, True, True], [True, True, True]])
    weight = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    loss = anymax.cross_entropy(x, torch.tensor([-100, 1]), weight, mask=mask)
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient[0] == 0
    assert gradient.isfinite().all()
    smoothed = anymax.cross_entropy(x, torch.tensor([2, 1]), weight, mask=mask, label_smoothing=0.1, reduction="sum")
    (gradient,) = torch.autograd.grad(smoothed, weight)
    log_probs = anymax.log_softmax(x, 1, mask=mask)
    # class 0 takes part in row 1 only, as one of three that share the smoothing
    assert_close(gradient[0], -0.1 / 3 * log_probs[1, 0])


def test_a_masked_target_costs_infinity_at_full_smoothing_too():
    x, mask = scores(2, 3), torch.tensor([[False, True, True], [True, True, True]])
    target = torch.tensor([0, 1])
    rows = anymax.cross_entropy(x, target, mask=mask, label_smoothing=1.0, reduction="none")
    assert rows[0] == torch.inf
    assert_close(rows[1], -anymax.log_softmax(x[1], 0).mean())
    # a class of weight 0 costs nothing
    weight = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    rows = anymax.cross_entropy(x, target, weight, mask=mask, label_smoothing=1.0, reduction="none")
    assert rows.isfinite().all()
