"""Laws of softmax, softmin, log_softmax and logsumexp that the general suite cannot know."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import anymax
from anymax._core.context import values_are_readable
from anymax.testing.inputs import scores

INFINITY = float("inf")
NAN = float("nan")
MAPS = (anymax.softmax, anymax.softmin, anymax.log_softmax)


inputs = st.integers(0, 2**31).map(lambda seed: scores(3, 4, 5, at=seed))
dims = st.sampled_from([0, 1, 2, -1, (0, 1), (2, 0), (0, 1, 2)])


@given(inputs, dims)
@settings(max_examples=30, deadline=None)
def test_probabilities_sum_to_one(x, dim):
    assert_close(anymax.softmax(x, dim).sum(dim), torch.ones_like(x).amax(dim))
    assert_close(anymax.log_softmax(x, dim).exp(), anymax.softmax(x, dim))
    assert_close(anymax.softmin(x, dim), anymax.softmax(-x, dim))


@given(inputs, dims, st.floats(-1e3, 1e3))
@settings(max_examples=30, deadline=None)
def test_a_shift_changes_nothing_but_log_z(x, dim, shift):
    assert_close(anymax.softmax(x + shift, dim), anymax.softmax(x, dim), rtol=1e-9, atol=1e-12)
    assert_close(anymax.logsumexp(x + shift, dim), anymax.logsumexp(x, dim) + shift, rtol=1e-9, atol=1e-9)


@given(inputs, dims, st.floats(1e-2, 1e2))
@settings(max_examples=30, deadline=None)
def test_temperature_divides_the_scores(x, dim, temperature):
    for function in MAPS:
        assert_close(function(x, dim, temperature=temperature), function(x / temperature, dim), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", MAPS)
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_any_axis_is_the_last_axis_moved(function, axis):
    x = scores(2, 3, 4, 5)
    assert_close(function(x, axis), function(x.movedim(axis, -1), -1).movedim(-1, axis))
    assert torch.equal(function(x, axis), function(x, axis - 4))
    names = ["a", "b", "c", "d"]
    names[axis] = f"[{names[axis]}]"
    assert torch.equal(function(x, axis), function(x, " ".join(names)))


@pytest.mark.parametrize("function", [*MAPS, anymax.logsumexp])
def test_a_tuple_is_the_axes_flattened(function):
    x = scores(2, 3, 4, 5)
    for count in (2, 3, 4):
        for axes in itertools.permutations(range(4), count):
            rest = [axis for axis in range(4) if axis not in axes]
            flat = x.permute(*rest, *sorted(axes)).flatten(len(rest))
            expected = function(flat, -1)
            result = function(x, axes)
            if function is anymax.logsumexp:
                assert_close(result, expected)
                assert function(x, axes, True).shape == tuple(1 if a in axes else s for a, s in enumerate(x.shape))
            else:
                assert_close(result.permute(*rest, *sorted(axes)).flatten(len(rest)), expected)
                assert result.is_contiguous()


def test_a_mask_is_slicing():
    x = scores(3, 6)
    mask = torch.tensor([True, False, True, True, False, True])
    for function in MAPS:
        result = function(x, 1, mask=mask)
        assert_close(result[:, mask], function(x[:, mask], 1))
        absent = -INFINITY if function is anymax.log_softmax else 0.0
        assert (result[:, ~mask] == absent).all()
    assert_close(anymax.logsumexp(x, 1, mask=mask), anymax.logsumexp(x[:, mask], 1))


@pytest.mark.parametrize("hidden", [NAN, INFINITY, -INFINITY, 1e38])
def test_what_is_masked_is_never_read(hidden):
    clean = scores(2, 4)
    mask = torch.tensor([[True, True, False, True], [False, False, False, False]])
    for temperature, sink in itertools.product((1.0, torch.tensor([[0.5]])), (None, torch.tensor([[0.3]]))):
        parameters = [t.double().requires_grad_() for t in (temperature, sink) if isinstance(t, torch.Tensor)]
        for function in MAPS:
            gradients, results = [], []
            for fill in (hidden, 0.0):
                x = clean.masked_fill(~mask, fill).requires_grad_()
                options = dict(zip(("temperature", "sink"), (temperature, sink), strict=True))
                for name, parameter in zip(
                    [n for n, v in options.items() if isinstance(v, torch.Tensor)], parameters, strict=True
                ):
                    options[name] = parameter
                result = function(x, 1, mask=mask, **options)
                results.append(result)
                finite = torch.where(mask, result, 0.0)
                gradients.append(torch.autograd.grad((finite * clean).sum(), [x, *parameters]))
            assert_close(results[0], results[1])
            for mine, theirs in zip(*gradients, strict=True):
                assert mine.isfinite().all()
                assert_close(mine, theirs)
            assert (gradients[0][0][~mask] == 0).all()


def test_a_row_in_which_nothing_takes_part():
    x = scores(2, 3).requires_grad_()
    mask = torch.tensor([[True, True, True], [False, False, False]])
    assert (anymax.softmax(x, 1, mask=mask)[1] == 0).all()
    assert (anymax.log_softmax(x, 1, mask=mask)[1] == -INFINITY).all()
    assert anymax.logsumexp(x, 1, mask=mask)[1] == -INFINITY
    assert anymax.logsumexp(x, 1, mask=mask, sink=0.7)[1].item() == pytest.approx(0.7)
    assert (anymax.softmax(x, 1, mask=mask, sink=0.7)[1] == 0).all()
    (gradient,) = torch.autograd.grad((anymax.softmax(x, 1, mask=mask) ** 2).sum(), x)
    assert gradient.isfinite().all()
    assert (gradient[1] == 0).all()
    (gradient,) = torch.autograd.grad(anymax.logsumexp(x, 1, mask=mask)[0], x)
    assert gradient.isfinite().all()


def test_one_bad_row_spoils_no_other():
    good = scores(2, 4)
    bad = torch.tensor([[NAN, 0, 0, 0], [INFINITY, 0, 0, 0], [-INFINITY] * 4], dtype=torch.float64)
    x = torch.cat([good[:1], bad, good[1:]]).requires_grad_()
    for function in (*MAPS, anymax.logsumexp):
        result = function(x, 1)
        alone = good.clone().requires_grad_()
        expected = function(alone, 1)
        assert torch.equal(result[[0, 4]], expected)
        (gradient,) = torch.autograd.grad(result[[0, 4]].square().sum(), x)
        (expected_gradient,) = torch.autograd.grad(expected.square().sum(), alone)
        assert torch.equal(gradient[[0, 4]], expected_gradient)
    assert anymax.softmax(x, 1)[1:4].isnan().all()
    assert anymax.logsumexp(x, 1)[3] == -INFINITY


@pytest.mark.parametrize("temperature", [1.0, 2.0, torch.tensor(2.0, dtype=torch.float64, requires_grad=True)])
def test_a_score_of_minus_infinity_gets_nothing_and_gives_nothing(temperature):
    x = torch.tensor([[1.0, -INFINITY, 2.0]], dtype=torch.float64, requires_grad=True)
    sink = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    probs = anymax.softmax(x, 1, temperature=temperature, sink=sink)
    assert probs[0, 1] == 0
    assert_close(probs[:, [0, 2]], anymax.softmax(x[:, [0, 2]], 1, temperature=temperature, sink=sink))
    leaves = [x, sink] + ([temperature] if isinstance(temperature, torch.Tensor) else [])
    gradients = torch.autograd.grad((probs * torch.tensor([1.0, 2.0, 3.0])).sum(), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert gradients[0][0, 1] == 0


def test_extreme_scores_and_temperatures_are_exact():
    x = torch.tensor([3e38, -3e38, 0.0])
    assert anymax.softmax(x, 0).tolist() == [1, 0, 0]
    for temperature in (1e-30, 1.0, 1e30):
        probs = anymax.softmax(torch.tensor([1e20, -1e20, 0.0]), 0, temperature=temperature)
        assert probs.isfinite().all()
        assert probs.sum() == pytest.approx(1)
    assert_close(anymax.softmax(torch.tensor([1.0, 2.0, 9.0]), 0, temperature=INFINITY), torch.full((3,), 1 / 3))
    # a difference of log-sums loses what the scores are large by; a map must not
    shifted = scores(4, 8, dtype=torch.float32)
    big = shifted + 1e7
    exact = torch.log_softmax(big.double(), 1).float()
    assert_close(anymax.log_softmax(big, 1), exact)
    assert_close(anymax.log_softmax(big.reshape(4, 2, 4), (1, 2)).reshape(4, 8), exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_sink_beside_scores_that_overflow_when_tempered(dtype):
    lowest, highest = torch.finfo(dtype).min, torch.finfo(dtype).max
    for temperature in (0.5, torch.tensor(0.5, requires_grad=True)):
        padded = torch.full((1, 3), lowest, dtype=dtype, requires_grad=True)
        probs = anymax.softmax(padded, 1, temperature=temperature, sink=0.0)
        assert probs.tolist() == [[0.0, 0.0, 0.0]]
        log_probs = anymax.log_softmax(padded, 1, temperature=temperature, sink=0.0)
        assert (log_probs <= lowest).all()
        leaves = [padded, temperature] if isinstance(temperature, torch.Tensor) else [padded]
        for gradient in torch.autograd.grad(probs.sum(), leaves):
            assert (gradient == 0).all()
        # without its sink the row is uniform, and a sink of -inf is none
        for sink in (None, -INFINITY):
            assert_close(anymax.softmax(padded, 1, temperature=temperature, sink=sink), torch.full_like(padded, 1 / 3))
        winning = torch.full((1, 2), highest, dtype=dtype)
        assert anymax.softmax(winning, 1, temperature=temperature, sink=0.0).tolist() == [[0.5, 0.5]]
        assert anymax.softmax(winning, 1, temperature=temperature, sink=INFINITY).isnan().all()


def test_a_score_without_a_chance_gives_the_temperature_no_gradient():
    lowest = torch.finfo(torch.float32).min
    scores = torch.tensor([[1.0, 2.0, lowest]])

    def gradient(function, temperature):
        leaf = torch.tensor(temperature, requires_grad=True)
        return torch.autograd.grad(function(leaf), leaf)[0].item()

    def probs(temperature):
        return anymax.softmax(scores, 1, temperature=temperature)[0, 1]

    def log_prob(temperature):
        return anymax.log_softmax(scores, 1, temperature=temperature)[0, 1]

    # by hand, with q = exp(-2) the odds of the scores 1 and 2 at T = 0.5
    q = torch.tensor(-2.0, dtype=torch.float64).exp().item()
    assert gradient(log_prob, 0.5) == pytest.approx(-4 * q / (1 + q), rel=1e-6)
    assert gradient(probs, 0.5) == pytest.approx(-4 * q / (1 + q) ** 2, rel=1e-6)
    for tiny in (1e-20, 1e-30, 1e-38, 1e-44):
        assert gradient(probs, tiny) == 0
        assert gradient(log_prob, tiny) == 0
        assert gradient(lambda t: anymax.log_softmax(scores, 1, temperature=t)[0, 0], tiny) == INFINITY
        assert gradient(lambda t: anymax.softmax(scores, 1, temperature=t, sink=0.0)[0, 1], tiny) == 0
    assert gradient(probs, INFINITY) == 0


def test_the_smallest_temperatures_there_are():
    x = torch.tensor([1.0, 3.0, 2.0])
    assert anymax.softmax(x, 0, temperature=2.0**-149).tolist() == [0, 1, 0]
    assert anymax.softmax(x.double(), 0, temperature=1e-320).tolist() == [0, 1, 0]


def test_the_sink_takes_its_share():
    # field values, float64
    probs = anymax.softmax(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), 0, sink=0.0)
    expected = torch.tensor([0.087144318742, 0.236882818090, 0.643914259888], dtype=torch.float64)
    assert_close(probs, expected, rtol=0, atol=1e-12)
    log_z = anymax.logsumexp(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), 0, sink=0.0)
    assert log_z.item() == pytest.approx(3.440189698561, abs=1e-12)


@pytest.mark.parametrize("sink", [-1e4, -50.0, 0.0, 50.0, 100.0, 1e4])
def test_a_sink_is_one_more_score(sink):
    x = scores(3, 5).requires_grad_()
    s = torch.full((3, 1), sink, dtype=torch.float64, requires_grad=True)
    for temperature in (1.0, 0.5):
        probs = anymax.softmax(x, 1, sink=s, temperature=temperature)
        assert_close(probs, torch.softmax(torch.cat([x / temperature, s], 1), 1)[:, :-1])
        upstream = scores(3, 5, at=9)
        (gradient,) = torch.autograd.grad(probs, s, upstream)
        share = 1 - probs.sum(1, keepdim=True)
        assert_close(gradient, -share * (upstream * probs).sum(1, keepdim=True), rtol=1e-6, atol=1e-12)
    assert_close(anymax.logsumexp(x, 1, sink=s), torch.logsumexp(torch.cat([x, s], 1), 1))
    assert torch.equal(anymax.softmax(x, 1, sink=sink), anymax.softmax(x, 1, sink=s))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3), (2, 0, 3), (1,), (1, 1)])
def test_empty_and_single_axes(shape):
    x = torch.randn(shape, requires_grad=True)
    for function in MAPS:
        for dim in range(len(shape)):
            for options in ({}, {"temperature": 2.0}, {"sink": 0.0}, {"mask": torch.ones(shape, dtype=torch.bool)}):
                result = function(x, dim, **options)
                assert result.shape == shape
                (gradient,) = torch.autograd.grad(result.sum(), x)
                assert gradient.shape == shape
                if shape[dim] == 1 and "sink" not in options:
                    expected = 0.0 if function is anymax.log_softmax else 1.0
                    assert (result == expected).all()
    for dim in range(len(shape)):
        log_z = anymax.logsumexp(x, dim)
        assert torch.equal(log_z, torch.logsumexp(x, dim))
        assert log_z.shape == shape[:dim] + shape[dim + 1 :]
    assert anymax.logsumexp(torch.zeros(2, 0), 1).tolist() == [-INFINITY, -INFINITY]
    assert anymax.logsumexp(torch.zeros(2, 0), 1, sink=0.5).tolist() == [0.5, 0.5]


def test_a_tensor_without_axes():
    x = torch.tensor(2.0)
    assert anymax.softmax(x, 0) == 1
    assert anymax.log_softmax(x, -1) == 0
    assert anymax.logsumexp(x, 0) == 2
    assert anymax.softmax(x, 0, mask=torch.tensor(False)) == 0
    assert anymax.softmax(x, 0, temperature=3.0, sink=0.0).item() == pytest.approx(0.66075637)


def test_a_tensor_without_axes_takes_options_that_are_tensors():
    x = torch.tensor(2.0, requires_grad=True)
    temperature, sink = torch.tensor(3.0, requires_grad=True), torch.tensor(0.0)
    probs = anymax.softmax(x, 0, temperature=temperature, sink=sink)
    expected = torch.sigmoid(x / temperature)
    assert_close(probs, expected)
    for mine, theirs in zip(
        torch.autograd.grad(probs, [x, temperature]), torch.autograd.grad(expected, [x, temperature]), strict=True
    ):
        assert_close(mine, theirs)
    assert anymax.log_softmax(x, -1, temperature=temperature) == 0
    assert_close(anymax.logsumexp(x, 0, sink=sink), torch.logsumexp(torch.tensor([2.0, 0.0]), 0))
    assert anymax.gumbel_softmax(x, temperature, dim=0) == 1
    assert anymax.sample(x, 0, temperature=temperature) == 0
    assert anymax.nn.GumbelSoftmax(dim=0)(x) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_summed_in_float32(dtype):
    # summed in bfloat16, 1000 equal terms stop growing at 256
    x = torch.zeros(1000, dtype=dtype)
    assert anymax.logsumexp(x, 0).item() == pytest.approx(6.9078, rel=torch.finfo(dtype).eps)
    sums = anymax.softmax(scores(20, 3000, dtype=torch.float32).to(dtype), 1).float().sum(1)
    assert_close(sums, torch.ones(20), rtol=0, atol=2 * torch.finfo(dtype).eps)


def test_dtype_and_out_are_torchs():
    x = scores(2, 3, dtype=torch.float32)
    assert anymax.softmax(x, 1, dtype=torch.float64).dtype == torch.float64
    assert_close(anymax.softmax(torch.arange(3), 0, dtype=torch.float32), torch.softmax(torch.arange(3.0), 0))
    out = torch.empty(0)
    assert anymax.softmax(x, 1, out=out) is out
    assert_close(out, torch.softmax(x, 1))
    with pytest.raises(TypeError, match=r"softmax: out must have the dtype torch.float32, got torch.float64"):
        anymax.softmax(x, 1, out=torch.empty(2, 3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="out= has no derivative"):
        anymax.softmax(x.requires_grad_(), 1, out=torch.empty(2, 3))


@pytest.mark.parametrize("name", ["temperature", "sink"])
def test_out_has_no_derivative_whichever_argument_asks_for_one(name):
    x, parameter = scores(2, 3), torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    for function in MAPS:
        out = torch.empty_like(x)
        with pytest.raises(RuntimeError, match=f"{function.__name__}: out= has no derivative"):
            function(x, 1, out=out, **{name: parameter})
        assert not out.requires_grad
        with torch.no_grad():
            assert_close(function(x, 1, out=out, **{name: parameter}), function(x, 1, **{name: 1.0}))


def test_dtype_is_named_not_counted():
    with pytest.raises(
        TypeError, match=r"positional arguments but 3 were given; the call is softmax\(input, dim=None, \*"
    ):
        anymax.softmax(torch.zeros(2, 3), 1, torch.float64)


def test_autocast_on_cpu_keeps_the_maps_dtype():
    x = scores(2, 3, dtype=torch.float32).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert anymax.softmax(x, 1).dtype == torch.softmax(x, 1).dtype == torch.bfloat16


def test_integers_in_logsumexp_are_torchs():
    assert_close(anymax.logsumexp(torch.arange(4), 0), torch.logsumexp(torch.arange(4), 0))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: anymax.softmax([1.0, 2.0], 0), TypeError, "softmax: input must be a tensor, got"),
        (
            lambda x: anymax.softmax(x.long(), 1),
            TypeError,
            r"floating-point tensor, got torch.int64; write input.float",
        ),
        (lambda x: anymax.softmax(x.to(torch.complex64), 1), TypeError, "got torch.complex64$"),
        (lambda x: anymax.softmax(x.to(torch.float8_e5m2), 1), TypeError, r"got torch.float8_e5m2; write input.float"),
        (lambda x: anymax.softmax(x, 1, temperature=0.0), ValueError, "temperature must be greater than 0, got 0.0"),
        (lambda x: anymax.softmax(x, 1, temperature=NAN), ValueError, "greater than 0, got nan"),
        (
            lambda x: anymax.softmax(x, 1, temperature=1e-46),
            ValueError,
            "got 1e-46, which is 0 in torch.float32; the limit at 0 is",
        ),
        (
            lambda x: anymax.softmax(x.half(), 1, temperature=torch.tensor(1e-46, dtype=torch.float64)),
            ValueError,
            "temperature must be greater than 0 everywhere, got 1e-46",
        ),
        (lambda x: anymax.softmax(x, 1, temperature="2"), TypeError, "temperature must be a number, got '2'"),
        (
            lambda x: anymax.softmax(x, 1, temperature=torch.tensor([[1.0], [-2.0]])),
            ValueError,
            "temperature must be greater than 0 everywhere, got -2.0",
        ),
        (
            lambda x: anymax.softmax(x, "batch [class]", temperature=torch.ones(3)),
            ValueError,
            r"size 1 on axis 1 \('class'\), which is normalised, got shape \(3,\)",
        ),
        (
            lambda x: anymax.softmax(x, 1, sink=torch.zeros(5, 1)),
            ValueError,
            "sink must broadcast .* without enlarging",
        ),
        (lambda x: anymax.softmax(x, 1, sink=torch.zeros(1, 2, 1)), ValueError, "without enlarging"),
        (lambda x: anymax.softmax(x, 1, mask=torch.ones(2, 3)), TypeError, r"boolean .* write mask.bool\(\)"),
        (lambda x: anymax.softmax(x, 1, mask=[True]), TypeError, "mask must be a tensor"),
        (lambda x: anymax.softmax(x, 1, mask=torch.ones(4, 2, 3, dtype=torch.bool)), ValueError, "mask must broadcast"),
    ],
)
def test_bad_arguments_are_told_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.zeros(2, 3))


def test_a_bad_temperature_is_nan_where_values_cannot_be_read():
    def call(temperature):
        x = torch.zeros(2, 2)
        return torch.func.grad(lambda t: anymax.softmax(x, 1, temperature=t)[:, 0].sum())(temperature)

    gradient = call(torch.tensor([[1.0], [-1.0]]))
    assert gradient[0].isfinite()
    assert gradient[1].isnan()


def test_values_are_read_on_the_cpu_and_where_asked_for(monkeypatch):
    on_cpu = torch.zeros(2)
    on_accelerator = SimpleNamespace(is_cpu=False, is_meta=False)
    assert values_are_readable(on_cpu)
    assert not values_are_readable(on_cpu, on_accelerator)
    assert not values_are_readable(torch.zeros(2, device="meta"))
    monkeypatch.setenv("ANYMAX_CHECK", "1")
    assert values_are_readable(on_accelerator)
    assert not values_are_readable(torch.zeros(2, device="meta"))
    assert torch.vmap(lambda x: x + values_are_readable(x))(on_cpu).tolist() == [0, 0]


def test_fake_and_meta_tensors_have_shapes():
    assert anymax.softmax(torch.zeros(2, 3, device="meta"), 1, temperature=torch.ones(2, 1, device="meta")).shape == (
        2,
        3,
    )
