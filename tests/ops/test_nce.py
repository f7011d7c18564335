"""Losses over a few drawn classes: their formulas, rows of the table, derivatives, numbers and errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.testing import assert_close

import anymax
from anymax import noise
from anymax.noise.draws import Candidates, Race
from anymax.testing.inputs import randn, seed

# torch's own jvp decompositions are scripted when the first dual is made
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

INFINITY = float("inf")
EACH = pytest.mark.parametrize("loss", [anymax.nce_loss, anymax.negative_sampling_loss, anymax.sampled_softmax_loss])
CORRECTIONS = pytest.mark.parametrize("correction", ["ranking", "importance"])
MODES = [
    pytest.param(anymax.nce_loss, {}, id="nce"),
    pytest.param(anymax.negative_sampling_loss, {}, id="negative"),
    pytest.param(anymax.sampled_softmax_loss, {"correction": "ranking"}, id="ranking"),
    pytest.param(anymax.sampled_softmax_loss, {"correction": "ranking", "unique": False}, id="ranking-replacement"),
    pytest.param(anymax.sampled_softmax_loss, {"correction": "importance"}, id="importance"),
    pytest.param(
        anymax.sampled_softmax_loss, {"correction": "importance", "unique": False}, id="importance-replacement"
    ),
]

NUM_CLASSES, IN_FEATURES = 9, 4
LAW = noise.Unigram(torch.arange(1, NUM_CLASSES + 1), power=0.75)
# enough classes for unique draws by tries
WIDE_LAW = noise.LogUniform(300)
TARGET = torch.tensor([0, 3, -100, 8, 3, -100, 1])


def problem(
    rows: int = len(TARGET), num_classes: int = NUM_CLASSES, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = ((rows, IN_FEATURES), (num_classes, IN_FEATURES), (num_classes,))
    return tuple(randn(*shape, at=at, dtype=dtype).requires_grad_() for at, shape in enumerate(shapes))


def gradients(loss: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss.sum(), inputs)


def probabilities(law: noise.Noise) -> Tensor:
    return law.log_prob(torch.arange(law.num_classes)).exp()


# ------------------------------------------------------------------------------- the exact loss, and formulas by hand


@CORRECTIONS
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_all_classes_make_cross_entropy(correction, dtype, tolerance):
    inputs = problem(dtype=dtype)
    features, table, bias = inputs
    law = noise.All(NUM_CLASSES)
    sampled = anymax.sampled_softmax_loss(features, table, TARGET, law, linear_bias=bias, correction=correction)
    full = cross_entropy(linear(features, table, bias), TARGET)
    assert_close(sampled, full, rtol=0, atol=tolerance)
    for mine, torchs in zip(gradients(sampled, inputs), gradients(full, inputs), strict=True):
        assert_close(mine, torchs, rtol=0, atol=tolerance)


def softplus(score: float) -> float:
    return math.log1p(math.exp(score))


def test_nce_is_its_formula():
    features, table, bias = (tensor.detach() for tensor in problem())
    candidates, c = LAW.sample(5, generator=seed(1)), 0.7
    rows = anymax.nce_loss(
        features, table, TARGET, candidates, linear_bias=bias, log_partition=c, reduction="none"
    ).tolist()
    scores, q = (features @ table.T + bias).tolist(), probabilities(LAW).tolist()
    for row, target in enumerate(TARGET.tolist()):
        expected = 0.0
        if target != -100:
            expected = softplus(-(scores[row][target] - c - math.log(5 * q[target])))
            expected += sum(softplus(scores[row][j] - c - math.log(5 * q[j])) for j in candidates.ids.tolist())
        assert rows[row] == pytest.approx(expected, rel=1e-12)


def test_negative_sampling_is_its_formula_with_all_draws():
    features, table, bias = (tensor.detach() for tensor in problem())
    candidates = LAW.sample(20, generator=seed(1))
    rows = anymax.negative_sampling_loss(features, table, TARGET, candidates, linear_bias=bias, reduction="none")
    # hits too
    assert {3, 8} <= set(candidates.ids.tolist())
    scores = (features @ table.T + bias).tolist()
    for row, (found, target) in enumerate(zip(rows.tolist(), TARGET.tolist(), strict=True)):
        expected = 0.0
        if target != -100:
            expected = softplus(-scores[row][target]) + sum(softplus(scores[row][j]) for j in candidates.ids.tolist())
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("unique", [False, True])
@CORRECTIONS
def test_sampled_softmax_is_its_formula(correction, unique):
    features, table, bias = (tensor.detach() for tensor in problem())
    ids = [3, 0, 0, 7, 2] if not unique else [3, 0, 7, 2]
    log_count = randn(NUM_CLASSES, at=5)
    candidates = Candidates(
        torch.tensor(ids), log_count[ids], target_log_expected_count=lambda target: log_count[target], unique=unique
    )
    rows = anymax.sampled_softmax_loss(
        features, table, TARGET, candidates, linear_bias=bias, correction=correction, reduction="none"
    ).tolist()
    scores, log_e = (features @ table.T + bias).tolist(), log_count.tolist()
    for row, target in enumerate(TARGET.tolist()):
        expected = 0.0
        if target != -100:
            # hits stay for ranking with replacement alone; of duplicates, every one goes
            keeps_hits = correction == "ranking" and not unique
            drawn = [scores[row][j] - log_e[j] for j in ids if keeps_hits or j != target]
            positive = scores[row][target] - (log_e[target] if correction == "ranking" else 0.0)
            expected = -positive + math.log(math.exp(positive) + sum(map(math.exp, drawn)))
        assert rows[row] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("loss", "options"), MODES)
def test_own_draws_per_row_are_a_loop_over_rows(loss, options):
    features, table, bias = problem()
    unique = options.get("unique", loss is anymax.sampled_softmax_loss)
    keep = {name: value for name, value in options.items() if name != "unique"}
    together = loss(
        features, table, TARGET, LAW, num_noise=3, shared=False, reduction="none", linear_bias=bias,
        generator=seed(2), **options,
    )  # fmt: skip
    drawn = LAW.sample((len(TARGET), 3), unique=unique, generator=seed(2))
    for row in range(len(TARGET)):
        if unique:
            own = Race(LAW, drawn.arrivals[row], drawn.times[row])
        else:
            own = Candidates(
                drawn.ids[row],
                drawn.log_expected_count[row],
                target_log_expected_count=drawn.target_log_expected_count,
                unique=False,
            )
        single = loss(features[row], table, TARGET[row], own, linear_bias=bias, reduction="sum", **keep)
        assert_close(together[row], single)


@pytest.mark.parametrize(("loss", "options"), MODES)
@pytest.mark.parametrize("shared", [True, False])
def test_leading_axes_are_rows(loss, options, shared):
    features, table, bias = problem(6)
    target = TARGET[:6]
    options = {**options, "num_noise": 3, "shared": shared, "linear_bias": bias, "generator": seed(3)}
    flat = loss(features, table, target, LAW, reduction="none", **options)
    shaped = loss(features.reshape(2, 3, -1), table, target.reshape(2, 3), LAW, reduction="none", **options)
    assert_close(shaped, flat.reshape(2, 3))
    assert_close(loss(features, table, target, LAW, **options), flat.sum() / (target != -100).sum())
    assert_close(loss(features, table, target, LAW, reduction="sum", **options), flat.sum())


def test_log_partition_may_vary_by_row_and_learn():
    features, table, _ = problem()
    log_partition = randn(len(TARGET), at=9).requires_grad_()
    candidates = LAW.sample(4, generator=seed(4))
    together = anymax.nce_loss(features, table, TARGET, candidates, log_partition=log_partition, reduction="none")
    for row, c in enumerate(log_partition.tolist()):
        single = anymax.nce_loss(features[row], table, TARGET[row], candidates, log_partition=c, reduction="sum")
        assert_close(together[row], single)
    (gradient,) = gradients(together, (log_partition,))
    assert (gradient == 0).tolist() == (TARGET == -100).tolist()


# -------------------------------------------------------------------------------------------------- rows of the table


@pytest.mark.parametrize(("loss", "options"), MODES)
@pytest.mark.parametrize("shared", [True, False])
def test_sparse_gradients_are_the_dense_ones(loss, options, shared):
    inputs = features, table, bias = problem(num_classes=300)
    target = TARGET.clamp(max=299)

    def both(sparse: bool) -> tuple[Tensor, ...]:
        value = loss(
            features, table, target, WIDE_LAW, num_noise=4, linear_bias=bias, shared=shared, sparse=sparse,
            generator=seed(7), **options,
        )  # fmt: skip
        return gradients(value, inputs)

    for dense, sparse in zip(both(False)[1:], both(True)[1:], strict=True):
        assert sparse.is_sparse
        assert_close(sparse.to_dense(), dense)
        # B + k rows, and one more arrival for unique sampled softmax
        draws = (4 + (options.get("unique", loss is anymax.sampled_softmax_loss))) * (1 if shared else len(target))
        assert sparse._nnz() == len(target) + draws
        touched = set(sparse.coalesce().indices()[0].tolist())
        assert len(touched) <= len(target) + draws < 300
        assert {0, 1, 3, 8} <= touched


def test_an_ignored_row_touches_no_row_of_its_own():
    features, table, _ = problem(3, num_classes=300)
    candidates = Candidates(
        torch.tensor([50, 60]), torch.zeros(2), target_log_expected_count=torch.zeros_like, unique=False
    )
    target = torch.tensor([-100, 70, -100])
    value = anymax.nce_loss(features, table, target, candidates, sparse=True)
    (gradient,) = gradients(value, (table,))
    assert gradient.coalesce().indices()[0].tolist() == [50, 60, 70]


def test_sparse_gradients_step():
    table, bias = torch.nn.Parameter(randn(300, 4, dtype=torch.float32)), torch.nn.Parameter(torch.zeros(300))
    before = table.detach().clone()
    optimizer = torch.optim.SparseAdam([table, bias], lr=0.1)
    target = torch.tensor([1, 2])
    candidates = WIDE_LAW.sample(5, generator=seed(8))
    anymax.nce_loss(torch.ones(2, 4), table, target, candidates, linear_bias=bias, sparse=True).backward()
    optimizer.step()
    moved = (table != before).any(-1).nonzero().flatten().tolist()
    assert moved == sorted({1, 2, *candidates.ids.tolist()})


# --------------------------------------------------------------------------------------- derivatives and transforms


def call(loss, options, shared: bool, law: noise.Noise, reduction: str = "mean"):
    def function(features: Tensor, table: Tensor, bias: Tensor, target: Tensor, generator: Tensor) -> Tensor:
        return loss(
            features, table, target, law, num_noise=3, linear_bias=bias, shared=shared, generator=generator,
            reduction=reduction, **options,
        )  # fmt: skip

    return function


@pytest.mark.parametrize(("loss", "options"), MODES)
@pytest.mark.parametrize("shared", [True, False])
def test_derivatives_match_differences(loss, options, shared):
    inputs = problem()
    function = call(loss, options, shared, LAW)

    def fixed(*inputs: Tensor) -> Tensor:
        return function(*inputs, TARGET, seed(9))

    assert torch.autograd.gradcheck(fixed, inputs, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(fixed, inputs, check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.parametrize(("loss", "options"), MODES)
@pytest.mark.parametrize("law", [LAW, WIDE_LAW], ids=["few", "many"])
def test_vmap_is_a_loop(loss, options, law):
    features, table, bias = problem(num_classes=law.num_classes)
    function = call(loss, options, True, law)
    seeds = torch.arange(3)
    together = torch.vmap(torch.func.grad(function), (None, None, None, None, 0))(features, table, bias, TARGET, seeds)
    for at, generator in enumerate(seeds):
        assert_close(together[at], torch.func.grad(function)(features, table, bias, TARGET, generator))
    # over rows: each a problem of its own with the same draw
    rows = torch.vmap(function, (0, None, None, 0, None))(features, table, bias, TARGET, seed(4))
    assert_close(rows, call(loss, options, True, law, "none")(features, table, bias, TARGET, seed(4)))


# the law suite compiles the other modes
@pytest.mark.parametrize("shared", [True, False])
def test_compiles_whole_at_any_number_of_rows(shared):
    torch.compiler.reset()
    function = call(anymax.sampled_softmax_loss, {}, shared, WIDE_LAW)
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True, dynamic=True)
    for rows in (7, 5, 4):
        inputs = problem(rows, num_classes=300)
        mine = compiled(*inputs, TARGET[:rows], seed(rows))
        eager = function(*inputs, TARGET[:rows], seed(rows))
        assert_close(mine, eager)
        for one, other in zip(gradients(mine, inputs), gradients(eager, inputs), strict=True):
            assert_close(one, other)


def test_compiled_and_eager_code_draw_alike_after_one_seed():
    torch.compiler.reset()
    features, table, _ = problem(num_classes=300)

    def loss() -> Tensor:
        return anymax.nce_loss(features.detach(), table.detach(), TARGET, WIDE_LAW, num_noise=5)

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.manual_seed(0)
    results = [compiled(), compiled()]
    torch.manual_seed(0)
    for result in results:
        assert_close(result, loss())
    assert results[0] != results[1]


@EACH
def test_a_generator_repeats_and_the_default_moves_on(loss):
    features, table, _ = problem(num_classes=300)

    def draw(generator: torch.Generator | None) -> float:
        return loss(features, table, TARGET, WIDE_LAW, num_noise=5, generator=generator).item()

    assert draw(torch.Generator().manual_seed(5)) == draw(torch.Generator().manual_seed(5))
    assert draw(None) != draw(None)


# ------------------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(("loss", "options"), MODES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32(loss, options, dtype):
    # one class in every row: its gradient is a sum of 512, which a half type would lose
    rows = 512
    target = torch.full((rows,), 3)
    inputs = tuple(tensor.detach().requires_grad_() for tensor in problem(rows, dtype=dtype))
    exact_inputs = tuple(tensor.detach().double().requires_grad_() for tensor in inputs)
    function = call(loss, options, True, LAW, "sum")
    value, exact = function(*inputs, target, seed(1)), function(*exact_inputs, target, seed(1))
    assert value.dtype == dtype
    assert_close(value.double(), exact, rtol=torch.finfo(dtype).eps, atol=0)
    for mine, right in zip(gradients(value, inputs), gradients(exact, exact_inputs), strict=True):
        assert mine.dtype == dtype
        scale = right.abs().amax().item()
        assert_close(mine.double(), right, rtol=torch.finfo(dtype).eps, atol=1e-5 * scale)


@EACH
def test_autocast_returns_float32_of_full_precision(loss):
    features, table, bias = problem(num_classes=300, dtype=torch.float32)
    options = {"num_noise": 5, "linear_bias": bias, "generator": seed(3)}
    plain = loss(features, table, TARGET, WIDE_LAW, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(loss(features, table, TARGET, WIDE_LAW, **options), plain)
        assert loss(features.bfloat16(), table, TARGET, WIDE_LAW, **options).dtype == torch.float32


@pytest.mark.parametrize(("loss", "options"), MODES)
def test_ignored_rows_cost_nothing_and_are_not_read(loss, options):
    features, table, bias = problem()
    spoilt = torch.where((TARGET == -100).unsqueeze(-1), float("nan"), features.detach()).requires_grad_()
    candidates = LAW.sample(4, unique=options.get("unique", loss is anymax.sampled_softmax_loss), generator=seed(2))
    keep = {name: value for name, value in options.items() if name != "unique"}
    counted = TARGET != -100
    value = loss(spoilt, table, TARGET, candidates, linear_bias=bias, **keep)
    assert_close(value, loss(features[counted], table, TARGET[counted], candidates, linear_bias=bias, **keep))
    for gradient in gradients(value, (spoilt, table, bias)):
        assert bool(gradient.isfinite().all())
    other = torch.where(counted, TARGET, 5)
    assert_close(value, loss(spoilt, table, other, candidates, linear_bias=bias, ignore_index=5, **keep))


@pytest.mark.parametrize(("loss", "options"), MODES)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("law", [LAW, WIDE_LAW], ids=["few", "many"])
def test_a_mean_over_nothing_is_zero(loss, options, shared, law):
    for target in (torch.full((4,), -100), torch.zeros(0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        _, table, bias = problem(num_classes=law.num_classes)
        features = randn(*target.shape, IN_FEATURES).requires_grad_()
        value = call(loss, options, shared, law)(features, table, bias, target, seed(1))
        assert value == 0
        for gradient in gradients(value, (features, table, bias)):
            assert bool((gradient == 0).all())


@EACH
def test_scores_at_the_edge(loss):
    # scores of +-1e4 cost what they are where they disagree with the target, and nothing where they agree
    table = torch.tensor([[-1e4], [1e4], [-1e4]]).double()
    candidates = Candidates(
        torch.tensor([0]), torch.zeros(1), target_log_expected_count=lambda t: torch.zeros_like(t).double(), unique=True
    )
    features = torch.ones(2, 1).double().requires_grad_()
    value = loss(features, table, torch.tensor([1, 2]), candidates, reduction="none")
    assert_close(value, torch.tensor([0.0, 1e4 if loss is not anymax.sampled_softmax_loss else math.log(2)]).double())
    (gradient,) = gradients(value, (features,))
    assert_close(
        gradient.flatten(), torch.tensor([0.0, 1e4 if loss is not anymax.sampled_softmax_loss else 0.0]).double()
    )
    # a score of -inf is a class that is not there; as target it costs everything
    bias = torch.tensor([-INFINITY, 0.0, 0.0]).double()
    value = loss(features, table.abs(), torch.tensor([1, 2]), candidates, linear_bias=bias, reduction="none")
    assert value.tolist() == [0.0, 0.0]
    bias = torch.tensor([0.0, 0.0, -INFINITY]).double()
    value = loss(features, table, torch.tensor([1, 2]), candidates, linear_bias=bias, reduction="none")
    assert value.tolist() == [0.0, INFINITY]


def test_nce_keeps_small_losses():
    # softplus(-30) and no more: torch's own softplus is exact to 1e-9 only
    table = torch.tensor([[0.0], [-60.0]]).double()
    candidates = Candidates(
        torch.tensor([1]), torch.zeros(1).double(), target_log_expected_count=lambda t: -30.0 - t.double(), unique=False
    )
    value = anymax.nce_loss(torch.ones(1, 1).double(), table, torch.tensor([0]), candidates)
    assert value.item() == pytest.approx(math.exp(-30) + math.exp(-60), rel=1e-12)


# ------------------------------------------------------------------------------------------------------------- errors


@EACH
def test_a_bad_target_spoils_its_own_row_where_values_cannot_be_read(loss):
    torch.compiler.reset()
    features, table, _ = problem(4)
    law = noise.Unigram([0, *range(1, NUM_CLASSES)])
    # out of range above and below, of probability 0, and a good one
    target = torch.tensor([NUM_CLASSES, -1, 0, 3])
    function = call(loss, {}, False, law, "none")
    bias = torch.zeros(NUM_CLASSES).double()
    expected = [True, True, True, False]
    rows = torch.vmap(function, (0, None, None, 0, None))(features[:, None], table, bias, target[:, None], seed(0))
    assert rows.flatten().isnan().tolist() == expected
    if loss is anymax.nce_loss:
        compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
        rows = compiled(features, table, bias, target, seed(0))
        assert rows.isnan().tolist() == expected
        assert gradients(rows, (features,))[0].isnan().all(-1).tolist() == expected


FEATURES, CLASSES, IDS = torch.ones(3, 4), torch.ones(9, 4), torch.tensor([0, 3, 8])
RIGHT_CALL = (
    r"nce_loss: features, class table and target go in, not logits: .*; "
    r"write nce_loss\(features, linear\.weight, target, noise\.Unigram\(class_counts\), linear_bias=linear\.bias\)$"
)


@pytest.mark.parametrize(
    "arguments",
    [
        # (logits, noise distribution, noise embedding), as tutorials have it
        (torch.ones(3, 9), torch.ones(9) / 9, torch.nn.Embedding(9, 4)),
        (torch.ones(3, 9), torch.distributions.Categorical(torch.ones(9)), torch.ones(9, 4)),
        (torch.ones(3, 9), torch.ones(9) / 9, torch.ones(9, 4)),
        (torch.ones(3, 9), noise.Uniform(9), torch.ones(9, 4)),
        (torch.ones(3, 9), torch.ones(3, 9), torch.ones(9, 4)),
        (torch.ones(3, 9), IDS),
        (torch.ones(3, 9), IDS, noise.Uniform(9)),
        (FEATURES, CLASSES, IDS),
        (FEATURES, CLASSES, IDS.float(), noise.Uniform(9)),
        (FEATURES, torch.nn.Linear(4, 9), IDS, noise.Uniform(9)),
        (FEATURES, CLASSES, IDS, noise.Uniform),
    ],
)
def test_calls_as_in_tutorials_end_in_the_right_one(arguments):
    with pytest.raises(TypeError, match=RIGHT_CALL) as raised:
        anymax.nce_loss(*arguments)
    assert "\n" not in str(raised.value)


@EACH
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"noise": torch.ones(9) / 9}, TypeError, r"counts or probabilities per class make the law noise\.Unigram"),
        ({"input": torch.ones(3, 9)}, ValueError, r"in the 4 features of .* got shape \(3, 9\); features go in, not l"),
        (
            {"input": torch.ones(3, 5)},
            ValueError,
            r"in the 4 features of the class table \(9, 4\), got shape \(3, 5\)$",
        ),
        ({"target": IDS[:2]}, ValueError, r"input's shape without the features, \(3,\), got \(2,\)"),
        ({"target": IDS + 1}, ValueError, r"target ids must be in \[0, 8\] or ignore_index \(-100\), got 9"),
        (
            {"noise": noise.Uniform(8)},
            ValueError,
            r"noise must be a law over the 9 classes .* Uniform\(num_classes=8\)",
        ),
        ({"noise": noise.Unigram([0] + [1] * 8)}, ValueError, r"target a positive probability, and class 0 has none"),
        ({"noise": noise.Uniform(9).to("meta")}, ValueError, r"noise must be on the input's device cpu, got meta"),
        ({"num_noise": 4.0}, TypeError, r"num_noise must be an int, got 4\.0 of type float"),
        ({"num_noise": 0}, ValueError, r"num_noise must be at least 1, got 0"),
        ({"shared": 1}, TypeError, r"shared must be True or False, got 1"),
        ({"sparse": 0}, TypeError, r"sparse must be True or False, got 0"),
        ({"reduction": "avg"}, ValueError, r"reduction must be one of 'none', 'mean', 'sum', got 'avg'"),
        ({"linear_bias": torch.ones(4)}, ValueError, r"one entry per class, shape \(9,\), got \(4,\)"),
        ({"ignore_index": None}, TypeError, r"ignore_index must be an int, got None"),
        ({"generator": 3}, TypeError, r"generator must be a torch\.Generator, a 0-d int64 tensor"),
        ({"noise": noise.All(9), "num_noise": 7}, ValueError, r"num_noise has no effect on All, which draws nothing"),
        ({"noise": noise.All(9), "shared": False}, ValueError, r"shared has no effect on All, which draws nothing"),
        ({"noise": noise.Uniform(9).sample(3)}, ValueError, r"num_noise has no effect on Candidates, which are drawn"),
    ],
)
def test_bad_input_is_one_sentence(loss, change, error, message):
    arguments = {"input": FEATURES, "linear_weight": CLASSES, "target": IDS, "noise": noise.Uniform(9), "num_noise": 3}
    assert loss(**arguments).isfinite()
    if isinstance(change.get("noise"), noise.All):
        arguments.pop("num_noise")
    with pytest.raises(error, match=rf"^{loss.__name__}: .*{message}") as raised:
        loss(**{**arguments, **change})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: anymax.sampled_softmax_loss(FEATURES, CLASSES, IDS, noise.Uniform(9), num_noise=9),
            r"sampled_softmax_loss: 9 unique draws are not fewer than the 9 classes .* noise\.All\(9\)",
        ),
        (
            lambda: anymax.sampled_softmax_loss(FEATURES, CLASSES, IDS, noise.All(9), unique=False),
            r"unique has no effect on All",
        ),
        (
            lambda: anymax.sampled_softmax_loss(
                FEATURES, CLASSES, IDS, noise.Uniform(9).sample(3), generator=torch.Generator()
            ),
            r"generator has no effect on Candidates",
        ),
        (
            lambda: anymax.sampled_softmax_loss(FEATURES, CLASSES, IDS, noise.All(9), correction="none"),
            r"correction must be one of 'ranking', 'importance', got 'none'",
        ),
        (
            lambda: anymax.nce_loss(FEATURES, CLASSES, IDS, noise.All(9), log_partition=torch.zeros(2)),
            r"nce_loss: log_partition must broadcast against the target's shape \(3,\), got shape \(2,\)",
        ),
        (
            lambda: anymax.nce_loss(FEATURES, CLASSES, IDS, noise.Uniform(9).sample((2, 3))),
            r"nce_loss: noise must hold ids of shape \(k,\), shared by all rows, or \(3, 'k'\), got \(2, 3\)",
        ),
        (
            lambda: anymax.nce_loss(FEATURES, CLASSES, IDS, noise.Uniform(20).sample(50, generator=seed(0))),
            r"nce_loss: noise must hold ids in \[0, 8\], got \d+",
        ),
    ],
)
def test_arguments_that_do_not_go_together(call, message):
    with pytest.raises(ValueError, match=message):
        call()
