"""The CPU kernel of cross_entropy beyond the laws: every length, layout, option and instruction set, any threads."""

import itertools

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax._core import dispatch
from anymax._core.native import native
from anymax.ops.cross_entropy import cpu

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

INFINITY = float("inf")
NAN = float("nan")
REDUCTIONS = ("none", "mean", "sum")
LENGTHS = (*range(1, 35), 63, 64, 65, 127, 128, 129, 1000)
TOLERANCES = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 1e-2, torch.float16: 2e-3}


@pytest.fixture(autouse=True)
def _kernels():
    with anymax.use_backend("cpu"):
        yield


def reference(*args, **options):
    with anymax.use_backend("reference"):
        return anymax.cross_entropy(*args, **options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(*shape, dtype=torch.float32):
    return (torch.randn(shape, generator=generator(sum(shape))) * 4).to(dtype)


def ids(x, dim, ignored=-100):
    """A class per row, the first row ignored."""
    shape = [size for axis, size in enumerate(x.shape) if axis != dim % x.ndim]
    target = torch.randint(x.shape[dim], shape, generator=generator(1))
    if target.numel() > 1:
        target.view(-1)[0] = ignored
    return target


def gradient(loss, leaf, upstream=None):
    return torch.autograd.grad(loss, leaf, torch.ones_like(loss) if upstream is None else upstream)[0]


def agree(x, target, dim, **options):
    """Value and gradient of kernel and reference, the latter on the same numbers in float64."""
    found, expected = [], []
    for call, dtype, answers in ((anymax.cross_entropy, x.dtype, found), (reference, torch.float64, expected)):
        leaf = x.detach().to(dtype).requires_grad_()
        given = {name: value.to(dtype) if isinstance(value, torch.Tensor) else value for name, value in options.items()}
        loss = call(leaf, target, dim=dim, **given)
        upstream = torch.linspace(-1, 1, loss.numel(), dtype=torch.float64).reshape(loss.shape).to(x.dtype)
        answers += [loss.detach(), gradient(loss, leaf, upstream.to(loss.dtype))]
        if dtype == x.dtype:
            with torch.no_grad():
                bare = call(leaf, target, dim=dim, **given)
            assert torch.equal(bare, loss)
    tolerance = TOLERANCES[x.dtype]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == x.dtype
        assert_close(mine.double(), theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


def prior(num_classes):
    """Powers of 2, which every dtype holds, and a class that never occurs."""
    class_prior = 2.0 ** torch.randint(-4, 5, (num_classes,), generator=generator(3))
    if num_classes > 1:
        class_prior[num_classes // 2] = 0
    return class_prior


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_every_length_along_rows_and_columns(dtype):
    for length in LENGTHS:
        for x, dim in ((scores(3, length, dtype=dtype), 1), (scores(length, 19, dtype=dtype), 0)):
            agree(x, ids(x, dim), dim, reduction="none")
            agree(x, ids(x, dim), dim)
            agree(x, ids(x, dim), dim, reduction="none", class_prior=prior(length))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_layout_and_option(reduction, dtype):
    whole = scores(4, 6, 9, 10, dtype=dtype)
    layouts = (
        whole,
        whole.permute(2, 0, 3, 1),
        whole[:, ::2, ::3, 1::2],
        whole[..., :7],
        whole[:, :1].expand(4, 6, 9, 10),
        whole.flip(0).transpose(0, 3),
    )
    for x, dim in itertools.product(layouts, range(4)):
        weight = torch.rand(x.shape[dim], generator=generator(2), dtype=torch.float64)
        for options in (
            {},
            {"weight": weight},
            {"label_smoothing": 0.1},
            {"label_smoothing": 1.0, "weight": weight},
            {"z_loss": 0.01},
            {"z_loss": 0.01, "label_smoothing": 0.1, "weight": weight, "ignore_index": 1},
            {"class_prior": prior(x.shape[dim]), "z_loss": 0.01, "weight": weight},
            {"class_prior": prior(x.shape[dim]) + 1, "label_smoothing": 0.1, "ignore_index": 1},
        ):
            target = ids(x, dim, options.get("ignore_index", -100))
            agree(x, target, dim, reduction=reduction, **options)
            # ids that are not contiguous
            agree(x, target.transpose(0, 2).contiguous().transpose(0, 2), dim, reduction=reduction, **options)


def test_columns_that_do_not_fit_into_the_cache_are_read_in_blocks():
    x = scores(5000, 33)
    # a block of nothing but -inf, before and behind the rest
    x[:2000, 0] = x[3000:, 1] = -INFINITY
    target = ids(x, 0)
    target[:2] = 2500
    class_prior = prior(5000)
    class_prior[2500] = 1
    for options in ({}, {"class_prior": class_prior}):
        agree(x, target, 0, reduction="none", z_loss=0.01, **options)


def extreme_rows():
    return torch.stack(
        [
            scores(40),
            torch.full((40,), -INFINITY),
            scores(40).index_fill(0, torch.tensor([3]), INFINITY),
            scores(40).index_fill(0, torch.tensor([39]), NAN),
            scores(40).index_fill(0, torch.tensor([0, 17, 39]), -INFINITY),
            torch.full((40,), 3e38),
            torch.full((40,), -3e38).index_fill(0, torch.tensor([7]), 3e38),
            scores(40) * 1e-40,
        ]
    ).repeat(3, 1)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("target", [3, 17])
def test_rows_with_an_extreme_score_are_the_reference_s_and_leave_the_others_alone(dim, target):
    rows = extreme_rows()
    x = rows if dim == 1 else rows.T.contiguous()
    target = torch.full((24,), target)
    weight = torch.ones(40)
    weight[17] = 0
    # class 3, whose score is +inf in one row, never occurs
    class_prior = prior(40)
    class_prior[3], class_prior[17], class_prior[39] = 0, 2, 0
    for options in (
        {},
        {"class_prior": class_prior},
        {"class_prior": class_prior, "label_smoothing": 0.1},
        {"class_prior": class_prior, "label_smoothing": 0.1, "weight": class_prior},
        {"class_prior": class_prior, "z_loss": 0.01},
        {"weight": weight},
        {"label_smoothing": 0.1},
        {"label_smoothing": 1.0, "weight": weight},
        {"z_loss": 0.01},
    ):
        answers = []
        for call in (anymax.cross_entropy, reference):
            leaf = x.clone().requires_grad_()
            loss = call(leaf, target, dim=dim, reduction="none", **options)
            answers.append((loss.detach(), gradient(loss, leaf)))
        # where (log Z)^2 overflows, the reference's gradient does too
        kept = [row for row in range(24) if "z_loss" not in options or row % 8 not in (5, 6)]
        for mine, theirs in zip(*answers, strict=True):
            at = 0 if mine.ndim == 1 else 1 - dim
            assert_close(*(value.index_select(at, torch.tensor(kept)) for value in (mine, theirs)), equal_nan=True)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_rows_cost_nothing_and_have_no_gradient_whatever_their_scores(dim, reduction):
    rows = extreme_rows()
    x = (rows if dim == 1 else rows.T.contiguous()).requires_grad_()
    target = torch.full((24,), -100)
    for options in (
        {},
        {"label_smoothing": 0.1},
        {"z_loss": 0.1, "weight": torch.ones(40)},
        {"class_prior": prior(40)},
    ):
        loss = anymax.cross_entropy(x, target, dim=dim, reduction=reduction, **options)
        assert (loss == 0).all()
        assert (gradient(loss, x) == 0).all()


@pytest.mark.parametrize("dim", [0, 1])
def test_a_bad_id_makes_its_own_row_nan(dim):
    x = scores(24, 24).requires_grad_()
    target = ids(x, dim)
    target[[3, 7]] = torch.tensor([24, -1])
    loss, of_rows = cpu.WITH_GRADIENT(x, target, x, x, dim, -100, 0.0, 0.0, 0)
    of_rows = of_rows if dim == 1 else of_rows.T
    bad = torch.zeros(24, dtype=torch.bool).index_fill(0, torch.tensor([3, 7]), True)
    assert torch.equal(loss.isnan(), bad)
    assert of_rows[bad].isnan().all()
    assert not of_rows[~bad].isnan().any()
    with pytest.raises(ValueError, match="target ids must be in"):
        anymax.cross_entropy(x, target, dim=dim)


def test_a_mean_over_nothing_is_zero():
    for x, target, weight in (
        (scores(0, 5), torch.zeros(0).long(), None),
        (scores(3, 5), torch.full((3,), -100), None),
        (scores(3, 5), torch.zeros(3).long(), torch.tensor([0.0, 1, 1, 1, 1])),
    ):
        leaf = x.requires_grad_()
        loss = anymax.cross_entropy(leaf, target, weight)
        assert loss == 0
        assert (gradient(loss, leaf) == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_gradients_of_halves_are_rounded_once_behind_the_upstream_gradient(dtype):
    """In float16 much of the gradient of a mean over 4096 rows would vanish before a loss scale."""
    x = scores(4096, 60, dtype=dtype)
    target = ids(x, 1)
    for reduction, scale in (("mean", 65536.0), ("sum", 2.0**-12), ("none", 2.0**-12)):
        answers = []
        for call in (anymax.cross_entropy, reference):
            leaf = x.clone().requires_grad_()
            # as in mixed precision, where the loss is float32
            with torch.autocast("cpu", torch.bfloat16):
                loss = call(leaf, target, reduction=reduction)
            (loss * scale).sum().backward()
            answers.append(leaf.grad)
        assert (answers[1] != 0).any()
        one_unit = torch.finfo(dtype).eps
        assert_close(answers[0].float(), answers[1].float(), rtol=one_unit, atol=1e-7)


def test_a_second_backward_pass_gives_the_same_bits_and_leaves_the_first_result_alone():
    x = scores(300, 40).requires_grad_()
    for reduction, upstream in itertools.product(REDUCTIONS, (1.0, 3.0)):
        loss = anymax.cross_entropy(x, ids(x, 1), reduction=reduction)
        upstream = torch.full_like(loss, upstream)
        (first,) = torch.autograd.grad(loss, x, upstream, retain_graph=True)
        kept = first.clone()
        (second,) = torch.autograd.grad(loss, x, upstream, retain_graph=True)
        second.zero_()
        (third,) = torch.autograd.grad(loss, x, upstream)
        assert torch.equal(first, kept)
        assert torch.equal(third, kept)
        with pytest.raises(RuntimeError, match="second time"):
            torch.autograd.grad(loss, x, upstream)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_batch_of_upstream_gradients(reduction):
    x = scores(300, 40).requires_grad_()
    target = ids(x, 1)
    loss = anymax.cross_entropy(x, target, reduction=reduction)
    (once,) = torch.autograd.grad(loss.sum(), x, retain_graph=True)
    upstream = torch.ones(2, *loss.shape) * torch.tensor([1.0, 3.0]).reshape(2, *[1] * loss.ndim)
    (found,) = torch.autograd.grad(loss, x, upstream, is_grads_batched=True)
    assert_close(found, torch.stack([once, 3 * once]))


def test_a_gradient_accumulates_over_losses_of_the_same_scores():
    x = scores(300, 40).requires_grad_()
    target = ids(x, 1)
    anymax.cross_entropy(x, target).backward()
    once = x.grad.clone()
    (anymax.cross_entropy(x, target) + anymax.cross_entropy(x, target)).backward()
    assert_close(x.grad, 3 * once)


@pytest.mark.parametrize("dim", [0, 1])
def test_the_bits_follow_from_the_row_alone(dim):
    """Not from the number of threads, nor from what other rows are in the batch or where the row lies in memory."""
    before = torch.get_num_threads()
    for length in (7, 90, 3000):
        x = scores(512, length) if dim == 1 else scores(length, 512)
        leaf, target = x.requires_grad_(), ids(x, dim)
        answers = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            for reduction in REDUCTIONS:
                loss = anymax.cross_entropy(leaf, target, dim=dim, reduction=reduction, z_loss=0.01)
                answers.append((loss.detach(), gradient(loss, leaf)))
        torch.set_num_threads(before)
        for at, other in enumerate(answers):
            for mine, theirs in zip(answers[at % 3], other, strict=True):
                assert torch.equal(mine, theirs)
        rows = torch.tensor([5, 100, 101, 102, 333, *range(480, 512)])
        part = x.detach().index_select(1 - dim, rows).requires_grad_()
        loss = anymax.cross_entropy(part, target[rows], dim=dim, reduction="none", z_loss=0.01)
        assert torch.equal(loss, answers[0][0][rows])
        assert torch.equal(gradient(loss, part), answers[0][1].index_select(1 - dim, rows))


def test_a_plain_call_goes_straight_to_the_kernel_and_gives_torch_s_answer(monkeypatch):
    monkeypatch.setattr(dispatch.state, "forced", None)
    seen = []
    kernel = cpu.FORWARD
    monkeypatch.setattr(cpu, "FORWARD", lambda *args: seen.append(args) or kernel(*args))
    for shape in ((7,), (3, 5), (2, 3, 4), (2, 3, 4, 5)):
        x = scores(*shape)
        target = ids(x, min(1, x.ndim - 1))
        found = anymax.cross_entropy(x, target)
        assert_close(found, torch.nn.functional.cross_entropy(x, target))
        assert torch.equal(found, anymax.nn.CrossEntropyLoss()(x, target))
        assert torch.equal(found, anymax.cross_entropy(x, target, ignore_index=-100))
        with pytest.raises(ValueError, match="target must have the input's shape"):
            anymax.cross_entropy(x, target[None])
        with pytest.raises(ValueError, match="target ids must be in"):
            anymax.cross_entropy(x, target + 1000)
    assert len(seen) > 10
    seen.clear()
    # derivatives of small tensors are torch's own
    anymax.cross_entropy(scores(3, 5).requires_grad_(), torch.tensor([0, 1, 2]))
    assert not seen


def test_double_backward_is_the_reference_s():
    x = scores(5, 9, dtype=torch.float64).requires_grad_()
    target, weight = ids(x, 1), torch.rand(9, generator=generator(2), dtype=torch.float64)
    for reduction in REDUCTIONS:
        for options in ({}, {"weight": weight, "label_smoothing": 0.1, "z_loss": 0.1, "class_prior": 1 + weight}):

            def call(x, reduction=reduction, options=options):
                return anymax.cross_entropy(x, target, reduction=reduction, **options)

            assert torch.autograd.gradcheck(call, (x,))
            assert torch.autograd.gradgradcheck(call, (x,))


def test_what_it_does_not_serve_it_refuses():
    x, target = scores(3, 5), torch.tensor([0, 1, 2])
    for call in (
        {"target": x.softmax(1)},
        {"weight": torch.ones(5, requires_grad=True)},
        {"class_prior": torch.ones(5, requires_grad=True)},
        {"mask": x > 0},
        {"temperature": 2.0},
        {"softcap": 30.0},
    ):
        with pytest.raises(NotImplementedError, match="cannot serve this call"):
            anymax.cross_entropy(**{"input": x, "target": target, **call})
