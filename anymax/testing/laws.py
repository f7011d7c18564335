"""What holds for every op however it is called. Each law takes a case and raises AssertionError where it is broken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch._dynamo
from torch import Tensor
from torch._dynamo.exc import Unsupported
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck, gradgradcheck
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close

from anymax._core.dispatch import OPS, use_backend
from anymax.testing.cases import Case

HALF = (torch.float16, torch.bfloat16)


class Refused(Exception):
    """The backend cannot serve the case at all, and why."""


def holds(law: Callable[[Case], None], case: Case, backend: str = "reference") -> None:
    """Check that the law holds for the case when the backend serves it; what it refuses is `Refused`."""
    try:
        with use_backend(backend):
            law(case)
    except (NotImplementedError, Unsupported) as error:
        # Dynamo says of a refusal that it cannot be traced
        if isinstance(error, NotImplementedError) or "was asked for and cannot serve this call" in str(error):
            raise Refused(str(error)) from None
        raise


def matches_float64(case: Case) -> None:
    """The answer in float32, float16 and bfloat16 is that of float64 on the same numbers, rounded."""
    for dtype in (torch.float32, *HALF):
        floats, fixed = case.make(rows=5, dtype=dtype)
        results = _leaves(case.call(*floats, *fixed))
        with use_backend("reference"):
            expected = _leaves(case.call(*(tensor.double() for tensor in floats), *fixed))
        for result, reference in zip(results, expected, strict=True):
            if not reference.is_floating_point():
                # ids and masks may differ where two scores are equal up to rounding, and nowhere else
                assert (result == reference).double().mean() > 0.9
                continue
            assert result.dtype == dtype
            if reference.numel() > 2 and case.name != "one-entry":
                assert reference[reference.isfinite()].std() > 1e-3, "a case whose answers are all alike shows nothing"
            epsilon = torch.finfo(dtype).eps
            # float32 arithmetic stands behind every half result, so its error comes on top
            scale = case.roundings * epsilon if dtype in HALF else 16 * epsilon
            assert_close(result.double(), reference, rtol=scale, atol=scale)


def gradients_match_float64(case: Case) -> None:
    """First derivatives in float32 are those of float64."""
    if not case.differentiable:
        return
    gradients = {}
    for dtype, context in ((torch.float32, nullcontext()), (torch.float64, use_backend("reference"))):
        floats, fixed = case.make(rows=5, dtype=torch.float32)
        leaves = [tensor.to(dtype).requires_grad_() for tensor in floats]
        with context:
            gradients[dtype] = torch.autograd.grad(_scalar(case.call(*leaves, *fixed)), leaves)
    for single, double in zip(gradients[torch.float32], gradients[torch.float64], strict=True):
        assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


def derivatives_match_differences(case: Case) -> None:
    """First and second derivatives, forward mode, and forward over reverse, in float64."""
    if not case.differentiable:
        return
    floats, fixed = case.make()
    leaves = [tensor.requires_grad_() for tensor in floats]

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        # gradcheck counts on derivatives of the first results
        return tuple(leaf for leaf in _leaves(case.call(*tensors, *fixed)) if leaf.is_floating_point())

    # entry by entry takes minutes for a large table; there one random projection stands for all entries
    fast = sum(leaf.numel() for leaf in leaves) > 200
    assert gradcheck(function, leaves, check_forward_ad=True, fast_mode=fast)
    assert gradgradcheck(function, leaves, check_fwd_over_rev=True, fast_mode=fast)


def vmap_is_a_loop(case: Case) -> None:
    """vmap over a new axis gives what a loop over it gives."""
    floats, fixed = case.make()
    batches = [
        torch.stack([tensor, tensor.flip(0), -tensor.abs() if tensor.min() < 0 else tensor]) for tensor in floats
    ]
    in_dims = (*(0 for _ in batches), *(None for _ in fixed))
    together = _leaves(torch.func.vmap(case.call, in_dims)(*batches, *fixed))
    singles = [_leaves(case.call(*entry, *fixed)) for entry in zip(*batches, strict=True)]
    for at, result in enumerate(together):
        assert_close(result, torch.stack([single[at] for single in singles]))


def func_transforms_agree(case: Case) -> None:
    """torch.func's grad, jvp and hessian give what autograd gives."""
    if not case.differentiable:
        return
    floats, fixed = case.make()
    first, rest = floats[0], floats[1:]

    def scalar(tensor: Tensor) -> Tensor:
        return _scalar(case.call(tensor, *rest, *fixed))

    leaf = first.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scalar(leaf), leaf, create_graph=True)
    assert_close(torch.func.grad(scalar)(first), gradient.detach())
    direction = torch.linspace(-1, 1, first.numel(), dtype=first.dtype).reshape(first.shape)
    assert_close(torch.func.jvp(scalar, (first,), (direction,))[1], (gradient.detach() * direction).sum())
    hessian = torch.func.hessian(scalar)(first).reshape(first.numel(), first.numel())
    assert hessian.isfinite().all()
    if gradient.requires_grad:
        (product,) = torch.autograd.grad((gradient * direction).sum(), leaf)
        assert_close(hessian @ direction.flatten(), product.flatten())


