"""linear_cross_entropy and linear_log_prob: features, a class table and a target, without all the scores at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anymax._core import checks
from anymax._core.dims import Dims
from anymax._core.dispatch import implementation, public
from anymax._core.errors import CALLER
from anymax._core.scores import autocast_is_on, compute_dtype, loss_dtype
from anymax._core.targets import REDUCTIONS, as_target, check_values
from anymax.ops.cross_entropy.api import LogProb, check_options
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.linear import cpu, reference


@public(reference=reference.linear_cross_entropy, kernels=(cpu.LinearCrossEntropy(),))
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float | Tensor = 1.0,
    class_prior: Tensor | None = None,
    mask: Tensor | None = None,
    chunks: int | None = None,
    memory_budget: int | None = None,
    options: Any = None,
) -> Tensor:
    r"""Compute the cross-entropy of the scores of a linear layer, a chunk of rows at a time.

    .. math:: \ell(x) = \mathrm{cross\_entropy}(W x + b,\ \mathrm{target})

    with the loss of :func:`anymax.cross_entropy`. A chunk's scores are never kept: either their gradients are made in
    the forward pass (the kernel), or they are computed once more in the backward pass.

    Args:
        input: features, floating point, (in_features,) or (..., in_features).
        linear_weight: the class table, (C, in_features), as in nn.Linear.
        target: class ids, any integer dtype, the input's shape without its last axis; or probabilities, floating
            point, with C in its place.
        linear_bias: (C,).
        weight, reduction, label_smoothing, z_loss, softcap, class_prior: as in :func:`anymax.cross_entropy`.
        ignore_index: as there; None means -100.
        temperature, mask: as there; they broadcast against the scores, whose shape is (..., C).
        chunks: how many. None: as many as keep the scores of a chunk within the size of the class table, but at
            least 16 MiB, and with the kernel no more than 448 rows beyond that; in compiled code 16, or 1 below
            16,384 classes or with fewer classes than features.
        memory_budget: bytes that the scores of a chunk may take, in the dtype of the computation (a chunk has at
            least one row). The kernel holds one such block; without it a backward pass holds about three, and the
            table's gradient twice. Not in compiled code, where the number of chunks is fixed.
        options: torch's `LinearCrossEntropyOptions`; its `batch_chunk_size` is kept. Not in compiled code.

    Returns:
        A scalar, or one loss per row, in the input's dtype (at least float32 under autocast). The scores are computed
        as torch.nn.functional.linear would, everything after in float32, float64 for float64; so are the sums over
        chunks of the gradients of table and bias. Under torch.func transforms, in forward mode and in
        an exported program, which takes any number of rows, there is one chunk.

    Raises:
        ValueError: shapes or values that do not fit, targets out of range, probability targets off the simplex.
            TypeError: wrong dtypes. RuntimeError: a tensor was modified in place before the backward pass.

    Example:
        >>> features, table = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
        >>> anymax.linear_cross_entropy(features, table, torch.tensor([0, 1]), reduction="none")
        tensor([0.2395, 0.2395])

    Source: the recomputation is Griewank & Walther 2000 (checkpointing); torch 2.13 has the signature.
    """
    checks.one_of("reduction", reduction, REDUCTIONS)
    ignore_index = -100 if ignore_index is None else ignore_index
    row = Options(weight, ignore_index, label_smoothing, z_loss, softcap, temperature, class_prior, mask)
    target = _check(input, linear_weight, linear_bias, target, row)
    if options is not None:
        chunks = _chunks_of(options, input, chunks, memory_budget)
    _check_chunks(chunks, memory_budget)
    loss = implementation("linear_cross_entropy")(
        input, linear_weight, linear_bias, target, row, reduction, chunks, memory_budget
    )
    check_values(target, linear_weight.shape[0], -1, ignore_index, loss)
    return loss.to(loss_dtype(input))


@public(reference=reference.linear_log_prob)
def linear_log_prob(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    ignore_index: int | None = None,
    softcap: float | None = None,
    temperature: float | Tensor = 1.0,
    class_prior: Tensor | None = None,
    mask: Tensor | None = None,
    chunks: int | None = None,
    memory_budget: int | None = None,
) -> LogProb:
    r"""Compute :func:`anymax.log_prob` of the scores of a linear layer, a chunk of rows at a time.

    .. math:: s = W x + b, \quad \log p_y = s_y - \log Z, \quad \log Z = \log \sum_c e^{s_c}

    Args:
        input, linear_weight, target, linear_bias, chunks, memory_budget: as in :func:`anymax.linear_cross_entropy`.
        ignore_index, softcap, temperature, class_prior, mask: as in :func:`anymax.log_prob`; None means -100.

    Returns:
        `LogProb(log_prob, log_z, entropy)`, each of the input's shape without its last axis, in nats, differentiable.

    Raises:
        As :func:`anymax.linear_cross_entropy`.

    Example:
        >>> anymax.linear_log_prob(torch.ones(1, 2), torch.zeros(4, 2), torch.tensor([2])).log_prob
        tensor([-1.3863])
    """
    ignore_index = -100 if ignore_index is None else ignore_index
    row = Options(
        ignore_index=ignore_index, softcap=softcap, temperature=temperature, class_prior=class_prior, mask=mask
    )
    target = _check(input, linear_weight, linear_bias, target, row)
    _check_chunks(chunks, memory_budget)
    dtype = loss_dtype(input)
    parts = implementation("linear_log_prob")(input, linear_weight, linear_bias, target, row, chunks, memory_budget)
    check_values(target, linear_weight.shape[0], -1, ignore_index, parts[0])
    return LogProb(*(part.to(dtype) for part in parts))


def _check(
    input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None, target: Tensor, options: Options
) -> Tensor:
    checks.floating("input", input)
    checks.floating("linear_weight", linear_weight)
    if input.ndim == 0:
        raise ValueError(f"{CALLER}: input must have an axis of features, got a tensor without axes")
    if linear_weight.ndim != 2:
        hint = ""
        if linear_weight.ndim > 2:
            bias = "" if linear_bias is None else " + linear_bias"
            hint = (
                "; for a table per position write "
                f"cross_entropy(torch.einsum('nf,c...f->nc...', input, linear_weight){bias}, target)"
            )
        raise ValueError(
            f"{CALLER}: linear_weight must be a matrix (classes, in_features), "
            f"got shape {tuple(linear_weight.shape)}{hint}"
        )
    num_classes, in_features = linear_weight.shape
    if input.shape[-1] != in_features:
        hint = "; write linear_weight.t()" if input.shape[-1] == num_classes else ""
        raise ValueError(
            f"{CALLER}: linear_weight must have shape (classes, {input.shape[-1]}) for features of shape "
            f"{tuple(input.shape)}, got {tuple(linear_weight.shape)}{hint}"
        )
    _check_dtype("linear_weight", linear_weight, input)
    checks.per_class("linear_bias", linear_bias, num_classes)
    if linear_bias is not None:
        _check_dtype("linear_bias", linear_bias, input)
    scores_shape = torch.Size((*input.shape[:-1], num_classes))
    check_options(options, input.dtype, scores_shape, Dims(input.ndim, (input.ndim - 1,)))
    target = as_target(target, options.ignore_index)
    _check_shape(target, scores_shape)
    return target


def _check_dtype(argument: str, value: Tensor, input: Tensor) -> None:
    """One dtype, or any that autocast casts to its own."""
    cast = autocast_is_on(input) and torch.float64 not in (value.dtype, input.dtype)
    if value.dtype != input.dtype and not cast:
        raise TypeError(
            f"{CALLER}: {argument} must have the input's dtype {input.dtype}, got {value.dtype}; "
            "cast one of them, or call this under torch.autocast"
        )


def _check_shape(target: Tensor, scores_shape: torch.Size) -> None:
    rows, num_classes = scores_shape[:-1], scores_shape[-1]
    if target.shape == (scores_shape if target.is_floating_point() else rows):
        return
    hint = ""
    if target.is_floating_point() and target.shape == rows:
        hint = "; if these are class ids, write target.long()"
    elif not target.is_floating_point() and target.shape == scores_shape:
        hint = "; a one-hot target is target.to(input.dtype), or target.argmax(-1) as ids"
    elif target.shape == (*rows, 1):
        hint = "; write target.squeeze(-1)"
    raise ValueError(
        f"{CALLER}: target must hold class ids (integers) of shape {tuple(rows)}, one per row of the input, or "
        f"probabilities (floating point) of shape {tuple(scores_shape)} for {num_classes} classes, "
        f"got {target.dtype} of shape {tuple(target.shape)}{hint}"
    )


def _check_chunks(chunks: int | None, memory_budget: int | None) -> None:
    if chunks is not None:
        checks.count("chunks", chunks)
    if memory_budget is None:
        return
    checks.count("memory_budget", memory_budget)
    if chunks is not None:
        raise ValueError(f"{CALLER}: chunks and memory_budget both say how large a chunk is; give one of them")
    if torch.compiler.is_compiling():
        raise ValueError(
            f"{CALLER}: memory_budget cannot be kept in compiled code, where the number of chunks does not follow "
            "the number of rows; write chunks="
        )


def _chunks_of(options: Any, input: Tensor, chunks: int | None, memory_budget: int | None) -> int | None:
    """The number of chunks that torch's options ask for; None leaves it to us."""
    kind = getattr(torch.nn, "LinearCrossEntropyOptions", None)
    if kind is None or not isinstance(options, kind):
        raise TypeError(
            f"{CALLER}: options must be a torch.nn.LinearCrossEntropyOptions, got {options!r}; "
            "write chunks= or memory_budget="
        )
    if chunks is not None or memory_budget is not None:
        raise ValueError(f"{CALLER}: options and chunks or memory_budget all say how large a chunk is; give one")
    if torch.compiler.is_compiling():
        raise ValueError(
            f"{CALLER}: options cannot be kept in compiled code, where the number of chunks does not follow the "
            "number of rows; write chunks="
        )
    if options.chunking_method not in (None, "auto"):
        raise ValueError(
            f"{CALLER}: the chunking_method {options.chunking_method!r} is torch's own; leave it away, or write "
            "chunks= or memory_budget="
        )
    if options.acc_dtype not in (None, compute_dtype(input.dtype)):
        raise ValueError(
            f"{CALLER}: acc_dtype must be {compute_dtype(input.dtype)}, in which everything after the scores is "
            f"computed for an input of {input.dtype}, or None, got {options.acc_dtype}"
        )
    if options.batch_chunk_size is None:
        return 1 if options.chunking_method is None else None
    num_rows = input.shape[:-1].numel()
    return max(1, -(-num_rows // options.batch_chunk_size))
