"""gumbel_softmax, its loss, and sample: random draws from the softmax of the scores, relaxed or hard."""

from __future__ import annotations

from torch import Tensor

from anymax._core import checks, random, targets
from anymax._core.context import values_are_readable
from anymax._core.dims import Dim, resolve_one, resolve_or_last
from anymax._core.dispatch import implementation, public
from anymax._core.random import Generator
from anymax._core.scores import compute_dtype, loss_dtype, map_dtype
from anymax.ops.gumbel import cpu, reference

EPS = 1e-10


@public(reference=reference.gumbel_softmax, kernels=(cpu.GumbelSoftmax(),))
def gumbel_softmax(
    logits: Tensor,
    tau: float | Tensor = 1.0,
    hard: bool = False,
    eps: float = EPS,
    dim: Dim | None = None,
    *,
    mask: Tensor | None = None,
    generator: Generator = None,
) -> Tensor:
    r"""Draw a relaxed one-hot sample of softmax(logits): the softmax of scores plus Gumbel noise.

    .. math:: y = \mathrm{softmax}\big((x + G) / \tau\big), \quad G_i = -\log E_i, \; E_i \sim \mathrm{Exp}(1)

    With `hard` the value is the one-hot vector of the largest :math:`x_i + G_i`, which is i with probability
    :math:`\mathrm{softmax}(x)_i` for every tau, and the gradient is that of y (straight-through).

    Args:
        logits: scores (nats), floating point, any shape.
        tau: temperature > 0, a number or a tensor that broadcasts and has size 1 along `dim`.
        hard: return exactly one-hot samples.
        eps: stands for torch's positional order only; any value but the default is an error.
        dim: the axes that compete, as in :func:`anymax.softmax`. None takes the last axis, as torch does, with an
            `ImplicitDimWarning` from rank 3 on.
        mask: boolean, broadcasts against `logits`; True takes part.
        generator: where the seed comes from: a CPU torch.Generator, None (torch's default CPU generator, on every
            device), or a 0-d int64 tensor that is the seed, which also works inside compiled code and transforms.

    Returns:
        A sample of the input's shape and dtype; noise and softmax are computed in float32 (float64 for float64). A
        row whose mask is all False is 0. The noise of an element depends on the seed and its row-major index alone.
        It has 32 bits: a class of odds 1e-10 is drawn about a fifth too rarely.

    Raises:
        As :func:`anymax.softmax`.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> anymax.gumbel_softmax(torch.zeros(2, 3), hard=True, dim=1).sum(1)
        tensor([1., 1.])

    Source: Jang et al. 2016, arXiv 1611.01144; Maddison et al. 2016, arXiv 1611.00712.
    """
    checks.floating("logits", logits)
    if eps != EPS:
        raise ValueError(
            f"gumbel_softmax: eps has no effect and stands here for torch's positional order only, got {eps!r}; "
            "the axis is a keyword: gumbel_softmax(logits, tau, hard, dim=...)"
        )
    checks.flag("hard", hard, "; the axis is a keyword: gumbel_softmax(logits, tau, dim=...)")
    dims = resolve_or_last("gumbel_softmax", dim, logits.shape)
    checks.per_row("tau", tau, logits.shape, dims)
    dtype = compute_dtype(logits.dtype)
    checks.positive("tau", tau, "; write hard=True for one-hot samples, logits.argmax(dim) for no noise", dtype)
    checks.mask(mask, logits.shape)
    random.check_generator(generator)
    seed = random.seed_from(generator)
    drawn = implementation("gumbel_softmax")(logits, dims, tau, hard, mask, seed)
    wanted = map_dtype(logits)
    return drawn if drawn.dtype == wanted else drawn.to(wanted)


