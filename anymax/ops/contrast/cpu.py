"""The CPU kernel of info_nce: a linear cross-entropy whose class table is the keys.

The rows are worked in chunks, in which the gradient takes the place of the scores (ops/linear/cpu.py). The symmetric
loss needs whole columns too: there all scores and the gradient of the rows stand side by side, and that of the columns
takes the scores' place. The kernels are those of the cross-entropy; the products are torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from anymax._core.native import CpuKernel
from anymax._core.scores import INFINITY, autocast_is_on
from anymax._core.targets import REDUCTIONS
from anymax.ops.contrast import reference
from anymax.ops.contrast.reference import Pairs
from anymax.ops.cross_entropy.cpu import FORWARD, WITH_GRADIENT
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.linear.cpu import IN_PLACE, WANTS_GRADIENT, compute
from anymax.ops.linear.reference import SMALLEST_BUDGET

# the target of a query that costs +inf, which the kernels ignore; no label smoothing, no z-loss
DEAD = -1
OPTIONS = (DEAD, 0.0, 0.0)
NONE, SUM = REDUCTIONS.index("none"), REDUCTIONS.index("sum")


class InfoNCE(CpuKernel):
    def __call__(self, query: Tensor, key: Tensor, pairs: Pairs, reduction: str) -> Tensor:
        if _needs_grad(query, key):
            return _Differentiable.apply(query, key, pairs, reduction)
        return _compute(query, key, pairs, reduction, (False, False)).loss

    def cannot(self, query: Tensor, key: Tensor, pairs: Pairs, reduction: str) -> str | None:
        if reason := self.refuses(query, key, *pairs):
            return reason
        if query.ndim > 2:
            return f"it is for one matrix of queries, got shape {tuple(query.shape)}"
        if torch.compiler.is_compiling():
            return "a compiler fuses the reference"
        if reduction == "none" and _needs_grad(query, key):
            return "it has the derivative of a sum or a mean"
        if _needs_grad(pairs.log_q):
            return "it has no derivative in log_q"
        return None


def _needs_grad(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


class _Found(NamedTuple):
    loss: Tensor
    # of query and key, where they are wanted, and what multiplies them
    gradients: tuple[Tensor | None, ...]
    scale: float


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, pairs: Pairs, reduction: str) -> Tensor:
        found = _compute(query, key, pairs, reduction, ctx.needs_input_grad[:2])
        ctx.save_for_backward(query, key, *found.gradients)
        ctx.rest, ctx.scale = (pairs, reduction), found.scale
        return found.loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, *gradients = ctx.saved_tensors
        if torch.is_grad_enabled():
            loss = reference.info_nce(query, key, *ctx.rest)
            wanted = [value for value, of in zip((query, key), gradients, strict=True) if of is not None]
            found = iter(torch.autograd.grad(loss, wanted, grad, create_graph=True))
            return (*(None if of is None else next(found) for of in gradients), None, None)
        factor = grad * ctx.scale
        return (*(None if of is None else of * factor for of in gradients), None, None)


@torch.no_grad()
def _compute(query: Tensor, key: Tensor, pairs: Pairs, reduction: str, wanted: tuple[bool, ...]) -> _Found:
    num_queries, num_keys = query.shape[0], key.shape[0]
    bias = None if pairs.log_q is None else -pairs.log_q.to(query.dtype)
    target = safe = torch.arange(num_queries)
    if pairs.target is not None:
        safe, valid = reference.positives(pairs, query.new_empty(()).expand(num_queries, num_keys))
        target = torch.where(valid, safe, num_keys)
    mask = alive = None
    if pairs.mask is not None:
        mask = pairs.mask.expand(num_queries, num_keys)
        alive = mask.gather(1, safe.unsqueeze(1)).squeeze(1)
        target = torch.where(alive | (target == num_keys), target, DEAD)

    def exclude(scores: Tensor, first: int, last: int) -> None:
        mine = pairs._replace(mask=None if mask is None else mask[first:last])
        compared = reference.takes_part(mine, safe[first:last], num_keys)
        if compared is not None:
            scores.masked_fill_(compared.logical_not(), -INFINITY)

    with torch.autocast("cpu", enabled=False) if autocast_is_on(query) else nullcontext():
        if pairs.symmetric or num_queries * num_keys * query.itemsize <= SMALLEST_BUDGET:
            loss, gradients = _at_once(query, key, bias, target, safe, exclude, pairs.symmetric, wanted)
        else:
            each = "sum" if any(wanted) else "none"
            options = Options(ignore_index=DEAD)
            found = compute(query, key, bias, target, options, each, None, None, (*wanted, False), exclude)
            loss, gradients = found.loss, found.gradients[:2]
    scale = 0.5 if pairs.symmetric else 1.0
    if reduction == "mean":
        scale /= max(num_queries, 1)
    if alive is not None:
        loss = torch.where(~alive if loss.ndim else ~(alive.all() | loss.isnan()), INFINITY, loss)
    loss = loss if reduction == "none" or loss.ndim == 0 else loss.sum()
    return _Found(loss if scale == 1 else loss * scale, gradients, scale)


def _at_once(
    query: Tensor,
    key: Tensor,
    bias: Tensor | None,
    target: Tensor,
    safe: Tensor,
    exclude: Callable[[Tensor, int, int], None],
    symmetric: bool,
    wanted: tuple[bool, ...],
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """What the rows cost, or their sum and its gradients; with the columns, if symmetric."""
    scores = query @ key.T if bias is None else torch.addmm(bias, query, key.T)
    exclude(scores, 0, scores.shape[0])
    of_columns = target
    if symmetric:
        # the query of each key; where that is no permutation, rows are NaN already
        rows = torch.arange(safe.shape[0])
        of_columns = torch.empty_like(safe).scatter(0, safe, torch.where(target == DEAD, DEAD, rows))

    if not any(wanted):
        losses = FORWARD(scores, target, scores, scores, 1, *OPTIONS, NONE)
        if symmetric:
            losses = losses + FORWARD(scores, of_columns, scores, scores, 0, *OPTIONS, NONE)[safe]
        return losses, (None, None)
    loss, gradient = None, scores
    if symmetric:
        loss, gradient = WITH_GRADIENT(scores, target, scores, scores, 1, *OPTIONS, SUM)
        scores = scores.T
    costs, _ = IN_PLACE(scores, of_columns, scores, scores, scores.new_ones(2), *OPTIONS, WANTS_GRADIENT)
    if loss is None:
        loss = costs.sum()
    else:
        loss, gradient = loss + costs.sum(), gradient.add_(scores.T)
    return loss, (gradient @ key if wanted[0] else None, gradient.T @ query if wanted[1] else None)
