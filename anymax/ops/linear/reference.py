"""Linear cross-entropy in pure torch, a chunk of rows at a time. Formulas: api.py.

Precision policy: the scores have the dtype of F.linear (autocast's where that is on); everything after is computed
in float32, float64 for float64, and so are the sums over chunks of the gradients of the class table and the bias.

Measured, forward and backward at 4096 x 256 x 32768, float32, 2 cores: a peak of 132 MiB where the composed call takes
1536 MiB, in 1.5 times its time (4.2 s against 2.7 s; four products instead of three). Compiled: 100 MiB, composed 548;
with torch 2.10, which fuses chunks with one another, 256.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from anymax._core.context import forward_mode, is_exporting, transforms_active
from anymax._core.dims import Dims
from anymax._core.scores import autocast_is_on, compute_dtype
from anymax.ops.cross_entropy import reference as cross_entropy_reference
from anymax.ops.cross_entropy.reference import Options, Rows, reduced, row_losses

# While tracing the number is fixed: a number that follows the rows would compile anew for each batch size.
TRACED_CHUNKS = 16
# Each chunk is code of its own to the compiler: a head of 5,000 classes took three times as long as torch's linear and
# cross-entropy to compile in 16 chunks, and about as long in one. Scores of 4096 rows take up to 256 MiB below this.
FEWEST_CLASSES_OF_CHUNKS = 2**14
# Scores that take less are not worth a second product: 16 MiB.
SMALLEST_BUDGET = 2**24

CLASSES_LAST = Dims(2, (1,))


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    options: Options,
    reduction: str,
    chunks: int | None,
    memory_budget: int | None,
) -> Tensor:
    parts = _by_chunks(row_losses, input, linear_weight, linear_bias, target, options, chunks, memory_budget)
    loss = reduced(Rows(*parts), reduction)
    return loss.reshape(input.shape[:-1]) if reduction == "none" else loss


def linear_log_prob(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    options: Options,
    chunks: int | None,
    memory_budget: int | None,
) -> tuple[Tensor, ...]:
    parts = _by_chunks(
        cross_entropy_reference.log_prob, input, linear_weight, linear_bias, target, options, chunks, memory_budget
    )
    return tuple(part.reshape(input.shape[:-1]) for part in parts)


def _by_chunks(
    function: Callable[[Tensor, Tensor, Dims, Options], tuple[Any, ...]],
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    options: Options,
    chunks: int | None,
    memory_budget: int | None,
) -> tuple[Any, ...]:
    """`function` of the scores, row by row; each chunk's scores are computed again in the backward pass."""
    features = input.flatten(0, -2) if input.ndim > 1 else input.unsqueeze(0)
    num_rows, lead = features.shape[0], input.shape[:-1]
    target = target.reshape(num_rows, *target.shape[len(lead) :])
    dtype = product_dtype(input)
    prior = options.class_prior
    if prior is not None:
        # once, so that the chunks' gradients meet in float32
        prior = prior.to(torch.promote_types(prior.dtype, compute_dtype(dtype)))
    options = options._replace(
        temperature=_as_rows(options.temperature, lead), mask=_as_rows(options.mask, lead), class_prior=prior
    )

    tensors = [
        tensor for tensor in (features, linear_weight, linear_bias, target, *options) if isinstance(tensor, Tensor)
    ]
    count = _number_of_chunks(features, linear_weight, tensors, chunks, memory_budget)
    if count == 1:
        return function(_scores(features, linear_weight, linear_bias, dtype), target, CLASSES_LAST, options)

    # A half table is widened once and narrowed in each chunk, so that the chunks' gradients meet in float32.
    table = linear_weight.to(compute_dtype(dtype))
    bias = None if linear_bias is None else linear_bias.to(compute_dtype(dtype))
    check = partial(check_unchanged, tensors, None if torch.compiler.is_compiling() else versions_of(tensors))

    def rows_of(features: Tensor, target: Tensor, temperature: float | Tensor, mask: Tensor | None) -> tuple[Any, ...]:
        check()
        mine = options._replace(temperature=temperature, mask=mask)
        return tuple(function(_scores(features, table, bias, dtype), target, CLASSES_LAST, mine))

    sizes = [(index + 1) * num_rows // count - index * num_rows // count for index in range(count)]
    # split, not slices: its gradient is one cat, and compiled code frees each chunk before the next (100 MiB, not 360)
    columns = [_split(column, sizes) for column in (features, target, options.temperature, options.mask)]
    run = rows_of
    if torch.is_grad_enabled():
        run = partial(checkpoint, rows_of, use_reentrant=False, preserve_rng_state=False)
    parts = [run(*chunk) for chunk in zip(*columns, strict=True)]
    return tuple(None if part[0] is None else torch.cat(part) for part in zip(*parts, strict=True))


def _scores(features: Tensor, linear_weight: Tensor, linear_bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    bias = None if linear_bias is None else linear_bias.to(dtype)
    return linear(features.to(dtype), linear_weight.to(dtype), bias)


def product_dtype(input: Tensor) -> torch.dtype:
    """The dtype of F.linear's result: the input's, or autocast's, which leaves float64 alone."""
    if autocast_is_on(input) and input.dtype != torch.float64:
        return torch.get_autocast_dtype(input.device.type)
    return input.dtype


def _number_of_chunks(
    features: Tensor, linear_weight: Tensor, tensors: Sequence[Tensor], chunks: int | None, memory_budget: int | None
) -> int:
    num_rows, (num_classes, in_features) = features.shape[0], linear_weight.shape
    # checkpoint knows no transforms and no tangents
    if num_rows <= 1 or transforms_active() or forward_mode(*tensors):
        return 1
    if is_exporting():
        # an exported program must take any number of rows, which a split does not
        return 1
    if torch.compiler.is_compiling():
        # with fewer classes than features the scores are smaller than what is there already
        worth_it = num_classes >= max(FEWEST_CLASSES_OF_CHUNKS, in_features)
        count = chunks or (TRACED_CHUNKS if worth_it else 1)
        # chunks of no or one row would each be a case of their own to the compiler
        return count if num_rows >= 2 * count else 1
    if chunks is None:
        row_bytes = num_classes * compute_dtype(features.dtype).itemsize
        # the table's gradient takes as much as the table, so that smaller chunks would save little
        budget = memory_budget or max(SMALLEST_BUDGET, in_features * row_bytes)
        chunks = -(-num_rows // max(1, budget // row_bytes))
    return min(chunks, num_rows)


def _as_rows(value: Any, lead: torch.Size) -> Any:
    """What broadcasts against scores of shape (*lead, classes), as (rows, last), or (1, last) if all rows share it."""
    if not isinstance(value, Tensor):
        return value
    last = value.shape[-1] if value.ndim else 1
    if all(size == 1 for size in value.shape[:-1]):
        return value.reshape(1, last)
    return value.expand(*lead, last).reshape(-1, last)


def _split(column: Any, sizes: list[int]) -> Sequence[Any]:
    shared = not isinstance(column, Tensor) or column.shape[0] == 1
    return [column] * len(sizes) if shared else column.split(sizes)


def versions_of(tensors: Sequence[Tensor]) -> list[int]:
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]


def check_unchanged(tensors: Sequence[Tensor], versions: list[int] | None) -> None:
    """What autograd checks on the tensors it saves: the second pass over a chunk must see what the first one saw."""
    if versions is not None and versions != versions_of(tensors):
        raise RuntimeError(
            "linear_cross_entropy: features, class table, target or an option was modified in place between the "
            "forward and the backward pass, which needs their old values; call backward() before the optimizer's step"
        )