def compiles_whole(case: Case, backend: str = "aot_eager", dtype: torch.dtype = torch.float32) -> None:
    """torch.compile(fullgraph=True) with dynamic shapes gives eager's values and gradients, for two sizes."""
    torch._dynamo.reset()
    compiled = torch.compile(case.call, fullgraph=True, dynamic=True, backend=backend)
    # inductor keeps float32 where eager rounds to the half type in between
    tolerance = 8 * torch.finfo(dtype).eps if dtype in HALF else None
    for rows in (3, 6):
        answers = []
        for function in (compiled, case.call):
            floats, fixed = case.make(rows=rows, dtype=dtype)
            leaves = [tensor.requires_grad_(case.differentiable) for tensor in floats]
            result = function(*leaves, *fixed)
            gradients = torch.autograd.grad(_scalar(result), leaves) if case.differentiable else ()
            answers.append([*_leaves(result), *gradients])
        for mine, theirs in zip(*answers, strict=True):
            assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


def a_transform_of_it_compiles(case: Case) -> None:
    """torch.compile(fullgraph=True) of vmap, and of torch.func.grad where there is one."""
    torch._dynamo.reset()
    floats, fixed = case.make(dtype=torch.float32)
    batches = [torch.stack([tensor, tensor]) for tensor in floats]
    function = torch.func.vmap(case.call, (*(0 for _ in batches), *(None for _ in fixed)))
    if case.differentiable:

        def scalar(*tensors: Tensor) -> Tensor:
            return _scalar(case.call(*tensors))

        function = torch.func.vmap(torch.func.grad(scalar), (*(0 for _ in batches), *(None for _ in fixed)))
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for mine, theirs in zip(_leaves(compiled(*batches, *fixed)), _leaves(function(*batches, *fixed)), strict=True):
        assert_close(mine, theirs)


def exports(case: Case) -> None:
    """torch.export takes it with any number of rows, and the exported program gives eager's values."""
    arguments, others = ([*floats, *fixed] for floats, fixed in (case.make(rows, torch.float32) for rows in (3, 6)))

    class Module(torch.nn.Module):
        def forward(self, *tensors: Tensor) -> Any:
            return case.call(*tensors)

    rows = torch.export.Dim("rows")
    sizes = tuple(
        {axis: rows for axis, size in enumerate(tensor.shape) if size != other.shape[axis]}
        for tensor, other in zip(arguments, others, strict=True)
    )
    program = torch.export.export(Module(), tuple(arguments), dynamic_shapes=(sizes,))
    for tensors in (arguments, others):
        exported = _leaves(program.module()(*tensors))
        for mine, theirs in zip(exported, _leaves(case.call(*tensors)), strict=True):
            assert_close(mine, theirs)


def strides_do_not_matter(case: Case) -> None:
    """Non-contiguous inputs give the same bits' worth of answer, values and gradients."""
    floats, fixed = case.make()
    spread = []
    for tensor in floats:
        wide = torch.full((*tensor.shape, 2), float("nan"), dtype=tensor.dtype).movedim(-1, 0)
        wide[0] = tensor
        spread.append(wide[0].mT.clone().mT if tensor.ndim > 1 else wide[0])
    spread_fixed = [
        tensor.mT.clone(memory_format=torch.contiguous_format).mT if tensor.ndim > 1 else tensor for tensor in fixed
    ]
    for mine, theirs in zip(
        _leaves(case.call(*spread, *spread_fixed)), _leaves(case.call(*floats, *fixed)), strict=True
    ):
        assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def inputs_are_not_written(case: Case) -> None:
    """No argument changes, forward or backward."""
    floats, fixed = case.make()
    copies = [tensor.clone() for tensor in (*floats, *fixed)]
    leaves = [tensor.requires_grad_(case.differentiable) for tensor in floats]
    result = case.call(*leaves, *fixed)
    if case.differentiable:
        torch.autograd.grad(_scalar(result), leaves)
    for tensor, copy in zip((*leaves, *fixed), copies, strict=True):
        assert torch.equal(tensor.detach(), copy)


def threads_do_not_matter(case: Case) -> None:
    """One thread and two give the same answer; random draws give the same bits."""
    floats, fixed = case.make(rows=64)
    threads = torch.get_num_threads()
    answers = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            answers.append(_leaves(case.call(*floats, *fixed)))
    finally:
        torch.set_num_threads(threads)
    for mine, theirs in zip(*answers, strict=True):
        if mine.is_floating_point():
            assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
        else:
            assert torch.equal(mine, theirs)


def modes_see_the_public_name(case: Case) -> None:
    """A __torch_function__ mode sees one call of the public function before any of its pieces."""
    floats, fixed = case.make()
    seen = []

    class Recorder(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with Recorder():
        case.call(*floats, *fixed)
    assert seen.count(OPS[case.op].function) == 1


def works_on_fake_tensors(case: Case) -> None:
    """Shapes and dtypes come out right without any data."""
    floats, fixed = case.make(dtype=torch.float32)
    expected = _leaves(case.call(*floats, *fixed))
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(tensor) for tensor in (*floats, *fixed)]
        for fake, real in zip(_leaves(case.call(*fakes)), expected, strict=True):
            assert fake.shape == real.shape
            assert fake.dtype == real.dtype


LAWS: tuple[Callable[[Case], None], ...] = (
    matches_float64,
    gradients_match_float64,
    derivatives_match_differences,
    vmap_is_a_loop,
    func_transforms_agree,
    compiles_whole,
    a_transform_of_it_compiles,
    exports,
    strides_do_not_matter,
    inputs_are_not_written,
    threads_do_not_matter,
    modes_see_the_public_name,
    works_on_fake_tensors,
)


def _leaves(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _scalar(result: Any) -> Tensor:
    """A sum with different weights, so that no two entries' gradients cancel."""
    total = None
    for leaf in _leaves(result):
        weights = torch.linspace(0.5, 1.5, leaf.numel(), dtype=leaf.dtype, device=leaf.device).reshape(leaf.shape)
        term = (leaf * weights).sum()
        total = term if total is None else total + term
    assert total is not None
    return total
