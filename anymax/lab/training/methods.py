"""The heads that can take part in a comparison, and which of them fit the data."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import anymax.nn as heads
from anymax import asymmetric_loss, binary_cross_entropy_with_logits, log_softmax, noise, sigmoid_focal_loss
from anymax._core.sentences import quoted
from anymax.lab.errors import MethodError
from anymax.lab.measure import MEASURES, Task
from anymax.lab.results import LeftOut

NUM_NOISE = 64  # classes drawn per step by the methods that draw
FEWEST_OF_TREE = 1000  # classes from which on it takes part unless asked for


@dataclass(frozen=True)
class Case:
    """What decides whether a method fits."""

    task: Task
    num_classes: int
    decide_by: str
    has_rare_class: bool  # among the measured ones
    named: bool  # the user asked for the method by name


@dataclass(frozen=True)
class Strengths:
    """How strongly a method does what it is for: a number that is chosen on the validation part after the rate."""

    name: str
    usual: float  # at which the rates are tried
    others: tuple[float, ...]


@dataclass(frozen=True)
class Method:
    """One way to train and read the last layer; all share everything before it."""

    name: str
    title: str
    # (in_features, class_counts) -> head, with the strength as third where it has one; None for labels alone
    make: Callable[..., nn.Module] | None
    defines_law: bool
    note: str | None = None
    why_not: Callable[[Case], str | None] = lambda case: None
    strengths: Strengths | None = None
    # (in_features, rows of each label, rows) -> head, where a row may have several labels; None where it does not fit
    make_for_labels: Callable[[int, Tensor, int], LabelHead] | None = None
    label_note: str | None = None  # what `note` is to that
    alpha: float = 1.0  # its probabilities are entmax of this alpha: 1 is softmax, above it some are exactly 0
    shifted: bool = False  # its scores are log-probabilities of classes less something that differs between these
    answers_by_law: bool = False  # its answers are the likeliest classes, where these are not those of the best scores

    def has_law(self, task: Task) -> bool:
        """Whether it has probabilities: over the classes, or one for each label."""
        return self.defines_law or task == "multilabel"

    @property
    def gives_zeros(self) -> bool:
        """Whether classes get probability 0, true ones too, so that the log of it is infinite."""
        return self.alpha > 1

    @property
    def has_log_z(self) -> bool:
        """Whether its log-probabilities are its scores less one number for each item."""
        return not (self.gives_zeros or self.shifted)

    def note_on(self, task: Task) -> str | None:
        """What a reader of its numbers must know."""
        return self.label_note if task == "multilabel" else self.note

    def to_scale(self, head: nn.Module) -> Callable[[Tensor], Tensor]:
        """What a temperature divides: scores, or log-probabilities, which do as well unless they are -inf."""
        return head.scores if self.gives_zeros else head.log_prob  # type: ignore[return-value]

    def label_head(self, in_features: int, label_counts: Tensor, rows: int) -> LabelHead:
        """A head for labels, of which so many rows of so many have each."""
        assert self.make_for_labels is not None
        return self.make_for_labels(in_features, label_counts, rows)

    def head(self, in_features: int, class_counts: Tensor, strength: float | None = None) -> nn.Module:
        """A head of this strength; None stands for the usual one, or for that of a method that has none."""
        assert self.make is not None
        if self.strengths is None:
            return self.make(in_features, class_counts)
        return self.make(in_features, class_counts, self.strengths.usual if strength is None else strength)


def _softmax(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.SoftmaxHead(in_features, len(class_counts), class_counts=class_counts)


def _gumbel(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.GumbelSoftmaxHead(in_features, len(class_counts), class_counts=class_counts)


def _nce(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.NCEHead(in_features, len(class_counts), class_counts=class_counts, num_noise=NUM_NOISE)


def _sampled(in_features: int, class_counts: Tensor) -> nn.Module:
    num_classes = len(class_counts)
    if _draws_all(num_classes):
        law = noise.All(num_classes)
        return heads.SampledSoftmaxHead(in_features, num_classes, class_counts=class_counts, noise=law)
    return heads.SampledSoftmaxHead(in_features, num_classes, class_counts=class_counts, num_noise=NUM_NOISE)


def _negative(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.NegativeSamplingHead(in_features, len(class_counts), class_counts=class_counts, num_noise=NUM_NOISE)


def _sparsemax(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.SparsemaxHead(in_features, len(class_counts), class_counts=class_counts)


def _entmax(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.EntmaxHead(in_features, len(class_counts), class_counts=class_counts)


def _adaptive(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.AdaptiveSoftmaxHead(in_features, len(class_counts), class_counts=class_counts)


def _hierarchical(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.HierarchicalSoftmaxHead(in_features, len(class_counts), class_counts=class_counts)


def _sigmoid(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.SigmoidHead(in_features, len(class_counts), class_counts=class_counts)


def _focal(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.FocalHead(in_features, len(class_counts), class_counts=class_counts, alpha=None)


class _PriorHead(heads.SoftmaxHead):
    """Its answers are those of data in which frequencies matter less, its probabilities those of the data it has seen.

    The answer is the class of the largest score. The law takes back in what the loss added to the scores.
    """

    def log_prob(self, input: Tensor) -> Tensor:
        return self._law(self(input))

    def predict(self, input: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """The classes of the k largest scores, with the log-probabilities that the law gives them, (..., k) each."""
        scores = self(input)
        indices = scores.topk(k, -1).indices
        return self._law(scores).gather(-1, indices), indices

    def _law(self, scores: Tensor) -> Tensor:
        assert self.class_prior is not None
        return log_softmax(scores + self.class_prior.log(), -1)


def _prior(in_features: int, class_counts: Tensor, tau: float) -> nn.Module:
    frequencies = (class_counts + 1) / (class_counts + 1).sum()
    head = _PriorHead(in_features, len(class_counts), class_prior=frequencies**tau)
    with torch.no_grad():
        # so that its law starts at the frequencies, as that of every head
        head.bias.copy_((1 - tau) * frequencies.log())
    return head


def _smoothed(in_features: int, class_counts: Tensor, smoothing: float) -> nn.Module:
    return heads.SoftmaxHead(in_features, len(class_counts), class_counts=class_counts, label_smoothing=smoothing)


class LabelHead(heads.SigmoidHead):
    """A yes or no for each label, trained by a loss from scores and 0 or 1 to a number.

    Its law starts at the label frequencies, smoothed by one row that has the label and one that does not.

    Args:
        in_features: of the backbone.
        label_counts: (labels,), rows that have each label.
        rows: all rows.
        loss: of scores and targets, (rows, labels) each; None takes SigmoidHead's.
        shift: (labels,), by how much training moves the scores of a label above its log-odds, nats.
    """

    shift: Tensor

    def __init__(
        self,
        in_features: int,
        label_counts: Tensor,
        rows: int,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        shift: Tensor | None = None,
    ) -> None:
        super().__init__(in_features, len(label_counts))
        self.loss = loss
        self.register_buffer("shift", torch.zeros(len(label_counts)) if shift is None else shift)
        with torch.no_grad():
            self.bias.copy_(start_of_labels(label_counts, rows) + self.shift)

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        if target is None or self.loss is None:
            return super().forward(input, target)
        return self.loss(self.scores(input), target)

    def answer(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each label is said, and the log-odds of its probability, (..., labels) each."""
        scores = self(input)
        return scores > 0, scores - self.shift


