"""The CPU kernel of linear_cross_entropy: in each chunk of rows the gradient takes the place of the scores.

So there are three products, where the reference has four, and one block of scores. The kernel is that of the
cross-entropy (ops/cross_entropy/cpu.cpp); the products are torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from anymax._core.context import is_batched, is_eager, is_kept
from anymax._core.library import define
from anymax._core.native import CpuKernel
from anymax._core.scores import compute_dtype, mean_of
from anymax._core.targets import look_up
from anymax.ops.cross_entropy.cpu import per_class, refusal
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.linear import reference

WANTS_GRADIENT = 8

IN_PLACE = define(
    "cross_entropy_in_place(Tensor(a!) scores, Tensor target, Tensor weight, Tensor log_prior, Tensor factors, "
    "int ignore_index, float label_smoothing, float z_loss, int flags) -> Tensor",
    lambda scores, *_: scores.new_empty((2, scores.shape[0]), dtype=compute_dtype(scores.dtype)),
)

# Rows of a chunk beside whose products it takes little to read and write the table's gradient: 2 % of the time, and 8 %
# with 256 rows. Their scores for 32,768 classes are 56 MiB.
ENOUGH_ROWS = 448


class LinearCrossEntropy(CpuKernel):
    def __call__(
        self,
        input: Tensor,
        linear_weight: Tensor,
        linear_bias: Tensor | None,
        target: Tensor,
        options: Options,
        reduction: str,
        chunks: int | None,
        memory_budget: int | None,
    ) -> Tensor:
        arguments = input, linear_weight, linear_bias, target, options, reduction, chunks, memory_budget
        if _needs_grad(input, linear_weight, linear_bias):
            return _Differentiable.apply(*arguments)
        return compute(*arguments, wanted=(False, False, False)).loss

    def cannot(
        self,
        input: Tensor,
        linear_weight: Tensor,
        linear_bias: Tensor | None,
        target: Tensor,
        options: Options,
        reduction: str,
        chunks: int | None,
        memory_budget: int | None,
    ) -> str | None:
        reason = self.refuses_scores(input, linear_weight, linear_bias, target, options.weight, options.class_prior)
        if reason := reason or refusal(target, options):
            return reason
        if torch.compiler.is_compiling():
            return "a compiler fuses the chunks of the reference"
        if reduction == "none" and _needs_grad(input, linear_weight, linear_bias):
            return "it has the derivative of a sum or a mean"
        return None


class _Found(NamedTuple):
    loss: Tensor
    # Of input, table and bias, where they are wanted, and what multiplies them. So halves are rounded behind a loss
    # scale.
    gradients: tuple[Tensor | None, ...]
    scale: Tensor


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        input, linear_weight, linear_bias, target, options, *rest = arguments
        found = compute(*arguments, wanted=ctx.needs_input_grad[:3])
        vectors = options.weight, options.class_prior
        ctx.save_for_backward(input, linear_weight, linear_bias, target, *vectors, found.scale, *found.gradients)
        ctx.options, ctx.rest = options._replace(weight=None, class_prior=None), rest
        # torch reports a change of what it saved too, in words of its own
        tensors = [value for value in (*arguments, *vectors) if isinstance(value, Tensor)]
        ctx.check = partial(reference.check_unchanged, tensors, reference.versions_of(tensors))
        return found.loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        ctx.check()
        input, linear_weight, linear_bias, target, weight, class_prior, scale, *gradients = ctx.saved_tensors
        inputs = input, linear_weight, linear_bias
        if torch.is_grad_enabled():
            options = ctx.options._replace(weight=weight, class_prior=class_prior)
            loss = reference.linear_cross_entropy(*inputs, target, options, *ctx.rest)
            wanted = [value for value, gradient in zip(inputs, gradients, strict=True) if gradient is not None]
            found = iter(torch.autograd.grad(loss, wanted, grad, create_graph=True))
            return (*(None if gradient is None else next(found) for gradient in gradients), *[None] * 5)
        factor = grad * scale
        # what is saved belongs to this pass alone
        multiply = Tensor.mul_ if is_eager() and not is_batched(grad) and not is_kept() else Tensor.mul
        results = (
            None if gradient is None else multiply(gradient, factor).to(value.dtype)
            for value, gradient in zip(inputs, gradients, strict=True)
        )
        return (*results, *[None] * 5)


def _needs_grad(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


@torch.no_grad()
def compute(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    options: Options,
    reduction: str,
    chunks: int | None,
    memory_budget: int | None,
    wanted: tuple[bool, ...],
    exclude: Callable[[Tensor, int, int], None] | None = None,
) -> _Found:
    """`exclude` may write -inf into the scores of the rows from one number to another."""
    dtype = reference.product_dtype(input)
    wide = compute_dtype(dtype)
    features = (input.flatten(0, -2) if input.ndim > 1 else input.unsqueeze(0)).to(dtype)
    table = linear_weight.to(dtype)
    bias = None if linear_bias is None else linear_bias.to(dtype)
    target = target.reshape(-1).contiguous()
    weight, log_prior, flags = per_class(options, wide, absent=target)
    num_rows, num_classes = features.shape[0], table.shape[0]
    count = _number_of_chunks(num_rows, table, chunks, memory_budget)
    most = -(-num_rows // count) if num_rows else 0

    by_weight, by_number = _divisors(target, weight, num_classes, options, reduction, wide)
    safe = torch.where(by_weight == 0, 1.0, by_weight)
    factors = torch.stack([(by_weight != 0).to(wide), mean_of(safe, by_number)])
    of_features = torch.empty_like(features) if wanted[0] else None
    of_table = torch.zeros_like(table, dtype=wide) if wanted[1] else None
    of_bias = table.new_zeros(num_classes, dtype=wide) if wanted[2] else None
    rows = features.new_empty(2, num_rows, dtype=wide)
    room = features.new_empty(most, num_classes)

    flags |= WANTS_GRADIENT if any(wanted) else 0
    for first, last in _bounds(num_rows, count):
        chunk, scores = features[first:last], room[: last - first]
        if bias is None:
            torch.mm(chunk, table.T, out=scores)
        else:
            torch.addmm(bias, chunk, table.T, out=scores)
        if exclude is not None:
            exclude(scores, first, last)
        rows[:, first:last] = IN_PLACE(
            scores,
            target[first:last],
            weight,
            log_prior,
            factors,
            options.ignore_index,
            options.label_smoothing,
            options.z_loss,
            flags,
        )
        if of_features is not None:
            torch.mm(scores, table, out=of_features[first:last])
        if of_table is not None:
            if dtype == wide:
                of_table.addmm_(scores.T, chunk)
            else:
                of_table += torch.mm(scores.T, chunk)
        if of_bias is not None:
            of_bias += scores.sum(0, dtype=wide)

    if reduction == "none":
        loss = rows.sum(0).reshape(input.shape[:-1])
    else:
        cost, penalty = rows.sum(1)
        loss = mean_of(cost, by_weight) + mean_of(penalty, by_number)
    gradients = (None if of_features is None else of_features.view(input.shape), of_table, of_bias)
    return _Found(loss, gradients, 1 / safe)


def _divisors(
    target: Tensor, weight: Tensor, num_classes: int, options: Options, reduction: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """What the sums over rows of costs and of penalties are divided by."""
    if reduction != "mean":
        one = torch.ones((), dtype=dtype)
        return one, one
    ids = look_up(target, num_classes, options.ignore_index)
    number = ids.counted.sum().to(dtype)
    if options.weight is None:
        return number, number
    return torch.where(ids.counted, weight[ids.safe], 0.0).sum(), number


def _number_of_chunks(num_rows: int, table: Tensor, chunks: int | None, memory_budget: int | None) -> int:
    if chunks is None:
        num_classes, in_features = table.shape
        row_bytes = num_classes * compute_dtype(table.dtype).itemsize
        budget = memory_budget or max(reference.SMALLEST_BUDGET, min(in_features, ENOUGH_ROWS) * row_bytes)
        chunks = -(-num_rows // max(1, budget // row_bytes))
    return max(1, min(chunks, num_rows))


def _bounds(num_rows: int, count: int) -> Iterator[tuple[int, int]]:
    for index in range(count):
        yield index * num_rows // count, (index + 1) * num_rows // count
