"""info_nce: its formula, copies, masks and frequencies, where it comes to rest, edges and errors."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torch.testing import assert_close

import anymax
from anymax import noise
from anymax._core.dispatch import backend_names
from anymax.testing.inputs import randn

# torch's own jvp decompositions are scripted when the first dual is made
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

INFINITY = float("inf")
EACH_WAY = pytest.mark.parametrize("symmetric", [False, True])


@pytest.fixture(params=backend_names(), autouse=True)
def backend(request):
    with anymax.use_backend(request.param):
        yield request.param


def pairs(rows: int = 6, keys: int = 6, width: int = 4) -> tuple[Tensor, Tensor]:
    return randn(rows, width), randn(keys, width, at=1)


def clip(scores: Tensor) -> Tensor:
    target = torch.arange(len(scores))
    return (cross_entropy(scores, target) + cross_entropy(scores.T, target)) / 2


# ------------------------------------------------------------------------------------------------------ its formula


def by_hand(scores, target, compared):
    """Row by row in Python's own numbers."""
    rows = []
    for row, own in enumerate(target):
        others = [math.exp(scores[row][at]) for at in range(len(scores[row])) if compared(row, at)]
        rows.append(math.log(sum(others)) - scores[row][own])
    return rows


def test_it_is_its_formula():
    query, key = pairs(4, 7)
    target, ids, log_q = [2, 0, 6, 2], [5, 1, 5, 1, 5, 9, 1], randn(7, at=2)
    mask = randn(4, 7, at=3) > -0.7
    mask[range(4), target] = True
    assert not bool(mask.all())
    scores = (query @ key.T / 0.3 - log_q).tolist()
    expected = by_hand(
        scores, target, lambda row, at: mask[row, at] and (at == target[row] or ids[at] != ids[target[row]])
    )
    options = {"temperature": 0.3, "log_q": log_q, "key_ids": torch.tensor(ids), "mask": mask}
    rows = anymax.info_nce(query, key, torch.tensor(target), reduction="none", **options)
    assert_close(rows, torch.tensor(expected, dtype=torch.float64))
    assert_close(anymax.info_nce(query, key, torch.tensor(target), **options), rows.mean())
    assert_close(anymax.info_nce(query, key, torch.tensor(target), reduction="sum", **options), rows.sum())


@EACH_WAY
def test_it_is_what_one_writes_in_torch(symmetric):
    query, key = (tensor.requires_grad_() for tensor in pairs())
    temperature = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    inputs = query, key, temperature
    mine = anymax.info_nce(query, key, temperature=temperature, symmetric=symmetric)
    scores = query @ key.T / temperature
    theirs = clip(scores) if symmetric else cross_entropy(scores, torch.arange(6))
    assert_close(mine, theirs)
    for one, other in zip(torch.autograd.grad(mine, inputs), torch.autograd.grad(theirs, inputs), strict=True):
        assert_close(one, other)


def test_a_permutation_moves_pairs_and_the_loss_with_them():
    query, key = pairs()
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    options = {"symmetric": True, "reduction": "none", "temperature": 0.5}
    expected = anymax.info_nce(query, key, **options)
    assert_close(anymax.info_nce(query, key[order], order.argsort(), **options), expected)
    # and each row holds its own column
    scores = query @ key.T / 0.5
    rows = torch.stack([cross_entropy(side, torch.arange(6), reduction="none") for side in (scores, scores.T)])
    assert_close(expected, rows.mean(0))


@EACH_WAY
def test_leading_axes_are_batches_of_their_own(symmetric, backend):
    if backend == "cpu":
        pytest.skip("the kernel is for one matrix of queries")
    query, key, log_q = randn(2, 3, 4, 5), randn(2, 3, 4, 5, at=1), randn(3, 4, at=2)
    together = anymax.info_nce(query, key, log_q=log_q, symmetric=symmetric, reduction="none")
    for at in itertools.product(range(2), range(3)):
        single = anymax.info_nce(query[at], key[at], log_q=log_q[at[1]], symmetric=symmetric, reduction="none")
        assert_close(together[at], single)