def start_of_labels(label_counts: Tensor, rows: int) -> Tensor:
    """The log-odds of the smoothed label frequencies."""
    return ((label_counts + 1.0) / (rows - label_counts + 1.0).clamp(min=1.0)).log()


def _sigmoid_of_labels(in_features: int, label_counts: Tensor, rows: int) -> LabelHead:
    return LabelHead(in_features, label_counts, rows)


def _weighted(in_features: int, label_counts: Tensor, rows: int) -> LabelHead:
    # the weight that makes rows with a label count as much as those without moves its log-odds by its logarithm
    shift = -start_of_labels(label_counts, rows)

    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        weight = shift.to(scores).exp()
        return binary_cross_entropy_with_logits(scores, targets, reduction="none", pos_weight=weight).sum(-1).mean()

    return LabelHead(in_features, label_counts, rows, loss, shift)


def _focal_of_labels(in_features: int, label_counts: Tensor, rows: int) -> LabelHead:
    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        return sigmoid_focal_loss(scores, targets, alpha=None).sum(-1).mean()

    return LabelHead(in_features, label_counts, rows, loss)


def _asymmetric(in_features: int, label_counts: Tensor, rows: int) -> LabelHead:
    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        return asymmetric_loss(scores, targets, reduction="none").sum(-1).mean()

    return LabelHead(in_features, label_counts, rows, loss)


