"""Output heads: features in, scores or a loss out, with one interface, so that one can be swapped for another.

Every head has `head(input) -> scores`, as the `nn.Linear` whose place it takes, `head(input, target) -> loss`,
`log_prob(input) -> (..., C)`, `predict(input, k)` and `sample(input, ...)`. `eval()` changes none of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid
from typing_extensions import Unpack  # torch depends on it; typing has it from Python 3.11 on

from anymax._core import checks
from anymax._core.errors import CALLER, named_after_class
from anymax._core.random import Generator
from anymax._core.scores import compute_dtype
from anymax._core.start import moved_alone, restore
from anymax._core.targets import REDUCTIONS
from anymax.nn._arguments import describe, store
from anymax.nn._distributed import is_sharded, reducer_of
from anymax.noise import Noise, Unigram
from anymax.noise.draws import can_branch
from anymax.ops.binary.api import one_vs_rest_loss
from anymax.ops.gumbel.api import gumbel_softmax_loss, sample
from anymax.ops.linear.api import linear_cross_entropy
from anymax.ops.nce.api import nce_loss, sampled_softmax_loss
from anymax.ops.softmax.api import log_softmax


class DenseOptions(TypedDict, total=False):
    """What every head takes beside its own arguments."""

    bias: bool
    class_counts: Tensor | Sequence[float] | None
    reduction: str
    ignore_index: int
    device: torch.device | str | None
    dtype: torch.dtype | None


class NoiseOptions(DenseOptions, total=False):
    """What every head takes that is trained against draws."""

    noise: Noise | None
    num_noise: int
    sparse: bool


class _DenseHead(nn.Linear):
    """A class table: an nn.Linear, so that its state dict loads and loaders that initialise layers know what it is.

    The weight starts as nn.Linear's; the bias at the log of the smoothed class frequency (n_c + 1) / (N + C), or at 0
    without counts.
    """

    # nn.Module says Any
    __call__: Callable[..., Tensor]
    # No buffer: a loader would leave raw memory in it, and an nn.Linear's state dict has none. The class says what
    # nn.Linear's constructor starts from, before the counts are known.
    class_counts: Tensor | None = None

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = True,
        class_counts: Tensor | Sequence[float] | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        checks.count("in_features", in_features)
        checks.count("num_classes", num_classes)
        checks.one_of("reduction", reduction, REDUCTIONS)
        if class_counts is not None:
            class_counts = _checked(class_counts, num_classes)
            if not bias:
                raise ValueError(f"{CALLER}: class_counts set where the bias starts, and there is none (bias=False)")
        super().__init__(in_features, num_classes, bias, device=device, dtype=dtype)
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.class_counts = class_counts
        self._reset_bias()

    @property
    def num_classes(self) -> int:
        """The size of the class table, `out_features` of nn.Linear."""
        return self.out_features

    @named_after_class
    def reset_parameters(self) -> None:
        """Put weight and bias (and tau) where they started: the weight drawn anew, the bias as the class counts say.

        A noise law is a module of its own, with its own `reset_parameters`.
        """
        bound = 1 / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        self._reset_bias()

    def _reset_bias(self) -> None:
        if self.bias is not None:
            restore(self.bias, self._bias_start(), "class_counts")

    def _bias_start(self) -> float | Tensor:
        return 0.0 if self.class_counts is None else _smoothed(self.class_counts).log()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # the state of an nn.Linear has no tau and no noise law: the head keeps its own
        for name, value in self.state_dict(prefix=prefix).items():
            if name not in (f"{prefix}weight", f"{prefix}bias"):
                state_dict.setdefault(name, value)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @named_after_class
    def scores(self, input: Tensor) -> Tensor:
        """The scores of all classes, (..., C)."""
        checks.floating("input", input)
        if is_sharded(self.weight):
            raise NotImplementedError(
                f"{CALLER}: the class table is sharded outside of a forward pass; shard the head itself "
                "(fully_shard(model.head)), whose call, log_prob, predict and sample then gather it, or call "
                "model.unshard() before"
            )
        if input.ndim == 0 or input.shape[-1] != self.in_features:
            raise ValueError(
                f"{CALLER}: input must end in the {self.in_features} features of the class table, "
                f"got shape {tuple(input.shape)}"
            )
        return linear(input, self.weight, self.bias)

    def log_prob(self, input: Tensor) -> Tensor:
        """Exactly normalised log-probabilities (nats) of all classes, (..., C)."""
        # a call, whose hooks gather the class table where it is sharded
        return log_softmax(self(input), -1)

    def predict(self, input: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """The k largest log-probabilities and their class ids, (..., k) each, as in torch.topk."""
        values, indices = self.log_prob(input).topk(k, -1)
        return values, indices

    def sample(
        self,
        input: Tensor,
        num_samples: int | None = None,
        *,
        temperature: float | Tensor = 1.0,
        generator: Generator = None,
    ) -> Tensor:
        """Class ids drawn from softmax(log_prob / temperature); `num_samples` adds a first axis."""
        return sample(self.log_prob(input), -1, num_samples=num_samples, temperature=temperature, generator=generator)

    def extra_repr(self) -> str:
        parts = [f"in_features={self.in_features}", f"num_classes={self.num_classes}", f"bias={self.bias is not None}"]
        return ", ".join([*parts, describe(self, "reduction", "ignore_index")])


class SoftmaxHead(_DenseHead):
    """The exact softmax over all classes, trained by cross-entropy in row chunks.

    Args:
        in_features: d, the size of a feature vector.
        num_classes: C.
        bias: whether each class has one.
        class_counts: (C,), how often each class occurs in training; sets where the bias starts. A list keeps its values
            where a model is built on the meta device, a tensor made there has none.
        label_smoothing, z_loss, reduction, ignore_index: as in :func:`anymax.cross_entropy`.
        class_prior: (C,), a tensor or list of weights as there, for classes that are rare in training: it is added to
            the scores in the loss alone, so that they become those of data in which all classes are equally frequent
            (balanced softmax; with prior**tau the logit adjustment). `forward` without a target, `log_prob`, `predict`
            and `sample` leave it out; the log-probabilities of data like the training data take it back in:
            `anymax.log_prob(head(features), target, dim=-1, class_prior=head.class_prior)`. A buffer, which casts
            leave in float32 or wider. Leave `class_counts` away beside it: the bias would start at what the prior adds.
        chunks, memory_budget: as in :func:`anymax.linear_cross_entropy`.
        device, dtype: of the parameters.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.SoftmaxHead(3, 10)
        >>> head(torch.zeros(2, 3)).shape, head(torch.zeros(2, 3), torch.tensor([1, 7])).shape
        (torch.Size([2, 10]), torch.Size([]))
        >>> head.log_prob(torch.zeros(2, 3)).exp().sum(-1)
        tensor([1.0000, 1.0000], grad_fn=<SumBackward1>)

    Source: Ren et al. 2020, arXiv 2007.10740 (balanced softmax); Menon et al. 2021, arXiv 2007.07314 (logit
    adjustment).
    """

    class_prior: Tensor | None
    _prior_start: Tensor | None

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        class_prior: Tensor | Sequence[float] | None = None,
        chunks: int | None = None,
        memory_budget: int | None = None,
        **options: Unpack[DenseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss
        self.chunks = chunks
        self.memory_budget = memory_budget
        self._prior_start = None
        self.register_buffer("class_prior", None)
        if class_prior is not None:
            self._prior_start = _checked_prior(class_prior, num_classes)
            self.class_prior = self.weight.new_empty(num_classes, dtype=compute_dtype(self.weight.dtype))
            self._reset_prior()

    @named_after_class
    def reset_parameters(self) -> None:
        super().reset_parameters()
        # nn.Linear's constructor comes here before there is a prior
        if hasattr(self, "class_prior"):
            self._reset_prior()

    def _reset_prior(self) -> None:
        if self.class_prior is not None and self._prior_start is not None:
            restore(self.class_prior, self._prior_start, "class_prior")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # counts overflow in float16
        kept = self.class_prior
        super()._apply(fn, recurse)
        if kept is not None:
            self.class_prior = moved_alone(kept, self.class_prior)
        return self

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        if target is None:
            return self.scores(input)
        return linear_cross_entropy(
            input,
            self.weight,
            target,
            linear_bias=self.bias,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            class_prior=self.class_prior,
            chunks=self.chunks,
            memory_budget=self.memory_budget,
        )


class GumbelSoftmaxHead(_DenseHead):
    r"""Trained on -log of the relaxed Gumbel-softmax sample at the target, taken in log space.

    .. math:: \ell = -\log \mathrm{softmax}\big((s + G) / \tau\big)_y

    `log_prob` is the log softmax of the scores, the log-probabilities of the hard samples. The loss does not estimate
    these consistently: at tau = 1 a true (.7, .2, .1) is learnt as (.82, .13, .05), at tau = .1 right to 1e-5.

    Args:
        tau: temperature > 0; a number becomes a buffer that a schedule can move.
        in_features, num_classes, bias, class_counts, reduction, ignore_index, device, dtype: as
            :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.GumbelSoftmaxHead(3, 10, tau=0.5)
        >>> head(torch.zeros(2, 3), torch.tensor([1, 2])).shape
        torch.Size([])

    Source: Jang et al. 2016, arXiv 1611.01144.
    """

    tau: Tensor

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        tau: float | Tensor = 1.0,
        **options: Unpack[DenseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        store(self, "tau", tau if isinstance(tau, Tensor) else torch.tensor(float(tau), device=self.weight.device))
        self._tau_start = tau.detach().clone() if isinstance(tau, Tensor) else float(tau)

    @named_after_class
    def reset_parameters(self) -> None:
        super().reset_parameters()
        # nn.Linear's constructor comes here before there is a tau
        if hasattr(self, "tau"):
            restore(self.tau, self._tau_start, "tau")

    def forward(self, input: Tensor, target: Tensor | None = None, generator: Generator = None) -> Tensor:
        scores = self.scores(input)
        if target is None:
            return scores
        return gumbel_softmax_loss(
            scores,
            target,
            dim=-1,
            tau=self.tau,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )


class SigmoidHead(_DenseHead):
    """One yes/no decision per class (one-vs-rest): binary cross-entropy summed over the classes of a row.

    It has no probabilities over the classes: `log_prob` and `sample` are errors, `predict` ranks by each class's own
    log-probability. With class counts the bias starts at the log-odds of the smoothed class frequency.

    Args:
        in_features, num_classes, bias, class_counts, reduction, ignore_index, device, dtype: as
            :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.SigmoidHead(3, 10)
        >>> head.predict(torch.zeros(2, 3), k=5)[1].shape
        torch.Size([2, 5])
    """

    def _bias_start(self) -> float | Tensor:
        if self.class_counts is None:
            return 0.0
        mine = self.class_counts + 1
        # the other classes, counted as smoothed; one if there is none, so that the odds of an only class are finite
        return (mine / (mine.sum() - mine).clamp(min=1)).log()

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        scores = self.scores(input)
        if target is None:
            return scores
        return one_vs_rest_loss(scores, target, dim=-1, ignore_index=self.ignore_index, reduction=self.reduction)

    def log_prob(self, input: Tensor) -> Tensor:
        raise NotImplementedError(
            "SigmoidHead: independent yes/no decisions give no probabilities over the classes, so there is no log_prob "
            "and no sample; predict ranks the classes, and SoftmaxHead has probabilities"
        )

    def predict(self, input: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """The k largest log-probabilities of a class's own decision, and their ids, (..., k) each."""
        values, indices = logsigmoid(self(input)).topk(k, -1)
        return values, indices