def test_keys_behind_the_last_query_are_negatives_for_all():
    query, key = pairs(3, 5)
    expected = cross_entropy(query @ key.T, torch.arange(3))
    assert_close(anymax.info_nce(query, key), expected)


def test_a_temperature_per_query():
    query, key = pairs()
    temperature = torch.linspace(0.2, 2, 6, dtype=torch.float64).unsqueeze(1)
    rows = anymax.info_nce(query, key, temperature=temperature, reduction="none")
    for row, value in enumerate(temperature.flatten().tolist()):
        single = anymax.info_nce(query, key, temperature=value, reduction="none")
        assert_close(rows[row], single[row])


def test_the_temperature_divides_before_log_q_is_taken_away():
    query, key = pairs()
    log_q = randn(6, at=2)
    expected = cross_entropy(query @ key.T / 0.1 - log_q, torch.arange(6))
    assert_close(anymax.info_nce(query, key, temperature=0.1, log_q=log_q), expected)
    assert not torch.isclose(cross_entropy((query @ key.T - log_q) / 0.1, torch.arange(6)), expected)


# ------------------------------------------------------------------------------------------ copies, masks, frequencies


@EACH_WAY
@pytest.mark.parametrize("rows", [1, 2, 64])
def test_alike_scores_cost_log_of_their_number(rows, symmetric):
    vectors = torch.ones(rows, 3)
    assert anymax.info_nce(vectors, vectors, symmetric=symmetric).item() == pytest.approx(math.log(rows), abs=1e-6)


@pytest.mark.parametrize(("copies", "floor"), [(2, 0.693147), (4, 1.386294)])
def test_copies_of_the_positive_put_a_floor_under_the_loss(copies, floor):
    vectors = torch.eye(8, dtype=torch.float64).repeat_interleave(copies, 0)
    ids = torch.arange(8).repeat_interleave(copies)
    assert anymax.info_nce(vectors, vectors, temperature=0.07).item() == pytest.approx(floor, abs=1e-4)
    for symmetric in (False, True):
        masked = anymax.info_nce(vectors, vectors, temperature=0.07, key_ids=ids, symmetric=symmetric)
        assert masked.item() == pytest.approx(7 * copies * math.exp(-1 / 0.07), rel=1e-3)


def test_copies_of_the_positive_alone_are_left_out():
    # copies among the negatives stay, all copies of the positive go, and the positive's own score is what it was
    query, key = pairs(1, 6)
    scores = (query @ key.T)[0]
    ids = torch.tensor([7, 3, 7, 3, 3, 7])
    query.requires_grad_()
    loss = anymax.info_nce(query, key, torch.tensor([2]), key_ids=ids)
    assert_close(loss, scores[[2, 1, 3, 4]].logsumexp(0) - scores[2])
    (gradient,) = torch.autograd.grad(loss, query)
    assert_close(gradient[0], torch.softmax(scores[[2, 1, 3, 4]], 0) @ key[[2, 1, 3, 4]] - key[2])


def test_the_own_positive_stays_though_its_id_is_shared_by_all():
    query, key = pairs()
    assert anymax.info_nce(query, key, key_ids=torch.zeros(6, dtype=torch.int32)) == 0


@EACH_WAY
def test_a_mask_is_a_smaller_batch(symmetric):
    query, key = (tensor.requires_grad_() for tensor in pairs())
    kept = torch.tensor([0, 2, 3])
    mask = torch.isin(torch.arange(6), kept)
    both = mask & mask.unsqueeze(1)
    options = {"symmetric": symmetric, "reduction": "none"}
    with torch.no_grad():
        rows = anymax.info_nce(query, key, mask=both, **options)
        expected = anymax.info_nce(query[kept], key[kept], **options)
    assert_close(rows[kept], expected)
    # a positive that is masked costs everything, and has no gradient
    assert rows[~mask].tolist() == [INFINITY] * 3
    loss = anymax.info_nce(query, key, mask=both, symmetric=symmetric)
    assert loss == INFINITY
    for gradient, of in zip(torch.autograd.grad(loss, (query, key)), (query, key), strict=True):
        few = anymax.info_nce(query[kept], key[kept], symmetric=symmetric, reduction="sum")
        (right,) = torch.autograd.grad(few, of, retain_graph=True)
        assert_close(gradient, right / 6)


