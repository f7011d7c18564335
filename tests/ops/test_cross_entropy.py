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


COUNTS = torch.tensor([1000, 100, 10, 1, 0])
PRIOR = torch.tensor([0.5, 3.0, 0.01, 1.0, 40.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("class_prior", "expected"),
    [
        (COUNTS + 1, (0.089329283446, 2.682963545920, 4.300188789963, 6.504936882201, 6.198084062761)),
        (
            (COUNTS + 1).double() ** 0.5,
            (0.394579956382, 1.841397087619, 2.350009709640, 3.702383755760, 3.048957346040),
        ),
        (COUNTS, (0.084707938600, 2.687293031594, 4.389878124588, 7.192463217582, INFINITY)),
    ],
    ids=["balanced softmax", "logit adjustment", "a class that never occurs"],
)
def test_a_class_prior_gives_the_published_losses(class_prior, expected):
    x = torch.tensor([0.2, -0.1, 0.5, 0, 1], dtype=torch.float64).expand(5, 5)
    rows = anymax.cross_entropy(x, torch.arange(5), class_prior=class_prior, reduction="none")
    assert_close(rows, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_log_of_the_prior_is_added_behind_softcap_and_temperature():
    x, target = scores(3, 5, 4).requires_grad_(), ids(5, 3, 4)
    target[0, 0] = -100
    mask = torch.rand(3, 5, 4, generator=generator(4)) > 0.3
    log_prior, temperature = PRIOR.log()[:, None], torch.linspace(0.5, 2, 3, dtype=torch.float64)[:, None, None]
    by_hand = 3 * torch.tanh(x / 3) / temperature + log_prior
    prepared = {"softcap": 3.0, "temperature": temperature, "class_prior": PRIOR}
    options = {"weight": PRIOR.sqrt(), "label_smoothing": 0.1, "z_loss": 0.1}
    for given, added, one_mask in (
        ({"class_prior": PRIOR}, x + log_prior, None),
        (prepared, by_hand, None),
        (prepared, by_hand, mask),
    ):
        for kind in (target, scores(3, 5, 4, seed=7).softmax(1)):
            mine = anymax.cross_entropy(x, kind, mask=one_mask, **options, **given)
            expected = anymax.cross_entropy(added, kind, mask=one_mask, **options)
            assert_close(mine, expected)
            assert_close(*(torch.autograd.grad(loss, x, retain_graph=True) for loss in (mine, expected)))
            parts = zip(
                anymax.log_prob(x, kind, mask=one_mask, **given),
                anymax.log_prob(added, kind, mask=one_mask),
                strict=True,
            )
            for part, its_expected in parts:
                assert_close(part, its_expected)


def test_a_prior_runs_along_the_class_axis():
    x = scores(5, 5, 5)
    target = ids(5, 5, 5)
    for axis in range(3):
        added = x + PRIOR.log().reshape([-1 if at == axis else 1 for at in range(3)])
        expected = anymax.cross_entropy(added, target, dim=axis, reduction="none")
        for backend in anymax.backends():
            if backend.missing is not None:
                continue
            with anymax.use_backend(backend.name):
                found = anymax.cross_entropy(x, target, dim=axis, class_prior=PRIOR, reduction="none")
            assert_close(found, expected)
    order = torch.tensor([3, 0, 4, 1, 2])
    rows, label = scores(6, 5), ids(5, 6)
    renamed = anymax.cross_entropy(rows[:, order], order.argsort()[label], class_prior=PRIOR[order])
    assert_close(renamed, anymax.cross_entropy(rows, label, class_prior=PRIOR))


def test_the_scale_of_a_prior_moves_log_z_and_the_penalty_alone():
    x, target = scores(4, 5), ids(5, 4)
    plain, scaled = ({"class_prior": prior} for prior in (PRIOR, 7 * PRIOR))
    assert_close(anymax.cross_entropy(x, target, **scaled), anymax.cross_entropy(x, target, **plain))
    mine, its_plain = (anymax.log_prob(x, target, **given) for given in (scaled, plain))
    assert_close(mine.log_prob, its_plain.log_prob)
    assert_close(mine.entropy, its_plain.entropy)
    assert_close(mine.log_z, (x.exp() @ (7 * PRIOR)).log())
    penalised = anymax.cross_entropy(x, target, z_loss=0.1, **scaled)
    assert_close(penalised, -mine.log_prob.mean() + 0.1 * mine.log_z.square().mean())


def test_a_prior_of_ones_changes_nothing():
    x, target = scores(4, 5), ids(5, 4)
    for ones in (torch.ones(5), torch.ones(5, dtype=torch.uint8)):
        for options in ({"z_loss": 0.1}, {"softcap": 3.0, "temperature": 0.5, "mask": x > -3}):
            found = anymax.cross_entropy(x, target, class_prior=ones, **options)
            assert torch.equal(found, anymax.cross_entropy(x, target, **options))


def test_under_the_prior_of_the_data_the_best_scores_are_those_of_balanced_classes():
    """The balanced softmax: data of frequencies p(c) p(x|c) teach p(x|c), up to what does not depend on the class."""
    likelihood = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]], dtype=torch.float64)
    prior = torch.tensor([0.9, 0.1], dtype=torch.float64)
    joint = (prior[:, None] * likelihood).T
    x = likelihood.T.log().requires_grad_()

    def loss(**options):
        rows = anymax.cross_entropy(x, joint / joint.sum(1, keepdim=True), reduction="none", **options)
        return (joint.sum(1) * rows).sum()

    (gradient,) = torch.autograd.grad(loss(class_prior=1000 * prior), x)
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-15)
    (gradient,) = torch.autograd.grad(loss(), x)
    assert gradient.abs().max() > 0.1


