"""nce_loss, negative_sampling_loss and sampled_softmax_loss: a target against a few drawn classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from anymax._core import checks
from anymax._core.context import values_are_readable
from anymax._core.dispatch import implementation, public
from anymax._core.errors import CALLER
from anymax._core.random import Generator
from anymax._core.scores import loss_dtype
from anymax._core.targets import REDUCTIONS, as_int64, check_values, has_nan, is_integral
from anymax.noise import All, InBatch, Noise
from anymax.noise.draws import Candidates
from anymax.noise.in_batch import Others
from anymax.ops.nce import cpu, reference
from anymax.ops.nce.reference import Problem

NUM_NOISE = 64
NUM_NEGATIVES = 5
CORRECTIONS = ("ranking", "importance")


# `target` and `noise` are required. They have a default so that calls as tutorials write them, with logits and too
# few arguments, end in a sentence that shows the right call.
@public(reference=reference.nce_loss, kernels=(cpu.NceLoss(),))
def nce_loss(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor | None = None,
    noise: Noise | Candidates | None = None,
    *,
    num_noise: int = NUM_NOISE,
    linear_bias: Tensor | None = None,
    log_partition: float | Tensor = 0.0,
    shared: bool = True,
    sparse: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    generator: Generator = None,
) -> Tensor:
    r"""Train scores to tell each target apart from drawn noise classes (binary noise-contrastive estimation).

    .. math::
        \ell = \mathrm{softplus}\big(-(s_y - c - \log e_y)\big) + \sum_{j \in S} \mathrm{softplus}(s_j - c - \log e_j)

    where :math:`s_j = w_j \cdot x + b_j`, S are the draws and :math:`e_j` is how often j is expected among them:
    :math:`k q_j` for k draws with replacement, the probability of being drawn for unique ones. Draws that hit the
    target stay in S. The expected gradient is zero where :math:`s = \log p + c`: scores learn log-probabilities,
    shifted by c, without a sum over the classes.

    Args:
        input: x, features, floating point, (..., d). Not logits: the scores are computed here.
        linear_weight: w, the class table (C, d).
        target: class ids, any integer dtype, (...).
        noise: a law of `anymax.noise`, drawn here with replacement; or `Candidates` drawn before, which decide for
            themselves: `law.sample(64, unique=True)` for unique draws. Every class that occurs as a target must have
            a positive probability. `All` and `InBatch` draw nothing: num_noise, shared and generator must be left
            away.
        num_noise: k, how many classes to draw.
        linear_bias: b, (C,).
        log_partition: c, a number or a tensor that broadcasts against `target`; it may learn.
        shared: one draw for all rows (one matrix product); False draws for each row (a gather of (..., k, d)).
        sparse: the gradients of class table and bias are sparse tensors that hold the rows of targets and draws only.
            Optimisers: SGD without weight decay, SparseAdam, Adagrad.
        ignore_index: rows with this target cost nothing and are not counted.
        reduction: "none", "mean" (over rows not ignored) or "sum".
        generator: as in :func:`anymax.gumbel_softmax`; word indices in `Noise.sample`.

    Returns:
        A scalar, or one loss per row (nats), in the input's dtype (at least float32 under autocast); computed in
        float32, float64 for float64. A mean over nothing is 0. Not comparable with a cross-entropy.

    Raises:
        ValueError: shapes or values that do not fit, targets out of range or of noise probability 0, arguments
            without effect. TypeError: wrong types. Where values cannot be read (compiled code, transforms,
            accelerators) a row with a bad target is NaN.

    Example:
        >>> features, target = torch.zeros(2, 3), torch.tensor([1, 7])
        >>> classes = torch.nn.Linear(3, 10)
        >>> loss = anymax.nce_loss(
        ...     features, classes.weight, target, anymax.noise.Uniform(10), num_noise=4, linear_bias=classes.bias
        ... )
        >>> loss.shape
        torch.Size([])

    Source: Gutmann and Hyvarinen 2010; Mnih and Teh 2012, arXiv 1206.6426.
    """
    problem, noise = _check(input, linear_weight, target, noise, linear_bias, ignore_index, sparse)
    checks.one_of("reduction", reduction, REDUCTIONS)
    if isinstance(log_partition, Tensor):
        checks.floating("log_partition", log_partition)
        if not checks.fits(log_partition, problem.target.shape):
            raise ValueError(
                "nce_loss: log_partition must broadcast against the target's shape "
                f"{tuple(problem.target.shape)}, got shape {tuple(log_partition.shape)}"
            )
    else:
        checks.number("log_partition", log_partition)
    candidates = _candidates(problem, noise, num_noise, shared, generator)
    loss = implementation("nce_loss")(problem, candidates, log_partition, reduction)
    _check_values(problem, candidates, loss)
    return loss.to(loss_dtype(input))


@public(reference=reference.negative_sampling_loss, kernels=(cpu.NegativeSamplingLoss(),))
def negative_sampling_loss(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor | None = None,
    noise: Noise | Candidates | None = None,
    *,
    num_noise: int = NUM_NEGATIVES,
    linear_bias: Tensor | None = None,
    shared: bool = True,
    sparse: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    generator: Generator = None,
) -> Tensor:
    r"""Train scores to say yes to each target and no to drawn noise classes (word2vec's negative sampling).

    .. math:: \ell = \mathrm{softplus}(-s_y) + \sum_{j \in S} \mathrm{softplus}(s_j)

    with :math:`s`, S and :math:`e` as in :func:`anymax.nce_loss`, whose loss this is without the log counts. So the
    scores are no log-probabilities: the expected gradient is zero where

    .. math:: s_j = \log p_j - \log e_j, \quad \log p = \mathrm{log\_softmax}(s + \log e)

    the log of how much more frequent j is here than in the noise, less log k: for words and their contexts the shifted
    pointwise mutual information. The second formula brings probabilities back, as `NegativeSamplingHead.log_prob` does;
    a softmax of s alone, or its argmax, ranks the classes by another law.

    Draws that hit the target stay in S, as in the objective of the paper: with them the optimum is exact. word2vec's
    code leaves them out, which moves it to :math:`\log p_j - \log(1 - p_j) - \log e_j`: the same for rare classes, and
    far from it for a class that is likely.

    Args:
        input, linear_weight, target, noise, linear_bias, shared, sparse, ignore_index, reduction, generator: as in
            :func:`anymax.nce_loss`. word2vec's law is `Unigram(counts, power=0.75)`.
        num_noise: k, how many classes to draw: 5 to 20 for small data, 2 to 5 for large, in the words of the paper.

    Returns:
        As :func:`anymax.nce_loss`.

    Raises:
        As :func:`anymax.nce_loss`.

    Example:
        >>> features, target, table = torch.zeros(2, 3), torch.tensor([1, 7]), torch.zeros(10, 3)
        >>> anymax.negative_sampling_loss(features, table, target, anymax.noise.Uniform(10))  # 6 log 2
        tensor(4.1589)

    Source: Mikolov et al. 2013, arXiv 1310.4546; Levy and Goldberg 2014 (the optimum).
    """
    problem, noise = _check(input, linear_weight, target, noise, linear_bias, ignore_index, sparse)
    checks.one_of("reduction", reduction, REDUCTIONS)
    candidates = _candidates(problem, noise, num_noise, shared, generator, usual=NUM_NEGATIVES)
    loss = implementation("negative_sampling_loss")(problem, candidates, reduction)
    _check_values(problem, candidates, loss)
    return loss.to(loss_dtype(input))


@public(reference=reference.sampled_softmax_loss, kernels=(cpu.SampledSoftmaxLoss(),))
def sampled_softmax_loss(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor | None = None,
    noise: Noise | Candidates | None = None,
    *,
    num_noise: int = NUM_NOISE,
    correction: str = "ranking",
    unique: bool = True,
    linear_bias: Tensor | None = None,
    shared: bool = True,
    sparse: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    generator: Generator = None,
) -> Tensor:
    r"""Softmax cross-entropy over the target and a few drawn classes, corrected for how they were drawn.

    .. math::
        \ell = -\tilde s_y + \log\Big(e^{\tilde s_y} + \sum_{j \in S} e^{s_j - \log e_j}\Big), \quad
        \tilde s_y = s_y - \log e_y \text{ (ranking)}, \;\; \tilde s_y = s_y \text{ (importance)}

    with :math:`s`, S and :math:`e` as in :func:`anymax.nce_loss`. "ranking" (TensorFlow's rule) has its optimum at
    the true probabilities for any number of draws, but its value is not a cross-entropy. "importance" estimates
    cross-entropy: the sum is unbiased for the normaliser, loss and gradient are biased for few draws.

    Whether draws that hit the target stay in S follows from the mode: they do for "ranking" with replacement, and are
    left out otherwise. Without its target a row of unique draws is filled up to k from the next arrival.

    Args:
        input, linear_weight, target, num_noise, linear_bias, shared, sparse, ignore_index, reduction, generator: as
            in :func:`anymax.nce_loss`.
        noise: as there. `All(C)` gives the exact cross-entropy.
        correction: "ranking" or "importance".
        unique: draw without replacement. As many unique draws as there are classes are an error: that is `All`.

    Returns:
        As :func:`anymax.nce_loss`.

    Raises:
        As :func:`anymax.nce_loss`.

    Example:
        >>> features, target, table = torch.zeros(2, 3), torch.tensor([1, 7]), torch.zeros(10, 3)
        >>> anymax.sampled_softmax_loss(features, table, target, anymax.noise.All(10))
        tensor(2.3026)

    Source: Bengio and Senecal 2008; Jean et al. 2015, arXiv 1412.2007; Ma and Collins 2018, arXiv 1809.01812.
    """
    problem, noise = _check(input, linear_weight, target, noise, linear_bias, ignore_index, sparse)
    checks.one_of("reduction", reduction, REDUCTIONS)
    checks.one_of("correction", correction, CORRECTIONS)
    candidates = _candidates(problem, noise, num_noise, shared, generator, unique=unique)
    loss = implementation("sampled_softmax_loss")(problem, candidates, correction, reduction)
    _check_values(problem, candidates, loss)
    return loss.to(loss_dtype(input))


def _check(
    input: Any,
    linear_weight: Any,
    target: Any,
    noise: Any,
    linear_bias: Tensor | None,
    ignore_index: int,
    sparse: bool,
) -> tuple[Problem, Noise | Candidates]:
    _check_roles(input, linear_weight, target, noise)
    for name, value in (("input", input), ("linear_weight", linear_weight), ("target", target)):
        checks.tensor(name, value)
    num_classes, width = linear_weight.shape
    if input.ndim == 0 or input.shape[-1] != width:
        hint = ""
        if input.ndim and input.shape[-1] == num_classes:
            hint = "; features go in, not logits, and the class table is (num_classes, features)"
        raise ValueError(
            f"{CALLER}: input must end in the {width} features of the class table {tuple(linear_weight.shape)}, "
            f"got shape {tuple(input.shape)}{hint}"
        )
    if target.shape != input.shape[:-1]:
        raise ValueError(
            f"{CALLER}: target must have the input's shape without the features, {tuple(input.shape[:-1])}, "
            f"got {tuple(target.shape)}"
        )
    checks.per_class("linear_bias", linear_bias, num_classes)
    checks.integer("ignore_index", ignore_index)
    checks.flag("sparse", sparse)
    if isinstance(noise, Noise) and noise.num_classes != num_classes:
        raise ValueError(
            f"{CALLER}: noise must be a law over the {num_classes} classes of linear_weight, got {noise!r}"
        )
    device = noise.device if isinstance(noise, Noise) else noise.ids.device
    for name, where in (("linear_weight", linear_weight.device), ("target", target.device), ("noise", device)):
        if where != input.device:
            raise ValueError(
                f"{CALLER}: {name} must be on the input's device {input.device}, got {where}; "
                f"write {name}.to(input.device)"
            )
    return Problem(input, linear_weight, linear_bias, as_int64(target), ignore_index, sparse), noise


def _check_roles(input: Any, linear_weight: Any, target: Any, noise: Any) -> None:
    """Each argument is what its place asks for; calls as tutorials write them pass logits and no class table."""
    wrong = None
    if not (isinstance(input, Tensor) and input.is_floating_point()):
        wrong = f"input must be floating-point features (..., in_features), got {_named(input)}"
    elif not (isinstance(linear_weight, Tensor) and linear_weight.is_floating_point() and linear_weight.ndim == 2):
        expected = "a floating-point class table (num_classes, in_features)"
        wrong = f"linear_weight must be {expected}, got {_named(linear_weight)}"
    elif not (isinstance(target, Tensor) and is_integral(target)):
        wrong = f"target must hold class ids (integers), got {_named(target)}"
    elif not isinstance(noise, (Noise, Candidates)):
        wrong = f"noise must be a law of anymax.noise or Candidates drawn from one, got {_named(noise)}"
        if isinstance(noise, Tensor):
            wrong += " (counts or probabilities per class make the law noise.Unigram(counts))"
    if wrong is not None:
        raise TypeError(
            f"{CALLER}: features, class table and target go in, not logits: {wrong}; write "
            f"{CALLER}(features, linear.weight, target, noise.Unigram(class_counts), linear_bias=linear.bias)"
        )


def _named(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype} and shape {tuple(value.shape)}"
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    if isinstance(value, nn.Module):
        return f"the module {type(value).__name__}"
    return f"{value!r} of type {type(value).__name__}"


def _candidates(
    problem: Problem,
    noise: Noise | Candidates,
    num_noise: int,
    shared: bool,
    generator: Generator,
    *,
    usual: int = NUM_NOISE,
    unique: bool | None = None,
) -> Candidates:
    """What to compare the targets with: drawn here, or given. `unique` is None for losses that keep hits."""
    checks.count("num_noise", num_noise)
    checks.flag("shared", shared)
    if unique is not None:
        checks.flag("unique", unique)
    lead = tuple(problem.target.shape)
    if isinstance(noise, Noise) and not isinstance(noise, (All, InBatch)):
        candidates = noise.draw(num_noise if shared else (*lead, num_noise), bool(unique), generator)
    else:
        drawn = "Candidates, which are drawn already"
        if isinstance(noise, Noise):
            drawn = f"{type(noise).__name__}, which draws nothing"
        for name, value, default in (
            ("num_noise", num_noise, usual),
            ("shared", shared, True),
            ("unique", unique, unique if unique is None or isinstance(noise, InBatch) else True),
            ("generator", generator, None),
        ):
            if value is not default and value != default:
                raise ValueError(f"{CALLER}: {name} has no effect on {drawn}, got {value!r}")
        if isinstance(noise, InBatch):
            candidates = Others(noise.popularity, problem.target, bool(unique), problem.ignore_index)
        else:
            candidates = noise.sample(noise.num_classes) if isinstance(noise, All) else noise
    _check_candidates(problem, candidates, keeps_hits=unique is None)
    return candidates


def _check_candidates(problem: Problem, candidates: Candidates, keeps_hits: bool) -> None:
    ids, target = candidates.ids, problem.target
    if isinstance(candidates, Others):
        if ids.shape[0] != target.numel():
            raise ValueError(
                f"{CALLER}: in-batch noise must be that of this batch of {target.numel()} targets, got "
                f"{ids.shape[0]} draws; write law.of(target)"
            )
        if keeps_hits and candidates.unique:
            raise ValueError(
                f"{CALLER}: in-batch noise must be drawn with replacement here, where draws that hit the target stay; "
                "write law.of(target)"
            )
    if ids.ndim > 1 and ids.shape[:-1] != target.shape:
        raise ValueError(
            f"{CALLER}: noise must hold ids of shape (k,), shared by all rows, or {(*target.shape, 'k')}, "
            f"got {tuple(ids.shape)}"
        )


def _check_values(problem: Problem, candidates: Candidates, loss: Tensor) -> None:
    """Say which value is bad, where values can be read and the loss is NaN, as a bad value makes it."""
    ids, target, num_classes = candidates.ids, problem.target, problem.weight.shape[0]
    if not values_are_readable(ids, target, loss) or not has_nan(loss):
        return
    check_values(target, num_classes, -1, problem.ignore_index, loss)
    outside = (ids < 0) | (ids >= num_classes)
    if bool(outside.any()):
        raise ValueError(
            f"{CALLER}: noise must hold ids in [0, {num_classes - 1}], got {ids[outside].flatten()[0].item()}"
        )
    lookup = reference.look_up(problem, candidates)
    never = lookup.counted & ~candidates.target_log_expected_count(lookup.safe).isfinite()
    if bool(never.any()):
        raise ValueError(
            f"{CALLER}: noise must give every target a positive probability, and class "
            f"{target[never].flatten()[0].item()} has none; smooth the counts, such as noise.Unigram(counts + 1)"
        )