def _draws_all(num_classes: int) -> bool:
    return num_classes <= NUM_NOISE


def _why_not_drawn(case: Case) -> str | None:
    if _draws_all(case.num_classes) and not case.named:
        return f"{NUM_NOISE} draws from {case.num_classes} classes cost more than softmax"
    return None


def _why_not_tree(case: Case) -> str | None:
    if case.num_classes < FEWEST_OF_TREE and not case.named:
        return f"a tree over {case.num_classes} classes saves nothing; --methods takes it"
    return None


def _why_not_aimless(case: Case) -> str | None:
    return None if case.named else "its objective aims at none of the measures; --methods takes it"


def _why_not_prior(case: Case) -> str | None:
    if case.task == "text":
        return "its answers favour rare words, which no measure of a text asks for"
    if not (case.has_rare_class or case.named):
        return "no class has under a tenth of its even share; --methods takes it"
    return None


def _why_not_sparse(case: Case) -> str | None:
    return None if case.named else "it says of classes that they are impossible; --methods takes it"


def _why_not_smoothed(case: Case) -> str | None:
    if case.decide_by == "nll" or case.named:
        return None
    return "it takes part where the negative log-likelihood decides (--decide-by nll); --methods takes it"


_ZEROS = (
    "It gives probability 0 to classes, at times to the true one, which makes its log-likelihood infinite: look at the "
    "Brier score."
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("softmax", "softmax", _softmax, defines_law=True),
        Method(
            "gumbel",
            "Gumbel-softmax",
            _gumbel,
            defines_law=True,
            note="It is trained on the relaxed sample: not a consistent estimate of the class probabilities, and its "
            "objective does not aim at the negative log-likelihood.",
            why_not=_why_not_aimless,
        ),
        Method(
            "nce",
            "noise-contrastive estimation",
            _nce,
            defines_law=True,
            note=f"It is trained on {NUM_NOISE} drawn classes per step; its probabilities here are normalised exactly.",
            why_not=_why_not_drawn,
        ),
        Method(
            "sampled",
            "sampled softmax",
            _sampled,
            defines_law=True,
            note=f"It is trained on at most {NUM_NOISE} drawn classes per step; its probabilities here are normalised "
            "exactly.",
            why_not=_why_not_drawn,
        ),
        Method(
            "adaptive",
            "adaptive softmax",
            _adaptive,
            defines_law=True,
            note="Classes beyond the most frequent ones, which are 80 % of the data, stand behind narrower layers; its "
            "probabilities sum to 1.",
            why_not=_why_not_tree,
        ),
        Method(
            "hierarchical",
            "hierarchical softmax",
            _hierarchical,
            defines_law=True,
            note="It decides along the path of a Huffman tree; its probabilities sum to 1.",
            why_not=_why_not_tree,
        ),
        Method(
            "sigmoid",
            "one-vs-rest sigmoids",
            _sigmoid,
            defines_law=False,
            note="It defines no probabilities over the classes: each class is judged by itself.",
            make_for_labels=_sigmoid_of_labels,
        ),
        Method(
            "prior",
            "softmax with the class prior in the loss",
            _prior,
            defines_law=True,
            note="Its answers are those of its scores, from which the class frequencies, to the power tau, are taken "
            "out; its probabilities have them in again.",
            why_not=_why_not_prior,
            shifted=True,
            # 1 makes classes count alike, which is too much for an F1: that of two classes is largest at a threshold
            # of half its own value (Lipton et al. 2014, arXiv 1402.1892). Macro-F1 was best at .1 to .5 with 1 in
            # 1,000 and with a long tail, where 1 was 2 to 5 points behind softmax.
            strengths=Strengths("tau", usual=0.5, others=(0.25, 1.0)),
        ),
        Method(
            "smoothed",
            "softmax with label smoothing",
            _smoothed,
            defines_law=True,
            note="It is trained on targets of which a share is spread evenly over the classes.",
            why_not=_why_not_smoothed,
            # .1, as it is often taken, makes probabilities too flat: the negative log-likelihood was best at .01 to .05
            # on three tables of four, and behind softmax at .1 on three
            strengths=Strengths("smoothing", usual=0.03, others=(0.01, 0.1)),
        ),
        Method(
            "weighted",
            "sigmoids whose labels are balanced by weights",
            None,
            defines_law=False,
            make_for_labels=_weighted,
            label_note="Rows that have a label count as much as those that do not (pos_weight), so its answers find "
            "more of the former and are wrong more often; its probabilities have the weights taken out again.",
        ),
        Method(
            "negative",
            "negative sampling",
            _negative,
            defines_law=True,
            note=f"It is trained to tell the class from {NUM_NOISE} drawn ones: its scores learn how much likelier a "
            "class is than among the draws. Its probabilities have the draws' own added back, as is right where "
            "training has come to its end.",
            why_not=_why_not_drawn,
            shifted=True,
            answers_by_law=True,
        ),
        Method(
            "focal",
            "one-vs-rest sigmoids with the focal loss",
            _focal,
            defines_law=False,
            note="It defines no probabilities over the classes. A decision counts less the surer and righter it is, so "
            "its scores are not calibrated even for a class by itself.",
            why_not=_why_not_aimless,
            make_for_labels=_focal_of_labels,
            label_note="A decision counts less the surer and righter it is, so its probabilities are less sure than "
            "they may be: they are not calibrated.",
        ),
        Method(
            "asymmetric",
            "sigmoids with the asymmetric loss",
            None,
            defines_law=False,
            why_not=_why_not_aimless,
            make_for_labels=_asymmetric,
            label_note="Labels that are absent count less the surer their absence is, and at last not at all, so it "
            "answers labels more often and its probabilities are too large: they are not calibrated.",
        ),
        Method(
            "sparsemax",
            "sparsemax",
            _sparsemax,
            defines_law=True,
            note=f"{_ZEROS} A class whose score is 1 below the best has none.",
            why_not=_why_not_sparse,
            alpha=2.0,
        ),
        Method(
            "entmax",
            "1.5-entmax",
            _entmax,
            defines_law=True,
            note=f"{_ZEROS} It stands between softmax and sparsemax.",
            why_not=_why_not_sparse,
            alpha=1.5,
        ),
    )
}


