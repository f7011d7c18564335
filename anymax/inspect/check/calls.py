"""A call of an op with its arguments by name, and the table of what each op does."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anymax.inspect.check.observed import Dim
from anymax.inspect.check.shapes import Axis, Shape
from anymax.inspect.check.values import Const, Either, Made, Place, Seq, Size, Tensor, Unknown, Value, join, options

if TYPE_CHECKING:
    from anymax.inspect.check.frames import Frame
    from anymax.inspect.check.interpret import Interpreter

# The same op under several names: a function of torch, of torch.nn.functional or torch.special, a method.
PREFIXES = (
    "torch.nn.functional.",
    "torch.special.",
    "torch.linalg.",
    "torch._C._nn.",
    "torch.Tensor.",
    "torch.",
    "anymax.",
)

ALIASES = {
    "concat": "cat",
    "concatenate": "cat",
    "absolute": "abs",
    "binary_cross_entropy": "bce",
    "binary_cross_entropy_with_logits": "bce_with_logits",
    "anymax.asymmetric_loss": "bce_with_logits",
    "anymax.sigmoid_focal_loss": "bce_with_logits",
    "torchvision.ops.sigmoid_focal_loss": "bce_with_logits",
    "torchvision.ops.focal_loss.sigmoid_focal_loss": "bce_with_logits",
    "clip": "clamp",
    "clamp_min": "clamp",
    "expit": "sigmoid",
    "einops.einsum": "einops_einsum",
    "einops.rearrange": "rearrange",
    "einops.reduce": "einops_reduce",
    "einops.repeat": "einops_repeat",
    "moveaxis": "movedim",
    "numpy.argmax": "argmax",
    "numpy.log": "log",
    "torch_geometric.utils.scatter": "scatter_sum",
    "torch_scatter.scatter": "scatter_sum",
    "torch_scatter.scatter_add": "scatter_sum",
    "torch_scatter.scatter_sum": "scatter_sum",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "true_divide": "divide",
    "swapaxes": "transpose",
    "swapdims": "transpose",
}


@dataclass(frozen=True)
class Op:
    """What an op does to one tensor, and the names of its arguments in order."""

    arguments: tuple[str, ...]
    run: Callable[[Call], Value]
    whole: bool = False  # it takes what the first argument may be all at once, not one path after the other


OPS: dict[str, Op] = {}


def op(
    names: str, arguments: str = "input", *, whole: bool = False
) -> Callable[[Callable[[Call], Value]], Callable[[Call], Value]]:
    """Register a function as what these ops do."""

    def register(run: Callable[[Call], Value]) -> Callable[[Call], Value]:
        for name in names.split():
            OPS[name] = Op(tuple(arguments.split()), run, whole)
        return run

    return register


def canonical(name: str) -> str | None:
    """The name in OPS of a function by its full name; None for another."""
    if name in ALIASES:
        return ALIASES[name]
    for prefix in PREFIXES:
        if name.startswith(prefix):
            short = name[len(prefix) :]
            short = ALIASES.get(short, short)
            return short if short in OPS else None
    return None


def method(name: str) -> str | None:
    """The name in OPS of a method of a tensor; those in place do the same."""
    short = name[:-1] if name.endswith("_") and not name.startswith("_") and name != "requires_grad_" else name
    short = ALIASES.get(short, short)
    return short if short in OPS else None


@dataclass
class Call:
    """One call: `tensor` is its first argument on one path, `values` hold the others."""

    interpreter: Interpreter
    op: str
    written: str
    node: ast.expr
    frame: Frame
    values: dict[str, Value]
    nodes: dict[str, ast.expr]
    rest: tuple[Value, ...] = ()  # the first argument and those after it, as given
    tensor: Tensor = field(default_factory=Tensor)
    paths: tuple[Tensor, ...] = ()  # every tensor that the first argument may be; empty where it may be something else
    built: Place | None = None

    @property
    def place(self) -> Place:
        return self.interpreter.place(self.node, self.frame)

    def value(self, name: str) -> Value | None:
        return self.values.get(name)

    def const(self, name: str, default: Any = None) -> Any:
        """The literal that an argument is; `default` where it is missing, None where it is not known."""
        value = self.values.get(name)
        if value is None:
            return default
        return value.value if isinstance(value, Const) else None

    def dim(self, name: str = "dim") -> Dim:
        value = self.values.get(name) or self.values.get("axis")
        if value is None or (isinstance(value, Const) and value.value is None):
            return "missing"
        if isinstance(value, Const) and type(value.value) is int:
            return value.value
        return "unknown"

    def dims(self, name: str = "dim") -> list[int] | Dim:
        """One or several axes: a list, or why it is none."""
        value = self.values.get(name) or self.values.get("axis")
        if isinstance(value, Seq):
            dims = [one.value for one in value.items if isinstance(one, Const) and type(one.value) is int]
            return dims if len(dims) == len(value.items) else "unknown"
        dim = self.dim(name)
        return [dim] if isinstance(dim, int) else dim

    def with_shape(self, shape: Shape) -> Tensor:
        """The same values, seen through another shape."""
        return self.tensor.with_shape(shape)

    def changed(self, shape: Shape | None = None, made: Made | None = None) -> Tensor:
        """New values."""
        return Tensor(self.tensor.shape if shape is None else shape, made, self.tensor.dtype)

    def made(self, kind: str, axis: Axis | None = None, dim: int | None = None) -> Made:
        # a module is dropped or replaced where it is constructed
        return Made(kind, self.built or self.place, self.tensor, axis, dim)


def run(
    interpreter: Interpreter,
    name: str,
    written: str,
    args: list[Value],
    kwargs: dict[str, Value],
    node: ast.expr,
    frame: Frame,
    arg_nodes: list[ast.expr],
    built: Place | None = None,
) -> Value:
    """What a call of the op gives: for each tensor that its first argument may be."""
    found = OPS[name]
    values = dict(zip(found.arguments, args, strict=False))
    values.update(kwargs)
    nodes = dict(zip(found.arguments, arg_nodes, strict=False))
    if isinstance(node, ast.Call):
        nodes.update({keyword.arg: keyword.value for keyword in node.keywords if keyword.arg})
    call = Call(interpreter, name, written, node, frame, values, nodes, tuple(args), built=built)
    if found.whole:
        return found.run(call)
    first = values.get(found.arguments[0])
    if first is None:
        return Unknown()
    results: list[Value] = []
    call.paths = tuple(known_tensors(first) or ())
    for one in options(first):
        tensor = as_tensor(one)
        if tensor is None:
            results.append(Unknown())
        else:
            call.tensor = tensor
            results.append(found.run(call))
    return join(results)


def as_tensor(value: Value | None) -> Tensor | None:
    """What is known of `value` as a tensor; None where it is none."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Unknown):
        if value.tensor is None:
            value.tensor = Tensor(Shape(kin=(object(), 0)))
        return value.tensor
    if isinstance(value, Either):
        return as_tensor(value.options[0])
    return None


def known_tensors(value: Value | None) -> list[Tensor] | None:
    """Every tensor that `value` may be, where all of them are known to be one."""
    if value is None:
        return None
    found = [as_tensor(one) if isinstance(one, Tensor | Unknown) else None for one in options(value)]
    return None if any(one is None for one in found) else [one for one in found if one is not None]


def axis_of_size(value: Value) -> Axis:
    """The axis that a size stands for in a `view`: the one it was taken from, or a new one of a literal size."""
    if isinstance(value, Size):
        return value.axis
    if isinstance(value, Const) and type(value.value) is int and value.value >= 0:
        return Axis(size=value.value)
    return Axis()
