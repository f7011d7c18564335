"""What all rules ask of a program, and how their messages call its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sympy
import torch
from torch.fx import Node

from anymax._core.targets import class_axis
from anymax.inspect.check.findings import Level
from anymax.inspect.exported.axes import Axis, Sizes
from anymax.inspect.exported.flow import Known, Step, What
from anymax.inspect.exported.trace import call_of

NORMALISATIONS = frozenset({"softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax"})
NLL = frozenset({"nll_loss", "nll_loss_nd", "nll_loss2d", "nll_loss_forward", "nll_loss2d_forward"})
LOSSES = NLL | {"cross_entropy_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"}
ATTENTION = "scaled_dot_product_attention"

_DTYPES = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
}
_VIEWS = ("view", "reshape", "unsqueeze", "expand", "expand_as", "to", "contiguous", "clone", "detach", "alias")


@dataclass(frozen=True)
class Mistake:
    """A mistake, and the node that it is about."""

    code: str
    level: Level
    node: Node
    message: str


@dataclass(frozen=True)
class Program:
    """The steps of a program, and the symbol of its batch."""

    steps: Sequence[Step]
    batch: sympy.Symbol

    def shown(self, known: Known) -> str:
        """`f32[batch, 5]`"""
        sizes = (str(size.subs(self.batch, sympy.Symbol("batch"))) for size in known.sizes)
        return f"{_DTYPES.get(known.dtype, str(known.dtype).removeprefix('torch.'))}[{', '.join(sizes)}]"

    def said(self, step: Step) -> str:
        """`softmax over dim 0 of f32[batch, 5]`"""
        assert step.input is not None
        return f"{name_of(step)} over dim {dim_of(step)} of {self.shown(step.input)}"

    def batch_dims(self, sizes: Sizes) -> list[int]:
        return [dim for dim, size in enumerate(sizes) if self.batch in size.free_symbols]

    @cached_property
    def made(self) -> Mapping[Node, Step]:
        """The op that made each tensor."""
        return {step.node: step for step in self.steps}

    def given(self) -> Iterator[tuple[Step, Known, What]]:
        """Each op of whose first tensor it is known what the values are, with that tensor and its values."""
        for step in self.steps:
            if step.input is not None and step.input.what is not None:
                yield step, step.input, step.input.what

    def normalised(self) -> Iterator[tuple[Step, Known, int]]:
        """Each normalisation, with its input and the axis that competes."""
        for step in self.steps:
            if step.op in NORMALISATIONS and step.input is not None and step.input.axes:
                yield step, step.input, dim_of(step)


def name_of(step: Step) -> str:
    """The function that the user, or a module of torch, called."""
    if step.call and (not step.call.within or step.call.within.startswith("torch.nn.modules")):
        return step.call.function.strip("_")
    return step.op.strip("_")


def dim_of(step: Step) -> int:
    """The axis of a normalisation, from the front."""
    assert step.input is not None
    return step.arguments["dim"] % len(step.input.axes)


def dims_of(known: Known, wanted: frozenset[Axis]) -> list[int]:
    """Where these axes are in a tensor, alone or merged with others."""
    return [dim for dim, axis in enumerate(known.axes) if axis.atoms() & wanted]


def class_dim(known: Known) -> int:
    """The axis from which torch's losses read the classes."""
    return class_axis(None, len(known.axes)).axes[0]


def in_loss(node: Node) -> bool:
    """Whether the node belongs to the loss, and not to the model."""
    return all(path.partition(".")[0] != "model" for path in _module_paths(node))


def place_of(node: Node) -> str:
    """`line 12 of model.py`, or the module where no line of the user's leads to it."""
    call = call_of(node)
    if call and call.file:
        return f"line {call.line} of {Path(call.file).name}"
    module = module_of(node)
    return "the loss" if in_loss(node) else f"module {module}" if module else "the model"


def module_of(node: Node) -> str:
    """The path of the module, such as `layers.0`; empty for the model itself, `loss` for the loss."""
    if in_loss(node):
        return "loss"
    return _module_paths(node)[-1].removeprefix("model").removeprefix(".")


def _module_paths(node: Node) -> list[str]:
    """The modules around a node, from the outside; in _Step the model is `model`, the loss `loss`."""
    return [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]


def is_written(node: Node, *functions: str) -> bool:
    """Whether the user's own line calls one of these functions, and not torch or anymax on its way."""
    call = call_of(node)
    return call is not None and not call.within and call.function.strip("_") in functions


def op_of(node: Node) -> str:
    """The op of a node, in place or not; empty for anything else."""
    target = node.target
    return target._schema.name.partition("::")[2].rstrip("_") if isinstance(target, torch._ops.OpOverload) else ""


def behind(node: Node, through: Iterable[str] = ()) -> Node:
    """What a tensor was before views, casts and the ops `through` of one tensor."""
    while isinstance(node.args[0] if node.args else None, Node):
        alone = not any(isinstance(value, Node) for value in node.args[1:])
        if op_of(node) not in _VIEWS and not (alone and op_of(node) in through):
            break
        node = node.args[0]  # type: ignore[assignment]
    return node