class _NoiseHead(_DenseHead):
    """A head that is trained against draws from a noise law: given, or from the smoothed class counts."""

    @named_after_class
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        noise: Noise | None = None,
        num_noise: int = 64,
        sparse: bool = False,
        **options: Unpack[DenseOptions],
    ) -> None:
        checks.count("num_noise", num_noise)
        if noise is None:
            class_counts = options.get("class_counts")
            if class_counts is None:
                raise ValueError(
                    f"{CALLER}: give noise= (a law of anymax.noise) or class_counts= (which makes a Unigram law); no "
                    "law fits by default"
                )
            noise = Unigram(_smoothed(_checked(class_counts, num_classes)))
            if not options.get("bias", True):
                # the law was all that they were for
                options["class_counts"] = None
        super().__init__(in_features, num_classes, **options)
        if noise.num_classes != num_classes:
            raise ValueError(
                f"{CALLER}: the noise law must cover the {num_classes} classes of the head, got {noise.num_classes}"
            )
        # a head on the meta device has no values yet; those of the law would be lost there
        self.noise = noise if self.weight.is_meta else noise.to(self.weight.device)
        self.num_noise = num_noise
        self.sparse = sparse

    def _check_sparse(self) -> None:
        reducer = reducer_of(self) if self.sparse else None
        if reducer is not None:
            raise NotImplementedError(
                f"{CALLER}: sparse=True gives sparse gradients, which {reducer} cannot average over processes; write "
                "sparse=False, or leave the head out of what is wrapped and average its gradients yourself"
            )