def choose(
    names: Sequence[str] | None, task: Task, num_classes: int, decide_by: str, *, has_rare_class: bool
) -> tuple[list[Method], list[LeftOut]]:
    """The methods that take part, and those left out with the reason.

    Args:
        names: the methods asked for, in the order to show them; None asks for all.
        task: what the data are.
        num_classes: how many classes the heads have.
        decide_by: the deciding measure, which every method that takes part must have.
        has_rare_class: whether there is one among the classes that are measured.

    Raises:
        MethodError: a name that does not exist or comes twice, or no method that fits.
    """
    valid = ", ".join(name for name, method in METHODS.items() if _unfit(method, task) is None)
    if names is not None and not names:
        raise MethodError(f"No method was named: expected some of {valid}.")
    for i, name in enumerate(names or ()):
        if name not in METHODS:
            close = difflib.get_close_matches(name, METHODS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise MethodError(f"There is no method {quoted(name)}: expected some of {valid}.{hint}")
        if name in names[:i]:  # type: ignore[index]
            raise MethodError(f"Method '{name}' is named twice.")
    case = Case(task, num_classes, decide_by, has_rare_class, named=names is not None)
    chosen: list[Method] = []
    left_out: list[LeftOut] = []
    # what is for labels alone is no method of classes that somebody who did not name it would miss
    all_of_them = [name for name, method in METHODS.items() if task == "multilabel" or method.make is not None]
    for method in (METHODS[name] for name in names or all_of_them):
        why = _unfit(method, task) or _no_law(method, task, decide_by) or method.why_not(case)
        if why is None:
            chosen.append(method)
        else:
            left_out.append(LeftOut(method.name, why))
    if not chosen:
        reasons = "; ".join(f"{out.method}: {out.why}" for out in left_out)
        raise MethodError(f"No method is left to compare ({reasons}).")
    return chosen, left_out


def _unfit(method: Method, task: Task) -> str | None:
    if task == "multilabel":
        return None if method.make_for_labels else "the labels of a row do not exclude each other"
    return None if method.make else "it is for rows that may have several labels"


def _no_law(method: Method, task: Task, decide_by: str) -> str | None:
    measure = MEASURES[decide_by]
    if not method.has_law(task) and measure.needs_law:
        return f"it defines no probabilities over the classes, so it has no {measure.title}"
    if method.gives_zeros and measure.of_log:
        return f"it gives probability 0 to true classes too, where {measure.title} is infinite"
    return None
