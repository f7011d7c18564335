"""The heads that can take part in a comparison, and which of them fit the data."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

import anymax.nn as heads
from anymax import noise
from anymax._core.sentences import quoted
from anymax.lab.errors import MethodError
from anymax.lab.measure import MEASURES, Task
from anymax.lab.results import LeftOut

NUM_NOISE = 64  # classes drawn per step by the methods that draw


@dataclass(frozen=True)
class Case:
    """What decides whether a method fits."""

    task: Task
    num_classes: int
    decide_by: str
    named: bool  # the user asked for the method by name


@dataclass(frozen=True)
class Method:
    """One way to train and read the last layer; all share everything before it."""

    name: str
    title: str
    make: Callable[[int, Tensor], nn.Module]  # (in_features, class_counts) -> head
    defines_law: bool
    note: str | None = None
    why_not: Callable[[Case], str | None] = lambda case: None


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


def _sigmoid(in_features: int, class_counts: Tensor) -> nn.Module:
    return heads.SigmoidHead(in_features, len(class_counts), class_counts=class_counts)


def _draws_all(num_classes: int) -> bool:
    return num_classes <= NUM_NOISE


def _why_not_drawn(case: Case) -> str | None:
    if _draws_all(case.num_classes) and not case.named:
        return f"{NUM_NOISE} draws from {case.num_classes} classes cost more than softmax"
    return None


def _why_not_gumbel(case: Case) -> str | None:
    return None if case.named else "its objective aims at none of the measures; --methods takes it"


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
            why_not=_why_not_gumbel,
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
            "sigmoid",
            "one-vs-rest sigmoids",
            _sigmoid,
            defines_law=False,
            note="It defines no probabilities over the classes: each class is judged by itself.",
        ),
    )
}


def choose(
    names: Sequence[str] | None, task: Task, num_classes: int, decide_by: str
) -> tuple[list[Method], list[LeftOut]]:
    """The methods that take part, and those left out with the reason.

    Args:
        names: the methods asked for, in the order to show them; None asks for all.
        task: what the data are.
        num_classes: how many classes the heads have.
        decide_by: the deciding measure, which every method that takes part must have.

    Raises:
        MethodError: a name that does not exist or comes twice, or no method that fits.
    """
    valid = ", ".join(METHODS)
    if names is not None and not names:
        raise MethodError(f"No method was named: expected some of {valid}.")
    for i, name in enumerate(names or ()):
        if name not in METHODS:
            close = difflib.get_close_matches(name, METHODS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise MethodError(f"There is no method {quoted(name)}: expected some of {valid}.{hint}")
        if name in names[:i]:  # type: ignore[index]
            raise MethodError(f"Method '{name}' is named twice.")
    case = Case(task, num_classes, decide_by, named=names is not None)
    chosen: list[Method] = []
    left_out: list[LeftOut] = []
    for method in (METHODS[name] for name in names or METHODS):
        why = _no_law(method, decide_by) or method.why_not(case)
        if why is None:
            chosen.append(method)
        else:
            left_out.append(LeftOut(method.name, why))
    if not chosen:
        reasons = "; ".join(f"{out.method}: {out.why}" for out in left_out)
        raise MethodError(f"No method is left to compare ({reasons}).")
    return chosen, left_out


def _no_law(method: Method, decide_by: str) -> str | None:
    if method.defines_law or not MEASURES[decide_by].needs_law:
        return None
    return f"it defines no probabilities over the classes, so it has no {MEASURES[decide_by].title}"
