"""PyTorch's own samples, through torch and through anymax: equal, or named by a row of the table of differences."""

from __future__ import annotations

import inspect
import itertools
import operator
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import anymax
from anymax.testing.differences import DIFFERENCES, Call, Difference, as_page

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch's own, on import
    from torch.testing._internal.common_methods_invocations import op_db

pytestmark = [
    # torch's samples cast complex numbers to real ones, and ask torch for chunks where it has none
    pytest.mark.filterwarnings("ignore:Casting complex values to real:UserWarning"),
    pytest.mark.filterwarnings("ignore:linear_cross_entropy. ``options`` ignored:UserWarning"),
]


def masked_map(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def ours(input: Tensor, dim: int, *, dtype: torch.dtype | None = None, mask: Tensor | None = None) -> Tensor:
        return function(input, dim, dtype=dtype, mask=mask)

    return ours


def masked_logsumexp(
    input: Tensor,
    dim: int | tuple[int, ...] | None = None,
    *,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    if dim is None or dim == ():  # all axes, in torch
        dim = tuple(range(input.ndim)) or 0
    result = anymax.logsumexp(input, dim, keepdim, mask=mask)
    return result if dtype is None else result.to(dtype)


OURS: dict[str, Callable[..., Tensor]] = {
    "softmax": anymax.softmax,
    "log_softmax": anymax.log_softmax,
    "nn.functional.softmin": anymax.softmin,
    "logsumexp": anymax.logsumexp,
    "masked.softmax": masked_map(anymax.softmax),
    "masked.log_softmax": masked_map(anymax.log_softmax),
    "masked.softmin": masked_map(anymax.softmin),
    "masked.logsumexp": masked_logsumexp,
    "nn.functional.cross_entropy": anymax.cross_entropy,
    "nn.functional.linear_cross_entropy": anymax.linear_cross_entropy,
    "nn.functional.binary_cross_entropy_with_logits": anymax.binary_cross_entropy_with_logits,
}


def is_in_torch(op: str) -> bool:
    try:
        operator.attrgetter(op)(torch)
    except AttributeError:
        return False
    return True


# an older torch has neither the function nor its samples
MISSING = {op for op in OURS if not is_in_torch(op)}
INFOS = [info for info in op_db if info.name in OURS]
THEIRS: dict[str, Callable[..., Tensor]] = {info.name: info.op for info in INFOS}
DTYPES = (torch.float64, torch.float32, torch.int64, torch.uint8, torch.bool, torch.complex64)
CASES = [
    pytest.param(info, dtype, id=f"{info.formatted_name}-{str(dtype).removeprefix('torch.')}")
    for info, dtype in itertools.product(INFOS, DTYPES)
    if dtype in info.dtypes
]


def more_samples(op: str, dtype: torch.dtype) -> Iterator[Call]:
    """What torch's samples leave out."""
    if not dtype.is_floating_point:
        return
    scores = torch.linspace(-1, 1, 12, dtype=dtype).reshape(4, 3).requires_grad_()
    ignored = torch.full((4,), -100)
    if op == "nn.functional.cross_entropy":
        yield Call(op, scores, (ignored,))
        yield Call(op, scores[:0].detach().requires_grad_(), (ignored[:0],))
        yield Call(op, scores, (ignored + 101,), {"weight": torch.tensor([1, 0, 1], dtype=dtype)})
    if op == "nn.functional.linear_cross_entropy":
        table = torch.eye(3, dtype=dtype, requires_grad=True)
        yield Call(op, scores, (table, ignored))
        options = getattr(torch.nn, "LinearCrossEntropyOptions", None)
        if options is not None:
            yield Call(op, scores, (table, ignored + 101), {"options": options(chunking_method="aspect_ratio:2")})
    if op == "nn.functional.binary_cross_entropy_with_logits":
        yield Call(op, scores, (torch.full_like(scores, 2.0, requires_grad=False),))
        empty = scores[:0].detach().requires_grad_()
        yield Call(op, empty, (torch.zeros_like(empty, requires_grad=False),))


MADE: dict[tuple[str, torch.dtype], list[Call]] = {}


def samples(info: Any, dtype: torch.dtype) -> list[Call]:
    """Made once, since nobody writes to them and each row of the table asks for all."""
    key = (info.formatted_name, dtype)
    if key not in MADE:
        torch.manual_seed(0)
        made = info.sample_inputs("cpu", dtype, requires_grad=dtype.is_floating_point)
        calls = [Call(info.name, sample.input, tuple(sample.args), dict(sample.kwargs)) for sample in made]
        MADE[key] = [*calls, *more_samples(info.name, dtype)]
    return MADE[key]


def rows_for(call: Call) -> list[Difference]:
    return [row for row in DIFFERENCES if call.op in row.ops and row.applies(call)]


def run(function: Callable[..., Tensor], call: Call) -> Tensor:
    return function(call.input, *call.args, **call.kwargs)


def gradients(result: Tensor, call: Call, *, only_finite: bool = False) -> list[Tensor]:
    """Of an uneven sum of the result, in every tensor that has one."""
    learning = [
        value
        for value in (call.input, *call.args, *call.kwargs.values())
        if isinstance(value, Tensor) and value.requires_grad
    ]
    if not result.requires_grad:
        return []
    upstream = torch.linspace(0.5, 1.5, result.numel() + 1, dtype=result.dtype)[1:].reshape(result.shape)
    if only_finite:
        upstream = torch.where(result.isfinite(), upstream, 0.0)
    found = torch.autograd.grad(result, learning, upstream, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(value) if one is None else one for one, value in zip(found, learning, strict=True)]


def assert_equal(mine: Tensor, theirs: Tensor, call: Call) -> None:
    assert_close(mine, theirs, equal_nan=True)
    assert_close(gradients(mine, call), gradients(theirs, call), equal_nan=True)


def test_only_functions_that_torch_lacks_have_no_samples() -> None:
    assert set(THEIRS) == set(OURS) - MISSING


@pytest.mark.parametrize(("info", "dtype"), CASES)
def test_equals_torch_unless_a_row_says_otherwise(info: Any, dtype: torch.dtype) -> None:
    compared = 0
    for call in samples(info, dtype):
        if not rows_for(call):
            assert_equal(run(OURS[call.op], call), run(THEIRS[call.op], call), call)
            compared += 1
    assert compared > 0 or all(rows_for(call) for call in samples(info, dtype))


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row.when)
def test_row_is_met_and_true(row: Difference) -> None:
    present = [op for op in row.ops if op not in MISSING]
    if not present:
        pytest.skip("this torch has none of the row's functions")
    for op in present:
        met = 0
        infos = [info for info in INFOS if info.name == op]
        for info, dtype in itertools.product(infos, DTYPES):
            for call in samples(info, dtype) if dtype in info.dtypes else ():
                if row.applies(call):
                    met += 1
                    check_row(row, call)
        assert met, f"no sample of {op} meets this row"


def check_row(row: Difference, call: Call) -> None:
    ours = OURS[call.op]
    if row.result is None:
        with pytest.raises((TypeError, ValueError)):
            run(ours, call)
        return
    theirs, mine = run(THEIRS[call.op], call), run(ours, call)
    with pytest.raises(AssertionError):
        assert_equal(mine, theirs, call)
    if [row] == rows_for(call):
        expected = row.result(call, theirs)
        assert_close(mine, expected)
        # -inf is a constant to anymax; and what is NaN in torch has no gradient here
        wanted = [torch.nan_to_num(one) for one in gradients(theirs, call, only_finite=True)]
        assert_close(gradients(mine, call, only_finite=True), wanted)


def test_rows_are_the_page_in_the_docs() -> None:
    page = Path(__file__).parents[1] / "docs" / "differences-from-torch.md"
    assert page.read_text() == as_page(), "python -m anymax.testing.differences > docs/differences-from-torch.md"


def on_the_simplex(call: Call, axis: int) -> Call:
    """The same call, with its target turned into probabilities."""
    args = tuple(
        argument.detach().softmax(axis) if at == len(call.args) - 1 else argument
        for at, argument in enumerate(call.args)
    )
    return replace(call, args=args)


LINEAR_CROSS_ENTROPY = pytest.param(
    "nn.functional.linear_cross_entropy",
    marks=pytest.mark.skipif("nn.functional.linear_cross_entropy" in MISSING, reason="this torch lacks it"),
)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("op", ["nn.functional.cross_entropy", LINEAR_CROSS_ENTROPY])
def test_probability_targets_on_the_simplex_equal_torch(op: str, dtype: torch.dtype) -> None:
    (row,) = [row for row in DIFFERENCES if "does not sum to 1" in row.when]
    changed = 0
    for info in (info for info in INFOS if info.formatted_name == op.replace(".", "_")):
        for call in samples(info, dtype):
            if row.applies(call):
                mended = on_the_simplex(call, min(1, call.args[-1].ndim - 1))
                assert_equal(run(OURS[op], mended), run(THEIRS[op], mended), mended)
                changed += 1
    assert changed


@pytest.mark.parametrize("op", [LINEAR_CROSS_ENTROPY])
def test_a_table_per_position_is_what_the_message_says_to_write(op: str) -> None:
    (row,) = [row for row in DIFFERENCES if "more than two axes" in row.when]

    def as_written(input, linear_weight, target, *, linear_bias=None, options=None, ignore_index=-100, **kwargs):
        scores = torch.einsum("nf,c...f->nc...", input, linear_weight)
        if linear_bias is not None:
            scores = scores + linear_bias
        return anymax.cross_entropy(scores, target, ignore_index=ignore_index, **kwargs)

    written = 0
    for info in (info for info in INFOS if info.formatted_name == op.replace(".", "_")):
        for call in samples(info, torch.float64):
            if row.applies(call):
                call = on_the_simplex(call, 1) if call.args[-1].is_floating_point() else call
                assert_equal(run(as_written, call), run(THEIRS[op], call), call)
                written += 1
    assert written


def in_float64(call: Call) -> Call:
    """The same call on the same numbers, wider."""

    def wide(value: Any) -> Any:
        return value.detach().double() if isinstance(value, Tensor) and value.is_floating_point() else value

    kwargs = {name: wide(value) for name, value in call.kwargs.items()}
    return Call(call.op, wide(call.input), tuple(wide(value) for value in call.args), kwargs)


def from_scores(call: Call) -> Call:
    """A linear cross entropy as the cross entropy of its scores, which F.linear rounds in anymax and torch alike.

    That rounding can be much larger than all others, and a later one may undo it by luck. torch's chunks take their
    scores in float32 where F.linear does not.
    """
    if call.op != "nn.functional.linear_cross_entropy":
        return call
    table, target = call.args
    kwargs = {name: value for name, value in call.kwargs.items() if name not in ("linear_bias", "options")}
    if kwargs.get("ignore_index", -100) is None:
        del kwargs["ignore_index"]
    scores = torch.nn.functional.linear(call.input, table, call.argument("linear_bias"))
    return Call("nn.functional.cross_entropy", scores, (target,), kwargs)


@pytest.mark.parametrize(
    "info", [info for info in INFOS if torch.bfloat16 in info.dtypes], ids=lambda info: info.formatted_name
)
def test_bfloat16_is_as_near_to_float64_as_torch_is(info: Any) -> None:
    for call in samples(info, torch.bfloat16):
        if rows_for(call) or call.input.numel() == 0:
            continue
        composed = from_scores(call)
        mine, theirs = run(OURS[call.op], call).double(), run(THEIRS[composed.op], composed).double()
        exact = run(THEIRS[composed.op], in_float64(composed))
        shown = exact.isfinite()
        assert torch.equal(mine.isfinite(), shown)
        error, allowed = ((result - exact)[shown].abs().sum() for result in (mine, theirs))
        # twice torch's error, as the rounding of either result may be lucky, and half a unit in the last place
        assert error <= 2 * allowed + exact[shown].abs().sum() * 2**-9


THINNED = 6


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.formatted_name)
def test_derivatives_of_torchs_samples(info: Any) -> None:
    """First, second and forward-mode derivatives, on every sixth sample."""
    chosen = [call for call in samples(info, torch.float64) if not rows_for(call) and call.input.numel() > 0]
    for call in chosen[::THINNED]:
        names = list(inspect.signature(OURS[call.op]).parameters)
        arguments = dict(zip(names, (call.input, *call.args), strict=False)) | call.kwargs
        learning = {
            name: value for name, value in arguments.items() if isinstance(value, Tensor) and value.requires_grad
        }

        def function(*values: Tensor, call=call, arguments=arguments, learning=learning) -> Tensor:
            result = OURS[call.op](**(arguments | dict(zip(learning, values, strict=True))))
            return torch.where(result.isfinite(), result, 0.0)

        inputs = tuple(learning.values())
        assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)
