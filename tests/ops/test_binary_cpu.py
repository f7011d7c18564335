"""The CPU kernels of the binary losses beyond the laws: sizes, layouts, weights, dtypes, any threads."""

import itertools

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax._core import dispatch
from anymax._core.native import native
from anymax.ops.binary import cpu
from anymax.ops.binary.api import one_vs_rest_loss

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

INFINITY = float("inf")
NAN = float("nan")
REDUCTIONS = ("none", "mean", "sum")
# around a vector of each instruction set, and around the kernel's blocks of 2048
SIZES = (*range(35), 63, 64, 65, 129, 2047, 2048, 2049, 3 * 2048 + 17)
# of a term: half a unit of the result's dtype, or some of the dtype of the computation
TOLERANCES = {torch.float32: 8e-7, torch.float64: 3e-15, torch.bfloat16: 4e-3, torch.float16: 5e-4}


@pytest.fixture(autouse=True)
def _kernels():
    with anymax.use_backend("cpu"):
        yield


def loss_of(*args, **options):
    return anymax.binary_cross_entropy_with_logits(*args, **options)


def reference(*args, **options):
    with anymax.use_backend("reference"):
        return loss_of(*args, **options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(*shape, dtype=torch.float32):
    return (torch.randn(shape, generator=generator(sum(shape))) * 8).to(dtype)


def targets(x, dtype=None):
    """Fractions, and every third one 0 or 1."""
    target = torch.rand(x.shape, generator=generator(1))
    is_label = torch.arange(x.numel()).reshape(x.shape) % 3 == 0
    return torch.where(is_label, target.round(), target).to(dtype or x.dtype)


def gradient(loss, leaf, upstream=None):
    return torch.autograd.grad(loss, leaf, torch.ones_like(loss) if upstream is None else upstream)[0]


def near(mine, theirs, size, tolerance):
    """Off by no more than `tolerance` of the size of the terms that it is the difference of."""
    assert mine.shape == theirs.shape
    smallest = torch.finfo(mine.dtype).smallest_normal
    assert ((mine.double() - theirs).abs() <= tolerance * size + smallest).all()


def agree(x, y, weight=None, pos_weight=None, reduction="none"):
    """Value and gradient of the kernel against those of the reference on the same numbers in float64."""
    tolerance = TOLERANCES[x.dtype]
    leaf, exact = x.detach().requires_grad_(), x.detach().double().requires_grad_()
    loss = loss_of(leaf, y, weight, pos_weight=pos_weight, reduction=reduction)
    y, w, p = (None if value is None else value.double() for value in (y, weight, pos_weight))
    expected = reference(exact, y, w, pos_weight=p, reduction=reduction)
    assert loss.dtype == x.dtype
    near(loss.detach(), expected.detach(), expected.detach(), tolerance)
    upstream = torch.linspace(-1, 1, loss.numel(), dtype=torch.float64).reshape(loss.shape).to(x.dtype)
    found = gradient(loss, leaf, upstream)
    assert found.dtype == x.dtype
    probability, share = exact.detach().sigmoid(), upstream.abs() / (x.numel() if reduction == "mean" else 1)
    terms = (1 if p is None else p) * y * (1 - probability) + (1 - y) * probability
    size = (1 if w is None else w) * terms * share
    near(found, gradient(expected, exact, upstream.double()), size, tolerance)
    return loss


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_every_size(dtype):
    for size in SIZES:
        x = scores(size, dtype=dtype)
        for reduction in ("none", "mean"):
            loss = agree(x, targets(x), reduction=reduction)
            assert torch.equal(loss_of(x, targets(x), reduction=reduction), loss)
    agree(scores(dtype=dtype), targets(scores(dtype=dtype)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_layout_and_weight(reduction, dtype):
    whole = scores(4, 6, 9, 10, dtype=dtype)
    layouts = (
        whole,
        whole.permute(2, 0, 3, 1),
        whole[:, ::2, ::3, 1::2],
        whole[..., :7],
        whole[:, :1].expand(4, 6, 9, 10),
        whole.flip(0).transpose(0, 3),
    )
    for x in layouts:
        y = targets(x)
        positive = torch.rand(x.shape, generator=generator(2)).to(dtype) + 0.25
        # whole, per class, per row, along two axes, one for all
        factors = (
            None,
            positive,
            positive[0, 0, 0],
            positive[:, :1, :1, :1],
            positive[:1, :, :1],
            positive[0, 0, 0, 0],
        )
        for at, weight in enumerate(factors):
            agree(x, y, weight, factors[(at + 1) % 6], reduction)
            agree(x, y, factors[(at + 3) % 6], weight, reduction)
        agree(x, y.transpose(0, 2).contiguous().transpose(0, 2), reduction=reduction)
        agree(x, y[:1].expand(x.shape), reduction=reduction)


def test_targets_and_weights_of_any_dtype():
    x = scores(3, 50)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        scored, y = x.to(dtype), targets(x)
        for other in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            agree(scored, y.to(other), y[0].to(other), (y + 1)[:, :1].to(other), "mean")
        labels = y.round()
        for other in (torch.bool, torch.uint8, torch.int8, torch.int64, torch.uint64):
            assert torch.equal(loss_of(scored, labels.to(other)), loss_of(scored, labels.to(dtype)))


def test_digits_of_small_losses_and_gradients_stay():
    x = torch.tensor([-20.0, 20.0, -60.0, 60.0], requires_grad=True)
    y = torch.tensor([0.0, 1.0, 0.0, 1.0])
    loss = loss_of(x, y, reduction="none")
    expected = x.detach().double().abs().neg().exp().log1p()
    assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    assert_close(gradient(loss, x).double(), expected * torch.tensor([1, -1, 1, -1]), rtol=1e-6, atol=0)


def test_extreme_scores_targets_and_weights_are_the_reference_s():
    largest = torch.finfo(torch.float32).max
    values = torch.tensor([INFINITY, -INFINITY, NAN, 0.0, -0.0, largest, -largest, 1e-40, 90.0, -90.0, 104.0])
    labels = torch.tensor([0.0, 1.0, 0.5])
    factors = torch.tensor([0.0, 1.0, -2.5, 1e9, NAN])
    x, y, w, p = (grid.flatten() for grid in torch.meshgrid(values, labels, factors, factors, indexing="ij"))
    for weight, pos_weight in itertools.product((None, w), (None, p)):
        answers = []
        for call in (loss_of, reference):
            leaf = x.clone().requires_grad_()
            loss = call(leaf, y, weight, pos_weight=pos_weight, reduction="none")
            answers.append((loss.detach(), gradient(loss, leaf)))
        for mine, theirs in zip(*answers, strict=True):
            assert_close(mine, theirs, equal_nan=True)


def test_a_bad_target_makes_its_own_entry_nan():
    x = scores(40)
    y = targets(x)
    y[[3, 7, 39]] = torch.tensor([1.5, -0.1, NAN])
    bad = torch.zeros(40, dtype=torch.bool).index_fill(0, torch.tensor([3, 7, 39]), True)
    for flags in (0, cpu.HAS_WEIGHT):
        for result in cpu.WITH_GRADIENT(x, y, torch.zeros_like(x), x, flags):
            assert torch.equal(result.isnan(), bad)
    # beside an infinite loss of either sign too
    infinite = torch.tensor([INFINITY, INFINITY])
    for reduction in REDUCTIONS:
        with pytest.raises(ValueError, match=r"target must be in \[0, 1\]"):
            loss_of(x, y, reduction=reduction)
        loss_of(infinite, torch.zeros(2), torch.tensor([1.0, -1.0]), reduction=reduction)


def test_a_mean_over_nothing_is_zero():
    for shape in ((0,), (0, 5), (3, 0)):
        x = torch.zeros(shape, requires_grad=True)
        for reduction in REDUCTIONS:
            loss = loss_of(x, torch.zeros(shape), torch.ones(()), reduction=reduction)
            assert loss.shape == (shape if reduction == "none" else ())
            assert (loss == 0).all()
            assert gradient(loss, x).shape == shape


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_gradients_of_halves_are_rounded_once_behind_the_upstream_gradient(dtype):
    """In float16 the gradient of a mean over many entries would vanish before a loss scale."""
    x = scores(4096, 60, dtype=dtype)
    y = targets(x)
    for reduction, scale in (("mean", 65536.0), ("sum", 2.0**-12), ("none", 2.0**-12)):
        answers = []
        for call in (loss_of, reference):
            leaf = x.clone().requires_grad_()
            # as in mixed precision, where the loss is float32
            with torch.autocast("cpu", torch.bfloat16):
                loss = call(leaf, y, reduction=reduction)
            (loss * scale).sum().backward()
            answers.append(leaf.grad)
        assert (answers[1] != 0).any()
        assert_close(answers[0].float(), answers[1].float(), rtol=torch.finfo(dtype).eps, atol=1e-7)


def test_what_is_written_past_the_cache_is_the_same():
    x = scores(1 << 20, 3)
    y = targets(x)
    parts = []
    for part, target in zip(x.split(1 << 17), y.split(1 << 17), strict=True):
        leaf = part.clone().requires_grad_()
        parts.append(gradient(loss_of(leaf, target, reduction="sum"), leaf))
    leaf = x.requires_grad_()
    assert torch.equal(gradient(loss_of(leaf, y), leaf), torch.cat(parts) * (torch.ones(()) / x.numel()))


def test_a_second_backward_pass_gives_the_same_bits_and_leaves_the_first_result_alone():
    x = scores(300, 40).requires_grad_()
    for reduction, factor in itertools.product(REDUCTIONS, (1.0, 3.0)):
        loss = loss_of(x, targets(x), reduction=reduction)
        upstream = torch.full_like(loss, factor)
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
    loss = loss_of(x, targets(x), reduction=reduction)
    (once,) = torch.autograd.grad(loss.sum(), x, retain_graph=True)
    upstream = torch.ones(2, *loss.shape) * torch.tensor([1.0, 3.0]).reshape(2, *[1] * loss.ndim)
    (found,) = torch.autograd.grad(loss, x, upstream, is_grads_batched=True)
    assert_close(found, torch.stack([once, 3 * once]))


def test_a_gradient_accumulates_over_losses_of_the_same_scores():
    x = scores(300, 40).requires_grad_()
    y = targets(x)
    loss_of(x, y).backward()
    once = x.grad.clone()
    loss = loss_of(x, y)
    (loss_of(x, y) + loss + loss).backward()
    assert_close(x.grad, 4 * once)


def test_the_bits_follow_from_the_entry_alone():
    """Not from the number of threads, nor from what else is in the batch or where an entry lies in memory."""
    before = torch.get_num_threads()
    x = scores(512, 700).requires_grad_()
    y, weight, pos_weight = targets(x), torch.rand(512, 1, generator=generator(2)), torch.rand(700)
    for options in ({}, {"weight": weight, "pos_weight": pos_weight}):
        answers = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            for reduction in REDUCTIONS:
                loss = loss_of(x, y, reduction=reduction, **options)
                answers.append((loss.detach(), gradient(loss, x)))
        torch.set_num_threads(before)
        for at, other in enumerate(answers):
            for mine, theirs in zip(answers[at % 3], other, strict=True):
                assert torch.equal(mine, theirs)
        rows = torch.tensor([5, 100, 101, 102, 333, *range(480, 512)])
        part = x.detach()[rows, 3:].requires_grad_()
        if options:
            options = {"weight": weight[rows], "pos_weight": pos_weight[3:]}
        loss = loss_of(part, y[rows, 3:], reduction="none", **options)
        assert torch.equal(loss, answers[0][0][rows, 3:])
        assert torch.equal(gradient(loss, part), answers[0][1][rows, 3:])


def test_a_plain_call_goes_straight_to_the_kernel_and_gives_its_answer(monkeypatch):
    monkeypatch.setattr(dispatch.state, "forced", None)
    chosen = []
    best = dispatch.Choice._best
    monkeypatch.setattr(dispatch.Choice, "_best", lambda self, args: chosen.append(args) or best(self, args))
    for dtype, shape in itertools.product((torch.float32, torch.float64), ((), (7,), (3, 5), (2, 3, 4), (0, 3))):
        x = scores(*shape, dtype=dtype)
        y = targets(x)
        found = loss_of(x, y)
        leaf = x.clone().requires_grad_()
        of_plain = gradient(loss_of(leaf, y), leaf)
        assert not chosen
        assert torch.equal(found, loss_of(x, y, reduction="mean"))
        assert torch.equal(of_plain, gradient(loss_of(leaf, y, reduction="mean"), leaf))
        assert chosen
        chosen.clear()
    x = scores(3, 5)
    for y, words in (
        (torch.zeros(3), "the input's shape"),
        (targets(x) * 0 + 2, "in \\[0, 1\\]"),
        (torch.full((3, 5), NAN), "in \\[0, 1\\]"),
    ):
        with pytest.raises(ValueError, match=words):
            loss_of(x, y)
    # a target's derivative is the reference's
    y = targets(x).requires_grad_()
    assert (gradient(loss_of(x, y), y) != 0).any()
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        assert torch.autograd.forward_ad.unpack_dual(loss_of(dual, targets(x))).tangent is not None


def test_compiled_code_keeps_the_kernel():
    torch._dynamo.reset()
    x = scores(6, 50).requires_grad_()
    y, weight = targets(x), torch.rand(50)
    ops = []

    def backend(graph, inputs):
        ops.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    for reduction in REDUCTIONS:

        def call(x, y, weight, reduction=reduction):
            return loss_of(x, y, weight, reduction=reduction)

        expected = call(x, y, weight)
        for chosen in (backend, "aot_eager"):
            found = torch.compile(call, fullgraph=True, backend=chosen)(x, y, weight)
            assert_close(found, expected)
            assert_close(gradient(found, x), gradient(call(x, y, weight), x))
    with torch.no_grad():
        torch.compile(lambda x: loss_of(x, y), fullgraph=True, backend=backend)(x)
    assert any("anymax.binary_cross_entropy" in op for op in ops)


def ids(x, dim):
    """A class per row, the first row ignored."""
    shape = [size for axis, size in enumerate(x.shape) if axis != dim % x.ndim]
    target = torch.randint(x.shape[dim], shape, generator=generator(1))
    target.view(-1)[0] = -100
    return target


def agree_one_vs_rest(x, target, dim, reduction, **options):
    tolerance = TOLERANCES[x.dtype] * (5 if options else 1)
    leaf, exact = x.detach().requires_grad_(), x.detach().double().requires_grad_()
    loss = one_vs_rest_loss(leaf, target, dim=dim, reduction=reduction, **options)
    with anymax.use_backend("reference"):
        expected = one_vs_rest_loss(exact, target, dim=dim, reduction=reduction, **options)
    assert loss.dtype == x.dtype
    near(loss.detach(), expected.detach(), expected.detach(), tolerance)
    upstream = torch.linspace(-1, 1, loss.numel(), dtype=torch.float64).reshape(loss.shape).to(x.dtype)
    right = gradient(expected, exact, upstream.double())
    # no entry is a difference
    near(gradient(loss, leaf, upstream), right, right.abs(), tolerance)
    assert torch.equal(one_vs_rest_loss(x.detach(), target, dim=dim, reduction=reduction, **options), loss)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_focal_one_vs_rest_of_some_lengths_and_layouts(dtype):
    for options in ({"alpha": 0.25, "gamma": 2.0}, {"gamma": 0.5}, {"alpha": 0.75}):
        for length in (1, 3, 16, 33, 1000):
            x, columns = scores(5, length, dtype=dtype), scores(length, 19, dtype=dtype)
            agree_one_vs_rest(x, ids(x, 1), 1, "none", **options)
            agree_one_vs_rest(columns, ids(columns, 0), 0, "mean", **options)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_one_vs_rest_of_every_length_and_layout(dtype):
    for length in (*range(1, 35), 63, 64, 65, 1000):
        x = scores(5, length, dtype=dtype)
        for reduction in ("none", "mean"):
            agree_one_vs_rest(x, ids(x, 1), 1, reduction)
            columns = scores(length, 19, dtype=dtype)
            agree_one_vs_rest(columns, ids(columns, 0), 0, reduction)
    # columns that are read in several tiles
    agree_one_vs_rest(scores(5000, 33, dtype=dtype), ids(scores(5000, 33), 0), 0, "none")
    whole = scores(4, 6, 9, 10, dtype=dtype)
    layouts = (whole, whole.permute(2, 0, 3, 1), whole[:, ::2, ::3, 1::2], whole[:, :1].expand(4, 6, 9, 10))
    for x, dim, reduction in itertools.product(layouts, range(4), REDUCTIONS):
        target = ids(x, dim)
        agree_one_vs_rest(x, target, dim, reduction)
        agree_one_vs_rest(x, target.transpose(0, 2).contiguous().transpose(0, 2), dim, reduction)


@pytest.mark.parametrize(("gamma", "weights"), [(0.0, (1.0, 1.0)), (2.0, (0.25, 0.75)), (0.5, (1.0, 1.0))])
@pytest.mark.parametrize("dim", [0, 1])
def test_one_vs_rest_keeps_ignored_bad_and_extreme_rows_apart(dim, gamma, weights):
    rows = scores(6, 24)
    rows[0, 3], rows[1, 5], rows[2, :], rows[3, 7] = NAN, INFINITY, -INFINITY, NAN
    x, target = rows if dim == 1 else rows.T.contiguous(), torch.tensor([-100, 5, 5, 7, 24, -1])
    loss, of_rows = cpu.ONE_VS_REST_WITH_GRADIENT(x, target, dim, -100, gamma, *weights, 0)
    of_rows = of_rows if dim == 1 else of_rows.T
    assert loss[0] == 0
    assert loss[1].isfinite()
    assert loss[2] == INFINITY
    assert loss[3:].isnan().all()
    assert (of_rows[0] == 0).all()
    assert of_rows[1:3].isfinite().all()
    assert of_rows[3].isnan().sum() == 1
    assert of_rows[4:].isnan().all()
    with pytest.raises(ValueError, match="target ids must be in"):
        one_vs_rest_loss(x, target, dim=dim)
    for reduction, count in itertools.product(REDUCTIONS, (0, 1)):
        leaf = x.narrow(1 - dim, 0, count).clone().requires_grad_()
        nothing = one_vs_rest_loss(leaf, target[:count], dim=dim, reduction=reduction)
        assert (nothing == 0).all()
        assert (gradient(nothing, leaf) == 0).all()


def test_one_vs_rest_without_classes_or_rows_as_the_reference():
    for shape, dim in (
        ((0, 19), 0),
        ((19, 0), 1),
        ((19, 0), 0),
        ((0, 19), 1),
        ((0,), 0),
        ((3, 0, 19), 1),
        ((0, 3, 19), 1),
    ):
        x = torch.zeros(shape)
        target = torch.full([size for axis, size in enumerate(shape) if axis != dim], -100)
        for reduction in REDUCTIONS:
            leaf = x.clone().requires_grad_()
            loss = one_vs_rest_loss(leaf, target, dim=dim, reduction=reduction)
            with anymax.use_backend("reference"):
                assert torch.equal(loss, one_vs_rest_loss(x, target, dim=dim, reduction=reduction))
            assert gradient(loss, leaf).shape == shape
        if target.numel():
            with pytest.raises(ValueError, match="target ids must be in"):
                one_vs_rest_loss(x, target * 0, dim=dim)


@pytest.mark.parametrize("dim", [0, 1])
def test_the_bits_of_one_vs_rest_follow_from_the_row_alone(dim):
    before = torch.get_num_threads()
    # past the cache as a whole, and not as a part
    rows = scores(30000, 80)
    x = (rows if dim == 1 else rows.T.contiguous()).requires_grad_()
    target, answers = ids(x, dim), []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        for reduction in REDUCTIONS:
            loss = one_vs_rest_loss(x, target, dim=dim, reduction=reduction)
            answers.append((loss.detach(), gradient(loss, x)))
    torch.set_num_threads(before)
    for at, other in enumerate(answers):
        for mine, theirs in zip(answers[at % 3], other, strict=True):
            assert torch.equal(mine, theirs)
    counted = (target != -100).sum()
    assert torch.equal(answers[1][1], answers[2][1] * (torch.ones(()) / counted))
    some = torch.tensor([5, 100, 333, *range(29000, 30000)])
    for chosen in (some, some[:3]):
        part = x.detach().index_select(1 - dim, chosen).requires_grad_()
        loss = one_vs_rest_loss(part, target[chosen], dim=dim, reduction="none")
        assert torch.equal(loss, answers[0][0][chosen])
        assert torch.equal(gradient(loss, part), answers[0][1].index_select(1 - dim, chosen))


def test_derivatives_of_one_vs_rest():
    x = (scores(5, 9, dtype=torch.float64) / 8).requires_grad_()
    target = ids(x, 1)
    for reduction in REDUCTIONS:
        assert torch.autograd.gradcheck(lambda x, how=reduction: one_vs_rest_loss(x, target, reduction=how), (x,))
        answers = []
        for backend in ("cpu", "reference"):
            with anymax.use_backend(backend):
                loss = one_vs_rest_loss(x, target, reduction=reduction)
                (first,) = torch.autograd.grad(loss.sum(), x, create_graph=True)
                answers.append((first.detach(), gradient(first.square().sum(), x)))
        assert_close(*answers, rtol=1e-12, atol=1e-15)
        loss = one_vs_rest_loss(x, target, reduction=reduction)
        for factor in (1.0, 3.0):
            upstream = torch.full_like(loss, factor)
            (first,) = torch.autograd.grad(loss, x, upstream, retain_graph=True)
            kept = first.clone()
            first.zero_()
            assert torch.equal(torch.autograd.grad(loss, x, upstream, retain_graph=True)[0], kept)


def test_double_backward_is_the_reference_s():
    x = scores(5, 9, dtype=torch.float64) / 8
    y, weight = targets(x), torch.rand(9, generator=generator(2), dtype=torch.float64)
    x.requires_grad_()
    for reduction in REDUCTIONS:
        for options in ({}, {"weight": weight, "pos_weight": 2 * weight[:1]}):

            def call(x, reduction=reduction, options=options):
                return loss_of(x, y, reduction=reduction, **options)

            assert torch.autograd.gradcheck(call, (x,))
            assert torch.autograd.gradgradcheck(call, (x,))
            answers = []
            for function in (loss_of, reference):
                (first,) = torch.autograd.grad(
                    function(x, y, reduction=reduction, **options).sum(), x, create_graph=True
                )
                answers += [(first.detach(), gradient(first.square().sum(), x))]
            assert_close(*answers, rtol=1e-12, atol=1e-15)


def test_what_it_does_not_serve_it_refuses(monkeypatch):
    x = scores(3, 5)
    calls = {
        "it has no derivative in target": {"target": targets(x).requires_grad_()},
        "it has no derivative in weight": {"weight": torch.ones(5, requires_grad=True)},
        "it has no derivative in pos_weight": {"pos_weight": torch.ones(5, requires_grad=True)},
    }
    for why, call in calls.items():
        call = {"input": x, "target": targets(x), **call}
        with pytest.raises(NotImplementedError, match=f"cannot serve this call: {why}"):
            loss_of(**call)
        with torch.no_grad():
            loss_of(**call)
        with monkeypatch.context() as patch:
            patch.setattr(dispatch.state, "forced", None)
            text = anymax.explain_backend(anymax.binary_cross_entropy_with_logits, **call)
        assert f"cpu: not taken, {why}" in text
        assert "torch:" not in text
    assert "cpu: taken" in anymax.explain_backend(anymax.binary_cross_entropy_with_logits, x, targets(x))


# of focal and asymmetric loss: exponents that are powers and that need a logarithm, with and without a clip
FOCUSED = (
    (anymax.sigmoid_focal_loss, {"gamma": 2.0}),
    (anymax.sigmoid_focal_loss, {"alpha": None, "gamma": 0.5}),
    (anymax.sigmoid_focal_loss, {"alpha": 0.9, "gamma": 5.0}),
    (anymax.sigmoid_focal_loss, {"alpha": 0.0, "gamma": 0.0}),
    (anymax.asymmetric_loss, {"gamma_neg": 4.0, "clip": 0.05}),
    (anymax.asymmetric_loss, {"gamma_neg": 0.5, "gamma_pos": 1.5, "clip": 0.3}),
    (anymax.asymmetric_loss, {"gamma_neg": 2.5, "gamma_pos": 0.0, "clip": 0.0}),
    (anymax.asymmetric_loss, {"gamma_neg": 0.0, "gamma_pos": 2.0, "clip": 1e-3}),
)


def agree_focused(function, options, x, y, reduction="none"):
    """Value and gradient against those of the reference in float64, up to the terms that they are differences of."""
    leaf, exact = x.detach().requires_grad_(), x.detach().double().requires_grad_()
    loss = function(leaf, y, reduction=reduction, **options)
    y = y.double()
    with anymax.use_backend("reference"):
        expected = function(exact, y, reduction=reduction, **options)
        rows = function(exact, y, reduction="none", **options).detach()
        # of a label no entry is a difference, and any other one lies between two of them
        slopes = [
            gradient((part * function(exact, torch.full_like(exact, label), reduction="none", **options)).sum(), exact)
            for label, part in ((0.0, 1 - y), (1.0, y))
        ]
    tolerance = rounding(options, exact.detach(), x.dtype)
    share = 1 / max(x.numel(), 1) if reduction == "mean" else 1
    assert loss.dtype == x.dtype
    off = tolerance * rows
    near(loss.detach(), expected.detach(), off if reduction == "none" else share * off.sum(), 1.0)
    upstream = torch.linspace(-1, 1, loss.numel(), dtype=torch.float64).reshape(loss.shape).to(x.dtype)
    found = gradient(loss, leaf, upstream)
    assert found.dtype == x.dtype
    size = slopes[0].abs() + slopes[1].abs() + ((y != 0) & (y != 1)) * 1.0
    near(found, gradient(expected, exact, upstream.double()), size * upstream.double().abs() * share, tolerance)
    return loss


def rounding(options, x, dtype):
    """What an entry may be off by, as a share of its terms."""
    wide = torch.promote_types(dtype, torch.float32)
    exponent = max(value for name, value in options.items() if name.startswith("gamma"))
    # the logarithm of a small probability is as large as the score, and a power multiplies its rounding
    share = TOLERANCES[dtype] + 4 * TOLERANCES[wide] + torch.finfo(wide).eps * exponent * x.abs()
    clip = options.get("clip", 0.0)
    if clip > 0:
        # and close above the clip little is left of the probability
        left = x.sigmoid() - clip
        share = share + torch.where(left > 0, TOLERANCES[wide] * (1 + exponent) * clip / left, 0.0)
    return share


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize(("function", "options"), FOCUSED)
def test_focal_and_asymmetric_loss_of_every_size_and_layout(function, options, dtype):
    for size in (*range(35), 65, 2049):
        x = scores(size, dtype=dtype)
        for reduction in ("none", "mean"):
            loss = agree_focused(function, options, x, targets(x), reduction)
            assert torch.equal(function(x, targets(x), reduction=reduction, **options), loss)
    whole = scores(4, 6, 9, 10, dtype=dtype)
    for x in (whole.permute(2, 0, 3, 1), whole[:, ::2, ::3, 1::2], whole[:, :1].expand(4, 6, 9, 10)):
        agree_focused(function, options, x, targets(x), "sum")
        agree_focused(function, options, x, targets(x)[:1].expand(x.shape))
        agree_focused(function, options, x, (targets(x) > 0.5))


@pytest.mark.parametrize(("function", "options"), FOCUSED)
def test_extreme_scores_of_focal_and_asymmetric_loss_are_the_reference_s(function, options):
    largest = torch.finfo(torch.float32).max
    values = [INFINITY, -INFINITY, NAN, 0.0, -0.0, largest, -largest, 1e-40, 90.0, -90.0, 104.0, -1000.0]
    x, y = (
        grid.flatten() for grid in torch.meshgrid(torch.tensor(values), torch.tensor([0.0, 1.0, 0.25]), indexing="ij")
    )
    answers = []
    for backend in ("cpu", "reference"):
        with anymax.use_backend(backend):
            leaf = x.clone().requires_grad_()
            loss = function(leaf, y, reduction="none", **options)
            answers.append((loss.detach(), gradient(loss, leaf)))
    for mine, theirs in zip(*answers, strict=True):
        assert_close(mine, theirs, equal_nan=True, rtol=2e-6, atol=1e-35)
    assert torch.equal(answers[0][0].isnan(), x.isnan())
    y[[3, 7, 20]] = torch.tensor([1.5, -0.1, NAN])
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        function(x, y, **options)


@pytest.mark.parametrize(("function", "options"), FOCUSED)
def test_the_bits_of_focal_and_asymmetric_loss_follow_from_the_entry_alone(function, options):
    before = torch.get_num_threads()
    # past the cache as a whole, and not as a part
    x = scores(4096, 700).requires_grad_()
    y, answers = targets(x), []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        for reduction in REDUCTIONS:
            loss = function(x, y, reduction=reduction, **options)
            answers.append((loss.detach(), gradient(loss, x)))
    torch.set_num_threads(before)
    for at, other in enumerate(answers):
        for mine, theirs in zip(answers[at % 3], other, strict=True):
            assert torch.equal(mine, theirs)
    part = x.detach()[7:70, 3:].requires_grad_()
    loss = function(part, y[7:70, 3:], reduction="none", **options)
    assert torch.equal(loss, answers[0][0][7:70, 3:])
    assert torch.equal(gradient(loss, part), answers[0][1][7:70, 3:])


@pytest.mark.parametrize("function", [anymax.sigmoid_focal_loss, anymax.asymmetric_loss])
def test_derivatives_of_focal_and_asymmetric_loss(function):
    x = scores(5, 9, dtype=torch.float64) / 8
    y = targets(x)
    x.requires_grad_()
    for reduction in REDUCTIONS:
        assert torch.autograd.gradcheck(lambda x, how=reduction: function(x, y, reduction=how), (x,))
        assert torch.autograd.gradgradcheck(lambda x, how=reduction: function(x, y, reduction=how), (x,))
    loss = function(x, y, reduction="mean")
    (once,) = torch.autograd.grad(loss, x, retain_graph=True)
    (found,) = torch.autograd.grad(loss, x, torch.tensor([1.0, 3.0]).double(), is_grads_batched=True)
    assert_close(found, torch.stack([once, 3 * once]))
    with pytest.raises(NotImplementedError, match="it has no derivative in target"):
        function(x, y.requires_grad_())