def test_a_class_of_prior_zero_is_never_read_and_gets_no_gradient():
    prior = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    left = prior.detach()[[0, 2]]
    for value in (0.0, INFINITY, NAN):
        x = torch.tensor([[0.5, value, -1.0]] * 3, dtype=torch.float64, requires_grad=True)
        temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        for given in ({}, {"temperature": temperature}, {"softcap": 2.0}):
            rows = anymax.cross_entropy(x, torch.tensor([0, 2, 1]), class_prior=prior, reduction="none", **given)
            expected = anymax.cross_entropy(
                x[:2, [0, 2]], torch.tensor([0, 1]), class_prior=left, reduction="none", **given
            )
            assert_close(rows[:2], expected)
            assert rows[2] == INFINITY
            found = torch.autograd.grad(rows.sum(), [x, prior, *given.values()][: 3 if "temperature" in given else 2])
            assert all(gradient.isfinite().all() for gradient in found)
            assert (found[0][:, 1] == 0).all()
            assert found[1][1] == 0


def test_the_log_of_a_prior_is_taken_in_the_wider_dtype():
    # the second is 0 in float32
    prior = torch.tensor([1.0, 1e-50, 2.0], dtype=torch.float64)
    for dtype in (torch.float32, torch.bfloat16):
        rows = anymax.cross_entropy(
            torch.zeros(3, 3, dtype=dtype), torch.arange(3), class_prior=prior, reduction="none"
        )
        expected = -(prior / prior.sum()).log()
        assert_close(rows, expected.to(dtype))
    counts = torch.tensor([2**24 + 1, 2**24], dtype=torch.int32)
    x = torch.zeros(1, 2, dtype=torch.float64)
    rows = anymax.cross_entropy(x, torch.tensor([0]), class_prior=counts)
    assert_close(rows, -(counts[0].double() / counts.sum()).log(), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("class_prior", "error", "words"),
    [
        ([1.0, 1.0], TypeError, r"must be a tensor, .* write torch.as_tensor\(class_prior\)"),
        (
            torch.ones(2, dtype=torch.bool),
            TypeError,
            r"must hold weights \(floating point or integers\), got torch.bool",
        ),
        (torch.ones(2, dtype=torch.complex64), TypeError, "must hold weights .* got torch.complex64"),
        (torch.ones(1), ValueError, r"one entry per class, shape \(2,\), got \(1,\)"),
        (torch.ones(3, 2), ValueError, r"one entry per class, shape \(2,\), got \(3, 2\)"),
        (torch.tensor([0.5, -0.5]), ValueError, r"from -0.5 to 0.5; write class_prior.exp\(\) for log-probabilities"),
        (torch.tensor([0.5, NAN]), ValueError, "must hold finite weights of at least 0 .* from nan to nan$"),
        (torch.tensor([0.5, INFINITY]), ValueError, "that are not all 0, got entries from 0.5 to inf$"),
        (torch.zeros(2), ValueError, "that are not all 0, got entries from 0 to 0$"),
    ],
)
@pytest.mark.parametrize("op", ["cross_entropy", "log_prob", "linear_cross_entropy", "linear_log_prob"])
def test_bad_priors_are_told_what_to_write(op, class_prior, error, words):
    arguments = [torch.zeros(3, 2), torch.zeros(3).long()]
    if op.startswith("linear"):
        arguments.insert(1, torch.zeros(2, 2))
    with pytest.raises(error, match=f"{op}: class_prior .*{words}"):
        getattr(anymax, op)(*arguments, class_prior=class_prior)


def test_bad_entries_of_a_prior_are_nan_in_value_and_gradient_where_they_cannot_be_read():
    x, target = scores(2, 3), torch.tensor([0, 2])

    def rows(prior, x):
        return anymax.cross_entropy(x, target, class_prior=prior, reduction="none")

    priors = torch.tensor([[0.5, -0.5, 1], [0.5, NAN, 1], [0.5, INFINITY, 1], [0.5, 0.5, 1]], dtype=torch.float64)
    values = torch.vmap(rows, (0, None))(priors, x)
    gradients = torch.vmap(torch.func.grad(lambda prior, x: rows(prior, x).sum(), 1), (0, None))(priors, x)
    assert values[:3].isnan().all()
    assert gradients[:3].isnan().all()
    assert values[3].isfinite().all()
    assert gradients[3].isfinite().all()
