"""What the interpreter saw that a rule may have something to say about."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

from anymax.inspect.check.shapes import Axis
from anymax.inspect.check.values import Made, Place, Tensor, Value

Dim = int | Literal["missing", "unknown"]


class Observation:
    """The base: what was seen, and the code that a finding would point at."""

    place: Place

    @property
    def home(self) -> Place:
        return self.place


@dataclass(frozen=True, eq=False)
class Softmax(Observation):
    """softmax, log_softmax, softmin or gumbel_softmax of a tensor.

    Attributes:
        place: the call. built: where the module was constructed, if it is one; there its dim stands.
        dim: the literal. operand: on one path; `paths` has all. axis: the one that is normalised, where it is known.
        result: what came out, whose `uses` tell what was done with it.
    """

    op: str
    place: Place
    built: Place | None
    dim: Dim
    operand: Tensor
    axis: Axis | None
    result: Made
    written: str
    operand_node: ast.expr | None = None
    paths: tuple[Tensor, ...] = ()

    @property
    def home(self) -> Place:
        """A module's dim stands where it is constructed."""
        return self.built or self.place


@dataclass(frozen=True, eq=False)
class Built(Observation):
    """A module with a softmax in it that was constructed without `dim`, whether or not it is called."""

    name: str
    place: Place


@dataclass(frozen=True, eq=False)
class Sigmoid(Observation):
    place: Place
    paths: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Loss(Observation):
    """A loss and what went into it.

    Attributes:
        name: cross_entropy, nll_loss, ctc_loss, bce, bce_with_logits, kl_div. written: as the code has it.
        inputs, targets: every tensor that it may be, None where unknown. certain: the loss is this one on every path.
    """

    name: str
    written: str
    place: Place
    built: Place | None
    inputs: list[Tensor] | None
    targets: list[Tensor] | None
    options: dict[str, Value] = field(default_factory=dict)
    certain: bool = True
    input_node: ast.expr | None = None


@dataclass(frozen=True, eq=False)
class Averaged(Observation):
    """A mean over the classes of what kl_div gave entry by entry, at `loss`; over all axes where `everything`."""

    place: Place
    loss: Place
    everything: bool


@dataclass(frozen=True, eq=False)
class Sampler(Observation):
    """Something that draws: it takes probabilities or scores (logits)."""

    name: str
    takes: str
    explicit: bool
    place: Place
    inputs: list[Tensor]


@dataclass(frozen=True, eq=False)
class Choice(Observation):
    """argmax, argmin, max, topk along an axis, or over everything."""

    name: str
    place: Place
    dim: Dim
    axis: Axis | None
    operands: list[Tensor]
    compared: Place | None = None


@dataclass(frozen=True, eq=False)
class Picked(Observation):
    """One entry of each row of a distribution, `made` over axis 0, as `gather(1, index)` takes it."""

    written: str
    place: Place
    made: Made


@dataclass(frozen=True, eq=False)
class Product(Observation):
    """A distribution that was multiplied with something and summed over `summed`."""

    written: str
    place: Place
    weights: Tensor
    summed: Axis | None


@dataclass(frozen=True, eq=False)
class WeightedSum(Observation):
    """Items that were multiplied with one weight each and summed over `dim`, which is not that of the softmax."""

    place: Place
    made: Made
    dim: int


@dataclass(frozen=True, eq=False)
class Log(Observation):
    """The logarithm of probabilities."""

    place: Place
    operand: Tensor
    operand_node: ast.expr | None
    paths: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Quotient(Observation):
    """exp(x) / exp(x).sum(dim), or x - logsumexp(x, dim); `total` is the sum, over `dim` where it is a literal.

    `way` says how: plain; grouped, with a sum over the entries of the same index; of a logarithm of a sum that is
    "written out, plain" or "written out, masked", or "shifted and masked", where something was subtracted before.
    """

    name: str
    place: Place
    total: Place
    dim: int | None
    way: str = "plain"