class NCEHead(_NoiseHead):
    """Noise-contrastive estimation: each target against `num_noise` draws, at a cost independent of num_classes.

    `log_prob` is normalised exactly, over all classes. `scores` minus `log_partition` are close to log-probabilities
    once trained, to the degree that the features can represent the normaliser. Without counts the bias starts at
    log_partition - log C, so that training starts near normalised probabilities.

    Args:
        noise: a law of `anymax.noise`; or
        class_counts: (C,), which makes the law `Unigram(class_counts + 1)` and sets where the bias starts.
        num_noise, log_partition, sparse: as in :func:`anymax.nce_loss`.
        in_features, num_classes, bias, reduction, ignore_index, device, dtype: as :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.NCEHead(3, 10, class_counts=torch.arange(10))
        >>> head.log_prob(torch.zeros(3)).argmax()
        tensor(9)

    Source: Gutmann and Hyvarinen 2010; Mnih and Teh 2012, arXiv 1206.6426.
    """

    log_partition: float = 0.0

    @named_after_class
    def __init__(
        self, in_features: int, num_classes: int, *, log_partition: float = 0.0, **options: Unpack[NoiseOptions]
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        checks.number("log_partition", log_partition)
        self.log_partition = log_partition
        self._reset_bias()

    def _bias_start(self) -> float | Tensor:
        if self.class_counts is None:
            return self.log_partition - math.log(self.num_classes)
        return super()._bias_start() + self.log_partition

    @named_after_class
    def forward(self, input: Tensor, target: Tensor | None = None, generator: Generator = None) -> Tensor:
        if target is None:
            return self.scores(input)
        self._check_sparse()
        return nce_loss(
            input,
            self.weight,
            target,
            self.noise,
            num_noise=self.num_noise,
            linear_bias=self.bias,
            log_partition=self.log_partition,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )


class SampledSoftmaxHead(_NoiseHead):
    """Softmax over the target and `num_noise` draws, corrected for how they were drawn.

    `log_prob` is normalised exactly, over all classes.

    Args:
        noise: a law of `anymax.noise`; or
        class_counts: (C,), which makes the law `Unigram(class_counts + 1)` and sets where the bias starts.
        num_noise, correction, unique, sparse: as in :func:`anymax.sampled_softmax_loss`.
        in_features, num_classes, bias, reduction, ignore_index, device, dtype: as :class:`SoftmaxHead`.

    Shape:
        input (..., d), target (...) of class ids; without a target the scores, (..., C).

    Example:
        >>> head = anymax.nn.SampledSoftmaxHead(3, 10, noise=anymax.noise.All(10))
        >>> head.log_prob(torch.zeros(2, 3)).shape
        torch.Size([2, 10])

    Source: Bengio and Senecal 2008; Jean et al. 2015, arXiv 1412.2007.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        correction: str = "ranking",
        unique: bool = True,
        **options: Unpack[NoiseOptions],
    ) -> None:
        super().__init__(in_features, num_classes, **options)
        self.correction = correction
        self.unique = unique

    @named_after_class
    def forward(self, input: Tensor, target: Tensor | None = None, generator: Generator = None) -> Tensor:
        if target is None:
            return self.scores(input)
        self._check_sparse()
        return sampled_softmax_loss(
            input,
            self.weight,
            target,
            self.noise,
            num_noise=self.num_noise,
            correction=self.correction,
            unique=self.unique,
            linear_bias=self.bias,
            sparse=self.sparse,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            generator=generator,
        )


def _checked(class_counts: Tensor | Sequence[float], num_classes: int) -> Tensor:
    """The counts in float64: a sequence on the CPU, so that it keeps its values where modules are built on meta."""
    if isinstance(class_counts, (list, tuple)):
        class_counts = torch.tensor(class_counts, dtype=torch.float64, device="cpu")
    checks.tensor("class_counts", class_counts)
    assert isinstance(class_counts, Tensor)
    if class_counts.shape != (num_classes,):
        raise ValueError(
            f"{CALLER}: class_counts must have one entry per class, shape ({num_classes},), "
            f"got {tuple(class_counts.shape)}"
        )
    counts = class_counts.detach().double()
    if can_branch(counts) and not bool(((counts >= 0) & counts.isfinite()).all()):
        raise ValueError(f"{CALLER}: class_counts must be finite and at least 0")
    return counts


def _checked_prior(class_prior: Tensor | Sequence[float], num_classes: int) -> Tensor:
    """A prior's own copy: a sequence on the CPU, so that it keeps its values where modules are built on meta."""
    if isinstance(class_prior, (list, tuple)):
        class_prior = torch.tensor(class_prior, dtype=torch.float64, device="cpu")
    assert not isinstance(class_prior, Sequence)
    checks.class_prior(class_prior, num_classes)
    if class_prior.requires_grad:
        raise ValueError(
            f"{CALLER}: class_prior is not trained by a head; write class_prior.detach(), or train it with "
            "anymax.linear_cross_entropy(..., class_prior=)"
        )
    return class_prior.clone()


def _smoothed(counts: Tensor) -> Tensor:
    """Class frequencies with one more count each, so that none is 0."""
    return (counts + 1) / (counts + 1).sum()
