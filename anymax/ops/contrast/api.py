"""info_nce: each query against the keys of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from anymax._core import checks
from anymax._core.context import values_are_readable
from anymax._core.dims import Dims
from anymax._core.dispatch import implementation, public
from anymax._core.errors import CALLER
from anymax._core.scores import compute_dtype, loss_dtype
from anymax._core.targets import REDUCTIONS, as_ids, has_nan
from anymax.ops.contrast import cpu, reference
from anymax.ops.contrast.reference import Pairs


@public(reference=reference.info_nce, kernels=(cpu.InfoNCE(),))
def info_nce(
    query: Tensor,
    key: Tensor,
    target: Tensor | None = None,
    *,
    temperature: float | Tensor = 1.0,
    log_q: Tensor | None = None,
    key_ids: Tensor | None = None,
    mask: Tensor | None = None,
    symmetric: bool = False,
    reduction: str = "mean",
) -> Tensor:
    r"""Compute the cross-entropy (nats) of finding each query's key among all keys of the batch (InfoNCE).

    .. math::
        s_{ij} = q_i \cdot k_j / T - \log Q_j, \quad
        \ell_i = -\log \frac{e^{s_{i t_i}}}{\sum_{j \in S_i} e^{s_{ij}}}

    where :math:`t_i` is the key that belongs to query i, its positive, and :math:`S_i` are the keys that it is compared
    with: all but those that the mask leaves out and copies of the positive. The scores are products as they are; for
    cosines normalise queries and keys before.

    Keys of a batch occur in it as often as they are popular, so frequent keys are negatives more often than rare ones,
    and the scores learn to hold it against them. `log_q` undoes that. It is taken from negatives *and* positive: so the
    scores that a model of unlimited capacity learns are log p(key | query) up to a constant per query, for any number
    of keys. Taken from the negatives alone, the optimum is off for every finite number of them.

    Args:
        query: q, floating point, (..., B, d).
        key: k, (..., N, d), the same leading axes.
        target: ids t of each query's positive among the keys, any integer dtype, (..., B). None: key i for query i, and
            keys from B on are negatives for all.
        temperature: T > 0, a number or a tensor that broadcasts against the scores (..., B, N) and has size 1 along the
            keys (and the queries, if symmetric); it may learn. Divides before `log_q` is taken away.
        log_q: log Q, the log-probability (or log count: a constant changes nothing) of each key to be in the batch,
            (N,) or (..., N): `law.log_prob(ids)` of a law of `anymax.noise`. Finite: smooth the counts of what was
            never seen, as `LearnedUnigram` does. In the columns of the symmetric loss it cancels.
        key_ids: what each key is, any integer dtype, (N,) or (..., N). Keys of the positive's id are left out, but
            never the positive itself: K copies of it would put a floor of log K under the loss. With `log_q` leave
            this away: there copies are fair draws, and leaving them out moves the optimum a little.
        mask: boolean, broadcasts against the scores; True takes part. A masked positive costs +inf. A key that takes
            part nowhere is not read.
        symmetric: the mean of this loss and that of finding each key's query among all queries, as in CLIP. There must
            be as many keys as queries, and each the positive of one query.
        reduction: "none", "mean" or "sum".

    Returns:
        A scalar, or one loss per query, (..., B), in the query's dtype (at least float32 under autocast); computed in
        float32, float64 for float64, products included. A mean over nothing is 0. log N less the loss bounds the mutual
        information of queries and keys from below (without `log_q`), and never exceeds log N.

    Raises:
        ValueError: shapes or values that do not fit, targets out of range. TypeError: wrong dtypes. Where values cannot
            be read (compiled code, transforms, accelerators) a query with a bad target is NaN.

    Example:
        >>> query = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), dim=-1)
        >>> anymax.info_nce(query, query, temperature=0.1, reduction="none")
        tensor([0.0521, 0.0521, 0.1016])

    Source: van den Oord et al. 2018, arXiv 1807.03748; Yi et al. 2019, doi 10.1145/3298689.3346996 (log Q); Radford et
    al. 2021, arXiv 2103.00020 (symmetric).
    """
    shape = _check_vectors(query, key)
    checks.one_of("reduction", reduction, REDUCTIONS)
    checks.flag("symmetric", symmetric)
    competing = (len(shape) - 2, len(shape) - 1) if symmetric else (len(shape) - 1,)
    checks.per_row("temperature", temperature, shape, Dims(len(shape), competing))
    dtype = compute_dtype(torch.promote_types(query.dtype, key.dtype))
    checks.positive("temperature", temperature, dtype=dtype)
    if log_q is not None:
        checks.floating("log_q", log_q)
        _per_key("log_q", log_q, shape)
    if key_ids is not None:
        key_ids = as_ids("key_ids", key_ids)
        _per_key("key_ids", key_ids, shape)
    checks.mask(mask, shape)
    pairs = Pairs(_checked_target(target, shape, symmetric), log_q, key_ids, mask, symmetric)

    query_scaled, key = query.to(dtype), key.to(dtype)
    if mask is not None:
        used = mask.expand(shape).any(-2).unsqueeze(-1)
        key = torch.where(used, key, 0.0)
        if log_q is not None:
            pairs = pairs._replace(log_q=torch.where(used.squeeze(-1), log_q, 0.0))
    if isinstance(temperature, Tensor):
        divisor = temperature.to(dtype)
        # a factor, not a choice: a temperature that is not positive spoils the gradient too
        query_scaled = query_scaled / (divisor * torch.where(divisor > 0, 1.0, float("nan")).to(dtype))
    elif temperature != 1.0:
        query_scaled = query_scaled / temperature
    loss = implementation("info_nce")(query_scaled, key, pairs, reduction)
    _check_values(pairs, shape, loss)
    return loss.to(loss_dtype(query))


def _check_vectors(query: Tensor, key: Tensor) -> torch.Size:
    """The shape of the scores."""
    for name, value in (("query", query), ("key", key)):
        checks.floating(name, value)
        if value.ndim < 2:
            raise ValueError(
                f"{CALLER}: {name} must hold one vector per row, (..., rows, features), got shape {tuple(value.shape)}"
            )
    if query.shape[-1] != key.shape[-1] or query.shape[:-2] != key.shape[:-2]:
        raise ValueError(
            f"{CALLER}: key must have the leading axes and the features of query {tuple(query.shape)}, "
            f"({', '.join([*map(str, query.shape[:-2]), 'N', str(query.shape[-1])])}), got {tuple(key.shape)}"
        )
    if query.device != key.device:
        raise ValueError(f"{CALLER}: key must be on the query's device {query.device}, got {key.device}")
    if key.shape[-2] == 0 and query.shape[-2] > 0:
        raise ValueError(f"{CALLER}: key must hold at least one key, got shape {tuple(key.shape)}")
    return torch.Size((*query.shape[:-1], key.shape[-2]))


def _per_key(argument: str, value: Tensor, shape: torch.Size) -> None:
    per_key = (*shape[:-2], shape[-1])
    if value.ndim == 0 or value.shape[-1] != shape[-1] or not checks.fits(value, per_key):
        raise ValueError(
            f"{CALLER}: {argument} must have one entry per key, shape ({shape[-1]},) or {tuple(per_key)}, "
            f"got {tuple(value.shape)}"
        )


def _checked_target(target: Tensor | None, shape: torch.Size, symmetric: bool) -> Tensor | None:
    num_queries, num_keys = shape[-2:]
    if symmetric and num_queries != num_keys:
        raise ValueError(
            f"{CALLER}: symmetric=True needs as many keys as queries, got {num_keys} keys and {num_queries} queries; "
            "leave it away where there are more negatives"
        )
    if target is None:
        if num_keys < num_queries:
            raise ValueError(
                f"{CALLER}: without a target key i belongs to query i, so there must be at least {num_queries} keys, "
                f"got {num_keys}; write target="
            )
        return None
    target = as_ids("target", target)
    if target.shape != shape[:-1]:
        raise ValueError(
            f"{CALLER}: target must have one id per query, shape {tuple(shape[:-1])}, got {tuple(target.shape)}"
        )
    return target


def _check_values(pairs: Pairs, shape: torch.Size, loss: Tensor) -> None:
    """Say which value is bad, where values can be read and the loss is NaN, as a bad value makes it."""
    values = [value for value in (pairs.target, pairs.log_q) if value is not None]
    if not values or not values_are_readable(*values, loss) or not has_nan(loss):
        return
    target, num_keys = pairs.target, shape[-1]
    if target is not None:
        outside = target[(target < 0) | (target >= num_keys)]
        if outside.numel():
            raise ValueError(
                f"{CALLER}: target must hold ids of keys, in [0, {num_keys - 1}], got {outside.flatten()[0].item()}"
            )
        ordered = target.sort(-1).values
        if pairs.symmetric and bool((ordered[..., 1:] == ordered[..., :-1]).any()):
            again = ordered[..., 1:][ordered[..., 1:] == ordered[..., :-1]][0].item()
            raise ValueError(
                f"{CALLER}: symmetric=True needs each key to be the positive of one query, got key {again} for more "
                "than one; leave it away, or give each query a key of its own and mark copies by key_ids"
            )
    if pairs.log_q is not None and not bool(pairs.log_q.isfinite().all()):
        bad = pairs.log_q[~pairs.log_q.isfinite()].flatten()[0].item()
        raise ValueError(
            f"{CALLER}: log_q must be finite, got {bad}; smooth the counts of keys that were never seen, such as "
            "((counts + 1) / (counts + 1).sum()).log()"
        )