def test_a_mask_may_be_another_for_each_query_and_key():
    query, key = pairs()
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    mask = randn(6, 6, at=3) > -0.3
    mask[range(6), order] = True
    assert not torch.equal(mask[:, order], mask[:, order].T)
    scores = (query @ key.T).masked_fill(~mask, -INFINITY)[:, order]
    rows = anymax.info_nce(query, key, order, mask=mask, symmetric=True, reduction="none")
    target = torch.arange(6)
    sides = [cross_entropy(side, target, reduction="none") for side in (scores, scores.T)]
    assert_close(rows, (sides[0] + sides[1]) / 2)
    # however low a score is
    only = torch.tensor([True, False])
    assert anymax.info_nce(torch.ones(1, 1), torch.tensor([[-3e4], [0.0]]), mask=only) == 0


def test_a_key_that_takes_part_nowhere_is_not_read():
    query, key = pairs(3, 5)
    key[3], log_q = float("nan"), torch.tensor([0.0, 1.0, 0.0, -INFINITY, 0.5]).double()
    query.requires_grad_(), key.requires_grad_()
    mask = torch.arange(5) != 3
    loss = anymax.info_nce(query, key, mask=mask, log_q=log_q)
    assert_close(loss, anymax.info_nce(query, key[mask], log_q=log_q[mask]))
    for gradient in torch.autograd.grad(loss, (query, key)):
        assert bool(gradient.isfinite().all())
    # nor is its frequency to blame for what spoils the loss
    assert anymax.info_nce(query * float("nan"), key, mask=mask, log_q=log_q).isnan()


def test_a_constant_of_log_q_changes_nothing_and_columns_do_not_see_it():
    query, key = pairs()
    log_q = randn(6, at=2)
    for symmetric in (False, True):
        plain = anymax.info_nce(query, key, log_q=log_q, symmetric=symmetric)
        assert_close(anymax.info_nce(query, key, log_q=log_q + 7, symmetric=symmetric), plain)
    scores = query @ key.T
    target = torch.arange(6)
    assert_close(plain, (cross_entropy(scores - log_q, target) + cross_entropy(scores.T, target)) / 2)


def test_what_was_never_seen_has_a_finite_loss():
    law = noise.LearnedUnigram(100)
    law.update(torch.tensor([3] * 1000))
    query, key = pairs()
    assert anymax.info_nce(query, key, log_q=law.log_prob(torch.arange(6))).isfinite()


# --------------------------------------------------------------------------------------------- where it comes to rest

TRUTH = torch.tensor([0.55, 0.25, 0.15, 0.05], dtype=torch.float64)
NOISE = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)


def gradient_at_truth(negatives: int, *, log_q: Tensor | None, by_ids: bool = False) -> Tensor:
    """The gradient in free scores at log p: every positive from the truth, every draw of negatives from the noise."""
    scores = TRUTH.log().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for positive, *others in itertools.product(range(4), repeat=negatives + 1):
        ids = torch.tensor([positive, *others])
        loss = anymax.info_nce(
            torch.ones(1, 1, dtype=torch.float64),
            scores[ids].unsqueeze(1),
            log_q=None if log_q is None else log_q[ids],
            key_ids=ids if by_ids else None,
        )
        total = total + TRUTH[positive] * NOISE[others].prod() * loss
    return torch.autograd.grad(total, scores)[0]


@pytest.mark.parametrize("negatives", [1, 2, 4])
def test_with_log_q_it_rests_at_the_truth(negatives):
    gradient = gradient_at_truth(negatives, log_q=NOISE.log())
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)
    # and nowhere near it without log q or with the other sign
    for log_q in (None, -NOISE.log()):
        assert gradient_at_truth(negatives, log_q=log_q).abs().max() > 0.05
    # of two draws or more, copies that are left out move it a little
    moved = gradient_at_truth(negatives, log_q=NOISE.log(), by_ids=True).abs().max()
    assert (moved > 0.002) == (negatives > 1)