@public(reference=reference.sample, kernels=(cpu.Sample(),))
def sample(
    input: Tensor,
    dim: Dim,
    *,
    num_samples: int | None = None,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    generator: Generator = None,
) -> Tensor:
    r"""Draw class ids with the probabilities softmax(input / temperature) along one axis.

    .. math:: k = \arg\max_i (x_i / T + G_i), \quad P(k = i) = \mathrm{softmax}(x / T)_i

    Args:
        input: scores (nats), floating point, any shape; for probabilities p pass p.log().
        dim: the axis of the classes.
        num_samples: draw this many ids per row, with replacement, along a new first axis. None draws one, without
            that axis.
        temperature: T > 0, as in :func:`anymax.softmax`.
        mask: boolean, broadcasts against `input`; only classes under True are drawn. `keep_mask` makes top-k, top-p
            and min-p masks.
        generator: as in :func:`anymax.gumbel_softmax`.

    Returns:
        int64 ids of the input's shape without `dim`, after a first axis of `num_samples`. Sample k of element i uses
        the random word k * input.numel() + i.

    Raises:
        ValueError: also for a row from which nothing can be drawn (all masked or -inf, or with NaN or +inf). Where
            values cannot be read (compiled code, transforms, accelerators) such a row's id is -1.

    Example:
        >>> anymax.sample(torch.tensor([[0.0, 99.0], [99.0, 0.0]]), dim=1)
        tensor([1, 0])

    Source: Gumbel 1954 (the Gumbel-max trick).
    """
    checks.floating("input", input)
    dims = resolve_one(dim, input.ndim)
    (axis,) = dims.axes
    if input.ndim and input.shape[axis] == 0:
        raise ValueError(f"sample: nothing can be drawn along axis {dims.label(axis)} of size 0")
    if num_samples is not None:
        checks.count("num_samples", num_samples)
    checks.per_row("temperature", temperature, input.shape, dims)
    checks.positive("temperature", temperature, dtype=compute_dtype(input.dtype))
    checks.mask(mask, input.shape)
    random.check_generator(generator)
    seed = random.seed_from(generator)
    ids = implementation("sample")(input, dims, num_samples, temperature, mask, seed)
    if values_are_readable(input) and bool((ids < 0).any()):
        raise ValueError(
            f"sample: {int((ids < 0).sum())} of {ids.numel()} rows define no probabilities: every score masked or "
            "-inf, or one of them NaN or +inf"
        )
    return ids


@public(reference=reference.gumbel_softmax_loss)
def gumbel_softmax_loss(
    input: Tensor,
    target: Tensor,
    *,
    dim: Dim | None = None,
    tau: float | Tensor = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    generator: Generator = None,
) -> Tensor:
    r"""Measure how many nats a relaxed Gumbel-softmax sample of the scores needs for the target, in log space.

    .. math:: \ell = -\log \mathrm{softmax}\big((x + G) / \tau\big)_y

    with G as in :func:`anymax.gumbel_softmax`. The loss of :class:`anymax.nn.GumbelSoftmaxHead`. It is not a consistent
    estimate of the law softmax(x): at tau = 1 a true (.7, .2, .1) is learnt as (.82, .13, .05), at tau = .1 right to
    1e-5.

    Args:
        input, target, dim, ignore_index, reduction: as in :func:`anymax.cross_entropy`.
        tau, generator: as in :func:`anymax.gumbel_softmax`.

    Returns:
        As :func:`anymax.cross_entropy`.

    Raises:
        As :func:`anymax.cross_entropy` and :func:`anymax.gumbel_softmax`.

    Example:
        >>> from anymax.ops.gumbel.api import gumbel_softmax_loss
        >>> loss = gumbel_softmax_loss(torch.tensor([[50.0, 0.0]]), torch.tensor([0]), tau=0.5)
        >>> bool(loss < 1e-6)
        True

    Source: Jang et al. 2016, arXiv 1611.01144.
    """
    checks.one_of("reduction", reduction, targets.REDUCTIONS)
    checks.floating("input", input)
    dims = targets.class_axis(dim, input.ndim)
    (axis,) = dims.axes
    checks.integer("ignore_index", ignore_index)
    checks.per_row("tau", tau, input.shape, dims)
    checks.positive("tau", tau)
    target = targets.as_target(target, ignore_index)
    targets.check_shape(target, input.shape, dims, dim)
    random.check_generator(generator)
    seed = random.seed_from(generator)
    loss = implementation("gumbel_softmax_loss")(input, target, dims, tau, ignore_index, reduction, seed)
    targets.check_values(target, input.shape[axis], axis, ignore_index, loss)
    return loss.to(loss_dtype(input))