def learned(negatives: int, corrected: bool) -> float:
    """KL(truth || learnt) of 20 free scores after training on sampled batches."""
    generator = torch.Generator().manual_seed(negatives)
    truth = torch.softmax(randn(20, at=5, dtype=torch.float32), 0)
    q = torch.softmax(randn(20, at=6, dtype=torch.float32), 0)
    scores = torch.zeros(20, requires_grad=True)
    optimizer = torch.optim.Adam([scores], 0.05)
    average = torch.zeros(20)
    for step in range(600):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 if step < 300 else 0.01
        positive = torch.multinomial(truth, 512, True, generator=generator)
        others = torch.multinomial(q, 512 * negatives, True, generator=generator).view(512, negatives)
        ids = torch.cat([positive.unsqueeze(1), others], 1)
        with anymax.use_backend("reference"):
            loss = anymax.info_nce(
                torch.ones(512, 1, 1), scores[ids].unsqueeze(-1), log_q=q.log()[ids] if corrected else None
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average += scores.detach() * (step >= 300) / 300
    return (truth * (truth.log() - torch.log_softmax(average, 0))).sum().item()


def test_training_ends_at_the_truth_with_log_q_alone(backend):
    if backend == "cpu":
        pytest.skip("the kernel is for one matrix of queries")
    assert learned(4, corrected=True) < 0.003
    assert learned(4, corrected=False) > 0.3


# ------------------------------------------------------------------------------------------------------------- numbers


@EACH_WAY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32(dtype, symmetric):
    query, key = (normalize(tensor, dim=-1).to(dtype).requires_grad_() for tensor in pairs(64, 64, 8))
    wide = [tensor.detach().double().requires_grad_() for tensor in (query, key)]
    loss = anymax.info_nce(query, key, temperature=0.02, symmetric=symmetric)
    exact = anymax.info_nce(*wide, temperature=0.02, symmetric=symmetric)
    assert loss.dtype == dtype
    assert_close(loss.double(), exact, rtol=torch.finfo(dtype).eps, atol=0)
    for mine, right in zip(torch.autograd.grad(loss, (query, key)), torch.autograd.grad(exact, wide), strict=True):
        assert mine.dtype == dtype
        assert_close(mine.double(), right, rtol=torch.finfo(dtype).eps, atol=1e-4 * right.abs().max().item())


@EACH_WAY
def test_autocast_returns_float32_of_full_precision(symmetric):
    query, key = (tensor.float() for tensor in pairs())
    plain = anymax.info_nce(query, key, temperature=0.05, symmetric=symmetric)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(anymax.info_nce(query, key, temperature=0.05, symmetric=symmetric), plain)
        assert anymax.info_nce(query.bfloat16(), key.bfloat16(), symmetric=symmetric).dtype == torch.float32


@EACH_WAY
def test_no_queries_cost_nothing(symmetric):
    query, key = torch.zeros(0, 3, requires_grad=True), torch.zeros(0 if symmetric else 2, 3, requires_grad=True)
    for reduction, shape in (("mean", ()), ("sum", ())):
        loss = anymax.info_nce(query, key, symmetric=symmetric, reduction=reduction)
        assert loss.shape == shape
        assert loss == 0
        assert torch.autograd.grad(loss, key)[0].abs().sum() == 0
    with torch.no_grad():
        assert anymax.info_nce(query, key, symmetric=symmetric, reduction="none").shape == (0,)


@EACH_WAY
def test_bad_vectors_spoil_rows_that_they_meet(symmetric):
    query, key = pairs()
    query[1] = float("nan")
    with torch.no_grad():
        rows = anymax.info_nce(query, key, symmetric=symmetric, reduction="none")
    # a column meets every query
    assert rows.isnan().tolist() == ([True] * 6 if symmetric else [False, True, False, False, False, False])


def test_a_bad_target_spoils_its_own_row_where_values_cannot_be_read():
    query, key = pairs()
    for target, symmetric, expected in (
        ([0, 6, -1, 1, 2, 2], False, [1, 2]),
        ([0, 1, 3, 3, 4, 5], True, [2, 3]),
    ):
        ids = torch.tensor(target)
        for reduction in ("none", "mean"):
            rows = torch.vmap(
                lambda each, ids=ids, symmetric=symmetric, reduction=reduction: anymax.info_nce(
                    each, key, ids, symmetric=symmetric, reduction=reduction
                )
            )(query.unsqueeze(0))
            found = rows.isnan().flatten().nonzero().flatten().tolist()
            assert found == (expected if reduction == "none" else [0])
    losses = torch.vmap(lambda each: anymax.info_nce(query, key, temperature=each))(torch.tensor([0.5, 0.0, -1.0]))
    assert losses.isnan().tolist() == [False, True, True]


# -------------------------------------------------------------------------------------------------------------- errors

Q, K = torch.ones(3, 4), torch.ones(5, 4)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((Q.long(), K), {}, TypeError, r"query must be a floating-point tensor, got torch\.int64"),
        ((Q, [1.0]), {}, TypeError, r"key must be a tensor, got a value of type list"),
        (
            (Q[0], K),
            {},
            ValueError,
            r"query must hold one vector per row, \(\.\.\., rows, features\), got shape \(4,\)",
        ),
        ((Q, K[:, :3]), {}, ValueError, r"features of query \(3, 4\), \(N, 4\), got \(5, 3\)"),
        ((Q, K[None]), {}, ValueError, r"key must have the leading axes .* got \(1, 5, 4\)"),
        ((Q, K.to("meta")), {}, ValueError, r"key must be on the query's device cpu, got meta"),
        ((Q, K[:0]), {}, ValueError, r"key must hold at least one key, got shape \(0, 4\)"),
        (
            (Q, K[:2]),
            {},
            ValueError,
            r"key i belongs to query i, so there must be at least 3 keys, got 2; write target=",
        ),
        ((Q, K, torch.tensor([0, 1])), {}, ValueError, r"one id per query, shape \(3,\), got \(2,\)"),
        ((Q, K, torch.ones(3)), {}, TypeError, r"target must hold class ids \(integers\), got torch\.float32"),
        ((Q, K, torch.tensor([0, 1, 5])), {}, ValueError, r"ids of keys, in \[0, 4\], got 5"),
        ((Q, K), {"symmetric": True}, ValueError, r"symmetric=True needs as many keys as queries, got 5 keys and 3 q"),
        (
            (Q, K[:3], torch.tensor([0, 2, 2])),
            {"symmetric": True},
            ValueError,
            r"symmetric=True needs each key to be the positive of one query, got key 2 for more than one",
        ),
        ((Q, K), {"symmetric": 1}, TypeError, r"symmetric must be True or False, got 1"),
        ((Q, K), {"temperature": 0.0}, ValueError, r"temperature must be greater than 0, got 0\.0"),
        (
            (Q, K[:3]),
            {"symmetric": True, "temperature": torch.ones(3, 1)},
            ValueError,
            r"temperature must have size 1 on ax",
        ),
        ((Q, K), {"temperature": torch.ones(5)}, ValueError, r"temperature must have size 1 on axis 1, which is norm"),
        (
            (Q, K),
            {"log_q": torch.ones(3)},
            ValueError,
            r"log_q must have one entry per key, shape \(5,\) .* got \(3,\)",
        ),
        ((Q, K), {"log_q": torch.tensor([0, 0, -INFINITY, 0, 0])}, ValueError, r"log_q must be finite, got -inf; smoo"),
        ((Q, K), {"key_ids": torch.ones(5)}, TypeError, r"key_ids must hold class ids \(integers\)"),
        ((Q, K), {"key_ids": torch.tensor(1)}, ValueError, r"key_ids must have one entry per key"),
        ((Q, K), {"mask": torch.ones(3, 5)}, TypeError, r"mask must be a boolean tensor in which True takes part"),
        ((Q, K), {"reduction": "avg"}, ValueError, r"reduction must be one of 'none', 'mean', 'sum', got 'avg'"),
    ],
)
def test_bad_input_is_one_sentence(arguments, options, error, message):
    with pytest.raises(error, match=rf"^info_nce: .*{message}") as raised:
        anymax.info_nce(*arguments, **options)
    assert "\n" not in str(raised.value)
